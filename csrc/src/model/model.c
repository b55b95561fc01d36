/* Models: layers to shapes, shapes to offsets in the one parameter vector, initial values. */
#include "graph/model.h"

#include "graph/custom.h"
#include "names/initializers.h"
#include "graph/layer.h"
#include "base/rng.h"
#include "names/tables.h"

#include <float.h>
#include <math.h>
#include <string.h>

void pynn_model_options_init(pynn_model_options *options) {
  if (options) *options = (pynn_model_options){.struct_size = sizeof *options, .dtype = PYNN_FLOAT32};
}

static int has_choice(const pynn_layer *layer, int i) { return layer_kinds[layer->kind.row]->specs >> i & 1; }

pynn_status pynn_layer_named(pynn_layer *out, const char *kind) {
  pynn_layer layer = {.struct_size = sizeof layer};
  pynn_status status = out ? pynn_spec_named(&layer.kind, PYNN_LAYER, kind) : PYNN_ERROR_INVALID_ARGUMENT;
  for (int i = 0; i < N_LAYER_SPECS && !status; i++)
    if (has_choice(&layer, i)) pynn_spec_named(layer_spec(&layer, i), layer_specs[i].table, layer_specs[i].usual);
  if (!status) *out = layer;
  return status;
}

const char *pynn_layer_choice_name(int32_t index) {
  return index < 0 || index >= N_LAYER_SPECS ? NULL : layer_specs[index].key;
}

const pynn_spec *pynn_layer_choice(const pynn_layer *layer, const char *name) {
  for (int i = 0; layer && name && spec_valid(&layer->kind, PYNN_LAYER) && i < N_LAYER_SPECS; i++)
    if (has_choice(layer, i) && !strcmp(layer_specs[i].key, name)) return layer_spec(layer, i);
  return NULL;
}

pynn_status pynn_layer_choose(pynn_layer *layer, const char *name, const pynn_spec *spec) {
  pynn_spec *choice = (pynn_spec *)(uintptr_t)pynn_layer_choice(layer, name);
  if (!choice) return PYNN_ERROR_UNKNOWN_NAME;
  if (!spec || !spec_valid(spec, (pynn_table)choice->table)) return PYNN_ERROR_INVALID_ARGUMENT;
  *choice = *spec;
  return PYNN_OK;
}

pynn_status pynn_dense(pynn_layer *out, int64_t units, const char *activation) {
  pynn_layer layer;
  pynn_layer_named(&layer, "dense");
  pynn_status status = out ? pynn_spec_set(&layer.kind, "units", (double)units) : PYNN_ERROR_INVALID_ARGUMENT;
  if (!status && activation) status = pynn_spec_named(&layer.activation, PYNN_ACTIVATION, activation);
  if (status) return status;
  const pynn_row *row = pynn_table_row(PYNN_ACTIVATION, layer.activation.row);
  pynn_spec_named(&layer.kernel_initializer, PYNN_INITIALIZER, row->initializer);
  *out = layer;
  return PYNN_OK;
}

pynn_status pynn_dropout(pynn_layer *out, double rate) {
  pynn_layer layer;
  pynn_layer_named(&layer, "dropout");
  pynn_status status = out ? pynn_spec_set(&layer.kind, "rate", rate) : PYNN_ERROR_INVALID_ARGUMENT;
  if (!status) *out = layer;
  return status;
}

static pynn_status check_layer(const pynn_layer *layer, int32_t index, pynn_error *error) {
  const char *what = NULL;
  if (layer->struct_size != sizeof *layer || !spec_valid(&layer->kind, PYNN_LAYER)) what = "kind";
  for (int i = 0; i < N_LAYER_SPECS && !what; i++)
    if (has_choice(layer, i) && !spec_valid(layer_spec(layer, i), layer_specs[i].table)) what = layer_specs[i].key;
  if (!what && (layer->n_columns < 0 || layer->n_columns > MAX_COLUMNS || (layer->n_columns && !layer->columns)))
    what = "list of columns, of at most 8192,";
  if (!what) return PYNN_OK;
  fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a valid %s in layer %d, made by pynn_spec_named and _set", what,
       (int)index);
  if (error) error->layer = index;
  return PYNN_ERROR_INVALID_ARGUMENT;
}

/* The spec that is of the same tensor as an initializer, -1 when the kind has none. */
static int companion(const struct layer *layer, int initializer, int of_kernel, int of_bias) {
  const int number = initializer == SPEC_KERNEL_INITIALIZER ? of_kernel
                     : initializer == SPEC_BIAS_INITIALIZER ? of_bias
                                                            : -1;
  return number >= 0 && (layer->kind->specs >> number & 1) ? number : -1;
}

static const pynn_spec *choice_of(const pynn_model *model, const struct tensor *tensor, int number) {
  const pynn_spec *spec = number < 0 ? NULL : layer_spec(&model->layers[tensor->view.layer].spec, number);
  return spec && spec->row ? spec : NULL;
}
const pynn_spec *layer_penalty(const pynn_model *model, const struct tensor *tensor) {
  return choice_of(model, tensor, tensor->regularizer);
}
const pynn_spec *layer_constraint(const pynn_model *model, const struct tensor *tensor) {
  return choice_of(model, tensor, tensor->constraint);
}

void layer_owns(struct layout *l, struct layer *layer, int role, const char *name, int64_t rows, int64_t columns,
                int initializer) {
  layer->tensor[role] = l->n_parameters;
  if (l->model->tensors)
    l->model->tensors[l->n_tensors] =
        (struct tensor){{name, l->index, l->n_parameters, rows, columns, 1},
                        initializer,
                        companion(layer, initializer, SPEC_KERNEL_REGULARIZER, SPEC_BIAS_REGULARIZER),
                        companion(layer, initializer, SPEC_KERNEL_CONSTRAINT, SPEC_BIAS_CONSTRAINT)};
  l->n_tensors++;
  l->n_parameters += rows * columns;
}

static int64_t owns_state(struct layout *l, const char *name, int64_t columns, double start) {
  const int64_t offset = l->n_state;
  if (l->model->tensors)
    l->model->tensors[l->n_tensors] = (struct tensor){{name, l->index, offset, 1, columns, 0}, STARTS_ZERO, -1, -1};
  for (int64_t i = 0; l->model->state && i < columns; i++) l->model->state[offset + i] = start;
  l->n_tensors++;
  l->n_state += columns;
  return offset;
}

void layer_owns_state(struct layout *l, struct layer *layer, int role, const char *name, int64_t columns,
                      double start) {
  layer->tensor[role] = owns_state(l, name, columns, start);
}

/* The layer's own copy of its lists, in the model's block when it has one. */
static void own_lists(struct layout *l, struct layer *layer, int64_t *used) {
  pynn_model *model = l->model;
  const int64_t n = layer->spec.n_columns;
  layer->n_columns = n;
  layer->columns = layer->spec.columns;
  layer->sizes = layer->spec.sizes;
  const int64_t **const lists[] = {&layer->columns, &layer->sizes};
  for (int i = 0; i < 2; i++) {
    if (!*lists[i] || !n) continue;
    if (model->lists) *lists[i] = memcpy(model->lists + *used, *lists[i], (size_t)n * sizeof **lists[i]);
    *used += n;
  }
  layer->spec.columns = layer->columns, layer->spec.sizes = layer->sizes;
}

/* Shapes and offsets of all layers and tensors; their numbers when `model` has no room for them yet. */
static pynn_status lay_out(pynn_model *model, const pynn_layer *specs, size_t stride, pynn_error *error) {
  struct layout layout = {.model = model};
  int64_t lists = 0;
  model->outputs = model->inputs;
  model->input_kernels = model->kernels;
  for (int32_t i = 0; i < model->n_layers; i++) {
    const pynn_layer *spec = (const pynn_layer *)(const void *)((const char *)specs + (size_t)i * stride);
    pynn_status status = check_layer(spec, i, error);
    if (status) return status;
    const struct layer_kind *kind = layer_kinds[spec->kind.row];
    struct layer layer = {.spec = *spec, .kind = kind, .inputs = model->outputs, .units = model->outputs, .source = -1};
    own_lists(&layout, &layer, &lists);
    for (int role = 0; role < LAYER_TENSORS; role++) layer.tensor[role] = -1;
    if (kind->specs >> SPEC_ACTIVATION & 1) layer.activation = &model->kernels->activations[spec->activation.row];
    layer.parameters = layout.n_parameters;
    layout.index = i;
    layout.widths[i] = layer.inputs;
    if (kind->shape) status = kind->shape(&layer, &layout, error);
    if (status) {
      if (error) error->layer = i;
      return status;
    }
    if (i == 0 && (kind->flags & LAYER_READS_DOUBLE)) model->input_kernels = model->context->kernels[PYNN_FLOAT64];
    if (kind->flags & LAYER_UPDATES_STATE) model->updates_state = 1;
    layer.n_parameters = layout.n_parameters - layer.parameters;
    model->outputs = layer.units;
    if (layout.n_parameters > MAX_PARAMETERS)
      return fail(error, PYNN_ERROR_TOO_LARGE, "expected at most 2^36 parameters; received more, at layer %d", (int)i);
    if (layer.units > MAX_WIDTH || lists > MAX_COLUMNS)
      return fail(error, PYNN_ERROR_TOO_LARGE,
                  "expected layers of at most 2^20 units and 8192 columns and sizes in all; received more, at layer %d",
                  (int)i);
    if (model->layers) {
      model->layers[i] = layer;
      if (layer.source >= 0) model->layers[layer.source].begins++;
    }
  }
  layout.index = -1;
  model->target_scaling = model->scales_targets ? owns_state(&layout, "target_shift", model->outputs, 0) : -1;
  if (model->scales_targets) owns_state(&layout, "target_spread", model->outputs, 1);
  if (model->scales_targets) owns_state(&layout, "target_rows", 1, 0);
  model->n_lists = lists;
  model->n_state = layout.n_state;
  model->n_parameters = layout.n_parameters;
  model->n_tensors = layout.n_tensors;
  model->regularized = model->constrained = 0;
  for (int32_t i = 0; model->tensors && i < model->n_tensors; i++) {
    model->regularized |= layer_penalty(model, &model->tensors[i]) != NULL;
    model->constrained |= layer_constraint(model, &model->tensors[i]) != NULL;
  }
  return PYNN_OK;
}

pynn_status model_measure(pynn_model *out, const pynn_context *context, const pynn_model_options *options,
                          const pynn_layer *layers, size_t stride, int32_t n_layers, pynn_error *error) {
  if (!context || !options || options->struct_size != sizeof *options || !layers)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, context, options and layers; received NULL");
  if (options->inputs < 1 || options->inputs > MAX_WIDTH)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected inputs in 1 ... 2^20; received inputs=%lld",
                (long long)options->inputs);
  if (options->dtype != PYNN_FLOAT32 && options->dtype != PYNN_FLOAT64)
    return fail(error, PYNN_ERROR_DTYPE, "expected a model of float32 or float64; received dtype=%d",
                (int)options->dtype);
  if (n_layers < 1 || n_layers > MAX_LAYERS)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected 1 ... 1024 layers; received n_layers=%d", (int)n_layers);
  *out = (pynn_model){.context = context,
                      .kernels = context->kernels[options->dtype],
                      .dtype = options->dtype,
                      .seed = options->seed,
                      .inputs = options->inputs,
                      .scales_targets = options->target_scaling != 0,
                      .n_layers = n_layers};
  return lay_out(out, layers, stride, error);
}

/* `own`: the block that `specs` stand in, which becomes the model's; NULL: it takes one. */
static pynn_status new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                             const pynn_layer *specs, size_t stride, int32_t n_layers, struct layer *own,
                             pynn_error *error) {
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  pynn_model shape;
  pynn_status status = model_measure(&shape, context, options, specs, stride, n_layers, error);
  if (status) return status;
  pynn_model *model = context_allocate(context, 1, sizeof *model);
  if (model) {
    *model = shape;
    model->layers = own ? own : context_allocate(context, (size_t)n_layers, sizeof *model->layers);
    model->tensors = context_allocate(context, (size_t)shape.n_tensors, sizeof *model->tensors);
    model->parameters = context_allocate(context, (size_t)shape.n_parameters, model->kernels->size);
    model->state = context_allocate(context, (size_t)shape.n_state, sizeof *model->state);
    model->lists = context_allocate(context, (size_t)shape.n_lists, sizeof *model->lists);
  }
  if (!model || !model->layers || !model->tensors || !model->parameters || !model->state || !model->lists) {
    if (model && own) model->layers = NULL;
    pynn_model_free(model);
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for %lld parameters; received none",
                (long long)shape.n_parameters);
  }
  lay_out(model, specs, stride, error);
  *out = model;
  return PYNN_OK;
}

pynn_status model_new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                            const pynn_layer *layers, int32_t n_layers, pynn_error *error) {
  return new_empty(out, context, options, layers, sizeof *layers, n_layers, NULL, error);
}

pynn_status model_new_around(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                             struct layer *layers, int32_t n_layers, pynn_error *error) {
  return new_empty(out, context, options, &layers->spec, sizeof *layers, n_layers, layers, error);
}

/* Fills every tensor from its initializer's stream, by way of doubles so that both dtypes start from the same draw. */
static pynn_status initialize(pynn_model *model) {
  size_t most = 0;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    size_t n =
        model->tensors[i].view.trainable ? (size_t)(model->tensors[i].view.rows * model->tensors[i].view.columns) : 0;
    most = n > most ? n : most;
  }
  double *values = context_allocate(model->context, most, sizeof *values);
  double *scratch = context_allocate(model->context, most, sizeof *scratch);
  for (int32_t i = 0; values && scratch && i < model->n_tensors; i++) {
    const pynn_tensor *tensor = &model->tensors[i].view;
    const int initializer = model->tensors[i].initializer;
    if (!tensor->trainable || initializer == STARTS_ZERO) continue;
    if (initializer == STARTS_ONE) {
      for (int64_t j = 0; j < tensor->columns; j++)
        model->kernels->from_double(1, &(double){1}, at(model->kernels, model->parameters, tensor->offset + j));
      continue;
    }
    const pynn_spec *spec = layer_spec(&model->layers[tensor->layer].spec, initializer);
    pynn_initializers[spec->row].fill(tensor->rows, tensor->columns,
                                      stream_key(model->seed, STREAM_INITIALIZER, (uint64_t)i), spec->values, values,
                                      scratch);
    model->kernels->from_double((size_t)(tensor->rows * tensor->columns), values,
                                (char *)model->parameters + (size_t)tensor->offset * model->kernels->size);
  }
  pynn_status status = values && scratch ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
  context_release(model->context, values, most, sizeof *values);
  context_release(model->context, scratch, most, sizeof *scratch);
  return status;
}

pynn_status pynn_model_new(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                           const pynn_layer *layers, int32_t n_layers, pynn_error *error) {
  pynn_model *model = NULL;
  pynn_status status = model_new_empty(out ? &model : NULL, context, options, layers, n_layers, error);
  if (status) return status;
  status = initialize(model);
  if (status) {
    pynn_model_free(model);
    return fail(error, status, "expected memory to draw the initial parameters; received none");
  }
  *out = model;
  return PYNN_OK;
}

pynn_status model_like(pynn_model **out, const pynn_model *model, pynn_dtype dtype, pynn_error *error) {
  const size_t n = (size_t)model->n_layers;
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = model->inputs, options.dtype = dtype, options.seed = model->seed;
  options.target_scaling = model->scales_targets;
  pynn_layer *layers = context_allocate(model->context, n, sizeof *layers);
  if (!layers) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for a copy of the layers; received none");
  for (size_t i = 0; i < n; i++) layers[i] = model->layers[i].spec;
  pynn_model *copy = NULL;
  pynn_status status = model_new_empty(&copy, model->context, &options, layers, model->n_layers, error);
  context_release(model->context, layers, n, sizeof *layers);
  for (int32_t i = 0; !status && i < model->n_layers; i++) {
    copy->layers[i].custom = model->layers[i].custom;
    model_choose_activation(copy, i);
  }
  if (!status && model->has_loss) status = model_copy_loss(copy, model);
  if (!status) *out = copy;
  return status;
}

void model_copy(pynn_model *to, const pynn_model *from) {
  memcpy(to->state, from->state, (size_t)from->n_state * sizeof *from->state);
  to->kernels->from_array((size_t)from->n_parameters, from->parameters, (int64_t)from->kernels->size, from->dtype,
                          to->parameters);
}

/* ---- what data decide, and what they may hold */

pynn_status model_ready(const pynn_model *model, int with_targets, pynn_error *error) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct custom_activation *custom = &model->layers[i].custom;
    if (custom->name[0] && !custom->value) {
      fail(error, PYNN_ERROR_NOT_READY,
           "expected the functions of the activation '%s' of layer %d, from pynn_model_set_custom_activation; received "
           "a file, which has the name alone",
           custom->name, (int)i);
      if (error) error->layer = i;
      return PYNN_ERROR_NOT_READY;
    }
    if (!model->layers[i].kind->ready) continue;
    pynn_status status = model->layers[i].kind->ready(model, i, error);
    if (status) return status;
  }
  if (with_targets && model->scales_targets && !(model->state[model->target_scaling + 2 * model->outputs] > 0))
    return fail(error, PYNN_ERROR_NOT_READY,
                "expected targets to have been summarised, by pynn_target_adapt; received target_scaling without");
  return PYNN_OK;
}

int model_accepts(const pynn_model *model, int64_t column, double value) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer_kind *kind = model->layers[i].kind;
    const enum accepts answer = kind->accepts ? kind->accepts(model, &model->layers[i], column, value)
                                : kind->flags & LAYER_ONLY_TRAINS ? ACCEPTS_AS_NEXT
                                                                  : REFUSED;
    if (answer != ACCEPTS_AS_NEXT) return answer == ACCEPTED;
  }
  return 0;
}

int32_t model_odd_state(const pynn_model *model, int64_t *unit, double *value) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    if (layer->kind->odd_state && (*unit = layer->kind->odd_state(model, layer, value)) >= 0) return i;
  }
  return -1;
}

int model_accepts_row(const pynn_model *model, const void *x) {
  const struct kernels *kernels = model->input_kernels;
  if (kernels->largest((size_t)model->inputs, x) <= kernels->maximum) return 1;
  for (int64_t j = 0; j < model->inputs; j++) {
    double value;
    kernels->to_double(1, at(kernels, x, j), &value);
    if (!isfinite(value) && !model_accepts(model, j, value)) return 0;
  }
  return 1;
}

pynn_status pynn_target_adapt(pynn_model *model, const pynn_summary *summary, int minmax, pynn_error *error) {
  if (!model || !summary || !model->scales_targets || pynn_summary_columns(summary) != model->outputs)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected a model made with target_scaling and a summary of its outputs; received another");
  double *shift = model->state + model->target_scaling, *spread = shift + model->outputs;
  pynn_column c = {0};
  for (int64_t j = 0; j < model->outputs; j++) {
    pynn_summary_column(summary, j, &c);
    if (c.count && c.count == c.rows) continue;
    const int64_t row = c.missing ? c.first_missing : c.first_infinite;
    fail(error, PYNN_ERROR_NUMERIC, "expected finite targets; received NaN or infinity in row %lld, column %lld",
         (long long)row, (long long)j);
    if (error) error->row = row, error->column = j, error->operation = PYNN_OPERATION_TARGET;
    return c.rows ? PYNN_ERROR_NUMERIC
                  : fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected at least one row of targets; received none");
  }
  for (int64_t j = 0; j < model->outputs; j++) {
    pynn_summary_column(summary, j, &c);
    const double range = c.maximum - c.minimum;
    shift[j] = minmax || c.minimum == c.maximum ? c.minimum : c.mean;
    spread[j] = c.minimum == c.maximum ? 0 : minmax ? fmin(range, DBL_MAX) : c.std;
  }
  spread[model->outputs] = (double)c.rows;
  return PYNN_OK;
}

void pynn_model_free(pynn_model *model) {
  if (!model) return;
  const pynn_context *context = model->context;
  context_release(context, model->layers, (size_t)model->n_layers, sizeof *model->layers);
  context_release(context, model->tensors, (size_t)model->n_tensors, sizeof *model->tensors);
  context_release(context, model->parameters, (size_t)model->n_parameters, model->kernels->size);
  context_release(context, model->state, (size_t)model->n_state, sizeof *model->state);
  context_release(context, model->lists, (size_t)model->n_lists, sizeof *model->lists);
  context_release(context, model->metadata, model->metadata_size, 1);
  context_release(context, model, 1, sizeof *model);
}

int64_t pynn_model_inputs(const pynn_model *model) { return model ? model->inputs : 0; }
int64_t pynn_model_outputs(const pynn_model *model) { return model ? model->outputs : 0; }
pynn_dtype pynn_model_dtype(const pynn_model *model) { return model ? model->dtype : PYNN_FLOAT32; }
uint64_t pynn_model_seed(const pynn_model *model) { return model ? model->seed : 0; }
int32_t pynn_model_n_layers(const pynn_model *model) { return model ? model->n_layers : 0; }
const pynn_layer *pynn_model_layer(const pynn_model *model, int32_t index) {
  return !model || index < 0 || index >= model->n_layers ? NULL : &model->layers[index].spec;
}
int64_t pynn_model_n_parameters(const pynn_model *model) { return model ? model->n_parameters : 0; }
void *pynn_model_parameters(pynn_model *model) {
  if (!model) return NULL;
  model->parameters_given = 1;
  return model->parameters;
}
int64_t pynn_model_n_state(const pynn_model *model) { return model ? model->n_state : 0; }
double *pynn_model_state(pynn_model *model) { return model ? model->state : NULL; }
int pynn_model_target_scaling(const pynn_model *model) { return model && model->scales_targets; }
int32_t pynn_model_n_tensors(const pynn_model *model) { return model ? model->n_tensors : 0; }
const pynn_spec *pynn_model_loss(const pynn_model *model) {
  return model && model->has_loss && !model->custom.name[0] ? &model->loss_spec : NULL;
}

pynn_status pynn_model_tensor(const pynn_model *model, int32_t index, pynn_tensor *out) {
  if (!model || !out || index < 0 || index >= model->n_tensors) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = model->tensors[index].view;
  return PYNN_OK;
}

void model_choose_activation(pynn_model *model, int32_t index) {
  struct layer *layer = &model->layers[index];
  const int32_t row = layer->spec.activation.row, linear = 0;
  const int linked = model->link && index == model->n_layers - 1 && row == model->link_spec.row;
  if (!layer->activation) return;
  layer->activation =
      layer->custom.value ? &custom_activation_row : &model->kernels->activations[linked ? linear : row];
}

/* Predictions pass through `link` from now on. It stands behind the logits: behind the last layer as written, or in
 * place of a last activation that is the link itself. */
static pynn_status set_link(pynn_model *model, const char *name) {
  pynn_spec link, linear;
  if (pynn_spec_named(&link, PYNN_ACTIVATION, name) || pynn_spec_named(&linear, PYNN_ACTIVATION, "linear"))
    return PYNN_ERROR_UNKNOWN_NAME;
  if (model->scales_targets && link.row != linear.row) return PYNN_ERROR_UNSUPPORTED;
  model->link_spec = link;
  model->link = link.row == linear.row ? NULL : &model->kernels->activations[link.row];
  model_choose_activation(model, model->n_layers - 1);
  return PYNN_OK;
}

pynn_status pynn_model_set_loss(pynn_model *model, const pynn_spec *spec) {
  if (!model || !spec || !spec_valid(spec, PYNN_LOSS)) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct loss *loss = &model->kernels->losses[spec->row];
  const int pairs = (loss->row.flags & PYNN_ROW_PAIRS) != 0;
  if (pairs && model->outputs % 2) return PYNN_ERROR_SHAPE;
  if (pairs && model->scales_targets) return PYNN_ERROR_UNSUPPORTED;
  pynn_status status = set_link(model, loss->row.link);
  if (status) return status;
  model->has_loss = 1;
  model->targets = pairs ? model->outputs / 2 : model->outputs;
  model->loss_spec = *spec;
  model->loss = loss;
  model->custom = (struct custom_loss){.function = NULL};
  return PYNN_OK;
}

pynn_status model_name_custom_loss(pynn_model *model, const char *name, const char *link) {
  const size_t length = name ? strlen(name) : 0;
  if (length < 1 || length >= PYNN_CUSTOM_NAME) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_status status = set_link(model, link ? link : "linear");
  if (status) return status;
  struct custom_loss custom = {.function = NULL};
  memcpy(custom.name, name, length);
  model->custom = custom;
  model->has_loss = 0;
  model->loss_spec = (pynn_spec){.table = PYNN_LOSS, .row = -1};
  return PYNN_OK;
}

pynn_status pynn_model_set_custom_loss(pynn_model *model, const pynn_custom_loss *loss) {
  if (!model || !loss || loss->struct_size != sizeof *loss || !loss->function) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_status status = model_name_custom_loss(model, loss->name, loss->link);
  if (status) return status;
  struct custom_loss *custom = &model->custom;
  custom->function = loss->function;
  custom->user = loss->user;
  custom->unchecked = (loss->flags & PYNN_CUSTOM_UNCHECKED) != 0;
  custom->row.row = (pynn_row){.name = custom->name, .aliases = "", .flags = loss->flags & PYNN_ROW_LABELS};
  custom->row.row.link = pynn_table_row(PYNN_ACTIVATION, model->link_spec.row)->name;
  model->loss = &custom->row;
  model->has_loss = 1;
  model->targets = model->outputs;
  return PYNN_OK;
}

const char *pynn_model_custom_loss_name(const pynn_model *model) {
  return model && model->custom.name[0] ? model->custom.name : NULL;
}

pynn_status model_copy_loss(pynn_model *to, const pynn_model *from) {
  const struct custom_loss *custom = &from->custom;
  if (!custom->name[0]) return pynn_model_set_loss(to, &from->loss_spec);
  const char *link = pynn_table_row(PYNN_ACTIVATION, from->link_spec.row)->name;
  if (!custom->function) return model_name_custom_loss(to, custom->name, link);
  const uint32_t flags = custom->row.row.flags | (custom->unchecked ? PYNN_CUSTOM_UNCHECKED : 0);
  const pynn_custom_loss loss = {sizeof loss, custom->name, link, flags, custom->function, custom->user};
  return pynn_model_set_custom_loss(to, &loss);
}
