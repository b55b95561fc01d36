/* Recurrent layers: gradients against differences, a row's bits whatever is around it, files, threads. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, STEPS = 6, FEATURES = 3, UNITS = 5, OUTPUTS = 2, CASES = 17 };
static double x[ROWS * STEPS * FEATURES], y[ROWS * STEPS * OUTPUTS];

struct shape_case {
  const char *kind, *number;
  double value;
  int sequences, backwards, both;
  const char *pool; /* kind behind it */
};
static const struct shape_case cases[CASES] = {
    {"simple_rnn", NULL, 0, 0, 0, 0, NULL},
    {"simple_rnn", "use_bias", 0, 1, 1, 0, NULL},
    {"lstm", NULL, 0, 0, 0, 0, NULL},
    {"lstm", NULL, 0, 1, 0, 0, NULL},
    {"lstm", "unit_forget_bias", 0, 0, 1, 0, NULL},
    {"lstm", "use_bias", 0, 1, 1, 0, NULL},
    {"lstm", NULL, 0, 1, 0, 1, NULL},
    {"lstm", NULL, 0, 0, 0, 1, NULL},
    {"gru", NULL, 0, 0, 0, 0, NULL},
    {"gru", NULL, 0, 1, 1, 0, NULL},
    {"gru", "reset_after", 0, 0, 0, 0, NULL},
    {"gru", "reset_after", 0, 1, 1, 0, NULL},
    {"gru", "use_bias", 0, 1, 0, 1, NULL},
    {"gru", "reset_after", 0, 1, 0, 1, NULL},
    {"lstm", NULL, 0, 1, 0, 1, "flatten"},
    {"gru", NULL, 0, 1, 1, 0, "global_average_pooling_1d"},
    {"simple_rnn", NULL, 0, 1, 0, 0, "global_max_pooling_1d"},
};

static void fill(void) {
  for (int i = 0; i < ROWS * STEPS * FEATURES; i++) x[i] = sin(1.7 * i) * 2;
  for (int i = 0; i < ROWS * STEPS * OUTPUTS; i++) y[i] = cos(0.9 * i);
}

/* dense by timestep, the layer, dense by timestep where it gives sequences. */
static pynn_model *model_of(const pynn_context *context, const struct shape_case *c, pynn_dtype dtype) {
  pynn_layer layers[4];
  int32_t n = 2;
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_spec loss;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[0], 4, "tanh"));
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[1], c->kind));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[1].kind, "units", UNITS));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[1].kind, "return_sequences", c->sequences));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[1].kind, "go_backwards", c->backwards));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[1].kind, "bidirectional", c->both));
  if (c->number) CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[1].kind, c->number, c->value));
  if (c->pool) CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[n++], c->pool));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[n++], OUTPUTS, NULL));
  pynn_model_options_init(&options);
  options.inputs = STEPS * FEATURES, options.timesteps = STEPS, options.dtype = dtype, options.seed = 5;
  if (!CHECK(pynn_model_new(&model, context, &options, layers, n, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  return model;
}

static pynn_data data_of(const pynn_model *model, int64_t rows) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT64, rows, STEPS * FEATURES),
                     pynn_matrix(y, PYNN_FLOAT64, rows, pynn_model_outputs(model)),
                     {0}};
}

static pynn_trainer *trainer_of(pynn_model *model, int64_t rows) {
  pynn_trainer_options options;
  pynn_trainer *trainer = NULL;
  pynn_trainer_options_init(&options, model);
  options.batch_size = rows, options.guard.check_every = 1;
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&options.optimizer, "learning_rate", 0.1));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &options, NULL));
  return trainer;
}

static void test_gradient(const pynn_context *context, const struct shape_case *c) {
  pynn_model *model = model_of(context, c, PYNN_FLOAT64);
  pynn_trainer *trainer = trainer_of(model, ROWS);
  const pynn_data data = data_of(model, ROWS);
  const int64_t n = pynn_model_n_parameters(model);
  double *p = pynn_model_parameters(model), loss, above, below, *gradient = calloc(2 * (size_t)n, sizeof *gradient);
  CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &loss, gradient, NULL));
  for (int64_t i = 0; i < n; i += 3) {
    const double h = 1e-5, at = p[i];
    p[i] = at + h;
    CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &above, gradient + n, NULL));
    p[i] = at - h;
    CHECK_STATUS(PYNN_OK, pynn_trainer_full_gradient(trainer, &data, ROWS, &below, gradient + n, NULL));
    p[i] = at;
    if (!CHECK(fabs((above - below) / (2 * h) - gradient[i]) <= 1e-8))
      fprintf(stderr, "  %s, number %d: %.12g, %.12g\n", c->kind, (int)i, (above - below) / (2 * h), gradient[i]);
  }
  free(gradient);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

static void predict(const pynn_model *model, pynn_workspace *workspace, int64_t first, int64_t rows, void *out) {
  const pynn_array part = pynn_matrix(x + first * STEPS * FEATURES, PYNN_FLOAT64, rows, STEPS * FEATURES);
  pynn_error error;
  if (!CHECK(pynn_predict(model, workspace, &part, 1, pynn_model_dtype(model), out, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
}

/* A row alone, among others, and at any number of threads: the same bits; a step too. */
static void test_bits(const struct shape_case *c, pynn_dtype dtype) {
  static char outs[3][ROWS * STEPS * OUTPUTS * sizeof(double)];
  const size_t size = pynn_dtype_size(dtype);
  for (int32_t threads = 1; threads <= 3; threads++) {
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    options.threads = threads;
    CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
    pynn_model *model = model_of(context, c, dtype);
    pynn_trainer *trainer = trainer_of(model, 20);
    pynn_workspace *workspace = NULL;
    pynn_step step;
    pynn_data data = data_of(model, ROWS);
    const size_t row = (size_t)pynn_model_outputs(model) * size;
    char alone[STEPS * OUTPUTS * sizeof(double)];
    CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
    CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, NULL, 0, ROWS, 20, 0, dtype, NULL, &step, NULL));
    CHECK(step.steps == 2 && isfinite(step.loss));
    predict(model, workspace, 0, ROWS, outs[threads - 1]);
    CHECK(!memcmp(outs[0], outs[threads - 1], ROWS * row));
    for (int64_t i = 0; i < ROWS; i += 9) {
      predict(model, workspace, i, 1, alone);
      CHECK(!memcmp(alone, outs[0] + (size_t)i * row, row));
    }
    pynn_workspace_free(workspace);
    pynn_trainer_free(trainer);
    pynn_model_free(model);
    pynn_context_free(context);
  }
}

/* One timestep after the other: the bits of a prediction of the timesteps so far; a state that is put back. */
static void test_stream(const pynn_context *context, const struct shape_case *c, pynn_dtype dtype) {
  pynn_model *model = model_of(context, c, dtype);
  pynn_workspace *workspace = NULL;
  pynn_stream *stream = NULL;
  pynn_error error;
  if (c->backwards || c->both || c->pool) {
    CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_stream_new(&stream, model, 2, &error));
    CHECK(!stream && error.layer >= 1);
    pynn_model_free(model);
    return;
  }
  const size_t size = pynn_dtype_size(dtype), last = OUTPUTS * size;
  const int64_t outputs = pynn_model_outputs(model);
  double whole[2 * STEPS * OUTPUTS], out[2 * OUTPUTS], again[2 * OUTPUTS], part[2 * FEATURES], state[200];
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  CHECK_STATUS(PYNN_OK, pynn_stream_new(&stream, model, 2, &error));
  predict(model, workspace, 0, 2, whole);
  const size_t bytes = (size_t)pynn_stream_n_state(stream) * size;
  CHECK(bytes > 0 && bytes <= sizeof state);
  for (int round = 0; round < 2; round++) {
    for (int t = 0; t < STEPS; t++) {
      for (int i = 0; i < 2; i++) memcpy(part + i * FEATURES, x + (i * STEPS + t) * FEATURES, FEATURES * sizeof *part);
      const pynn_array at = pynn_matrix(part, PYNN_FLOAT64, 2, FEATURES);
      memcpy(state, pynn_stream_state(stream), bytes);
      CHECK_STATUS(PYNN_OK, pynn_stream_step(stream, &at, 1, dtype, out, NULL));
      memcpy(pynn_stream_state(stream), state, bytes);
      part[3] = (double)NAN;
      CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_stream_step(stream, &at, 1, dtype, again, &error));
      CHECK(error.row == 1 && error.column == 0 && !memcmp(state, pynn_stream_state(stream), bytes));
      part[3] = x[(STEPS + t) * FEATURES];
      CHECK_STATUS(PYNN_OK, pynn_stream_step(stream, &at, 1, dtype, again, NULL));
      CHECK(!memcmp(out, again, 2 * last));
      for (int i = 0; i < 2; i++)
        if (c->sequences || t == STEPS - 1)
          CHECK(!memcmp((char *)out + (size_t)i * last,
                        (char *)whole + ((size_t)(i * outputs) + (c->sequences ? (size_t)t * OUTPUTS : 0)) * size,
                        last));
    }
    pynn_stream_reset(stream);
  }
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_stream_step(stream, &(pynn_array){.columns = 1, .rows = 2, .data = x}, 1, dtype, out, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_stream_step(NULL, NULL, 1, dtype, out, &error));
  pynn_stream_free(stream);
  pynn_stream_free(NULL);
  pynn_workspace_free(workspace);
  pynn_model_free(model);
}

static void test_files(const pynn_context *context, const struct shape_case *c) {
  static double out[2][ROWS * STEPS * OUTPUTS];
  pynn_model *model = model_of(context, c, PYNN_FLOAT64), *loaded = NULL;
  pynn_model *models[2];
  CHECK_STATUS(PYNN_OK, pynn_save(model, "recurrent.safetensors", NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, "recurrent.safetensors", NULL));
  models[0] = model, models[1] = loaded;
  for (int i = 0; i < 2; i++) {
    pynn_workspace *workspace = NULL;
    CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, models[i]));
    predict(models[i], workspace, 0, ROWS, out[i]);
    pynn_workspace_free(workspace);
    pynn_model_free(models[i]);
  }
  CHECK(!memcmp(out[0], out[1], sizeof out[0]));
  remove("recurrent.safetensors");
}

static void test_start_and_errors(const pynn_context *context) {
  pynn_layer layer;
  pynn_spec gelu;
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layer, "lstm"));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layer.kind, "units", UNITS));
  pynn_model_options_init(&options);
  options.inputs = STEPS * FEATURES, options.timesteps = STEPS, options.dtype = PYNN_FLOAT64;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, &layer, 1, &error));
  const double *p = pynn_model_parameters(model);
  pynn_tensor kernel, bias;
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(model, 1, &kernel));
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(model, 2, &bias));
  CHECK(!strcmp(kernel.name, "recurrent_kernel") && kernel.rows == UNITS && kernel.columns == 4 * UNITS);
  for (int64_t i = 0; i < bias.columns; i++) CHECK(p[bias.offset + i] == (i / UNITS == 1));
  for (int64_t i = 0; i < UNITS; i++)
    for (int64_t j = 0; j < UNITS; j++) { /* orthonormal rows */
      double sum = 0;
      for (int64_t k = 0; k < kernel.columns; k++)
        sum += p[kernel.offset + i * kernel.columns + k] * p[kernel.offset + j * kernel.columns + k];
      CHECK(fabs(sum - (i == j)) < 1e-12);
    }
  pynn_model_free(model);
  pynn_spec_named(&gelu, PYNN_ACTIVATION, "gelu");
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layer, "recurrent_activation", &gelu));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_model_new(&model, context, &options, &layer, 1, &error));
  CHECK(error.layer == 0 && strstr(error.message, "recurrent_activation") && strstr(error.message, "gelu"));
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  for (int i = 0; i < CASES; i++) {
    test_gradient(context, &cases[i]);
    test_bits(&cases[i], PYNN_FLOAT32);
    test_bits(&cases[i], PYNN_FLOAT64);
    test_files(context, &cases[i]);
    test_stream(context, &cases[i], PYNN_FLOAT32);
    test_stream(context, &cases[i], PYNN_FLOAT64);
  }
  test_start_and_errors(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
