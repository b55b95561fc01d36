/* A series of what steps saw in the layers: a fixed number of points, however long the run. */
#include "train/series.h"

#include "train/step.h"

#include <math.h>
#include <string.h>

enum { HEALTH = 4, STATISTICS = PYNN_SERIES_FIELDS - HEALTH, ABOUT = 3 };
enum { POINTS, SPACING, DUE }; /* counters */

static double *point(const pynn_trainer *t, int64_t index) {
  return t->series.values + index * t->model->n_layers * PYNN_SERIES_FIELDS;
}

/* Statistics of a point that is dropped move to the next one, if that has none. */
static void hand_on(const pynn_trainer *t, int64_t from, int64_t to) {
  for (int32_t i = 0; i < t->model->n_layers; i++) {
    const double *kept = point(t, from) + i * PYNN_SERIES_FIELDS + HEALTH;
    double *next = point(t, to) + i * PYNN_SERIES_FIELDS + HEALTH;
    if (isnan(next[0])) memcpy(next, kept, STATISTICS * sizeof *next);
  }
}

static void thin(const pynn_trainer *t) {
  const pynn_series *s = &t->series;
  const int64_t n = s->counters[POINTS], size = t->model->n_layers * PYNN_SERIES_FIELDS;
  for (int64_t i = 1; i + 1 < n; i += 2) hand_on(t, i, i + 1);
  for (int64_t i = 2; i < n; i += 2) {
    memcpy(point(t, i / 2), point(t, i), (size_t)size * sizeof(double));
    memcpy(s->about + i / 2 * ABOUT, s->about + i * ABOUT, ABOUT * sizeof(double));
  }
  s->counters[POINTS] = (n + 1) / 2;
  s->counters[SPACING] *= 2;
}

static void write_layer(const pynn_trainer *t, int32_t layer, double *to) {
  const struct layer_sums *sums = &t->w->sums[layer];
  const double health[HEALTH] = {sums->activation_max, sums->delta_max, sums->gradient_max, step_layer_norm(t, layer)};
  memcpy(to, health, sizeof health);
  to += HEALTH;
  if (!t->w->observes) {
    for (int i = 0; i < STATISTICS; i++) to[i] = (double)NAN;
    return;
  }
  const pynn_statistics *s = &t->statistics[layer];
  const double statistics[STATISTICS] = {
      s->largest,      s->mean,           s->std,           s->zeros,       s->saturated,    s->tiny,         s->dead,
      s->gradient_rms, s->gradient_zeros, s->gradient_tiny, s->weight_norm, s->update_ratio, s->updates_lost,
  };
  memcpy(to, statistics, sizeof statistics);
}

void series_take(pynn_trainer *t, double loss) {
  const pynn_series *s = &t->series;
  if (!s->capacity) return;
  /* statistics are rare: the last point gets those of a step that has none of its own */
  const int due = t->steps >= s->counters[DUE];
  if (!due && !t->w->observes) return;
  if (due && s->counters[POINTS] == s->capacity) thin(t);
  const int64_t n = due ? s->counters[POINTS] : s->counters[POINTS] - 1;
  if (n < 0) return;
  for (int32_t i = 0; i < t->model->n_layers; i++) write_layer(t, i, point(t, n) + i * PYNN_SERIES_FIELDS);
  const double about[ABOUT] = {(double)t->steps, loss, t->learning_rate};
  memcpy(s->about + n * ABOUT, about, sizeof about);
  if (!due) return;
  s->counters[POINTS] = n + 1;
  s->counters[DUE] = t->steps + s->counters[SPACING];
}

pynn_status pynn_trainer_set_series(pynn_trainer *t, const pynn_series *s) {
  if (!t) return PYNN_ERROR_INVALID_ARGUMENT;
  if (!s) {
    t->series = (pynn_series){0};
    return PYNN_OK;
  }
  if (!s->values || !s->about || !s->counters || s->capacity < 2) return PYNN_ERROR_INVALID_ARGUMENT;
  if (s->counters[POINTS] < 0 || s->counters[POINTS] > s->capacity || s->counters[SPACING] < 1)
    return PYNN_ERROR_INVALID_ARGUMENT;
  t->series = *s;
  return PYNN_OK;
}
