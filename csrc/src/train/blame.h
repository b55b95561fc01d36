/* The replay of a step, one plain operation after the other: what kinds of layers of several operations use to say
 * which of them went wrong. */
#ifndef PYNN_BLAME_H
#define PYNN_BLAME_H

#include "graph/layer.h"
#include "train/trainer.h"

struct replay {
  const pynn_trainer *t;
  const struct kernels *kernels;
  const int64_t *order;
  int64_t first, rows;
  pynn_model *model; /* a copy in the dtype of the replay */
  pynn_workspace *w;
  void *gradient;
  void *slots[PYNN_MAX_SLOTS];
  char *seen; /* of columns, widest layer */
  pynn_blame *out;
};

/* Looks for numbers that are not finite in what an operation gave, a rows x columns matrix, and fills the report with
 * them. Rows are of the batch when `data_rows`, else of a tensor. Nonzero: there are some. */
int replay_fault(struct replay *replay, pynn_operation operation, int32_t layer, const void *x, int64_t rows,
                 int64_t columns, int data_rows);
/* Adds what the operation was given; right may be NULL. Returns 1. */
int replay_operands(struct replay *replay, const void *left, int64_t n_left, const void *right, int64_t n_right);
/* Adds the row of data that gave most to an element of X^T delta that is not finite. */
void replay_row_of_gradient(struct replay *replay, const struct job *job);

#endif
