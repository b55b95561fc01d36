/* Forward and backward over one batch, in memory that a workspace holds. */
#ifndef PYNN_PASS_H
#define PYNN_PASS_H

#include "graph/job.h"

/* A batch for one pass. `x` has rows of `ldx` reals; NULL: they are those of `sparse`. Targets are in the workspace. */
struct batch {
  int64_t rows;
  const void *x;
  int64_t ldx;
  struct sparse sparse;
  int has_labels;
  int has_weights;
  int has_cells; /* weights of outputs; the weight of a row is then 1, or 0 where all of its outputs' are */
  const pynn_array *given, *given_targets; /* the caller's whole data, for messages; NULL: unknown */
  int64_t place, whole; /* of a part of a batch: its first row's place in it, and the rows of all parts; 0: all of it */
};

/* The rows whose mean the loss is. */
static inline int64_t batch_whole(const struct batch *batch) { return batch->whole ? batch->whole : batch->rows; }

/* Whether a pass over `rows` rows may call the BLAS. Predictions never do. */
int pass_uses_blas(const pynn_model *model, int64_t rows);

/* The rows of x from `first` on, where a pass can read them as they lie: see array_in_place. Timesteps have to be
 * contiguous from row to row. */
const void *pass_in_place(const pynn_model *model, const pynn_array *x, int64_t first, int64_t *ld);

/* Computes the values of every layer and returns the logits. `dropout_key` and `step` select the random draws of
 * training; without `training` there are none. */
const void *pass_forward(pynn_workspace *workspace, const struct batch *batch, int training, uint64_t dropout_key,
                         uint64_t step);

/* gradient <- dL/dparameters, from dL/d logits in dY[0]. */
void pass_backward(pynn_workspace *workspace, const struct batch *batch, void *gradient, uint64_t dropout_key,
                   uint64_t step);

/* The parts of both, for blame's replay. */
/* Prepares the job of layer `index`; the layers below have their values. */
void pass_enter(struct job *job, int32_t index, uint64_t dropout_key);
/* Adds dL/dX of the blocks that begin with this layer to its own. */
void pass_join(const struct job *job);
/* Starts the proposed state, before a forward pass in training, as a copy of the current one. */
void pass_propose(pynn_workspace *workspace);
/* Gives frozen layers a gradient of 0. */
void pass_silence(pynn_workspace *workspace, void *gradient);
/* The first layer with parameters to train: nothing needs dL/dX of the layers below it. */
int32_t pass_lowest(const pynn_model *model);

#endif
