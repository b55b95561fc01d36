/* Models: layers to shapes, shapes to offsets in the one parameter vector, initial values. */
#include "model/model.h"

#include "base/rng.h"
#include "graph/custom.h"
#include "layers/kinds.h"
#include "names/initializers.h"
#include "names/tables.h"

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

/* Lays out one layer; `lists` counts the numbers in the lists so far. */
static pynn_status lay_out_layer(struct layout *layout, const pynn_layer *spec, int64_t *lists, pynn_error *error) {
  pynn_model *model = layout->model;
  const int32_t i = layout->index;
  pynn_status status = check_layer(spec, i, error);
  if (status) return status;
  const struct layer_kind *kind = layer_kinds[spec->kind.row];
  struct layer layer = {.spec = *spec, .kind = kind, .inputs = model->outputs, .units = model->outputs, .source = -1};
  own_lists(layout, &layer, lists);
  for (int role = 0; role < LAYER_TENSORS; role++) layer.tensor[role] = -1;
  if (kind->specs >> SPEC_ACTIVATION & 1) layer.activation = &model->kernels->activations[spec->activation.row];
  layer.parameters = layout->n_parameters;
  layout->widths[i] = layer.inputs;
  if (kind->shape) status = kind->shape(&layer, layout, error);
  if (status) {
    if (error) error->layer = i;
    return status;
  }
  if (i == 0 && (kind->flags & LAYER_READS_DOUBLE)) model->input_kernels = model->context->kernels[PYNN_FLOAT64];
  if (kind->flags & LAYER_UPDATES_STATE) model->updates_state = 1;
  layer.n_parameters = layout->n_parameters - layer.parameters;
  model->outputs = layer.units;
  if (layout->n_parameters > MAX_PARAMETERS)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected at most 2^36 parameters; received more, at layer %d", (int)i);
  if (layer.units > MAX_WIDTH || *lists > MAX_COLUMNS)
    return fail(error, PYNN_ERROR_TOO_LARGE,
                "expected layers of at most 2^20 units and 8192 columns and sizes in all; received more, at layer %d",
                (int)i);
  if (!model->layers) return PYNN_OK;
  model->layers[i] = layer;
  if (layer.source >= 0) model->layers[layer.source].begins++;
  return PYNN_OK;
}

static void lay_out_targets(struct layout *layout) {
  pynn_model *model = layout->model;
  layout->index = -1;
  model->target_scaling = model->scales_targets ? layout_state(layout, "target_shift", model->outputs, 0) : -1;
  if (!model->scales_targets) return;
  layout_state(layout, "target_spread", model->outputs, 1);
  layout_state(layout, "target_rows", 1, 0);
}

/* Shapes and offsets of all layers and tensors; only their numbers if `model` has no memory for them yet. */
static pynn_status lay_out(pynn_model *model, const pynn_layer *specs, size_t stride, pynn_error *error) {
  struct layout layout = {.model = model};
  int64_t lists = 0;
  model->outputs = model->inputs;
  model->input_kernels = model->kernels;
  for (; layout.index < model->n_layers; layout.index++) {
    const char *spec = (const char *)specs + (size_t)layout.index * stride;
    pynn_status status = lay_out_layer(&layout, (const pynn_layer *)(const void *)spec, &lists, error);
    if (status) return status;
  }
  lay_out_targets(&layout);
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
    custom_choose(copy, i);
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

pynn_status pynn_model_tensor(const pynn_model *model, int32_t index, pynn_tensor *out) {
  if (!model || !out || index < 0 || index >= model->n_tensors) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = model->tensors[index].view;
  return PYNN_OK;
}
