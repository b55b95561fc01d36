/* A workspace inside: the memory of passes over up to `capacity` rows. model/workspace.c takes it. */
#ifndef PYNN_GRAPH_WORKSPACE_H
#define PYNN_GRAPH_WORKSPACE_H

#include "compute/sparse.h"
#include "graph/model.h"

/* What was seen of one layer's values and gradients while they were computed. */
struct layer_sums {
  double activation_max, delta_max, gradient_max, gradient_squares, penalty;
};

/* More of it, in steps that take statistics. */
struct layer_observed {
  struct observed activation, gradient;
  unsigned char *alive; /* units; set once a unit was seen to be alive */
};

/* The input of a layer: rows of ld reals, or sparse rows in front of the first layer. */
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
  double *cells;                /* capacity x targets: weights of outputs; NULL until a batch has them */
  int masked;                   /* some timesteps of this pass are padding: */
  unsigned char *skips;         /* capacity x timesteps of X */
  double *losses;               /* capacity: of rows, from a custom loss */
  int failed;                   /* a custom function failed in this pass: see pass_failed */
  pynn_loss_function looked_at; /* the custom loss whose gradient was compared with differences */
  struct {
    int64_t row, column; /* of the batch */
    double expected, received;
  } wrong;          /* gradient of a custom loss */
  void **y;         /* per layer, capacity x units: its values */
  void **z;         /* per layer, what its kind needs beside them: values before the activation */
  void **states;    /* per layer, what rows take from one pass to the next; NULL: nothing is taken */
  int packed;       /* kernels were packed by an earlier pass, and stayed */
  void **reals;     /* per layer, the reals its kind needs for all rows together */
  double **doubles; /* per layer, the doubles its kind needs */
  double *doubles_block;
  size_t n_doubles;
  double *proposed;        /* the state as this step would leave it; NULL: no layer changes it */
  struct values *inputs;   /* per layer its input in this pass, then the logits */
  void *dY[2];             /* capacity x widest: dL/dY of the current layer, dL/dX that it computes; they take turns */
  void *panels;            /* dY, packed for the product with W^T */
  struct layer_sums *sums; /* per layer */
  double *tile_max, *tile_sum, *tile_penalty; /* per tile of the current job */
  int64_t tiles;
  int observes;                    /* this pass takes statistics */
  struct layer_observed *observed; /* per layer; NULL: statistics are never taken */
  struct observed *tile_observed;  /* per tile */
  unsigned char *tile_alive;       /* per row of tiles, units of the current layer */
  unsigned char *alive;            /* what the layers' `alive` point into */
  size_t values;                   /* reals in the block that starts at `input` */
};

#endif
