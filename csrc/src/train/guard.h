/* The guard of a trainer: divergence, clipping, good states, and the policy for refused steps. */
#ifndef PYNN_GUARD_H
#define PYNN_GUARD_H

#include "pass/finite.h"
#include "train/state.h"

pynn_status guard_valid(const pynn_guard *guard, pynn_error *error);
/* Restarts with `options`; the ledger and the memory of snapshots stay as they are. */
void guard_restart(struct watch *watch, const pynn_guard *options);

/* Whether the current state may be diverging. */
int guard_suspects(const struct watch *watch);

/* Before a step: keeps the state as a snapshot when it is time and the state is good. */
void guard_keep(pynn_trainer *trainer);
/* What a look at some rows of a step says: mean losses with all logits 0, as they are, and with their mean logits. */
struct looked {
  int looked, told; /* the first was taken, the other two were */
  double trivial, sampled, constant;
};
/* After backward, which it overwrites: looks at the first rows of a batch when it is time. */
void guard_look(const pynn_trainer *trainer, const struct batch *batch, struct looked *looked);
/* The mean loss over all rows of `step` with all logits 0; NaN: unknown. */
typedef double baseline(pynn_trainer *trainer, void *step);
/* Whether the losses so far, with this step's mean `loss`, show that training diverges. */
int guard_diverges(pynn_trainer *trainer, const struct looked *looked, double loss, baseline *of, void *step);
/* A factor <= 1 for a gradient of this norm, by how unusual it is. */
double guard_clip(const struct watch *watch, double norm);
/* Records an applied step, with a gradient of this norm after clipping. */
void guard_applied(struct watch *watch, double norm);
/* Applies the policy to a refused step on `rows` rows from `first`: PYNN_OK when training goes on with the next batch.
 */
pynn_status guard_refused(pynn_trainer *trainer, const struct fault *fault, int64_t first, int64_t rows,
                          pynn_error *error);
/* Writes an event of a step on `rows` rows from `first` into the ledger. */
void guard_note(pynn_trainer *trainer, pynn_event_kind kind, const struct fault *fault, int64_t first, int64_t rows);

#endif
