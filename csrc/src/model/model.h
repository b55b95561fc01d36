/* Making models: from layers, from a file's layers, like another model. */
#ifndef PYNN_MODEL_H
#define PYNN_MODEL_H

#include "graph/layer.h"

/* A layer to make, as pynn_layer or an existing layer describes it; kind == NULL: it is not valid. */
struct given_layer {
  const pynn_spec *kind;
  const pynn_choice *choices;
  int32_t n_choices;
  const int64_t *columns, *sizes;
  int64_t n_columns;
};
/* Layers to make: `at` views layer i of them. Those of a file hand over their memory. */
struct given_layers {
  const void *layers;
  int32_t n;
  struct given_layer (*at)(const void *layers, int32_t i);
  struct layer *own_layers; /* NULL: the model takes memory for layers and choices */
  pynn_choice *own_choices;
  int64_t n_own_choices;
};
struct given_layer given_layer(const void *layers, int32_t i);     /* of an array of pynn_layer */
struct given_layer given_own_layer(const void *layers, int32_t i); /* of an array of struct layer */

/* Finds out the sizes of a model of these layers, without taking memory. */
pynn_status model_measure(pynn_model *out, const pynn_context *context, const pynn_model_options *options,
                          const struct given_layers *layers, pynn_error *error);
/* pynn_model_new without filling the parameters: they are zero. */
pynn_status model_new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                            const struct given_layers *layers, pynn_error *error);

/* Makes a model of the same layers and loss in `dtype`, its numbers zero; and copies parameters and state. */
pynn_status model_like(pynn_model **out, const pynn_model *model, pynn_dtype dtype, pynn_error *error);
void model_copy(pynn_model *to, const pynn_model *from);
/* The same for rows of another number of timesteps. */
pynn_status model_like_for(pynn_model **out, const pynn_model *model, pynn_dtype dtype, int64_t timesteps,
                           pynn_error *error);

/* Gives a model the loss of another one with the same layers, in any dtype. */
pynn_status model_copy_loss(pynn_model *to, const pynn_model *from);
/* Sets a custom loss of which only the name and the link are known. */
pynn_status model_name_custom_loss(pynn_model *model, const char *name, const char *link);
/* Sets a custom activation of which only the name is known. */
pynn_status model_name_custom_activation(pynn_model *model, int32_t index, const char *name, pynn_error *error);

#endif
