/* Around a step: penalties against differences, constraints, averages through a rollback, mixtures; no memory lost. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 12, INPUTS = 3, UNITS = 70, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];

static double uniform(void) {
  static uint64_t state = 7;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

static pynn_data data_of(void) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
}

static pynn_spec named(pynn_table table, const char *name) {
  pynn_spec spec = {0};
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, table, name));
  return spec;
}

struct run {
  pynn_context *context;
  pynn_model *model;
  pynn_trainer *trainer;
};

static struct run start(int threads, const char *choice, const pynn_spec *spec, pynn_policy policy) {
  struct run run = {NULL, NULL, NULL};
  pynn_context_options context_options;
  pynn_context_options_init(&context_options);
  context_options.threads = threads;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&run.context, &context_options));
  pynn_layer layers[2];
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[0], UNITS, "tanh"));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[1], OUTPUTS, NULL));
  if (choice) CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layers[0], choice, spec));
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  options.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, run.context, &options, layers, 2, NULL));
  pynn_spec loss = named(PYNN_LOSS, "mse");
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options trainer_options;
  pynn_trainer_options_init(&trainer_options, run.model);
  trainer_options.guard.policy = policy;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &trainer_options, NULL));
  return run;
}

static void stop(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
  pynn_context_free(run->context);
}

static double loss_of(const struct run *run) {
  pynn_workspace *w = NULL;
  pynn_data data = data_of();
  double loss = 0;
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&w, run->model));
  CHECK_STATUS(PYNN_OK, pynn_evaluate(run->model, w, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL, &loss, NULL));
  pynn_workspace_free(w);
  return loss;
}

static void penalties(void) {
  static const char *const tensors[] = {"kernel_regularizer", "bias_regularizer"};
  for (int32_t row = 0; row < pynn_table_size(PYNN_REGULARIZER); row++)
    for (int tensor = 0; tensor < 2; tensor++) {
      pynn_spec spec = named(PYNN_REGULARIZER, pynn_table_row(PYNN_REGULARIZER, row)->name);
      struct run run = start(1, tensors[tensor], &spec, PYNN_POLICY_RAISE);
      double *w = pynn_model_parameters(run.model);
      for (int i = 0; i < INPUTS * UNITS + UNITS; i++) w[i] = 0.2 * uniform();
      const double before = loss_of(&run);
      double keep[INPUTS * UNITS + UNITS + UNITS * OUTPUTS + OUTPUTS];
      const int64_t n = pynn_model_n_parameters(run.model);
      memcpy(keep, w, (size_t)n * sizeof *w);
      pynn_data data = data_of();
      pynn_step step;
      CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
      CHECK_CLOSE(step.loss, before, 1e-12);
      const double *g = pynn_trainer_gradient(run.trainer), h = 1e-6;
      memcpy(w, keep, (size_t)n * sizeof *w);
      for (int64_t i = 0; i < n; i += 7) {
        w[i] = keep[i] + h;
        const double up = loss_of(&run);
        w[i] = keep[i] - h;
        const double down = loss_of(&run);
        w[i] = keep[i];
        CHECK(fabs((up - down) / (2 * h) - g[i]) < 1e-7);
      }
      stop(&run);
    }
}

static void limits(void) {
  for (int32_t row = 0; row < pynn_table_size(PYNN_CONSTRAINT); row++) {
    pynn_spec spec = named(PYNN_CONSTRAINT, pynn_table_row(PYNN_CONSTRAINT, row)->name);
    const char *name = pynn_table_row(PYNN_CONSTRAINT, row)->name;
    struct run run = start(2, "kernel_constraint", &spec, PYNN_POLICY_RAISE);
    double *w = pynn_model_parameters(run.model);
    for (int i = 0; i < INPUTS * UNITS; i++) w[i] = 3 * uniform();
    pynn_data data = data_of();
    pynn_step step;
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    for (int j = 0; j < UNITS; j++) {
      double squares = 0, least = 0;
      for (int i = 0; i < INPUTS; i++) {
        squares += w[i * UNITS + j] * w[i * UNITS + j];
        least = fmin(least, w[i * UNITS + j]);
      }
      if (!strcmp(name, "max_norm")) CHECK(sqrt(squares) <= 2 * (1 + 1e-15));
      if (!strcmp(name, "min_max_norm")) CHECK(sqrt(squares) <= 1 + 1e-15);
      if (!strcmp(name, "unit_norm")) CHECK_CLOSE(squares, 1, 1e-14);
      if (!strcmp(name, "non_neg")) CHECK(least == 0);
    }
    stop(&run);
  }
}

static void averages(void) {
  struct run run = start(2, NULL, NULL, PYNN_POLICY_ROLLBACK);
  double *w = pynn_model_parameters(run.model);
  const int64_t n = pynn_model_n_parameters(run.model);
  pynn_average average;
  pynn_average_init(&average);
  average.decay = 1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_average(run.trainer, &average, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_use_average(run.trainer));
  CHECK(pynn_trainer_average(run.trainer) == NULL);
  average.decay = 0.75;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, &average, NULL));
  double *expected = calloc((size_t)n, sizeof *expected);
  pynn_data data = data_of();
  pynn_step step;
  for (int t = 0; t < 5; t++) {
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    for (int64_t i = 0; i < n; i++) expected[i] = t ? 0.75 * expected[i] + 0.25 * w[i] : w[i];
  }
  const double *found = pynn_trainer_average(run.trainer);
  for (int64_t i = 0; i < n; i += 3) CHECK(fabs(found[i] - expected[i]) < 1e-14);
  y[0] = 1e200; /* its square overflows: rolled back to the start, where nothing had been averaged */
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  y[0] = 0.5;
  CHECK_EQUAL(step.applied, 0);
  CHECK_EQUAL(pynn_trainer_n_averaged(run.trainer), pynn_trainer_steps(run.trainer));
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  const double last = w[0];
  CHECK_STATUS(PYNN_OK, pynn_trainer_use_average(run.trainer));
  CHECK(w[0] == pynn_trainer_average(run.trainer)[0] && (pynn_trainer_n_averaged(run.trainer) > 1 || w[0] == last));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, NULL, NULL));
  CHECK(pynn_trainer_average(run.trainer) == NULL);
  free(expected);
  stop(&run);
}

/* An average that was ended, or started again, is not brought back by a rollback. */
static void averages_begun_anew(void) {
  for (int ended = 0; ended < 2; ended++) {
    struct run run = start(1, NULL, NULL, PYNN_POLICY_ROLLBACK);
    pynn_guard guard;
    pynn_guard_init(&guard);
    guard.policy = PYNN_POLICY_ROLLBACK, guard.snapshot_every = 5;
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
    const int64_t n = pynn_model_n_parameters(run.model);
    pynn_average average;
    pynn_average_init(&average);
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, &average, NULL));
    pynn_data data = data_of();
    pynn_step step;
    for (int t = 0; t < 12; t++) CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    CHECK_EQUAL(pynn_trainer_n_averaged(run.trainer), 12);
    if (ended) CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, NULL, NULL));
    average.decay = 0.5;
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(run.trainer, &average, NULL));
    y[0] = 1e200; /* its square overflows */
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    y[0] = 0.5;
    CHECK(step.refused == 1 && pynn_trainer_steps(run.trainer) == 10);
    CHECK_EQUAL(pynn_trainer_n_averaged(run.trainer), 0);
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_use_average(run.trainer));
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    CHECK_EQUAL(pynn_trainer_n_averaged(run.trainer), 1);
    CHECK(!memcmp(pynn_trainer_average(run.trainer), pynn_model_parameters(run.model), (size_t)n * sizeof(double)));
    stop(&run);
  }
}

static void mixtures(void) {
  double kept[2][UNITS]; /* a run with two threads and one without any: the same bits */
  for (int threads = 1; threads <= 2; threads++) {
    struct run run = start(threads, NULL, NULL, PYNN_POLICY_RAISE);
    pynn_data data = data_of();
    pynn_step step;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_mixup(run.trainer, -1, NULL));
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_mixup(run.trainer, 0.3, NULL));
    for (int t = 0; t < 10; t++) CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    memcpy(kept[threads - 1], pynn_model_parameters(run.model), sizeof kept[0]);
    stop(&run);
  }
  CHECK(!memcmp(kept[0], kept[1], sizeof kept[0]));
  double mean = 0;
  for (int64_t step = 0; step < 2000; step++) {
    double share = -1;
    int64_t shift = -1;
    pynn_mixup_draw(5, step, 0.5, 3, &share, &shift);
    CHECK(share >= 0 && share <= 1 && (shift == 1 || shift == 2));
    mean += share / 2000;
    pynn_mixup_draw(5, step, 1e-6, 1, &share, &shift);
    CHECK(share >= 0 && share <= 1 && shift == 0);
  }
  CHECK(fabs(mean - 0.5) < 0.04);
}

int main(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = uniform();
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = uniform();
  penalties();
  limits();
  averages();
  averages_begun_anew();
  mixtures();
  CHECK_REPORT();
}
