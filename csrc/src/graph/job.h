/* One layer's work in a pass, and what forward and backward of all kinds are made of. */
#ifndef PYNN_JOB_H
#define PYNN_JOB_H

#include "compute/parallel.h"
#include "graph/model.h"
#include "graph/workspace.h"
#include "kernels/tiles.h"

struct job {
  pynn_workspace *w;
  int32_t index;
  const struct layer *layer;
  int64_t rows;
  int64_t place; /* of the first row in the whole batch: random draws count from there */
  int training;
  const void *x; /* the layer's input, rows of ldx reals */
  int64_t ldx;
  const struct sparse *sparse; /* instead of x; NULL: dense */
  uint64_t key, step;          /* of the layer's random draws in this step */

  /* backward only */
  void *dY; /* dL/dY, rows x units; may be overwritten */
  void *dX; /* where dL/dX goes, rows x inputs; set to dY when it is written there; NULL: nobody needs it */
  void *gradient;
  int differentiated;       /* dY is dL/dZ already */
  int fuses;                /* dL/dX, tile by tile, may go through `differentiate` of the layer below ... */
  int below_differentiated; /* ... and did */

  struct tiling tiling; /* of the current operation */
  int blas;
};

/* Runs `tile` over the tiles of job->tiling; `work` is floating-point operations for each of its numbers. */
void job_run(struct job *job, double work, void (*tile)(void *job, int64_t index));
/* The same over tiles of whole rows, or of whole columns. */
void job_rows(struct job *job, double work, void (*tile)(void *job, int64_t index));
void job_columns(struct job *job, double work, void (*tile)(void *job, int64_t index));

/* Whether the tiles of this layer's dL/dX also differentiate the layer below. */
int job_fuses(const struct job *job);

/* Applies the layer's activation to a tile of w->z, into w->y. */
void job_activate(const struct job *job, const struct tile *tile);
/* Applies the layer's custom activation to w->z, or to X where that is Z, into w->y; returns the largest magnitude. */
double job_custom_values(struct job *job);
/* Takes statistics of a tile of the layer's values, and puts them together once all tiles are done. */
void job_observe(const struct job *job, int64_t index, const struct tile *tile);
void job_observed(const struct job *job);
/* Adds what was seen of more numbers. */
void observed_add(struct observed *all, const struct observed *more);
/* The same with the largest magnitude: forward calls the first for each tile of values and the second at the end. */
void job_value_tile(const struct job *job, int64_t index, const struct tile *tile);
void job_valued(const struct job *job);
/* dL/dX was written over dY: takes its largest magnitude. */
void job_dX_in_place(struct job *job);
/* The gradient of a tensor from number `from`, NULL when the layer does not have the tensor. */
void *job_gradient_of(const struct job *job, int role, int64_t from);
/* job_gradient of two tensors' parts of n numbers, either of which may be NULL. */
void job_gradient_pair(const struct job *job, int64_t index, const void *first, const void *second, size_t n);
/* Adds the gradient of a regularizer (its slot) to n numbers of the gradient; returns the penalty. */
double job_penalty(const struct job *job, int regularizer, void *gradient, size_t n);
/* Takes the largest magnitude and the sum of squares of a tile of the gradient, n numbers; the first adds a penalty
 * before; the last puts all tiles together. */
void job_penalised_gradient(const struct job *job, int64_t index, int regularizer, void *gradient, size_t n);
void job_gradient(const struct job *job, int64_t index, const void *gradient, size_t n);
void job_gradients(const struct job *job, int64_t tiles);
/* The largest of the job's tiles in w->tile_max. */
double job_largest(const struct job *job, int64_t tiles);

/* dL/dZ from dL/dY through the activation of layer `index`, over a tile; and through a whole layer's. */
double differentiate(const pynn_workspace *w, int32_t index, const struct tile *tile, void *dY);
void job_differentiate(struct job *job);

static inline int rowwise(const struct layer *layer) {
  return layer->activation && (layer->activation->row.flags & PYNN_ROW_ROWWISE);
}
/* Whether timestep t of row i of the batch is padding. */
static inline int job_skips(const struct job *job, int64_t i, int64_t t) {
  const pynn_workspace *w = job->w;
  return w->masked &&
         w->skips[i * w->model->shape.timesteps + (job->layer->reversed ? job->layer->in.timesteps - 1 - t : t)];
}
static inline void *job_values(const struct job *job) { return job->w->y[job->index]; }
static inline const struct kernels *job_kernels(const struct job *job) { return job->w->model->kernels; }
static inline double *layer_state(const struct job *job, int role) {
  return job->w->model->state + job->layer->tensor[role];
}
/* The state that an applied step commits; a copy of the current state when the pass begins. */
static inline double *layer_proposal(const struct job *job, int role) {
  return job->w->proposed + job->layer->tensor[role];
}
static inline void *layer_tensor(const struct job *job, int role) {
  return job->layer->tensor[role] < 0 ? NULL
                                      : at(job_kernels(job), job->w->model->parameters, job->layer->tensor[role]);
}

#endif
