/* Forward, loss and backward: the algorithm, top to bottom. What a layer does in it stands in layers/, one file a kind.
 *
 *   forward    Y = layer(X), from the first layer to the last, whose Y are the logits
 *   loss       L = 1/rows sum_i w_i loss(Y_i, target_i)                delta = dL/dY
 *   backward   gradient = dL/d(the layer's parameters), dL/dX = delta of the layer below, from the last to the first
 *
 * Everything is a job of tiles cut by shapes alone. */
#include "pass/pass.h"

#include "compute/array.h"
#include "compute/blas.h"
#include "graph/layer.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

int pass_uses_blas(const pynn_model *model, int64_t rows) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    if ((layer->kind->flags & LAYER_PRODUCT) && blas_takes(model->context, rows, layer->units, layer->inputs)) return 1;
  }
  return 0;
}

void pass_enter(struct job *job, int32_t index, uint64_t dropout_key) {
  job->index = index;
  job->layer = &job->w->model->layers[index];
  job->x = job->w->inputs[index].at;
  job->ldx = job->w->inputs[index].ld;
  job->sparse = job->w->inputs[index].sparse;
  job->key = dropout_key + (uint64_t)index;
}

/* ---- forward */

void pass_propose(pynn_workspace *w) {
  if (w->proposed) memcpy(w->proposed, w->model->state, (size_t)w->model->n_state * sizeof *w->proposed);
}

const void *pass_forward(pynn_workspace *w, const struct batch *batch, int training, uint64_t dropout_key,
                         uint64_t step) {
  struct job job = {.w = w, .rows = batch->rows, .training = training, .step = step};
  w->failed = 0;
  w->inputs[0] = (struct values){batch->x, batch->ldx, batch->x ? NULL : &batch->sparse};
  if (training) pass_propose(w);
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    pass_enter(&job, i, dropout_key);
    w->inputs[i + 1] = w->inputs[i];
    if (!training && (job.layer->kind->flags & LAYER_ONLY_TRAINS)) continue;
    job.layer->kind->forward(&job);
    w->inputs[i + 1] = (struct values){w->y[i], job.layer->units, NULL};
  }
  return w->inputs[w->model->n_layers].at;
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
        (size_t)n, at(kernels, job->logits, i * n),
        job->batch->has_labels ? NULL : at(kernels, w->targets, i * model->targets), w->labels[i],
        weight / (double)rows, job->backward ? at(kernels, w->delta[0], i * n) : NULL, model->loss_spec.values);
    if (weight != 0) sum += weight * loss; /* a row of weight 0 is not there, whatever it holds */
  }
  w->tile_sum[index] = sum;
}

enum { SAID_SO = 1, WRONG_GRADIENT = 2 }; /* how a function of the caller's failed */

pynn_status pass_failed(const pynn_workspace *w, pynn_error *error) {
  if (!w->failed) return PYNN_OK;
  if (w->failed != WRONG_GRADIENT) return fail(error, PYNN_ERROR_CALLBACK, "%s", pynn_strerror(PYNN_ERROR_CALLBACK));
  return fail(
      error, PYNN_ERROR_INVALID_ARGUMENT,
      "expected the gradient of the loss '%s' to be its derivative, about %.6g in row %lld of the batch, column "
      "%lld; received %.6g",
      w->model->custom.name, w->wrong.expected, (long long)w->wrong.row, (long long)w->wrong.column, w->wrong.received);
}

/* Calls a custom loss for rows of logits with the floating-point state that its author expects. */
static int call_custom(const pynn_model *model, int64_t rows, const void *logits, const void *targets,
                       const int64_t *labels, double *losses, void *gradient) {
  fenv_t ours;
  fegetenv(&ours);
  fesetenv(FE_DFL_ENV);
  const int failed = model->custom.function(model->custom.user, model->dtype, rows, model->outputs, logits, targets,
                                            labels, losses, gradient, gradient != NULL);
  fesetenv(&ours);
  return failed;
}

double pass_row_loss(const pynn_workspace *w, const void *logits, const void *target, int64_t label, double scale,
                     void *delta) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const size_t n = (size_t)model->outputs;
  if (!model->custom.function)
    return model->loss->row_loss(n, logits, target, label, scale, delta, model->loss_spec.values);
  void *gradient = delta ? delta : w->keeps ? w->delta[1] : NULL;
  double loss = (double)NAN;
  if (call_custom(model, 1, logits, target, target ? NULL : &label, &loss, gradient)) return (double)NAN;
  if (gradient && !(kernels->largest(n, gradient) <= kernels->maximum)) return (double)NAN;
  if (delta) kernels->scale(n, delta, scale);
  return loss;
}

static double number(const struct kernels *kernels, const void *x, int64_t i) {
  double value;
  kernels->to_double(1, at(kernels, x, i), &value);
  return value;
}

/* The loss of row i with logit j moved by `step` (0: not), and what that logit is then. Uses delta[1]. */
static int moved_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int64_t i, int64_t j,
                      double step, double *loss, double *z) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  memcpy(w->delta[1], at(kernels, logits, i * model->outputs), (size_t)model->outputs * kernels->size);
  *z = number(kernels, w->delta[1], j) + step;
  kernels->from_double(1, z, at(kernels, w->delta[1], j));
  *z = number(kernels, w->delta[1], j);
  return call_custom(model, 1, w->delta[1], batch->has_labels ? NULL : at(kernels, w->targets, i * model->targets),
                     batch->has_labels ? &w->labels[i] : NULL, loss, NULL);
}

/* The gradient in delta[0] against differences, at logit j of row i. At a kink the slopes to both sides differ;
 * anything between them is right. What is not finite is the guard's to find. */
static int look_at_cell(pynn_workspace *w, const struct batch *batch, const void *logits, int64_t i, int64_t j) {
  const int is_double = w->model->dtype == PYNN_FLOAT64;
  const double tolerance = is_double ? 1e-3 : 2e-2,
               received = number(w->model->kernels, w->delta[0], i * w->model->outputs + j);
  double loss[3], z[3], step = (is_double ? 0x1p-17 : 0x1p-8);
  step *= fmax(1, fabs(number(w->model->kernels, logits, i * w->model->outputs + j)));
  for (int side = 0; side < 3; side++)
    if (moved_loss(w, batch, logits, i, j, (side - 1) * step, &loss[side], &z[side])) return SAID_SO;
  const double below = (loss[1] - loss[0]) / (z[1] - z[0]), above = (loss[2] - loss[1]) / (z[2] - z[1]);
  const double slack = tolerance * (fmax(1, fmax(fabs(below), fabs(above))) + 0.01 * fabs(loss[1]));
  if (!isfinite(below) || !isfinite(above) || !isfinite(received)) return 0;
  if (received >= fmin(below, above) - slack && received <= fmax(below, above) + slack) return 0;
  w->wrong.row = i, w->wrong.column = j, w->wrong.expected = (below + above) / 2, w->wrong.received = received;
  return WRONG_GRADIENT;
}

/* A few rows and columns, spread over the batch. */
static int look_at_gradient(pynn_workspace *w, const struct batch *batch, const void *logits) {
  const int64_t n = w->model->outputs, rows = least(4, batch->rows), columns = least(16, n);
  int failed = 0;
  for (int64_t r = 0; r < rows && !failed; r++)
    for (int64_t c = 0; c < columns && !failed; c++)
      failed =
          look_at_cell(w, batch, logits, r * (batch->rows - 1) / most(1, rows - 1), c * (n - 1) / most(1, columns - 1));
  if (!failed) w->looked_at = w->model->custom.function;
  return failed;
}

/* The whole batch at once. Rows whose gradient is not finite make the sum NaN: the loss is at fault, not the layer. */
static double custom_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int backward) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  const int64_t n = model->outputs, rows = batch->rows;
  double sum = 0;
  const int first = backward && !model->custom.unchecked && w->looked_at != model->custom.function;
  w->failed = call_custom(model, rows, logits, batch->has_labels ? NULL : w->targets,
                          batch->has_labels ? w->labels : NULL, w->losses, backward ? w->delta[0] : NULL);
  if (w->failed) w->failed = SAID_SO;
  else if (first) w->failed = look_at_gradient(w, batch, logits);
  for (int64_t i = 0; i < rows && !w->failed; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    void *delta = at(kernels, w->delta[0], i * n);
    if (weight == 0) {
      if (backward) memset(delta, 0, (size_t)n * kernels->size);
      continue;
    }
    sum += weight * w->losses[i];
    if (!backward) continue;
    if (!(kernels->largest((size_t)n, delta) <= kernels->maximum)) sum = (double)NAN;
    kernels->scale((size_t)n, delta, weight / (double)rows);
  }
  return w->failed ? (double)NAN : sum;
}

double pass_loss(pynn_workspace *w, const struct batch *batch, const void *logits, int backward) {
  if (w->failed) return (double)NAN;
  if (w->model->custom.function) return custom_loss(w, batch, logits, backward);
  struct loss_job job = {w, batch, logits, backward};
  int64_t tiles = divide_up(batch->rows, LOSS_ROWS);
  double sum = 0;
  parallel_for(w->model->context, tiles, 40.0 * (double)(batch->rows * w->model->outputs), loss_tile, &job);
  for (int64_t i = 0; i < tiles; i++) sum += w->tile_sum[i];
  return sum;
}

double pass_penalty(const pynn_model *model) {
  double sum = 0;
  for (int32_t i = 0; i < model->n_tensors && model->regularized; i++) {
    const pynn_tensor *view = &model->tensors[i].view;
    const pynn_spec *spec = layer_penalty(model, &model->tensors[i]);
    if (spec)
      sum += model->kernels->regularizers[spec->row].penalty((size_t)(view->rows * view->columns),
                                                             at(model->kernels, model->parameters, view->offset), NULL,
                                                             spec->values);
  }
  return sum;
}

double pass_seen_penalty(const pynn_workspace *w) {
  double sum = 0;
  for (int32_t i = 0; i < w->model->n_layers && w->model->regularized; i++) sum += w->sums[i].penalty;
  return sum;
}

double pass_rows_loss(const pynn_workspace *w, const struct batch *batch, int64_t rows, const void *logits,
                      int64_t ld) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels;
  double sum = 0;
  for (int64_t i = 0; i < rows; i++) {
    const double weight = batch->has_weights ? w->weights[i] : 1;
    if (weight == 0) continue;
    const void *target = batch->has_labels ? NULL : at(kernels, w->targets, i * model->targets);
    sum += weight * pass_row_loss(w, at(kernels, logits, i * ld), target, w->labels[i], 0, NULL);
  }
  return sum;
}

double pass_trivial_loss(pynn_workspace *w, const struct batch *batch, int64_t rows) {
  memset(w->delta[0], 0, (size_t)w->model->outputs * w->model->kernels->size);
  return pass_rows_loss(w, batch, rows, w->delta[0], 0);
}

double pass_constant_loss(pynn_workspace *w, const struct batch *batch, int64_t rows, const void *logits) {
  const size_t n = (size_t)w->model->outputs;
  w->model->kernels->column_sums((size_t)rows, n, logits, n, w->delta[0]);
  w->model->kernels->scale(n, w->delta[0], 1 / (double)rows);
  return pass_rows_loss(w, batch, rows, w->delta[0], 0);
}

/* ---- backward */

/* Layers below this one have no parameters: nothing needs their delta. */
int32_t pass_lowest(const pynn_model *model) {
  for (int32_t i = 0; i < model->n_layers; i++)
    if (model->layers[i].n_parameters) return i;
  return model->n_layers;
}

void pass_join(const struct job *job) {
  const pynn_model *model = job->w->model;
  for (int32_t i = job->index + 1; i < model->n_layers; i++)
    if (model->layers[i].source == job->index)
      model->kernels->add((size_t)(job->rows * job->layer->inputs), job->below, job->w->z[i], job->below);
}

void pass_backward(pynn_workspace *w, const struct batch *batch, void *gradient, uint64_t dropout_key, uint64_t step) {
  const int32_t lowest = pass_lowest(w->model);
  struct job job = {
      .w = w, .rows = batch->rows, .training = 1, .step = step, .delta = w->delta[0], .gradient = gradient};
  for (int32_t i = w->model->n_layers - 1; i >= lowest; i--) {
    pass_enter(&job, i, dropout_key);
    job.below = i == lowest ? NULL : job.delta == w->delta[0] ? w->delta[1] : w->delta[0];
    job.fuses = job_fuses(&job);
    job.below_differentiated = 0;
    job.layer->kind->backward(&job);
    if (job.below && job.layer->begins) pass_join(&job);
    job.delta = job.below;
    job.differentiated = job.below_differentiated;
  }
}

/* ---- predictions and targets */

/* Targets are learned as (t - shift) / spread; a target that never changed has spread 0 and is predicted as it was. */
enum { PART = 256 };

static void unscale(const pynn_model *model, int64_t rows, void *out) {
  const struct kernels *kernels = model->kernels;
  const double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  double part[PART];
  for (int64_t i = 0; i < rows; i++)
    for (int64_t from = 0; from < model->outputs; from += PART) {
      const int64_t n = least(PART, model->outputs - from);
      void *y = at(kernels, out, i * model->outputs + from);
      kernels->to_double((size_t)n, y, part);
      for (int64_t j = 0; j < n; j++) part[j] = part[j] * spread[from + j] + shift[from + j];
      kernels->from_double((size_t)n, part, y);
    }
}

static void gather_scaled(const pynn_model *model, const pynn_array *targets, const int64_t *order, int64_t first,
                          int64_t rows, void *out) {
  const struct kernels *kernels = model->kernels, *doubles = model->context->kernels[PYNN_FLOAT64];
  const double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  double part[PART];
  for (int64_t i = 0; i < rows; i++)
    for (int64_t from = 0; from < model->outputs; from += PART) {
      const int64_t n = least(PART, model->outputs - from);
      const char *t = array_row(targets, order ? order[first + i] : first + i) + from * targets->column_stride;
      doubles->from_array((size_t)n, t, targets->column_stride, targets->dtype, part);
      for (int64_t j = 0; j < n; j++) {
        const double away = part[j] - shift[from + j];
        part[j] = spread[from + j] > 0 ? away / spread[from + j] : away == away ? 0 : away;
      }
      kernels->from_double((size_t)n, part, at(kernels, out, i * model->outputs + from));
    }
}

void pass_predictions(const pynn_workspace *w, int64_t rows, const void *logits, int raw, void *out) {
  const pynn_model *model = w->model;
  const size_t n = (size_t)model->outputs, size = model->kernels->size;
  if (raw || !model->link) memcpy(out, logits, (size_t)rows * n * size);
  if (!raw && model->target_scaling >= 0) unscale(model, rows, out);
  if (raw || !model->link) return;
  for (size_t i = 0; i < (size_t)rows; i++)
    model->link->forward(n, (const char *)logits + i * n * size, (char *)out + i * n * size, model->link_spec.values);
}

static int takes_labels(const pynn_model *model, const pynn_array *targets) {
  const int any = !model->custom.function || model->outputs > 1; /* one logit of a custom loss has no classes */
  return any && (model->loss->row.flags & PYNN_ROW_LABELS) && targets->columns == 1 && array_is_integer(targets);
}

pynn_status pass_check_inputs(const pynn_model *model, const pynn_array *x, pynn_error *error) {
  pynn_status status = array_check(x, "x", -1, model->inputs, error);
  const struct layer_kind *first = model->layers[0].kind;
  if (status || !x->indices || ((first->flags & LAYER_SPARSE) && !model->layers[0].begins)) return status;
  status = fail(error, PYNN_ERROR_UNSUPPORTED,
                "expected a dense x, or a dense layer first; received a sparse x and layer 0, %s, which would fill it",
                model->layers[0].begins ? "a residual block" : first->row.name);
  if (error) error->layer = 0;
  return status;
}

pynn_status pass_check_targets(const pynn_model *model, const pynn_array *x, const pynn_array *targets,
                               const pynn_array *weights, pynn_error *error) {
  if (!model->has_loss)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a loss, from pynn_model_set_loss; received none");
  pynn_status status = pass_check_inputs(model, x, error);
  if (!status) status = array_check_dense(targets, "targets", error);
  if (!status && weights && weights->data) status = array_check_dense(weights, "weights", error);
  if (!status)
    status = array_check(targets, "targets", x->rows, takes_labels(model, targets) ? 1 : model->targets, error);
  if (!status && weights && weights->data) status = array_check(weights, "weights", x->rows, 1, error);
  return status;
}

pynn_status pass_targets(pynn_workspace *w, const pynn_array *targets, const pynn_array *weights, const int64_t *order,
                         int64_t first, struct batch *batch, pynn_error *error) {
  const pynn_model *model = w->model;
  const struct kernels *doubles = model->context->kernels[PYNN_FLOAT64];
  batch->has_labels = takes_labels(model, targets);
  batch->has_weights = weights && weights->data;
  batch->given_targets = targets;
  if (model->target_scaling >= 0) gather_scaled(model, targets, order, first, batch->rows, w->targets);
  else if (!batch->has_labels) array_gather(model->kernels, targets, order, first, batch->rows, w->targets);
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
