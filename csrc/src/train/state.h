/* A trainer inside: its state, and the memory of it. */
#ifndef PYNN_STATE_H
#define PYNN_STATE_H

#include "train/average.h"
#include "train/watch.h"

enum { CHUNK = 8192 }; /* parameters of one tile of the update */

struct step;

/* Adds up a step over the processes of a run, between computing and judging it (train/step.c). `sum` is NULL in one
 * process. It gets the trainer, whose gradient and largest values (w->sums) are those of this process, and the step
 * with this process's loss, penalty and rows; it replaces them by those of all processes. */
struct reduction {
  pynn_status (*sum)(void *user, pynn_trainer *trainer, struct step *step);
  void *user;
};

struct pynn_trainer {
  pynn_model *model;
  const struct optimizer *optimizer;
  pynn_spec spec;
  double clip_norm, learning_rate;
  int scheduled;
  pynn_schedule schedule;
  double rate_factor; /* of the schedule: the product of the rollbacks' backoffs */
  double weight_decay;
  int raw_predictions; /* logits in their place */
  double mixup;        /* alpha; 0: none */
  uint64_t mixup_key;
  struct averaging average;
  uint64_t dropout_key;
  int64_t steps;
  double epoch_loss; /* sum over the rows of the epoch's steps, added step by step */
  int64_t epoch_rows;
  pynn_workspace *w;
  struct reduction reduction;
  void *gradient;
  void *slots[PYNN_MAX_SLOTS];
  int slots_given; /* the caller has a state vector and may write it: each call measures largest.slot_max again */
  struct update_health largest; /* of parameters and state vectors, as the last update left them */
  void *trial;                  /* CHUNK x (1 + slots): where a doubtful update is tried */
  struct update_health *chunk_health;
  int64_t chunks;
  struct watch watch;
  void *before; /* the parameters before a step that takes statistics; NULL: none ever does */
  struct changed *chunk_changed;
  pynn_statistics *statistics; /* per layer */
};

/* Takes the memory that a guard's policy, statistics and averages need, then releases what they do not. If memory runs
 * out, keeps what the current guard needs. */
pynn_status trainer_memory(pynn_trainer *trainer, const pynn_guard *guard);

/* Measures the largest magnitudes of the parameters and the optimizer's state, after someone else wrote them. Returns
 * whether they are finite. */
int trainer_measure(pynn_trainer *trainer);

/* The learning rate of the next step. */
double trainer_rate(const pynn_trainer *trainer);

#endif
