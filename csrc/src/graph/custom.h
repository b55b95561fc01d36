/* Custom activations: calls of their functions, with the floating-point state and in a dtype that these expect. */
#ifndef PYNN_CUSTOM_H
#define PYNN_CUSTOM_H

#include "graph/model.h"

/* The `activation` of a layer that has a custom one: row-wise, so that tiles are whole rows. Its functions are never
 * called; those of the layer's `custom` are. */
extern const struct activation custom_activation_row;

static inline int has_custom(const struct layer *layer) { return layer->activation == &custom_activation_row; }

/* Chooses what layer `index` computes: its custom activation, or its own unless the loss applies that. */
void custom_choose(pynn_model *model, int32_t index);

/* y = f(z), and delta <- delta * f'(z), over n reals of the model's dtype. Nonzero: the function failed, and the
 * results are NaN. */
int custom_value(const pynn_model *model, const struct custom_activation *custom, int64_t n, const void *z, void *y);
int custom_derivative(const pynn_model *model, const struct custom_activation *custom, int64_t n, const void *z,
                      const void *y, void *delta);

/* The functions themselves, over n reals of a dtype that they take. */
int custom_takes(const struct custom_activation *custom, pynn_dtype dtype);
int custom_call_value(const struct custom_activation *custom, pynn_dtype dtype, int64_t n, const void *z, void *y);
int custom_call_derivative(const struct custom_activation *custom, pynn_dtype dtype, int64_t n, const void *z,
                           const void *y, void *delta);

#endif
