/* The guard: policies, good states, divergence that stays finite, clipping, the ledger, statistics. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 160, INPUTS = 6, HIDDEN = 12, OUTPUTS = 3, BATCH = 16 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];
static int64_t labels[ROWS];
static uint64_t state = 88172645463325252u;

static double uniform(void) { /* xorshift, in (-1, 1) */
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

static void fill_data(void) {
  state = 88172645463325252u;
  for (int i = 0; i < ROWS; i++) {
    double best = -9;
    for (int j = 0; j < INPUTS; j++) x[i * INPUTS + j] = uniform();
    for (int k = 0; k < OUTPUTS; k++) {
      y[i * OUTPUTS + k] = x[i * INPUTS + k] - x[i * INPUTS + k + 3] + 0.1 * uniform();
      if (y[i * OUTPUTS + k] > best) best = y[i * OUTPUTS + k], labels[i] = k;
    }
  }
}

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_data data;
  int64_t n; /* parameters */
  size_t bytes;
};

struct choice {
  pynn_dtype dtype;
  const char *activation, *loss, *optimizer;
  double learning_rate;
};

static struct run start(const pynn_context *context, struct choice c, const pynn_guard *guard) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_spec loss;
  pynn_dense(&layers[0], HIDDEN, c.activation);
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  options.dtype = c.dtype;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, c.loss));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&trainer_options, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&trainer_options.optimizer, PYNN_OPTIMIZER, c.optimizer));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&trainer_options.optimizer, "learning_rate", c.learning_rate));
  trainer_options.guard = *guard;
  trainer_options.batch_size = ROWS;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &trainer_options, NULL));
  run.data.x = pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS);
  run.data.targets = strstr(c.loss, "cross_entropy") ? pynn_matrix(labels, PYNN_INT64, ROWS, 1)
                                                     : pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS);
  run.n = pynn_model_n_parameters(run.model);
  run.bytes = (size_t)run.n * pynn_dtype_size(c.dtype);
  return run;
}

static void finish(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static double parameter(const struct run *run, int64_t i) {
  const void *p = pynn_model_parameters(run->model);
  return pynn_model_dtype(run->model) == PYNN_FLOAT64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static int is_finite(const struct run *run) {
  for (int64_t i = 0; i < run->n; i++)
    if (!isfinite(parameter(run, i))) return 0;
  return 1;
}

static pynn_status epochs(struct run *run, int n, int64_t batch, pynn_step *step) {
  static int64_t order[ROWS];
  pynn_status status = PYNN_OK;
  for (int epoch = 0; epoch < n && !status; epoch++) {
    pynn_shuffle(5, (uint64_t)epoch, ROWS, order);
    status = pynn_train_batches(run->trainer, &run->data, order, 0, ROWS, batch, 0, PYNN_FLOAT32, NULL, step, NULL);
  }
  return status;
}

static int64_t drain(struct run *run, pynn_event *events) {
  int64_t dropped = -1, n = pynn_trainer_events(run->trainer, events, PYNN_EVENTS, &dropped);
  CHECK_EQUAL(dropped, 0);
  return n;
}

static pynn_guard guard_of(pynn_policy policy) {
  pynn_guard guard;
  pynn_guard_init(&guard);
  guard.policy = policy;
  return guard;
}

static void test_raise(const pynn_context *context, pynn_dtype dtype) {
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  struct run run = start(context, (struct choice){dtype, "relu", "mse", "adam", 1e-3}, &guard);
  pynn_event events[PYNN_EVENTS];
  pynn_step step;
  pynn_error error;
  x[40 * INPUTS + 2] = NAN;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_train_batches(run.trainer, &run.data, NULL, 0, ROWS, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
  x[40 * INPUTS + 2] = 0;
  CHECK(step.steps == 2 && step.rows == 2 * BATCH && !step.applied && !step.refused);
  CHECK_EQUAL(drain(&run, events), 1);
  CHECK(events[0].kind == PYNN_EVENT_REFUSED && events[0].operation == PYNN_OPERATION_INPUT && events[0].layer == -1);
  CHECK(events[0].row == 40 && events[0].column == 2 && events[0].step == 2 && events[0].restored == -1);
  CHECK(events[0].first == 2 * BATCH && events[0].rows == BATCH && isnan(events[0].value));
  CHECK_EQUAL(drain(&run, events), 0);
  finish(&run);
}

/* Leaving a batch out is the same as not having it. */
static void test_skip(const pynn_context *context, pynn_dtype dtype) {
  pynn_guard guard = guard_of(PYNN_POLICY_SKIP);
  struct choice choice = {dtype, "tanh", "mse", "adam", 1e-3};
  struct run run = start(context, choice, &guard), without = start(context, choice, &guard);
  pynn_event events[PYNN_EVENTS];
  pynn_step step;
  static double out[ROWS * OUTPUTS];
  int64_t order[ROWS];
  for (int i = 0; i < ROWS; i++) order[i] = i < 40 ? i : (i + BATCH) % ROWS; /* the bad rows stand last */
  x[40 * INPUTS + 2] = INFINITY;
  CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &run.data, NULL, 0, ROWS, BATCH, 0, dtype, out, &step, NULL));
  CHECK(step.steps == 9 && step.rows == 9 * BATCH && step.refused == 1 && step.refused_rows == BATCH && step.applied);
  for (int i = 0; i < ROWS * OUTPUTS && dtype == PYNN_FLOAT64; i++) CHECK(isnan(out[i]) == (i / OUTPUTS / BATCH == 2));
  CHECK_EQUAL(drain(&run, events), 1);
  CHECK(events[0].kind == PYNN_EVENT_SKIPPED && events[0].row == 40);
  for (int i = 0; i < ROWS; i++) order[i] = i < 2 * BATCH ? i : (i + BATCH);
  CHECK_STATUS(PYNN_OK, pynn_train_batches(without.trainer, &without.data, order, 0, ROWS - BATCH, BATCH, 0,
                                           PYNN_FLOAT32, NULL, &step, NULL));
  CHECK(!memcmp(pynn_model_parameters(run.model), pynn_model_parameters(without.model), run.bytes));

  /* one batch alone; three in a row */
  int64_t again[3 * BATCH];
  for (int i = 0; i < 3 * BATCH; i++) again[i] = 40;
  CHECK_STATUS(PYNN_OK,
               pynn_train_batches(run.trainer, &run.data, again, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, NULL));
  CHECK(!step.applied && step.steps == 0 && step.refused == 1);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_batches(run.trainer, &run.data, again, 0, 3 * BATCH, BATCH, 0,
                                                      PYNN_FLOAT32, NULL, &step, NULL));
  CHECK_EQUAL(step.refused, 1);
  CHECK_EQUAL(drain(&run, events), 3);
  CHECK_EQUAL(events[2].kind, PYNN_EVENT_REFUSED);
  x[40 * INPUTS + 2] = 0;
  CHECK_STATUS(PYNN_OK,
               pynn_train_batches(run.trainer, &run.data, NULL, 0, ROWS, BATCH, 0, PYNN_FLOAT32, NULL, &step, NULL));
  finish(&run);
  finish(&without);
}

static void test_rollback(const pynn_context *context, pynn_dtype dtype) {
  pynn_guard guard = guard_of(PYNN_POLICY_ROLLBACK);
  const char *optimizers[] = {"sgd", "adam", "rmsprop"};
  const double lower = 1e4 * guard.backoff;
  for (int o = 0; o < 3; o++) {
    struct run run = start(context, (struct choice){dtype, "relu", "mse", optimizers[o], 1e4}, &guard);
    pynn_event events[PYNN_EVENTS];
    pynn_step step;
    char *first = malloc(run.bytes);
    memcpy(first, pynn_model_parameters(run.model), run.bytes);
    int64_t n = 0;
    for (int i = 0; i < 400 && !n; i++) { /* batch by batch until something happens */
      CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &run.data, NULL, i % 10 * BATCH, BATCH, BATCH, 0,
                                               PYNN_FLOAT32, NULL, &step, NULL));
      n = drain(&run, events);
    }
    CHECK(n >= 1 && !step.applied);
    const pynn_event *event = &events[n - 1];
    CHECK(event->kind == PYNN_EVENT_ROLLED_BACK && event->learning_rate == 1e4 && event->new_learning_rate == lower);
    CHECK(event->restored == pynn_trainer_steps(run.trainer) && pynn_trainer_learning_rate(run.trainer) == lower);
    if (!event->restored) CHECK(!memcmp(first, pynn_model_parameters(run.model), run.bytes));
    CHECK_STATUS(PYNN_OK, epochs(&run, 300, BATCH, &step));
    CHECK(is_finite(&run) && step.loss < (o ? 20 : 0.1)); /* normalised steps stay, finite, where the rate lets them */
    CHECK(pynn_trainer_learning_rate(run.trainer) < 100);
    free(first);
    finish(&run);
  }
  /* nothing helps: an end, with the model finite */
  guard.max_rollbacks = 3;
  struct run run = start(context, (struct choice){dtype, "relu", "mse", "sgd", 1e-3}, &guard);
  pynn_step step;
  pynn_event events[PYNN_EVENTS];
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] *= dtype == PYNN_FLOAT32 ? 1e30 : 1e250;
  CHECK_STATUS(PYNN_ERROR_NUMERIC, epochs(&run, 100, BATCH, &step));
  fill_data();
  int64_t n = drain(&run, events), rolled = 0;
  for (int64_t i = 0; i < n; i++) rolled += events[i].kind == PYNN_EVENT_ROLLED_BACK;
  CHECK_EQUAL(rolled, guard.max_rollbacks);
  CHECK(is_finite(&run) && events[n - 1].kind == PYNN_EVENT_REFUSED);
  finish(&run);
  /* a bad cell is left out, not rolled back over */
  run = start(context, (struct choice){dtype, "relu", "mse", "sgd", 1e-3}, &guard);
  x[17] = NAN;
  CHECK_STATUS(PYNN_OK, epochs(&run, 1, BATCH, &step));
  x[17] = 0;
  CHECK(drain(&run, events) == 1 && events[0].kind == PYNN_EVENT_SKIPPED);
  /* parameters that were never good are not kept as good */
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
  if (dtype == PYNN_FLOAT32) ((float *)pynn_model_parameters(run.model))[3] = nanf("");
  else ((double *)pynn_model_parameters(run.model))[3] = NAN;
  CHECK_STATUS(PYNN_ERROR_NUMERIC, epochs(&run, 1, BATCH, &step));
  CHECK(drain(&run, events) == 1 && events[0].operation == PYNN_OPERATION_PARAMETER && events[0].layer == 0);
  finish(&run);
}

/* A loss that runs away without leaving the range of its dtype. */
static void test_divergence(const pynn_context *context) {
  const struct choice choices[] = {{PYNN_FLOAT64, "linear", "mse", "sgd", 20},
                                   {PYNN_FLOAT32, "tanh", "mse", "sgd", 1000},
                                   {PYNN_FLOAT32, "tanh", "mse", "adam", 100},
                                   {PYNN_FLOAT32, "relu", "softmax_cross_entropy", "adam", 100},
                                   {PYNN_FLOAT64, "tanh", "softmax_cross_entropy", "sgd", 1e5}};
  for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
    for (int policy = 0; policy < 2; policy++) {
      pynn_guard guard = guard_of((pynn_policy)policy);
      struct run run = start(context, choices[i], &guard);
      pynn_step step;
      pynn_event events[PYNN_EVENTS];
      if (!CHECK(epochs(&run, 100, BATCH, &step) == PYNN_ERROR_NUMERIC)) fprintf(stderr, "  choice %d\n", (int)i);
      const int64_t n = drain(&run, events);
      CHECK(n == 2 && events[0].kind == PYNN_EVENT_DIVERGED && events[1].kind == PYNN_EVENT_REFUSED);
      CHECK(isfinite(events[0].value) && is_finite(&run));
      finish(&run);
    }
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  guard.divergence = 0;
  struct run run = start(context, choices[2], &guard);
  pynn_step step;
  CHECK_STATUS(PYNN_OK, epochs(&run, 100, BATCH, &step));
  finish(&run);
}

/* Runs that are noisy, fast or slow, but well, are left alone. */
static void test_no_false_alarm(const pynn_context *context) {
  const char *losses[] = {"mse", "softmax_cross_entropy"}, *optimizers[] = {"sgd", "adam"};
  const char *activations[] = {"relu", "tanh"};
  const double rates[2][3] = {{1e-4, 0.02, 0.2}, {1e-5, 1e-3, 0.03}};
  const int64_t batches[] = {1, 4, 32};
  for (int c = 0; c < 72; c++) {
    pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
    const int o = c / 2 % 2, wild = c % 2 == 0 && o == 0 && c < 24; /* mse by sgd, row by row */
    struct run run = start(context,
                           (struct choice){PYNN_FLOAT32, activations[c / 4 % 2], losses[c % 2], optimizers[o],
                                           rates[o][c / 8 % 3] * (wild ? 0.1 : 1)},
                           &guard);
    pynn_step step;
    pynn_event events[PYNN_EVENTS];
    for (int i = 0; i < ROWS && c % 2 == 0; i++) /* heavy tails: one row in 40 has targets 30 times as large */
      for (int k = 0; k < OUTPUTS; k++) y[i * OUTPUTS + k] *= i % 40 ? 1 : 30;
    if (!CHECK(epochs(&run, 40, batches[c / 24], &step) == PYNN_OK)) fprintf(stderr, "  run %d\n", c);
    fill_data();
    CHECK_EQUAL(drain(&run, events), 0);
    finish(&run);
  }
}

static void test_clip(const pynn_context *context) {
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  guard.clip_z = 2.5;
  struct run run = start(context, (struct choice){PYNN_FLOAT64, "tanh", "mse", "sgd", 0.01}, &guard);
  pynn_step step;
  pynn_event events[PYNN_EVENTS];
  CHECK_STATUS(PYNN_OK, epochs(&run, 4, BATCH, &step));
  drain(&run, events);
  const double usual = step.gradient_norm, kept = y[0];
  double *before = malloc(run.bytes), moved = 0;
  memcpy(before, pynn_model_parameters(run.model), run.bytes);
  y[0] = 1e6;
  CHECK_STATUS(PYNN_OK,
               pynn_train_batches(run.trainer, &run.data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, NULL));
  y[0] = kept;
  for (int64_t i = 0; i < run.n; i++) moved += pow(parameter(&run, i) - before[i], 2);
  CHECK(step.gradient_norm > 1e3 * usual);
  CHECK(sqrt(moved) < 0.01 * 3 * usual);
  CHECK_EQUAL(drain(&run, events), 1);
  CHECK(events[0].kind == PYNN_EVENT_CLIPPED && events[0].value == step.gradient_norm);
  free(before);
  finish(&run);
}

static void test_off_and_ledger(const pynn_context *context) {
  pynn_guard guard = guard_of(PYNN_POLICY_OFF);
  struct run run = start(context, (struct choice){PYNN_FLOAT32, "relu", "mse", "sgd", 1e4}, &guard);
  pynn_step step;
  pynn_event events[PYNN_EVENTS];
  CHECK_STATUS(PYNN_OK, epochs(&run, 30, BATCH, &step)); /* other tools leave one here */
  CHECK(!is_finite(&run) && drain(&run, events) == 0);
  guard.policy = PYNN_POLICY_SKIP;
  guard.streak = 1000000;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
  CHECK_STATUS(PYNN_OK, epochs(&run, 30, BATCH, &step));
  int64_t dropped = 0;
  CHECK_EQUAL(pynn_trainer_events(run.trainer, events, 10, NULL), 10);
  CHECK_EQUAL(pynn_trainer_events(run.trainer, events, PYNN_EVENTS, &dropped), PYNN_EVENTS - 10);
  CHECK_EQUAL(dropped, 300 - PYNN_EVENTS);
  CHECK(events[0].step == 300 && events[0].operation == PYNN_OPERATION_PARAMETER);
  CHECK_EQUAL(pynn_trainer_events(run.trainer, events, PYNN_EVENTS, &dropped), 0);
  CHECK_EQUAL(dropped, 0);
  finish(&run);
  CHECK(!strcmp(pynn_event_name(PYNN_EVENT_ROLLED_BACK), "rolled_back"));
  CHECK(!strcmp(pynn_event_name((pynn_event_kind)99), "unknown"));
}

static void test_invalid(const pynn_context *context) {
  pynn_guard good = guard_of(PYNN_POLICY_RAISE), bad[12];
  for (int i = 0; i < 12; i++) bad[i] = good;
  bad[0].policy = (pynn_policy)9, bad[1].streak = 0, bad[2].max_rollbacks = -1, bad[3].backoff = 1;
  bad[4].snapshot_every = 0, bad[5].divergence = 1, bad[6].window = PYNN_GUARD_WINDOW + 1, bad[7].clip_z = NAN;
  bad[8].clip_alpha = 1, bad[9].check_every = -1;
  bad[10].struct_size -= 8, bad[11].struct_size = 0; /* of another version, and by hand */
  struct run run = start(context, (struct choice){PYNN_FLOAT32, "relu", "mse", "sgd", 0.1}, &good);
  for (int i = 0; i < 12; i++) {
    pynn_error error;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_guard(run.trainer, &bad[i], &error));
    CHECK(strstr(error.message, "expected a guard with"));
  }
  finish(&run);
}

/* Whatever the caller writes into the parameters between two calls, a step leaves none that is not finite. */
static void test_written(const pynn_context *context) {
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  struct run run = start(context, (struct choice){PYNN_FLOAT32, "tanh", "mse", "sgd", 1e30}, &guard);
  float *parameters = pynn_model_parameters(run.model);
  pynn_step step;
  for (int64_t i = 0; i < run.n; i++) parameters[i] = i % 2 ? 3.4e38f : -3.4e38f;
  for (int i = 0; i < 20; i++) {
    (void)pynn_train_batches(run.trainer, &run.data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, NULL);
    CHECK(is_finite(&run));
    for (int64_t j = 0; j < run.n; j++) parameters[j] = (float)(uniform() * pow(10, 38 * uniform()));
  }
  finish(&run);
}

/* ---- statistics, against plain loops */

static void test_statistics(const pynn_context *context) {
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  guard.check_every = 1;
  struct run run = start(context, (struct choice){PYNN_FLOAT64, "tanh", "mse", "sgd", 0.1}, &guard);
  pynn_statistics s;
  pynn_step step;
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
  CHECK_EQUAL(s.step, 0);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_statistics(run.trainer, 2, &s));
  double *w = pynn_model_parameters(run.model), *before = malloc(run.bytes);
  const double *g = pynn_trainer_gradient(run.trainer);
  for (int64_t i = 0; i < INPUTS; i++) w[i * HIDDEN] = 1e-30;    /* unit 0: tiny; its weights lie below their updates */
  w[INPUTS * HIDDEN + 1] = 40;                                   /* unit 1: saturated in every row */
  for (int64_t i = 0; i < INPUTS; i++) w[i * HIDDEN + 2] = 1e19; /* unit 2: saturated, too large to be moved */
  memcpy(before, w, run.bytes);
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  double sum = 0, squares = 0, largest = 0, stuck = 0, tiny = 0, moved = 0, weights = 0, gradients = 0, lost = 0;
  const double n = ROWS * HIDDEN;
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < HIDDEN; j++) {
      double z = before[INPUTS * HIDDEN + j];
      for (int k = 0; k < INPUTS; k++) z += x[i * INPUTS + k] * before[k * HIDDEN + j];
      const double a = tanh(z);
      sum += a, squares += a * a, largest = fmax(largest, fabs(a));
      stuck += fabs(z) > 2.5, tiny += a != 0 && fabs(a) < 1e-19;
    }
  const int64_t parameters = INPUTS * HIDDEN + HIDDEN;
  for (int64_t i = 0; i < parameters; i++) {
    moved += pow(w[i] - before[i], 2), weights += before[i] * before[i], gradients += g[i] * g[i];
    lost += g[i] != 0 && w[i] == before[i];
  }
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
  CHECK_EQUAL(s.step, 1);
  CHECK_CLOSE(s.largest, largest, 1e-14);
  CHECK_CLOSE(s.mean, sum / n, 1e-12);
  CHECK_CLOSE(s.std, sqrt(squares / n - sum / n * sum / n), 1e-12);
  CHECK_CLOSE(s.saturated, stuck / n, 1e-14);
  CHECK(stuck >= ROWS && tiny == ROWS);
  CHECK_CLOSE(s.tiny, tiny / n, 1e-14);
  CHECK_CLOSE(s.dead, 2.0 / HIDDEN, 1e-14);
  CHECK_CLOSE(s.gradient_rms, sqrt(gradients / (double)parameters), 1e-12);
  CHECK_CLOSE(s.weight_norm, sqrt(weights), 1e-12);
  CHECK_CLOSE(s.update_ratio, sqrt(moved / weights), 1e-9);
  CHECK_CLOSE(s.updates_lost, lost / (double)parameters, 1e-14);
  for (int64_t i = 0; i < INPUTS; i++) w[i * HIDDEN + 2] = 0.1; /* unit 2 comes alive: not dead in this epoch */
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
  CHECK_CLOSE(s.dead, 1.0 / HIDDEN, 1e-14);
  for (int64_t i = 0; i < INPUTS; i++) w[i * HIDDEN + 2] = 1e19;
  pynn_trainer_begin_epoch(run.trainer);
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
  CHECK_CLOSE(s.dead, 2.0 / HIDDEN, 1e-14);
  free(before);
  finish(&run);

  guard.check_every = 3; /* steps 1, 4, 7; none without being asked */
  run = start(context, (struct choice){PYNN_FLOAT32, "relu", "mse", "adam", 0.01}, &guard);
  for (int i = 0; i < 9; i++) {
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 1, &s));
    CHECK_EQUAL(s.step, i / 3 * 3 + 1);
  }
  guard.check_every = 0;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 1, &s));
  CHECK_EQUAL(s.step, 0);
  finish(&run);
}

/* Root of the mean square of n numbers that are about as large as `unit`. */
static double root_mean_square(const double *numbers, int64_t n, double unit) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (numbers[i] / unit) * (numbers[i] / unit);
  return unit * sqrt(sum / (double)n);
}

/* Numbers whose squares leave the range of doubles have norms all the same, and equal ones a spread of 0. */
/* A series has every step until it is full, then every second, fourth, ...; statistics survive the thinning. */
static void test_series(const pynn_context *context) {
  enum { CAPACITY = 8, LAYERS = 2, STEPS = 37 };
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  guard.check_every = 10;
  struct run run = start(context, (struct choice){PYNN_FLOAT32, "tanh", "mse", "sgd", 0.1}, &guard);
  double values[CAPACITY * LAYERS * PYNN_SERIES_FIELDS], about[CAPACITY * 3];
  int64_t counters[3] = {0, 1, 1};
  const pynn_series series = {values, about, counters, CAPACITY};
  pynn_series bad = series;
  bad.capacity = 1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_series(run.trainer, &bad));
  bad = (pynn_series){NULL, about, counters, CAPACITY};
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_series(run.trainer, &bad));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_series(NULL, &series));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_series(run.trainer, &series));
  pynn_layer_health h;
  pynn_step step;
  for (int i = 1; i <= STEPS; i++) {
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
    if (i > CAPACITY) continue;
    CHECK_STATUS(PYNN_OK, pynn_trainer_health(run.trainer, 1, &h));
    const double *last = values + ((counters[0] - 1) * LAYERS + 1) * PYNN_SERIES_FIELDS;
    CHECK_EQUAL(counters[0], i);
    CHECK(last[0] == h.activation_max && last[2] == h.gradient_max && last[3] == h.gradient_norm);
    CHECK(about[3 * (i - 1)] == i && about[3 * (i - 1) + 1] == step.loss && about[3 * (i - 1) + 2] == 0.1);
    CHECK(isnan(last[4]) == (i != 1)); /* the largest value, by statistics */
  }
  CHECK(counters[0] > CAPACITY / 2 && counters[0] <= CAPACITY);
  CHECK_EQUAL(counters[1], 8);
  int taken = 0;
  for (int64_t i = 0; i < counters[0]; i++) {
    CHECK(i == 0 || about[3 * i] > about[3 * (i - 1)]);
    taken += !isnan(values[i * LAYERS * PYNN_SERIES_FIELDS + 4]);
  }
  CHECK(taken >= 3); /* of steps 1, 11, 21, 31 */
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_series(run.trainer, NULL));
  const int64_t before = counters[0];
  for (int i = 0; i < 20; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  CHECK_EQUAL(counters[0], before);
  finish(&run);
}

static void test_statistics_at_the_edges(const pynn_context *context) {
  static const double units[] = {1e-200, 1e200};
  pynn_guard guard = guard_of(PYNN_POLICY_RAISE);
  guard.check_every = 1;
  for (int u = 0; u < 2; u++) {
    struct run run = start(context, (struct choice){PYNN_FLOAT64, "linear", "mae", "sgd", 1e-3}, &guard);
    const int64_t first = INPUTS * HIDDEN + HIDDEN, rest = run.n - first;
    double *w = pynn_model_parameters(run.model), *before = malloc(run.bytes);
    const double *g = pynn_trainer_gradient(run.trainer);
    for (int64_t i = 0; i < run.n; i++) w[i] *= units[u];
    for (int64_t i = first; i < run.n; i++) w[i] = u ? 1 : 0; /* layer 1 sees activations of that size */
    for (int64_t i = 0; i < INPUTS; i++) w[i * HIDDEN] = 0;
    memcpy(before, w, run.bytes);
    pynn_statistics s;
    pynn_layer_health health;
    pynn_step step;
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
    CHECK_CLOSE(s.weight_norm / units[u], root_mean_square(before, first, units[u]) / units[u] * sqrt((double)first),
                1e-12);
    CHECK(s.std > 0.1 * units[u] && s.std < 10 * units[u]);
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 1, &s));
    const double rms = root_mean_square(g + first, rest, u ? units[1] : 1);
    CHECK_CLOSE(s.gradient_rms / rms, 1, 1e-12);
    CHECK_STATUS(PYNN_OK, pynn_trainer_health(run.trainer, 1, &health));
    CHECK_CLOSE(health.gradient_norm / (rms * sqrt((double)rest)), 1, 1e-12);
    if (u) CHECK(step.gradient_norm > 1e190 && isfinite(step.gradient_norm));
    free(before);
    finish(&run);
  }
  struct run run = start(context, (struct choice){PYNN_FLOAT32, "linear", "mse", "sgd", 0.1}, &guard);
  float *w = pynn_model_parameters(run.model);
  pynn_statistics s;
  pynn_step step;
  for (int64_t i = 0; i < INPUTS * HIDDEN; i++) w[i] = 0;
  for (int64_t i = 0; i < HIDDEN; i++) w[INPUTS * HIDDEN + i] = 0.1f;
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &run.data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(run.trainer, 0, &s));
  CHECK_EQUAL(s.std, 0);
  CHECK_EQUAL(s.mean, (double)0.1f);
  finish(&run);
}

/* The same statistics, and the same parameters with or without them, for any number of threads. */
static void test_threads(void) {
  enum { IN = 300, UNITS = 200, N = 400, LAYERS = 4 };
  static float in[N * IN], parameters[5][200000];
  static int32_t label[N];
  pynn_statistics all[5][LAYERS];
  for (int i = 0; i < N * IN; i++) in[i] = (float)uniform();
  for (int i = 0; i < N; i++) label[i] = i % 10;
  for (int c = 0; c < 5; c++) {
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    options.threads = c == 4 ? 2 : 1 << c;
    CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
    pynn_layer layers[LAYERS];
    pynn_model_options model_options;
    pynn_trainer_options trainer_options;
    pynn_model *model;
    pynn_trainer *trainer;
    pynn_spec loss;
    pynn_dense(&layers[0], UNITS, "relu"), pynn_dropout(&layers[1], 0.2), pynn_dense(&layers[2], UNITS, "softmax");
    pynn_dense(&layers[3], 10, NULL);
    pynn_model_options_init(&model_options);
    model_options.inputs = IN;
    CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &model_options, layers, LAYERS, NULL));
    pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
    pynn_model_set_loss(model, &loss);
    pynn_trainer_options_init(&trainer_options, model);
    trainer_options.batch_size = 300;
    trainer_options.guard.check_every = c == 4 ? 0 : 1;
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &trainer_options, NULL));
    pynn_data data = {pynn_matrix(in, PYNN_FLOAT32, N, IN), pynn_matrix(label, PYNN_INT32, N, 1), {0}};
    pynn_step step;
    CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, NULL, 0, N, 300, 0, PYNN_FLOAT32, NULL, &step, NULL));
    for (int l = 0; l < LAYERS; l++) CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(trainer, l, &all[c][l]));
    memcpy(parameters[c], pynn_model_parameters(model), (size_t)pynn_model_n_parameters(model) * sizeof(float));
    CHECK(!memcmp(parameters[0], parameters[c], sizeof parameters[0]));
    if (c < 4) CHECK(!memcmp(all[0], all[c], sizeof all[0]));
    CHECK(c == 4 || (all[c][0].zeros > 0.3 && all[c][0].zeros < 0.7 && all[c][2].step == 2));
    if (c < 4) CHECK_CLOSE(all[c][2].mean, 1.0 / UNITS, 1e-5);
    pynn_trainer_free(trainer);
    pynn_model_free(model);
    pynn_context_free(context);
  }
}

/* ---- memory: all at _new and _set_guard, none in a step; any allocation may fail */

struct counter {
  int64_t live, calls, fail_at;
};
static void *counted_allocate(void *user, size_t size) {
  struct counter *counter = user;
  if (++counter->calls == counter->fail_at) return NULL;
  counter->live++;
  return aligned_alloc(64, (size + 63) / 64 * 64);
}
static void counted_release(void *user, void *memory, size_t size) {
  (void)size;
  ((struct counter *)user)->live--;
  free(memory);
}

static pynn_status life(struct counter *counter) {
  pynn_context_options options;
  pynn_context *context = NULL;
  pynn_model *model = NULL;
  pynn_trainer *trainer = NULL;
  pynn_layer layer;
  pynn_model_options model_options;
  pynn_trainer_options trainer_options;
  pynn_spec loss;
  pynn_step step;
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  pynn_guard full = guard_of(PYNN_POLICY_ROLLBACK), plain = guard_of(PYNN_POLICY_SKIP);
  full.check_every = 2;
  pynn_context_options_init(&options);
  options.allocator = (pynn_allocator){counted_allocate, counted_release, counter};
  pynn_status status = pynn_context_new(&context, &options);
  pynn_model_options_init(&model_options);
  model_options.inputs = INPUTS;
  pynn_dense(&layer, OUTPUTS, NULL);
  if (!status) status = pynn_model_new(&model, context, &model_options, &layer, 1, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  if (!status) status = pynn_model_set_loss(model, &loss);
  if (!status) pynn_trainer_options_init(&trainer_options, model), trainer_options.guard = full;
  if (!status) status = pynn_trainer_new(&trainer, model, &trainer_options, NULL);
  for (int i = 0; i < 3 && trainer; i++) { /* there and back; after a failure the old guard works on */
    pynn_status changed = i ? pynn_trainer_set_guard(trainer, i == 1 ? &plain : &full, NULL) : PYNN_OK;
    const int64_t calls = counter->calls;
    CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, NULL, 0, ROWS, 8, 0, PYNN_FLOAT32, NULL, &step, NULL));
    CHECK_EQUAL(counter->calls, calls);
    if (changed) status = changed;
  }
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
  return status;
}

static void test_memory(void) {
  struct counter counter = {0};
  CHECK_STATUS(PYNN_OK, life(&counter));
  CHECK_EQUAL(counter.live, 0);
  const int64_t calls = counter.calls;
  for (int64_t at = 1; at <= calls; at++) {
    counter = (struct counter){.fail_at = at};
    CHECK_STATUS(PYNN_ERROR_OUT_OF_MEMORY, life(&counter));
    CHECK_EQUAL(counter.live, 0);
  }
}

int main(void) {
  pynn_context *context;
  pynn_context_options options;
  pynn_context_options_init(&options);
  options.threads = 2;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
  fill_data();
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
    test_raise(context, (pynn_dtype)dtype);
    test_skip(context, (pynn_dtype)dtype);
    test_rollback(context, (pynn_dtype)dtype);
  }
  test_divergence(context);
  test_no_false_alarm(context);
  test_clip(context);
  test_off_and_ledger(context);
  test_invalid(context);
  test_written(context);
  test_statistics(context);
  test_statistics_at_the_edges(context);
  test_series(context);
  test_threads();
  test_memory();
  pynn_context_free(context);
  CHECK_REPORT();
}
