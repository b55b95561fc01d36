/* The layout of a model: which layer owns which tensors, their specs, and what a layer's kind says about data. */
#ifndef PYNN_LAYOUT_H
#define PYNN_LAYOUT_H

#include "graph/model.h"

/* The state of laying out: sums so far, and the model to fill in, if it has memory for its tensors. */
struct layout {
  pynn_model *model;
  int32_t index; /* of the current layer; -1: the targets */
  int64_t n_parameters, n_state;
  int64_t widths[MAX_LAYERS]; /* inputs of the layers so far */
  int32_t n_tensors;
};

/* Gives the layer a tensor under `role`: a rows x columns matrix of the parameters, filled by the layer's initializer
 * of that number (see layer_specs), or STARTS_ZERO or STARTS_ONE. */
void layer_owns(struct layout *layout, struct layer *layer, int role, const char *name, int64_t rows, int64_t columns,
                int initializer);
/* Gives the layer a row of the state: doubles that start as `start`. */
void layer_owns_state(struct layout *layout, struct layer *layer, int role, const char *name, int64_t columns,
                      double start);
/* The same for state that belongs to no layer; returns its offset. */
int64_t layout_state(struct layout *layout, const char *name, int64_t columns, double start);

/* Checks that the layer's list of columns is in ascending order, within its input. */
pynn_status layer_check_columns(const struct layer *layer, const struct layout *layout, pynn_error *error);

/* The specs of pynn_layer beside its kind, by number. */
enum {
  SPEC_ACTIVATION,
  SPEC_KERNEL_INITIALIZER,
  SPEC_BIAS_INITIALIZER,
  SPEC_KERNEL_REGULARIZER,
  SPEC_BIAS_REGULARIZER,
  SPEC_KERNEL_CONSTRAINT,
  SPEC_BIAS_CONSTRAINT,
  N_LAYER_SPECS
};
/* Those of a kind with a kernel and a bias. */
#define SPECS_OF_WEIGHTS                                                                      \
  (1 << SPEC_KERNEL_INITIALIZER | 1 << SPEC_BIAS_INITIALIZER | 1 << SPEC_KERNEL_REGULARIZER | \
   1 << SPEC_BIAS_REGULARIZER | 1 << SPEC_KERNEL_CONSTRAINT | 1 << SPEC_BIAS_CONSTRAINT)
struct layer_spec {
  const char *key;
  pynn_table table;
  const char *usual; /* what pynn_layer_named chooses */
  size_t offset;
};
extern const struct layer_spec layer_specs[N_LAYER_SPECS];
static inline pynn_spec *layer_spec(const pynn_layer *layer, int number) {
  return (pynn_spec *)((char *)(uintptr_t)layer + layer_specs[number].offset);
}
/* The regularizer and the constraint of a tensor, NULL: none. */
const pynn_spec *layer_penalty(const pynn_model *model, const struct tensor *tensor);
const pynn_spec *layer_constraint(const pynn_model *model, const struct tensor *tensor);

/* Checks that everything that data decide was decided, and custom functions are there. NOT_READY. */
pynn_status model_ready(const pynn_model *model, int with_targets, pynn_error *error);
/* Whether a number that is not finite may stand in a column of the inputs; and in a whole row, of the dtype of
 * input_kernels. */
int model_accepts(const pynn_model *model, int64_t column, double value);
int model_accepts_row(const pynn_model *model, const void *x);
/* The first layer whose state is invalid, with the unit and its value; -1: none. */
int32_t model_odd_state(const pynn_model *model, int64_t *unit, double *value);

#endif
