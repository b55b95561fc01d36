/* The average of the parameters over the steps of a run. */
#ifndef PYNN_AVERAGE_H
#define PYNN_AVERAGE_H

#include "compute/context.h"

struct averaging {
  pynn_average options;
  double *values; /* in double: a float32 would lose what a decay near 1 adds; NULL: nothing is averaged */
  int64_t n;      /* states in it */
};

/* After a step: takes the new parameters in when it is time. */
void average_step(pynn_trainer *trainer);

#endif
