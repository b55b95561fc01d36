/* A step, and the computation of its loss and gradient on a batch or a part of one. */
#ifndef PYNN_PART_H
#define PYNN_PART_H

#include "pass/finite.h"
#include "train/guard.h"

/* A step on rows order[first ... first+rows-1] (`order` NULL: first ...), and what it computed. A part of one is a step
 * on some of its rows: `place` is that of the first row in the batch, `whole` the number of rows of the batch. */
struct step {
  const pynn_data *data;
  const int64_t *order;
  int64_t first, rows;
  int64_t place, whole;
  struct batch batch;
  double loss, penalty; /* sums over the rows */
  double norm;          /* of the gradient, before clipping */
  struct looked looked;
  int stops;          /* no other step shall follow in this call; agreed by all processes */
  pynn_status status; /* of an exchange with other processes while the step was judged */
};

/* The rows of a batch: in place where they are contiguous reals, else gathered. */
struct batch step_rows(const pynn_trainer *trainer, const pynn_array *x, const int64_t *order, int64_t first,
                       int64_t rows);

/* Targets and weights of a part, mixed as the step mixes them; with `begins`, the step begins in between: its learning
 * rate is taken, and the guard keeps a good state. */
pynn_status part_prepare(pynn_trainer *trainer, struct step *part, int begins, pynn_error *error);
void part_begin(pynn_trainer *trainer);

/* Computes loss, penalty and predictions (of `dtype`; may be NULL) of a part, and its share of the mean gradient. */
pynn_status part_compute(pynn_trainer *trainer, struct step *part, int begins, void *gradient, pynn_dtype dtype,
                         void *predictions, pynn_error *error);

/* Judges a refused part again, on rows that are not mixed: names a bad cell as it is in the caller's data. */
pynn_status part_judge_unmixed(pynn_trainer *trainer, const struct step *part, struct fault *fault, pynn_error *error);

#endif
