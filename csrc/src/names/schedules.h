/* The table of schedules: learning rates as functions of the number of applied steps. */
#ifndef PYNN_SCHEDULES_H
#define PYNN_SCHEDULES_H

#include "pynn.h"

struct schedule {
  pynn_row row;
  /* The rate after `step` steps, a whole number >= 0. Lists of a piecewise schedule are in `s`, numbers in `p`. */
  double (*rate)(const pynn_schedule *s, const double *p, double step);
};

extern const struct schedule pynn_schedules[];
extern const int32_t pynn_n_schedules;

#endif
