/* Tensors and specs of layers, and their answers to data. */
#include "graph/layout.h"

#include "graph/layer.h"

#include <math.h>

const struct slot slot_table[N_SLOTS] = {
#define SLOT_ROW(slot, name, table, row) [slot] = {name, table, row},
    PYNN_SLOT_LIST(SLOT_ROW)
#undef SLOT_ROW
};

pynn_status layer_check_columns(const struct layer *layer, const struct layout *layout, pynn_error *error) {
  int64_t previous = -1;
  for (int64_t i = 0; i < layer->n_columns; previous = layer->columns[i++]) {
    const int64_t column = layer->columns[i];
    if (column <= previous || column >= layer->inputs)
      return fail(error, PYNN_ERROR_SHAPE,
                  "expected columns of layer %d in ascending order within 0 ... %lld; received %lld after %lld",
                  (int)layout->index, (long long)layer->inputs - 1, (long long)column, (long long)previous);
  }
  return PYNN_OK;
}

/* The choice for a slot of a tensor's layer; NULL when it is none, or row 0 of its table ("none"), or the layer is
 * frozen. */
static const pynn_spec *chosen(const pynn_model *model, const struct tensor *tensor, int slot) {
  const struct layer *layer = slot < 0 ? NULL : &model->layers[tensor->view.layer];
  const pynn_spec *spec = layer && !layer->frozen ? layer_choice(layer, slot) : NULL;
  return spec && spec->row ? spec : NULL;
}
const pynn_spec *layer_penalty(const pynn_model *model, const struct tensor *tensor) {
  return chosen(model, tensor, tensor->slots.regularizer);
}
const pynn_spec *layer_constraint(const pynn_model *model, const struct tensor *tensor) {
  return chosen(model, tensor, tensor->slots.constraint);
}

void layer_owns(struct layout *l, struct layer *layer, int role, const char *name, int64_t rows, int64_t columns,
                struct slots tensor_slots) {
  layer->tensor[role] = l->n_parameters;
  if (l->model->tensors)
    l->model->tensors[l->n_tensors] =
        (struct tensor){{name, l->index, l->n_parameters, rows, columns, 1}, tensor_slots};
  l->n_tensors++;
  l->n_parameters += rows * columns;
}

int64_t layout_state(struct layout *l, const char *name, int64_t columns, double start) {
  const int64_t offset = l->n_state;
  if (l->model->tensors)
    l->model->tensors[l->n_tensors] = (struct tensor){{name, l->index, offset, 1, columns, 0}, SLOTS_OF_ZEROS};
  for (int64_t i = 0; l->model->state && i < columns; i++) l->model->state[offset + i] = start;
  l->n_tensors++;
  l->n_state += columns;
  return offset;
}

void layer_owns_state(struct layout *l, struct layer *layer, int role, const char *name, int64_t columns,
                      double start) {
  layer->tensor[role] = layout_state(l, name, columns, start);
}

/* ---- data */

pynn_status model_ready(const pynn_model *model, int with_targets, pynn_error *error) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct custom_activation *custom = &model->layers[i].custom;
    if (custom->name[0] && !custom->value) {
      fail(error, PYNN_ERROR_NOT_READY,
           "expected the functions of the activation '%s' of layer %d, from pynn_model_set_custom_activation; received "
           "a file, which has the name alone",
           custom->name, (int)i);
      if (error) error->layer = i;
      return PYNN_ERROR_NOT_READY;
    }
    if (!model->layers[i].kind->ready) continue;
    pynn_status status = model->layers[i].kind->ready(model, i, error);
    if (status) return status;
  }
  if (with_targets && model->scales_targets && !(model->state[model->target_scaling + 2 * model->outputs] > 0))
    return fail(error, PYNN_ERROR_NOT_READY,
                "expected targets to have been summarised, by pynn_target_adapt; received target_scaling without");
  return PYNN_OK;
}

int model_accepts(const pynn_model *model, int64_t column, double value) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer_kind *kind = model->layers[i].kind;
    const enum accepts answer = kind->accepts ? kind->accepts(model, &model->layers[i], column, value)
                                : kind->row.flags & PYNN_LAYER_ONLY_TRAINS ? ACCEPTS_AS_NEXT
                                                                           : REFUSED;
    if (answer != ACCEPTS_AS_NEXT) return answer == ACCEPTED;
  }
  return 0;
}

int32_t model_odd_state(const pynn_model *model, int64_t *unit, double *value) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    if (layer->kind->odd_state && (*unit = layer->kind->odd_state(model, layer, value)) >= 0) return i;
  }
  return -1;
}

int model_accepts_row(const pynn_model *model, const void *x) {
  const struct kernels *kernels = model->input_kernels;
  if (kernels->largest((size_t)model->inputs, x) <= kernels->maximum) return 1;
  for (int64_t j = 0; j < model->inputs; j++) {
    double value;
    kernels->to_double(1, at(kernels, x, j), &value);
    if (!isfinite(value) && !model_accepts(model, j, value)) return 0;
  }
  return 1;
}
