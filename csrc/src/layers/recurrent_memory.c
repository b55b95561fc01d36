/* Where a recurrent layer has its numbers, and the gradients of its kernels from them. */
#include "layers/recurrent_memory.h"

#include <string.h>

const struct cell_layout cell_layouts[] = {
    [CELL_SIMPLE] =
        {CELL_SIMPLE, 1, 1, 0, 0, 1, 1, 1, {{0, 1, 0, 0, 0}}, {{0, 1, 0, 1, OF_STATE}}, {{0, 1, 0, 0, OF_STATE}}},
    [CELL_LSTM] =
        {CELL_LSTM, 4, 4, 1, 0, 1, 1, 1, {{0, 4, 0, 0, 0}}, {{0, 4, 0, 1, OF_STATE}}, {{0, 4, 0, 0, OF_STATE}}},
    [CELL_GRU] = {CELL_GRU,
                  3,
                  4,
                  0,
                  1,
                  2,
                  2,
                  1,
                  {{0, 2, 1, 0, 0}, {2, 1, 0, 0, 0}},
                  {{0, 2, 1, 1, OF_STATE}, {2, 1, 3, 0, OF_STATE}},
                  {{0, 3, 1, 0, OF_STATE}}},
    [CELL_GRU_BEFORE] = {CELL_GRU_BEFORE,
                         3,
                         4,
                         0,
                         0,
                         2,
                         2,
                         2,
                         {{0, 2, 1, 0, 0}, {2, 1, 0, 0, 0}},
                         {{0, 2, 1, 1, OF_STATE}, {2, 1, 0, 1, 3}},
                         {{2, 1, 0, 0, 3}, {0, 2, 1, 0, OF_STATE}}},
};

enum {
  FEW_ROWS = 16, /* rows of a tile */
  MORE_ROWS = 32,
  LARGE = 1 << 16,        /* numbers of a recurrent kernel that is worth being read by more rows at a time */
  CHUNK_NUMBERS = 1 << 15 /* of Z and X that are written and read again while they are in the cache */
};

static int64_t packed_size(int64_t n, int64_t k) { return (n + GEMM_STEP) * k; }

static void place_packed(struct memory *m) {
  const struct cell_layout *c = m->layout;
  const int64_t h = m->units, f = m->features;
  int64_t offset = 0;
  for (int b = 0; b < 2; b++) {
    m->packed[PACKED_INPUT][b] = offset, offset += packed_size(c->input[b].gates * h, f);
    m->packed[PACKED_RECURRENT][b] = offset, offset += packed_size(c->recurrent[b].gates * h, h);
    if (!m->keeps) continue;
    m->packed[PACKED_BACK][b] = offset, offset += packed_size(h, c->back[b].gates * h);
    m->packed[PACKED_DX][b] = offset, offset += packed_size(f, c->input[b].gates * h);
  }
  m->direction = divide_up(offset, GEMM_STEP) * GEMM_STEP;
}

struct memory memory_of(const struct layer *layer, int64_t capacity, int keeps) {
  const struct cell_layout *c = &cell_layouts[layer->cell];
  struct memory m = {.layout = c,
                     .timesteps = layer->in.timesteps,
                     .features = layer->in.features,
                     .units = (int64_t)layer->spec.values[UNITS],
                     .capacity = capacity,
                     .directions = layer->spec.values[BIDIRECTIONAL] != 0 ? 2 : 1,
                     .keeps = keeps};
  const int64_t of_z = c->width * m.units, all = capacity * m.timesteps;
  m.tile = c->gates * m.units * m.units > LARGE ? MORE_ROWS : FEW_ROWS;
  m.chunk = most(1, least(m.timesteps, CHUNK_NUMBERS / (m.tile * (of_z + m.features))));
  place_packed(&m);
  m.sums = m.directions * m.direction;
  m.scratch = m.sums + m.directions * of_z;
  m.of_tile = m.tile * (keeps ? 3 * m.units : m.chunk * (of_z + m.features) + 4 * m.units);
  m.x = m.z + all * of_z;
  m.h = m.x + all * m.features;
  m.c = m.h + (all + capacity) * m.units;
  m.kept = m.c + c->has_c * (all + capacity) * m.units;
  m.reals = m.scratch + divide_up(capacity, m.tile) * m.of_tile * (keeps ? 1 : m.directions);
  return m;
}

struct needs recurrent_needs(const struct layer *layer, int64_t rows, int keeps) {
  const struct memory m = memory_of(layer, rows, keeps);
  const int64_t tiles = most(divide_up(rows, m.tile), DIRECTION_TENSORS) * m.directions;
  return (struct needs){.values = m.kept / rows * m.directions, .reals = m.reals, .tiles = tiles};
}

double recurrent_work(const struct memory *m, int64_t rows) {
  const double gates = (double)(m->layout->gates * m->units);
  return (double)(rows * m->timesteps * m->directions) * gates * (2.0 * (double)(m->features + m->units) + 30.0);
}

/* ---- packed kernels */

static void *packed_in(const struct job *job, const struct memory *m, int direction, enum packed which, int b) {
  return at(job_kernels(job), job->w->reals[job->index], direction * m->direction + m->packed[which][b]);
}

const void *packed_at(const struct through *p, enum packed which, int b) {
  return packed_in(p->job, &p->m, p->direction, which, b);
}

static void pack_blocks(struct job *job, const struct memory *m, int d, enum packed which, int role,
                        const struct block *blocks, int n) {
  const struct kernels *kernels = job_kernels(job);
  const int64_t h = m->units, ld = m->layout->gates * h, rows = role == KERNEL ? m->features : h;
  const void *kernel = layer_tensor(job, d * DIRECTION_TENSORS + role);
  const int transposed = which == PACKED_BACK || which == PACKED_DX;
  for (int b = 0; b < n; b++) {
    const int64_t columns = blocks[b].gates * h;
    kernels->pack((size_t)(transposed ? rows : columns), (size_t)(transposed ? columns : rows),
                  at(kernels, kernel, blocks[b].from * h), (size_t)ld, transposed, packed_in(job, m, d, which, b));
  }
}

void memory_pack(struct job *job, const struct memory *m) {
  for (int d = 0; d < m->directions; d++) {
    pack_blocks(job, m, d, PACKED_INPUT, KERNEL, m->layout->input, m->layout->n_input);
    pack_blocks(job, m, d, PACKED_RECURRENT, RECURRENT, m->layout->recurrent, m->layout->n_recurrent);
  }
}

void memory_pack_back(struct job *job, const struct memory *m) {
  for (int d = 0; d < m->directions; d++) {
    pack_blocks(job, m, d, PACKED_BACK, RECURRENT, m->layout->back, m->layout->n_back);
    if (job->dX) pack_blocks(job, m, d, PACKED_DX, KERNEL, m->layout->input, m->layout->n_input);
  }
}

/* ---- a tile */

struct through through_of(struct job *job, int64_t tile, int direction) {
  const struct kernels *kernels = job_kernels(job);
  struct through p = {.job = job, .direction = direction};
  p.m = memory_of(job->layer, job->w->capacity, job_keeps(job));
  p.first = tile * p.m.tile;
  p.rows = least(p.m.tile, job->rows - p.first);
  const int64_t at_tile = p.m.scratch + (p.m.keeps ? tile : tile * p.m.directions + direction) * p.m.of_tile;
  p.scratch = at(kernels, job->w->reals[job->index], at_tile);
  p.kept = p.m.keeps ? at(kernels, job->w->z[job->index], direction * p.m.kept) : NULL;
  p.dh = p.scratch;
  p.dc = at(kernels, p.scratch, p.m.tile * p.m.units);
  p.dq = at(kernels, p.scratch, 2 * p.m.tile * p.m.units);
  return p;
}

/* A matrix of `columns` of timestep t: kept for all of them, or one of `slots` that take turns. */
static void *matrix(const struct through *p, int64_t kept, int64_t steps, int64_t scratch, int64_t slots, int64_t t,
                    int64_t columns) {
  const struct kernels *kernels = job_kernels(p->job);
  if (p->m.keeps) return at(kernels, p->kept, kept + (p->first * steps + t * p->rows) * columns);
  return at(kernels, p->scratch, scratch + t % slots * p->m.tile * columns);
}

/* The slots of a chunk are contiguous, as chunks begin at multiples of their length; those of a tile that is not full
 * would not be: it has as many rows as a tile, in memory. */
static void *chunked(const struct through *p, int64_t kept, int64_t scratch, int64_t t, int64_t columns) {
  const struct kernels *kernels = job_kernels(p->job);
  if (p->m.keeps) return at(kernels, p->kept, kept + (p->first * p->m.timesteps + t * p->rows) * columns);
  return at(kernels, p->scratch, scratch + t % p->m.chunk * p->rows * columns);
}

void *through_z(const struct through *p, int64_t t) {
  return chunked(p, p->m.z, 0, t, p->m.layout->width * p->m.units);
}
void *through_x(const struct through *p, int64_t t) {
  return chunked(p, p->m.x, p->m.tile * p->m.chunk * p->m.layout->width * p->m.units, t, p->m.features);
}

/* The last h lies behind those that dU is made of: its product reads one for each timestep. */
void *through_h(const struct through *p, int64_t t) {
  const struct kernels *kernels = job_kernels(p->job);
  if (p->m.keeps && t == p->m.timesteps)
    return at(kernels, p->kept, p->m.h + (p->m.capacity * t + p->first) * p->m.units);
  const int64_t scratch = p->m.tile * p->m.chunk * (p->m.layout->width * p->m.units + p->m.features);
  return matrix(p, p->m.h, p->m.timesteps, scratch, 2, t, p->m.units);
}
void *through_c(const struct through *p, int64_t t) {
  if (!p->m.layout->has_c) return NULL;
  const int64_t scratch = p->m.tile * (p->m.chunk * (p->m.layout->width * p->m.units + p->m.features) + 2 * p->m.units);
  return matrix(p, p->m.c, p->m.timesteps + 1, scratch, 2, t, p->m.units);
}
