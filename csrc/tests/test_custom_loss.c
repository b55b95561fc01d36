/* Custom losses: the steps of the library's own, in every kind of data; a function that fails or
 * gives no numbers changes nothing; files keep its name. */
#include "check.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 9, INPUTS = 4, OUTPUTS = 3 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], w[ROWS];
static int64_t labels[ROWS];

static void fill(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(5.0 * i);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = cos(3.0 * i);
  for (int i = 0; i < ROWS; i++) w[i] = i == 4 ? 0 : 0.5 + i, labels[i] = i % OUTPUTS;
}

/* ---- functions */

struct bad {
  int calls, fails_at;         /* call that fails; 0: none */
  int64_t row;                 /* whose loss or gradient is no number; -1: none */
  int gradient, nothing_under; /* of the gradient; only in batches */
};

static double real(const void *from, pynn_dtype dtype, int64_t i) {
  return dtype == PYNN_FLOAT32 ? (double)((const float *)from)[i] : ((const double *)from)[i];
}

static void put(void *to, pynn_dtype dtype, int64_t i, double value) {
  if (dtype == PYNN_FLOAT32) ((float *)to)[i] = (float)value;
  else ((double *)to)[i] = value;
}

/* The mean over outputs of (logit - target)^2, as mse; labels are targets of 0 and 1. */
static int squares(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits, const void *targets,
                   const int64_t *classes, double *losses, void *gradient, int backward) {
  struct bad *bad = user;
  CHECK((targets == NULL) != (classes == NULL));
  CHECK((gradient != NULL) == (backward != 0));
  CHECK(fegetround() == FE_TONEAREST);
  if (bad && ++bad->calls == bad->fails_at) return 7;
  for (int64_t i = 0; i < rows; i++) {
    losses[i] = 0;
    for (int64_t j = 0; j < n; j++) {
      const double target = targets ? real(targets, dtype, i * n + j) : classes[i] == j;
      const double away = real(logits, dtype, i * n + j) - target;
      losses[i] += away * away / (double)n;
      if (gradient) put(gradient, dtype, i * n + j, 2 * away / (double)n);
    }
    const int hit = bad && (i == bad->row || (rows == 1 && bad->row >= 0 && bad->nothing_under));
    if (hit && !bad->gradient) losses[i] = (double)NAN;
    if (hit && bad->gradient && gradient) put(gradient, dtype, i * n, (double)INFINITY);
  }
  return 0;
}

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_workspace *workspace;
};

static struct run start(const pynn_context *context, pynn_dtype dtype, struct bad *bad, int own) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layers[0], 6, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype, options.seed = 5;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  const pynn_custom_loss custom = {
      .struct_size = sizeof custom, .name = "squares", .flags = PYNN_ROW_LABELS, .function = squares, .user = bad};
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  if (own) CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(run.model, &custom));
  else CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  CHECK(own == (pynn_model_custom_loss_name(run.model) != NULL) && own == (pynn_model_loss(run.model) == NULL));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&run.workspace, run.model));
  return run;
}

static void stop(struct run *run) {
  pynn_workspace_free(run->workspace);
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static pynn_data data_of(int with_weights) {
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  if (with_weights) data.weights = pynn_matrix(w, PYNN_FLOAT64, ROWS, 1);
  return data;
}

/* ---- the same as the library's own */

static void check_same(const pynn_context *context, pynn_dtype dtype, int with_weights, int with_labels) {
  struct run own = start(context, dtype, NULL, 1), mse = start(context, dtype, NULL, 0);
  const double near = dtype == PYNN_FLOAT32 ? 1e-5 : 1e-13;
  double hot[ROWS * OUTPUTS] = {0}, losses[2], gradients[2][64], out[2][ROWS * OUTPUTS];
  for (int i = 0; i < ROWS; i++) hot[i * OUTPUTS + labels[i]] = 1;
  pynn_data data = data_of(with_weights), same = data;
  if (with_labels) {
    data.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
    same.targets = pynn_matrix(hot, PYNN_FLOAT64, ROWS, OUTPUTS);
  }
  pynn_step a, b;
  for (int i = 0; i < 5; i++) {
    CHECK_STATUS(PYNN_OK, pynn_train_step(own.trainer, &data, &a, NULL));
    CHECK_STATUS(PYNN_OK, pynn_train_step(mse.trainer, &same, &b, NULL));
    CHECK_CLOSE(a.loss, b.loss, near);
    CHECK_CLOSE(a.gradient_norm, b.gradient_norm, near);
  }
  const pynn_array *weights = with_weights ? &data.weights : NULL;
  CHECK_STATUS(PYNN_OK, pynn_evaluate(own.model, own.workspace, &data.x, &data.targets, weights,
                                      pynn_model_dtype(own.model), out[0], &losses[0], NULL));
  CHECK_STATUS(PYNN_OK, pynn_evaluate(mse.model, mse.workspace, &same.x, &same.targets, weights,
                                      pynn_model_dtype(mse.model), out[1], &losses[1], NULL));
  CHECK_CLOSE(losses[0], losses[1], near);
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(own.trainer, &data, 4, &losses[0], gradients[0], NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(mse.trainer, &same, 4, &losses[1], gradients[1], NULL));
  CHECK_CLOSE(losses[0], losses[1], near);
  for (int64_t i = 0; i < pynn_model_n_parameters(own.model); i++)
    CHECK(fabs(gradients[0][i] - gradients[1][i]) < near);
  pynn_blame blame;
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(own.trainer, &data, NULL, 0, ROWS, &blame, NULL));
  CHECK_EQUAL(blame.operation, PYNN_OPERATION_NONE);
  stop(&own);
  stop(&mse);
}

/* ---- what goes wrong */

static void test_failures(const pynn_context *context) {
  struct bad bad = {.row = -1};
  struct run run = start(context, PYNN_FLOAT32, &bad, 1);
  pynn_data data = data_of(0);
  pynn_step step = {.rows = 77};
  pynn_error error;
  float before[64];
  double loss = -1, gradient[64];
  const size_t bytes = (size_t)pynn_model_n_parameters(run.model) * sizeof(float);
  memcpy(before, pynn_model_parameters(run.model), bytes);
  bad.fails_at = 1;
  CHECK_STATUS(PYNN_ERROR_CALLBACK, pynn_train_step(run.trainer, &data, &step, &error));
  CHECK(strlen(error.message) > 0);
  bad.fails_at = bad.calls + 1;
  CHECK_STATUS(PYNN_ERROR_CALLBACK, pynn_evaluate(run.model, run.workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32,
                                                  NULL, &loss, &error));
  CHECK(loss == -1);
  bad.fails_at = bad.calls + 2; /* in the second part */
  CHECK_STATUS(PYNN_ERROR_CALLBACK, pynn_trainer_full_gradient(run.trainer, &data, 4, &loss, gradient, &error));
  CHECK(loss == -1);

  /* no number as a loss, or in its gradient: refused as of any loss, and blamed to it with its row */
  bad = (struct bad){.row = 6};
  for (bad.gradient = 0; bad.gradient < 2; bad.gradient++) {
    pynn_blame blame;
    bad.nothing_under = 0;
    CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(run.trainer, &data, &step, &error));
    CHECK_EQUAL(error.operation, PYNN_OPERATION_LOSS);
    bad.nothing_under = 1; /* row by row, as a replay asks */
    CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &data, NULL, 0, ROWS, &blame, NULL));
    CHECK_EQUAL(blame.operation, PYNN_OPERATION_LOSS);
    CHECK(blame.n_rows == ROWS && blame.fails_in_float64 == 1);
  }
  CHECK_EQUAL(pynn_trainer_steps(run.trainer), 0);
  CHECK(!memcmp(before, pynn_model_parameters(run.model), bytes));
  bad.row = -1;
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, &error));

  /* labels out of range are the library's to find */
  const int64_t wrong[ROWS] = {0, 1, 2, OUTPUTS};
  data.targets = pynn_matrix(wrong, PYNN_INT64, ROWS, 1);
  CHECK_STATUS(PYNN_ERROR_LABEL, pynn_train_step(run.trainer, &data, &step, &error));
  CHECK_EQUAL(error.row, 3);
  stop(&run);
}

static void test_arguments(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT64, NULL, 0);
  const pynn_custom_loss good = {.struct_size = sizeof good, .name = "mine", .function = squares};
  char long_name[PYNN_CUSTOM_NAME + 1];
  memset(long_name, 'n', PYNN_CUSTOM_NAME), long_name[PYNN_CUSTOM_NAME] = 0;
  pynn_custom_loss bad = good;
#define REFUSES(status, change) \
  bad = good, change;           \
  CHECK_STATUS(status, pynn_model_set_custom_loss(run.model, &bad))
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, bad.struct_size = 4);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, bad.function = NULL);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, bad.name = NULL);
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, bad.name = "");
  REFUSES(PYNN_ERROR_INVALID_ARGUMENT, bad.name = long_name);
  REFUSES(PYNN_ERROR_UNKNOWN_NAME, bad.link = "sigmold");
#undef REFUSES
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_custom_loss(NULL, &good));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_custom_loss(run.model, NULL));
  CHECK(pynn_model_loss(run.model) && !pynn_model_custom_loss_name(run.model)); /* as it was */
  stop(&run);
}

/* Name and link are in the file; what was loaded predicts, and trains once it has its function again. */
static void test_files(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32, NULL, 1);
  const pynn_custom_loss custom = {.struct_size = sizeof custom, .name = "s", .link = "sigmoid", .function = squares};
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(run.model, &custom));
  pynn_data data = data_of(0);
  float out[2][ROWS * OUTPUTS];
  double loss;
  pynn_model *loaded = NULL;
  pynn_workspace *workspace = NULL;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_save(run.model, "custom.safetensors", NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, "custom.safetensors", NULL));
  remove("custom.safetensors");
  CHECK(!strcmp(pynn_model_custom_loss_name(loaded), "s") && !pynn_model_loss(loaded));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, loaded));
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &data.x, 0, pynn_model_dtype(run.model), out[0], NULL));
  CHECK_STATUS(PYNN_OK, pynn_predict(loaded, workspace, &data.x, 0, pynn_model_dtype(loaded), out[1], NULL));
  CHECK(!memcmp(out[0], out[1], sizeof out[0]));
  for (int i = 0; i < ROWS * OUTPUTS; i++) CHECK(out[0][i] > 0 && out[0][i] < 1);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_evaluate(loaded, workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL, &loss, &error));
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(loaded, &custom));
  CHECK_STATUS(PYNN_OK,
               pynn_evaluate(loaded, workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL, &loss, &error));

  /* a checkpoint goes on under the same name only */
  pynn_checkpoint *kept = NULL;
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&kept, run.trainer, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(kept, run.trainer, NULL));
  struct run other = start(context, PYNN_FLOAT32, NULL, 1), plain = start(context, PYNN_FLOAT32, NULL, 0);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(kept, other.trainer, &error));
  CHECK(strstr(error.message, "squares") && strstr(error.message, "received s"));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(kept, plain.trainer, &error));
  CHECK(strstr(error.message, pynn_table_row(PYNN_LOSS, pynn_model_loss(plain.model)->row)->name));
  pynn_checkpoint_free(kept);
  stop(&other);
  stop(&plain);
  pynn_workspace_free(workspace);
  pynn_model_free(loaded);
  stop(&run);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int kind = 0; kind < 4; kind++) check_same(context, (pynn_dtype)dtype, kind & 1, kind & 2);
  test_failures(context);
  test_arguments(context);
  test_files(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
