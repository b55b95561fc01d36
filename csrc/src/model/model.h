/* Making models: from layers, from a file's layers, like another model. */
#ifndef PYNN_MODEL_H
#define PYNN_MODEL_H

#include "graph/layer.h"

/* Finds out the sizes of a model of these layers, without taking memory. The layers stand `stride` bytes apart: in an
 * array, or each at the beginning of a struct layer. */
pynn_status model_measure(pynn_model *out, const pynn_context *context, const pynn_model_options *options,
                          const pynn_layer *layers, size_t stride, int32_t n_layers, pynn_error *error);
/* pynn_model_new without filling the parameters: they are zero. */
pynn_status model_new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                            const pynn_layer *layers, int32_t n_layers, pynn_error *error);
/* The same around layers of which only `spec` is set: on success they belong to the model. */
pynn_status model_new_around(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                             struct layer *layers, int32_t n_layers, pynn_error *error);

/* Makes a model of the same layers and loss in `dtype`, its numbers zero; and copies parameters and state. */
pynn_status model_like(pynn_model **out, const pynn_model *model, pynn_dtype dtype, pynn_error *error);
void model_copy(pynn_model *to, const pynn_model *from);

/* Gives a model the loss of another one with the same layers, in any dtype. */
pynn_status model_copy_loss(pynn_model *to, const pynn_model *from);
/* Sets a custom loss of which only the name and the link are known. */
pynn_status model_name_custom_loss(pynn_model *model, const char *name, const char *link);
/* Sets a custom activation of which only the name is known. */
pynn_status model_name_custom_activation(pynn_model *model, int32_t index, const char *name, pynn_error *error);

#endif
