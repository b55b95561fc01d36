/* Masking: a timestep whose features all have one value is padding from here on: recurrent layers pass over it, pooling
 * leaves it out. Its numbers become 0. */
#include "graph/layer.h"

#include <float.h>
#include <string.h>

enum { MASK_VALUE }; /* numbers */

static int is_padding(const struct job *job, const void *x) {
  const struct kernels *kernels = job_kernels(job);
  double part[PART], value;
  char in_dtype[sizeof(double)];
  kernels->from_double(1, &job->layer->spec.values[MASK_VALUE], in_dtype);
  kernels->to_double(1, in_dtype, &value);
  for (int64_t from = 0; from < job->layer->in.features; from += PART) {
    const int64_t n = least(PART, job->layer->in.features - from);
    kernels->to_double((size_t)n, at(kernels, x, from), part);
    for (int64_t j = 0; j < n; j++)
      if (part[j] != value) return 0;
  }
  return 1;
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const int64_t steps = job->layer->in.timesteps, features = job->layer->in.features;
  const size_t bytes = (size_t)features * kernels->size;
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t step = 0; step < steps; step++) {
      const void *x = at(kernels, job->x, i * job->ldx + step * features);
      unsigned char *skips = job->w->skips + i * steps + (job->layer->reversed ? steps - 1 - step : step);
      void *y = at(kernels, job_values(job), i * t.columns + step * features);
      *skips |= (unsigned char)is_padding(job, x);
      if (*skips) memset(y, 0, bytes);
      else memcpy(y, x, bytes);
    }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  pynn_workspace *w = job->w;
  if (!w->masked) memset(w->skips, 0, (size_t)(job->rows * job->layer->in.timesteps));
  w->masked = 1;
  job_rows(job, 4, forward_tile);
  job_valued(job);
}

static void backward(struct job *job) {
  const struct kernels *kernels = job_kernels(job);
  const int64_t features = job->layer->in.features;
  for (int64_t i = 0; i < job->rows; i++)
    for (int64_t step = 0; step < job->layer->in.timesteps; step++)
      if (job_skips(job, i, step))
        memset(at(kernels, job->dY, i * job->layer->units + step * features), 0, (size_t)features * kernels->size);
  job->dX = job->dY;
}

const struct layer_kind layer_masking = {
    .row = {.name = "masking",
            .aliases = "",
            .n_fields = 1,
            .fields = {[MASK_VALUE] = {"mask_value", 0, -DBL_MAX, DBL_MAX, 0}},
            .flags = PYNN_LAYER_TIMESTEPS},
    .forward = forward,
    .backward = backward,
};
