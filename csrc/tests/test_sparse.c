/* Sparse rows: the bits of dense ones, in training and prediction, at any number of threads; and what is refused. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 90, INPUTS = 700, HIDDEN = 130, OUTPUTS = 3, BATCH = 40, EPOCHS = 3 };
static double dense[ROWS * INPUTS], values[ROWS * INPUTS];
static float singles[ROWS * INPUTS];
static int32_t indices[ROWS * INPUTS], offsets[ROWS + 1];
static int64_t long_indices[ROWS * INPUTS], long_offsets[ROWS + 1], labels[ROWS], order[ROWS];
static uint64_t state = 88172645463325252u;

static double uniform(void) { /* xorshift, in (-1, 1) */
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

/* Rows with few cells, none, and all; every seventh row is longer than what is taken at a time. */
static void fill(void) {
  int n = 0;
  for (int i = 0; i < ROWS; i++) {
    const double share = i == 5 ? 0 : i == 6 ? 1 : i % 7 ? 0.02 : 0.4;
    for (int j = 0; j < INPUTS; j++) {
      const int there = (uniform() + 1) / 2 < share;
      dense[i * INPUTS + j] = there ? (double)(float)uniform() : 0;
      if (!there) continue;
      values[n] = dense[i * INPUTS + j], singles[n] = (float)values[n], indices[n] = j, long_indices[n++] = j;
    }
    offsets[i + 1] = n, long_offsets[i + 1] = n;
    labels[i] = i % OUTPUTS;
    order[i] = (i * 37) % ROWS;
  }
}

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
};

static struct run start(const pynn_context *context, pynn_dtype dtype) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_spec loss;
  pynn_dense(&layers[0], HIDDEN, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  options.dtype = dtype;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
  pynn_model_set_loss(run.model, &loss);
  pynn_trainer_options_init(&trainer_options, run.model);
  pynn_spec_named(&trainer_options.optimizer, PYNN_OPTIMIZER, "adam");
  trainer_options.batch_size = BATCH;
  trainer_options.guard.check_every = 1;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &trainer_options, NULL));
  return run;
}

static void finish(struct run run) {
  pynn_trainer_free(run.trainer);
  pynn_model_free(run.model);
}

static pynn_data data_of(pynn_array x) {
  return (pynn_data){.x = x, .targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1)};
}

/* Parameters after some epochs, and predictions; both to be freed. */
static void train(const pynn_context *context, pynn_dtype dtype, pynn_array x, void **parameters, void **out) {
  struct run run = start(context, dtype);
  const pynn_data data = data_of(x);
  const size_t size = pynn_dtype_size(dtype), bytes = (size_t)pynn_model_n_parameters(run.model) * size;
  pynn_workspace *workspace = NULL;
  pynn_step step;
  double loss = 0;
  for (int e = 0; e < EPOCHS; e++)
    CHECK_STATUS(PYNN_OK, pynn_train_batches(run.trainer, &data, e ? order : NULL, 0, ROWS, BATCH, 0, PYNN_FLOAT32,
                                             NULL, &step, NULL));
  *parameters = malloc(bytes);
  *out = malloc(ROWS * OUTPUTS * size);
  memcpy(*parameters, pynn_model_parameters(run.model), bytes);
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, run.model));
  CHECK_STATUS(PYNN_OK, pynn_predict(run.model, workspace, &data.x, 0, pynn_model_dtype(run.model), *out, NULL));
  CHECK_STATUS(PYNN_OK,
               pynn_evaluate(run.model, workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL, &loss, NULL));
  CHECK(loss > 0 && loss < 2);
  pynn_workspace_free(workspace);
  finish(run);
}

static void test_bits(pynn_context *context, pynn_dtype dtype) {
  const size_t size = pynn_dtype_size(dtype), n = ((INPUTS + 1) * HIDDEN + (HIDDEN + 1) * OUTPUTS) * size;
  const pynn_array forms[] = {pynn_csr(values, PYNN_FLOAT64, indices, offsets, PYNN_INT32, ROWS, INPUTS),
                              pynn_csr(singles, PYNN_FLOAT32, long_indices, long_offsets, PYNN_INT64, ROWS, INPUTS)};
  void *expected, *predicted, *parameters, *out;
  train(context, dtype, pynn_matrix(dense, PYNN_FLOAT64, ROWS, INPUTS), &expected, &predicted);
  for (int32_t threads = 1; threads <= 4; threads++)
    for (int form = 0; form < 2; form++) {
      pynn_context_set_threads(context, threads);
      train(context, dtype, forms[form], &parameters, &out);
      CHECK(!memcmp(parameters, expected, n));
      CHECK(!memcmp(out, predicted, ROWS * OUTPUTS * size));
      free(parameters), free(out);
    }
  free(expected), free(predicted);
}

/* A NaN in a sparse row is refused and blamed by its row and column. */
static void test_fault(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32);
  const int32_t cell = offsets[8] + 1;
  const double before = values[cell];
  const pynn_data data = data_of(pynn_csr(values, PYNN_FLOAT64, indices, offsets, PYNN_INT32, ROWS, INPUTS));
  pynn_step step;
  pynn_error error;
  pynn_blame blame;
  values[cell] = (double)NAN;
  CHECK_STATUS(PYNN_ERROR_NUMERIC,
               pynn_train_batches(run.trainer, &data, order, 0, ROWS, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_EQUAL(error.row, 8);
  CHECK_EQUAL(error.column, indices[cell]);
  int64_t first = step.rows;
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(run.trainer, &data, order, first, BATCH, &blame, NULL));
  CHECK_EQUAL(blame.operation, PYNN_OPERATION_INPUT);
  CHECK_EQUAL(blame.rows[0], 8);
  CHECK_EQUAL(blame.columns[0], indices[cell]);
  values[cell] = before;
  finish(run);
}

static void test_refusals(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32);
  pynn_data data = data_of(pynn_csr(values, PYNN_FLOAT64, indices, offsets, PYNN_INT32, ROWS, INPUTS));
  pynn_step step;
  pynn_error error;
  const int32_t last = offsets[7] - 1, kept = indices[last];
  static double out[ROWS * INPUTS];
  const int32_t wrong[] = {INPUTS, -1, kept - 1};
  for (int i = 0; i < 3; i++) {
    indices[last] = wrong[i];
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
                 pynn_train_batches(run.trainer, &data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
    CHECK_EQUAL(error.row, 6);
  }
  indices[last] = kept;
  const int32_t offset = offsets[3];
  offsets[3] = offsets[2] - 1;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_train_batches(run.trainer, &data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_EQUAL(error.row, 2);
  offsets[3] = offset;
  CHECK_EQUAL(pynn_trainer_steps(run.trainer), 0);
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_gather(&data.x, NULL, 1, out, NULL));
  data.targets = data.x;
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED,
               pynn_train_batches(run.trainer, &data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
  data = data_of(pynn_csr(values, PYNN_FLOAT64, indices, offsets, PYNN_FLOAT32, ROWS, INPUTS));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_train_batches(run.trainer, &data, NULL, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, &error));
  finish(run);

  pynn_layer layers[2];
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_workspace *workspace = NULL;
  const pynn_array x = pynn_csr(values, PYNN_FLOAT64, indices, offsets, PYNN_INT32, ROWS, INPUTS);
  pynn_dropout(&layers[0], 0.5);
  pynn_dense(&layers[1], 1, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_predict(model, workspace, &x, 0, pynn_model_dtype(model), out, &error));
  CHECK_EQUAL(error.layer, 0);
  CHECK(strstr(error.message, "dropout") != NULL);
  pynn_workspace_free(workspace);
  pynn_model_free(model);
}

int main(void) {
  pynn_context *context = NULL;
  fill();
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  test_bits(context, PYNN_FLOAT32);
  test_bits(context, PYNN_FLOAT64);
  test_fault(context);
  test_refusals(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
