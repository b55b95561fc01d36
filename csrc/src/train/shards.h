/* A step as the sum of shards, in one process or several. */
#ifndef PYNN_SHARDS_H
#define PYNN_SHARDS_H

#include "train/part.h"

static inline int shards_used(const pynn_trainer *trainer) { return trainer->shards.options.shards > 0; }

/* Shard `k` of a step. */
struct step shards_part(const pynn_trainer *trainer, const struct step *step, int64_t k);

/* Computes a step: loss, penalty, gradient, largest values, proposed state and statistics of all shards of all
 * processes; `predictions` of the rows of this process alone. */
pynn_status shards_compute(pynn_trainer *trainer, struct step *step, pynn_dtype dtype, void *predictions,
                           pynn_error *error);

/* Names the first cell at fault in a step that is not finite: in the lowest shard that has one, else in the sums. */
pynn_status shards_blame(pynn_trainer *trainer, struct step *step, struct fault *fault, pynn_error *error);

/* The mean loss over all rows with all logits 0; NaN where an exchange fails, which is noted in the step. */
double shards_baseline(pynn_trainer *trainer, void *step);

/* Releases what shards need. */
void shards_free(pynn_trainer *trainer);

#endif
