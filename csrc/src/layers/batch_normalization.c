/* Batch normalization (Ioffe, Szegedy 2015), with Keras's numbers:
 *
 *   in training    x^ = (X - mean) / sqrt(variance + epsilon), mean and (biased) variance of the batch's columns
 *                  moving <- momentum moving + (1 - momentum) of the batch, once the step is applied
 *   in prediction  x^ = (X - moving_mean) / sqrt(moving_variance + epsilon)
 *   Y = gamma x^ + beta
 *
 * A batch of one row has x^ = 0 and no variance: the moving variance stays as it is.
 * A frozen layer trains as it predicts: dX = dY gamma / sqrt(moving_variance + epsilon). */
#include "graph/layer.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE }; /* tensors */
enum { MOMENTUM, EPSILON, CENTER, SCALE };          /* numbers */

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  (void)error;
  const double *p = layer->spec.values;
  if (p[SCALE] != 0) layer_owns(layout, layer, GAMMA, "gamma", 1, layer->units, SLOTS_OF_ONES);
  if (p[CENTER] != 0) layer_owns(layout, layer, BETA, "beta", 1, layer->units, SLOTS_OF_ZEROS);
  layer_owns_state(layout, layer, MOVING_MEAN, "moving_mean", layer->units, 0);
  layer_owns_state(layout, layer, MOVING_VARIANCE, "moving_variance", layer->units, 1);
  return PYNN_OK;
}

static struct needs needs(const struct layer *layer, int64_t rows, int keeps) {
  (void)keeps;
  (void)rows;
  return (struct needs){.doubles = 2 * layer->units, .tiles = divide_up(layer->units, COLUMN_TILE)};
}

static double *means(const struct job *job) { return job->w->doubles[job->index]; }
static double *inverses(const struct job *job) { return job->w->doubles[job->index] + job->layer->units; }

/* 1 / sqrt(variance + epsilon); NaN, which refuses the step, for a variance beyond the range of double. */
static double inverse(const struct job *job, double variance) {
  return variance <= DBL_MAX ? 1 / sqrt(variance + job->layer->spec.values[EPSILON]) : (double)NAN;
}

/* Moments are finite, variances not negative. */
static int64_t odd_state(const pynn_model *model, const struct layer *layer, double *value) {
  const double *mean = model->state + layer->tensor[MOVING_MEAN];
  const double *variance = model->state + layer->tensor[MOVING_VARIANCE];
  int odd = 0;
  for (int64_t j = 0; j < layer->units; j++)
    odd |= !(fabs(mean[j]) <= DBL_MAX) | !(variance[j] >= 0) | !(variance[j] <= DBL_MAX);
  for (int64_t j = 0; odd && j < layer->units; j++) {
    const int well = fabs(mean[j]) <= DBL_MAX;
    *value = well ? variance[j] : mean[j];
    if (!well || !(*value >= 0 && *value <= DBL_MAX)) return j;
  }
  return -1;
}

static void apply(const struct job *job, const struct tile *t, const double *mean) {
  const struct kernels *kernels = job_kernels(job);
  const void *gamma = layer_tensor(job, GAMMA), *beta = layer_tensor(job, BETA);
  kernels->affine((size_t)t->rows, (size_t)t->columns, at(kernels, job->x, t->row * job->ldx + t->column),
                  (size_t)job->ldx, at(kernels, job_values(job), t->row * job->layer->units + t->column),
                  (size_t)job->layer->units, mean + t->column, inverses(job) + t->column,
                  gamma ? at(kernels, gamma, t->column) : NULL, beta ? at(kernels, beta, t->column) : NULL);
}

static void training_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  const double momentum = job->layer->spec.values[MOMENTUM];
  double *moving_mean = layer_proposal(job, MOVING_MEAN), *moving_variance = layer_proposal(job, MOVING_VARIANCE);
  double *mean = means(job) + t.column, *scale = inverses(job) + t.column;
  job_kernels(job)->column_moments((size_t)t.rows, (size_t)t.columns, at(job_kernels(job), job->x, t.column),
                                   (size_t)job->ldx, mean, scale);
  for (int64_t j = 0; j < t.columns; j++) {
    moving_mean[t.column + j] += (1 - momentum) * (mean[j] - moving_mean[t.column + j]);
    if (t.rows > 1) moving_variance[t.column + j] += (1 - momentum) * (scale[j] - moving_variance[t.column + j]);
    scale[j] = inverse(job, scale[j]);
  }
  apply(job, &t, means(job));
  job_value_tile(job, index, &t);
}

static void prediction_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  apply(job, &t, layer_state(job, MOVING_MEAN));
  job_value_tile(job, index, &t);
}

static void forward(struct job *job) {
  if (job->training && !job->layer->frozen) {
    job_columns(job, 8, training_tile);
  } else {
    const double *variance = layer_state(job, MOVING_VARIANCE);
    for (int64_t j = 0; j < job->layer->units; j++) inverses(job)[j] = inverse(job, variance[j]);
    job_rows(job, 4, prediction_tile);
  }
  job_valued(job);
}

static void backward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const void *gamma = layer_tensor(job, GAMMA);
  void *dgamma = job_gradient_of(job, GAMMA, t.column), *dbeta = job_gradient_of(job, BETA, t.column);
  kernels->batch_norm_gradient((size_t)t.rows, (size_t)t.columns, at(kernels, job->x, t.column), (size_t)job->ldx,
                               at(kernels, job->dY, t.column), (size_t)job->layer->units, means(job) + t.column,
                               inverses(job) + t.column, gamma ? at(kernels, gamma, t.column) : NULL, dgamma, dbeta,
                               job->dX != NULL);
  job_gradient_pair(job, index, dgamma, dbeta, (size_t)t.columns);
}

/* dX of a frozen layer, in place of dY. */
static void frozen_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const size_t ld = (size_t)job->layer->units;
  void *delta = at(kernels, job->dY, t.row * job->layer->units + t.column);
  kernels->affine((size_t)t.rows, (size_t)t.columns, delta, ld, delta, ld, means(job) + t.column,
                  inverses(job) + t.column, layer_tensor(job, GAMMA), NULL);
}

static void backward(struct job *job) {
  if (job->layer->frozen) {
    memset(means(job), 0, (size_t)job->layer->units * sizeof(double)); /* nothing is subtracted from dY */
    job_rows(job, 4, frozen_tile);
    job_dX_in_place(job);
    return;
  }
  job_columns(job, 12, backward_tile);
  job_gradients(job, job->tiling.across);
  if (job->dX) job_dX_in_place(job);
}

const struct layer_kind layer_batch_normalization = {
    .row = {.name = "batch_normalization",
            .aliases = "",
            .n_fields = 4,
            .fields = {[MOMENTUM] = {"momentum", 0.99, 0, 1, PYNN_FIELD_OPEN_MAXIMUM},
                       [EPSILON] = {"epsilon", 1e-3, 1e-30, 1e30, 0},
                       [CENTER] = {"center", 1, 0, 1, PYNN_FIELD_BOOLEAN},
                       [SCALE] = {"scale", 1, 0, 1, PYNN_FIELD_BOOLEAN}},
            .flags = PYNN_LAYER_UPDATES_STATE},
    .shape = shape,
    .odd_state = odd_state,
    .needs = needs,
    .forward = forward,
    .backward = backward,
};
