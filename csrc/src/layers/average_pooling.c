/* GlobalAveragePooling1D: the mean over timesteps of each feature, 0 for a row that is all padding. */
#include "layers/pooling.h"

#include <string.h>

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    void *y = at(kernels, job_values(job), i * t.columns);
    memset(y, 0, (size_t)t.columns * kernels->size);
    for (int64_t step = 0; step < job->layer->in.timesteps; step++)
      if (!job_skips(job, i, step))
        kernels->add((size_t)t.columns, at(kernels, job->x, i * job->ldx + step * t.columns), y, y);
    kernels->scale((size_t)t.columns, y, 1 / (double)most(1, pooling_steps(job, i)));
  }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 2 * (double)job->layer->in.timesteps, forward_tile);
  job_valued(job);
}

static void backward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const size_t bytes = (size_t)t.columns * kernels->size;
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    void *dY = at(kernels, job->dY, i * t.columns);
    kernels->scale((size_t)t.columns, dY, 1 / (double)most(1, pooling_steps(job, i)));
    for (int64_t step = 0; step < job->layer->in.timesteps; step++) {
      void *dX = at(kernels, job->dX, i * job->layer->inputs + step * t.columns);
      if (job_skips(job, i, step)) memset(dX, 0, bytes);
      else memcpy(dX, dY, bytes);
    }
  }
}

static void backward(struct job *job) {
  if (job->dX) job_rows(job, (double)job->layer->in.timesteps, backward_tile);
}

const struct layer_kind layer_average_pooling = {
    .row = {.name = "global_average_pooling_1d", .aliases = "", .flags = PYNN_LAYER_TIMESTEPS},
    .shape = pooling_shape,
    .streams = pooling_streams,
    .forward = forward,
    .backward = backward,
};
