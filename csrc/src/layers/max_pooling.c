/* GlobalMaxPooling1D: the largest number over timesteps of each feature, 0 for a row that is all padding. dL/dX goes to
 * the first timestep that has it. */
#include "layers/pooling.h"

#include <math.h>
#include <string.h>

/* The largest of n <= PART columns from `column` on, and the timestep that has it first; -1: none. NaN is the largest.
 */
static void largest_of(const struct job *job, int64_t i, int64_t column, int64_t n, double *best, int64_t *where) {
  const struct kernels *kernels = job_kernels(job);
  double part[PART];
  for (int64_t j = 0; j < n; j++) best[j] = 0, where[j] = -1;
  for (int64_t step = 0; step < job->layer->in.timesteps; step++) {
    if (job_skips(job, i, step)) continue;
    kernels->to_double((size_t)n, at(kernels, job->x, i * job->ldx + step * job->layer->in.features + column), part);
    for (int64_t j = 0; j < n; j++)
      if (where[j] < 0 || part[j] > best[j] || (isnan(part[j]) && !isnan(best[j]))) best[j] = part[j], where[j] = step;
  }
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  double best[PART];
  int64_t where[PART];
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from);
      largest_of(job, i, from, n, best, where);
      kernels->from_double((size_t)n, best, at(kernels, job_values(job), i * t.columns + from));
    }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 4 * (double)job->layer->in.timesteps, forward_tile);
  job_valued(job);
}

static void backward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const int64_t inputs = job->layer->inputs;
  double best[PART];
  int64_t where[PART];
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    memset(at(kernels, job->dX, i * inputs), 0, (size_t)inputs * kernels->size);
    for (int64_t from = 0; from < t.columns; from += PART) {
      const int64_t n = least(PART, t.columns - from);
      largest_of(job, i, from, n, best, where);
      for (int64_t j = 0; j < n; j++)
        if (where[j] >= 0)
          memcpy(at(kernels, job->dX, i * inputs + where[j] * t.columns + from + j),
                 at(kernels, job->dY, i * t.columns + from + j), kernels->size);
    }
  }
}

static void backward(struct job *job) {
  if (job->dX) job_rows(job, 4 * (double)job->layer->in.timesteps, backward_tile);
}

const struct layer_kind layer_max_pooling = {
    .row = {.name = "global_max_pooling_1d", .aliases = "", .flags = PYNN_LAYER_TIMESTEPS},
    .shape = pooling_shape,
    .streams = pooling_streams,
    .forward = forward,
    .backward = backward,
};
