/* The list of all kinds of layers. */
#include "layers/kinds.h"

extern const struct layer_kind layer_dense, layer_dropout, layer_activation, layer_normalization,
    layer_batch_normalization, layer_layer_normalization, layer_gaussian_noise, layer_add, layer_categorical,
    layer_masking, layer_simple_rnn, layer_lstm, layer_gru, layer_flatten, layer_average_pooling, layer_max_pooling;

const struct layer_kind *const layer_kinds[] = {
    &layer_dense,
    &layer_dropout,
    &layer_activation,
    &layer_normalization,
    &layer_batch_normalization,
    &layer_layer_normalization,
    &layer_gaussian_noise,
    &layer_add,
    &layer_categorical,
    &layer_simple_rnn,
    &layer_lstm,
    &layer_gru,
    &layer_flatten,
    &layer_average_pooling,
    &layer_max_pooling,
    &layer_masking,
};
const int32_t n_layer_kinds = sizeof layer_kinds / sizeof *layer_kinds;
