/* Kinds of layers from C: adaptation to data in parts, state that only applied steps change, files, errors. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 60, INPUTS = 5, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];

static void fill(void) {
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < 3; j++) x[i * INPUTS + j] = sin(3 * i + j) * pow(10, 3 * j) + (j == 1 ? 1e9 : 0);
    x[i * INPUTS + 3] = i % 4, x[i * INPUTS + 4] = i % 7 == 0 ? (double)NAN : i % 3;
    for (int j = 0; j < OUTPUTS; j++) y[i * OUTPUTS + j] = 1000 + 50 * sin(i + j);
  }
}

static pynn_layer named(const char *kind) {
  pynn_layer layer;
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layer, kind));
  return layer;
}

static pynn_layer dense(int64_t units, const char *activation) {
  pynn_layer layer;
  CHECK_STATUS(PYNN_OK, pynn_dense(&layer, units, activation));
  return layer;
}

/* Every kind in one model, with a block in a block. */
static int32_t every_kind(pynn_layer *layers) {
  static const int64_t numbers[] = {0, 1, 2}, codes[] = {3, 4}, sizes[] = {4, 2};
  int32_t n = 0;
  layers[n] = named("normalization");
  layers[n].columns = numbers, layers[n++].n_columns = 3;
  layers[n] = named("categorical");
  layers[n].columns = codes, layers[n].sizes = sizes, layers[n].n_columns = 2;
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[n++].kind, "dimension", 3));
  layers[n++] = dense(8, "relu");
  layers[n++] = named("batch_normalization");
  layers[n++] = named("activation");
  layers[n++] = named("gaussian_noise");
  layers[n++] = named("layer_normalization"); /* the block: x + d(n(x)) + ... */
  layers[n++] = dense(8, "gelu");
  layers[n++] = named("add");
  layers[n++] = named("dropout");
  layers[n] = named("add");
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&layers[n++].kind, "layers", 4));
  layers[n++] = dense(OUTPUTS, NULL);
  return n;
}

static pynn_model *model_of(const pynn_context *context, pynn_dtype dtype) {
  pynn_layer layers[16];
  pynn_model_options options;
  pynn_error error;
  pynn_spec loss;
  pynn_model *model = NULL;
  const int32_t n = every_kind(layers);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype, options.seed = 3, options.target_scaling = 1;
  if (!CHECK(pynn_model_new(&model, context, &options, layers, n, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  return model;
}

/* From x in parts of `rows`. */
static pynn_summary *summary_of(const pynn_context *context, const double *from, int64_t columns, int64_t rows) {
  pynn_summary *summary = NULL;
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&summary, context, columns, ROWS, NULL));
  for (int64_t first = 0; first < ROWS; first += rows) {
    const int64_t n = ROWS - first < rows ? ROWS - first : rows;
    const pynn_array part = pynn_matrix(from + first * columns, PYNN_FLOAT64, n, columns);
    CHECK_STATUS(PYNN_OK, pynn_summary_add(summary, &part, NULL));
  }
  return summary;
}

static void adapt(const pynn_context *context, pynn_model *model, int64_t rows) {
  pynn_summary *inputs = summary_of(context, x, INPUTS, rows), *targets = summary_of(context, y, OUTPUTS, rows);
  CHECK_STATUS(PYNN_OK, pynn_normalization_adapt(model, 0, inputs, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(model, targets, 0, NULL));
  pynn_summary_free(inputs);
  pynn_summary_free(targets);
}

static void predict(const pynn_model *model, void *out) {
  const pynn_array all = pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS);
  pynn_workspace *workspace = NULL;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  if (!CHECK(pynn_predict(model, workspace, &all, 0, pynn_model_dtype(model), out, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
  pynn_workspace_free(workspace);
}

static void test_summaries(const pynn_context *context) {
  pynn_column whole, parts;
  const int64_t cuts[] = {1, 7, 59};
  pynn_summary *one = summary_of(context, x, INPUTS, ROWS);
  for (int c = 0; c < 3; c++) {
    pynn_summary *other = summary_of(context, x, INPUTS, cuts[c]);
    for (int64_t j = 0; j < INPUTS; j++) {
      CHECK_STATUS(PYNN_OK, pynn_summary_column(one, j, &whole));
      CHECK_STATUS(PYNN_OK, pynn_summary_column(other, j, &parts));
      CHECK(whole.count == parts.count && whole.missing == parts.missing && whole.rows == ROWS);
      CHECK(whole.first_missing == parts.first_missing && whole.first_missing == (j == 4 ? 0 : -1));
      CHECK(whole.minimum == parts.minimum && whole.maximum == parts.maximum);
      CHECK_CLOSE(whole.mean, parts.mean, 1e-13);
      CHECK_CLOSE(whole.std, parts.std, 1e-13);
      CHECK(!memcmp(whole.quartiles, parts.quartiles, sizeof whole.quartiles));
    }
    pynn_summary_free(other);
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_column(one, INPUTS, &whole));
  pynn_summary_free(one);
  pynn_summary_free(NULL);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_new(&one, context, 0, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_new(&one, context, 1, 1, NULL));
}

static void test_training(const pynn_context *context, pynn_dtype dtype) {
  pynn_model *model = model_of(context, dtype), *loaded = NULL;
  const size_t size = pynn_dtype_size(dtype), bytes = (size_t)pynn_model_n_parameters(model) * size;
  const size_t state = (size_t)pynn_model_n_state(model) * sizeof(double);
  double before[512], out[ROWS * OUTPUTS], again[ROWS * OUTPUTS];
  char *parameters = malloc(bytes);
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  pynn_trainer_options options;
  pynn_trainer *trainer = NULL;
  pynn_step step;
  pynn_error error;
  pynn_trainer_options_init(&options, model);
  options.batch_size = ROWS, options.guard.check_every = 1;
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&options.optimizer, "learning_rate", 1e-3));
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &options, NULL));
  CHECK_STATUS(PYNN_ERROR_NOT_READY, pynn_train_step(trainer, &data, &step, &error));
  CHECK_EQUAL(error.layer, 0);
  adapt(context, model, 13);

  CHECK(state <= sizeof before);
  for (int i = 0; i < 5; i++) {
    memcpy(before, pynn_model_state(model), state);
    if (!CHECK(pynn_train_step(trainer, &data, &step, &error) == PYNN_OK)) fprintf(stderr, "  %s\n", error.message);
    CHECK(memcmp(before, pynn_model_state(model), state) != 0); /* the moving moments moved */
  }
  pynn_statistics statistics;
  for (int32_t i = 0; i < pynn_model_n_layers(model); i++) {
    CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(trainer, i, &statistics));
    CHECK(i == 0 || isfinite(statistics.std + statistics.gradient_rms + statistics.update_ratio + statistics.dead));
  }

  memcpy(before, pynn_model_state(model), state);
  memcpy(parameters, pynn_model_parameters(model), bytes);
  x[17 * INPUTS + 2] = (double)INFINITY;
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(trainer, &data, &step, &error));
  CHECK(error.row == 17 && error.column == 2 && error.operation == PYNN_OPERATION_INPUT);
  pynn_blame blame;
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(trainer, &data, NULL, 0, ROWS, &blame, NULL));
  CHECK(blame.operation == PYNN_OPERATION_INPUT && blame.n_rows == 1 && blame.rows[0] == 17 && blame.n_columns == 1);
  x[17 * INPUTS + 2] = 0;
  CHECK(!memcmp(before, pynn_model_state(model), state));
  CHECK(!memcmp(parameters, pynn_model_parameters(model), bytes));
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(trainer, &data, NULL, 0, ROWS, &blame, NULL));
  CHECK_EQUAL(blame.operation, PYNN_OPERATION_NONE);

  /* gamma of the batch normalization is at fault */
  pynn_tensor tensor = {0};
  for (int32_t i = 0; i < pynn_model_n_tensors(model) && (tensor.layer != 3 || strcmp(tensor.name, "gamma")); i++)
    CHECK_STATUS(PYNN_OK, pynn_model_tensor(model, i, &tensor));
  CHECK(tensor.trainable && tensor.rows == 1 && tensor.columns == 8);
  char *gamma = (char *)pynn_model_parameters(model) + (size_t)(tensor.offset + 5) * size;
  const double largest = dtype == PYNN_FLOAT32 ? 3.4e38 : 1.79e308; /* finite, and beyond the range once multiplied */
  const float single_largest = (float)largest;
  memcpy(gamma, dtype == PYNN_FLOAT32 ? (const void *)&single_largest : &largest, size);
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(trainer, &data, NULL, 0, ROWS, &blame, NULL));
  CHECK(blame.operation == PYNN_OPERATION_FORWARD && blame.layer == 3 && blame.columns[0] == 5);
  CHECK_EQUAL(blame.fails_in_float64, dtype == PYNN_FLOAT64);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(trainer, &data, &step, &error));
  CHECK(error.operation == PYNN_OPERATION_FORWARD && error.layer == 3 && error.column == 5);
  memcpy(pynn_model_parameters(model), parameters, bytes);

  CHECK_STATUS(PYNN_OK, pynn_save(model, "layers.safetensors", NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_load(&loaded, context, "layers.safetensors", NULL));
  CHECK(pynn_model_target_scaling(loaded));
  predict(model, out);
  predict(loaded, again);
  CHECK(!memcmp(out, again, ROWS * OUTPUTS * size));
  float single;
  memcpy(&single, out, sizeof single);
  const double first = dtype == PYNN_FLOAT32 ? (double)single : out[0];
  CHECK(first > 500 && first < 1500); /* in the units of the targets */
  remove("layers.safetensors");
  free(parameters);
  pynn_trainer_free(trainer);
  pynn_model_free(loaded);
  pynn_model_free(model);
}

static void test_errors(const pynn_context *context) {
  pynn_layer layers[3] = {dense(4, NULL), dense(3, NULL), named("add")};
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_error error;
  pynn_model_options_init(&options);
  options.inputs = 5;
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_model_new(&model, context, &options, layers, 3, &error));
  CHECK(error.layer == 2 && strstr(error.message, "dense layer of 4 units"));
  pynn_spec_set(&layers[2].kind, "layers", 3);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_new(&model, context, &options, layers, 3, &error));

  const int64_t wrong[][2] = {{0, 5}, {1, 0}, {2, 2}, {-1, 0}}, sizes[] = {3, 3}, none[] = {3, 0};
  layers[0] = named("categorical");
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_new(&model, context, &options, layers, 2, &error));
  for (int i = 0; i < 5; i++) {
    layers[0].columns = wrong[i % 4], layers[0].sizes = i == 4 ? NULL : sizes, layers[0].n_columns = 2;
    CHECK(pynn_model_new(&model, context, &options, layers, 2, &error) != PYNN_OK && error.layer == 0);
  }
  const int64_t right[] = {0, 4};
  layers[0].columns = right, layers[0].sizes = none;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_new(&model, context, &options, layers, 2, &error));
  layers[0].n_columns = 9000;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_new(&model, context, &options, layers, 2, &error));
  CHECK(!model);
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_layer_named(&layers[0], "convolution"));
  pynn_spec activation;
  pynn_spec_named(&activation, PYNN_ACTIVATION, "relu");
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_layer_choose(&layers[2], "activation", &activation));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_layer_choose(&layers[1], "kernel_initializer", &activation));
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layers[1], "activation", &activation));
  CHECK_EQUAL(pynn_layer_choice(&layers[1], "activation")->row, activation.row);

  /* numbers that are not finite, and those that a layer takes care of */
  pynn_layer data_layers[2] = {named("normalization"), dense(1, NULL)};
  pynn_summary *summary = summary_of(context, x, INPUTS, ROWS);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, data_layers, 2, &error));
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_normalization_adapt(model, 0, summary, 0, &error));
  CHECK(error.row == 0 && error.column == 4 && error.layer == 0);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 1, summary, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 0, summary, 1, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_target_adapt(model, summary, 0, &error));
  pynn_model_free(model);
  const int64_t beyond[] = {0, INPUTS};
  data_layers[0].columns = beyond, data_layers[0].n_columns = 2;
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_model_new(&model, context, &options, data_layers, 2, &error));
  data_layers[0].columns = NULL, data_layers[0].n_columns = 0;
  pynn_spec_set(&data_layers[0].kind, "missing", 2);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, data_layers, 2, &error));
  CHECK_STATUS(PYNN_OK, pynn_normalization_adapt(model, 0, summary, 0, &error));
  float out[ROWS];
  predict(model, out);
  CHECK(isfinite(out[0])); /* the row with NaN */
  pynn_summary_free(summary);
  pynn_model_free(model);
}

/* Rows of several timesteps keep their shape through kinds that act on each timestep; others refuse them. */
static void test_timesteps(const pynn_context *context) {
  pynn_layer layers[2];
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_shape shape;
  pynn_error error;
  pynn_dropout(&layers[0], 0.5);
  pynn_dense(&layers[1], 2, NULL);
  pynn_model_options_init(&options);
  options.inputs = 6;
  CHECK_EQUAL(options.timesteps, 1);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_shape(model, -1, &shape));
  CHECK(shape.timesteps == 1 && shape.features == 6);
  CHECK_STATUS(PYNN_OK, pynn_model_shape(model, 1, &shape));
  CHECK(shape.timesteps == 1 && shape.features == 2);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_shape(model, 2, &shape));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_shape(model, -2, &shape));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_shape(model, 0, NULL));
  pynn_model_free(model);
  options.timesteps = 3;
  layers[1] = named("batch_normalization");
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_model_new(&model, context, &options, layers, 2, &error));
  CHECK_EQUAL(error.layer, 1);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_shape(model, 0, &shape));
  CHECK(shape.timesteps == 3 && shape.features == 2 && pynn_model_outputs(model) == 6);
  pynn_model_free(model);
  const int64_t refused[] = {0, -1, 4, 7};
  for (int i = 0; i < 4; i++) {
    options.timesteps = refused[i];
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_model_new(&model, context, &options, layers, 1, NULL));
  }
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  test_summaries(context);
  test_training(context, PYNN_FLOAT32);
  test_training(context, PYNN_FLOAT64);
  test_errors(context);
  test_timesteps(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
