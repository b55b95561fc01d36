/* The layout of a model: which layer owns which tensors, their specs, and what a layer's kind says about data. */
#ifndef PYNN_LAYOUT_H
#define PYNN_LAYOUT_H

#include "graph/model.h"

/* The state of laying out: sums so far, and the model to fill in, if it has memory for its tensors. */
struct layout {
  pynn_model *model;
  int32_t index; /* of the current layer; -1: the targets */
  int64_t n_parameters, n_state;
  pynn_shape shapes[MAX_LAYERS]; /* in which the layers so far take their rows */
  int32_t n_tensors;
  int reversed; /* the order of timesteps, so far */
};

/* Gives the layer a tensor under `role`: a rows x columns matrix of the parameters with these slots. */
void layer_owns(struct layout *layout, struct layer *layer, int role, const char *name, int64_t rows, int64_t columns,
                struct slots slots);
/* Gives the layer a row of the state: doubles that start as `start`. */
void layer_owns_state(struct layout *layout, struct layer *layer, int role, const char *name, int64_t columns,
                      double start);
/* The same for state that belongs to no layer; returns its offset. */
int64_t layout_state(struct layout *layout, const char *name, int64_t columns, double start);

static inline int64_t shape_columns(pynn_shape shape) { return shape.timesteps * shape.features; }

/* Checks that the layer's list of columns is in ascending order, within its input. */
pynn_status layer_check_columns(const struct layer *layer, const struct layout *layout, pynn_error *error);

/* The slots by number: name, table, and the row that pynn_layer_named chooses. */
#define SLOT_ONE(slot, name, table, row) +1
enum { N_SLOTS = 0 PYNN_SLOT_LIST(SLOT_ONE) };
#undef SLOT_ONE
struct slot {
  const char *name;
  pynn_table table;
  const char *usual;
};
extern const struct slot slot_table[N_SLOTS];

/* The slots of a kernel and of a bias, as a set for `struct layer_kind` and as the slots of a tensor. */
#define SLOTS_OF_WEIGHTS                                                                                        \
  (1u << PYNN_SLOT_KERNEL_INITIALIZER | 1u << PYNN_SLOT_BIAS_INITIALIZER | 1u << PYNN_SLOT_KERNEL_REGULARIZER | \
   1u << PYNN_SLOT_BIAS_REGULARIZER | 1u << PYNN_SLOT_KERNEL_CONSTRAINT | 1u << PYNN_SLOT_BIAS_CONSTRAINT)
#define SLOTS_OF_KERNEL \
  ((struct slots){PYNN_SLOT_KERNEL_INITIALIZER, PYNN_SLOT_KERNEL_REGULARIZER, PYNN_SLOT_KERNEL_CONSTRAINT, 0})
#define SLOTS_OF_BIAS \
  ((struct slots){PYNN_SLOT_BIAS_INITIALIZER, PYNN_SLOT_BIAS_REGULARIZER, PYNN_SLOT_BIAS_CONSTRAINT, 1})
#define SLOTS_OF_ZEROS ((struct slots){STARTS_ZERO, NO_SLOT, NO_SLOT, 1})
#define SLOTS_OF_ONES ((struct slots){STARTS_ONE, NO_SLOT, NO_SLOT, 1})

/* The choice of a layer for a slot, NULL: its kind does not have the slot. */
static inline const pynn_spec *layer_choice(const struct layer *layer, int slot) {
  for (int32_t i = 0; i < layer->n_choices; i++)
    if ((int)layer->choices[i].slot == slot) return &layer->choices[i].spec;
  return NULL;
}
/* The regularizer and the constraint that act on a tensor, NULL: none. */
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
