/* Averages of the parameters: exponentially weighted or plain, in double, over the steps that a run has applied. */
#include "train/average.h"

#include "train/state.h"

#include <string.h>

void pynn_average_init(pynn_average *average) {
  if (average) *average = (pynn_average){.struct_size = sizeof *average, .decay = 0.999, .every = 1};
}

static void end_average(pynn_trainer *t) {
  context_release(t->model->context, t->average.values, (size_t)t->model->n_parameters, sizeof(double));
  t->average = (struct averaging){.values = NULL};
  trainer_memory(t, &t->watch.options); /* releases, and takes nothing */
}

pynn_status pynn_trainer_set_average(pynn_trainer *t, const pynn_average *average, pynn_error *error) {
  if (!t) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a trainer; received NULL");
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters;
  if (!average) {
    end_average(t);
    return PYNN_OK;
  }
  if (average->struct_size != sizeof *average || !(average->decay >= 0 && average->decay < 1) || average->start < 0 ||
      average->every < 1)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected an average from pynn_average_init with decay in [0, 1), start >= 0, every >= 1; received "
                "decay=%g, start=%lld, every=%lld",
                average->decay, (long long)average->start, (long long)average->every);
  const int begun = t->average.values != NULL;
  if (!begun) t->average.values = context_allocate(context, n, sizeof(double));
  if (!t->average.values || trainer_memory(t, &t->watch.options)) {
    if (!begun) end_average(t); /* and what good states were given for it */
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for an average of %zu parameters; received none", n);
  }
  t->average.options = *average;
  t->average.n = 0;
  for (int i = 0; i < SNAPSHOTS; i++) t->watch.snapshots[i].n_averaged = 0; /* nor does a rollback bring the old back */
  return PYNN_OK;
}

double *pynn_trainer_average(pynn_trainer *t) { return t ? t->average.values : NULL; }
int64_t pynn_trainer_n_averaged(const pynn_trainer *t) { return t ? t->average.n : 0; }
pynn_status pynn_trainer_set_n_averaged(pynn_trainer *t, int64_t n) {
  if (!t || n < 0 || !t->average.values) return PYNN_ERROR_INVALID_ARGUMENT;
  t->average.n = n;
  return PYNN_OK;
}

pynn_status pynn_trainer_use_average(pynn_trainer *t) {
  if (!t || !t->average.n) return PYNN_ERROR_INVALID_ARGUMENT;
  t->model->kernels->from_double((size_t)t->model->n_parameters, t->average.values, t->model->parameters);
  trainer_measure(t);
  return PYNN_OK;
}

struct blending {
  const pynn_trainer *t;
  double share;
};

static void blend_chunk(void *argument, int64_t index) {
  const struct blending *b = argument;
  const pynn_model *model = b->t->model;
  const int64_t from = index * CHUNK, left = model->n_parameters - from;
  model->kernels->blend((size_t)(left < CHUNK ? left : CHUNK),
                        (const char *)model->parameters + (size_t)from * model->kernels->size,
                        b->t->average.values + from, b->share);
}

void average_step(pynn_trainer *t) {
  struct averaging *a = &t->average;
  if (t->steps < a->options.start || (t->steps - a->options.start) % a->options.every) return;
  const double plain = 1 / (double)(a->n + 1);
  struct blending blending = {t, a->n && a->options.decay > 0 ? 1 - a->options.decay : plain};
  if (!a->n) memset(a->values, 0, (size_t)t->model->n_parameters * sizeof *a->values);
  parallel_for(t->model->context, t->chunks, 4.0 * (double)t->model->n_parameters, blend_chunk, &blending);
  a->n++;
}
