/* Schedules: values, warm-up, refusal of bad numbers; plateaus; a trainer that follows one. */
#include "check.h"

#include <float.h>
#include <string.h>

static pynn_schedule named(const char *name) {
  pynn_schedule schedule;
  memset(&schedule, 0, sizeof schedule);
  CHECK_STATUS(PYNN_OK, pynn_schedule_named(&schedule, name));
  return schedule;
}

static void values(void) {
  for (int32_t i = 0; i < pynn_table_size(PYNN_SCHEDULE); i++) { /* every row: finite, never negative */
    pynn_schedule schedule = named(pynn_table_row(PYNN_SCHEDULE, i)->name);
    for (int64_t step = 0; step < 100000; step = step * 5 / 4 + 1) {
      const double rate = pynn_schedule_rate(&schedule, step);
      CHECK(rate >= 0 && rate <= 1);
    }
  }
  pynn_schedule restarts = named("cosine_decay_restarts");
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "first_decay_steps", 1024));
  for (double t_mul = 1; t_mul < 3; t_mul += 0.5) { /* the rate is the first one again exactly where a cycle begins */
    CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "t_mul", t_mul));
    double begin = 0, length = 1024;
    for (int i = 0; i < 6; i++, begin += length, length *= t_mul) {
      CHECK_CLOSE(pynn_schedule_rate(&restarts, (int64_t)begin), 0.01, 1e-12);
      if (i) CHECK(pynn_schedule_rate(&restarts, (int64_t)begin - 1) < 1e-7);
    }
  }
  pynn_schedule pieces = named("piecewise_constant_decay");
  pieces.n_boundaries = 2;
  pieces.boundaries[0] = 10, pieces.boundaries[1] = 20;
  pieces.values[0] = 3, pieces.values[1] = 2, pieces.values[2] = 1;
  pieces.warmup_steps = 4;
  pieces.warmup_start_factor = 0.5;
  static const double expected[][2] = {{0, 1.5}, {2, 2.25}, {4, 3}, {14, 3}, {15, 2}, {24, 2}, {25, 1}, {1e9, 1}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    CHECK(pynn_schedule_rate(&pieces, (int64_t)expected[i][0]) == expected[i][1]);
}

/* Cycles whose ends are no exact numbers: each begins where the one before it ends, to the step, and nothing hangs. */
static void restarts_anywhere(void) {
  static const int64_t firsts[] = {5, 7, 30, 1000};
  pynn_schedule restarts = named("cosine_decay_restarts");
  for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
    const double first = (double)firsts[f];
    CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "first_decay_steps", first));
    for (int tenths = 11; tenths <= 33; tenths++) {
      const double t_mul = tenths / 10.0;
      CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "t_mul", t_mul));
      double begin = 0, length = first;
      for (int64_t step = 0; step <= 5000; step++) {
        const double at = (double)step, rate = pynn_schedule_rate(&restarts, step);
        if (at > begin + length * (1 + 1e-9)) begin += length, length *= t_mul;
        const double share = (at - begin) / length, expected = 0.01 * 0.5 * (1 + cos(3.14159265358979323846 * share));
        const int at_an_end = share < 1e-9 || share > 1 - 1e-9; /* rounding decides between the two ends' rates */
        if (!CHECK(fabs(rate - expected) < 1e-9 || (at_an_end && fabs(rate - (0.01 - expected)) < 1e-9)))
          fprintf(stderr, "  first %g, t_mul %g, step %g: %g, not %g\n", first, t_mul, at, rate, expected);
      }
    }
  }
  static const double t_muls[] = {1, 1 + 0x1p-52, 1 + 0x1p-51, 1 + 1e-15, 1 + 1e-9, 1.1, 2, 1e6, 1e300, DBL_MAX};
  static const int64_t steps[] = {0, 1, 2, 999, 1000, 1001, 5000, (int64_t)1 << 53, INT64_MAX - 1, INT64_MAX};
  for (size_t t = 0; t < sizeof t_muls / sizeof *t_muls; t++)
    for (size_t f = 0; f < 3; f++) {
      const double first = f ? (f == 1 ? 1000 : 0x1p53) : 1;
      CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "first_decay_steps", first));
      CHECK_STATUS(PYNN_OK, pynn_spec_set(&restarts.spec, "t_mul", t_muls[t]));
      for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const double rate = pynn_schedule_rate(&restarts, steps[i]);
        if (!CHECK(rate >= 0 && rate <= 0.01)) fprintf(stderr, "  t_mul %g, step %g\n", t_muls[t], (double)steps[i]);
      }
      CHECK(pynn_schedule_rate(&restarts, 0) == 0.01);
      if (first < 0x1p53) CHECK(pynn_schedule_rate(&restarts, (int64_t)first) == 0.01); /* the second cycle begins */
    }
  for (int32_t i = 0; i < pynn_table_size(PYNN_SCHEDULE); i++) {
    const pynn_schedule schedule = named(pynn_table_row(PYNN_SCHEDULE, i)->name);
    for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) CHECK(pynn_schedule_rate(&schedule, steps[j]) >= 0);
    CHECK(isnan(pynn_schedule_rate(&schedule, -1)) && isnan(pynn_schedule_rate(&schedule, INT64_MIN)));
  }
}

static void plateau(void) {
  /* patience 2, cooldown 2: values, and the rate after each, from 1 by halves down to 0.2 */
  static const double values[] = {5, 4, 4, 3.95, 3.95, 3.95, 3.9, 3.9, 3.9, 1, 1, 1, 1, 1, 1, 1, 1},
                      rates[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2};
  for (int up = 0; up < 2; up++) {
    pynn_plateau p;
    pynn_plateau_init(&p);
    p.factor = 0.5, p.patience = 2, p.cooldown = 2, p.min_delta = 0.1, p.min_learning_rate = 0.2, p.maximise = up;
    double rate = 1;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
      rate = pynn_plateau_next(&p, up ? -values[i] : values[i], rate);
      if (!CHECK(rate == rates[i])) fprintf(stderr, "  %zu: %g\n", i, rate);
    }
  }
}

/* A value that is not a number is no improvement, not even as the first one, and hides none that follows. */
static void plateau_of_nothing(void) {
  static const double values[] = {0, 1, .9, .8, .7, .6, .5, .4}; /* after one of firsts */
  const double firsts[] = {(double)NAN, (double)INFINITY};
  for (int i = 0; i < 4; i++) {
    pynn_plateau p;
    pynn_plateau_init(&p);
    p.patience = 2, p.maximise = i / 2;
    for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
      const double value = j ? values[j] : firsts[i % 2];
      CHECK(pynn_plateau_next(&p, p.maximise ? -value : value, 1) == 1);
    }
    CHECK(p.best == (p.maximise ? -0.4 : 0.4));
    CHECK(pynn_plateau_next(&p, (double)NAN, 1) == 1 && pynn_plateau_next(&p, (double)NAN, 1) == 0.1);
  }
  pynn_plateau p;
#define REFUSES(change)          \
  pynn_plateau_init(&p), change; \
  CHECK(isnan(pynn_plateau_next(&p, 1, 0.5)) && !p.n_values)
  REFUSES(p.struct_size = 8);
  REFUSES(p.factor = 0);
  REFUSES(p.factor = 1);
  REFUSES(p.factor = (double)NAN);
  REFUSES(p.patience = -1);
  REFUSES(p.cooldown = -1);
  REFUSES(p.min_delta = -1);
  REFUSES(p.min_delta = (double)INFINITY);
  REFUSES(p.min_learning_rate = (double)NAN);
#undef REFUSES
}

enum { ROWS = 4 };
static double x[ROWS] = {1, 1, 1, 1}, y[ROWS] = {2, 2, 2, 2};

static void training(void) {
  pynn_context *context = NULL;
  pynn_model *model = NULL;
  pynn_trainer *trainer = NULL;
  pynn_layer layer;
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_spec loss;
  pynn_error error;
  pynn_step step;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layer, 1, NULL));
  pynn_model_options_init(&options);
  options.inputs = 1;
  options.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, &layer, 1, &error));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&trainer_options, model);
  trainer_options.guard.policy = PYNN_POLICY_ROLLBACK;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &trainer_options, &error));

  pynn_schedule schedule = named("exponential_decay");
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&schedule.spec, "decay_steps", 1));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_schedule(trainer, &schedule, &error));
  double *w = pynn_model_parameters(model);
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, 1), pynn_matrix(y, PYNN_FLOAT64, ROWS, 1), {0}};
  for (int64_t i = 0; i < 5; i++) {
    const double before = w[0] + w[1], rate = pynn_schedule_rate(&schedule, i);
    CHECK_CLOSE(pynn_trainer_learning_rate(trainer), rate, 1e-15);
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
    CHECK_CLOSE(w[0] + w[1], before - 2 * rate * 2 * (before - 2), 1e-12); /* dL/dw = dL/db = 2 (w + b - 2) */
  }
  y[0] = 1e200; /* its square overflows: rolled back, the factor lowered */
  CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
  y[0] = 2;
  CHECK_EQUAL(step.applied, 0);
  const double left = trainer_options.guard.backoff;
  CHECK(pynn_trainer_rate_factor(trainer) == left);
  CHECK_CLOSE(pynn_trainer_learning_rate(trainer), left * pynn_schedule_rate(&schedule, pynn_trainer_steps(trainer)),
              1e-15);

  pynn_schedule bad = schedule;
  bad.spec.values[0] = -1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_schedule(trainer, &bad, &error));
  bad = schedule, bad.warmup_start_factor = (double)NAN;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_schedule(trainer, &bad, &error));
  bad = schedule, bad.n_boundaries = PYNN_MAX_BOUNDARIES + 1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_schedule(trainer, &bad, &error));
  bad = schedule, bad.n_boundaries = 2, bad.boundaries[0] = 3, bad.boundaries[1] = 3;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_schedule(trainer, &bad, &error));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_schedule_named(&bad, "no_such_schedule"));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_rate_factor(trainer, 0));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_learning_rate(trainer, 0.125)); /* ends the schedule */
  CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
  CHECK(pynn_trainer_learning_rate(trainer) == 0.125);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
}

int main(void) {
  values();
  restarts_anywhere();
  plateau();
  plateau_of_nothing();
  training();
  CHECK_REPORT();
}
