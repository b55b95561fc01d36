/* Forward, loss and backward over one batch, in memory that a workspace holds. */
#ifndef PYNN_PASS_H
#define PYNN_PASS_H

#include "graph/model.h"
#include "compute/parallel.h"
#include "compute/sparse.h"
#include "kernels/tiles.h"

/* What one layer's values were, taken while they were computed. */
struct layer_sums {
  double activation_max, delta_max, gradient_max, gradient_squares, penalty;
};

/* More of it, for steps that take statistics. */
struct layer_observed {
  struct observed activation, gradient;
  unsigned char *alive; /* units; set while a unit was seen to be */
};

/* Rows of ld reals: what a layer is given. Or sparse rows, which the first layer may be. */
struct values {
  const void *at;
  int64_t ld;
  const struct sparse *sparse;
};

struct pynn_workspace {
  const pynn_model *model;
  int64_t capacity;             /* rows */
  int64_t widest;               /* columns of the widest layer, input included */
  int keeps;                    /* every layer's values are kept for a backward pass */
  void *input;                  /* capacity x inputs: the batch */
  void *targets;                /* capacity x outputs */
  int64_t *labels;              /* capacity */
  double *weights;              /* capacity */
  double *losses;               /* capacity: of rows, from a custom loss */
  int failed;                   /* a function of the caller's did, in this pass: see pass_failed */
  pynn_loss_function looked_at; /* the custom loss whose gradient was compared with differences */
  struct {
    int64_t row, column; /* of the batch */
    double expected, received;
  } wrong;          /* gradient of a custom loss */
  void **y;         /* per layer, capacity x units: its values */
  void **z;         /* per layer, what its kind needs beside them: values before the activation */
  double **doubles; /* per layer, the doubles its kind needs */
  double *doubles_block;
  size_t n_doubles;
  double *proposed;        /* the state as the step at hand would leave it; NULL: no layer changes it */
  struct values *inputs;   /* per layer and one more: what each was given in this pass, and the logits */
  void *delta[2];          /* capacity x widest: dL/d output of the layer at hand and of the one below */
  void *panels;            /* the delta, packed for the product with W^T */
  struct layer_sums *sums; /* per layer */
  double *tile_max, *tile_sum, *tile_penalty; /* per tile of the job at hand */
  int64_t tiles;
  int observes;                    /* this pass takes statistics */
  struct layer_observed *observed; /* per layer; NULL: statistics are never taken */
  struct observed *tile_observed;  /* per tile */
  unsigned char *tile_alive;       /* per row of tiles, units of the layer at hand */
  unsigned char *alive;            /* what the layers' `alive` point into */
  size_t values;                   /* reals in the block that starts at `input` */
};

/* `keeps` != 0: for training. */
pynn_status workspace_new(pynn_workspace **out, const pynn_model *model, int64_t capacity, int keeps);

/* Takes the memory that statistics need, or gives it back. */
pynn_status workspace_observe(pynn_workspace *workspace, int wanted);

/* The batch and its targets for one pass. `x` has rows of `ldx` reals; NULL: they are those of `sparse`. */
struct batch {
  int64_t rows;
  const void *x;
  int64_t ldx;
  struct sparse sparse;
  int has_labels;
  int has_weights;
  const pynn_array *given, *given_targets; /* the caller's data, whole; NULL: not at hand */
};

/* Whether a pass over `rows` rows may call the BLAS (rows of predictions never do). */
int pass_uses_blas(const pynn_model *model, int64_t rows);

/* Values of every layer; the last one's are the logits. `dropout_key` and `step` draw dropout in training; without
 * `training` dropout does nothing. Returns the logits. */
const void *pass_forward(pynn_workspace *workspace, const struct batch *batch, int training, uint64_t dropout_key,
                         uint64_t step);

/* The loss of one row of logits, delta (may be NULL) <- scale * its gradient; NaN where a custom loss fails or has a
 * gradient that is not finite. Calls a custom loss for this row alone: only for rows that something is wrong with. */
double pass_row_loss(const pynn_workspace *workspace, const void *logits, const void *target, int64_t label,
                     double scale, void *delta);

/* Sum over rows of weight x loss; with `backward`, delta[0] <- d(sum / rows) / d logits. */
double pass_loss(pynn_workspace *workspace, const struct batch *batch, const void *logits, int backward);
/* CALLBACK when a function of the caller's failed in the last pass: what it gave is NaN. INVALID_ARGUMENT when it was
 * seen to give a wrong gradient. */
pynn_status pass_failed(const pynn_workspace *workspace, pynn_error *error);

/* What the layers' regularisers add to the loss of one row, from the parameters, and as the last backward pass saw it.
 */
double pass_penalty(const pynn_model *model);
double pass_seen_penalty(const pynn_workspace *workspace);

/* Sums over the first `rows` rows of weight x loss: of logits ld apart; if all were 0, what knowing nothing costs; and
 * if each row had the mean of these rows' `logits`, what telling no row from another costs. The last two use the
 * deltas. */
double pass_rows_loss(const pynn_workspace *workspace, const struct batch *batch, int64_t rows, const void *logits,
                      int64_t ld);
double pass_trivial_loss(pynn_workspace *workspace, const struct batch *batch, int64_t rows);
double pass_constant_loss(pynn_workspace *workspace, const struct batch *batch, int64_t rows, const void *logits);

struct job;
/* The job of layer `index` in a pass whose forward has come that far. */
void pass_enter(struct job *job, int32_t index, uint64_t dropout_key);
/* The deltas of blocks that begin with this layer, added to the one that came out of it. */
void pass_join(const struct job *job);
/* Before a forward pass in training: the state is proposed as it is. */
void pass_propose(pynn_workspace *workspace);
/* The first layer with parameters: nothing needs the delta of those below it. */
int32_t pass_lowest(const pynn_model *model);

/* gradient <- dL/dparameters, from delta[0]. */
void pass_backward(pynn_workspace *workspace, const struct batch *batch, void *gradient, uint64_t dropout_key,
                   uint64_t step);

/* out (rows x outputs) <- link(logits), or the logits when raw. */
void pass_predictions(const pynn_workspace *workspace, int64_t rows, const void *logits, int raw, void *out);

/* Targets and weights of rows order[first ...] into the workspace; LABEL names the row in `error`. */
pynn_status pass_targets(pynn_workspace *workspace, const pynn_array *targets, const pynn_array *weights,
                         const int64_t *order, int64_t first, struct batch *batch, pynn_error *error);
/* Shape and dtype of x against the model; and of targets and weights against its loss. */
pynn_status pass_check_inputs(const pynn_model *model, const pynn_array *x, pynn_error *error);
pynn_status pass_check_targets(const pynn_model *model, const pynn_array *x, const pynn_array *targets,
                               const pynn_array *weights, pynn_error *error);

#endif
