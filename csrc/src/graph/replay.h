/* The replay of a refused step, one plain operation after the other. Kinds of layers with several operations use it to
 * name the one at fault. */
#ifndef PYNN_REPLAY_H
#define PYNN_REPLAY_H

#include "graph/job.h"

struct replay {
  const struct kernels *kernels;
  const int64_t *order; /* the batch has rows order[first ...] of the data, or first ... when order is NULL */
  int64_t first, rows;
  pynn_model *model; /* a copy in the dtype of the replay */
  pynn_workspace *w;
  void *gradient;
  char *seen; /* of columns, widest layer */
  pynn_blame *out;
};

static inline int64_t replay_row(const struct replay *r, int64_t i) {
  return r->order ? r->order[r->first + i] : r->first + i;
}

/* Searches the result of an operation, a rows x columns matrix, for numbers that are not finite and reports them. Rows
 * are rows of the batch when `data_rows`, else of a tensor. Nonzero: there are some. */
int replay_fault(struct replay *replay, pynn_operation operation, int32_t layer, const void *x, int64_t rows,
                 int64_t columns, int data_rows);
/* Reports the largest magnitudes of the operands; right may be NULL. Returns 1. */
int replay_operands(struct replay *replay, const void *left, int64_t n_left, const void *right, int64_t n_right);
/* Reports the row of data that contributes most to an element of X^T dY that is not finite. */
void replay_row_of_gradient(struct replay *replay, const struct job *job);
/* The largest finite magnitude of n numbers; x may be NULL. */
double replay_largest(const struct replay *replay, const void *x, int64_t n);

#endif
