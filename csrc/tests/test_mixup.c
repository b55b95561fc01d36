/* Mixup: a step on mixed rows is the step on rows that were mixed by hand; what is drawn; what is refused, and that a
 * bad cell is found where it lies in the caller's data. */
#include "check.h"

#include <string.h>

enum { ROWS = 7, INPUTS = 4, OUTPUTS = 3, SEED = 21 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], w[ROWS];
static int64_t labels[ROWS];

static void fill(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = sin(3.0 * i);
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = 0.5 + 0.4 * cos(2.0 * i);
  for (int i = 0; i < ROWS; i++) w[i] = i == 2 ? 0 : 1 + 0.25 * i, labels[i] = i % OUTPUTS;
}

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
};

static struct run start(const pynn_context *context, pynn_dtype dtype, const char *loss_name, double alpha) {
  struct run run = {0};
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layers[0], 6, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype, options.seed = SEED;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&how, run.model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &how, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_mixup(run.trainer, alpha, NULL));
  return run;
}

static void stop(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static double parameter(const struct run *run, pynn_dtype dtype, int64_t i) {
  const void *all = pynn_model_parameters(run->model);
  return dtype == PYNN_FLOAT32 ? (double)((const float *)all)[i] : ((const double *)all)[i];
}

/* Row i of `from`, in the order of the batch, mixed with the row `shift` further on. */
static void mix_by_hand(const double *from, int64_t columns, const int64_t *order, double share, int64_t shift,
                        double *to) {
  for (int64_t i = 0; i < ROWS; i++)
    for (int64_t j = 0; j < columns; j++)
      to[i * columns + j] =
          share * from[order[i] * columns + j] + (1 - share) * from[order[(i + shift) % ROWS] * columns + j];
}

/* Four steps with mixup, and the same four on data mixed here. */
static void check_same(const pynn_context *context, pynn_dtype dtype, int with_labels, int with_weights, int in_order) {
  const char *loss = with_labels ? "softmax_cross_entropy" : "mse";
  struct run mixed = start(context, dtype, loss, 0.7), plain = start(context, dtype, loss, 0);
  const int64_t straight[ROWS] = {0, 1, 2, 3, 4, 5, 6}, shuffled[ROWS] = {4, 2, 0, 6, 1, 3, 5};
  const int64_t *order = in_order ? straight : shuffled;
  double hot[ROWS * OUTPUTS] = {0}, targets[ROWS * OUTPUTS], mx[ROWS * INPUTS], mt[ROWS * OUTPUTS], mw[ROWS];
  for (int i = 0; i < ROWS; i++) hot[i * OUTPUTS + labels[i]] = 1;
  memcpy(targets, with_labels ? hot : y, sizeof targets);
  double given[ROWS * OUTPUTS];
  memcpy(given, y, sizeof given);
  if (with_weights) { /* row 2 is not there: its target may hold anything */
    for (int j = 0; j < OUTPUTS; j++) targets[2 * OUTPUTS + j] = 0, given[2 * OUTPUTS + j] = (double)NAN;
  }
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(given, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  if (with_labels) data.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
  if (with_weights) data.weights = pynn_matrix(w, PYNN_FLOAT64, ROWS, 1);
  pynn_data by_hand = {pynn_matrix(mx, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(mt, PYNN_FLOAT64, ROWS, OUTPUTS), {0}};
  if (with_weights) by_hand.weights = pynn_matrix(mw, PYNN_FLOAT64, ROWS, 1);
  pynn_step a, b;
  pynn_error error;
  for (int64_t step = 0; step < 4; step++) {
    double share;
    int64_t shift;
    pynn_mixup_draw(SEED, step, 0.7, ROWS, &share, &shift);
    mix_by_hand(x, INPUTS, order, share, shift, mx);
    mix_by_hand(targets, OUTPUTS, order, share, shift, mt);
    mix_by_hand(w, 1, order, share, shift, mw);
    const int64_t *asked = in_order ? NULL : order;
    if (!CHECK(!pynn_train_batches(mixed.trainer, &data, asked, 0, ROWS, ROWS, 0, PYNN_FLOAT32, NULL, &a, &error)))
      fprintf(stderr, "  %s\n", error.message);
    CHECK_STATUS(PYNN_OK, pynn_train_step(plain.trainer, &by_hand, &b, NULL));
    CHECK_CLOSE(a.loss, b.loss, dtype == PYNN_FLOAT32 ? 1e-5 : 1e-12);
  }
  for (int64_t i = 0; i < pynn_model_n_parameters(mixed.model); i++)
    CHECK(fabs(parameter(&mixed, dtype, i) - parameter(&plain, dtype, i)) < (dtype == PYNN_FLOAT32 ? 1e-6 : 1e-14));
  pynn_blame blame;
  CHECK_STATUS(PYNN_OK, pynn_trainer_blame(mixed.trainer, &data, order, 0, ROWS, &blame, NULL));
  CHECK_EQUAL(blame.operation, PYNN_OPERATION_NONE);
  stop(&mixed);
  stop(&plain);
}

/* Mean and variance of Beta(alpha, alpha): 1/2 and 1 / (4 (2 alpha + 1)). Every shift comes up. */
static void test_draws(void) {
  const double alphas[] = {0.2, 1, 4};
  for (int a = 0; a < 3; a++) {
    double mean = 0, square = 0;
    int seen[ROWS] = {0};
    const int n = 4000;
    for (int64_t step = 0; step < n; step++) {
      double share;
      int64_t shift;
      pynn_mixup_draw(9, step, alphas[a], ROWS, &share, &shift);
      CHECK(share >= 0 && share <= 1 && shift >= 1 && shift < ROWS);
      mean += share / n, square += share * share / n, seen[shift]++;
    }
    CHECK(fabs(mean - 0.5) < 0.03);
    CHECK_CLOSE(square - mean * mean, 0.25 / (2 * alphas[a] + 1), 0.08);
    for (int shift = 1; shift < ROWS; shift++) CHECK(seen[shift] > n / ROWS / 2);
  }
}

/* The step is refused, and the message tells the cell of the data, which the mixture has spread over two rows.
 */
static void test_bad_cells(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32, "mse", 0.7);
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS),
                    pynn_matrix(w, PYNN_FLOAT64, ROWS, 1)};
  pynn_step step;
  pynn_error error;
  struct {
    double *cell;
    pynn_operation operation;
    int64_t row, column;
  } cells[] = {{&x[5 * INPUTS + 1], PYNN_OPERATION_INPUT, 5, 1},
               {&y[4 * OUTPUTS + 2], PYNN_OPERATION_TARGET, 4, 2},
               {&w[3], PYNN_OPERATION_SAMPLE_WEIGHT, 3, -1}};
  for (int i = 0; i < 3; i++) {
    const double kept = *cells[i].cell;
    *cells[i].cell = (double)NAN;
    CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_train_step(run.trainer, &data, &step, &error));
    CHECK_EQUAL(error.operation, cells[i].operation);
    CHECK_EQUAL(error.row, cells[i].row);
    if (cells[i].column >= 0) CHECK_EQUAL(error.column, cells[i].column);
    *cells[i].cell = kept;
  }
  CHECK_EQUAL(pynn_trainer_steps(run.trainer), 0);
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, &error));
  /* one row has nothing to be mixed with */
  data.x.rows = data.targets.rows = data.weights.rows = 1;
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, &error));
  stop(&run);
}

static int never(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits, const void *targets,
                 const int64_t *classes, double *losses, void *gradient, int backward) {
  (void)user, (void)dtype, (void)rows, (void)n, (void)logits, (void)targets, (void)classes, (void)losses;
  return (void)gradient, (void)backward, 1;
}

static void test_refusals(const pynn_context *context) {
  struct run run = start(context, PYNN_FLOAT32, "mse", 0);
  pynn_error error;
  const double wrong[] = {-1e-9, 2e6, (double)NAN, (double)INFINITY};
  for (int i = 0; i < 4; i++)
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_mixup(run.trainer, wrong[i], &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_set_mixup(NULL, 0.5, &error));
  const int64_t offsets[ROWS + 1] = {0, 1, 2, 3, 4, 5, 6, 7}, columns[ROWS] = {0};
  pynn_data data = {pynn_csr(x, PYNN_FLOAT64, columns, offsets, PYNN_INT64, ROWS, INPUTS),
                    pynn_matrix(y, PYNN_FLOAT64, ROWS, OUTPUTS),
                    {0}};
  pynn_step step;
  CHECK_STATUS(PYNN_OK, pynn_train_step(run.trainer, &data, &step, &error));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_mixup(run.trainer, 0.5, NULL));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_train_step(run.trainer, &data, &step, &error));
  CHECK(strstr(error.message, "sparse"));
  stop(&run);

  /* a loss that takes labels and no probabilities */
  run = start(context, PYNN_FLOAT32, "mse", 0);
  const pynn_custom_loss of_labels = {
      .struct_size = sizeof of_labels, .name = "mine", .flags = PYNN_ROW_LABELS, .function = never};
  CHECK_STATUS(PYNN_OK, pynn_model_set_custom_loss(run.model, &of_labels));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_trainer_set_mixup(run.trainer, 0.5, &error));
  CHECK(strstr(error.message, "mine"));
  stop(&run);

  /* a mixture of two codes is none */
  static const int64_t codes[] = {3}, sizes[] = {4};
  pynn_layer layers[2];
  pynn_model *model = NULL;
  pynn_trainer *trainer = NULL;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_spec loss;
  pynn_layer_named(&layers[0], "categorical");
  layers[0].columns = codes, layers[0].sizes = sizes, layers[0].n_columns = 1;
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  pynn_spec_named(&loss, PYNN_LOSS, "mse");
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&how, model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_trainer_set_mixup(trainer, 0.5, &error));
  CHECK(strstr(error.message, "categorical"));
  pynn_trainer_free(trainer);
  pynn_model_free(model);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  test_draws();
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int kind = 0; kind < 8; kind++) check_same(context, (pynn_dtype)dtype, kind & 1, kind & 2, kind & 4);
  test_bad_cells(context);
  test_refusals(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
