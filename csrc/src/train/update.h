/* The update of the parameters. */
#ifndef PYNN_UPDATE_H
#define PYNN_UPDATE_H

#include "train/state.h"

/* An optimizer's update with the numbers of the current step. */
struct update {
  const pynn_trainer *t;
  const struct optimizer *optimizer; /* in the dtype of its arguments */
  const struct kernels *kernels;
  double scale; /* of the gradient */
  double keep;  /* the factor that weight decay applies to a parameter */
  double c[8];
};
struct update update_prepare(const pynn_trainer *trainer, const struct kernels *kernels, double scale);
/* Updates n parameters w with gradient g and their state vectors. */
void update_apply(const struct update *update, size_t n, void *w, const void *g, void *const *slots,
                  struct update_health *health);
/* Whether all new parameters and state vectors will be finite. */
int update_finite(const struct update *update);
/* Updates all parameters and state vectors. */
void update_run(pynn_trainer *trainer, const struct update *update);

#endif
