/* Constraints after a step, on columns of every size; penalties and what they add to a gradient; schedules by their
 * formulas, in the parts of them that few runs reach. */
#include "check.h"

#include <float.h>
#include <string.h>

enum { INPUTS = 3, UNITS = 5 };
static double x[INPUTS], y[UNITS];

/* The columns of a kernel after a step that moves nothing, under a constraint. */
static void constrained(const pynn_context *context, const char *name, const char *field, double value,
                        const double (*kernel)[UNITS], double (*after)[UNITS]) {
  pynn_layer layer;
  pynn_model *model = NULL;
  pynn_trainer *trainer = NULL;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_spec spec, loss;
  pynn_step step;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, PYNN_CONSTRAINT, name));
  if (field) CHECK_STATUS(PYNN_OK, pynn_spec_set(&spec, field, value));
  pynn_dense(&layer, UNITS, NULL);
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layer, "kernel_constraint", &spec));
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&how, model);
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&how.optimizer, "learning_rate", 1e-300));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  memcpy(pynn_model_parameters(model), kernel, INPUTS * sizeof *kernel);
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, 1, INPUTS), pynn_matrix(y, PYNN_FLOAT64, 1, UNITS), {0}};
  if (!CHECK(!pynn_train_step(trainer, &data, &step, &error))) fprintf(stderr, "  %s\n", error.message);
  memcpy(after, pynn_model_parameters(model), INPUTS * sizeof *kernel);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

/* Without a square that could overflow or vanish. */
static double norm_of(double (*kernel)[UNITS], int unit) {
  double largest = 0, sum = 0;
  for (int i = 0; i < INPUTS; i++) largest = fmax(largest, fabs(kernel[i][unit]));
  for (int i = 0; i < INPUTS && largest > 0; i++) sum += kernel[i][unit] / largest * (kernel[i][unit] / largest);
  return largest * sqrt(sum);
}

static void test_norms(const pynn_context *context) {
  /* ordinary, huge, tiny, all 0, within bounds */
  const double kernel[INPUTS][UNITS] = {{3, 3e200, 3e-200, 0, 0.6}, {4, -4e200, 4e-200, 0, -0.8}, {0, 0, 0, 0, 0}};
  double after[INPUTS][UNITS];
  constrained(context, "max_norm", "max_value", 2, kernel, after);
  CHECK_CLOSE(norm_of(after, 0), 2, 1e-14);
  CHECK_CLOSE(norm_of(after, 1), 2, 1e-14);
  CHECK(after[1][1] < 0);
  for (int i = 0; i < INPUTS; i++)
    for (int j = 2; j < UNITS; j++) CHECK(after[i][j] == kernel[i][j]); /* to the last bit */
  constrained(context, "unit_norm", NULL, 0, kernel, after);
  for (int j = 0; j < UNITS; j++) CHECK_CLOSE(norm_of(after, j), j == 3 ? 0 : 1, 1e-14);
  CHECK_CLOSE(after[0][2], 0.6, 1e-14);
  constrained(context, "min_max_norm", "min_value", 0.5, kernel, after); /* and at most 1 */
  CHECK_CLOSE(norm_of(after, 0), 1, 1e-14);
  CHECK_CLOSE(norm_of(after, 1), 1, 1e-14);
  CHECK_CLOSE(norm_of(after, 2), 0.5, 1e-14);
  CHECK_CLOSE(norm_of(after, 4), 1, 1e-14);
  constrained(context, "non_neg", NULL, 0, kernel, after);
  CHECK(after[1][1] == 0 && after[1][4] == 0 && after[0][1] == 3e200 && after[0][0] == 3);
  constrained(context, "none", NULL, 0, kernel, after);
  CHECK(!memcmp(after, kernel, sizeof kernel));
}

/* ---- schedules: one row for each piece of a formula */

struct setting {
  const char *field;
  double value;
};

static double rate(const char *name, const struct setting *settings, int n, int64_t step) {
  pynn_schedule schedule;
  CHECK_STATUS(PYNN_OK, pynn_schedule_named(&schedule, name));
  for (int i = 0; i < n; i++) {
    if (!CHECK(!pynn_spec_set(&schedule.spec, settings[i].field, settings[i].value)))
      fprintf(stderr, "  %s of %s\n", settings[i].field, name);
  }
  return pynn_schedule_rate(&schedule, step);
}

#define RATE(name, step, ...)                       \
  rate(name, (const struct setting[]){__VA_ARGS__}, \
       (int)(sizeof((const struct setting[]){__VA_ARGS__}) / sizeof(struct setting)), step)

static void test_schedules(void) {
  const double half_pi = 1.5707963267948966;
  for (int64_t step = 0; step < 60; step += 7) {
    const double s = (double)step;
    CHECK_CLOSE(RATE("exponential_decay", step, {"initial_learning_rate", 2}, {"decay_steps", 10}, {"decay_rate", 0.5},
                     {"staircase", 1}),
                2 * pow(0.5, floor(s / 10)), 1e-14);
    CHECK_CLOSE(
        RATE("inverse_time_decay", step, {"initial_learning_rate", 2}, {"decay_steps", 10}, {"decay_rate", 0.5}),
        2 / (1 + 0.5 * s / 10), 1e-14);
    CHECK_CLOSE(RATE("inverse_scaling", step, {"initial_learning_rate", 2}, {"power", 0.5}), 2 / sqrt(s + 1), 1e-14);
    const double cycle = 20 * fmax(1, ceil(s / 20)), cut = fmin(s, 20);
    CHECK_CLOSE(RATE("polynomial_decay", step, {"initial_learning_rate", 2}, {"decay_steps", 20},
                     {"end_learning_rate", 0.5}, {"power", 2}, {"cycle", 1}),
                1.5 * pow(1 - s / cycle, 2) + 0.5, 1e-13);
    CHECK_CLOSE(RATE("polynomial_decay", step, {"initial_learning_rate", 2}, {"decay_steps", 20},
                     {"end_learning_rate", 0.5}, {"power", 2}),
                1.5 * pow(1 - cut / 20, 2) + 0.5, 1e-13);
    const double along = fmin(s - 10, 30) / 30;
    CHECK_CLOSE(RATE("cosine_decay", step, {"initial_learning_rate", 1}, {"decay_steps", 30}, {"alpha", 0.1},
                     {"warmup_target", 3}, {"warmup_steps", 10}),
                s < 10 ? 1 + 2 * s / 10 : 3 * (0.9 * pow(cos(along * half_pi), 2) + 0.1), 1e-12);
    const double length = s < 10 ? 10 : s < 30 ? 20 : 40, begin = s < 10 ? 0 : s < 30 ? 10 : 30;
    CHECK_CLOSE(RATE("cosine_decay_restarts", step, {"initial_learning_rate", 1}, {"first_decay_steps", 10},
                     {"t_mul", 2}, {"m_mul", 0.5}),
                10 / length * pow(cos((s - begin) / length * half_pi), 2), 1e-12);
    CHECK_CLOSE(RATE("cosine_decay_restarts", step, {"initial_learning_rate", 1}, {"first_decay_steps", 10},
                     {"t_mul", 1}, {"m_mul", 0.5}),
                pow(0.5, floor(s / 10)) * pow(cos(fmod(s, 10) / 10 * half_pi), 2), 1e-12);
    const double at = fmod(s, 12), height = at <= 4 ? at / 4 : (12 - at) / 8;
    CHECK_CLOSE(RATE("triangular", step, {"base_learning_rate", 1}, {"max_learning_rate", 3}, {"step_size_up", 4},
                     {"step_size_down", 8}),
                1 + 2 * height, 1e-13);
    CHECK_CLOSE(RATE("triangular2", step, {"base_learning_rate", 1}, {"max_learning_rate", 3}, {"step_size_up", 4},
                     {"step_size_down", 8}),
                1 + 2 * height * pow(0.5, floor(s / 12)), 1e-13);
    const double even = fmod(s, 8), up_down = even <= 4 ? even / 4 : (8 - even) / 4;
    CHECK_CLOSE(RATE("triangular2", step, {"base_learning_rate", 1}, {"max_learning_rate", 3}, {"step_size_up", 4}),
                1 + 2 * up_down * pow(0.5, floor(s / 8)), 1e-13);
    CHECK_CLOSE(RATE("exp_range", step, {"base_learning_rate", 1}, {"max_learning_rate", 3}, {"step_size_up", 4},
                     {"gamma", 0.9}),
                1 + 2 * up_down * pow(0.9, s), 1e-13);
  }
  /* one cycle: the corners of its two or three phases, the middle of a line, and its end that stays */
  const double corners[][3] = {{0, 0.5, 0.5}, {29, 10, 10}, {58, -1, 0.5}, {99, 0.05, 0.05}, {500, 0.05, 0.05}};
  for (int line = 0; line < 2; line++)
    for (int three = 0; three < 2; three++)
      for (int i = 0; i < 5; i++)
        if (three || i != 2)
          CHECK_CLOSE(RATE("one_cycle", (int64_t)corners[i][0], {"max_learning_rate", 10}, {"total_steps", 100},
                           {"div_factor", 20}, {"final_div_factor", 10}, {"three_phase", three}, {"linear", line}),
                      corners[i][1 + three], 1e-12);
  CHECK_CLOSE(RATE("one_cycle", 64, {"max_learning_rate", 10}, {"total_steps", 100}, {"div_factor", 20},
                   {"final_div_factor", 10}, {"linear", 1}),
              10 - 9.95 / 2, 1e-12);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  test_norms(context);
  test_schedules();
  pynn_context_free(context);
  CHECK_REPORT();
}
