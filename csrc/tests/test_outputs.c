/* The dtype of predictions: float32 is refused where it cannot hold them, and float64 is always accepted. */
#include "check.h"

#include <string.h>

enum { ROWS = 300, INPUTS = 3, OUTPUTS = 2 };
static float x[ROWS * INPUTS];
static double y[ROWS * OUTPUTS];

struct run {
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
};

static struct run start(const pynn_context *context, pynn_dtype dtype, const char *loss_name, int target_scaling) {
  struct run run = {0};
  pynn_layer layer;
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layer, OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype, options.target_scaling = target_scaling;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
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

static void adapt(const pynn_context *context, pynn_model *model, double shift, double spread) {
  pynn_summary *summary = NULL;
  const pynn_array targets = pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = shift + spread * sin(2.0 * i);
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&summary, context, OUTPUTS, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_summary_add(summary, &targets, NULL));
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(model, summary, 0, NULL));
  pynn_summary_free(summary);
}

/* Unix seconds, a year, a price: what float32 has steps for is known from shift and spread. */
static void test_scaled_targets(const pynn_context *context) {
  static const struct {
    double shift, spread;
    pynn_dtype needed;
  } cases[] = {{1.7e9, 30, PYNN_FLOAT64},   {5.4e6, 0.3, PYNN_FLOAT64}, {2024.5, 1e-4, PYNN_FLOAT64},
               {16777217, 0, PYNN_FLOAT64}, {5, 0, PYNN_FLOAT32},       {2e5, 8e4, PYNN_FLOAT32},
               {1.7e9, 1e7, PYNN_FLOAT32},  {0, 1e-30, PYNN_FLOAT32},   {-1.7e9, 30, PYNN_FLOAT64}};
  const pynn_array rows = pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS);
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    struct run run = start(context, PYNN_FLOAT32, "mse", 1);
    float narrow[ROWS * OUTPUTS], raw[ROWS * OUTPUTS];
    double wide[ROWS * OUTPUTS];
    pynn_error error;
    adapt(context, run.model, cases[c].shift, cases[c].spread);
    CHECK_EQUAL(pynn_model_output_dtype(run.model), cases[c].needed);
    memset(narrow, 0xFF, sizeof narrow);
    const pynn_status status = pynn_predict(run.model, run.workspace, &rows, 0, PYNN_FLOAT32, narrow, &error);
    CHECK_EQUAL(status, cases[c].needed == PYNN_FLOAT64 ? PYNN_ERROR_DTYPE : PYNN_OK);
    if (status) CHECK(isnan(narrow[0]) && error.status == PYNN_ERROR_DTYPE);
    CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &rows, 0, PYNN_FLOAT64, wide, NULL));
    CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &rows, 1, PYNN_FLOAT32, raw, NULL));
    const double *shift = pynn_model_state(run.model), *spread = shift + OUTPUTS;
    for (int i = 0; i < ROWS * OUTPUTS; i++) {
      CHECK(wide[i] == (double)raw[i] * spread[i % OUTPUTS] + shift[i % OUTPUTS]);
      if (!status) CHECK(narrow[i] == (float)wide[i]);
    }
    stop(&run);
  }
}

/* Evaluation and training refuse likewise, before anything is done. */
static void test_other_calls(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32, "mse", 1);
  adapt(context, run.model, 1.7e9, 30);
  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  float narrow[ROWS * OUTPUTS];
  double wide[ROWS * OUTPUTS], again[ROWS * OUTPUTS], loss;
  pynn_step step;
  CHECK_STATUS(PYNN_ERROR_DTYPE, pynn_evaluate(run.model, run.workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32,
                                               narrow, &loss, NULL));
  CHECK_STATUS(PYNN_ERROR_DTYPE,
               pynn_train_batches(run.trainer, &data, NULL, 0, ROWS, 32, 0, PYNN_FLOAT32, narrow, &step, NULL));
  CHECK_EQUAL(pynn_trainer_steps(run.trainer), 0);
  CHECK_STATUS(PYNN_OK,
               pynn_evaluate(run.model, run.workspace, &data.x, &data.targets, NULL, PYNN_FLOAT64, wide, &loss, NULL));
  CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &data, NULL, 0, 32, 32, 0, PYNN_FLOAT64, again, &step, NULL));
  CHECK(!memcmp(wide, again, 32 * OUTPUTS * sizeof *wide));
  CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &data, NULL, 0, 32, 32, 0, PYNN_FLOAT32, NULL, &step, NULL));
  stop(&run);
}

/* Doubles from a float32 model are its floats; a float64 model gives no floats. */
static void test_other_dtypes(const pynn_context *context) {
  static const char *const losses[] = {"softmax_cross_entropy", "poisson", "mse"};
  const pynn_array rows = pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS);
  float narrow[ROWS * OUTPUTS];
  double wide[ROWS * OUTPUTS];
  for (size_t l = 0; l < 3; l++)
    for (int raw = 0; raw < 2; raw++) {
      struct run run = start(context, PYNN_FLOAT32, losses[l], 0);
      CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &rows, raw, PYNN_FLOAT32, narrow, NULL));
      CHECK_STATUS(PYNN_OK, pynn_predict(run.model, run.workspace, &rows, raw, PYNN_FLOAT64, wide, NULL));
      for (int i = 0; i < ROWS * OUTPUTS; i++) CHECK(wide[i] == (double)narrow[i]);
      CHECK_STATUS(PYNN_ERROR_DTYPE, pynn_predict(run.model, run.workspace, &rows, raw, PYNN_INT32, wide, NULL));
      stop(&run);
      run = start(context, PYNN_FLOAT64, losses[l], 0);
      CHECK_EQUAL(pynn_model_output_dtype(run.model), PYNN_FLOAT64);
      CHECK_STATUS(PYNN_ERROR_DTYPE, pynn_predict(run.model, run.workspace, &rows, raw, PYNN_FLOAT32, narrow, NULL));
      stop(&run);
    }
}

int main(void) {
  pynn_context *context = NULL;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)sin(3.0 * i);
  test_scaled_targets(context);
  test_other_calls(context);
  test_other_dtypes(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
