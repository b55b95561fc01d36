/* The description of a model in a file. */
#include "file/schema.h"

#include "file/safetensors.h"
#include "layers/kinds.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The dtypes of models. */
static const char *const dtypes[] = {"float32", "float64"};

/* By pynn_table, for messages. */
static const char *const table_names[] = {"activations", "losses",    "optimizers",   "initializers",
                                          "layers",      "schedules", "regularizers", "constraints"};

/* ---- writing */

/* A switch that version 0.1.0 did not have: where it is off it is left out, as in the checkpoints of that version. */
static const char LATER[] = "early_epsilon";

void schema_put_spec(struct json_writer *writer, const char *key, const pynn_spec *spec, const char *without) {
  const pynn_row *row = pynn_table_row((pynn_table)spec->table, spec->row);
  json_put_string(writer, key);
  json_put(writer, ":");
  json_put_string(writer, row->name);
  for (int32_t i = 0; i < row->n_fields; i++) {
    if (without && strcmp(row->fields[i].name, without) == 0) continue;
    if (spec->values[i] == 0 && strcmp(row->fields[i].name, LATER) == 0) continue;
    json_put(writer, ",");
    json_put_string(writer, row->fields[i].name);
    json_put(writer, ":");
    if (row->fields[i].flags & PYNN_FIELD_BOOLEAN) json_put(writer, spec->values[i] != 0 ? "true" : "false");
    else json_put_number(writer, spec->values[i]);
  }
}

static void put_list(struct json_writer *writer, const char *key, const int64_t *numbers, int64_t n) {
  if (!numbers || !n) return;
  json_put_key(writer, key);
  json_put_unsigneds(writer, (const uint64_t *)numbers, n); /* all of them >= 0 */
}

static void put_layer(struct json_writer *writer, const struct layer *layer) {
  json_put(writer, "{");
  schema_put_spec(writer, "kind", &layer->spec, NULL);
  for (int32_t i = 0; i < layer->n_choices; i++) {
    json_put_key(writer, slot_table[layer->choices[i].slot].name);
    json_put(writer, "{");
    schema_put_spec(writer, "name", &layer->choices[i].spec, NULL);
    json_put(writer, "}");
  }
  put_list(writer, "columns", layer->columns, layer->n_columns);
  put_list(writer, "sizes", layer->sizes, layer->n_columns);
  if (layer->custom.name[0]) {
    json_put_key(writer, "custom_activation");
    json_put_string(writer, layer->custom.name);
  }
  json_put(writer, "}");
}

void schema_put(struct json_writer *writer, const pynn_model *model) {
  json_put(writer, "{\"dtype\":");
  json_put_string(writer, dtypes[model->dtype]);
  json_put(writer, ",\"inputs\":");
  json_put_unsigned(writer, (uint64_t)model->inputs);
  if (model->shape.timesteps > 1) {
    json_put_key(writer, "timesteps");
    json_put_unsigned(writer, (uint64_t)model->shape.timesteps);
  }
  json_put(writer, ",\"seed\":");
  json_put_unsigned(writer, model->seed);
  if (model->scales_targets) json_put(writer, ",\"target_scaling\":true");
  json_put(writer, ",\"loss\":");
  const pynn_spec *loss = pynn_model_loss(model);
  if (loss) {
    json_put(writer, "{");
    schema_put_spec(writer, "name", loss, NULL);
    json_put(writer, "}");
  } else if (model->custom.name[0]) {
    json_put(writer, "{\"custom\":");
    json_put_string(writer, model->custom.name);
    json_put(writer, ",\"link\":");
    json_put_string(writer, pynn_table_row(PYNN_ACTIVATION, model->link_spec.row)->name);
    json_put(writer, "}");
  } else {
    json_put(writer, "null");
  }
  json_put(writer, ",\"layers\":[");
  for (int32_t i = 0; i < model->n_layers; i++) {
    if (i > 0) json_put(writer, ",");
    put_layer(writer, &model->layers[i]);
  }
  json_put(writer, "]}");
}

/* ---- reading */

/* The row's name and those of its numbers that are there, in the order of the row. */
static void take_spec(struct json *json, const char *key, pynn_table table, pynn_spec *out) {
  json_key(json, key);
  const char *name = json_string(json);
  if (json_failed(json)) return;
  if (pynn_spec_named(out, table, name) != PYNN_OK) {
    json_fail(json, "a name among this version's ", table_names[table]);
    return;
  }
  const pynn_row *row = pynn_table_row(table, out->row);
  for (int32_t i = 0; i < row->n_fields; i++) {
    const pynn_field *field = &row->fields[i];
    if (!json_has_key(json, field->name)) continue;
    double value = field->flags & PYNN_FIELD_BOOLEAN ? json_boolean(json) : json_number(json);
    if (json_failed(json)) return;
    if (pynn_spec_set(out, field->name, value) != PYNN_OK) json_fail(json, "an acceptable number as ", field->name);
  }
}

static const int64_t *take_list(struct json *json, struct schema *schema, const char *key, int64_t *n) {
  if (!json_has_key(json, key)) return NULL;
  if (!schema->lists) schema->lists = context_allocate(schema->context, (size_t)MAX_COLUMNS, sizeof *schema->lists);
  if (!schema->lists) json_fail(json, "memory for a list", "");
  int64_t *list = schema->lists + schema->n_lists, count = 0;
  json_open(json, '[');
  while (json_more(json)) {
    if (schema->n_lists == MAX_COLUMNS) json_fail(json, "no more columns than this version can have", "");
    else list[count++] = (int64_t)json_unsigned(json, (uint64_t)MAX_WIDTH), schema->n_lists++;
  }
  json_close(json, ']');
  if (*n && count != *n) json_fail(json, "as many sizes as columns", "");
  *n = count;
  return list;
}

static void take_custom_name(struct json *json, char out[PYNN_CUSTOM_NAME]) {
  const char *name = json_string(json);
  const size_t length = strlen(name);
  if (length < 1 || length >= PYNN_CUSTOM_NAME) json_fail(json, "a custom function with a shorter name", "");
  else memcpy(out, name, length);
}

/* Of the layer that was taken last. */
static void take_custom_activation(struct json *json, struct schema *schema) {
  if (!schema->customs)
    schema->customs = context_allocate(schema->context, (size_t)schema->capacity, sizeof *schema->customs);
  if (!schema->customs) json_fail(json, "memory for a name", "");
  else take_custom_name(json, schema->customs[schema->n_layers - 1]);
}

static void take_layer(struct json *json, struct schema *schema, struct layer *layer) {
  json_open(json, '{');
  take_spec(json, "kind", PYNN_LAYER, &layer->spec);
  layer->choices = schema->choices + schema->n_choices;
  for (int i = 0; i < N_SLOTS && !json_failed(json); i++) {
    if (!(layer_kinds[layer->spec.row]->slots >> i & 1)) continue;
    json_key(json, slot_table[i].name);
    json_open(json, '{');
    if (schema->n_choices == schema->choice_capacity) json_fail(json, "as many choices as begin in the text", "");
    if (json_failed(json)) return;
    pynn_choice *choice = &schema->choices[schema->n_choices++];
    choice->slot = (pynn_slot)i;
    take_spec(json, "name", slot_table[i].table, &choice->spec);
    layer->n_choices++;
    json_close(json, '}');
  }
  layer->columns = take_list(json, schema, "columns", &layer->n_columns);
  layer->sizes = take_list(json, schema, "sizes", &layer->n_columns);
  if (json_has_key(json, "custom_activation")) take_custom_activation(json, schema);
  json_close(json, '}');
}

/* The name and the link of a loss that is not in the library. */
static void take_custom_loss(struct json *json, struct schema *schema) {
  take_custom_name(json, schema->custom);
  json_key(json, "link");
  if (pynn_spec_named(&schema->link, PYNN_ACTIVATION, json_string(json)) != PYNN_OK)
    json_fail(json, "a name among this version's ", "activations");
}

/* The text of pynn.model. */
static void take_model(struct json *json, struct schema *schema) {
  pynn_model_options_init(&schema->options);
  json_open(json, '{');
  json_key(json, "dtype");
  const char *dtype = json_string(json);
  int is_double = strcmp(dtype, dtypes[PYNN_FLOAT64]) == 0;
  if (!is_double && strcmp(dtype, dtypes[PYNN_FLOAT32]) != 0) json_fail(json, "float32 or float64 as dtype", "");
  schema->options.dtype = is_double ? PYNN_FLOAT64 : PYNN_FLOAT32;
  json_key(json, "inputs");
  schema->options.inputs = (int64_t)json_unsigned(json, MAX_WIDTH);
  if (json_has_key(json, "timesteps")) schema->options.timesteps = (int64_t)json_unsigned(json, MAX_WIDTH);
  json_key(json, "seed");
  schema->options.seed = json_unsigned(json, UINT64_MAX);
  schema->options.target_scaling = json_has_key(json, "target_scaling") && json_boolean(json);
  json_key(json, "loss");
  schema->has_loss = !json_null(json);
  if (schema->has_loss) {
    json_open(json, '{');
    if (json_has_key(json, "custom")) take_custom_loss(json, schema);
    else take_spec(json, "name", PYNN_LOSS, &schema->loss);
    json_close(json, '}');
  }
  json_key(json, "layers");
  json_open(json, '[');
  while (json_more(json)) {
    if (schema->n_layers == schema->capacity) json_fail(json, "no more layers than this version can have", "");
    else take_layer(json, schema, &schema->layers[schema->n_layers++]);
  }
  json_close(json, ']');
  json_close(json, '}');
  json_finish(json);
}

/* Objects that begin so in the text. Nothing else in it does, as quotes within strings are escaped. At least 1. */
static int32_t count(const char *text, const char *beginning, int32_t limit) {
  int32_t n = 0;
  for (const char *at = text; n < limit && (at = strstr(at, beginning)); at++) n++;
  return n ? n : 1;
}

/* Layers and names that the text describes; the text is consumed. */
pynn_status schema_take(struct schema *schema, const pynn_context *context, char *text, pynn_error *error) {
  struct json json;
  json_init(&json, text, strlen(text));
  schema->context = context;
  schema->capacity = count(text, "{\"kind\":", MAX_LAYERS);
  schema->choice_capacity = count(text, ":{\"name\":", MAX_LAYERS * PYNN_MAX_CHOICES);
  schema->layers = context_allocate(context, (size_t)schema->capacity, sizeof *schema->layers);
  schema->choices = context_allocate(context, (size_t)schema->choice_capacity, sizeof *schema->choices);
  if (!schema->layers || !schema->choices)
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for the layers; received none");
  take_model(&json, schema);
  if (schema->n_layers != schema->capacity) json_fail(&json, "as many layers as begin in it", "");
  if (!json_failed(&json)) return PYNN_OK;
  char where[48];
  snprintf(where, sizeof where, schema->n_layers > 0 ? "pynn.model, at layer %" PRId32 : "pynn.model",
           schema->n_layers - 1);
  return fail_format(error, &json, where);
}

void schema_release(struct schema *schema) {
  if (!schema->context) return;
  context_release(schema->context, schema->layers, (size_t)schema->capacity, sizeof *schema->layers);
  context_release(schema->context, schema->choices, (size_t)schema->choice_capacity, sizeof *schema->choices);
  context_release(schema->context, schema->customs, (size_t)schema->capacity, sizeof *schema->customs);
  context_release(schema->context, schema->lists, (size_t)MAX_COLUMNS, sizeof *schema->lists);
}

static pynn_status bad_file(pynn_error *error) {
  if (error) error->status = PYNN_ERROR_FILE_FORMAT; /* the arguments came from the file */
  return PYNN_ERROR_FILE_FORMAT;
}

pynn_status schema_make(struct schema *schema, uint64_t room, pynn_model **out, pynn_error *error) {
  pynn_model shape;
  const struct given_layers given = {.layers = schema->layers,
                                     .n = schema->n_layers,
                                     .at = given_own_layer,
                                     .own_layers = schema->layers,
                                     .own_choices = schema->choices,
                                     .n_own_choices = schema->choice_capacity};
  pynn_status status = model_measure(&shape, schema->context, &schema->options, &given, error);
  if (status) return bad_file(error);
  if (model_size(&shape) > room)
    return fail(error, PYNN_ERROR_FILE_FORMAT,
                "expected %" PRIu64 " bytes of parameters, as the layers say; received %" PRIu64, model_size(&shape),
                room);
  status = model_new_empty(out, schema->context, &schema->options, &given, error);
  if (!status) schema->layers = NULL, schema->choices = NULL;
  return status;
}

pynn_status schema_finish(const struct schema *schema, pynn_model *model, pynn_error *error) {
  pynn_status status = PYNN_OK;
  if (schema->custom[0])
    status = model_name_custom_loss(model, schema->custom, pynn_table_row(PYNN_ACTIVATION, schema->link.row)->name);
  else if (schema->has_loss) status = pynn_model_set_loss(model, &schema->loss);
  for (int32_t i = 0; schema->customs && !status && i < schema->n_layers; i++)
    if (schema->customs[i][0] && model_name_custom_activation(model, i, schema->customs[i], error) != PYNN_OK)
      status = bad_file(error); /* the layer has no activation */
  return status;
}
