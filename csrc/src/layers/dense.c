/* Dense: Y = f(X W + b).
 *
 *   forward    Z = X W + b,  Y = f(Z)                  X: rows x inputs, W: inputs x units
 *   backward   dZ = dY * f'(Z),  dW = X^T dZ,  db = sum_i dZ_i,  dX = dZ W^T
 *
 * Bias, activation, derivative, largest values and sums of squares are computed tile by tile right after the product,
 * while the tile is in the cache. */
#include "compute/blas.h"
#include "graph/custom.h"
#include "graph/layer.h"
#include "graph/replay.h"

#include <string.h>

enum { KERNEL, BIAS };    /* tensors */
enum { UNITS, USE_BIAS }; /* numbers */

enum {
  BLAS_ROWS = 512, /* tiles that go to the BLAS: smaller ones pack the same operands more often */
  BLAS_COLUMNS = 512,
  SHORT_STRIP = 32, /* columns of the narrowest strip, and what strips of columns and of rows are multiples of */
  STEP = 16,
  SMALL_STEP = 4
};

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  (void)error;
  const int64_t units = layer->out.features = (int64_t)layer->spec.values[UNITS];
  layer_owns(layout, layer, KERNEL, "kernel", layer->in.features, units, SLOTS_OF_KERNEL);
  if (layer->spec.values[USE_BIAS] != 0) layer_owns(layout, layer, BIAS, "bias", 1, units, SLOTS_OF_BIAS);
  return PYNN_OK;
}

/* Every timestep of a row is a row of its own: the kernel is the same for all of them. */
static struct job by_timestep(const struct job *job, struct layer *view) {
  struct job flat = *job;
  if (job->layer->in.timesteps == 1) return flat;
  *view = *job->layer;
  view->inputs = view->in.features, view->units = view->out.features;
  flat.layer = view, flat.rows *= view->in.timesteps, flat.ldx = view->inputs;
  flat.fuses = 0;
  return flat;
}

/* ---- how products are cut */

static struct tiling forward_tiling(int blas, int64_t rows, int64_t units, int64_t inputs) {
  if (blas) return tiling_of(rows, units, BLAS_ROWS, BLAS_COLUMNS);
  const double work = 2.0 * (double)least(rows, ROW_TILE) * (double)inputs;
  return tiling_of(rows, units, ROW_TILE, strip(units, work, SHORT_STRIP, STEP));
}

static struct tiling gradient_tiling(int blas, int64_t rows, int64_t units, int64_t inputs) {
  if (blas) return tiling_of(inputs, units, BLAS_ROWS, units);
  return tiling_of(inputs, units, strip(inputs, 2.0 * (double)rows * (double)units, GEMM_STEP, SMALL_STEP), units);
}

static struct tiling dX_tiling(int blas, int64_t rows, int64_t units, int64_t inputs) {
  if (blas) return tiling_of(rows, inputs, BLAS_ROWS, BLAS_COLUMNS);
  return tiling_of(rows, inputs, rows, strip(inputs, 2.0 * (double)rows * (double)units, SHORT_STRIP, STEP));
}

static struct needs needs(const struct layer *layer, int64_t rows_, int keeps) {
  (void)keeps;
  const int64_t rows = rows_ * layer->in.timesteps, inputs = layer->in.features, units = layer->out.features;
  const int64_t wide = most(units, inputs);
  const int64_t blas_tiles = divide_up(rows, BLAS_ROWS) * divide_up(wide, BLAS_COLUMNS);
  const int64_t own_tiles = divide_up(rows, ROW_TILE) * STRIPS;
  const int64_t sparse_tiles = divide_up(rows, LOSS_ROWS) * divide_up(units, COLUMN_TILE);
  return (struct needs){
      .values = layer->units,
      .tiles = most(most(blas_tiles, divide_up(inputs, BLAS_ROWS)), most(own_tiles, sparse_tiles)) + 1};
}

static double work_of(const struct job *job) {
  if (job->sparse) return 2.0 * (double)sparse_count(job->sparse, job->rows) * (double)job->layer->units;
  return 2.0 * (double)job->rows * (double)job->layer->units * (double)job->layer->inputs;
}

/* ---- forward */

/* Bias, activation and statistics over a tile of Z. */
static void finish_tile(const struct job *job, int64_t index, const struct tile *t) {
  const struct layer *layer = job->layer;
  const struct kernels *kernels = job_kernels(job);
  void *z = at(kernels, job->w->z[job->index], t->row * layer->units + t->column);
  const void *bias = layer->tensor[BIAS] < 0 ? NULL : at(kernels, layer_tensor(job, BIAS), t->column);
  job->w->tile_max[index] = kernels->add_bias((size_t)t->rows, (size_t)t->columns, z, (size_t)layer->units, bias);
  if (rowwise(layer)) return;
  job_activate(job, t);
  if (job->w->observes) job_observe(job, index, t);
}

static void forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  const struct tile t = tile_at(&job->tiling, index);
  const void *x = at(kernels, job->x, t.row * job->ldx);
  const void *kernel = at(kernels, layer_tensor(job, KERNEL), t.column);
  void *out = at(kernels, job->w->z[job->index], t.row * layer->units + t.column);
  if (job->blas)
    blas_gemm(model->context, model->dtype, 0, 0, t.rows, t.columns, layer->inputs, x, job->ldx, kernel, layer->units,
              out, layer->units);
  else
    kernels->gemm((size_t)t.rows, (size_t)t.columns, (size_t)layer->inputs, x, (size_t)job->ldx, 1, kernel,
                  (size_t)layer->units, 0, out, (size_t)layer->units);
  finish_tile(job, index, &t);
}

/* The same for sparse rows: the cells of each in turn. */
static void sparse_forward_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const struct kernels *kernels = job_kernels(job);
  const struct tile t = tile_at(&job->tiling, index);
  const void *kernel = at(kernels, layer_tensor(job, KERNEL), t.column);
  struct taken taken;
  for (int64_t i = t.row; i < t.row + t.rows; i++) {
    void *out = at(kernels, job->w->z[job->index], i * layer->units + t.column);
    struct cells cells = sparse_row(job->sparse, i);
    memset(out, 0, (size_t)t.columns * kernels->size);
    while (sparse_take(kernels, job->sparse, &cells, 0, &taken), taken.n)
      kernels->sparse_times((size_t)t.columns, taken.n, taken.values, taken.columns, kernel, (size_t)layer->units, out);
  }
  finish_tile(job, index, &t);
}

static void rowwise_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct tile t = tile_at(&job->tiling, index);
  job_activate(job, &t);
  if (job->w->observes) job_observe(job, index, &t);
}

static void forward(struct job *given) {
  struct layer view;
  struct job flat = by_timestep(given, &view), *job = &flat;
  const struct layer *layer = job->layer;
  const pynn_context *context = job->w->model->context;
  job->blas = !job->sparse && job->w->keeps && blas_takes(context, job->rows, layer->units, layer->inputs);
  job->tiling = job->sparse ? tiling_of(job->rows, layer->units, LOSS_ROWS, COLUMN_TILE)
                            : forward_tiling(job->blas, job->rows, layer->units, layer->inputs);
  parallel_for(context, tiles_in(&job->tiling), work_of(job), job->sparse ? sparse_forward_tile : forward_tile, job);
  job->w->sums[job->index].activation_max = job_largest(job, tiles_in(&job->tiling));
  if (has_custom(layer)) {
    struct layer_sums *sums = &job->w->sums[job->index];
    sums->activation_max = larger(sums->activation_max, job_custom_values(job));
  } else if (rowwise(layer)) {
    job->tiling = tiling_of(job->rows, layer->units, LOSS_ROWS, layer->units);
    job_run(job, 30, rowwise_tile);
  }
  if (job->w->observes) job_observed(job);
}

/* ---- backward */

/* A strip of dW from sparse rows: the cells of each that are in it. */
static void sparse_strip(const struct job *job, const struct tile *t, void *out) {
  const struct kernels *kernels = job_kernels(job);
  const int64_t units = job->layer->units;
  struct taken taken;
  memset(out, 0, (size_t)(t->rows * units) * kernels->size);
  for (int64_t i = 0; i < job->rows; i++) {
    struct cells cells = sparse_between(job->sparse, i, t->row, t->row + t->rows);
    while (sparse_take(kernels, job->sparse, &cells, t->row, &taken), taken.n)
      kernels->sparse_outer((size_t)units, taken.n, taken.values, taken.columns, at(kernels, job->dY, i * units), out,
                            (size_t)units);
  }
}

/* A strip of dW with its sum of squares, or, behind the last strip, db. */
static void gradient_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  if (index == job->tiling.down) {
    void *bias = at(kernels, job->gradient, layer->tensor[BIAS]);
    kernels->column_sums((size_t)job->rows, (size_t)layer->units, job->dY, (size_t)layer->units, bias);
    job_penalised_gradient(job, index, PYNN_SLOT_BIAS_REGULARIZER, bias, (size_t)layer->units);
    return;
  }
  const struct tile t = tile_at(&job->tiling, index);
  const void *x = job->sparse ? NULL : at(kernels, job->x, t.row);
  void *out = at(kernels, job->gradient, layer->tensor[KERNEL] + t.row * layer->units);
  if (job->sparse) sparse_strip(job, &t, out);
  else if (job->blas)
    blas_gemm(model->context, model->dtype, 1, 0, t.rows, layer->units, job->rows, x, job->ldx, job->dY, layer->units,
              out, layer->units);
  else
    kernels->gemm_transposed((size_t)t.rows, (size_t)layer->units, (size_t)job->rows, x, (size_t)job->ldx, job->dY,
                             (size_t)layer->units, at(kernels, job->w->panels, t.row * job->rows), out,
                             (size_t)layer->units);
  job_penalised_gradient(job, index, PYNN_SLOT_KERNEL_REGULARIZER, out, (size_t)(t.rows * layer->units));
}

static void gradient(struct job *job) {
  const struct layer *layer = job->layer;
  const pynn_context *context = job->w->model->context;
  job->blas = !job->sparse && blas_takes(context, layer->inputs, layer->units, job->rows);
  job->tiling = gradient_tiling(job->blas, job->rows, layer->units, layer->inputs);
  const int64_t tiles = job->tiling.down + (layer->tensor[BIAS] >= 0);
  parallel_for(context, tiles, work_of(job), gradient_tile, job);
  job_gradients(job, tiles);
}

/* A tile of dX, differentiated through the layer below. */
static void dX_tile(void *argument, int64_t index) {
  const struct job *job = argument;
  const struct layer *layer = job->layer;
  const pynn_model *model = job->w->model;
  const struct kernels *kernels = model->kernels;
  const struct tile t = tile_at(&job->tiling, index);
  const void *kernel = at(kernels, layer_tensor(job, KERNEL), t.column * layer->units);
  void *out = at(kernels, job->dX, t.row * layer->inputs + t.column);
  if (job->blas)
    blas_gemm(model->context, model->dtype, 0, 1, t.rows, t.columns, layer->units,
              at(kernels, job->dY, t.row * layer->units), layer->units, kernel, layer->units, out, layer->inputs);
  else
    kernels->gemm_panels((size_t)t.rows, (size_t)t.columns, (size_t)layer->units, job->dY, (size_t)layer->units,
                         job->w->panels, kernel, (size_t)layer->units, out, (size_t)layer->inputs);
  if (job->fuses) job->w->tile_max[index] = layer[-1].kind->differentiate(job->w, job->index - 1, &t, job->dX);
}

static void input_gradient(struct job *job) {
  const struct layer *layer = job->layer;
  const pynn_context *context = job->w->model->context;
  const struct kernels *kernels = job_kernels(job);
  job->blas = blas_takes(context, job->rows, layer->inputs, layer->units);
  job->tiling = dX_tiling(job->blas, job->rows, layer->units, layer->inputs);
  if (!job->blas)
    kernels->pack_panels((size_t)job->rows, (size_t)layer->units, job->dY, (size_t)layer->units, job->w->panels);
  parallel_for(context, tiles_in(&job->tiling), work_of(job), dX_tile, job);
  if (!job->fuses) return;
  job->w->sums[job->index - 1].delta_max = job_largest(job, tiles_in(&job->tiling));
  job->below_differentiated = 1;
}

static void backward(struct job *job) {
  struct layer view;
  if (!job->differentiated) job_differentiate(job);
  struct job flat = by_timestep(job, &view);
  gradient(&flat);
  if (job->dX) input_gradient(&flat);
  job->below_differentiated = flat.below_differentiated;
}

/* ---- blame */

static int replay_forward(struct replay *r, const struct job *job) {
  const struct kernels *kernels = r->kernels;
  const struct layer *layer = job->layer;
  const size_t rows = (size_t)(r->rows * layer->in.timesteps), inputs = (size_t)layer->in.features;
  const size_t units = (size_t)layer->out.features;
  const int64_t n = r->rows * layer->units, n_kernel = layer->in.features * layer->out.features;
  void *z = r->w->z[job->index], *y = r->w->y[job->index];
  const void *kernel = layer_tensor(job, KERNEL), *bias = layer_tensor(job, BIAS);
  kernels->gemm(rows, units, inputs, job->x, inputs, 1, kernel, units, 0, z, units);
  if (replay_fault(r, PYNN_OPERATION_GEMM, job->index, z, r->rows, layer->units, 1))
    return replay_operands(r, job->x, r->rows * layer->inputs, kernel, n_kernel);
  kernels->add_bias(rows, units, z, units, bias);
  if (replay_fault(r, PYNN_OPERATION_BIAS, job->index, z, r->rows, layer->units, 1))
    return replay_operands(r, z, n, bias, layer->out.features);
  struct job whole = *job;
  if (has_custom(layer)) job_custom_values(&whole);
  else {
    struct layer view;
    const struct job flat = by_timestep(job, &view);
    job_activate(&flat, &(struct tile){0, (int64_t)rows, 0, (int64_t)units});
  }
  if (replay_fault(r, PYNN_OPERATION_ACTIVATION, job->index, y, r->rows, layer->units, 1))
    return replay_operands(r, z, n, NULL, 0);
  return 0;
}

static int replay_backward(struct replay *r, struct job *job) {
  const struct kernels *kernels = r->kernels;
  const struct layer *layer = job->layer;
  const size_t rows = (size_t)(r->rows * layer->in.timesteps), inputs = (size_t)layer->in.features;
  const size_t units = (size_t)layer->out.features;
  const int64_t n = r->rows * layer->units;
  const void *kernel = layer_tensor(job, KERNEL);
  void *dw = at(kernels, r->gradient, layer->tensor[KERNEL]);
  if (has_custom(layer)) job_differentiate(job);
  else differentiate(r->w, job->index, &(struct tile){0, r->rows, 0, layer->units}, job->dY);
  if (replay_fault(r, PYNN_OPERATION_DACTIVATION, job->index, job->dY, r->rows, layer->units, 1))
    return replay_operands(r, r->w->z[job->index], n, NULL, 0);
  kernels->gemm(inputs, units, rows, job->x, 1, inputs, job->dY, units, 0, dw, units);
  if (replay_fault(r, PYNN_OPERATION_DW, job->index, dw, layer->in.features, layer->out.features, 0)) {
    replay_row_of_gradient(r, job);
    return replay_operands(r, job->x, r->rows * layer->inputs, job->dY, n);
  }
  job_penalty(job, PYNN_SLOT_KERNEL_REGULARIZER, dw, inputs * units);
  if (layer->tensor[BIAS] >= 0) {
    void *db = at(kernels, r->gradient, layer->tensor[BIAS]);
    kernels->column_sums(rows, units, job->dY, units, db);
    if (replay_fault(r, PYNN_OPERATION_DB, job->index, db, 1, layer->out.features, 0))
      return replay_operands(r, job->dY, n, NULL, 0);
    job_penalty(job, PYNN_SLOT_BIAS_REGULARIZER, db, units);
  }
  if (!job->dX) return 0;
  kernels->pack_panels(rows, units, job->dY, units, r->w->panels);
  kernels->gemm_panels(rows, inputs, units, job->dY, units, r->w->panels, kernel, units, job->dX, inputs);
  if (replay_fault(r, PYNN_OPERATION_DX, job->index, job->dX, r->rows, layer->inputs, 1))
    return replay_operands(r, job->dY, n, kernel, layer->in.features * layer->out.features);
  return 0;
}

const struct layer_kind layer_dense = {
    .row = {.name = "dense",
            .aliases = "",
            .n_fields = 2,
            .fields = {[UNITS] = {"units", 1, 1, (double)MAX_WIDTH, PYNN_FIELD_INTEGER},
                       [USE_BIAS] = {"use_bias", 1, 0, 1, PYNN_FIELD_BOOLEAN}},
            .flags = PYNN_LAYER_UNITS | PYNN_LAYER_PRODUCT | PYNN_LAYER_SPARSE | PYNN_LAYER_TIMESTEPS},
    .slots = 1u << PYNN_SLOT_ACTIVATION | SLOTS_OF_WEIGHTS,
    .shape = shape,
    .needs = needs,
    .forward = forward,
    .backward = backward,
    .differentiate = differentiate,
    .replay_forward = replay_forward,
    .replay_backward = replay_backward,
};
