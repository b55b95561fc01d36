/* Blame: a fault put into a training step at a known place is named exactly, and nothing changes. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 24, INPUTS = 6, HIDDEN = 10, OUTPUTS = 4 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], w[ROWS];

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_data data;
  int64_t order[ROWS];
};

static struct run run_of(const pynn_context *context, pynn_dtype dtype, const char *activation, const char *loss_name,
                         const char *optimizer, double learning_rate) {
  struct run run = {0};
  pynn_layer layers[3];
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_spec loss;
  pynn_dense(&layers[0], HIDDEN, activation);
  pynn_dense(&layers[1], HIDDEN, "linear");
  pynn_dense(&layers[2], OUTPUTS, "linear");
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  options.dtype = dtype;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&trainer_options, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&trainer_options.optimizer, PYNN_OPTIMIZER, optimizer));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&trainer_options.optimizer, "learning_rate", learning_rate));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &trainer_options, NULL));
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(i + 1);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = fabs(cos(i));
  for (int i = 0; i < ROWS; i++) w[i] = 1, run.order[i] = (i * 7 + 3) % ROWS;
  run.data = (pynn_data){pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS),
                         pynn_matrix(w, PYNN_FLOAT64, ROWS, 1)};
  return run;
}

/* The step on rows order[5 ... 20] is refused or not as blame says, and leaves the parameters alone when it is. */
static pynn_blame blame(struct run *run) {
  const size_t bytes = (size_t)pynn_model_n_parameters(run->model) * pynn_dtype_size(pynn_model_dtype(run->model));
  char *before = malloc(bytes);
  pynn_blame found = {0};
  pynn_step step;
  memcpy(before, pynn_model_parameters(run->model), bytes);
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run->trainer, &run->data, run->order, 5, 16, &found, NULL));
  CHECK(!memcmp(before, pynn_model_parameters(run->model), bytes));
  pynn_status status =
      pynn_train_batches(run->trainer, &run->data, run->order, 5, 16, 16, 0, PYNN_FLOAT32, NULL, &step, NULL);
  CHECK_EQUAL(status, found.operation == PYNN_OPERATION_NONE ? PYNN_OK : PYNN_ERROR_NUMERIC);
  CHECK(!status || !memcmp(before, pynn_model_parameters(run->model), bytes));
  free(before);
  return found;
}

static void done(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static void set_parameter(struct run *run, int64_t index, double value) {
  if (pynn_model_dtype(run->model) == PYNN_FLOAT64) ((double *)pynn_model_parameters(run->model))[index] = value;
  else ((float *)pynn_model_parameters(run->model))[index] = (float)value;
}

static void test(const pynn_context *context, pynn_dtype dtype) {
  const double huge = dtype == PYNN_FLOAT32 ? 1e38 : 1e308;
  struct run run = run_of(context, dtype, "relu", "mse", "adam", 1e-3);
  pynn_blame found = blame(&run);
  CHECK_EQUAL(found.operation, PYNN_OPERATION_NONE);

  const int64_t row = run.order[9];
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < 3; i++) {
    x[row * INPUTS + 4] = bad[i];
    found = blame(&run);
    CHECK_EQUAL(found.operation, PYNN_OPERATION_INPUT);
    CHECK(found.n_rows == 1 && found.rows[0] == row && found.n_columns == 1 && found.columns[0] == 4);
    CHECK(found.fails_in_float64 && found.n_cells == 1 && !isfinite(found.value));
  }
  x[row * INPUTS + 4] = 0;
  y[row * OUTPUTS + 1] = NAN;
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_TARGET && found.rows[0] == row && found.columns[0] == 1);
  w[row] = 0; /* the row is not there: neither is its fault */
  CHECK_EQUAL(blame(&run).operation, PYNN_OPERATION_NONE);
  y[row * OUTPUTS + 1] = 0, w[row] = INFINITY;
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_SAMPLE_WEIGHT && found.rows[0] == row);
  w[row] = 1;

  /* a weight: layer 1, kernel row 2, unit 3 */
  pynn_tensor tensor;
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(run.model, 2, &tensor));
  const int64_t at = tensor.offset + 2 * HIDDEN + 3;
  set_parameter(&run, at, NAN);
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_PARAMETER && found.layer == 1 && found.tensor_row == 2 &&
        found.columns[0] == 3);
  set_parameter(&run, at, 0.1);
  done(&run);

  /* rows too large for the dtype once they are multiplied: the gemm of layer 0, that row alone */
  run = run_of(context, dtype, "relu", "mse", "sgd", 1e-3);
  for (int64_t i = 0; i < INPUTS * HIDDEN; i++) set_parameter(&run, i, 3);
  for (int j = 0; j < INPUTS; j++) x[row * INPUTS + j] = huge;
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_GEMM && found.layer == 0 && found.n_rows == 1 && found.rows[0] == row);
  CHECK_EQUAL(found.n_columns, HIDDEN);
  CHECK_CLOSE(found.largest_left, huge, 1e-6);
  CHECK_EQUAL(found.fails_in_float64, dtype == PYNN_FLOAT64);
  done(&run);

  run = run_of(context, dtype, "relu", "mse", "sgd", 1e-3);
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(run.model, 1, &tensor)); /* bias of layer 0, unit 6, on top of huge z */
  for (int64_t i = 0; i < INPUTS; i++) set_parameter(&run, i * HIDDEN + 6, i == 2 ? 1 : 0);
  for (int i = 0; i < ROWS; i++) x[i * INPUTS + 2] = 0;
  x[row * INPUTS + 2] = huge;
  set_parameter(&run, tensor.offset + 6, 3 * huge > 1e308 ? 1.7e308 : 3 * huge);
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_BIAS && found.layer == 0 && found.rows[0] == row && found.columns[0] == 6);
  done(&run);

  run = run_of(context, dtype, "exponential", "mse", "sgd", 1e-3);
  for (int64_t i = 0; i < INPUTS; i++) set_parameter(&run, i * HIDDEN + 6, i == 2 ? 1 : 0);
  x[row * INPUTS + 2] = 1000;
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_ACTIVATION && found.layer == 0 && found.rows[0] == row);
  CHECK(found.columns[0] == 6 || found.n_columns > 1);
  done(&run);

  run = run_of(context, dtype, "tanh", "mse", "sgd", 1e-3);
  y[row * OUTPUTS + 2] = dtype == PYNN_FLOAT32 ? 3e38 : 1e300; /* squared it leaves the range of double too, or not */
  found = blame(&run);
  CHECK(found.operation == (dtype == PYNN_FLOAT32 ? PYNN_OPERATION_NONE : PYNN_OPERATION_LOSS) ||
        found.operation == PYNN_OPERATION_DW || found.operation == PYNN_OPERATION_DX);
  done(&run);

  run = run_of(context, dtype, "tanh", "mse", "sgd", dtype == PYNN_FLOAT32 ? 3e38 : 1.7e308);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] *= 1e4;
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_UPDATE && found.layer >= 0 && found.tensor_row >= 0);
  done(&run);

  run = run_of(context, dtype, "tanh", "mse", "adam", 1e-3);
  if (dtype == PYNN_FLOAT32) ((float *)pynn_trainer_slot(run.trainer, 1))[3] = (float)NAN;
  else ((double *)pynn_trainer_slot(run.trainer, 1))[3] = NAN;
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &run.data, run.order, 5, 16, &found, NULL));
  CHECK(found.operation == PYNN_OPERATION_STATE && found.layer == 0 && found.columns[0] == 3);
  done(&run);
}

/* A gradient that leaves the range of its dtype, in each of its products: the row whose product is the largest. */
static void test_backward(const pynn_context *context, pynn_dtype dtype) {
  const int single = dtype == PYNN_FLOAT32;
  struct run run = run_of(context, dtype, "tanh", "mse", "sgd", 1e-3);
  const int64_t row = run.order[9];
  for (int64_t u = 0; u < HIDDEN; u++) set_parameter(&run, 4 * HIDDEN + u, 0); /* input 4 counts in gradients only */
  x[row * INPUTS + 4] = single ? 1e30 : 1e200;
  y[row * OUTPUTS + 2] = single ? -1e14 : -1e150;
  pynn_blame found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_DW && found.layer == 0 && found.tensor_row == 4);
  CHECK(found.n_rows == 1 && found.rows[0] == row && !isfinite(found.value));
  CHECK_CLOSE(found.largest_left, x[row * INPUTS + 4], 1e-6);
  CHECK_EQUAL(found.fails_in_float64, !single);
  done(&run);
  if (!single) return;

  run = run_of(context, dtype, "tanh", "mse", "sgd", 1e-3);
  pynn_tensor tensor;
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(run.model, 4, &tensor));
  for (int64_t i = 0; i < HIDDEN * OUTPUTS; i++) set_parameter(&run, tensor.offset + i, 1e30); /* logits stay finite */
  found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_DX && found.layer == 2 && found.n_rows > 0);
  CHECK_CLOSE(found.largest_right, 1e30, 1e-6);
  CHECK_EQUAL(found.fails_in_float64, 0);
  done(&run);
}

/* The same in a layer that is not dense: the sum over rows of deltas that are finite one by one. */
static void test_backward_of_a_normalization(const pynn_context *context) {
  struct run run = run_of(context, PYNN_FLOAT32, "tanh", "mse", "sgd", 1e-3);
  done(&run);
  pynn_layer layers[2];
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_spec loss;
  pynn_dense(&layers[0], OUTPUTS, NULL);
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[1], "layer_normalization"));
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = -3e38;
  for (int i = 0; i < ROWS; i++) w[i] = 25; /* each delta 2.3e38 */
  pynn_blame found = blame(&run);
  CHECK(found.operation == PYNN_OPERATION_GRADIENT && found.layer == 1 && found.n_cells > 0);
  CHECK(found.largest_right > 2e38 && found.fails_in_float64 == 0);
  done(&run);
}

static void test_arguments(const pynn_context *context) {
  struct run run = run_of(context, PYNN_FLOAT32, "tanh", "mse", "sgd", 1e-3);
  pynn_blame found = {.layer = 77};
  pynn_error error;
  const int64_t beyond[] = {0, ROWS}, before[] = {-1};
#define REFUSES(status, ...) CHECK_STATUS(status, pynn_trainer_blame(__VA_ARGS__, &error))
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, NULL, &run.data, NULL, 0, 4, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, NULL, NULL, 0, 4, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, NULL, 0, 4, NULL);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, NULL, -1, 4, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, NULL, 0, 0, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, NULL, ROWS - 1, 2, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, NULL, INT64_MAX - 1, INT64_MAX, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, beyond, 0, 2, &found);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, run.trainer, &run.data, before, 0, 1, &found);
  run.data.x.columns++;
  REFUSES(PYNN_ERROR_SHAPE, run.trainer, &run.data, NULL, 0, 4, &found);
#undef REFUSES
  CHECK_EQUAL(found.layer, 77);
  done(&run);
}

/* Moving moments that cannot be are refused as a weight would be, though training does not read them. */
static void test_moments(const pynn_context *context) {
  static const double odd[] = {(double)NAN, (double)INFINITY, -1};
  for (int i = 0; i < 3; i++) {
    pynn_layer layers[2];
    pynn_model_options model_options;
    pynn_model *model;
    pynn_trainer *trainer;
    pynn_trainer_options options;
    pynn_spec loss;
    pynn_step step;
    pynn_blame found;
    pynn_error error;
    double rows[8] = {1, 2, 3, 4, 5, 6, 7, 9}, to[4] = {1, 2, 3, 4};
    const pynn_data data = {.x = pynn_matrix(rows, PYNN_FLOAT64, 4, 2), .targets = pynn_matrix(to, PYNN_FLOAT64, 4, 1)};
    CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[0], "batch_normalization"));
    CHECK_STATUS(PYNN_OK, pynn_dense(&layers[1], 1, "linear"));
    pynn_model_options_init(&model_options);
    model_options.inputs = 2;
    CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &model_options, layers, 2, &error));
    CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
    CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
    pynn_trainer_options_init(&options, model);
    options.batch_size = 4;
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &options, &error));
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
    pynn_model_state(model)[3] = odd[i]; /* the variance of unit 1 */
    CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(trainer, &data, &step, &error));
    CHECK(error.operation == PYNN_OPERATION_LAYER_STATE && error.layer == 0 && error.column == 1);
    CHECK_STATUS(PYNN_OK, pynn_trainer_blame(trainer, &data, NULL, 0, 4, &found, &error));
    CHECK(found.operation == PYNN_OPERATION_LAYER_STATE && found.layer == 0 && found.columns[0] == 1);
    pynn_model_state(model)[3] = 1;
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
    pynn_trainer_free(trainer);
    pynn_model_free(model);
  }
}

/* Predictions and evaluations name what they meet; what they computed is there all the same. */
static void test_predict(const pynn_context *context, pynn_dtype dtype) {
  struct run run = run_of(context, dtype, "relu", "mse", "sgd", 1e-3);
  const double huge = dtype == PYNN_FLOAT32 ? 3e38 : 1.7e308;
  double out[ROWS * OUTPUTS], loss = 0;
  pynn_error error = {.status = PYNN_OK};
  pynn_workspace *workspace;
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, run.model));
  pynn_array *inputs = &run.data.x, *targets = &run.data.targets, *weights = &run.data.weights;
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));
  CHECK_STATUS(PYNN_OK,
               pynn_evaluate(run.model, workspace, inputs, targets, weights, PYNN_FLOAT32, NULL, &loss, &error));

  x[5 * INPUTS + 1] = (double)NAN; /* a row that is not finite may give anything */
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_evaluate(run.model, workspace, inputs, targets, weights, PYNN_FLOAT32, NULL, &loss, &error));
  CHECK(error.operation == PYNN_OPERATION_INPUT && error.row == 5 && error.column == 1 && error.layer == -1);
  CHECK(!isfinite(loss));

  for (int64_t i = 0; i < INPUTS; i++) set_parameter(&run, i * HIDDEN + 4, i == 2 ? 10 : 0); /* unit 4 is 10 x[2] */
  x[17 * INPUTS + 2] = huge;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_predict(run.model, workspace, inputs, 1, pynn_model_dtype(run.model), out, &error));
  CHECK(error.operation == PYNN_OPERATION_GEMM && error.row == 17 && error.layer == 0);
  x[5 * INPUTS + 1] = 0, x[17 * INPUTS + 2] = 1;
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));

  x[17 * INPUTS + 2] = 1e300; /* given as doubles: float32 has no room for it */
  if (dtype == PYNN_FLOAT32) {
    CHECK_STATUS(PYNN_ERROR_NUMERIC,
                 pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));
    CHECK(error.operation == PYNN_OPERATION_INPUT && error.row == 17 && error.column == 2 && error.value == 1e300);
    CHECK(strstr(error.message, "float32") != NULL);
  } else CHECK_STATUS(PYNN_OK, pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));
  x[17 * INPUTS + 2] = 1;

  y[9 * OUTPUTS + 3] = (double)INFINITY;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_evaluate(run.model, workspace, inputs, targets, weights, PYNN_FLOAT32, NULL, &loss, &error));
  CHECK(error.operation == PYNN_OPERATION_TARGET && error.row == 9 && error.column == 3);
  y[9 * OUTPUTS + 3] = dtype == PYNN_FLOAT32 ? 3e38 : 1e300; /* squares leave the range of double, or do not */
  const pynn_status status =
      pynn_evaluate(run.model, workspace, inputs, targets, weights, PYNN_FLOAT32, NULL, &loss, &error);
  CHECK(dtype == PYNN_FLOAT32 ? status == PYNN_OK : status == PYNN_ERROR_NUMERIC);
  CHECK(dtype == PYNN_FLOAT32 || (error.operation == PYNN_OPERATION_LOSS && error.row == 9));
  y[9 * OUTPUTS + 3] = 0;

  w[3] = (double)NAN;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_evaluate(run.model, workspace, inputs, targets, weights, PYNN_FLOAT32, NULL, &loss, &error));
  CHECK(error.operation == PYNN_OPERATION_SAMPLE_WEIGHT && error.row == 3);
  w[3] = 1;
  set_parameter(&run, 2 * HIDDEN + 7, (double)INFINITY);
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_predict(run.model, workspace, inputs, 0, pynn_model_dtype(run.model), out, &error));
  CHECK(error.operation == PYNN_OPERATION_PARAMETER && error.layer == 0 && error.column == 7);
  pynn_workspace_free(workspace);
  done(&run);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  test(context, PYNN_FLOAT32);
  test(context, PYNN_FLOAT64);
  test_backward(context, PYNN_FLOAT32);
  test_backward(context, PYNN_FLOAT64);
  test_backward_of_a_normalization(context);
  test_arguments(context);
  test_moments(context);
  test_predict(context, PYNN_FLOAT32);
  test_predict(context, PYNN_FLOAT64);
  CHECK(!strcmp(pynn_operation_name(PYNN_OPERATION_DW), "dW"));
  CHECK(!strcmp(pynn_operation_name((pynn_operation)99), "none"));
  pynn_context_free(context);
  CHECK_REPORT();
}
