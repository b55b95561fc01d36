/* What layers share that make one timestep of all: rows are independent, padding counts for nothing. */
#ifndef PYNN_POOLING_H
#define PYNN_POOLING_H

#include "graph/layer.h"

static inline pynn_status pooling_shape(struct layer *layer, struct layout *layout, pynn_error *error) {
  (void)layout, (void)error;
  layer->out = (pynn_shape){1, layer->in.features};
  return PYNN_OK;
}

static inline int64_t pooling_streams(const struct layer *layer) { return (void)layer, -1; }

/* The timesteps of row i that are no padding. */
static inline int64_t pooling_steps(const struct job *job, int64_t i) {
  int64_t n = 0;
  for (int64_t t = 0; t < job->layer->in.timesteps; t++) n += !job_skips(job, i, t);
  return n;
}

#endif
