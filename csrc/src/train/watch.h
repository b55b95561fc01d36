/* The state of a guard: what it has learned about the run. */
#ifndef PYNN_WATCH_H
#define PYNN_WATCH_H

#include "pass/pass.h"

enum { SNAPSHOTS = 2 };

struct snapshot {
  void *values;    /* parameters, then the state vectors; NULL: the policy takes none */
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
  double losses[PYNN_GUARD_WINDOW]; /* of the current window */
  int64_t n_losses;
  double worst;                   /* of a step; -infinite: none yet */
  double best, recent;            /* lowest and last median of a window; infinite: none yet */
  double best_trivial;            /* the baseline loss in the best window */
  double trivial, window_trivial; /* sums of baseline losses (all logits 0), in all and in this window */
  int64_t n_trivial, n_window_trivial;
  double sampled, constant; /* losses of sampled rows, and with their mean logits: sums that fade, over n_sampled */
  double n_sampled;
  double weight_norm;                    /* at the end of the last window; 0: none yet */
  int ran_away;                          /* the loss was far out, and no window since was better than the baseline */
  int bad_steps, bad_windows, doublings; /* in a row */

  double norm_mean, norm_variance; /* of gradients, for clipping */
  int64_t n_norms;

  pynn_event events[PYNN_EVENTS]; /* a ring */
  int64_t first_event, n_events, dropped;
};

#endif
