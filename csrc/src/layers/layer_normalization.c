/* Layer normalization (Ba, Kiros, Hinton 2016): Y = gamma x^ + beta with x^ = (X - mean) / sqrt(variance + epsilon),
 * mean and (biased) variance of each row. */
#include "graph/layer.h"

enum { GAMMA, BETA };            /* tensors */
enum { EPSILON, CENTER, SCALE }; /* numbers */

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  (void)error;
  const double *p = layer->spec.values;
  if (p[SCALE] != 0) layer_owns(layout, layer, GAMMA, "gamma", 1, layer->units, SLOTS_OF_ONES);
  if (p[CENTER] != 0) layer_owns(layout, layer, BETA, "beta", 1, layer->units, SLOTS_OF_ZEROS);
  return PYNN_OK;
}

static struct needs needs(const struct layer *layer, int64_t rows, int keeps) {
  (void)keeps;
  return (struct needs){.doubles = 2 * rows, .tiles = divide_up(layer->units, COLUMN_TILE)};
}

static double *moments(const struct job *job) { return job->w->doubles[job->index]; } /* two numbers a row */

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const void *gamma = layer_tensor(job, GAMMA), *beta = layer_tensor(job, BETA);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    kernels->layer_norm((size_t)t.columns, at(kernels, job->x, i * job->ldx),
                        at(kernels, job_values(job), i * t.columns), gamma, beta, job->layer->spec.values[EPSILON],
                        moments(job) + 2 * i);
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  job_rows(job, 10, forward_tile);
  job_valued(job);
}

static void gradient_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  void *dgamma = job_gradient_of(job, GAMMA, t.column), *dbeta = job_gradient_of(job, BETA, t.column);
  kernels->layer_norm_gradient((size_t)t.rows, (size_t)t.columns, at(kernels, job->x, t.column), (size_t)job->ldx,
                               at(kernels, job->dY, t.column), (size_t)job->layer->units, moments(job), dgamma, dbeta);
  job_gradient_pair(job, index, dgamma, dbeta, (size_t)t.columns);
}

static void dX_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  for (int64_t i = t.row; i < t.row + t.rows; i++)
    kernels->layer_norm_delta((size_t)t.columns, at(kernels, job->x, i * job->ldx), at(kernels, job->dY, i * t.columns),
                              layer_tensor(job, GAMMA), moments(job) + 2 * i);
}

static void backward(struct job *job) {
  if (job->layer->n_parameters) {
    job_columns(job, 8, gradient_tile);
    job_gradients(job, job->tiling.across);
  }
  if (!job->dX) return;
  job_rows(job, 12, dX_tile);
  job_dX_in_place(job);
}

const struct layer_kind layer_layer_normalization = {
    .row = {.name = "layer_normalization",
            .aliases = "",
            .n_fields = 3,
            .fields = {[EPSILON] = {"epsilon", 1e-3, 1e-30, 1e30, 0},
                       [CENTER] = {"center", 1, 0, 1, PYNN_FIELD_BOOLEAN},
                       [SCALE] = {"scale", 1, 0, 1, PYNN_FIELD_BOOLEAN}}},
    .shape = shape,
    .needs = needs,
    .forward = forward,
    .backward = backward,
};
