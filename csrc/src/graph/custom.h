/* Calls of the caller's functions: with the floating-point state and in a dtype that their authors expect. */
#ifndef PYNN_CUSTOM_H
#define PYNN_CUSTOM_H

#include "graph/model.h"

/* What `activation` of a layer points to when it has a custom one: row-wise, so that tiles are whole rows. Its
 * functions are not called; those of the layer's `custom` are. */
extern const struct activation custom_activation_row;

static inline int has_custom(const struct layer *layer) { return layer->activation == &custom_activation_row; }

/* y = f(z), and delta <- delta * f'(z), over n reals of the model's dtype. Nonzero: the function failed; the results
 * are NaN then. */
int custom_value(const pynn_model *model, const struct custom_activation *custom, int64_t n, const void *z, void *y);
int custom_derivative(const pynn_model *model, const struct custom_activation *custom, int64_t n, const void *z,
                      const void *y, void *delta);

#endif
