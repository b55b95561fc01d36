/* What a kind of layer is. Each kind is one file in layers/ that ends in its row, `struct layer_kind`; everything else
 * that deals with layers - shapes, workspaces, passes, files, blame, the tables of names - goes by the rows. */
#ifndef PYNN_LAYER_H
#define PYNN_LAYER_H

#include "graph/model.h"
#include "pass/pass.h"
#include "kernels/tiles.h"

/* ---- shapes */

/* A layer's tensor `role` is a rows x columns matrix of the parameters, filled by the layer's initializer of that
 * number (see layer_specs), or STARTS_ZERO or STARTS_ONE. */
void layer_owns(struct layout *layout, struct layer *layer, int role, const char *name, int64_t rows, int64_t columns,
                int initializer);
/* The same for a row of the state, doubles that all begin as `start`. */
void layer_owns_state(struct layout *layout, struct layer *layer, int role, const char *name, int64_t columns,
                      double start);

/* The layer's list of columns is in ascending order, within its input. */
pynn_status layer_check_columns(const struct layer *layer, const struct layout *layout, pynn_error *error);

/* The specs of pynn_layer beside its kind, by number: names in files and messages, and where they stand. */
enum {
  SPEC_ACTIVATION,
  SPEC_KERNEL_INITIALIZER,
  SPEC_BIAS_INITIALIZER,
  SPEC_KERNEL_REGULARIZER,
  SPEC_BIAS_REGULARIZER,
  SPEC_KERNEL_CONSTRAINT,
  SPEC_BIAS_CONSTRAINT,
  N_LAYER_SPECS
};
/* Those that a kind with a kernel and a bias has. */
#define SPECS_OF_WEIGHTS                                                                      \
  (1 << SPEC_KERNEL_INITIALIZER | 1 << SPEC_BIAS_INITIALIZER | 1 << SPEC_KERNEL_REGULARIZER | \
   1 << SPEC_BIAS_REGULARIZER | 1 << SPEC_KERNEL_CONSTRAINT | 1 << SPEC_BIAS_CONSTRAINT)
struct layer_spec {
  const char *key;
  pynn_table table;
  const char *usual; /* what pynn_layer_named chooses */
  size_t offset;
};
extern const struct layer_spec layer_specs[N_LAYER_SPECS];
/* The regulariser and the constraint of a tensor, NULL: none. */
const pynn_spec *layer_penalty(const pynn_model *model, const struct tensor *tensor);
const pynn_spec *layer_constraint(const pynn_model *model, const struct tensor *tensor);
static inline pynn_spec *layer_spec(const pynn_layer *layer, int number) {
  return (pynn_spec *)((char *)(uintptr_t)layer + layer_specs[number].offset);
}

/* ---- one layer's work in a pass */

struct replay;

struct job {
  pynn_workspace *w;
  int32_t index;
  const struct layer *layer;
  int64_t rows;
  int training;
  const void *x; /* the layer's input, rows of ldx reals */
  int64_t ldx;
  const struct sparse *sparse; /* instead of x; NULL: not */
  uint64_t key, step;          /* of the layer's random draws in this step */

  /* backward only */
  void *delta; /* dL/dY, rows x units; may be written over */
  void *below; /* where dL/dX goes, rows x inputs, or delta again when it is there; NULL: nobody wants it */
  void *gradient;
  int differentiated;       /* delta is dL/dZ already */
  int fuses;                /* dL/dX, tile by tile, may go through `differentiate` of the layer below ... */
  int below_differentiated; /* ... and did */

  struct tiling tiling; /* of the part at hand */
  int blas;
};

/* What a layer needs of a workspace for `rows` rows beside its values. */
struct needs {
  int64_t values;  /* reals for each row, in w->z, for a backward pass */
  int64_t doubles; /* in w->doubles */
  int64_t tiles;   /* most tiles of a job; 0: no more than rows / LOSS_ROWS */
};

/* What a layer says of a number in its input that is not finite. */
enum accepts { REFUSED, ACCEPTED, ACCEPTS_AS_NEXT };

struct layer_kind {
  pynn_row row;
  uint32_t flags;
  uint32_t specs; /* of layer_specs: 1 << number for each that the kind has */
  /* Units from inputs; says what the layer owns. NULL: as many, nothing. */
  pynn_status (*shape)(struct layer *layer, struct layout *layout, pynn_error *error);
  pynn_status (*ready)(const pynn_model *model, int32_t index, pynn_error *error);                 /* NULL: always */
  enum accepts (*accepts)(const pynn_model *, const struct layer *, int64_t column, double value); /* NULL: refuses */
  /* The first unit whose state no training leaves behind, and the number; -1: none. NULL: any state will do. */
  int64_t (*odd_state)(const pynn_model *, const struct layer *, double *value);
  struct needs (*needs)(const struct layer *layer, int64_t rows); /* NULL: nothing */
  /* w->y[index] <- the layer's values, with their largest magnitude and, when w->observes, their statistics. */
  void (*forward)(struct job *job);
  /* gradient <- dL/d(the layer's parameters), below <- dL/dX. */
  void (*backward)(struct job *job);
  /* NULL, or: dL/dZ from dL/dY in place over a tile of the delta; returns the largest |dL/dZ|. The layer above calls it
   * while the tile is in the cache. */
  double (*differentiate)(const pynn_workspace *w, int32_t index, const struct tile *tile, void *delta);
  /* NULL, or forward and backward of blame's replay, for kinds of several operations. Nonzero: the fault was found. */
  int (*replay_forward)(struct replay *replay, const struct job *job);
  int (*replay_backward)(struct replay *replay, struct job *job);
};

enum {
  LAYER_ONLY_TRAINS = 1,    /* predictions pass by the layer */
  LAYER_PRODUCT = 2,        /* of rows x inputs and inputs x units: may go to the BLAS */
  LAYER_SPARSE = 4,         /* takes sparse rows, as the first layer */
  LAYER_READS_DOUBLE = 8,   /* as the first layer, whatever the model's dtype */
  LAYER_UPDATES_STATE = 16, /* forward in training proposes new state, which an applied step commits */
  LAYER_TAKES_CODES = 32    /* numbers that mean something only as they are */
};

extern const struct layer_kind layer_dense, layer_dropout, layer_activation, layer_normalization,
    layer_batch_normalization, layer_layer_normalization, layer_gaussian_noise, layer_add, layer_categorical;

/* All kinds, in the order of the PYNN_LAYER table. */
extern const struct layer_kind *const layer_kinds[];
extern const int32_t n_layer_kinds;

/* ---- what forward and backward are made of */

/* Runs `tile` over the tiles of job->tiling; `work` is floating-point operations for each of its numbers. */
void job_run(struct job *job, double work, void (*tile)(void *job, int64_t index));

/* The same over tiles of whole rows, or of whole columns. */
void job_rows(struct job *job, double work, void (*tile)(void *job, int64_t index));
void job_columns(struct job *job, double work, void (*tile)(void *job, int64_t index));

/* Whether the layer below is differentiated by the tiles of this one's dL/dX. */
int job_fuses(const struct job *job);

/* The layer's activation over a tile of w->z into w->y. */
void job_activate(const struct job *job, const struct tile *tile);
/* The layer's custom activation over w->z, or X where that is Z, into w->y; returns the largest magnitude. */
double job_custom_values(struct job *job);
/* Statistics of a tile of the layer's values, and of all tiles once they are done. */
void job_observe(const struct job *job, int64_t index, const struct tile *tile);
void job_observed(const struct job *job);
/* The same with the largest magnitude: what forward does to a tile of values, and once all are done. */
void job_value_tile(const struct job *job, int64_t index, const struct tile *tile);
void job_valued(const struct job *job);
/* dL/dX stands in delta: its largest magnitude. */
void job_delta_in_place(struct job *job);
/* The gradient of a tensor from number `from`, NULL when the layer does not have it. */
void *job_gradient_of(const struct job *job, int role, int64_t from);
/* job_gradient of two tensors' parts of n numbers, either of which may be NULL. */
void job_gradient_pair(const struct job *job, int64_t index, const void *first, const void *second, size_t n);
/* Adds the gradient of a regulariser (its number in layer_specs) to n numbers of the gradient; returns the penalty. */
double job_penalty(const struct job *job, int regularizer, void *gradient, size_t n);
/* The largest magnitude and the sum of squares of a tile of the gradient, n numbers; and of all tiles. With a penalty
 * first, where the tile is of a tensor that may have one. */
void job_penalised_gradient(const struct job *job, int64_t index, int regularizer, void *gradient, size_t n);
void job_gradient(const struct job *job, int64_t index, const void *gradient, size_t n);
void job_gradients(const struct job *job, int64_t tiles);
/* The largest of what the job's tiles left in w->tile_max. */
double job_largest(const struct job *job, int64_t tiles);

/* dL/dZ from dL/dY through layer `index`'s activation, and a whole layer of it. */
double differentiate(const pynn_workspace *w, int32_t index, const struct tile *tile, void *delta);
void job_differentiate(struct job *job);

static inline int rowwise(const struct layer *layer) {
  return layer->activation && (layer->activation->row.flags & PYNN_ROW_ROWWISE);
}
static inline void *job_values(const struct job *job) { return job->w->y[job->index]; }
static inline const struct kernels *job_kernels(const struct job *job) { return job->w->model->kernels; }
static inline double *layer_state(const struct job *job, int role) {
  return job->w->model->state + job->layer->tensor[role];
}
/* What the state is to be once the step is applied; begins as what it is. */
static inline double *layer_proposal(const struct job *job, int role) {
  return job->w->proposed + job->layer->tensor[role];
}
static inline void *layer_tensor(const struct job *job, int role) {
  return job->layer->tensor[role] < 0 ? NULL
                                      : at(job_kernels(job), job->w->model->parameters, job->layer->tensor[role]);
}

#endif
