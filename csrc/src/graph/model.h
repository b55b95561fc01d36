/* A model inside: layers with their shapes, and the offsets of their tensors in the one parameter vector. */
#ifndef PYNN_GRAPH_MODEL_H
#define PYNN_GRAPH_MODEL_H

#include "compute/context.h"

/* Caps that every way to a model checks before it allocates: 2^20 units, 2^10 layers, 2^36 parameters. */
#define MAX_WIDTH ((int64_t)1 << 20)
#define MAX_ROWS ((int64_t)1 << 40) /* of a batch */
#define MAX_LAYERS ((int32_t)1 << 10)
#define MAX_COLUMNS ((int64_t)1 << 13) /* in the lists of all layers */
#define MAX_PARAMETERS ((int64_t)1 << 36)

enum { LAYER_TENSORS = 6 }; /* most tensors that a layer owns */

struct custom_activation {
  pynn_value_function value; /* NULL: none, or one of a file that was not given again */
  pynn_derivative_function derivative;
  void *user;
  uint32_t flags;
  int has_probe; /* f'(probe_z) is not 1, and f(probe_z) = probe_y: shows whether the derivative was written */
  double probe_z, probe_y;
  char name[PYNN_CUSTOM_NAME]; /* "": none */
};

struct layer {
  pynn_spec spec;             /* the kind's row with its numbers */
  const pynn_choice *choices; /* one for each slot of the kind, in order */
  int32_t n_choices;
  const struct layer_kind *kind;
  pynn_shape in, out;
  int64_t inputs, units;               /* columns in and out: timesteps x features */
  int64_t tensor[LAYER_TENSORS];       /* by the kind's role: offset into the parameters or the state; -1: none */
  int64_t parameters, n_parameters;    /* the layer's stretch of the parameter vector */
  const struct activation *activation; /* as computed: linear where the loss takes the logits; NULL: none */
  const int64_t *columns, *sizes;      /* as in pynn_layer: n_columns numbers each, or NULL */
  int64_t n_columns;
  int32_t source; /* the layer whose input is added; -1: none */
  int begins;     /* blocks whose input this layer's is */
  int frozen;     /* steps leave its parameters and state as they are */
  int cell;       /* of a recurrent layer: CELL_... */
  int reversed;   /* timesteps come in the order from last to first */
  struct custom_activation custom;
};

enum { STARTS_ZERO = -1, STARTS_ONE = -2 }; /* in place of an initializer's slot */

/* What fills, penalizes and constrains a tensor: slots of its layer. NO_SLOT, or a slot that the kind does not have: no
 * penalty, no constraint. */
enum { NO_SLOT = -1 };
struct slots {
  int initializer, regularizer, constraint;
  int is_vector; /* constrained as one vector, not column by column */
};

struct tensor {
  pynn_tensor view;
  struct slots slots;
};

struct custom_loss {
  pynn_loss_function function; /* NULL: none, or one of a file that was not given again */
  void *user;
  int unchecked;
  char name[PYNN_CUSTOM_NAME]; /* "": none */
  struct loss row;             /* what the model's `loss` points to then; without row_loss */
};
struct pynn_model {
  const pynn_context *context;
  const struct kernels *kernels;
  pynn_dtype dtype;
  uint64_t seed;
  pynn_shape shape; /* of the rows of X */
  int64_t inputs, outputs;
  int64_t targets; /* columns, once there is a loss: the outputs, or half of them */
  int32_t n_layers, n_tensors;
  struct layer *layers;
  struct tensor *tensors;
  int64_t n_parameters;
  void *parameters;
  int regularized, constrained; /* some layer has a penalty, a constraint */
  int frozen;                   /* some layer is */
  int64_t n_state;
  double *state; /* what is kept beside the parameters and not trained */
  int scales_targets;
  int updates_state; /* steps do */
  int64_t *lists;    /* columns and sizes of all layers */
  int64_t n_lists;
  pynn_choice *choices; /* of all layers */
  int64_t n_choices;
  const struct kernels *input_kernels; /* of the dtype that the first layer reads: double for a normalization */
  int64_t target_scaling;              /* offset into the state: shift, spread and rows of the targets; -1: none */
  int parameters_given;                /* the caller has them and may write them between calls */
  int has_loss;
  pynn_spec loss_spec;
  const struct loss *loss;
  struct custom_loss custom;
  const struct activation *link; /* from logits to predictions; NULL: none */
  pynn_spec link_spec;
  char *metadata; /* key\0value\0 ... of the loaded file */
  size_t metadata_size;
};

#endif
