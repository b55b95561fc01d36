/* Whether a pass stayed finite, and where it first did not. */
#ifndef PYNN_FINITE_H
#define PYNN_FINITE_H

#include "pass/pass.h"

/* Why a step is refused. Layer, row and column are -1 where they do not apply. */
struct fault {
  pynn_operation operation;
  int32_t layer;
  int64_t row, column; /* row: in the caller's data */
  double value;
  int diverged;
};

/* Whether a fault lies in the data: no other parameters would mend it. */
static inline int is_of_the_data(pynn_operation operation) {
  return operation == PYNN_OPERATION_INPUT || operation == PYNN_OPERATION_TARGET ||
         operation == PYNN_OPERATION_SAMPLE_WEIGHT;
}

/* Judges a pass by the largest values its tiles saw: a few comparisons when all is well. Otherwise NUMERIC, with the
 * first layer, row (in the caller's data, through `order`) and column at fault in `fault` and `error`. */
pynn_status finite_check(const pynn_workspace *workspace, const struct batch *batch, double loss, const void *gradient,
                         const int64_t *order, int64_t first, struct fault *fault, pynn_error *error);

/* Whether it stayed finite, without a search: of a step that is the sum of several passes; and then the search in what
 * is the same in all of them: the parameters, the model's state, the gradient. */
int finite_step(const pynn_workspace *workspace, double loss);
pynn_status finite_check_sum(const pynn_workspace *workspace, const void *gradient, struct fault *fault,
                             pynn_error *error);

/* The same for a pass without a backward one: whether its values and `out` (rows x outputs of `dtype`: predictions or
 * logits) are finite, by a few comparisons, ... */
int finite_forward(const pynn_workspace *workspace, int64_t rows, pynn_dtype dtype, const void *out);
/* ... and the search, in a workspace that keeps every layer's values. */
pynn_status finite_check_forward(const pynn_workspace *workspace, const struct batch *batch, int has_targets,
                                 const void *logits, pynn_dtype dtype, const void *predictions, const int64_t *order,
                                 int64_t first, pynn_error *error);

#endif
