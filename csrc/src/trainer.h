/* A trainer inside: what it holds and nothing else. */
#ifndef PYNN_TRAINER_H
#define PYNN_TRAINER_H

#include "guard.h"
#include "pass.h"

enum { CHUNK = 8192 }; /* parameters of one tile of the update */

struct pynn_trainer {
  pynn_model *model;
  const struct optimizer *optimizer;
  pynn_spec spec;
  double clip_norm, learning_rate;
  int scheduled;
  pynn_schedule schedule;
  double rate_factor; /* of the schedule: what rollbacks have left of it */
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

/* Takes the largest magnitudes of the parameters and the state anew, after someone else wrote them. Whether they are
 * finite. */
int trainer_measure(pynn_trainer *trainer);

#endif
