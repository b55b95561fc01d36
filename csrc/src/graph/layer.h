/* A kind of layer. Each kind is one file in layers/ that ends in its row, `struct layer_kind`. Everything else that
 * deals with layers - shapes, workspaces, passes, files, blame, the tables of names - reads the rows. */
#ifndef PYNN_LAYER_H
#define PYNN_LAYER_H

#include "graph/job.h"
#include "graph/layout.h"

struct replay;

/* What a layer needs of a workspace for `rows` rows beside its values. */
struct needs {
  int64_t values;  /* reals for each row, in w->z, for a backward pass */
  int64_t reals;   /* in w->reals, for all rows together */
  int64_t doubles; /* in w->doubles */
  int64_t tiles;   /* most tiles of a job; 0: no more than rows / LOSS_ROWS */
};

/* A layer's answer to a number in its input that is not finite. */
enum accepts { REFUSED, ACCEPTED, ACCEPTS_AS_NEXT };

struct layer_kind {
  pynn_row row;
  uint32_t slots;         /* 1 << slot for each that the kind has */
  const char *activation; /* that pynn_layer_named chooses; NULL: linear */
  /* Sets `out` from `in`, and the tensors that the layer owns. NULL: `out` is `in`, no tensors. */
  pynn_status (*shape)(struct layer *layer, struct layout *layout, pynn_error *error);
  void (*initialized)(pynn_model *model, const struct layer *layer); /* NULL, or: after the initializers */
  pynn_status (*ready)(const pynn_model *model, int32_t index, pynn_error *error);                 /* NULL: always */
  enum accepts (*accepts)(const pynn_model *, const struct layer *, int64_t column, double value); /* NULL: refuses */
  /* The first unit whose state is invalid, and its value; -1: none. NULL: any state is valid. */
  int64_t (*odd_state)(const pynn_model *, const struct layer *, double *value);
  struct needs (*needs)(const struct layer *layer, int64_t rows, int keeps); /* NULL: nothing */
  /* NULL, or the kind is adapted to data: checks the summary of a column, takes it over, records the number of rows. */
  pynn_status (*adapt_check)(const struct layer *, int32_t index, int64_t column, const pynn_column *, pynn_error *);
  void (*adapt)(pynn_model *, const struct layer *, int64_t column, const pynn_column *);
  void (*adapted)(pynn_model *, const struct layer *, int64_t rows);
  /* NULL, or: for a layer of one timestep, the reals of state that a row takes to the next; -1: it needs them all. */
  int64_t (*streams)(const struct layer *layer);
  /* w->y[index] <- the layer's values, with their largest magnitude and, when w->observes, their statistics. */
  void (*forward)(struct job *job);
  /* gradient <- dL/d(the layer's parameters), dX <- dL/dX. */
  void (*backward)(struct job *job);
  /* NULL, or: dL/dZ from dL/dY in place over a tile; returns the largest |dL/dZ|. The layer above calls it while the
   * tile is in the cache. */
  double (*differentiate)(const pynn_workspace *w, int32_t index, const struct tile *tile, void *dY);
  /* NULL, or forward and backward of blame's replay, for kinds of several operations. Nonzero: the fault was found. */
  int (*replay_forward)(struct replay *replay, const struct job *job);
  int (*replay_backward)(struct replay *replay, struct job *job);
};

#endif
