/* Whether a pass stayed finite, and where it first did not. */
#ifndef PYNN_HEALTH_H
#define PYNN_HEALTH_H

#include "pass.h"

/* Judges a pass by the largest values its tiles saw: a few comparisons when all is well. Otherwise NUMERIC, with the
 * first layer, row (in the caller's data, through `order`) and column at fault in `error`. */
pynn_status health_check(const pynn_workspace *workspace, const struct batch *batch, double loss, const void *gradient,
                         const int64_t *order, int64_t first, pynn_error *error);

#endif
