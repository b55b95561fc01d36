/* Schedules: learning rates as pure functions of the number of applied steps, so that a resumed run needs only that
 * number.
 *
 * To add one: write name(s, p, step) and a row of the table. */
#include "names/schedules.h"

#include <float.h>
#include <math.h>

#define PI 3.14159265358979323846

static double constant(const pynn_schedule *s, const double *p, double step) { return (void)s, (void)step, p[0]; }

/* initial gamma^floor(step / step_size) */
static double step_decay(const pynn_schedule *s, const double *p, double step) {
  return (void)s, p[0] * pow(p[2], floor(step / p[1]));
}

/* values[i] for the first boundary that step does not exceed, the last value beyond them all */
static double piecewise_constant_decay(const pynn_schedule *s, const double *p, double step) {
  int32_t i = 0;
  while (i < s->n_boundaries && step > (double)s->boundaries[i]) i++;
  return (void)p, s->values[i];
}

static double part(double step, double decay_steps, double staircase) {
  return staircase != 0 ? floor(step / decay_steps) : step / decay_steps;
}

/* initial decay_rate^(step / decay_steps) */
static double exponential_decay(const pynn_schedule *s, const double *p, double step) {
  return (void)s, p[0] * pow(p[2], part(step, p[1], p[3]));
}

/* initial / (1 + decay_rate step / decay_steps) */
static double inverse_time_decay(const pynn_schedule *s, const double *p, double step) {
  return (void)s, p[0] / (1 + p[2] * part(step, p[1], p[3]));
}

/* initial / (step + 1)^power */
static double inverse_scaling(const pynn_schedule *s, const double *p, double step) {
  return (void)s, p[0] / pow(step + 1, p[1]);
}

/* (initial - end) (1 - step / decay_steps)^power + end; with cycle, decay_steps grows to the next multiple of itself */
static double polynomial_decay(const pynn_schedule *s, const double *p, double step) {
  const double initial = p[0], decay_steps = p[1], end = p[2], power = p[3], cycle = p[4];
  const double length = cycle != 0 ? decay_steps * fmax(1, ceil(step / decay_steps)) : decay_steps;
  return (void)s, (initial - end) * pow(1 - fmin(step, length) / length, power) + end;
}

static double half_cosine(double share) { return 0.5 * (1 + cos(PI * share)); }

/* from ((1 - alpha) (1 + cos(pi step / decay_steps)) / 2 + alpha); before it, from initial to `from` = warmup_target in
 * warmup_steps */
static double cosine_decay(const pynn_schedule *s, const double *p, double step) {
  const double initial = p[0], decay_steps = p[1], alpha = p[2], target = p[3], warmup = target > 0 ? p[4] : 0;
  if (step < warmup) return (void)s, initial + (target - initial) * step / warmup;
  const double share = fmin(step - warmup, decay_steps) / decay_steps;
  return (void)s, (target > 0 ? target : initial) * ((1 - alpha) * half_cosine(share) + alpha);
}

/* 1 + t_mul + ... + t_mul^(i-1): where cycle i begins, in lengths of the first */
static double cycles_before(double t_mul, double i) { return (pow(t_mul, i) - 1) / (t_mul - 1); }

/* Cosine decays, the i-th over first_decay_steps t_mul^i steps from initial m_mul^i */
static double cosine_decay_restarts(const pynn_schedule *s, const double *p, double step) {
  const double initial = p[0], first = p[1], t_mul = p[2], m_mul = p[3], alpha = p[4];
  double restarts = floor(step / first), begin = restarts * first, length = first;
  if (t_mul > 1) {
    restarts = floor(log1p(fmin(step / first * (t_mul - 1), DBL_MAX)) / log(t_mul));
    /* the logarithm may be one too low or too high; both ends of a cycle are judged by the same rounding */
    if (restarts > 0 && step < first * cycles_before(t_mul, restarts)) restarts--;
    else if (step >= first * cycles_before(t_mul, restarts + 1)) restarts++;
    begin = first * cycles_before(t_mul, restarts);
    length = first * pow(t_mul, restarts);
  }
  const double share = fmax(0, fmin(1, (step - begin) / length));
  return (void)s, initial * ((1 - alpha) * pow(m_mul, restarts) * half_cosine(share) + alpha);
}

/* Up from max / div_factor to max in pct_start of the steps, then down to max / (div_factor final_div_factor), with
 * three_phase by way of max / div_factor; along cosines or lines. It stays at its end. */
static double one_cycle(const pynn_schedule *s, const double *p, double step) {
  const double most = p[0], total = p[1], start = p[2], initial = most / p[3], least = initial / p[4];
  const int three = p[5] != 0, line = p[6] != 0;
  const double ends[] = {start * total - 1, three ? 2 * start * total - 2 : total - 1, total - 1};
  const double rates[] = {initial, most, three ? initial : least, least};
  const int phases = three ? 3 : 2;
  double begin = 0;
  (void)s;
  for (int i = 0; i < phases; begin = fmax(begin, ends[i++])) {
    if (step > ends[i] && i < phases - 1) continue;
    const double share = ends[i] > begin ? fmin(1, (step - begin) / (ends[i] - begin)) : 1;
    const double from = rates[i], to = rates[i + 1];
    return line ? from + (to - from) * share : to + (from - to) * half_cosine(share);
  }
  return least;
}

/* Up and down between base and max; the top of the current cycle is `height` of the way. */
static double cycle(const double *p, double step, double height) {
  const double up = p[2], down = p[3] > 0 ? p[3] : up, at = fmod(step, up + down);
  return p[0] + (p[1] - p[0]) * height * (at <= up ? at / up : (up + down - at) / down);
}
static double triangular(const pynn_schedule *s, const double *p, double step) { return (void)s, cycle(p, step, 1); }
static double triangular2(const pynn_schedule *s, const double *p, double step) {
  return (void)s, cycle(p, step, pow(0.5, floor(step / (p[2] + (p[3] > 0 ? p[3] : p[2])))));
}
static double exp_range(const pynn_schedule *s, const double *p, double step) {
  return (void)s, cycle(p, step, pow(p[4], step));
}

#define ROW(name_, n, ...) {{.name = #name_, .aliases = "", .n_fields = n, .fields = {__VA_ARGS__}}, name_}
#define NUMBER(name, value) {name, value, 0, DBL_MAX, 0}
#define POSITIVE(name, value) {name, value, 0, DBL_MAX, PYNN_FIELD_OPEN_MINIMUM}
#define SHARE(name, value) {name, value, 0, 1, 0}
#define STEPS(name, value, minimum) {name, value, minimum, 0x1p53, PYNN_FIELD_INTEGER}
#define SWITCH(name) {name, 0, 0, 1, PYNN_FIELD_BOOLEAN}
#define INITIAL POSITIVE("initial_learning_rate", 0.01)
#define CYCLE                                                                                               \
  NUMBER("base_learning_rate", 0.001), POSITIVE("max_learning_rate", 0.01), STEPS("step_size_up", 2000, 1), \
      STEPS("step_size_down", 0, 0)

const struct schedule pynn_schedules[] = {
    ROW(constant, 1, POSITIVE("learning_rate", 0.01)),
    ROW(step_decay, 3, INITIAL, STEPS("step_size", 1000, 1), POSITIVE("gamma", 0.1)),
    ROW(piecewise_constant_decay, 0, {0}),
    ROW(exponential_decay, 4, INITIAL, STEPS("decay_steps", 1000, 1), POSITIVE("decay_rate", 0.9), SWITCH("staircase")),
    ROW(inverse_time_decay, 4, INITIAL, STEPS("decay_steps", 1000, 1), NUMBER("decay_rate", 0.5), SWITCH("staircase")),
    ROW(inverse_scaling, 2, INITIAL, NUMBER("power", 0.5)),
    ROW(polynomial_decay, 5, INITIAL, STEPS("decay_steps", 1000, 1), NUMBER("end_learning_rate", 0.0001),
        POSITIVE("power", 1), SWITCH("cycle")),
    ROW(cosine_decay, 5, NUMBER("initial_learning_rate", 0.01), STEPS("decay_steps", 1000, 1), SHARE("alpha", 0),
        NUMBER("warmup_target", 0), STEPS("warmup_steps", 0, 0)),
    ROW(cosine_decay_restarts, 5, INITIAL, STEPS("first_decay_steps", 1000, 1), {"t_mul", 2, 1, DBL_MAX, 0},
        POSITIVE("m_mul", 1), SHARE("alpha", 0)),
    ROW(one_cycle, 7, POSITIVE("max_learning_rate", 0.01), STEPS("total_steps", 1000, 1), SHARE("pct_start", 0.3),
        POSITIVE("div_factor", 25), POSITIVE("final_div_factor", 1e4), SWITCH("three_phase"), SWITCH("linear")),
    ROW(triangular, 4, CYCLE),
    ROW(triangular2, 4, CYCLE),
    ROW(exp_range, 5, CYCLE, {"gamma", 0.9999, 0, 1, PYNN_FIELD_OPEN_MINIMUM}),
};
const int32_t pynn_n_schedules = sizeof pynn_schedules / sizeof *pynn_schedules;
