/* GRU: z, r = gate(x W + h_before U + b), h = z h_before + (1 - z) g, where the reset gate r acts on the candidate g
 * after the recurrent product or before it (kernels/recurrent.template.c). */
#include "layers/recurrent.h"

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  return recurrent_shape(layer, layout, layer->spec.values[OWN_NUMBER] != 0 ? CELL_GRU : CELL_GRU_BEFORE, error);
}

const struct layer_kind layer_gru = {
    .row = {.name = "gru",
            .aliases = "",
            .n_fields = OWN_NUMBER + 1,
            .fields = {RECURRENT_NUMBERS, [OWN_NUMBER] = {"reset_after", 1, 0, 1, PYNN_FIELD_BOOLEAN}},
            .flags = PYNN_LAYER_UNITS | PYNN_LAYER_TIMESTEPS},
    .slots = SLOTS_OF_RECURRENT | 1u << PYNN_SLOT_RECURRENT_ACTIVATION,
    .activation = "tanh",
    .shape = shape,
    .needs = recurrent_needs,
    .streams = recurrent_streams,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
};
