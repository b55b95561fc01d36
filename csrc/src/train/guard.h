/* The guard of a trainer: what it has learned about the run, and what it does when a step is refused. */
#ifndef PYNN_GUARD_H
#define PYNN_GUARD_H

#include "train/health.h"

enum { SNAPSHOTS = 2 };

struct snapshot {
  void *values;    /* parameters, then the state vectors; NULL: not under this policy */
  double *state;   /* of the model */
  double *average; /* NULL: none is taken */
  int64_t n_averaged;
  int64_t steps;
  int good;
};

struct watch {
  pynn_guard options;

  struct snapshot snapshots[SNAPSHOTS];
  int newest;
  int64_t since; /* steps tried since the newest snapshot or rollback */

  int64_t streak;    /* batches left out in a row */
  int64_t rollbacks; /* in all */
  int64_t futile;    /* since a snapshot was taken */

  double first_loss, last_loss;     /* of the first and the last step; infinite: none yet */
  double losses[PYNN_GUARD_WINDOW]; /* of the window at hand */
  int64_t n_losses;
  double worst;                   /* of a step; -infinite: none yet */
  double best, recent;            /* lowest and last median of a window; infinite: none yet */
  double best_trivial;            /* of knowing nothing in the best window */
  double trivial, window_trivial; /* sums of losses of knowing nothing, in all and in this window */
  int64_t n_trivial, n_window_trivial;
  double sampled, constant; /* of rows as they are and not told apart: sums that fade, over n_sampled looks that fade */
  double n_sampled;
  double weight_norm;                    /* at the end of the last window; 0: none yet */
  int ran_away;                          /* the loss was far out, and no window since was better than nothing */
  int bad_steps, bad_windows, doublings; /* in a row */

  double norm_mean, norm_variance; /* of gradients, for clipping */
  int64_t n_norms;

  pynn_event events[PYNN_EVENTS]; /* a ring */
  int64_t first_event, n_events, dropped;
};

pynn_status guard_valid(const pynn_guard *guard, pynn_error *error);
/* Starts anew with `options`; the ledger and the memory of snapshots stay as they are. */
void guard_restart(struct watch *watch, const pynn_guard *options);

/* Whether something speaks against the state at hand: what is going on may yet prove to be a divergence. */
int guard_suspects(const struct watch *watch);

/* Before a step: keeps the state as a snapshot when it is time and the state is good. */
void guard_keep(struct pynn_trainer *trainer);
/* After backward: whether the losses so far, with this step's mean `loss`, say that training diverges. */
int guard_diverges(struct pynn_trainer *trainer, const struct batch *batch, double loss);
/* Factor <= 1 for a gradient of this norm, by how unusual it is. */
double guard_clip(const struct watch *watch, double norm);
/* A step was applied, with a gradient of this norm after clipping. */
void guard_applied(struct watch *watch, double norm);
/* A step was refused: PYNN_OK when training is to go on with the next batch; `event` says where it was. */
pynn_status guard_refused(struct pynn_trainer *trainer, const struct fault *fault, int64_t first, int64_t rows,
                          pynn_error *error);
/* An event of a step on `rows` rows from `first`, into the ledger. */
void guard_note(struct pynn_trainer *trainer, pynn_event_kind kind, const struct fault *fault, int64_t first,
                int64_t rows);

#endif
