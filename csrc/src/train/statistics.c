/* Statistics of a step: layer by layer, from the pass and the update just done. */
#include "train/statistics.h"

#include "graph/layer.h"

#include <math.h>

/* Every `check_every` steps, and more often in the first period, which may be all of a short run. */
int statistics_due(const pynn_trainer *t) {
  const int64_t every = t->watch.options.check_every, step = t->steps;
  return step % every == 0 || (step >= 16 && (step == every / 2 || step == every / 4 || step == every / 8));
}

struct comparison {
  const pynn_trainer *t;
  int64_t from, n; /* a layer's parameters */
};

static void compare_chunk(void *argument, int64_t index) {
  const struct comparison *c = argument;
  const pynn_trainer *t = c->t;
  const struct kernels *kernels = t->model->kernels;
  const int64_t left = c->n - index * CHUNK;
  const size_t from = (size_t)(c->from + index * CHUNK) * kernels->size;
  kernels->compare((size_t)(left < CHUNK ? left : CHUNK), (const char *)t->before + from,
                   (const char *)t->model->parameters + from, (const char *)t->gradient + from,
                   &t->chunk_changed[index]);
}

static struct changed changes(const pynn_trainer *t, int64_t from, int64_t n) {
  struct comparison c = {t, from, n};
  struct changed all = {0};
  parallel_for(t->model->context, (n + CHUNK - 1) / CHUNK, 10.0 * (double)n, compare_chunk, &c);
  for (int64_t i = 0; i < (n + CHUNK - 1) / CHUNK; i++) {
    all.norm = hypot(all.norm, t->chunk_changed[i].norm);
    all.weight_norm = hypot(all.weight_norm, t->chunk_changed[i].weight_norm);
    all.lost += t->chunk_changed[i].lost;
  }
  return all;
}

void statistics_take(pynn_trainer *t) {
  const pynn_model *model = t->model;
  for (int32_t i = 0; i < model->n_layers; i++) {
    const struct layer *layer = &model->layers[i];
    const struct layer_observed *observed = &t->w->observed[i];
    const struct observed *y = &observed->activation, *g = &observed->gradient;
    pynn_statistics *s = &t->statistics[i];
    *s = (pynn_statistics){.step = t->steps};
    if (!y->n) continue; /* dropout has nothing of its own */
    const double n = (double)y->n, n_gradient = g->n ? (double)g->n : 1;
    const struct changed change = changes(t, layer->parameters, layer->n_parameters);
    int64_t dead = 0;
    const int64_t units = layer->kind->row.flags & PYNN_LAYER_PRODUCT ? layer->out.features : layer->units;
    for (int64_t j = 0; j < units; j++) dead += !observed->alive[j];
    s->largest = y->largest;
    s->mean = y->mean;
    s->std = y->spread / sqrt(n);
    s->zeros = (double)y->zeros / n;
    s->saturated = (double)y->saturated / n;
    s->tiny = (double)y->tiny / n;
    s->dead = (double)dead / (double)units;
    s->gradient_rms = hypot(g->mean, g->spread / sqrt(n_gradient));
    s->gradient_zeros = (double)g->zeros / n_gradient;
    s->gradient_tiny = (double)g->tiny / n_gradient;
    s->weight_norm = change.weight_norm;
    s->update_ratio = change.weight_norm > 0 ? change.norm / change.weight_norm : 0;
    s->updates_lost = (double)change.lost / n_gradient;
  }
}
