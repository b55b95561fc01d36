/* One step: compute, reduce, judge, apply. */
#ifndef PYNN_STEP_H
#define PYNN_STEP_H

#include "train/part.h"

/* Takes a step, or leaves everything as it was and returns why: NUMERIC fills in `fault`. `predictions` (of `dtype`)
 * may be NULL. */
pynn_status step_take(pynn_trainer *trainer, struct step *step, pynn_dtype dtype, void *predictions,
                      struct fault *fault, pynn_error *error);

/* The Euclidean norm of a layer's part of the gradient. */
double step_layer_norm(const pynn_trainer *trainer, int32_t layer);

#endif
