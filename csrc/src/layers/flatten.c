/* Flatten: the timesteps of a row as the features of one; those that are padding are 0. */
#include "graph/layer.h"

#include <string.h>

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  (void)layout, (void)error;
  layer->out = (pynn_shape){1, layer->inputs};
  return PYNN_OK;
}

static int64_t needs_all(const struct layer *layer) { return (void)layer, -1; }

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const size_t bytes = (size_t)job->layer->in.features * kernels->size;
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    for (int64_t step = 0; step < job->layer->in.timesteps; step++) {
      const int64_t from = step * job->layer->in.features;
      void *to = at(kernels, job_values(job), i * t.columns + from);
      if (job_skips(job, i, step)) memset(to, 0, bytes);
      else memcpy(to, at(kernels, job->x, i * job->ldx + from), bytes);
    }
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 1, forward_tile);
  job_valued(job);
}

static void backward(struct job *job) { job->dX = job->dY; }

const struct layer_kind layer_flatten = {
    .row = {.name = "flatten", .aliases = "", .flags = PYNN_LAYER_TIMESTEPS},
    .shape = shape,
    .streams = needs_all,
    .forward = forward,
    .backward = backward,
};
