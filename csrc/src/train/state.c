/* The memory of a trainer, and what is measured of its state. */
#include "train/state.h"

#include "model/workspace.h"

#include <string.h>

static void give_back(const pynn_context *context, void *pointer, size_t count, size_t size) {
  void *memory;
  memcpy(&memory, pointer, sizeof memory);
  context_release(context, memory, count, size);
  memset(pointer, 0, sizeof memory);
}

static int take(const pynn_context *context, void *pointer, size_t count, size_t size) {
  void *memory;
  memcpy(&memory, pointer, sizeof memory);
  if (!memory) memory = context_allocate(context, count, size);
  memcpy(pointer, &memory, sizeof memory);
  return memory != NULL;
}

pynn_status trainer_memory(pynn_trainer *t, const pynn_guard *guard) {
  const pynn_context *context = t->model->context;
  const size_t n = (size_t)t->model->n_parameters, size = t->model->kernels->size, chunks = (size_t)t->chunks;
  const size_t state = n * (size_t)(1 + t->optimizer->n_slots), n_layers = (size_t)t->model->n_layers;
  int enough = 1;
  for (int i = 0; i < SNAPSHOTS && guard->policy == PYNN_POLICY_ROLLBACK; i++)
    enough &= take(context, &t->watch.snapshots[i].values, state, size) &&
              take(context, &t->watch.snapshots[i].state, (size_t)t->model->n_state, sizeof(double)) &&
              (!t->average.values || take(context, &t->watch.snapshots[i].average, n, sizeof(double)));
  if (guard->check_every > 0)
    enough &= workspace_observe(t->w, 1) == PYNN_OK && take(context, &t->before, n, size) &&
              take(context, &t->chunk_changed, chunks, sizeof *t->chunk_changed) &&
              take(context, &t->statistics, n_layers, sizeof *t->statistics);
  if (!enough) guard = &t->watch.options;
  for (int i = 0; i < SNAPSHOTS; i++) {
    if (guard->policy != PYNN_POLICY_ROLLBACK) {
      give_back(context, &t->watch.snapshots[i].values, state, size);
      give_back(context, &t->watch.snapshots[i].state, (size_t)t->model->n_state, sizeof(double));
    }
    if (guard->policy != PYNN_POLICY_ROLLBACK || !t->average.values)
      give_back(context, &t->watch.snapshots[i].average, n, sizeof(double));
  }
  if (!guard->check_every) {
    workspace_observe(t->w, 0);
    give_back(context, &t->before, n, size);
    give_back(context, &t->chunk_changed, chunks, sizeof *t->chunk_changed);
    give_back(context, &t->statistics, n_layers, sizeof *t->statistics);
  }
  return enough ? PYNN_OK : PYNN_ERROR_OUT_OF_MEMORY;
}

int trainer_measure(pynn_trainer *t) {
  const struct kernels *kernels = t->model->kernels;
  const size_t n = (size_t)t->model->n_parameters;
  t->largest.parameter_max = kernels->largest(n, t->model->parameters);
  int finite = t->largest.parameter_max <= kernels->maximum;
  for (int i = 0; i < t->optimizer->n_slots; i++) {
    t->largest.slot_max[i] = kernels->largest(n, t->slots[i]);
    finite &= t->largest.slot_max[i] <= kernels->maximum;
  }
  return finite;
}

double trainer_rate(const pynn_trainer *t) {
  return t->scheduled ? t->rate_factor * pynn_schedule_rate(&t->schedule, t->steps) : t->learning_rate;
}
