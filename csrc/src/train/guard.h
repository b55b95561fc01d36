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
/* After backward: whether the losses so far, with this step's mean `loss`, show that training diverges. */
int guard_diverges(pynn_trainer *trainer, const struct batch *batch, double loss);
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
