/* Calls that few programs make: full gradients of data in parts, sparse rows that are broken, evaluations of several
 * tiles with a fault in the last, targets in their own units in another order, what a trainer knows before it began. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 300, INPUTS = 4, OUTPUTS = 3 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];
static int64_t labels[ROWS], offsets[ROWS + 1], columns[ROWS];

static void fill(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(3.0 * i);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = cos(2.0 * i);
  for (int i = 0; i < ROWS; i++) labels[i] = i % OUTPUTS, offsets[i + 1] = i + 1, columns[i] = i % INPUTS;
}

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_workspace *workspace;
};

static struct run start(const pynn_context *context, const char *loss_name, int target_scaling,
                        const pynn_guard *guard) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layers[0], 5, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = PYNN_FLOAT64, options.target_scaling = target_scaling;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&how, run.model);
  if (guard) how.guard = *guard;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&run.workspace, run.model));
  return run;
}

static void stop(struct run *run) {
  pynn_workspace_free(run->workspace);
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static pynn_data data_of(int64_t rows) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT64, rows, INPUTS), pynn_matrix(y, PYNN_FLOAT64, rows, OUTPUTS), {0}};
}

/* ---- full gradients */

static void test_full_gradient(const pynn_context *context) {
  struct run run = start(context, "mse", 0, NULL);
  pynn_data data = data_of(ROWS), bad = data;
  pynn_error error;
  double loss = -1, again = -1, gradient[64], other[64];
  /* the same in parts of any size, dense or sparse */
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(run.trainer, &data, 32, &loss, gradient, &error));
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(run.trainer, &data, 7, &again, other, &error));
  CHECK_CLOSE(loss, again, 1e-13);
  for (int64_t i = 0; i < pynn_model_n_parameters(run.model); i++) CHECK(fabs(gradient[i] - other[i]) < 1e-14);
  double evaluated;
  CHECK_STATUS(PYNN_OK, pynn_evaluate(run.model, run.workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL,
                                      &evaluated, NULL));
  CHECK_CLOSE(loss, evaluated, 1e-13);

  double filled[ROWS * INPUTS] = {0};
  for (int i = 0; i < ROWS; i++) filled[i * INPUTS + columns[i]] = x[i];
  pynn_data sparse = data, dense = data;
  sparse.x = pynn_csr(x, PYNN_FLOAT64, columns, offsets, PYNN_INT64, ROWS, INPUTS);
  dense.x = pynn_matrix(filled, PYNN_FLOAT64, ROWS, INPUTS);
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(run.trainer, &sparse, 32, &loss, gradient, &error));
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(run.trainer, &dense, 32, &again, other, &error));
  CHECK_CLOSE(loss, again, 1e-13);
  for (int64_t i = 0; i < pynn_model_n_parameters(run.model); i++) CHECK(fabs(gradient[i] - other[i]) < 1e-14);

  loss = -1;
#define REFUSES(status, trainer_, data_, batch, loss_, gradient_) \
  CHECK_STATUS(status, pynn_trainer_full_gradient(trainer_, data_, batch, loss_, gradient_, &error))
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, NULL, &data, 8, &loss, gradient);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, NULL, 8, &loss, gradient);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &data, 0, &loss, gradient);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &data, 33, &loss, gradient);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &data, 8, NULL, gradient);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &data, 8, &loss, NULL);
  bad.x.rows = bad.targets.rows = 0;
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &bad, 8, &loss, gradient);
  bad = data, bad.targets.rows--;
  REFUSES(PYNN_ERROR_SHAPE, run.trainer, &bad, 8, &loss, gradient);
  columns[200] = INPUTS;
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &sparse, 8, &loss, gradient);
  columns[200] = 0;
  stop(&run);
  run = start(context, "mse", 1, NULL);
  REFUSES(PYNN_ERROR_NOT_READY, run.trainer, &data, 8, &loss, gradient);
  stop(&run);
  run = start(context, "softmax_cross_entropy", 0, NULL);
  bad.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
  labels[250] = OUTPUTS;
  REFUSES(PYNN_ERROR_LABEL, run.trainer, &bad, 32, &loss, gradient);
  CHECK(error.row == 250 && loss == -1);
  labels[250] = 0;
#undef REFUSES
  stop(&run);
}

/* ---- evaluations of more than one tile */

static void test_evaluations(const pynn_context *context) {
  struct run run = start(context, "softmax_cross_entropy", 0, NULL);
  pynn_data data = data_of(ROWS);
  data.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
  pynn_array sparse = pynn_csr(x, PYNN_FLOAT64, columns, offsets, PYNN_INT64, ROWS, INPUTS);
  double loss = -1, out[ROWS * OUTPUTS], again[ROWS * OUTPUTS];
  pynn_error error;
#define EVALUATE(status, x_)                                                                                         \
  CHECK_STATUS(status, pynn_evaluate(run.model, run.workspace, x_, &data.targets, NULL, pynn_model_dtype(run.model), \
                                     out, &loss, &error))
  EVALUATE(PYNN_OK, &data.x);
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &data.x, 0, pynn_model_dtype(run.model), again, NULL));
  CHECK(!memcmp(out, again, sizeof out));
  double expected = 0;
  for (int i = 0; i < ROWS; i++) expected -= log(out[i * OUTPUTS + labels[i]]) / ROWS;
  CHECK_CLOSE(loss, expected, 1e-12);
  labels[290] = -1;
  EVALUATE(PYNN_ERROR_LABEL, &data.x);
  CHECK(error.row == 290 && error.value == -1);
  labels[290] = 0;
  EVALUATE(PYNN_OK, &sparse);
  offsets[280] = 5; /* falls */
  EVALUATE(PYNN_ERROR_INVALID_ARGUMENT, &sparse);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_predict(run.model, run.workspace, &sparse, 0, pynn_model_dtype(run.model), out, NULL));
  offsets[280] = 280;
  /* of two faults the first is told, and all other rows are complete */
  const double kept[] = {x[140 * INPUTS], x[295 * INPUTS]};
  x[140 * INPUTS] = x[295 * INPUTS] = (double)INFINITY;
  EVALUATE(PYNN_ERROR_NUMERIC, &data.x);
  CHECK(error.row == 140 && error.column == 0 && error.operation == PYNN_OPERATION_INPUT);
  for (int i = 0; i < ROWS; i++)
    if (i != 140 && i != 295) CHECK(!memcmp(out + i * OUTPUTS, again + i * OUTPUTS, OUTPUTS * sizeof *out));
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &data.x, 0, pynn_model_dtype(run.model), out, NULL));
  x[140 * INPUTS] = kept[0], x[295 * INPUTS] = kept[1];
#undef EVALUATE
  stop(&run);
}

/* ---- targets in their own units, rows in another order, predictions before each update */

static void test_scaled_order(const pynn_context *context) {
  struct run run = start(context, "mse", 1, NULL), same = start(context, "mse", 1, NULL);
  pynn_data data = data_of(40), sorted = data;
  double constant[40 * OUTPUTS], mixed_x[40 * INPUTS], mixed_y[40 * OUTPUTS], predicted[40 * OUTPUTS];
  int64_t order[40];
  memcpy(constant, y, sizeof constant);
  for (int i = 0; i < 40; i++) constant[i * OUTPUTS + 1] = 5; /* never changes */
  data.targets = pynn_matrix(constant, PYNN_FLOAT64, 40, OUTPUTS);
  for (int i = 0; i < 40; i++) {
    order[i] = (i * 7 + 3) % 40;
    memcpy(mixed_x + i * INPUTS, x + order[i] * INPUTS, INPUTS * sizeof *x);
    memcpy(mixed_y + i * OUTPUTS, constant + order[i] * OUTPUTS, OUTPUTS * sizeof *y);
  }
  sorted.x = pynn_matrix(mixed_x, PYNN_FLOAT64, 40, INPUTS);
  sorted.targets = pynn_matrix(mixed_y, PYNN_FLOAT64, 40, OUTPUTS);
  pynn_summary *summary = NULL;
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&summary, context, OUTPUTS, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_summary_add(summary, &data.targets, NULL));
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(run.model, summary, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(same.model, summary, 0, NULL));
  pynn_step a, b;
  CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &data, order, 0, 40, 8, 0, PYNN_FLOAT64, predicted, &a, NULL));
  CHECK_STATUS(PYNN_OK, pynn_train_batches(same.trainer, &sorted, NULL, 0, 40, 8, 0, PYNN_FLOAT32, NULL, &b, NULL));
  CHECK(a.loss == b.loss && a.steps == 5);
  CHECK(!memcmp(pynn_model_parameters(run.model), pynn_model_parameters(same.model),
                (size_t)pynn_model_n_parameters(run.model) * sizeof(double)));
  for (int i = 0; i < 40; i++) CHECK(predicted[i * OUTPUTS + 1] == 5);
  constant[order[20] * OUTPUTS + 1] = (double)NAN; /* a constant is no reason to look away */
  pynn_error error;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_train_batches(run.trainer, &data, order, 0, 40, 8, 0, PYNN_FLOAT64, predicted, &a, &error));
  CHECK(error.operation == PYNN_OPERATION_TARGET && error.row == order[20] && a.rows == 16);
  CHECK(isnan(predicted[16 * OUTPUTS]) && !isnan(predicted[15 * OUTPUTS]));
  pynn_summary_free(summary);
  stop(&run);
  stop(&same);
}

/* ---- a call of which every step is refused */

static void test_no_loss(const pynn_context *context) {
  pynn_guard guard;
  pynn_guard_init(&guard);
  guard.policy = PYNN_POLICY_SKIP, guard.streak = 9;
  struct run run = start(context, "mse", 0, &guard);
  pynn_data data = data_of(8);
  pynn_step step;
  const double kept = y[0];
  pynn_trainer_begin_epoch(run.trainer);
  y[0] = (double)NAN;
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  CHECK(step.refused == 1 && !step.rows && isnan(step.loss) && isnan(step.gradient_norm));
  CHECK(isnan(pynn_trainer_epoch_loss(run.trainer)));
  y[0] = kept;
  CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &data, NULL, 0, 0, 4, 0, PYNN_FLOAT32, NULL, &step, NULL));
  CHECK(!step.steps && isnan(step.loss) && isnan(step.gradient_norm)); /* no rows were asked for */
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  CHECK(step.loss > 0 && step.gradient_norm > 0 && pynn_trainer_epoch_loss(run.trainer) == step.loss);
  stop(&run);
}

/* ---- what a trainer knows */

static void test_knowledge(const pynn_context *context) {
  pynn_guard guard;
  pynn_guard_init(&guard);
  struct run run = start(context, "mse", 0, &guard);
  pynn_losses losses;
  pynn_step step;
  pynn_data data = data_of(8);
  double sum = 0;
  pynn_trainer_losses(run.trainer, &losses);
  CHECK(isnan(losses.first) && isnan(losses.recent) && isnan(losses.best) && isnan(losses.nothing));
  CHECK(isnan(pynn_trainer_epoch_loss(run.trainer)));
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
    sum += step.loss;
    pynn_trainer_losses(run.trainer, &losses);
    CHECK(i || losses.first == step.loss);
    CHECK_CLOSE(losses.recent, sum / (i + 1), 1e-14);
  }
  double square = 0;
  for (int i = 0; i < 8 * OUTPUTS; i++) square += y[i] * y[i] / (8 * OUTPUTS);
  CHECK_CLOSE(losses.nothing, square, 1e-12); /* of logits that are all 0 */
  CHECK_CLOSE(pynn_trainer_epoch_loss(run.trainer), sum / 3, 1e-14);
  pynn_trainer_begin_epoch(run.trainer);
  CHECK(isnan(pynn_trainer_epoch_loss(run.trainer)));
  for (int i = 0; i < 60; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  pynn_trainer_losses(run.trainer, &losses);
  CHECK(losses.best == losses.recent && losses.best < losses.first);
  guard.policy = PYNN_POLICY_OFF;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
  pynn_trainer_losses(run.trainer, &losses);
  CHECK(isnan(losses.first) && isnan(losses.recent));
  stop(&run);

  /* a window of an even and of an odd number of steps ends in a median */
  for (guard.policy = PYNN_POLICY_RAISE, guard.window = 8; guard.window <= 9; guard.window++) {
    double seen[9];
    run = start(context, "mse", 0, &guard);
    for (int i = 0; i < guard.window; i++) {
      CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, NULL));
      seen[i] = step.loss; /* falls from step to step */
    }
    pynn_trainer_losses(run.trainer, &losses);
    CHECK_CLOSE(losses.recent, guard.window == 9 ? seen[4] : (seen[3] + seen[4]) / 2, 1e-14);
    stop(&run);
  }
}

static void test_files(const pynn_context *context) {
  struct run run = start(context, "mse", 0, NULL);
  pynn_model *model = NULL;
  pynn_error error;
#define REFUSED(call) CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, call)
  REFUSED(pynn_save(NULL, "x", NULL, 0, &error));
  REFUSED(pynn_save(run.model, NULL, NULL, 0, &error));
  REFUSED(pynn_save(run.model, "x", NULL, -1, &error));
  REFUSED(pynn_save(run.model, "x", NULL, 1, &error));
  REFUSED(pynn_load(NULL, context, "x", &error));
  REFUSED(pynn_load(&model, NULL, "x", &error));
  REFUSED(pynn_load(&model, context, NULL, &error));
  REFUSED(pynn_load_memory(NULL, context, "x", 1, &error));
  REFUSED(pynn_load_memory(&model, NULL, "x", 1, &error));
  REFUSED(pynn_load_memory(&model, context, NULL, 1, &error));
#undef REFUSED
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_load_memory(&model, context, NULL, 0, &error));
  CHECK_STATUS(PYNN_ERROR_IO, pynn_load(&model, context, "there is no such file", &error));
  CHECK(!model && strlen(error.message) > 10);
  stop(&run);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  test_full_gradient(context);
  test_evaluations(context);
  test_scaled_order(context);
  test_no_loss(context);
  test_knowledge(context);
  test_files(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
