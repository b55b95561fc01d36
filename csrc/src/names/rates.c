/* The learning rate of a step by a schedule, and the rule that lowers a rate when a value has stopped improving. */
#include "names/rates.h"

#include "base/status.h"
#include "names/schedules.h"
#include "names/tables.h"

#include <float.h>
#include <math.h>

pynn_status pynn_schedule_named(pynn_schedule *out, const char *name) {
  pynn_schedule schedule = {.struct_size = sizeof schedule, .values = {0.01}};
  if (!out) return PYNN_ERROR_INVALID_ARGUMENT;
  pynn_status status = pynn_spec_named(&schedule.spec, PYNN_SCHEDULE, name);
  if (!status) *out = schedule;
  return status;
}

pynn_status schedule_check(const pynn_schedule *s, pynn_error *error) {
  if (s->struct_size != sizeof *s || !spec_valid(&s->spec, PYNN_SCHEDULE))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a schedule from pynn_schedule_named and pynn_spec_set");
  if (s->warmup_steps < 0 || !(s->warmup_start_factor >= 0 && s->warmup_start_factor <= 1))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected warmup_steps >= 0 and warmup_start_factor in [0, 1]; received %lld and %g",
                (long long)s->warmup_steps, s->warmup_start_factor);
  if (s->n_boundaries < 0 || s->n_boundaries > PYNN_MAX_BOUNDARIES)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected 0 ... %d boundaries; received n_boundaries=%d",
                PYNN_MAX_BOUNDARIES, (int)s->n_boundaries);
  for (int32_t i = 0; i <= s->n_boundaries; i++) {
    if (!(s->values[i] >= 0 && s->values[i] <= DBL_MAX))
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected finite values >= 0; received values[%d]=%g", (int)i,
                  s->values[i]);
    if (i < s->n_boundaries && s->boundaries[i] <= (i ? s->boundaries[i - 1] : -1))
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected rising boundaries >= 0; received boundaries[%d]=%lld",
                  (int)i, (long long)s->boundaries[i]);
  }
  return PYNN_OK;
}

double pynn_schedule_rate(const pynn_schedule *s, int64_t step) {
  if (!s || step < 0 || schedule_check(s, NULL)) return (double)NAN;
  const struct schedule *row = &pynn_schedules[s->spec.row];
  const double warm = (double)s->warmup_steps, at = (double)step;
  if (at >= warm) return row->rate(s, s->spec.values, at - warm);
  const double start = s->warmup_start_factor;
  return row->rate(s, s->spec.values, 0) * (start + (1 - start) * at / warm);
}

/* ---- plateaus */

void pynn_plateau_init(pynn_plateau *plateau) {
  if (plateau)
    *plateau = (pynn_plateau){.struct_size = sizeof *plateau, .factor = 0.1, .patience = 10, .min_delta = 1e-4};
}

static int plateau_valid(const pynn_plateau *p) {
  return p && p->struct_size == sizeof *p && p->factor > 0 && p->factor < 1 && p->patience >= 0 && p->cooldown >= 0 &&
         p->min_delta >= 0 && p->min_delta <= DBL_MAX && p->min_learning_rate >= 0 && p->min_learning_rate <= DBL_MAX;
}

double pynn_plateau_next(pynn_plateau *p, double value, double learning_rate) {
  if (!plateau_valid(p)) return (double)NAN;
  if (!p->n_values++) p->best = p->maximise ? -(double)INFINITY : (double)INFINITY; /* any number is better */
  const int better = p->maximise ? value > p->best + p->min_delta : value < p->best - p->min_delta;
  if (p->cooling > 0) p->cooling--, p->waited = 0;
  if (better) {
    p->best = value;
    p->waited = 0;
    return learning_rate;
  }
  if (p->cooling > 0 || ++p->waited < p->patience) return learning_rate;
  p->waited = 0;
  if (!(learning_rate > p->min_learning_rate)) return learning_rate;
  p->cooling = p->cooldown;
  return fmax(learning_rate * p->factor, p->min_learning_rate);
}
