/* Where a recurrent layer has its numbers: packed kernels, and the matrices of each timestep of a tile of rows. */
#ifndef PYNN_RECURRENT_MEMORY_H
#define PYNN_RECURRENT_MEMORY_H

#include "layers/recurrent.h"

/* The kernels that are packed, by what multiplies them. */
enum packed { PACKED_INPUT, PACKED_RECURRENT, PACKED_BACK, PACKED_DX, PACKED };

struct memory {
  const struct cell_layout *layout;
  int64_t timesteps, features, units, capacity, tile, chunk; /* rows of a tile; timesteps whose inputs are multiplied
                                                                at once */
  int directions, keeps;
  int64_t packed[PACKED][2]; /* offsets in w->reals, of a direction */
  int64_t direction;         /* reals of a direction that are packed */
  int64_t sums;              /* offset: column sums of dZ, of a direction each */
  int64_t scratch, of_tile;  /* offset, and size for one tile (and direction, when nothing is kept) */
  int64_t z, x, h, c, kept;  /* offsets in w->z, of a direction; its size for all rows */
  int64_t reals;             /* in w->reals */
};

/* A tile of rows on its way through time, in one direction. Timestep t is the t-th that is visited. */
struct through {
  struct job *job;
  struct memory m;
  int direction;
  int64_t first, rows;
  char *kept, *scratch; /* of the direction; of the tile */
  void *dh, *dc, *dq;
};

static inline int job_keeps(const struct job *job) { return job->w->z[job->index] != job->w->y[job->index]; }

struct memory memory_of(const struct layer *layer, int64_t capacity, int keeps);
void memory_pack(struct job *job, const struct memory *memory);
void memory_pack_back(struct job *job, const struct memory *memory);
struct through through_of(struct job *job, int64_t tile, int direction);
/* Matrices of timestep t: Z, X, the states before it. Without a backward pass few are held at a time. */
void *through_z(const struct through *through, int64_t t);
void *through_x(const struct through *through, int64_t t);
void *through_h(const struct through *through, int64_t t);
void *through_c(const struct through *through, int64_t t);
const void *packed_at(const struct through *through, enum packed which, int block);

/* The timestep of X that is visited as t-th, and the column of the layer's values that has h after it. */
static inline int64_t through_time(const struct through *p, int64_t t) {
  const int backwards = (p->job->layer->spec.values[GO_BACKWARDS] != 0) != (p->direction == 1);
  return backwards ? p->m.timesteps - 1 - t : t;
}
/* The column of w->skips for it. */
static inline int64_t through_skip(const struct through *p, int64_t t) {
  const int64_t time = through_time(p, t);
  return p->job->layer->reversed ? p->m.timesteps - 1 - time : time;
}
static inline int64_t through_place(const struct through *p, int64_t t) {
  const int64_t place = p->direction ? p->m.timesteps - 1 - t : t;
  return (place * p->m.directions + p->direction) * p->m.units;
}

double recurrent_work(const struct memory *memory, int64_t rows);
/* The gradient of all kernels and biases, from dZ. */
void recurrent_gradient(struct job *job);

#endif
