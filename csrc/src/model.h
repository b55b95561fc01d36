/* A model inside: layers with their shapes and the offsets of their tensors in the one parameter vector. */
#ifndef PYNN_MODEL_H
#define PYNN_MODEL_H

#include "context.h"

/* Caps that every way to a model checks before it allocates: 2^20 units, 2^10 layers, 2^36 parameters. */
#define MAX_WIDTH ((int64_t)1 << 20)
#define MAX_LAYERS ((int32_t)1 << 10)
#define MAX_PARAMETERS ((int64_t)1 << 36)

enum { LAYER_TENSORS = 4 }; /* most tensors that a layer owns */

struct layer {
  pynn_layer spec;
  const struct layer_kind *kind;
  int64_t inputs, units;               /* columns in and out */
  int64_t tensor[LAYER_TENSORS];       /* offsets into the parameters by the kind's role, -1: none */
  int64_t parameters, n_parameters;    /* the layer's stretch of the parameter vector */
  const struct activation *activation; /* as computed: linear where the loss takes the logits; NULL: none */
};

struct tensor {
  pynn_tensor view;
  int initializer;             /* number in layer_specs */
  int regularizer, constraint; /* likewise; -1: the kind has none */
};

struct custom_loss {
  pynn_loss_function function; /* NULL: none, or one of a file that was not given again */
  void *user;
  char name[PYNN_CUSTOM_NAME]; /* "": none */
  struct loss row;             /* what the model's `loss` points to then; without row_loss */
};

struct pynn_model {
  const pynn_context *context;
  const struct kernels *kernels;
  pynn_dtype dtype;
  uint64_t seed;
  int64_t inputs, outputs;
  int64_t targets; /* columns, once there is a loss: the outputs, or half of them */
  int32_t n_layers, n_tensors;
  struct layer *layers;
  struct tensor *tensors;
  int64_t n_parameters;
  void *parameters;
  int regularized, constrained; /* some layer has a penalty, a constraint */
  int parameters_given;         /* the caller has them and may write them between calls */
  int has_loss;
  pynn_spec loss_spec;
  const struct loss *loss;
  struct custom_loss custom;
  const struct activation *link; /* from logits to predictions; NULL: none */
  pynn_spec link_spec;
  char *metadata; /* key\0value\0 ... of the loaded file */
  size_t metadata_size;
};

/* The loss of one model for another of the same layers, in any dtype. */
pynn_status model_copy_loss(pynn_model *to, const pynn_model *from);
/* A custom loss that is known by name and link alone. */
pynn_status model_name_custom_loss(pynn_model *model, const char *name, const char *link);

/* Where laying out has come to: sums so far, and the model's room for tensors when it has some. */
struct layout {
  pynn_model *model;
  int32_t index; /* of the layer at hand */
  int64_t n_parameters;
  int32_t n_tensors;
};

/* Sizes of a model of these layers, without taking memory. */
pynn_status model_measure(pynn_model *out, const pynn_context *context, const pynn_model_options *options,
                          const pynn_layer *layers, int32_t n_layers, pynn_error *error);

/* pynn_model_new without filling the parameters (they are zero). */
pynn_status model_new_empty(pynn_model **out, const pynn_context *context, const pynn_model_options *options,
                            const pynn_layer *layers, int32_t n_layers, pynn_error *error);

#endif
