/* A trainer inside: what it holds and nothing else. */
#ifndef PYNN_TRAINER_H
#define PYNN_TRAINER_H

#include "train/average.h"
#include "train/guard.h"
#include "pass/pass.h"

enum { CHUNK = 8192 }; /* parameters of one tile of the update */

struct pynn_trainer {
  pynn_model *model;
  const struct optimizer *optimizer;
  pynn_spec spec;
  double clip_norm, learning_rate;
  int scheduled;
  pynn_schedule schedule;
  double rate_factor; /* of the schedule: what rollbacks have left of it */
  double weight_decay;
  double mixup; /* alpha; 0: none */
  uint64_t mixup_key;
  struct averaging average;
  uint64_t dropout_key;
  int64_t steps;
  double epoch_loss;  /* sum over the rows of the epoch's steps, one after the other whatever the calls */
  int64_t epoch_rows; /* rows in them */
  pynn_workspace *w;
  void *gradient;
  void *slots[PYNN_MAX_SLOTS];
  int slots_given; /* the caller has a state vector and may write it: largest.slot_max is taken anew each call */
  struct update_health largest; /* of parameters and state vectors, as the last update left them */
  void *trial;                  /* CHUNK x (1 + slots): where a doubtful update is tried */
  struct update_health *chunk_health;
  int64_t chunks;
  struct watch watch;
  void *before; /* the parameters before a step that takes statistics; NULL: none ever does */
  struct changed *chunk_changed;
  pynn_statistics *statistics; /* per layer */
};

/* One optimizer's update with the numbers of the step at hand. */
struct update {
  const pynn_trainer *t;
  const struct optimizer *optimizer; /* in the dtype of what it is given */
  const struct kernels *kernels;
  double scale; /* of the gradient */
  double keep;  /* what weight decay leaves of a parameter */
  double c[8];
};
struct update update_prepare(const pynn_trainer *trainer, const struct kernels *kernels, double scale);
/* n parameters w with gradient g and their state vectors. */
void update_apply(const struct update *update, size_t n, void *w, const void *g, void *const *slots,
                  struct update_health *health);

/* Takes the memory that a guard's policy, statistics and averages need, then gives back what they do not; without
 * enough of it, what the guard in use does not. */
pynn_status guard_memory(pynn_trainer *trainer, const pynn_guard *guard);

/* Takes the largest magnitudes of the parameters and the state anew, after someone else wrote them. Whether they are
 * finite. */
int trainer_measure(pynn_trainer *trainer);

#endif
