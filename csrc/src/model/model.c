/* Models: layers to shapes, shapes to offsets in the one parameter vector, initial values. */
#include "model/model.h"

#include "base/rng.h"
#include "compute/parallel.h"
#include "compute/scope.h"
#include "graph/custom.h"
#include "layers/kinds.h"
#include "names/initializers.h"
#include "names/tables.h"

#include <string.h>

void pynn_model_options_init(pynn_model_options *options) {
  if (options) *options = (pynn_model_options){.struct_size = sizeof *options, .timesteps = 1, .dtype = PYNN_FLOAT32};
}

const char *pynn_slot_name(pynn_slot slot) { return (unsigned)slot < N_SLOTS ? slot_table[slot].name : NULL; }

pynn_status pynn_layer_named(pynn_layer *out, const char *kind) {
  pynn_layer layer = {.struct_size = sizeof layer};
  pynn_status status = out ? pynn_spec_named(&layer.kind, PYNN_LAYER, kind) : PYNN_ERROR_INVALID_ARGUMENT;
  if (status) return status;
  for (int i = 0; i < N_SLOTS; i++) {
    if (!(layer_kinds[layer.kind.row]->slots >> i & 1)) continue;
    pynn_choice *choice = &layer.choices[layer.n_choices++];
    choice->slot = (pynn_slot)i;
    const char *own = i == PYNN_SLOT_ACTIVATION ? layer_kinds[layer.kind.row]->activation : NULL;
    pynn_spec_named(&choice->spec, slot_table[i].table, own ? own : slot_table[i].usual);
  }
  *out = layer;
  return PYNN_OK;
}

const pynn_spec *pynn_layer_choice(const pynn_layer *layer, const char *name) {
  for (int32_t i = 0; layer && name && i < layer->n_choices && i < PYNN_MAX_CHOICES; i++) {
    const char *slot = pynn_slot_name(layer->choices[i].slot);
    if (slot && !strcmp(slot, name)) return &layer->choices[i].spec;
  }
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
  pynn_spec f, initializer;
  pynn_layer_named(&layer, "dense");
  pynn_status status = out ? pynn_spec_set(&layer.kind, "units", (double)units) : PYNN_ERROR_INVALID_ARGUMENT;
  if (!status) status = pynn_spec_named(&f, PYNN_ACTIVATION, activation ? activation : "linear");
  if (status) return status;
  pynn_spec_named(&initializer, PYNN_INITIALIZER, pynn_table_row(PYNN_ACTIVATION, f.row)->initializer);
  pynn_layer_choose(&layer, "activation", &f);
  pynn_layer_choose(&layer, "kernel_initializer", &initializer);
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

/* The name of the first choice that is not valid, or is not the one of its kind's slots that comes next; NULL: none. */
static const char *bad_choice(const struct given_layer *layer) {
  int32_t n = 0;
  for (int i = 0; i < N_SLOTS; i++) {
    if (!(layer_kinds[layer->kind->row]->slots >> i & 1)) continue;
    const pynn_choice *choice = n < layer->n_choices ? &layer->choices[n++] : NULL;
    if (!choice || (int)choice->slot != i || !spec_valid(&choice->spec, slot_table[i].table)) return slot_table[i].name;
  }
  return n == layer->n_choices ? NULL : "number of choices";
}

static pynn_status check_layer(const struct given_layer *layer, int32_t index, pynn_error *error) {
  const char *what = !layer->kind || !spec_valid(layer->kind, PYNN_LAYER) ? "kind" : bad_choice(layer);
  if (!what && (layer->n_columns < 0 || layer->n_columns > MAX_COLUMNS || (layer->n_columns && !layer->columns)))
    what = "list of columns, of at most 8192,";
  if (!what) return PYNN_OK;
  fail(error, PYNN_ERROR_INVALID_ARGUMENT,
       "expected a valid %s in layer %d, made by pynn_layer_named, pynn_spec_named and _set", what, (int)index);
  if (error) error->layer = index;
  return PYNN_ERROR_INVALID_ARGUMENT;
}

struct given_layer given_layer(const void *layers, int32_t i) {
  const pynn_layer *layer = (const pynn_layer *)layers + i;
  const int valid =
      layer->struct_size == sizeof *layer && layer->n_choices >= 0 && layer->n_choices <= PYNN_MAX_CHOICES;
  return (struct given_layer){.kind = valid ? &layer->kind : NULL,
                              .choices = layer->choices,
                              .n_choices = layer->n_choices,
                              .columns = layer->columns,
                              .sizes = layer->sizes,
                              .n_columns = layer->n_columns};
}

struct given_layer given_own_layer(const void *layers, int32_t i) {
  const struct layer *layer = (const struct layer *)layers + i;
  return (struct given_layer){.kind = &layer->spec,
                              .choices = layer->choices,
                              .n_choices = layer->n_choices,
                              .columns = layer->columns,
                              .sizes = layer->sizes,
                              .n_columns = layer->n_columns};
}

/* Where laying out has come to in the lists and choices of all layers. */
struct used {
  int64_t lists, choices;
};

/* Points the layer at its own copy of its lists and choices, in the model's blocks when it has some. */
static void own_lists(pynn_model *model, struct layer *layer, struct used *used) {
  const int64_t n = layer->n_columns;
  const int64_t **const lists[] = {&layer->columns, &layer->sizes};
  for (int i = 0; i < 2; i++) {
    if (!*lists[i] || !n) continue;
    if (model->lists) *lists[i] = memcpy(model->lists + used->lists, *lists[i], (size_t)n * sizeof **lists[i]);
    used->lists += n;
  }
  if (model->choices && layer->n_choices)
    layer->choices =
        memmove(model->choices + used->choices, layer->choices, (size_t)layer->n_choices * sizeof *layer->choices);
  used->choices += layer->n_choices;
}

static pynn_status check_limits(const struct layout *layout, const struct layer *layer, const struct used *used,
                                pynn_error *error) {
  if (layout->n_parameters > MAX_PARAMETERS)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected at most 2^36 parameters; received more, at layer %d",
                (int)layout->index);
  if (layer->units > MAX_WIDTH || used->lists > MAX_COLUMNS)
    return fail(error, PYNN_ERROR_TOO_LARGE,
                "expected layers of at most 2^20 units and 8192 columns and sizes in all; received more, at layer %d",
                (int)layout->index);
  return PYNN_OK;
}

static pynn_status shape_layer(struct layout *layout, struct layer *layer, pynn_error *error) {
  pynn_status status = PYNN_OK;
  if (layer->in.timesteps > 1 && !(layer->kind->row.flags & PYNN_LAYER_TIMESTEPS))
    status = fail(error, PYNN_ERROR_UNSUPPORTED, "expected one timestep before layer %d, '%s'; received timesteps=%lld",
                  (int)layout->index, layer->kind->row.name, (long long)layer->in.timesteps);
  if (!status && layer->kind->shape) status = layer->kind->shape(layer, layout, error);
  if (status && error) error->layer = layout->index;
  layer->units = shape_columns(layer->out);
  layer->n_parameters = layout->n_parameters - layer->parameters;
  return status;
}

/* Lays out layer `layout->index`, whose input has this shape; `shape` becomes that of its output. */
static pynn_status lay_out_layer(struct layout *layout, const struct given_layer *given, pynn_shape *shape,
                                 struct used *used, pynn_error *error) {
  pynn_model *model = layout->model;
  const int32_t i = layout->index;
  pynn_status status = check_layer(given, i, error);
  if (status) return status;
  const struct layer_kind *kind = layer_kinds[given->kind->row];
  struct layer layer = {.spec = *given->kind, .choices = given->choices, .n_choices = given->n_choices, .kind = kind};
  layer.columns = given->columns, layer.sizes = given->sizes, layer.n_columns = given->n_columns;
  layer.in = layer.out = layout->shapes[i] = *shape;
  layer.inputs = layer.units = shape_columns(*shape);
  layer.source = -1;
  layer.reversed = layout->reversed;
  layer.parameters = layout->n_parameters;
  own_lists(model, &layer, used);
  for (int role = 0; role < LAYER_TENSORS; role++) layer.tensor[role] = -1;
  const pynn_spec *activation = layer_choice(&layer, PYNN_SLOT_ACTIVATION);
  if (activation) layer.activation = &model->kernels->activations[activation->row];
  status = shape_layer(layout, &layer, error);
  if (!status) status = check_limits(layout, &layer, used, error);
  if (status) return status;
  if (i == 0 && (kind->row.flags & PYNN_LAYER_READS_DOUBLE))
    model->input_kernels = model->context->kernels[PYNN_FLOAT64];
  if (kind->row.flags & PYNN_LAYER_UPDATES_STATE) model->updates_state = 1;
  *shape = layer.out;
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
static pynn_status lay_out(pynn_model *model, const struct given_layers *given, pynn_error *error) {
  struct layout layout = {.model = model};
  struct used used = {0, 0};
  pynn_shape shape = model->shape;
  model->input_kernels = model->kernels;
  for (; layout.index < model->n_layers; layout.index++) {
    const struct given_layer layer = given->at(given->layers, layout.index);
    pynn_status status = lay_out_layer(&layout, &layer, &shape, &used, error);
    if (status) return status;
  }
  model->outputs = shape_columns(shape);
  lay_out_targets(&layout);
  model->n_lists = used.lists;
  if (!model->choices) model->n_choices = used.choices;
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

static pynn_status check_options(const pynn_context *context, const pynn_model_options *options,
                                 const struct given_layers *given, pynn_error *error) {
  if (!context || !options || options->struct_size != sizeof *options || !given->layers)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, context, options and layers; received NULL");
  if (options->inputs < 1 || options->inputs > MAX_WIDTH)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected inputs in 1 ... 2^20; received inputs=%lld",
                (long long)options->inputs);
  if (options->timesteps < 1 || options->inputs % options->timesteps)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected timesteps >= 1 that divide the inputs; received timesteps=%lld, inputs=%lld",
                (long long)options->timesteps, (long long)options->inputs);
  if (options->dtype != PYNN_FLOAT32 && options->dtype != PYNN_FLOAT64)
    return fail(error, PYNN_ERROR_DTYPE, "expected a model of float32 or float64; received dtype=%d",
                (int)options->dtype);
  if (given->n < 1 || given->n > MAX_LAYERS)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected 1 ... 1024 layers; received n_layers=%d", (int)given->n);
  return PYNN_OK;
}

pynn_status model_measure(pynn_model *out, const pynn_context *context, const pynn_model_options *options,
                          const struct given_layers *given, pynn_error *error) {
  pynn_status status = check_options(context, options, given, error);
  if (status) return status;
  *out = (pynn_model){.context = context,
                      .kernels = context->kernels[options->dtype],
                      .dtype = options->dtype,
                      .seed = options->seed,
                      .inputs = options->inputs,
                      .shape = {options->timesteps, options->inputs / options->timesteps},
                      .scales_targets = options->target_scaling != 0,
                      .n_layers = given->n};
  return lay_out(out, given, error);
}

static int take_memory(pynn_model *model, const struct given_layers *given) {
  const pynn_context *context = model->context;
  model->layers = given->own_layers;
  model->choices = given->own_choices;
  if (given->own_choices) model->n_choices = given->n_own_choices;
  if (!model->layers) model->layers = context_allocate(context, (size_t)model->n_layers, sizeof *model->layers);
  if (!model->choices) model->choices = context_allocate(context, (size_t)model->n_choices, sizeof *model->choices);
  model->tensors = context_allocate(context, (size_t)model->n_tensors, sizeof *model->tensors);
  model->parameters = context_allocate(context, (size_t)model->n_parameters, model->kernels->size);
  model->state = context_allocate(context, (size_t)model->n_state, sizeof *model->state);
  model->lists = context_allocate(context, (size_t)model->n_lists, sizeof *model->lists);
  return model->layers && model->choices && model->tensors && model->parameters && model->state && model->lists;
}

pynn_status model_new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                            const struct given_layers *given, pynn_error *error) {
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  pynn_model shape;
  pynn_status status = model_measure(&shape, context, options, given, error);
  if (status) return status;
  pynn_model *model = context_allocate(context, 1, sizeof *model);
  if (model) *model = shape;
  if (!model || !take_memory(model, given)) {
    if (model && given->own_layers) model->layers = NULL, model->choices = NULL;
    pynn_model_free(model);
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for %lld parameters; received none",
                (long long)shape.n_parameters);
  }
  lay_out(model, given, error);
  *out = model;
  return PYNN_OK;
}

/* A tensor of new parameters: drawn in parts of INITIAL numbers, by way of doubles so that both dtypes start alike. */
enum { INITIAL = 2048 };
struct drawing {
  const pynn_model *model;
  const struct initializer *initializer;
  const double *numbers;
  uint64_t key;
  int64_t offset;
  struct part whole;
};

static void draw_part(void *argument, int64_t index) {
  const struct drawing *d = argument;
  const struct kernels *kernels = d->model->kernels;
  double values[INITIAL];
  struct part part = d->whole;
  part.first = index * INITIAL, part.n = least(INITIAL, d->whole.n - part.first);
  d->initializer->fill(&part, d->key, d->numbers, values);
  kernels->from_double((size_t)part.n, values, at(kernels, d->model->parameters, d->offset + part.first));
}

static pynn_status draw_whole(const struct drawing *d) {
  const pynn_context *context = d->model->context;
  const struct kernels *kernels = d->model->kernels;
  const size_t n = (size_t)d->whole.n;
  double *values = context_allocate(context, n, sizeof *values),
         *scratch = context_allocate(context, n, sizeof *scratch);
  if (values && scratch) {
    d->initializer->fill_whole(&d->whole, d->key, d->numbers, values, scratch);
    kernels->from_double(n, values, at(kernels, d->model->parameters, d->offset));
  }
  context_release(context, values, n, sizeof *values);
  context_release(context, scratch, n, sizeof *scratch);
  return values && scratch ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
}

/* Fills every tensor from its initializer's stream. */
static pynn_status initialize(pynn_model *model) {
  pynn_status status = PYNN_OK;
  for (int32_t i = 0; i < model->n_tensors && !status; i++) {
    const pynn_tensor *tensor = &model->tensors[i].view;
    const int number = model->tensors[i].slots.initializer;
    if (!tensor->trainable || number == STARTS_ZERO) continue;
    if (number == STARTS_ONE) {
      for (int64_t j = 0; j < tensor->columns; j++)
        model->kernels->from_double(1, &(double){1}, at(model->kernels, model->parameters, tensor->offset + j));
      continue;
    }
    const pynn_spec *spec = layer_choice(&model->layers[tensor->layer], number);
    const int64_t n = tensor->rows * tensor->columns;
    struct drawing d = {model,          &pynn_initializers[spec->row],
                        spec->values,   stream_key(model->seed, STREAM_INITIALIZER, (uint64_t)i),
                        tensor->offset, {model->kernels, tensor->rows, tensor->columns, 0, n}};
    if (d.initializer->fill_whole) status = draw_whole(&d);
    else parallel_for(model->context, divide_up(n, INITIAL), 100.0 * (double)n, draw_part, &d);
  }
  for (int32_t i = 0; i < model->n_layers; i++)
    if (model->layers[i].kind->initialized) model->layers[i].kind->initialized(model, &model->layers[i]);
  return status;
}

pynn_status pynn_model_new(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                           const pynn_layer *layers, int32_t n_layers, pynn_error *error) {
  pynn_model *model = NULL;
  const struct given_layers given = {.layers = layers, .n = n_layers, .at = given_layer};
  pynn_status status = model_new_empty(out ? &model : NULL, context, options, &given, error);
  if (status) return status;
  const struct compute_scope scope = compute_begin(context, 0); /* the same numbers in every rounding mode */
  status = initialize(model);
  compute_end(context, scope);
  if (status) {
    pynn_model_free(model);
    return fail(error, status, "expected memory to draw the initial parameters; received none");
  }
  *out = model;
  return PYNN_OK;
}

pynn_status model_like(pynn_model **out, const pynn_model *model, pynn_dtype dtype, pynn_error *error) {
  return model_like_for(out, model, dtype, model->shape.timesteps, error);
}

pynn_status model_like_for(pynn_model **out, const pynn_model *model, pynn_dtype dtype, int64_t timesteps,
                           pynn_error *error) {
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = model->shape.features * timesteps, options.timesteps = timesteps;
  options.dtype = dtype, options.seed = model->seed;
  options.target_scaling = model->scales_targets;
  const struct given_layers given = {.layers = model->layers, .n = model->n_layers, .at = given_own_layer};
  pynn_model *copy = NULL;
  pynn_status status = model_new_empty(&copy, model->context, &options, &given, error);
  for (int32_t i = 0; !status && i < model->n_layers; i++) {
    copy->layers[i].custom = model->layers[i].custom;
    copy->layers[i].frozen = model->layers[i].frozen;
    custom_choose(copy, i);
  }
  if (!status) copy->frozen = model->frozen;
  if (!status && model->has_loss) status = model_copy_loss(copy, model);
  if (!status) *out = copy;
  return status;
}

void model_copy(pynn_model *to, const pynn_model *from) {
  memcpy(to->state, from->state, (size_t)from->n_state * sizeof *from->state);
  to->kernels->from_array((size_t)from->n_parameters, from->parameters, (int64_t)from->kernels->size, from->dtype,
                          to->parameters);
}

pynn_status pynn_model_set_trainable(pynn_model *model, int32_t layer, int trainable) {
  if (!model || layer < 0 || layer >= model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  model->layers[layer].frozen = !trainable;
  model->frozen = 0;
  for (int32_t i = 0; i < model->n_layers; i++) model->frozen |= model->layers[i].frozen;
  return PYNN_OK;
}
int pynn_model_trainable(const pynn_model *model, int32_t layer) {
  return model && layer >= 0 && layer < model->n_layers && !model->layers[layer].frozen;
}

void pynn_model_free(pynn_model *model) {
  if (!model) return;
  const pynn_context *context = model->context;
  context_release(context, model->layers, (size_t)model->n_layers, sizeof *model->layers);
  context_release(context, model->tensors, (size_t)model->n_tensors, sizeof *model->tensors);
  context_release(context, model->parameters, (size_t)model->n_parameters, model->kernels->size);
  context_release(context, model->state, (size_t)model->n_state, sizeof *model->state);
  context_release(context, model->choices, (size_t)model->n_choices, sizeof *model->choices);
  context_release(context, model->lists, (size_t)model->n_lists, sizeof *model->lists);
  context_release(context, model->metadata, model->metadata_size, 1);
  context_release(context, model, 1, sizeof *model);
}

int64_t pynn_model_inputs(const pynn_model *model) { return model ? model->inputs : 0; }
int64_t pynn_model_outputs(const pynn_model *model) { return model ? model->outputs : 0; }
pynn_dtype pynn_model_dtype(const pynn_model *model) { return model ? model->dtype : PYNN_FLOAT32; }
uint64_t pynn_model_seed(const pynn_model *model) { return model ? model->seed : 0; }
int32_t pynn_model_n_layers(const pynn_model *model) { return model ? model->n_layers : 0; }
pynn_status pynn_model_layer(const pynn_model *model, int32_t index, pynn_layer *out) {
  if (!model || !out || index < 0 || index >= model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct layer *layer = &model->layers[index];
  *out = (pynn_layer){.struct_size = sizeof *out, .kind = layer->spec, .n_choices = layer->n_choices};
  out->columns = layer->columns, out->sizes = layer->sizes, out->n_columns = layer->n_columns;
  memcpy(out->choices, layer->choices, (size_t)layer->n_choices * sizeof *layer->choices);
  return PYNN_OK;
}
pynn_status pynn_model_shape(const pynn_model *model, int32_t index, pynn_shape *out) {
  if (!model || !out || index < -1 || index >= model->n_layers) return PYNN_ERROR_INVALID_ARGUMENT;
  *out = index < 0 ? model->shape : model->layers[index].out;
  return PYNN_OK;
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
