/* What the jobs of all kinds of layers share. */
#include "graph/job.h"

#include "graph/custom.h"
#include "graph/layer.h"

#include <math.h>
#include <string.h>

enum { FAILED = -1 }; /* in place of a tile's largest magnitude: a custom function failed */

void job_run(struct job *job, double work, void (*tile)(void *job, int64_t index)) {
  parallel_for(job->w->model->context, tiles_in(&job->tiling), work * (double)(job->tiling.m * job->tiling.n), tile,
               job);
}

void job_rows(struct job *job, double work, void (*tile)(void *job, int64_t index)) {
  job->tiling = tiling_of(job->rows, job->layer->units, LOSS_ROWS, job->layer->units);
  job_run(job, work, tile);
}

void job_columns(struct job *job, double work, void (*tile)(void *job, int64_t index)) {
  job->tiling = tiling_of(job->rows, job->layer->units, job->rows, COLUMN_TILE);
  job_run(job, work, tile);
}

double job_largest(const struct job *job, int64_t tiles) {
  double largest = 0;
  for (int64_t i = 0; i < tiles; i++) largest = larger(largest, job->w->tile_max[i]);
  return largest;
}

/* ---- activations: row-wise or elementwise, over a tile of a matrix whose rows are `units` long */

void job_activate(const struct job *job, const struct tile *t) {
  const struct kernels *kernels = job_kernels(job);
  const struct layer *layer = job->layer;
  const struct activation *f = layer->activation;
  const double *p = layer_choice(layer, PYNN_SLOT_ACTIVATION)->values;
  const void *z = job->w->z[job->index];
  void *y = job_values(job);
  if (t->columns == layer->units && !rowwise(layer)) {
    int64_t from = t->row * layer->units;
    f->forward((size_t)(t->rows * t->columns), at(kernels, z, from), at(kernels, y, from), p);
    return;
  }
  for (int64_t i = t->row; i < t->row + t->rows; i++) {
    int64_t from = i * layer->units + t->column;
    f->forward((size_t)t->columns, at(kernels, z, from), at(kernels, y, from), p);
  }
}

double differentiate(const pynn_workspace *w, int32_t index, const struct tile *t, void *dY) {
  const struct kernels *kernels = w->model->kernels;
  const struct layer *layer = &w->model->layers[index];
  const struct activation *f = layer->activation;
  const double *p = layer_choice(layer, PYNN_SLOT_ACTIVATION)->values;
  const int whole = t->columns == layer->units && !rowwise(layer);
  const int64_t steps = rowwise(layer) ? layer->out.timesteps : 1; /* each a row of the activation */
  const int64_t calls = whole ? 1 : t->rows * steps, n = whole ? t->rows * t->columns : t->columns / steps;
  double largest = 0;
  for (int64_t i = 0; i < calls; i++) {
    int64_t from = t->row * layer->units + i * (layer->units / steps) + t->column;
    f->backward((size_t)n, at(kernels, w->z[index], from), at(kernels, w->y[index], from), at(kernels, dY, from), p);
    largest = larger(largest, kernels->largest((size_t)n, at(kernels, dY, from)));
  }
  return largest;
}

static void differentiate_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  job->w->tile_max[index] = differentiate(job->w, job->index, &t, job->dY);
}

static double custom_dZ(struct job *job);

/* dL/dZ from dL/dY where no product came before it to do it tile by tile. */
void job_differentiate(struct job *job) {
  double *delta_max = &job->w->sums[job->index].delta_max;
  if (has_custom(job->layer)) {
    *delta_max = custom_dZ(job);
    return;
  }
  job_rows(job, 10, differentiate_tile);
  *delta_max = job_largest(job, job->tiling.down);
}

int job_fuses(const struct job *job) {
  const struct layer *below = job->layer - 1;
  return job->index > 0 && !job->layer->begins && below->kind->differentiate && !rowwise(below);
}

/* ---- custom activations: tiles of whole rows */

static void custom_value_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job_kernels(job);
  const struct layer *layer = job->layer;
  const struct tile t = tile_at(&job->tiling, index);
  const void *z = job->w->z[job->index];
  const int64_t ld = z ? layer->units : job->ldx, calls = z ? 1 : t.rows, n = t.rows / calls * layer->units;
  if (!z) z = job->x; /* whose rows are apart */
  int failed = 0;
  for (int64_t i = t.row; i < t.row + calls && !failed; i++)
    failed = custom_value(job->w->model, &layer->custom, n, at(kernels, z, i * ld),
                          at(kernels, job_values(job), i * layer->units));
  job_value_tile(job, index, &t);
  if (failed) job->w->tile_max[index] = FAILED;
}

static void custom_derivative_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const pynn_workspace *w = job->w;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const int64_t from = t.row * job->layer->units, n = t.rows * job->layer->units;
  void *delta = at(kernels, job->dY, from);
  const int failed = custom_derivative(w->model, &job->layer->custom, n, at(kernels, w->z[job->index], from),
                                       at(kernels, w->y[job->index], from), delta);
  w->tile_max[index] = failed ? FAILED : kernels->largest((size_t)n, delta);
}

/* Runs the tiles, of a part of the batch or of all of it, and returns the largest magnitude that they left. */
static double custom_run(struct job *job, void (*tile)(void *job, int64_t index)) {
  pynn_workspace *w = job->w;
  const int serial = (job->layer->custom.flags & PYNN_CUSTOM_SERIAL) != 0;
  job->tiling = tiling_of(job->rows, job->layer->units, serial ? job->rows : LOSS_ROWS, job->layer->units);
  job_run(job, 30, tile);
  for (int64_t i = 0; i < tiles_in(&job->tiling); i++) w->failed |= w->tile_max[i] == FAILED;
  return w->failed ? (double)NAN : job_largest(job, tiles_in(&job->tiling));
}

/* A pass in which a function failed calls no other. */
static double custom_skip(const struct job *job, void *values) {
  memset(values, 0xFF, (size_t)(job->rows * job->layer->units) * job_kernels(job)->size);
  return (double)NAN;
}

double job_custom_values(struct job *job) {
  return job->w->failed ? custom_skip(job, job_values(job)) : custom_run(job, custom_value_tile);
}

static double custom_dZ(struct job *job) {
  return job->w->failed ? custom_skip(job, job->dY) : custom_run(job, custom_derivative_tile);
}

/* ---- statistics: of tiles, put together in their order */

void job_observe(const struct job *job, int64_t index, const struct tile *t) {
  pynn_workspace *w = job->w;
  const struct kernels *kernels = w->model->kernels;
  const int64_t units = job->layer->units, from = t->row * units + t->column, down = index / job->tiling.across;
  const struct activation *f = job->layer->activation;
  kernels->observe((size_t)t->rows, (size_t)t->columns, at(kernels, w->y[job->index], from),
                   f && w->z[job->index] ? at(kernels, w->z[job->index], from) : NULL, (size_t)units, f ? f->flat : 0,
                   w->tile_alive + down * units + t->column, &w->tile_observed[index]);
}

static double largest_in(const struct job *job, const struct tile *t, const void *x) {
  const struct kernels *kernels = job_kernels(job);
  const int64_t units = job->layer->units;
  if (t->columns == units) return kernels->largest((size_t)(t->rows * units), at(kernels, x, t->row * units));
  double largest = 0;
  for (int64_t i = t->row; i < t->row + t->rows; i++)
    largest = larger(largest, kernels->largest((size_t)t->columns, at(kernels, x, i * units + t->column)));
  return largest;
}

void job_value_tile(const struct job *job, int64_t index, const struct tile *t) {
  job->w->tile_max[index] = largest_in(job, t, job_values(job));
  if (job->w->observes) job_observe(job, index, t);
}

void job_valued(const struct job *job) {
  job->w->sums[job->index].activation_max = job_largest(job, tiles_in(&job->tiling));
  if (job->w->observes) job_observed(job);
}

static void largest_dX_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  job->w->tile_max[index] = largest_in(job, &t, job->dY);
}

void job_dX_in_place(struct job *job) {
  job_rows(job, 1, largest_dX_tile);
  job->w->sums[job->index].delta_max = job_largest(job, job->tiling.down);
  job->dX = job->dY;
}

/* Means and spreads of two parts: Chan, Golub and LeVeque (1983). */
void observed_add(struct observed *all, const struct observed *tile) {
  if (!tile->n) return;
  const double a = (double)all->n, b = (double)tile->n, away = tile->mean - all->mean;
  all->spread = hypot(hypot(all->spread, tile->spread), away * sqrt(a / (a + b) * b));
  all->mean += away * (b / (a + b));
  all->n += tile->n;
  all->largest = larger(all->largest, tile->largest);
  all->zeros += tile->zeros, all->tiny += tile->tiny, all->saturated += tile->saturated;
}

static struct observed sum_observed(const pynn_workspace *w, int64_t tiles) {
  struct observed all = {0};
  for (int64_t i = 0; i < tiles; i++) observed_add(&all, &w->tile_observed[i]);
  return all;
}

void job_observed(const struct job *job) {
  const pynn_workspace *w = job->w;
  struct layer_observed *observed = &w->observed[job->index];
  observed->activation = sum_observed(w, tiles_in(&job->tiling));
  for (int64_t i = 0; i < job->tiling.down; i++)
    for (int64_t j = 0; j < job->layer->units; j++) observed->alive[j] |= w->tile_alive[i * job->layer->units + j];
}

/* ---- gradients */

double job_penalty(const struct job *job, int regularizer, void *gradient, size_t n) {
  const pynn_spec *spec = layer_choice(job->layer, regularizer);
  if (!spec || !spec->row || job->place) return 0; /* the first part of a batch has the penalties of all */
  const ptrdiff_t offset = (char *)gradient - (char *)job->gradient;
  const char *w = (const char *)job->w->model->parameters + offset;
  return job_kernels(job)->regularizers[spec->row].penalty(n, w, gradient, spec->values);
}

void job_penalised_gradient(const struct job *job, int64_t index, int regularizer, void *gradient, size_t n) {
  const double penalty = job_penalty(job, regularizer, gradient, n);
  job_gradient(job, index, gradient, n);
  job->w->tile_penalty[index] = penalty;
}

void job_gradient(const struct job *job, int64_t index, const void *gradient, size_t n) {
  const struct kernels *kernels = job_kernels(job);
  job->w->tile_penalty[index] = 0;
  job->w->tile_sum[index] = kernels->sum_squares(n, gradient, &job->w->tile_max[index]);
  if (job->w->observes) kernels->observe(1, n, gradient, NULL, n, 0, NULL, &job->w->tile_observed[index]);
}

void *job_gradient_of(const struct job *job, int role, int64_t from) {
  const int64_t offset = job->layer->tensor[role];
  return offset < 0 ? NULL : at(job_kernels(job), job->gradient, offset + from);
}

void job_gradient_pair(const struct job *job, int64_t index, const void *first, const void *second, size_t n) {
  pynn_workspace *w = job->w;
  w->tile_max[index] = w->tile_sum[index] = 0;
  if (w->observes) w->tile_observed[index] = (struct observed){0};
  if (first) job_gradient(job, index, first, n);
  if (!second) return;
  const double largest = w->tile_max[index], sum = w->tile_sum[index];
  const struct observed before = w->observes ? w->tile_observed[index] : (struct observed){0};
  job_gradient(job, index, second, n);
  w->tile_max[index] = larger(w->tile_max[index], largest);
  w->tile_sum[index] += sum;
  if (w->observes) observed_add(&w->tile_observed[index], &before);
}

void job_gradients(const struct job *job, int64_t tiles) {
  struct layer_sums *sums = &job->w->sums[job->index];
  sums->gradient_max = job_largest(job, tiles);
  sums->gradient_squares = sums->penalty = 0;
  for (int64_t i = 0; i < tiles; i++)
    sums->gradient_squares += job->w->tile_sum[i], sums->penalty += job->w->tile_penalty[i];
  if (job->w->observes) job->w->observed[job->index].gradient = sum_observed(job->w, tiles);
}
