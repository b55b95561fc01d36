/* Targets and predictions: between the caller's arrays and the numbers that a pass computes with. */
#include "pass/targets.h"

#include "compute/array.h"
#include "compute/context.h"
#include "graph/layer.h"

#include <math.h>
#include <string.h>

/* ---- predictions */

/* Whether float32 holds targets with this shift and spread: rounding moves them by at most 2^-11 of the spread. */
static int float32_holds(double shift, double spread) {
  if (spread > 0) return fabs(shift) <= 0x1p13 * spread;
  return fabs(shift) <= 0x1p24 || (double)(float)shift == shift;
}

pynn_dtype pynn_model_output_dtype(const pynn_model *model) {
  if (!model) return PYNN_FLOAT32;
  if (model->dtype == PYNN_FLOAT64 || model->target_scaling < 0) return model->dtype;
  const double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  for (int64_t j = 0; j < model->outputs; j++)
    if (!float32_holds(shift[j], spread[j])) return PYNN_FLOAT64;
  return PYNN_FLOAT32;
}

pynn_status pass_check_output(const pynn_model *model, int raw, pynn_dtype dtype, const void *out, const char *name,
                              pynn_error *error) {
  if (!out) return PYNN_OK;
  if ((unsigned)dtype > PYNN_FLOAT64)
    return fail(error, PYNN_ERROR_DTYPE, "expected %s of float32 or float64; received dtype=%d", name, (int)dtype);
  const pynn_dtype needed = raw ? model->dtype : pynn_model_output_dtype(model);
  if (dtype < needed)
    return fail(
        error, PYNN_ERROR_DTYPE, "expected %s of float64, as %s; received float32", name,
        model->dtype == PYNN_FLOAT64 ? "the model's dtype" : "float32 has too few steps for the scaled targets");
  return array_check_out(out, name, model->context->kernels[dtype], error);
}

/* Targets are learned as (t - shift) / spread. A constant target has spread 0 and is predicted as it was. */
static void unscale(const pynn_model *model, int64_t rows, const void *scaled, const struct kernels *to, void *out) {
  const struct kernels *kernels = model->kernels;
  const double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  double part[PART];
  for (int64_t i = 0; i < rows; i++)
    for (int64_t from = 0; from < model->outputs; from += PART) {
      const int64_t n = least(PART, model->outputs - from), first = i * model->outputs + from;
      kernels->to_double((size_t)n, at(kernels, scaled, first), part);
      for (int64_t j = 0; j < n; j++) part[j] = part[j] * spread[from + j] + shift[from + j];
      to->from_double((size_t)n, part, at(to, out, first));
    }
}

/* Floats in the second half of the memory of n doubles become those doubles: no float is overwritten before it is read.
 */
static void widen(const struct kernels *floats, int64_t n, void *out) {
  double part[PART];
  for (int64_t from = 0; from < n; from += PART) {
    const int64_t count = least(PART, n - from);
    floats->to_double((size_t)count, at(floats, out, n + from), part);
    memcpy((double *)out + from, part, (size_t)count * sizeof *part);
  }
}

void pass_predictions(const pynn_workspace *w, int64_t rows, const void *logits, int raw, pynn_dtype dtype, void *out) {
  const pynn_model *model = w->model;
  const struct kernels *kernels = model->kernels, *to = model->context->kernels[dtype];
  const int64_t n = model->outputs;
  if (!raw && model->target_scaling >= 0) {
    unscale(model, rows, logits, to, out);
    return;
  }
  const int widens = dtype != model->dtype, copies = raw || !model->link;
  if (copies && !widens) {
    memcpy(out, logits, (size_t)(rows * n) * kernels->size);
    return;
  }
  for (int64_t i = 0; i < rows; i++) {
    const void *from = at(kernels, logits, i * n);
    void *row = at(to, out, i * n), *result = widens ? at(kernels, row, n) : row;
    if (copies) memcpy(result, from, (size_t)n * kernels->size);
    else model->link->forward((size_t)n, from, result, model->link_spec.values);
    if (widens) widen(kernels, n, row);
  }
}

/* ---- targets */

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

static int takes_labels(const pynn_model *model, const pynn_array *targets) {
  const int any = !model->custom.function || model->outputs > 1; /* one logit of a custom loss has no classes */
  return any && (model->loss->row.flags & PYNN_ROW_LABELS) && targets->columns == 1 && array_is_integer(targets);
}

pynn_status pass_check_inputs(const pynn_model *model, const pynn_array *x, pynn_error *error) {
  pynn_status status = array_check(x, "x", -1, model->inputs, error);
  const struct layer_kind *first = model->layers[0].kind;
  if (status || !x->indices || ((first->row.flags & PYNN_LAYER_SPARSE) && !model->layers[0].begins)) return status;
  status = fail(error, PYNN_ERROR_UNSUPPORTED,
                "expected a dense x, or a dense layer first; received a sparse x and layer 0, %s, which would fill it",
                model->layers[0].begins ? "a residual block" : first->row.name);
  if (error) error->layer = 0;
  return status;
}

static pynn_status check_weights(const pynn_model *model, const pynn_array *weights, int64_t rows, pynn_error *error) {
  const int64_t columns = weights->columns == model->targets ? model->targets : 1;
  pynn_status status = array_check(weights, "weights", rows, columns, error);
  if (status || columns == 1 || (!model->custom.function && model->loss->by_output)) return status;
  return fail(error, PYNN_ERROR_UNSUPPORTED,
              "expected a weight for each row with the loss '%s', which is no mean over outputs; received weights of "
              "%lld columns",
              model->loss->row.name, (long long)columns);
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
  if (!status && weights && weights->data) status = check_weights(model, weights, x->rows, error);
  return status;
}

/* Takes the weights of outputs. A row counts where any of its outputs does; a weight that is not finite becomes
 * the row's, for the guard. Targets of weight 0 may hold anything, and become 0. */
static pynn_status take_cells(pynn_workspace *w, const pynn_array *weights, const int64_t *order, int64_t first,
                              int64_t rows, pynn_error *error) {
  const pynn_model *model = w->model;
  const size_t n = (size_t)model->targets, size = model->kernels->size;
  if (!w->cells) w->cells = context_allocate(model->context, (size_t)w->capacity * n, sizeof *w->cells);
  if (!w->cells)
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for weights of %lld outputs; received none",
                (long long)model->targets);
  array_gather(model->context->kernels[PYNN_FLOAT64], weights, order, first, rows, w->cells);
  for (int64_t i = 0; i < rows; i++) {
    w->weights[i] = 0;
    for (size_t j = 0; j < n; j++) {
      const double weight = w->cells[(size_t)i * n + j];
      if (weight == 0) memset((char *)w->targets + ((size_t)i * n + j) * size, 0, size);
      else if (!(weight <= model->kernels->maximum)) w->weights[i] = weight;
      else if (w->weights[i] == 0) w->weights[i] = 1;
    }
  }
  return PYNN_OK;
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
  batch->has_cells = batch->has_weights && weights->columns > 1;
  if (batch->has_cells) return take_cells(w, weights, order, first, batch->rows, error);
  if (batch->has_weights) array_gather(doubles, weights, order, first, batch->rows, w->weights);
  return PYNN_OK;
}
