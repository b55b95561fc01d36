/* Whether a pass stayed finite, judged by largest values, and the search for the first cell at fault. */
#include "pass/finite.h"

#include "compute/array.h"
#include "graph/layer.h"
#include "pass/loss.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Written so that NaN fails too. */
static int finite_(const pynn_workspace *w, double largest) { return largest <= w->model->kernels->maximum; }

/* The first number of a rows x columns matrix that is not finite. */
static int find(const struct kernels *kernels, const void *x, int64_t rows, int64_t columns, int64_t ldx,
                struct fault *fault) {
  for (int64_t i = 0; i < rows; i++) {
    const char *row = (const char *)x + (size_t)(i * ldx) * kernels->size;
    for (int64_t j = 0; j < columns; j++) {
      const char *cell = row + (size_t)j * kernels->size;
      if (kernels->largest(1, cell) <= kernels->maximum) continue;
      *fault = (struct fault){.layer = -1, .row = i, .column = j, .value = number(kernels, cell, 0)};
      return 1;
    }
  }
  return 0;
}

/* A finite number can only be at fault for being beyond float32. */
static pynn_status found(pynn_operation operation, const char *what, int32_t layer, struct fault *fault,
                         pynn_error *error) {
  const char *rule = operation == PYNN_OPERATION_LAYER_STATE ? "finite moments, and variances >= 0"
                     : isfinite(fault->value)                ? "numbers that float32 holds, up to 3.4e38"
                                                             : "finite numbers";
  char where[96] = "";
  size_t used = 0;
#define SAY(...) used += (size_t)snprintf(where + used, sizeof where - used, __VA_ARGS__)
  if (layer >= 0) SAY(" of layer %d", (int)layer);
  if (fault->row >= 0) SAY(", row %lld", (long long)fault->row);
  if (fault->column >= 0) SAY(", column %lld", (long long)fault->column);
#undef SAY
  fault->operation = operation;
  fault->layer = layer;
  fail(error, PYNN_ERROR_NUMERIC, "expected %s; received %g as %s%s", rule, fault->value, what, where);
  if (error) {
    error->layer = layer, error->row = fault->row, error->column = fault->column, error->value = fault->value;
    error->operation = (int32_t)operation;
  }
  return PYNN_ERROR_NUMERIC;
}

static struct fault no_cell(double value) {
  return (struct fault){.layer = -1, .row = -1, .column = -1, .value = value};
}

/* A search runs in the order of computation and ends with the first part that is not finite. */
struct search {
  const pynn_workspace *w;
  const struct batch *batch;
  const int64_t *order;
  int64_t first;
  struct fault *fault;
  pynn_error *error;
};

/* The number at fault as the caller gave it: finite where it is the dtype that has no room for it. */
static void as_given(const struct search *s, const pynn_array *given) {
  if (given && s->fault->column < given->columns) /* labels that were mixed are one column no longer */
    s->fault->value = array_cell(s->w->model->context->kernels[PYNN_FLOAT64], given, s->fault->row, s->fault->column);
}

/* `columns` numbers in each row of the batch. */
static pynn_status search_rows(const struct search *s, pynn_operation operation, const char *what, int32_t layer,
                               const struct kernels *kernels, const void *x, int64_t columns) {
  if (!find(kernels, x, s->batch->rows, columns, columns, s->fault)) return PYNN_OK;
  s->fault->row = s->order ? s->order[s->first + s->fault->row] : s->first + s->fault->row;
  return found(operation, what, layer, s->fault, s->error);
}

static pynn_status search_targets(const struct search *s) {
  const pynn_model *model = s->w->model;
  for (int64_t i = 0; i < s->batch->rows; i++) {
    const double weight = s->batch->has_weights ? s->w->weights[i] : 1;
    const int64_t row = s->order ? s->order[s->first + i] : s->first + i;
    *s->fault = no_cell(weight);
    s->fault->row = row;
    if (!(weight <= model->kernels->maximum))
      return found(PYNN_OPERATION_SAMPLE_WEIGHT, "a sample weight", -1, s->fault, s->error);
    if (s->batch->has_labels || weight == 0) continue; /* a row of weight 0 is not there: its target may be anything */
    if (!find(model->kernels, at(s->w->model->kernels, s->w->targets, i * model->targets), 1, model->targets,
              model->targets, s->fault))
      continue;
    s->fault->row = row;
    as_given(s, s->batch->given_targets);
    return found(PYNN_OPERATION_TARGET, "a target", -1, s->fault, s->error);
  }
  return PYNN_OK;
}

/* Tensor i of `vector`, the parameters or their gradient. `what` stands before the tensor's name in the message. */
static pynn_status search_tensor(const struct search *s, int32_t i, const void *vector, pynn_operation operation,
                                 const char *what) {
  const pynn_tensor *tensor = &s->w->model->tensors[i].view;
  char whole[48];
  if (!find(s->w->model->kernels, at(s->w->model->kernels, vector, tensor->offset), tensor->rows, tensor->columns,
            tensor->columns, s->fault))
    return PYNN_OK;
  s->fault->row = -1; /* of the tensor, not of the data */
  snprintf(whole, sizeof whole, "%s the %s", what, tensor->name);
  return found(operation, whole, tensor->layer, s->fault, s->error);
}

static pynn_status search_parameters(const struct search *s) {
  const pynn_model *model = s->w->model;
  pynn_status status = PYNN_OK;
  for (int32_t i = 0; i < model->n_tensors && !status; i++)
    if (model->tensors[i].view.trainable)
      status = search_tensor(s, i, model->parameters, PYNN_OPERATION_PARAMETER, "a number in");
  return status;
}

static pynn_status search_state(const struct search *s) {
  *s->fault = no_cell(0);
  const int32_t layer = model_odd_state(s->w->model, &s->fault->column, &s->fault->value);
  if (layer < 0) return PYNN_OK;
  return found(PYNN_OPERATION_LAYER_STATE, "a moving mean or variance", layer, s->fault, s->error);
}

static pynn_status search_gradient(const struct search *s, const void *gradient) {
  const pynn_model *model = s->w->model;
  pynn_status status = PYNN_OK;
  for (int32_t i = model->n_tensors - 1; i >= 0 && !status; i--) {
    if (!model->tensors[i].view.trainable) continue;
    const char *name = model->tensors[i].view.name;
    const pynn_operation operation = !strcmp(name, "kernel") ? PYNN_OPERATION_DW
                                     : !strcmp(name, "bias") ? PYNN_OPERATION_DB
                                                             : PYNN_OPERATION_GRADIENT;
    status = search_tensor(s, i, gradient, operation, "a gradient of");
  }
  return status;
}

static pynn_status search_values(const struct search *s) {
  const pynn_model *model = s->w->model;
  pynn_status status = PYNN_OK;
  for (int32_t i = 0; i < model->n_layers && !status; i++) {
    const struct layer *layer = &model->layers[i];
    const int product = layer->kind->row.flags & PYNN_LAYER_PRODUCT;
    const int64_t units = layer->units;
    if (!product && finite_(s->w, s->w->sums[i].activation_max)) continue;
    if (product) status = search_rows(s, PYNN_OPERATION_GEMM, "a pre-activation", i, model->kernels, s->w->z[i], units);
    if (!status)
      status = search_rows(s, product ? PYNN_OPERATION_ACTIVATION : PYNN_OPERATION_FORWARD, "an activation", i,
                           model->kernels, s->w->y[i], units);
  }
  return status;
}

/* The first row whose loss is not finite though its logits and target are. */
static pynn_status search_row_losses(const struct search *s, const void *logits) {
  const pynn_workspace *w = s->w;
  const pynn_model *model = w->model;
  const int64_t n = model->outputs;
  for (int64_t i = 0; i < s->batch->rows; i++) {
    const double weight = s->batch->has_weights ? w->weights[i] : 1;
    if (weight == 0) continue;
    *s->fault = no_cell(weight * pass_row_loss(w, s->batch, i, at(model->kernels, logits, i * n), 0, NULL));
    if (isfinite(s->fault->value)) continue;
    s->fault->row = s->order ? s->order[s->first + i] : s->first + i;
    return found(PYNN_OPERATION_LOSS, "the loss", -1, s->fault, s->error);
  }
  return PYNN_OK;
}

static pynn_status search_loss(const struct search *s, double loss) {
  if (isfinite(loss)) return PYNN_OK;
  pynn_status status = search_row_losses(s, s->w->inputs[s->w->model->n_layers].at);
  if (status) return status;
  *s->fault = no_cell(loss);
  return found(PYNN_OPERATION_LOSS, "the loss", -1, s->fault, s->error);
}

static pynn_status search_deltas(const struct search *s) {
  for (int32_t i = s->w->model->n_layers - 1; i >= 0; i--) {
    *s->fault = no_cell(s->w->sums[i].delta_max);
    if (!finite_(s->w, s->w->sums[i].delta_max))
      return found(PYNN_OPERATION_DACTIVATION, "a gradient of the pre-activations", i, s->fault, s->error);
  }
  return PYNN_OK;
}

static pynn_status search_inputs(const struct search *s) {
  const struct batch *batch = s->batch;
  const pynn_model *model = s->w->model;
  const struct kernels *kernels = model->input_kernels;
  const char *x = batch->x ? batch->x : s->w->input;
  const size_t row_size = (size_t)(batch->x ? batch->ldx : model->inputs) * kernels->size;
  if (!batch->x) sparse_gather(kernels, &batch->sparse, batch->rows, s->w->input);
  for (int64_t i = 0; i < batch->rows; i++) {
    const char *row = x + (size_t)i * row_size;
    if (model_accepts_row(model, row)) continue;
    for (int64_t j = 0; j < model->inputs; j++) {
      double value;
      kernels->to_double(1, row + (size_t)j * kernels->size, &value);
      if (isfinite(value) || model_accepts(model, j, value)) continue;
      const int64_t number = s->order ? s->order[s->first + i] : s->first + i;
      *s->fault = (struct fault){.layer = -1, .row = number, .column = j, .value = value};
      as_given(s, batch->given);
      return found(PYNN_OPERATION_INPUT, "an input", -1, s->fault, s->error);
    }
  }
  return PYNN_OK;
}

static pynn_status search_step(const struct search *s, double loss, const void *gradient) {
  pynn_status status = search_inputs(s);
  if (!status) status = search_targets(s);
  if (!status) status = search_parameters(s);
  if (!status) status = search_state(s);
  if (!status) status = search_values(s);
  if (!status) status = search_loss(s, loss);
  if (!status) status = search_deltas(s);
  if (!status) status = search_gradient(s, gradient);
  if (status) return status;
  *s->fault = no_cell((double)NAN);
  return found(PYNN_OPERATION_NONE, "a value", -1, s->fault, s->error);
}

static int sums_finite(const pynn_workspace *w) {
  int well = 1;
  for (int32_t i = 0; i < w->model->n_layers; i++) {
    const struct layer_sums *sums = &w->sums[i];
    well &= finite_(w, sums->activation_max) & finite_(w, sums->delta_max) & finite_(w, sums->gradient_max);
  }
  return well;
}

static int state_sound(const pynn_model *model) {
  int64_t unit;
  double value;
  return model_odd_state(model, &unit, &value) < 0;
}

int finite_step(const pynn_workspace *w, double loss) {
  return isfinite(loss) && sums_finite(w) && state_sound(w->model);
}

pynn_status finite_check(const pynn_workspace *w, const struct batch *batch, double loss, const void *gradient,
                         const int64_t *order, int64_t first, struct fault *fault, pynn_error *error) {
  const struct search s = {w, batch, order, first, fault, error};
  return finite_step(w, loss) ? PYNN_OK : search_step(&s, loss, gradient);
}

pynn_status finite_check_sum(const pynn_workspace *w, const void *gradient, struct fault *fault, pynn_error *error) {
  const struct search s = {.w = w, .fault = fault, .error = error};
  pynn_status status = search_parameters(&s);
  if (!status) status = search_state(&s);
  if (!status) status = search_gradient(&s, gradient);
  if (status) return status;
  *fault = no_cell((double)NAN);
  return found(PYNN_OPERATION_NONE, "a sum over the rows", -1, fault, error);
}

/* ---- passes without a backward one */

int finite_forward(const pynn_workspace *w, int64_t rows, pynn_dtype dtype, const void *out) {
  const struct kernels *kernels = w->model->context->kernels[dtype];
  int well = kernels->largest((size_t)(rows * w->model->outputs), out) <= kernels->maximum;
  for (int32_t i = 0; i < w->model->n_layers; i++) well &= finite_(w, w->sums[i].activation_max);
  return well;
}

pynn_status finite_check_forward(const pynn_workspace *w, const struct batch *batch, int has_targets,
                                 const void *logits, pynn_dtype dtype, const void *predictions, const int64_t *order,
                                 int64_t first, pynn_error *error) {
  struct fault fault;
  const struct search s = {w, batch, order, first, &fault, error};
  pynn_status status = search_inputs(&s);
  if (!status && has_targets) status = search_targets(&s);
  if (!status) status = search_parameters(&s);
  if (!status) status = search_state(&s);
  if (!status) status = search_values(&s);
  if (!status && has_targets) status = search_row_losses(&s, logits);
  if (!status)
    status = search_rows(&s, PYNN_OPERATION_ACTIVATION, "a prediction", w->model->n_layers - 1,
                         w->model->context->kernels[dtype], predictions, w->model->outputs);
  return status;
}
