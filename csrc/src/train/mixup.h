/* Mixup: each row of a batch mixed with another of it. */
#ifndef PYNN_MIXUP_H
#define PYNN_MIXUP_H

#include "pass/pass.h"

/* Draws and mixes the batch of step `step` in the workspace; labels become rows of probabilities. Overwrites both dY.
 */
void mixup_batch(pynn_workspace *w, struct batch *batch, double alpha, uint64_t key, uint64_t step);

#endif
