/* One step: compute, reduce, judge, apply. */
#ifndef PYNN_STEP_H
#define PYNN_STEP_H

#include "pass/finite.h"
#include "train/state.h"

/* A step on rows order[first ... first+rows-1] (`order` NULL: first ...), and what it computed. */
struct step {
  const pynn_data *data;
  const int64_t *order;
  int64_t first, rows;
  struct batch batch;
  double loss, penalty; /* sums over the rows */
  double norm;          /* of the gradient, before clipping */
};

/* The rows of a batch: in place where they are contiguous reals, else gathered. */
struct batch step_rows(const pynn_trainer *trainer, const pynn_array *x, const int64_t *order, int64_t first,
                       int64_t rows);

/* Takes a step, or leaves everything as it was and returns why: NUMERIC fills in `fault`. `predictions` (of `dtype`)
 * may be NULL. */
pynn_status step_take(pynn_trainer *trainer, struct step *step, pynn_dtype dtype, void *predictions,
                      struct fault *fault, pynn_error *error);

/* The Euclidean norm of a layer's part of the gradient. */
double step_layer_norm(const pynn_trainer *trainer, int32_t layer);

#endif
