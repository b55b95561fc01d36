/* A trainer inside: its state, and the memory of it. */
#ifndef PYNN_STATE_H
#define PYNN_STATE_H

#include "train/average.h"
#include "train/watch.h"

enum { CHUNK = 8192 }; /* parameters of one tile of the update */

enum { SHARD_LEVELS = 13 }; /* of the tree over at most PYNN_MAX_SHARDS shards */

/* The sums over a part of the gradient. */
struct chunk_sums {
  double squares, largest;
  struct observed observed;
};

/* What a step that is the sum of several shards needs (train/shards.c). */
struct shards {
  pynn_shards options;           /* `shards` 0: none */
  void *gradients[SHARD_LEVELS]; /* sums of subtrees; the first is the trainer's gradient */
  double *tallies;               /* what else is summed: one for each level, then one for each process */
  int64_t tally;                 /* numbers of one */
  void *received;                /* this process's part of everybody's gradient */
  unsigned char *alive;          /* everybody's units */
  struct chunk_sums *chunks;
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
  struct shards shards;
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
  pynn_series series;          /* in the caller's memory; capacity 0: none */
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
