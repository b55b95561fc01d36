/* Frozen layers: steps leave them as they are, and norms do not count them. */
#include "check.h"

#include <string.h>

enum { ROWS = 8, INPUTS = 3, UNITS = 4 };

struct net {
  pynn_model *model;
  pynn_trainer *trainer;
};

static void fill_data(double *x, double *y) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (double)(i * 7 % 11) - 5;
  for (int i = 0; i < ROWS; i++) y[i] = 2 * x[INPUTS * i] - x[INPUTS * i + 1];
}

/* Batch normalization, Dense, Dense, trained by an optimizer with `weight_decay` where it has it. */
static struct net make(const pynn_context *context, const char *optimizer, pynn_dtype dtype) {
  struct net net = {NULL, NULL};
  pynn_layer layers[3];
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_spec loss;
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[0], "batch_normalization"));
  pynn_dense(&layers[1], UNITS, "tanh");
  pynn_dense(&layers[2], 1, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  pynn_model_options_init(&shape);
  shape.inputs = INPUTS, shape.dtype = dtype;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&net.model, context, &shape, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(net.model, &loss));
  pynn_trainer_options_init(&how, net.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, optimizer));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&net.trainer, net.model, &how, NULL));
  return net;
}

static pynn_status take_step(const struct net *net, pynn_step *step) {
  double x[ROWS * INPUTS], y[ROWS];
  fill_data(x, y);
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, 1), {0}};
  return pynn_train_step(net->trainer, &data, step, NULL);
}

static void test_steps(const pynn_context *context, const char *optimizer, pynn_dtype dtype, int32_t frozen) {
  struct net net = make(context, optimizer, dtype);
  const size_t size = dtype == PYNN_FLOAT32 ? sizeof(float) : sizeof(double);
  const char *w = pynn_model_parameters(net.model);
  const double *state = pynn_model_state(net.model);
  char before[64 * sizeof(double)];
  double moments[2 * INPUTS], squares = 0;
  pynn_step step;
  CHECK_STATUS(PYNN_OK, take_step(&net, &step)); /* moves momentum */
  CHECK_STATUS(PYNN_OK, pynn_model_set_trainable(net.model, frozen, 0));
  for (int32_t i = 0; i < 3; i++) CHECK_EQUAL(pynn_model_trainable(net.model, i), i != frozen);
  memcpy(before, w, (size_t)pynn_model_n_parameters(net.model) * size);
  memcpy(moments, state, sizeof moments);
  for (int i = 0; i < 5; i++) CHECK_STATUS(PYNN_OK, take_step(&net, &step));
  for (int32_t i = 0; i < 3; i++) {
    pynn_layer_health health;
    CHECK_STATUS(PYNN_OK, pynn_trainer_health(net.trainer, i, &health));
    CHECK((health.gradient_norm == 0) == (i == frozen));
    squares += health.gradient_norm * health.gradient_norm;
  }
  CHECK_CLOSE(step.gradient_norm, sqrt(squares), 1e-12);
  for (int32_t i = 0; i < pynn_model_n_tensors(net.model); i++) {
    pynn_tensor tensor;
    CHECK_STATUS(PYNN_OK, pynn_model_tensor(net.model, i, &tensor));
    const size_t from = (size_t)tensor.offset * size, bytes = (size_t)(tensor.rows * tensor.columns) * size;
    if (tensor.trainable) CHECK(!memcmp(w + from, before + from, bytes) == (tensor.layer == frozen));
  }
  CHECK(!memcmp(state, moments, sizeof moments) == (frozen == 0));
  CHECK_STATUS(PYNN_OK, pynn_model_set_trainable(net.model, frozen, 1));
  memcpy(before, w, (size_t)pynn_model_n_parameters(net.model) * size);
  CHECK_STATUS(PYNN_OK, take_step(&net, &step));
  pynn_layer_health health;
  CHECK_STATUS(PYNN_OK, pynn_trainer_health(net.trainer, frozen, &health));
  CHECK(health.gradient_norm > 0);
  pynn_trainer_free(net.trainer);
  pynn_model_free(net.model);
}

/* The gradient behind a frozen batch normalization, against differences of the loss. */
static void test_gradient(const pynn_context *context) {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_layer layers[3];
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_spec loss;
  double x[ROWS * INPUTS], y[ROWS], gradient[64], above, below, unused[64];
  fill_data(x, y);
  pynn_dense(&layers[0], UNITS, "tanh");
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[1], "batch_normalization"));
  pynn_dense(&layers[2], 1, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  pynn_model_options_init(&shape);
  shape.inputs = INPUTS, shape.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &shape, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&how, model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  double *state = pynn_model_state(model), *w = pynn_model_parameters(model);
  for (int j = 0; j < UNITS; j++) state[j] = 0.1 * j - 0.2, state[UNITS + j] = 0.3 + 0.2 * j;
  for (int j = 0; j < UNITS; j++) w[INPUTS * UNITS + UNITS + j] = 0.5 + j; /* gamma */
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, 1), {0}};
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_trainer_full_gradient(trainer, &data, ROWS, &above, gradient, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_trainable(model, 1, 0));
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &above, gradient, NULL));
  for (int i = 0; i < INPUTS * UNITS + UNITS; i++) {
    const double kept = w[i], h = 1e-6;
    w[i] = kept + h;
    CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &above, unused, NULL));
    w[i] = kept - h;
    CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &below, unused, NULL));
    w[i] = kept;
    CHECK(fabs((above - below) / (2 * h) - gradient[i]) <= 1e-5 * (1 + fabs(gradient[i])));
  }
  for (int i = 0; i < 2 * UNITS; i++) CHECK(gradient[INPUTS * UNITS + UNITS + i] == 0);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

static void test_refusals(const pynn_context *context) {
  struct net net = make(context, "sgd", PYNN_FLOAT32);
  pynn_step step;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_trainable(NULL, 0, 0));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_trainable(net.model, 3, 0));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_trainable(net.model, -1, 0));
  CHECK_EQUAL(pynn_model_trainable(net.model, 3), 0);
  for (int32_t i = 0; i < 3; i++) CHECK_STATUS(PYNN_OK, pynn_model_set_trainable(net.model, i, 0));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, take_step(&net, &step));
  pynn_trainer_free(net.trainer);
  pynn_model_free(net.model);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  const char *const optimizers[] = {"sgd", "adam", "adamw"};
  for (int i = 0; i < 3; i++)
    for (int32_t frozen = 0; frozen < 3; frozen++) {
      test_steps(context, optimizers[i], PYNN_FLOAT32, frozen);
      test_steps(context, optimizers[i], PYNN_FLOAT64, frozen);
    }
  test_gradient(context);
  test_refusals(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
