/* Activation: Y = f(X), an activation on its own. */
#include "graph/custom.h"
#include "graph/layer.h"

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct layer *layer = job->layer;
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    layer->activation->forward((size_t)t.columns, at(kernels, job->x, i * job->ldx),
                               at(kernels, job_values(job), i * t.columns),
                               layer_choice(layer, PYNN_SLOT_ACTIVATION)->values);
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  /* Z is X itself. Only a first layer can have rows that are not contiguous; nothing needs dL/dX there. */
  job->w->z[job->index] = job->ldx == job->layer->units ? (void *)(uintptr_t)job->x : NULL;
  if (has_custom(job->layer)) {
    job->w->sums[job->index].activation_max = job_custom_values(job);
    if (job->w->observes) job_observed(job);
    return;
  }
  job_rows(job, 30, forward_tile);
  job_valued(job);
}

static void backward(struct job *job) {
  if (!job->differentiated) job_differentiate(job);
  job->dX = job->dY;
}

const struct layer_kind layer_activation = {
    .row = {.name = "activation", .aliases = ""},
    .slots = 1u << PYNN_SLOT_ACTIVATION,
    .forward = forward,
    .backward = backward,
    .differentiate = differentiate,
};
