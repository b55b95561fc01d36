/* SimpleRNN: h = f(x W + h_before U + b). */
#include "layers/recurrent.h"

static pynn_status shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  return recurrent_shape(layer, layout, CELL_SIMPLE, error);
}

const struct layer_kind layer_simple_rnn = {
    .row = {.name = "simple_rnn",
            .aliases = "",
            .n_fields = OWN_NUMBER,
            .fields = {RECURRENT_NUMBERS},
            .flags = PYNN_LAYER_UNITS | PYNN_LAYER_TIMESTEPS},
    .slots = SLOTS_OF_RECURRENT,
    .activation = "tanh",
    .shape = shape,
    .needs = recurrent_needs,
    .streams = recurrent_streams,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
};
