/* The update of the parameters by the optimizer.
 *
 * That an update stays finite is proved from the largest magnitudes that go into it, which costs nothing; where the
 * proof fails, the update is first tried on copies. */
#include "train/update.h"

#include <math.h>
#include <string.h>

struct update update_prepare(const pynn_trainer *t, const struct kernels *kernels, double scale) {
  struct update u = {.t = t, .optimizer = &kernels->optimizers[t->spec.row], .kernels = kernels, .scale = scale};
  u.keep = 1 - t->learning_rate * t->weight_decay;
  u.optimizer->coefficients(t->spec.values, t->learning_rate, t->steps + 1, u.c);
  return u;
}

void update_apply(const struct update *u, size_t n, void *w, const void *g, void *const *slots,
                  struct update_health *health) {
  if (u->keep != 1) u->kernels->scale(n, w, u->keep);
  u->optimizer->update(n, w, g, u->scale, slots, u->c, health);
}

/* The same for numbers from ... from+n-1 of the parameters, w being the first; those of frozen layers stay. */
static void update_part(const struct update *u, int64_t from, int64_t n, void *w, const void *g, void *const *slots,
                        struct update_health *health) {
  const pynn_model *model = u->t->model;
  if (!model->frozen) {
    update_apply(u, (size_t)n, w, g, slots, health);
    return;
  }
  *health = (struct update_health){0};
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    const int64_t begin = layer->parameters > from ? layer->parameters - from : 0;
    const int64_t after = layer->parameters + layer->n_parameters - from, end = after < n ? after : n;
    if (layer->frozen || begin >= end) continue;
    struct update_health part = {0};
    void *here[PYNN_MAX_SLOTS] = {NULL};
    for (int s = 0; s < u->optimizer->n_slots; s++) here[s] = at(u->kernels, slots[s], begin);
    update_apply(u, (size_t)(end - begin), at(u->kernels, w, begin), at(u->kernels, g, begin), here, &part);
    health->parameter_max = larger(health->parameter_max, part.parameter_max);
    for (int s = 0; s < u->optimizer->n_slots; s++) health->slot_max[s] = larger(health->slot_max[s], part.slot_max[s]);
  }
}

static void update_chunk(void *argument, int64_t index) {
  const struct update *u = argument;
  const pynn_trainer *t = u->t;
  const size_t size = t->model->kernels->size, from = (size_t)index * CHUNK * size;
  const int64_t left = t->model->n_parameters - index * CHUNK;
  void *slots[PYNN_MAX_SLOTS] = {NULL};
  const size_t n = (size_t)(left < CHUNK ? left : CHUNK);
  for (int i = 0; i < t->optimizer->n_slots; i++) slots[i] = (char *)t->slots[i] + from;
  if (t->w->observes) memcpy((char *)t->before + from, (const char *)t->model->parameters + from, n * size);
  update_part(u, index * CHUNK, (int64_t)n, (char *)t->model->parameters + from, (const char *)t->gradient + from,
              slots, &t->chunk_health[index]);
}

/* Whether the update of every chunk is finite, tried on copies. */
static int update_survives(const struct update *u) {
  const pynn_trainer *t = u->t;
  const size_t size = t->model->kernels->size;
  const double maximum = t->model->kernels->maximum;
  int survives = 1;
  for (int64_t index = 0; index < t->chunks && survives; index++) {
    const size_t from = (size_t)index * CHUNK * size;
    const int64_t left = t->model->n_parameters - index * CHUNK;
    const size_t n = (size_t)(left < CHUNK ? left : CHUNK);
    struct update_health health = {0};
    void *slots[PYNN_MAX_SLOTS] = {NULL};
    memcpy(t->trial, (const char *)t->model->parameters + from, n * size);
    for (int i = 0; i < t->optimizer->n_slots; i++) {
      slots[i] = (char *)t->trial + (size_t)(i + 1) * CHUNK * size;
      memcpy(slots[i], (const char *)t->slots[i] + from, n * size);
    }
    update_part(u, index * CHUNK, (int64_t)n, t->trial, (const char *)t->gradient + from, slots, &health);
    survives = health.parameter_max <= maximum;
    for (int i = 0; i < t->optimizer->n_slots; i++) survives &= health.slot_max[i] <= maximum;
  }
  return survives;
}

/* Whether the update is proved finite by the largest magnitudes that go into it. */
static int update_bounded(const struct update *u) {
  const pynn_trainer *t = u->t;
  double g_max = 0;
  for (int32_t i = 0; i < t->model->n_layers; i++) g_max = larger(g_max, t->w->sums[i].gradient_max);
  /* Changes below an ulp of the largest number cannot overflow a finite parameter. */
  const double w_max = t->largest.parameter_max * fmax(1, fabs(u->keep));
  const double bound = t->optimizer->bound(u->c, w_max, g_max * u->scale, t->largest.slot_max);
  return bound <= t->model->kernels->maximum * 0x1p-54;
}

int update_finite(const struct update *u) { return update_bounded(u) || update_survives(u); }

void update_run(pynn_trainer *t, const struct update *u) {
  parallel_for(t->model->context, t->chunks, 10.0 * (double)t->model->n_parameters, update_chunk, (void *)(uintptr_t)u);
  if (!t->model->frozen)
    t->largest = (struct update_health){0}; /* else a bound: numbers of frozen layers were not seen */
  for (int64_t i = 0; i < t->chunks; i++) {
    t->largest.parameter_max = larger(t->largest.parameter_max, t->chunk_health[i].parameter_max);
    for (int j = 0; j < t->optimizer->n_slots; j++)
      t->largest.slot_max[j] = larger(t->largest.slot_max[j], t->chunk_health[i].slot_max[j]);
  }
}
