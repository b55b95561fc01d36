/* Targets and predictions: between the caller's arrays and the numbers that a pass computes with. */
#include "pass/targets.h"

#include "compute/array.h"
#include "graph/layer.h"

#include <string.h>

/* Targets are learned as (t - shift) / spread. A constant target has spread 0 and is predicted as it was. */

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
