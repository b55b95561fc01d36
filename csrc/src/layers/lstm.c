/* LSTM: i, f, o = gate(x W + h_before U + b), g = f(the same), c = f c_before + i g, h = o f(c). */
#include "layers/recurrent.h"

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  return recurrent_shape(layer, layout, CELL_LSTM, error);
}

static void initialized(pynn_model *model, const struct layer *layer) {
  const int64_t units = (int64_t)layer->spec.values[UNITS];
  if (layer->spec.values[OWN_NUMBER] == 0) return;
  for (int role = BIAS; role < LAYER_TENSORS; role += DIRECTION_TENSORS)
    if (layer->tensor[role] >= 0)
      fill(model->kernels, at(model->kernels, model->parameters, layer->tensor[role] + units), units, 1);
}

const struct layer_kind layer_lstm = {
    .row = {.name = "lstm",
            .aliases = "",
            .n_fields = OWN_NUMBER + 1,
            .fields = {RECURRENT_NUMBERS, [OWN_NUMBER] = {"unit_forget_bias", 1, 0, 1, PYNN_FIELD_BOOLEAN}},
            .flags = PYNN_LAYER_UNITS | PYNN_LAYER_TIMESTEPS},
    .slots = SLOTS_OF_RECURRENT | 1u << PYNN_SLOT_RECURRENT_ACTIVATION,
    .activation = "tanh",
    .shape = shape,
    .initialized = initialized,
    .needs = recurrent_needs,
    .streams = recurrent_streams,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
};
