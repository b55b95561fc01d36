/* Custom activations and losses: agreement with the library's own, blame, the first look, failures, files, checkpoints.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 100, INPUTS = 5, HIDDEN = 7, OUTPUTS = 3, STEPS = 6, CUSTOM = 1 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];

/* ---------------------------------------------------------------- custom functions */

/* What the functions below are to do; they only read it. */
struct wish {
  int fails;           /* in value 1, in derivative 2 */
  double bad_z;        /* NaN for values near it ... */
  int in_derivative;   /* ... from the derivative instead */
  double slope_factor; /* of the derivative: 1 is right */
  double largest_z;    /* where z is larger, the value is 1e60 */
  int quits;           /* at a bad_z the function returns 0 at once, like code that raised */
};

static double get(pynn_dtype dtype, const void *x_, int64_t i) {
  return dtype == PYNN_FLOAT64 ? ((const double *)x_)[i] : (double)((const float *)x_)[i];
}

static void put(pynn_dtype dtype, void *x_, int64_t i, double value) {
  if (dtype == PYNN_FLOAT64) ((double *)x_)[i] = value;
  else ((float *)x_)[i] = (float)value;
}

static int is_bad(const struct wish *w, double z) { return fabs(z - w->bad_z) < 1e-3; }

/* The library's relu, to the bit, but for what is wished. */
static int relu(void *user, pynn_dtype dtype, int64_t n, const void *z, void *out) {
  const struct wish *w = user;
  for (int64_t i = 0; i < n; i++) {
    const double at = get(dtype, z, i);
    const int bad = is_bad(w, at) && !w->in_derivative;
    if (bad && w->quits) return 0;
    put(dtype, out, i, bad ? (double)NAN : at > w->largest_z ? 1e60 : at > 0 ? at : 0);
  }
  return w->fails == 1;
}

static int relu_slope(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *out, void *delta) {
  const struct wish *w = user;
  (void)out;
  for (int64_t i = 0; i < n; i++) {
    const double at = get(dtype, z, i), before = get(dtype, delta, i) * w->slope_factor;
    if (is_bad(w, at) && w->in_derivative && w->quits) return 0;
    put(dtype, delta, i, is_bad(w, at) && w->in_derivative ? (double)NAN : at > 0 ? before : 0);
  }
  return w->fails == 2 ? 5 : 0;
}

static int constant_slope(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *out, void *delta) {
  (void)user, (void)z, (void)out;
  for (int64_t i = 0; i < n; i++) put(dtype, delta, i, 1);
  return 0;
}

static int running_sum(void *user, pynn_dtype dtype, int64_t n, const void *z, void *out) {
  double sum = 0;
  (void)user;
  for (int64_t i = 0; i < n; i++) put(dtype, out, i, sum += get(dtype, z, i));
  return 0;
}

static int passes(void *user, pynn_dtype dtype, int64_t n, const void *z, void *out) {
  (void)user;
  memmove(out, z, (size_t)n * pynn_dtype_size(dtype));
  return 0;
}

static const struct wish nothing = {.bad_z = 1e300, .slope_factor = 1, .largest_z = 1e300};

static pynn_custom_activation relu_of(struct wish *wish, uint32_t flags) {
  return (pynn_custom_activation){.struct_size = sizeof(pynn_custom_activation),
                                  .name = "my_relu",
                                  .flags = flags,
                                  .value = relu,
                                  .derivative = relu_slope,
                                  .user = wish};
}

/* ---------------------------------------------------------------- models */

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_workspace *workspace;
  pynn_data data;
};

/* Layer CUSTOM is linear, or relu, and for `apart` an activation layer behind a dense one. */
static struct run run_of(const pynn_context *context, pynn_dtype dtype, const char *activation, int apart) {
  struct run run = {0};
  pynn_layer layers[3];
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_spec loss;
  pynn_dense(&layers[0], HIDDEN, "linear");
  pynn_dense(&layers[1], HIDDEN, "linear");
  if (apart) pynn_layer_named(&layers[1], "activation");
  pynn_spec chosen;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&chosen, PYNN_ACTIVATION, activation));
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layers[1], "activation", &chosen));
  pynn_dense(&layers[2], OUTPUTS, "linear");
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, "adam"));
  how.batch_size = ROWS, how.guard.check_every = 2;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&run.workspace, run.model));
  run.data = (pynn_data){pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  return run;
}

static void free_run(struct run *run) {
  pynn_workspace_free(run->workspace);
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static size_t bytes_of(const pynn_model *model) {
  return (size_t)pynn_model_n_parameters(model) * pynn_dtype_size(pynn_model_dtype(model));
}

static pynn_status train(struct run *run, pynn_error *error) {
  pynn_step step;
  pynn_status status = PYNN_OK;
  for (int i = 0; i < STEPS && !status; i++) status = pynn_train_step(run->trainer, &run->data, &step, error);
  return status;
}

/* Parameters, statistics and predictions, to the bit. */
static void check_same(struct run *a, struct run *b) {
  double ours[ROWS * OUTPUTS] = {0}, theirs[ROWS * OUTPUTS] = {0};
  pynn_statistics one, two;
  CHECK(!memcmp(pynn_model_parameters(a->model), pynn_model_parameters(b->model), bytes_of(a->model)));
  for (int32_t layer = 0; layer < 3; layer++) {
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(a->trainer, layer, &one));
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(b->trainer, layer, &two));
    CHECK_CLOSE(one.mean, two.mean, 1e-9); /* sums of other tiles */
    CHECK_CLOSE(one.std, two.std, 1e-9);
    one.mean = two.mean, one.std = two.std;
    CHECK(!memcmp(&one, &two, sizeof one));
  }
  CHECK_STATUS(PYNN_OK, pynn_predict(a->model, a->workspace, &a->data.x, 0, pynn_model_dtype(a->model), ours, NULL));
  CHECK_STATUS(PYNN_OK, pynn_predict(b->model, b->workspace, &b->data.x, 0, pynn_model_dtype(b->model), theirs, NULL));
  CHECK(!memcmp(ours, theirs, sizeof ours));
}

static void test_agreement(const pynn_context *context) {
  static const uint32_t flags[] = {PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64,
                                   PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64 | PYNN_CUSTOM_SERIAL, PYNN_CUSTOM_FLOAT64};
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int apart = 0; apart < 2; apart++)
      for (int f = 0; f < 3; f++) {
        struct wish wish = nothing;
        const pynn_custom_activation custom = relu_of(&wish, flags[f]);
        struct run own = run_of(context, (pynn_dtype)dtype, "linear", apart);
        struct run librarys = run_of(context, (pynn_dtype)dtype, "relu", apart);
        CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(own.model, CUSTOM, &custom, NULL));
        CHECK(!strcmp(pynn_model_custom_activation_name(own.model, CUSTOM), "my_relu"));
        CHECK(!pynn_model_custom_activation_name(own.model, 0) && !pynn_model_custom_activation_name(own.model, 9));
        memcpy(pynn_model_parameters(own.model), pynn_model_parameters(librarys.model), bytes_of(own.model));
        CHECK_STATUS(PYNN_OK, train(&own, NULL));
        CHECK_STATUS(PYNN_OK, train(&librarys, NULL));
        check_same(&own, &librarys);
        CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(own.model, CUSTOM, NULL, NULL));
        CHECK(!pynn_model_custom_activation_name(own.model, CUSTOM));
        free_run(&own);
        free_run(&librarys);
      }
}

/* Functions of float alone serve a double model by way of floats. */
static void test_floats_in_a_double_model(const pynn_context *context) {
  struct wish wish = nothing;
  const pynn_custom_activation floats = relu_of(&wish, PYNN_CUSTOM_FLOAT32);
  struct run run = run_of(context, PYNN_FLOAT64, "linear", 0), exact = run_of(context, PYNN_FLOAT64, "relu", 0);
  double ours[ROWS * OUTPUTS], theirs[ROWS * OUTPUTS];
  memcpy(pynn_model_parameters(run.model), pynn_model_parameters(exact.model), bytes_of(run.model));
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &floats, NULL));
  CHECK_STATUS(PYNN_OK, train(&run, NULL));
  CHECK_STATUS(PYNN_OK, train(&exact, NULL));
  CHECK_STATUS(PYNN_OK,
               pynn_predict(run.model, run.workspace, &run.data.x, 0, pynn_model_dtype(run.model), ours, NULL));
  CHECK_STATUS(PYNN_OK, pynn_predict(exact.model, exact.workspace, &exact.data.x, 0, pynn_model_dtype(exact.model),
                                     theirs, NULL));
  for (int i = 0; i < ROWS * OUTPUTS; i++) CHECK(fabs(ours[i] - theirs[i]) < 1e-5);
  free_run(&run);
  free_run(&exact);
}

/* ---------------------------------------------------------------- the first look */

static void refuse(struct run *run, const pynn_custom_activation *custom, pynn_status expected, const char *said) {
  pynn_error error = {.layer = -1};
  CHECK_STATUS(expected, pynn_model_set_custom_activation(run->model, CUSTOM, custom, &error));
  if (!CHECK(strstr(error.message, said) && error.layer == CUSTOM)) fprintf(stderr, "  %s\n", error.message);
  CHECK(!pynn_model_custom_activation_name(run->model, CUSTOM));
  CHECK_STATUS(PYNN_OK, train(run, NULL));
}

static void test_first_look(const pynn_context *context) {
  for (uint32_t dtypes = 1; dtypes <= 3; dtypes++) {
    struct run run = run_of(context, PYNN_FLOAT32, "linear", 0);
    struct wish wish = nothing;
    wish.slope_factor = 1.1;
    pynn_custom_activation custom = relu_of(&wish, dtypes);
    refuse(&run, &custom, PYNN_ERROR_INVALID_ARGUMENT, "expected the derivative of the activation 'my_relu'");
    custom.flags |= PYNN_CUSTOM_UNCHECKED;
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, NULL, NULL));
    custom.flags = dtypes;
    wish = nothing;
    custom.value = passes, custom.derivative = constant_slope; /* right for a delta of 1 */
    refuse(&run, &custom, PYNN_ERROR_INVALID_ARGUMENT, "expected the derivative");
    custom.value = running_sum;
    refuse(&run, &custom, PYNN_ERROR_INVALID_ARGUMENT, "y[i] from z[i] alone");
    custom = relu_of(&wish, dtypes);
    for (wish.fails = 1; wish.fails <= 2; wish.fails++) refuse(&run, &custom, PYNN_ERROR_CALLBACK, "function");
    wish = nothing;
    wish.bad_z = 5; /* what is not finite is the guard's to find */
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
    free_run(&run);
  }
}

static void test_arguments(const pynn_context *context) {
  struct run run = run_of(context, PYNN_FLOAT32, "linear", 0);
  struct wish wish = nothing;
  const pynn_custom_activation good = relu_of(&wish, PYNN_CUSTOM_FLOAT32);
  char long_name[PYNN_CUSTOM_NAME + 1];
  memset(long_name, 'n', PYNN_CUSTOM_NAME), long_name[PYNN_CUSTOM_NAME] = '\0';
  pynn_custom_activation bad[8];
  for (int i = 0; i < 8; i++) bad[i] = good;
  bad[0].struct_size = 8, bad[1].value = NULL, bad[2].derivative = NULL, bad[3].flags = 0, bad[4].flags = 1024;
  bad[5].name = NULL, bad[6].name = "", bad[7].name = long_name;
  for (int i = 0; i < 8; i++) refuse(&run, &bad[i], PYNN_ERROR_INVALID_ARGUMENT, "expected");
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_custom_activation(run.model, -1, &good, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_custom_activation(run.model, 3, &good, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_set_custom_activation(NULL, 0, &good, NULL));
  free_run(&run);
}

/* ---------------------------------------------------------------- faults */

/* A function that fails ends any call, and nothing has changed. */
static void test_failures(const pynn_context *context) {
  for (int apart = 0; apart < 2; apart++) {
    struct run run = run_of(context, PYNN_FLOAT32, "linear", apart);
    struct wish wish = nothing;
    const pynn_custom_activation custom = relu_of(&wish, PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64);
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
    CHECK_STATUS(PYNN_OK, train(&run, NULL));
    void *before = malloc(bytes_of(run.model));
    memcpy(before, pynn_model_parameters(run.model), bytes_of(run.model));
    for (wish.fails = 1; wish.fails <= 2; wish.fails++) {
      float out[ROWS * OUTPUTS];
      double loss;
      pynn_blame found;
      const pynn_status forward = wish.fails == 1 ? PYNN_ERROR_CALLBACK : PYNN_OK;
      CHECK_STATUS(PYNN_ERROR_CALLBACK, train(&run, NULL));
      CHECK_STATUS(forward,
                   pynn_predict(run.model, run.workspace, &run.data.x, 0, pynn_model_dtype(run.model), out, NULL));
      CHECK_STATUS(forward, pynn_evaluate(run.model, run.workspace, &run.data.x, &run.data.targets, NULL, PYNN_FLOAT32,
                                          NULL, &loss, NULL));
      CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &run.data, NULL, 0, ROWS, &found, NULL));
      CHECK(found.layer == CUSTOM);
      CHECK(!memcmp(before, pynn_model_parameters(run.model), bytes_of(run.model)));
      CHECK_EQUAL(pynn_trainer_steps(run.trainer), STEPS);
    }
    wish.fails = 0;
    CHECK_STATUS(PYNN_OK, train(&run, NULL));
    free(before);
    free_run(&run);
  }
}

/* What the custom layer gets as z in one cell, in the model's dtype. */
static double z_of(struct run *run, int row, int unit) {
  double all[ROWS * HIDDEN];
  pynn_layer layers[2];
  pynn_model *below = NULL;
  pynn_workspace *workspace = NULL;
  pynn_model_options options;
  const pynn_context *context;
  pynn_context *own = NULL;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&own, NULL));
  context = own;
  for (int i = 0; i < 2; i++) CHECK_STATUS(PYNN_OK, pynn_model_layer(run->model, i, &layers[i]));
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = pynn_model_dtype(run->model);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&below, context, &options, layers, 2, NULL));
  memcpy(pynn_model_parameters(below), pynn_model_parameters(run->model), bytes_of(below));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, below));
  CHECK_STATUS(PYNN_OK, pynn_predict(below, workspace, &run->data.x, 0, pynn_model_dtype(below), all, NULL));
  const double z = get(options.dtype, all, row * HIDDEN + unit);
  pynn_workspace_free(workspace);
  pynn_model_free(below);
  pynn_context_free(own);
  return z;
}

static void test_blame(const pynn_context *context) {
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int in_derivative = 0; in_derivative < 2; in_derivative++) {
      struct run run = run_of(context, (pynn_dtype)dtype, "linear", 0);
      struct wish wish = nothing;
      const pynn_custom_activation custom = relu_of(&wish, PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64);
      pynn_error error;
      pynn_step step;
      pynn_blame found;
      CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
      wish.bad_z = z_of(&run, 37, 4), wish.in_derivative = in_derivative;
      const pynn_operation operation = in_derivative ? PYNN_OPERATION_DACTIVATION : PYNN_OPERATION_ACTIVATION;
      CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(run.trainer, &run.data, &step, &error));
      CHECK(error.operation == (int32_t)operation && error.layer == CUSTOM);
      CHECK(in_derivative || (error.row == 37 && error.column == 4));
      CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &run.data, NULL, 0, ROWS, &found, NULL));
      CHECK(found.operation == operation && found.layer == CUSTOM && found.fails_in_float64);
      CHECK(found.n_rows == 1 && found.rows[0] == 37 && found.n_columns == 1 && found.columns[0] == 4);
      double out[ROWS * OUTPUTS];
      CHECK_STATUS(in_derivative ? PYNN_OK : PYNN_ERROR_NUMERIC,
                   pynn_predict(run.model, run.workspace, &run.data.x, 0, pynn_model_dtype(run.model), out, &error));
      CHECK(in_derivative || (error.layer == CUSTOM && error.row == 37 && error.column == 4));
      free_run(&run);
    }
}

/* What is too large for float alone is told from what no dtype would survive, where the functions take doubles. */
/* A function that raises in a language above may return 0 with its output half written: refused, and blamed. */
static void test_results_that_were_not_written(const pynn_context *context) {
  static double out[ROWS * OUTPUTS];
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int taken = 1; taken <= 3; taken++) /* floats, doubles, both */
      for (int apart = 0; apart <= 1; apart++)
        for (int in_derivative = 0; in_derivative <= 1; in_derivative++) {
          struct wish wish = nothing;
          struct run run = run_of(context, (pynn_dtype)dtype, "linear", apart);
          const pynn_custom_activation custom = relu_of(&wish, (uint32_t)taken);
          pynn_blame found;
          pynn_error error;
          CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
          wish.bad_z = z_of(&run, 60, 2), wish.in_derivative = in_derivative, wish.quits = 1;
          void *before = malloc(bytes_of(run.model));
          memcpy(before, pynn_model_parameters(run.model), bytes_of(run.model));
          CHECK_STATUS(PYNN_ERROR_NUMERIC, train(&run, &error));
          CHECK(!memcmp(before, pynn_model_parameters(run.model), bytes_of(run.model)));
          CHECK_EQUAL(error.layer, CUSTOM);
          CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &run.data, NULL, 0, ROWS, &found, NULL));
          CHECK(found.operation != PYNN_OPERATION_NONE);
          CHECK_EQUAL(found.layer, CUSTOM);
          CHECK_STATUS(in_derivative ? PYNN_OK : PYNN_ERROR_NUMERIC,
                       pynn_predict(run.model, run.workspace, &run.data.x, 0, PYNN_FLOAT64, out, NULL));
          free(before);
          free_run(&run);
        }
}

static void test_range(const pynn_context *context) {
  for (uint32_t flags = PYNN_CUSTOM_FLOAT32; flags <= (PYNN_CUSTOM_FLOAT32 | PYNN_CUSTOM_FLOAT64); flags += 2) {
    struct run run = run_of(context, PYNN_FLOAT32, "linear", 0);
    struct wish wish = nothing;
    const pynn_custom_activation custom = relu_of(&wish, flags);
    pynn_blame found;
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
    wish.largest_z = z_of(&run, 11, 2) - 1e-6;
    if (wish.largest_z < 0) wish.largest_z = 0;
    CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &run.data, NULL, 0, ROWS, &found, NULL));
    CHECK(found.operation == PYNN_OPERATION_ACTIVATION && found.layer == CUSTOM);
    CHECK_EQUAL(found.fails_in_float64, flags == PYNN_CUSTOM_FLOAT32);
    free_run(&run);
  }
}

/* ---------------------------------------------------------------- losses */

/* Absolute errors, whose kink has any slope between -1 and 1; `user` points to a factor of column 1's gradient. */
static int absolute(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits, const void *targets,
                    const int64_t *labels, double *losses, void *gradient, int backward) {
  (void)labels;
  for (int64_t i = 0; i < rows; i++) {
    losses[i] = 0;
    for (int64_t j = 0; j < n; j++) {
      const double e = get(dtype, logits, i * n + j) - get(dtype, targets, i * n + j), slope = e > 0 ? 1 : -1;
      losses[i] += fabs(e);
      if (backward) put(dtype, gradient, i * n + j, j == 1 ? *(double *)user * slope : slope);
    }
  }
  return 0;
}

/* The first gradient of a loss is compared with differences; a wrong one changes nothing. */
static void test_first_look_at_losses(const pynn_context *context) {
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
    struct run run = run_of(context, (pynn_dtype)dtype, "tanh", 0);
    double factor = 1, loss, gradient[1024];
    pynn_custom_loss custom = {.struct_size = sizeof custom, .name = "absolute", .function = absolute, .user = &factor};
    pynn_error error;
    void *before = malloc(bytes_of(run.model));
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(run.model, &custom));
    memcpy(before, pynn_model_parameters(run.model), bytes_of(run.model));
    factor = 1.5;
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, train(&run, &error));
    CHECK(strstr(error.message, "gradient of the loss 'absolute'") && strstr(error.message, "column 1; received"));
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
                 pynn_trainer_full_gradient(run.trainer, &run.data, ROWS, &loss, gradient, &error));
    CHECK(!memcmp(before, pynn_model_parameters(run.model), bytes_of(run.model)));
    factor = 1;
    CHECK_STATUS(PYNN_OK, train(&run, NULL));
    factor = 1.5; /* it was looked at */
    CHECK_STATUS(PYNN_OK, train(&run, NULL));
    custom.flags = PYNN_CUSTOM_UNCHECKED;
    struct run other = run_of(context, (pynn_dtype)dtype, "tanh", 0);
    CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(other.model, &custom));
    CHECK_STATUS(PYNN_OK, train(&other, NULL));
    free(before);
    free_run(&other);
    free_run(&run);
  }
}

/* ---------------------------------------------------------------- files */

static void test_files(const pynn_context *context) {
  char path[] = "test_custom_XXXXXX";
  struct run run = run_of(context, PYNN_FLOAT32, "linear", 0);
  struct wish wish = nothing;
  pynn_custom_activation custom = relu_of(&wish, PYNN_CUSTOM_FLOAT32);
  pynn_model *loaded = NULL;
  pynn_workspace *workspace = NULL;
  pynn_checkpoint *checkpoint = NULL;
  pynn_error error;
  float ours[ROWS * OUTPUTS], theirs[ROWS * OUTPUTS];
  double loss;
  pynn_step step;
  const int file = mkstemp(path);
  CHECK(file >= 0 && close(file) == 0);
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(run.model, CUSTOM, &custom, NULL));
  CHECK_STATUS(PYNN_OK, train(&run, NULL));
  CHECK_STATUS(PYNN_OK,
               pynn_predict(run.model, run.workspace, &run.data.x, 0, pynn_model_dtype(run.model), ours, NULL));
  CHECK_STATUS(PYNN_OK, pynn_save(run.model, path, NULL, 0, NULL));

  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, path, NULL));
  CHECK(!strcmp(pynn_model_custom_activation_name(loaded, CUSTOM), "my_relu"));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, loaded));
  CHECK_STATUS(PYNN_ERROR_NOT_READY,
               pynn_predict(loaded, workspace, &run.data.x, 0, pynn_model_dtype(loaded), theirs, &error));
  CHECK(strstr(error.message, "'my_relu' of layer 1") && error.layer == CUSTOM);
  CHECK_STATUS(PYNN_ERROR_NOT_READY,
               pynn_evaluate(loaded, workspace, &run.data.x, &run.data.targets, NULL, PYNN_FLOAT32, NULL, &loss, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(loaded, CUSTOM, &custom, NULL));
  CHECK_STATUS(PYNN_OK, pynn_predict(loaded, workspace, &run.data.x, 0, pynn_model_dtype(loaded), theirs, NULL));
  CHECK(!memcmp(ours, theirs, sizeof ours));
  pynn_workspace_free(workspace);
  pynn_model_free(loaded);

  /* a run that goes on from a checkpoint, with the bits of one that never stopped, if it has the activation */
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_save(run.trainer, path, NULL, 0, NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_load(&checkpoint, context, path, NULL));
  struct run resumed = run_of(context, PYNN_FLOAT32, "linear", 0);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(checkpoint, resumed.trainer, &error));
  custom.name = "another";
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(resumed.model, CUSTOM, &custom, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(checkpoint, resumed.trainer, &error));
  CHECK(error.layer == CUSTOM);
  custom.name = "my_relu";
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_activation(resumed.model, CUSTOM, &custom, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(checkpoint, resumed.trainer, &error));
  CHECK_STATUS(PYNN_OK, train(&run, NULL));
  CHECK_STATUS(PYNN_OK, train(&resumed, NULL));
  check_same(&run, &resumed);
  pynn_checkpoint_free(checkpoint);
  free_run(&resumed);

  /* and one that only has the name does not train */
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, path, NULL));
  pynn_trainer_options how;
  pynn_trainer *trainer = NULL;
  double gradient[1024];
  pynn_trainer_options_init(&how, loaded);
  how.batch_size = ROWS;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, loaded, &how, NULL));
  CHECK_STATUS(PYNN_ERROR_NOT_READY, pynn_train_step(trainer, &run.data, &step, NULL));
  CHECK_STATUS(PYNN_ERROR_NOT_READY, pynn_trainer_full_gradient(trainer, &run.data, ROWS, &loss, gradient, NULL));
  pynn_trainer_free(trainer);
  pynn_model_free(loaded);
  free_run(&run);
  CHECK(unlink(path) == 0);
}

int main(void) {
  for (int threads = 1; threads <= 3; threads += 2) {
    pynn_context *context = NULL;
    pynn_context_options options;
    pynn_context_options_init(&options);
    options.threads = threads;
    for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(i + 1);
    for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = fabs(cos(i));
    CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
    test_agreement(context);
    test_floats_in_a_double_model(context);
    test_first_look(context);
    test_arguments(context);
    test_failures(context);
    test_blame(context);
    test_results_that_were_not_written(context);
    test_range(context);
    test_first_look_at_losses(context);
    test_files(context);
    pynn_context_free(context);
  }
  CHECK_REPORT();
}
