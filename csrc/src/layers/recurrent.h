/* What recurrent layers share: their tensors, memory, passes through time and the gradients of their kernels. */
#ifndef PYNN_RECURRENT_H
#define PYNN_RECURRENT_H

#include "graph/layer.h"

/* Tensors of a direction; those of the second follow. Numbers: all kinds begin with these. */
enum { KERNEL, RECURRENT, BIAS, DIRECTION_TENSORS };
enum { UNITS, USE_BIAS, RETURN_SEQUENCES, GO_BACKWARDS, BIDIRECTIONAL, OWN_NUMBER };

/* Columns of a kernel that are multiplied into columns of a row of Z, in gates of `units` columns each. */
struct block {
  int from, gates, to;
  int accumulates; /* forward: Z has the input's products there */
  int reads;       /* the columns of Z that are multiplied; OF_STATE: h */
};
enum { OF_STATE = -1 };

/* How a cell is laid out. Row of Z: `width` gates; kernels: `gates` of them. */
struct cell_layout {
  int cell; /* CELL_... */
  int gates, width;
  int has_c;
  int recurrent_bias; /* of its own: the bias has two rows */
  int n_input, n_recurrent, n_back;
  struct block input[2], recurrent[2], back[2]; /* back: the recurrent ones, together where they are contiguous */
};

extern const struct cell_layout cell_layouts[];

#define RECURRENT_NUMBERS                                                 \
  [UNITS] = {"units", 1, 1, (double)MAX_WIDTH, PYNN_FIELD_INTEGER},       \
  [USE_BIAS] = {"use_bias", 1, 0, 1, PYNN_FIELD_BOOLEAN},                 \
  [RETURN_SEQUENCES] = {"return_sequences", 0, 0, 1, PYNN_FIELD_BOOLEAN}, \
  [GO_BACKWARDS] = {"go_backwards", 0, 0, 1, PYNN_FIELD_BOOLEAN},         \
  [BIDIRECTIONAL] = {"bidirectional", 0, 0, 1, PYNN_FIELD_BOOLEAN}
#define SLOTS_OF_RECURRENT                                                                 \
  (1u << PYNN_SLOT_ACTIVATION | SLOTS_OF_WEIGHTS | 1u << PYNN_SLOT_RECURRENT_INITIALIZER | \
   1u << PYNN_SLOT_RECURRENT_REGULARIZER | 1u << PYNN_SLOT_RECURRENT_CONSTRAINT)

pynn_status recurrent_shape(struct layer *layer, struct layout *layout, int cell, pynn_error *error);
struct needs recurrent_needs(const struct layer *layer, int64_t rows, int keeps);
int64_t recurrent_streams(const struct layer *layer);
void recurrent_forward(struct job *job);
void recurrent_backward(struct job *job);

#endif
