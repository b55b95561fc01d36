/* Forward, loss and backward: the algorithm, top to bottom.
 *
 *   forward    Z = X W + b,  Y = f(Z)                                  X: rows x inputs, W: inputs x units
 *   loss       L = 1/rows sum_i w_i loss(Y_i, target_i)                delta = dL/dY
 *   backward   dZ = delta * f'(Z),  dW = X^T dZ,  db = sum_i dZ_i,  dX = dZ W^T = delta of the layer below
 *
 * Each product is a job of tiles cut by shapes alone. What follows a product - bias, activation, derivative, largest
 * values, sums of squares - is done to a tile right after it, while it is in the cache. */
#include "pass.h"

#include "array.h"
#include "blas.h"

#include <math.h>
#include <string.h>

enum {
  ROW_TILE = 128,  /* rows of a forward tile; PYNN_PREDICT_ROWS */
  BLAS_ROWS = 512, /* tiles that go to the BLAS: smaller ones pack the same operands more often */
  BLAS_COLUMNS = 512,
  STRIPS = 16, /* most strips that a side is cut into: enough for threads to share evenly */
  LOSS_ROWS = 32
};
#define TILE_WORK 4e5 /* floating-point operations that make a tile worth handing out */

static char *at(const struct kernels *kernels, const void *base, int64_t index) {
  return (char *)(uintptr_t)base + (size_t)index * kernels->size;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ---- tiles: bounds from shapes alone */

struct tiling {
  int64_t m, n, rows, columns, down, across;
};
struct tile {
  int64_t row, rows, column, columns;
};

static struct tiling tiling_of(int64_t m, int64_t n, int64_t rows, int64_t columns) {
  return (struct tiling){m, n, rows, columns, divide_up(m, rows), divide_up(n, columns)};
}

static struct tile tile_at(const struct tiling *t, int64_t index) {
  int64_t row = index / t->across * t->rows, column = index % t->across * t->columns;
  return (struct tile){row, least(t->rows, t->m - row), column, least(t->columns, t->n - column)};
}

/* The length of strips of `n` that each are worth TILE_WORK when one unit of length costs `work`, in steps of `step`;
 * at most STRIPS of them. */
static int64_t strip(int64_t n, double work, int64_t step) {
  int64_t worth = (int64_t)fmin((double)n, TILE_WORK / work) + 1;
  int64_t length = worth > divide_up(n, STRIPS) ? worth : divide_up(n, STRIPS);
  return divide_up(length, step) * step;
}

static struct tiling forward_tiling(const struct kernels *kernels, int blas, int64_t rows, int64_t units,
                                    int64_t inputs) {
  if (blas) return tiling_of(rows, units, BLAS_ROWS, BLAS_COLUMNS);
  int64_t height = least(rows, ROW_TILE);
  double work = 2.0 * (double)height * (double)inputs;
  return tiling_of(rows, units, ROW_TILE, strip(units, work, (int64_t)kernels->gemm_columns));
}

static struct tiling gradient_tiling(const struct kernels *kernels, int blas, int64_t rows, int64_t units,
                                     int64_t inputs) {
  if (blas) return tiling_of(inputs, units, BLAS_ROWS, units);
  return tiling_of(inputs, units, strip(inputs, 2.0 * (double)rows * (double)units, 8 * (int64_t)kernels->gemm_rows),
                   units);
}

static struct tiling delta_tiling(const struct kernels *kernels, int blas, int64_t rows, int64_t units,
                                  int64_t inputs) {
  if (blas) return tiling_of(rows, inputs, BLAS_ROWS, BLAS_COLUMNS);
  return tiling_of(rows, inputs, rows,
                   strip(inputs, 2.0 * (double)rows * (double)units, 8 * (int64_t)kernels->gemm_rows));
}

/* ---- workspaces */

static pynn_status allocate(void *out, const pynn_context *context, size_t count, size_t size) {
  void *memory = context_allocate(context, count, size);
  memcpy(out, &memory, sizeof memory);
  return memory ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
}

static int64_t most_tiles(const pynn_model *model, int64_t capacity) {
  int64_t most = divide_up(capacity, LOSS_ROWS);
  for (int32_t i = 0; i < model->n_layers; i++) {
    int64_t blas_tiles = divide_up(capacity, BLAS_ROWS) * divide_up(model->layers[i].units, BLAS_COLUMNS);
    int64_t down_tiles = divide_up(model->layers[i].inputs, BLAS_ROWS);
    int64_t own_tiles = divide_up(capacity, ROW_TILE) * STRIPS;
    most = blas_tiles > most ? blas_tiles : most;
    most = down_tiles > most ? down_tiles : most;
    most = own_tiles > most ? own_tiles : most;
  }
  return most + 1;
}

pynn_status workspace_new(pynn_workspace **out, const pynn_model *model, int64_t capacity, int keeps) {
  const pynn_context *context = model->context;
  const struct kernels *kernels = model->kernels;
  const size_t n_layers = (size_t)model->n_layers, align = 64 / kernels->size;
  pynn_workspace shape = {.model = model, .capacity = capacity, .widest = model->inputs, .keeps = keeps};
  double total = 0; /* in double: a sum that overflows is refused below */
  for (int32_t i = 0; i < model->n_layers; i++) {
    if (model->layers[i].units > shape.widest) shape.widest = model->layers[i].units;
    total += 2.0 * (double)model->layers[i].units;
  }
  total = (total + 4.0 * (double)shape.widest + 64) * ((double)capacity + 64) * (double)kernels->size;
  if (capacity < 1 || total > 0x1p46) return PYNN_ERROR_TOO_LARGE;

  /* One block for all values, cut into vectors that begin on cache lines. */
  size_t rows = (size_t)capacity, wide = rows * (size_t)shape.widest, offset = 0;
#define CUT(count) (offset += ((size_t)(count) + align - 1) / align * align)
  CUT(rows * (size_t)model->inputs);
  CUT(rows * (size_t)model->outputs);
  if (keeps) {
    for (int32_t i = 0; i < model->n_layers; i++)
      CUT(rows * (size_t)model->layers[i].units), CUT(rows * (size_t)model->layers[i].units);
    CUT((rows + kernels->gemm_columns) * (size_t)shape.widest);
  }
  CUT(wide), CUT(wide);
  shape.values = offset;
  shape.tiles = most_tiles(model, capacity);

  pynn_workspace *w = context_allocate(context, 1, sizeof *w);
  if (!w) return PYNN_ERROR_OUT_OF_MEMORY;
  *w = shape;
  if (allocate(&w->input, context, w->values, kernels->size) ||
      allocate(&w->labels, context, rows, sizeof *w->labels) ||
      allocate(&w->weights, context, rows, sizeof *w->weights) || allocate(&w->z, context, n_layers, sizeof *w->z) ||
      allocate(&w->y, context, n_layers, sizeof *w->y) || allocate(&w->sums, context, n_layers, sizeof *w->sums) ||
      allocate(&w->tile_max, context, (size_t)w->tiles, sizeof *w->tile_max) ||
      allocate(&w->tile_sum, context, (size_t)w->tiles, sizeof *w->tile_sum)) {
    pynn_workspace_free(w);
    return PYNN_ERROR_OUT_OF_MEMORY;
  }
  offset = 0;
#define TAKE(pointer, count) (pointer) = at(kernels, w->input, (int64_t)offset), CUT(count)
  TAKE(w->input, rows * (size_t)model->inputs);
  TAKE(w->targets, rows * (size_t)model->outputs);
  if (keeps) {
    for (int32_t i = 0; i < model->n_layers; i++) {
      const struct layer *layer = &model->layers[i];
      TAKE(w->z[i], rows * (size_t)layer->units);
      TAKE(w->y[i], rows * (size_t)layer->units);
    }
    TAKE(w->panels, (rows + kernels->gemm_columns) * (size_t)shape.widest);
  }
  TAKE(w->delta[0], wide);
  TAKE(w->delta[1], wide);
  for (int32_t i = 0, dense = 0; i < model->n_layers && !keeps; i++) /* in turn: only dense layers write */
    w->z[i] = w->y[i] = w->delta[(dense += model->layers[i].activation != NULL) % 2];
#undef TAKE
#undef CUT
  *out = w;
  return PYNN_OK;
}

pynn_status pynn_workspace_new(pynn_workspace **out, const pynn_model *model) {
  if (!out || !model) return PYNN_ERROR_INVALID_ARGUMENT;
  return workspace_new(out, model, PYNN_PREDICT_ROWS, 0);
}

static size_t total_units(const pynn_model *model) {
  size_t units = 0;
  for (int32_t i = 0; i < model->n_layers; i++) units += (size_t)model->layers[i].units;
  return units;
}
static size_t tile_rows(const pynn_workspace *w) { return (size_t)divide_up(w->capacity, LOSS_ROWS); }

pynn_status workspace_observe(pynn_workspace *w, int wanted) {
  const pynn_model *model = w->model;
  const pynn_context *context = model->context;
  const size_t n_layers = (size_t)model->n_layers, tiles = (size_t)w->tiles, units = total_units(model);
  const size_t wide = tile_rows(w) * (size_t)w->widest;
  if ((w->observed != NULL) == (wanted != 0)) return PYNN_OK;
  w->observes = 0;
  if (wanted && !allocate(&w->observed, context, n_layers, sizeof *w->observed) &&
      !allocate(&w->tile_observed, context, tiles, sizeof *w->tile_observed) &&
      !allocate(&w->tile_alive, context, wide, 1) && !allocate(&w->alive, context, units, 1)) {
    unsigned char *alive = w->alive;
    for (int32_t i = 0; i < model->n_layers; alive += model->layers[i++].units) w->observed[i].alive = alive;
    return PYNN_OK;
  }
  context_release(context, w->observed, n_layers, sizeof *w->observed);
  context_release(context, w->tile_observed, tiles, sizeof *w->tile_observed);
  context_release(context, w->tile_alive, wide, 1);
  context_release(context, w->alive, units, 1);
  w->observed = NULL, w->tile_observed = NULL, w->tile_alive = NULL, w->alive = NULL;
  return wanted ? PYNN_ERROR_OUT_OF_MEMORY : PYNN_OK;
}

void pynn_workspace_free(pynn_workspace *w) {
  if (!w) return;
  workspace_observe(w, 0);
  const pynn_context *context = w->model->context;
  const size_t rows = (size_t)w->capacity, n_layers = (size_t)w->model->n_layers, tiles = (size_t)w->tiles;
  context_release(context, w->input, w->values, w->model->kernels->size);
  context_release(context, w->labels, rows, sizeof *w->labels);
  context_release(context, w->weights, rows, sizeof *w->weights);
  context_release(context, w->z, n_layers, sizeof *w->z);
  context_release(context, w->y, n_layers, sizeof *w->y);
  context_release(context, w->sums, n_layers, sizeof *w->sums);
  context_release(context, w->tile_max, tiles, sizeof *w->tile_max);
  context_release(context, w->tile_sum, tiles, sizeof *w->tile_sum);
  context_release(context, w, 1, sizeof *w);
}

/* ---- one layer's job */

struct job {
  pynn_workspace *w;
  int32_t index;
  const struct layer *layer;
  int64_t rows;
  const void *x; /* the layer's input, rows of ldx reals */
  int64_t ldx;
  int blas;
  struct tiling tiling;
  void *delta_out, *delta_in; /* delta_out: dL/dZ of this layer; delta_in: of the layer below */
  void *gradient;
  uint64_t dropout_key, step;
};

static double largest_tile(const pynn_workspace *w, int64_t tiles) {
  double most = 0;
  for (int64_t i = 0; i < tiles; i++) most = larger(most, w->tile_max[i]);
  return most;
}

/* A row-wise or elementwise kernel over a tile of a matrix whose rows are `units` long. */
static void activate(const struct kernels *kernels, const struct layer *layer, const struct tile *t, void *z, void *y) {
  const struct activation *f = layer->activation;
  const double *p = layer->spec.activation.values;
  if (t->columns == layer->units && !(f->row.flags & PYNN_ROW_ROWWISE)) {
    int64_t from = t->row * layer->units;
    f->forward((size_t)(t->rows * t->columns), at(kernels, z, from), at(kernels, y, from), p);
    return;
  }
  for (int64_t i = t->row; i < t->row + t->rows; i++) {
    int64_t from = i * layer->units + t->column;
    f->forward((size_t)t->columns, at(kernels, z, from), at(kernels, y, from), p);
  }
}

/* dL/dZ from dL/dY in place, over a tile; returns the largest |dL/dZ|. */
static double differentiate(const pynn_workspace *w, int32_t index, const struct tile *t, void *delta) {
  const struct kernels *kernels = w->model->kernels;
  const struct layer *layer = &w->model->layers[index];
  const struct activation *f = layer->activation;
  const double *p = layer->spec.activation.values;
  const int whole = t->columns == layer->units && !(f->row.flags & PYNN_ROW_ROWWISE);
  const int64_t calls = whole ? 1 : t->rows, n = whole ? t->rows * t->columns : t->columns;
  double most = 0;
  for (int64_t i = 0; i < calls; i++) {
    int64_t from = (t->row + i) * layer->units + t->column;
    f->backward((size_t)n, at(kernels, w->z[index], from), at(kernels, w->y[index], from), at(kernels, delta, from), p);
    most = larger(most, kernels->largest((size_t)n, at(kernels, delta, from)));
  }
  return most;
}

static int rowwise(const struct layer *layer) {
  return layer->activation && (layer->activation->row.flags & PYNN_ROW_ROWWISE);
}

/* ---- statistics: of tiles, put together in their order */

/* A tile of the layer's values, where `down` rows of tiles lie above it. */
static void observe_values(const struct job *job, int64_t index, const struct tile *t, int64_t down) {
  pynn_workspace *w = job->w;
  const struct kernels *kernels = w->model->kernels;
  const int64_t units = job->layer->units, from = t->row * units + t->column;
  kernels->observe((size_t)t->rows, (size_t)t->columns, at(kernels, w->y[job->index], from),
                   at(kernels, w->z[job->index], from), (size_t)units, job->layer->activation->flat,
                   w->tile_alive + down * units + t->column, &w->tile_observed[index]);
}

static struct observed sum_observed(const pynn_workspace *w, int64_t tiles) {
  struct observed all = {0};
  for (int64_t i = 0; i < tiles; i++) {
    const struct observed *tile = &w->tile_observed[i];
    all.largest = larger(all.largest, tile->largest);
    all.sum += tile->sum, all.squares += tile->squares, all.n += tile->n;
    all.zeros += tile->zeros, all.tiny += tile->tiny, all.saturated += tile->saturated;
  }
  return all;
}

static void sum_observed_values(const struct job *job) {
  const pynn_workspace *w = job->w;
  struct layer_observed *observed = &w->observed[job->index];
  observed->activation = sum_observed(w, job->tiling.down * job->tiling.across);
  for (int64_t i = 0; i < job->tiling.down; i++)
    for (int64_t j = 0; j < job->layer->units; j++) observed->alive[j] |= w->tile_alive[i * job->layer->units + j];
}

/* ---- forward */

static void dense_forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  const struct tile t = tile_at(&job->tiling, index);
  void *z = job->w->z[job->index];
  const void *x = at(kernels, job->x, t.row * job->ldx);
  const void *kernel = at(kernels, model->parameters, layer->kernel + t.column);
  void *out = at(kernels, z, t.row * layer->units + t.column);
  if (job->blas)
    blas_gemm(model->context, model->dtype, 0, 0, t.rows, t.columns, layer->inputs, x, job->ldx, kernel, layer->units,
              out, layer->units);
  else
    kernels->gemm((size_t)t.rows, (size_t)t.columns, (size_t)layer->inputs, x, (size_t)job->ldx, 1, kernel,
                  (size_t)layer->units, 0, out, (size_t)layer->units);
  const void *bias = layer->bias < 0 ? NULL : at(kernels, model->parameters, layer->bias + t.column);
  job->w->tile_max[index] = kernels->add_bias((size_t)t.rows, (size_t)t.columns, out, (size_t)layer->units, bias);
  if (rowwise(layer)) return;
  activate(kernels, layer, &t, z, job->w->y[job->index]);
  if (job->w->observes) observe_values(job, index, &t, index / job->tiling.across);
}

static void rowwise_forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  activate(job->w->model->kernels, job->layer, &t, job->w->z[job->index], job->w->y[job->index]);
  if (job->w->observes) observe_values(job, index, &t, index);
}

static void dense_forward(struct job *job) {
  const struct layer *layer = job->layer;
  const pynn_context *context = job->w->model->context;
  job->blas = job->w->keeps && blas_takes(context, job->rows, layer->units, layer->inputs);
  job->tiling = forward_tiling(job->w->model->kernels, job->blas, job->rows, layer->units, layer->inputs);
  int64_t tiles = job->tiling.down * job->tiling.across;
  double work = 2.0 * (double)job->rows * (double)layer->units * (double)layer->inputs;
  parallel_for(context, tiles, work, dense_forward_tile, job);
  job->w->sums[job->index].activation_max = largest_tile(job->w, tiles);
  if (rowwise(layer)) {
    job->tiling = tiling_of(job->rows, layer->units, LOSS_ROWS, layer->units);
    parallel_for(context, job->tiling.down, 30.0 * (double)(job->rows * layer->units), rowwise_forward_tile, job);
  }
  if (job->w->observes) sum_observed_values(job);
}

static void dropout_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct kernels *kernels = job->w->model->kernels;
  const struct tile t = tile_at(&job->tiling, index);
  kernels->dropout((size_t)(t.rows * t.columns), at(kernels, job->delta_in, t.row * t.columns),
                   at(kernels, job->delta_out, t.row * t.columns), job->layer->spec.kind.values[0],
                   job->dropout_key + (uint64_t)job->index, job->step, (uint64_t)(t.row * t.columns));
}

/* out <- dropout(in); the draws depend on the layer, the step and the position alone, so backward repeats them. */
static void dropout_job(struct job *job, const void *in, void *out) {
  job->delta_in = (void *)(uintptr_t)in;
  job->delta_out = out;
  job->tiling = tiling_of(job->rows, job->layer->units, LOSS_ROWS, job->layer->units);
  parallel_for(job->w->model->context, job->tiling.down, 30.0 * (double)(job->rows * job->layer->units), dropout_tile,
               job);
}

int pass_uses_blas(const pynn_model *model, int64_t rows) {
  for (int32_t i = 0; i < model->n_layers; i++)
    if (model->layers[i].activation &&
        blas_takes(model->context, rows, model->layers[i].units, model->layers[i].inputs))
      return 1;
  return 0;
}

const void *pass_forward(pynn_workspace *w, const struct batch *batch, int training, uint64_t dropout_key,
                         uint64_t step) {
  struct job job = {
      .w = w, .rows = batch->rows, .x = batch->x, .ldx = batch->ldx, .dropout_key = dropout_key, .step = step};
  for (job.index = 0; job.index < w->model->n_layers; job.index++) {
    job.layer = &w->model->layers[job.index];
    if (job.layer->activation) {
      dense_forward(&job);
    } else if (training) {
      if (job.ldx != job.layer->inputs) { /* the caller's rows may lie apart: dropout wants them dense */
        for (int64_t i = 0; i < job.rows; i++)
          memcpy(at(w->model->kernels, w->z[job.index], i * job.layer->inputs),
                 at(w->model->kernels, job.x, i * job.ldx), (size_t)job.layer->inputs * w->model->kernels->size);
        job.x = w->z[job.index];
      }
      dropout_job(&job, job.x, w->y[job.index]);
    } else {
      continue; /* the next layer reads what this one would have copied */
    }
    job.x = w->y[job.index];
    job.ldx = job.layer->units;
  }
  return job.x;
}

/* ---- loss */

struct loss_job {
  pynn_workspace *w;
  const struct batch *batch;
  const void *logits;
  int backward;
};

static void loss_tile(void *argument, int64_t index) {
  const struct loss_job *job = argument;
  const pynn_workspace *w = job->w;
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const int64_t n = model->outputs, rows = job->batch->rows;
  double sum = 0;
  for (int64_t i = index * LOSS_ROWS; i < least(rows, (index + 1) * LOSS_ROWS); i++) {
    const double weight = job->batch->has_weights ? w->weights[i] : 1;
    const double loss = model->loss->row_loss(
        (size_t)n, at(kernels, job->logits, i * n), job->batch->has_labels ? NULL : at(kernels, w->targets, i * n),
        w->labels[i], weight / (double)rows, job->backward ? at(kernels, w->delta[0], i * n) : NULL,
        model->loss_spec.values);
    if (weight != 0) sum += weight * loss; /* a row of weight 0 is not there, whatever it holds */
  }
  w->tile_sum[index] = sum;
}

double pass_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int backward) {
  struct loss_job job = {w, batch, logits, backward};
  int64_t tiles = divide_up(batch->rows, LOSS_ROWS);
  double sum = 0;
  parallel_for(w->model->context, tiles, 40.0 * (double)(batch->rows * w->model->outputs), loss_tile, &job);
  for (int64_t i = 0; i < tiles; i++) sum += w->tile_sum[i];
  return sum;
}

double pass_trivial_loss(pynn_workspace *w, const struct batch *batch, int64_t rows) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  double sum = 0;
  memset(w->delta[0], 0, (size_t)model->outputs * kernels->size);
  for (int64_t i = 0; i < rows; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    if (weight == 0) continue;
    const void *target = batch->has_labels ? NULL : at(kernels, w->targets, i * model->outputs);
    sum += weight * model->loss->row_loss((size_t)model->outputs, w->delta[0], target, w->labels[i], 0, NULL,
                                          model->loss_spec.values);
  }
  return sum;
}

/* ---- backward */

/* A strip of dW with its sum of squares, or, behind the last strip, db. */
static void dense_gradient_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  double *most = &job->w->tile_max[index], *sum = &job->w->tile_sum[index];
  if (index == job->tiling.down) {
    void *bias = at(kernels, job->gradient, layer->bias);
    kernels->column_sums((size_t)job->rows, (size_t)layer->units, job->delta_out, (size_t)layer->units, bias);
    *sum = kernels->sum_squares((size_t)layer->units, bias, most);
    if (job->w->observes)
      kernels->observe(1, (size_t)layer->units, bias, NULL, 0, 0, NULL, &job->w->tile_observed[index]);
    return;
  }
  const struct tile t = tile_at(&job->tiling, index);
  const void *x = at(kernels, job->x, t.row);
  void *out = at(kernels, job->gradient, layer->kernel + t.row * layer->units);
  if (job->blas)
    blas_gemm(model->context, model->dtype, 1, 0, t.rows, layer->units, job->rows, x, job->ldx, job->delta_out,
              layer->units, out, layer->units);
  else
    kernels->gemm((size_t)t.rows, (size_t)layer->units, (size_t)job->rows, x, 1, (size_t)job->ldx, job->delta_out,
                  (size_t)layer->units, 0, out, (size_t)layer->units);
  *sum = kernels->sum_squares((size_t)(t.rows * layer->units), out, most);
  if (job->w->observes)
    kernels->observe((size_t)t.rows, (size_t)layer->units, out, NULL, (size_t)layer->units, 0, NULL,
                     &job->w->tile_observed[index]);
}

/* A tile of dX, differentiated through the activation of the dense layer below. */
static void dense_delta_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  const struct tile t = tile_at(&job->tiling, index);
  const void *kernel = at(kernels, model->parameters, layer->kernel + t.column * layer->units);
  void *out = at(kernels, job->delta_in, t.row * layer->inputs + t.column);
  if (job->blas)
    blas_gemm(model->context, model->dtype, 0, 1, t.rows, t.columns, layer->units,
              at(kernels, job->delta_out, t.row * layer->units), layer->units, kernel, layer->units, out,
              layer->inputs);
  else
    kernels->gemm_panels((size_t)t.rows, (size_t)t.columns, (size_t)layer->units, job->w->panels, kernel,
                         (size_t)layer->units, out, (size_t)layer->inputs);
  const struct layer *below = layer - 1;
  if (below->activation && !rowwise(below))
    job->w->tile_max[index] = differentiate(job->w, job->index - 1, &t, job->delta_in);
}

static void differentiate_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  job->w->tile_max[index] = differentiate(job->w, job->index, &t, job->delta_out);
}

/* dL/dZ of a dense layer from dL/dY, where no product came before it to do it tile by tile. */
static void differentiate_layer(struct job *job) {
  job->tiling = tiling_of(job->rows, job->layer->units, LOSS_ROWS, job->layer->units);
  parallel_for(job->w->model->context, job->tiling.down, 10.0 * (double)(job->rows * job->layer->units),
               differentiate_tile, job);
  job->w->sums[job->index].delta_max = largest_tile(job->w, job->tiling.down);
}

static void dense_gradient(struct job *job) {
  const struct layer *layer = job->layer;
  const pynn_context *context = job->w->model->context;
  struct layer_sums *sums = &job->w->sums[job->index];
  double work = 2.0 * (double)job->rows * (double)layer->units * (double)layer->inputs;
  job->blas = blas_takes(context, layer->inputs, layer->units, job->rows);
  job->tiling = gradient_tiling(job->w->model->kernels, job->blas, job->rows, layer->units, layer->inputs);
  int64_t tiles = job->tiling.down + (layer->bias >= 0);
  parallel_for(context, tiles, work, dense_gradient_tile, job);
  sums->gradient_max = largest_tile(job->w, tiles);
  sums->gradient_squares = 0;
  for (int64_t i = 0; i < tiles; i++) sums->gradient_squares += job->w->tile_sum[i];
  if (job->w->observes) job->w->observed[job->index].gradient = sum_observed(job->w, tiles);
}

/* Returns whether the layer below has been differentiated on the way. */
static int dense_delta(struct job *job) {
  const struct layer *layer = job->layer, *below = layer - 1;
  const pynn_context *context = job->w->model->context;
  const struct kernels *kernels = job->w->model->kernels;
  double work = 2.0 * (double)job->rows * (double)layer->units * (double)layer->inputs;
  job->blas = blas_takes(context, job->rows, layer->inputs, layer->units);
  job->tiling = delta_tiling(kernels, job->blas, job->rows, layer->units, layer->inputs);
  if (!job->blas)
    kernels->pack_panels((size_t)job->rows, (size_t)layer->units, job->delta_out, (size_t)layer->units, job->w->panels);
  int64_t tiles = job->tiling.down * job->tiling.across;
  parallel_for(context, tiles, work, dense_delta_tile, job);
  if (!below->activation || rowwise(below)) return 0;
  job->w->sums[job->index - 1].delta_max = largest_tile(job->w, tiles);
  return 1;
}

/* Layers below this one have no parameters: nothing needs their delta. */
static int lowest_with_parameters(const pynn_model *model) {
  for (int32_t i = 0; i < model->n_layers; i++)
    if (model->layers[i].kernel >= 0) return i;
  return model->n_layers;
}

void pass_backward(pynn_workspace *w, const struct batch *batch, void *gradient, uint64_t dropout_key, uint64_t step) {
  struct job job = {.w = w,
                    .rows = batch->rows,
                    .delta_out = w->delta[0],
                    .gradient = gradient,
                    .dropout_key = dropout_key,
                    .step = step};
  const int lowest = lowest_with_parameters(w->model);
  int differentiated = 0;
  for (job.index = w->model->n_layers - 1; job.index >= lowest; job.index--) {
    job.layer = &w->model->layers[job.index];
    void *delta = job.delta_out;
    if (!job.layer->activation) { /* dropout: the same draws, in place */
      dropout_job(&job, delta, delta);
      job.delta_out = delta;
      differentiated = 0;
      continue;
    }
    job.x = job.index ? w->y[job.index - 1] : batch->x;
    job.ldx = job.index ? job.layer->inputs : batch->ldx;
    if (!differentiated) differentiate_layer(&job);
    dense_gradient(&job);
    if (job.index == lowest) break;
    job.delta_in = delta == w->delta[0] ? w->delta[1] : w->delta[0];
    differentiated = dense_delta(&job);
    job.delta_out = job.delta_in;
  }
}

/* ---- predictions and targets */

void pass_predictions(const pynn_workspace *w, int64_t rows, const void *logits, int raw, void *out) {
  const pynn_model *model = w->model;
  const size_t n = (size_t)model->outputs, size = model->kernels->size;
  if (raw || !model->link) {
    memcpy(out, logits, (size_t)rows * n * size);
    return;
  }
  for (size_t i = 0; i < (size_t)rows; i++)
    model->link->forward(n, (const char *)logits + i * n * size, (char *)out + i * n * size, model->link_spec.values);
}

static int takes_labels(const pynn_model *model, const pynn_array *targets) {
  return (model->loss->row.flags & PYNN_ROW_LABELS) && targets->columns == 1 && array_is_integer(targets);
}

pynn_status pass_check_targets(const pynn_model *model, const pynn_array *x, const pynn_array *targets,
                               const pynn_array *weights, pynn_error *error) {
  if (!model->has_loss)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a loss, from pynn_model_set_loss; received none");
  pynn_status status = array_check(x, "x", -1, model->inputs, error);
  if (!status)
    status = array_check(targets, "targets", x->rows, takes_labels(model, targets) ? 1 : model->outputs, error);
  if (!status && weights && weights->data) status = array_check(weights, "weights", x->rows, 1, error);
  return status;
}

pynn_status pass_targets(pynn_workspace *w, const pynn_array *targets, const pynn_array *weights, const int64_t *order,
                         int64_t first, struct batch *batch, pynn_error *error) {
  const pynn_model *model = w->model;
  const struct kernels *doubles = model->context->kernels[PYNN_FLOAT64];
  batch->has_labels = takes_labels(model, targets);
  batch->has_weights = weights && weights->data;
  if (!batch->has_labels) array_gather(model->kernels, targets, order, first, batch->rows, w->targets);
  for (int64_t i = 0; batch->has_labels && i < batch->rows; i++) {
    int64_t row = order ? order[first + i] : first + i;
    if (array_label(doubles, targets, row, model->outputs, &w->labels[i])) continue;
    fail(error, PYNN_ERROR_LABEL, "expected labels in 0 ... %lld; received %lld in row %lld",
         (long long)model->outputs - 1, (long long)w->labels[i], (long long)row);
    if (error) error->row = row, error->column = 0, error->value = (double)w->labels[i];
    return PYNN_ERROR_LABEL;
  }
  if (batch->has_weights) array_gather(doubles, weights, order, first, batch->rows, w->weights);
  return PYNN_OK;
}
