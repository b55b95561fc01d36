/* Training: gradients against differences, refusal, exactness, order, weights, memory. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;
static double uniform(void) { /* xorshift, in (-1, 1) */
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

static pynn_context *context_of(int threads, const char *cpu) {
  pynn_context_options options;
  pynn_context *context = NULL;
  pynn_context_options_init(&options);
  options.threads = threads;
  options.cpu = cpu;
  return pynn_context_new(&context, &options) ? NULL : context;
}

static pynn_spec named(pynn_table table, const char *name) {
  pynn_spec spec;
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, table, name));
  return spec;
}

/* inputs - hidden (activation) - [dropout] - hidden - outputs */
static pynn_model *model_of(pynn_context *context, pynn_dtype dtype, int64_t inputs, int64_t hidden, int64_t outputs,
                            const char *activation, double dropout, const char *loss) {
  pynn_layer layers[4];
  int n = 0;
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[n++], hidden, activation));
  if (dropout > 0) CHECK_STATUS(PYNN_OK, pynn_dropout(&layers[n++], dropout));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[n++], hidden, "tanh"));
  CHECK_STATUS(PYNN_OK, pynn_dense(&layers[n++], outputs, NULL));
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = inputs;
  options.dtype = dtype;
  options.seed = 7;
  pynn_model *model = NULL;
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, n, &error));
  pynn_spec spec = named(PYNN_LOSS, loss);
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &spec));
  return model;
}

static pynn_trainer *trainer_of(pynn_model *model, const char *optimizer, int64_t batch_size) {
  pynn_trainer_options options;
  pynn_trainer *trainer = NULL;
  pynn_trainer_options_init(&options, model);
  options.optimizer = named(PYNN_OPTIMIZER, optimizer);
  options.batch_size = batch_size;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &options, NULL));
  return trainer;
}

enum { ROWS = 37, INPUTS = 5, HIDDEN = 9, OUTPUTS = 3 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], w[ROWS];
static int64_t labels[ROWS];

static void fill_data(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = uniform();
  for (int i = 0; i < ROWS; i++) {
    double sum = 0;
    for (int j = 0; j < OUTPUTS; j++) sum += y[i * OUTPUTS + j] = fabs(uniform());
    for (int j = 0; j < OUTPUTS; j++) y[i * OUTPUTS + j] /= sum;
    w[i] = fabs(uniform());
    labels[i] = i % OUTPUTS;
  }
}

static pynn_data data_of(void) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS),
                     pynn_matrix(w, PYNN_FLOAT64, ROWS, 1)};
}

static double loss_of(pynn_model *model, const pynn_data *data) {
  pynn_workspace *workspace;
  double loss = NAN;
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  CHECK_STATUS(PYNN_OK, pynn_evaluate(model, workspace, &data->x, &data->targets, &data->weights, PYNN_FLOAT32, NULL,
                                      &loss, NULL));
  pynn_workspace_free(workspace);
  return loss;
}

/* Every smooth activation and every loss: backward is the derivative of forward. */
static void test_gradients(pynn_context *context) {
  for (int32_t l = 0; l < pynn_table_size(PYNN_LOSS); l++)
    for (int32_t a = 0; a < pynn_table_size(PYNN_ACTIVATION); a++) {
      const int pairs = (pynn_table_row(PYNN_LOSS, l)->flags & PYNN_ROW_PAIRS) != 0;
      pynn_model *model = model_of(context, PYNN_FLOAT64, INPUTS, HIDDEN, pairs ? 2 * OUTPUTS : OUTPUTS,
                                   pynn_table_row(PYNN_ACTIVATION, a)->name, 0, pynn_table_row(PYNN_LOSS, l)->name);
      pynn_trainer *trainer = trainer_of(model, "sgd", ROWS);
      pynn_data data = data_of();
      pynn_step step;
      int64_t n = pynn_model_n_parameters(model);
      double *parameters = pynn_model_parameters(model), *gradient = pynn_trainer_gradient(trainer);
      double *before = malloc((size_t)n * sizeof *before), scale = 0;
      memcpy(before, parameters, (size_t)n * sizeof *before);
      CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
      memcpy(parameters, before, (size_t)n * sizeof *before);
      CHECK_CLOSE(step.loss, loss_of(model, &data), 1e-12);
      for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(gradient[i]));
      int kinks = 0;
      for (int64_t i = 0; i < n; i += 3) {
        const double h = 1e-6, kept = parameters[i];
        parameters[i] = kept + h;
        double up = loss_of(model, &data);
        parameters[i] = kept - h;
        double down = loss_of(model, &data);
        parameters[i] = kept;
        if (fabs((up - down) / (2 * h) - gradient[i]) > 1e-6 * (scale + fabs(gradient[i]))) kinks++;
      }
      if (!CHECK(kinks <= 1)) /* a kink may lie within h of one parameter's values */
        fprintf(stderr, "  %s, %s: %d\n", pynn_table_row(PYNN_LOSS, l)->name, pynn_table_row(PYNN_ACTIVATION, a)->name,
                kinks);
      free(before);
      pynn_trainer_free(trainer);
      pynn_model_free(model);
    }
}

/* A step that cannot be finite changes nothing and names the cell. */
static void test_refusal(pynn_context *context) {
  const char *optimizers[] = {"sgd", "adam"};
  for (int o = 0; o < 2; o++) {
    pynn_model *model = model_of(context, PYNN_FLOAT64, INPUTS, HIDDEN, OUTPUTS, "relu", 0, "mse");
    pynn_trainer *trainer = trainer_of(model, optimizers[o], ROWS);
    int64_t n = pynn_model_n_parameters(model), order[ROWS];
    double *parameters = pynn_model_parameters(model), *before = malloc((size_t)n * sizeof *before);
    pynn_data data = data_of();
    pynn_step step;
    pynn_error error;
    CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, &error));
    CHECK(step.applied && step.steps == 1 && step.rows == ROWS);
    memcpy(before, parameters, (size_t)n * sizeof *before);

    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int b = 0; b < 3; b++) {
      double kept = x[11 * INPUTS + 2];
      x[11 * INPUTS + 2] = bad[b];
      for (int i = 0; i < ROWS; i++) order[i] = ROWS - 1 - i;
      CHECK_STATUS(PYNN_ERROR_NUMERIC,
                   pynn_train_batches(trainer, &data, order, 0, ROWS, ROWS, 0, PYNN_FLOAT32, NULL, &step, &error));
      x[11 * INPUTS + 2] = kept;
      CHECK(!step.applied && step.steps == 0);
      CHECK(error.row == 11 && error.column == 2 && error.layer == -1);
      CHECK(!memcmp(before, parameters, (size_t)n * sizeof *before));
      CHECK_EQUAL(pynn_trainer_steps(trainer), 1);
    }
    w[3] = NAN;
    CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(trainer, &data, &step, &error));
    CHECK_EQUAL(error.row, 3);
    w[3] = 1;
    /* finite gradients, an update beyond the largest number */
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_learning_rate(trainer, 1.7e308));
    for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] *= 100;
    pynn_status status = pynn_train_step(trainer, &data, &step, &error);
    for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] /= 100;
    if (!strcmp(optimizers[o], "sgd")) CHECK(status == PYNN_ERROR_NUMERIC);
    for (int64_t i = 0; i < n; i++) CHECK(isfinite(parameters[i]));
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_learning_rate(trainer, -1));
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_learning_rate(trainer, NAN));
    free(before);
    pynn_trainer_free(trainer);
    pynn_model_free(model);
  }
}

static void test_bad_input(pynn_context *context) {
  pynn_model *model = model_of(context, PYNN_FLOAT32, INPUTS, HIDDEN, OUTPUTS, "relu", 0, "softmax_cross_entropy");
  pynn_trainer *trainer = trainer_of(model, "sgd", 8);
  pynn_data data = data_of();
  pynn_step step;
  pynn_error error;
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, pynn_train_step(trainer, &data, &step, &error));
  data.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
  labels[5] = OUTPUTS;
  CHECK_STATUS(PYNN_ERROR_LABEL,
               pynn_train_batches(trainer, &data, NULL, 0, ROWS, 8, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_EQUAL(error.row, 5);
  labels[5] = -1;
  CHECK_STATUS(PYNN_ERROR_LABEL,
               pynn_train_batches(trainer, &data, NULL, 0, ROWS, 8, 0, PYNN_FLOAT32, NULL, &step, &error));
  labels[5] = 0;
  CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, NULL, 0, ROWS, 8, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_EQUAL(step.steps, 5);
  CHECK_EQUAL(step.rows, ROWS);
  int64_t order[2] = {0, ROWS};
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_train_batches(trainer, &data, order, 0, 2, 2, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_train_batches(trainer, &data, NULL, 30, 10, 2, 0, PYNN_FLOAT32, NULL, &step, &error));
  data.x.columns = INPUTS - 1;
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_train_batches(trainer, &data, NULL, 0, 2, 2, 0, PYNN_FLOAT32, NULL, &step, &error));
  data.x.columns = INPUTS;
  data.x.dtype = (pynn_dtype)99;
  CHECK_STATUS(PYNN_ERROR_DTYPE,
               pynn_train_batches(trainer, &data, NULL, 0, 2, 2, 0, PYNN_FLOAT32, NULL, &step, &error));
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

/* Parameters after some epochs, for any number of threads and kind of source. */
static void train(int threads, const char *cpu, pynn_dtype source, float *out, int64_t *n, int64_t batch) {
  enum { N = 300, IN = 150, UNITS = 130 };
  static float xf[N * IN];
  static double xd[N * IN];
  static int32_t label[N];
  static int64_t order[N];
  state = 99;
  for (int i = 0; i < N * IN; i++) xd[i] = (double)(xf[i] = (float)uniform());
  for (int i = 0; i < N; i++) label[i] = i % 10;
  pynn_context *context = context_of(threads, cpu);
  pynn_model *model = model_of(context, PYNN_FLOAT32, IN, UNITS, 10, "relu", 0.3, "softmax_cross_entropy");
  pynn_trainer *trainer = trainer_of(model, "adam", batch);
  pynn_data data = {source == PYNN_FLOAT32 ? pynn_matrix(xf, source, N, IN) : pynn_matrix(xd, source, N, IN),
                    pynn_matrix(label, PYNN_INT32, N, 1),
                    {0}};
  pynn_step step;
  for (uint64_t epoch = 0; epoch < 3; epoch++) {
    pynn_shuffle(7, epoch, N, order);
    CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, order, 0, N, batch, 0, PYNN_FLOAT32, NULL, &step, NULL));
  }
  *n = pynn_model_n_parameters(model);
  memcpy(out, pynn_model_parameters(model), (size_t)*n * sizeof *out);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
}

static void test_exactness(void) {
  static float one[60000], other[60000];
  const char *cpus[] = {"baseline", "avx2", "avx512"};
  for (int c = 0; c < 3; c++) {
    pynn_context *context = context_of(1, cpus[c]);
    if (!context) continue;
    pynn_context_free(context);
    for (int64_t batch = 64; batch <= 256; batch += 192) {
      int64_t n = 0;
      train(1, cpus[c], PYNN_FLOAT32, one, &n, batch);
      for (int threads = 2; threads <= 8; threads *= 2) {
        train(threads, cpus[c], PYNN_FLOAT32, other, &n, batch);
        CHECK(!memcmp(one, other, (size_t)n * sizeof *one));
      }
      train(3, cpus[c], PYNN_FLOAT64, other, &n, batch);
      CHECK(!memcmp(one, other, (size_t)n * sizeof *one));
    }
  }
}

/* A row's prediction is the same whatever stands around it, in any memory order. */
static void test_predict(pynn_context *context) {
  enum { N = 300, IN = 70 };
  pynn_model *model = model_of(context, PYNN_FLOAT32, IN, 41, 3, "gelu", 0.5, "softmax_cross_entropy");
  pynn_workspace *workspace;
  static float in[N * IN], columns[N * IN], all[N * 3], one[3], again[N * 3];
  for (int i = 0; i < N * IN; i++) in[i] = (float)uniform();
  for (int i = 0; i < N; i++)
    for (int j = 0; j < IN; j++) columns[j * N + i] = in[i * IN + j];
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  pynn_array a = pynn_matrix(in, PYNN_FLOAT32, N, IN);
  CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &a, 0, pynn_model_dtype(model), all, NULL));
  for (int i = 0; i < N; i += 7) {
    pynn_array row = pynn_matrix(in + i * IN, PYNN_FLOAT32, 1, IN);
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &row, 0, pynn_model_dtype(model), one, NULL));
    CHECK(!memcmp(one, all + i * 3, sizeof one));
    CHECK_CLOSE(one[0] + one[1] + one[2], 1, 1e-6);
  }
  pynn_array fortran = pynn_matrix(columns, PYNN_FLOAT32, N, IN);
  fortran.row_stride = sizeof(float), fortran.column_stride = N * sizeof(float);
  CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &fortran, 0, pynn_model_dtype(model), again, NULL));
  CHECK(!memcmp(all, again, sizeof all));
  pynn_array none = pynn_matrix(in, PYNN_FLOAT32, 0, IN);
  CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &none, 0, pynn_model_dtype(model), again, NULL));
  a.columns--;
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_predict(model, workspace, &a, 0, pynn_model_dtype(model), again, NULL));
  pynn_workspace_free(workspace);
  pynn_model_free(model);
}

/* Clipping bounds the step; a weight of 2 is a row given twice; a weight of 0 is a row that is not there. */
static void test_clip_and_weights(pynn_context *context) {
  pynn_model *model = model_of(context, PYNN_FLOAT64, INPUTS, HIDDEN, OUTPUTS, "tanh", 0, "mse");
  int64_t n = pynn_model_n_parameters(model);
  double *parameters = pynn_model_parameters(model), *before = malloc((size_t)n * sizeof *before), moved = 0;
  memcpy(before, parameters, (size_t)n * sizeof *before);
  pynn_trainer_options options;
  pynn_trainer_options_init(&options, model);
  options.batch_size = 2 * ROWS;
  options.clip_norm = 1e-3;
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&options.optimizer, "learning_rate", 1));
  pynn_trainer *trainer = NULL;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &options, NULL));
  pynn_data data = data_of();
  pynn_step step;
  CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
  for (int64_t i = 0; i < n; i++) moved += (parameters[i] - before[i]) * (parameters[i] - before[i]);
  CHECK(step.gradient_norm > 1e-3);
  CHECK_CLOSE(sqrt(moved), 1e-3, 1e-9);
  pynn_trainer_free(trainer);

  /* weights */
  int64_t twice[3] = {4, 9, 9}, once[3] = {4, 9, 12};
  double *gradient, kept[3] = {w[4], w[9], w[12]}, *first = malloc((size_t)n * sizeof *first);
  trainer = trainer_of(model, "sgd", ROWS);
  gradient = pynn_trainer_gradient(trainer);
  memcpy(parameters, before, (size_t)n * sizeof *before);
  w[4] = w[9] = 1;
  CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, twice, 0, 3, 3, 0, PYNN_FLOAT32, NULL, &step, NULL));
  memcpy(first, gradient, (size_t)n * sizeof *first);
  double loss = step.loss;
  memcpy(parameters, before, (size_t)n * sizeof *before);
  w[9] = 2, w[12] = 0, y[12 * OUTPUTS] = NAN; /* whatever it holds */
  CHECK_STATUS(PYNN_OK, pynn_train_batches(trainer, &data, once, 0, 3, 3, 0, PYNN_FLOAT32, NULL, &step, NULL));
  y[12 * OUTPUTS] = 0.5;
  CHECK_CLOSE(step.loss, loss, 1e-12);
  for (int64_t i = 0; i < n; i++) CHECK(fabs(first[i] - gradient[i]) <= 1e-12);
  w[4] = kept[0], w[9] = kept[1], w[12] = kept[2];
  free(first);
  free(before);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

/* Steps and predictions allocate nothing; everything is given back; any allocation may fail. */
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
  pynn_workspace *workspace = NULL;
  pynn_layer layers[2];
  pynn_model_options model_options;
  pynn_trainer_options trainer_options;
  pynn_context_options_init(&options);
  options.allocator = (pynn_allocator){counted_allocate, counted_release, counter};
  pynn_status status = pynn_context_new(&context, &options);
  pynn_model_options_init(&model_options);
  model_options.inputs = INPUTS;
  pynn_dense(&layers[0], HIDDEN, "relu");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  if (!status) status = pynn_model_new(&model, context, &model_options, layers, 2, NULL);
  pynn_spec loss = named(PYNN_LOSS, "mse");
  if (!status) status = pynn_model_set_loss(model, &loss);
  if (!status) pynn_trainer_options_init(&trainer_options, model);
  if (!status) trainer_options.optimizer = named(PYNN_OPTIMIZER, "adam");
  if (!status) status = pynn_trainer_new(&trainer, model, &trainer_options, NULL);
  if (!status) status = pynn_workspace_new(&workspace, model);
  if (!status) {
    const int64_t calls = counter->calls;
    float predicted[ROWS * OUTPUTS];
    pynn_data data = data_of();
    pynn_step step;
    status = pynn_train_batches(trainer, &data, NULL, 0, ROWS, 8, 0, PYNN_FLOAT32, NULL, &step, NULL);
    if (!status) status = pynn_predict(model, workspace, &data.x, 0, pynn_model_dtype(model), predicted, NULL);
    CHECK_EQUAL(counter->calls, calls);
  }
  pynn_workspace_free(workspace);
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
  CHECK(calls > 10);
  for (int64_t at = 1; at <= calls; at++) {
    counter = (struct counter){.fail_at = at};
    CHECK_STATUS(PYNN_ERROR_OUT_OF_MEMORY, life(&counter));
    CHECK_EQUAL(counter.live, 0);
  }
  pynn_context_free(NULL), pynn_model_free(NULL), pynn_trainer_free(NULL), pynn_workspace_free(NULL);
}

static void test_shuffle(void) {
  enum { N = 1000 };
  int64_t order[N], seen[N] = {0}, again[N], moved = 0;
  pynn_shuffle(3, 5, N, order);
  pynn_shuffle(3, 5, N, again);
  CHECK(!memcmp(order, again, sizeof order));
  pynn_shuffle(3, 6, N, again);
  CHECK(memcmp(order, again, sizeof order));
  for (int i = 0; i < N; i++) {
    CHECK(order[i] >= 0 && order[i] < N && !seen[order[i]]++);
    moved += order[i] != i;
  }
  CHECK(moved > N - 20);
}

int main(void) {
  fill_data();
  pynn_context *context = context_of(2, NULL);
  test_gradients(context);
  test_refusal(context);
  test_bad_input(context);
  test_predict(context);
  test_clip_and_weights(context);
  test_memory();
  test_shuffle();
  test_exactness();
  pynn_context_free(context);
  CHECK_REPORT();
}
