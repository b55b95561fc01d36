/* The description of a model in a file: the JSON text of "pynn.model".
 *
 *   {"dtype":"float32", "inputs":784, <"timesteps":28>, "seed":0, <"target_scaling":true>, "loss":null or {"name":...,
 * <numbers>}, "layers":[{"kind":"dense", <numbers>, "activation":{"name":..., <numbers>}, "kernel_initializer":{...},
 *    "bias_initializer":{...}}, {"kind":"dropout", <numbers>}, {"kind": "categorical", <numbers>, ..., "columns":[0,
 * 3], "sizes":[7, 2]}]}
 *
 * Keys are read in this order only. A number that a row does not have in the file keeps its default. */
#ifndef PYNN_SCHEMA_H
#define PYNN_SCHEMA_H

#include "base/json.h"
#include "graph/model.h"

void schema_put(struct json_writer *writer, const pynn_model *model);
/* "key":"<the row's name>" and its numbers but the one called `without` (NULL: all). */
void schema_put_spec(struct json_writer *writer, const char *key, const pynn_spec *spec, const char *without);

/* A description that was read. Starts as zeros. */
struct schema {
  const pynn_context *context;
  pynn_model_options options;
  int has_loss;
  pynn_spec loss, link;
  char custom[PYNN_CUSTOM_NAME]; /* name of a custom loss, "": none */
  struct layer *layers;          /* with their specs and lists alone; they become the model's */
  int32_t n_layers, capacity;
  pynn_choice *choices; /* of all layers; they become the model's */
  int32_t n_choices, choice_capacity;
  char (*customs)[PYNN_CUSTOM_NAME]; /* names of the layers' custom activations; NULL: none so far */
  int64_t *lists;                    /* MAX_COLUMNS numbers of the layers' columns and sizes; NULL: none so far */
  int64_t n_lists;
};
/* Reads a description; the text is consumed. */
pynn_status schema_take(struct schema *schema, const pynn_context *context, char *text, pynn_error *error);
/* Makes the model, if its numbers fit into `room` bytes. */
pynn_status schema_make(struct schema *schema, uint64_t room, pynn_model **out, pynn_error *error);
/* Sets its loss and the names of its custom activations. */
pynn_status schema_finish(const struct schema *schema, pynn_model *model, pynn_error *error);
void schema_release(struct schema *schema);

/* Bytes of the numbers of a model in a file. */
static inline uint64_t state_size(const pynn_model *model) { return (uint64_t)model->n_state * sizeof *model->state; }
static inline uint64_t parameters_size(const pynn_model *model) {
  return (uint64_t)model->n_parameters * model->kernels->size;
}
static inline uint64_t model_size(const pynn_model *model) { return state_size(model) + parameters_size(model); }

#endif
