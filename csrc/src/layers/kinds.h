/* All kinds of layers. */
#ifndef PYNN_KINDS_H
#define PYNN_KINDS_H

#include "graph/layer.h"

/* In the order of the PYNN_LAYER table. */
extern const struct layer_kind *const layer_kinds[];
extern const int32_t n_layer_kinds;

#endif
