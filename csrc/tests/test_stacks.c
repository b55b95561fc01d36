/* Stacks of layers: gradients against differences of the loss; what adaptation takes from data, by the formulas; what
 * summaries hold. */
#include "check.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 9, INPUTS = 5, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], w[ROWS];

static void fill(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = 1.5 * sin(7.0 * i + 1);
  for (int i = 0; i < ROWS; i++) x[i * INPUTS + 3] = i % 4, x[i * INPUTS + 4] = i % 3;
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = cos(3.0 * i);
  for (int i = 0; i < ROWS; i++) w[i] = i == 4 ? 0 : 0.5 + 0.25 * i;
}

/* ---- stacks, as texts: "kind:field=value,...|activation=name kernel_regularizer=name ..." for each layer */

static void set_all(pynn_spec *spec, char *settings) {
  for (char *rest = settings, *one; (one = strtok_r(rest, ",", &rest));) {
    char *value = strchr(one, '=');
    *value++ = '\0';
    CHECK_STATUS(PYNN_OK, pynn_spec_set(spec, one, strtod(value, NULL)));
  }
}

static const pynn_table tables[] = {PYNN_ACTIVATION, PYNN_INITIALIZER, PYNN_REGULARIZER, PYNN_CONSTRAINT};

static void choose(pynn_layer *layer, char *choice) {
  pynn_spec spec;
  char *name = strchr(choice, '=');
  *name++ = '\0';
  for (int t = 0; t < 4; t++)
    if (pynn_spec_named(&spec, tables[t], name) == PYNN_OK && pynn_layer_choose(layer, choice, &spec) == PYNN_OK)
      return;
  const int known = 0; /* a choice of the layer's */
  CHECK(known);
}

static pynn_layer parse(const char *text) {
  static const int64_t columns[] = {3, 4}, sizes[] = {4, 2}; /* code 2 of the second is unknown */
  pynn_layer layer;
  char copy[128];
  snprintf(copy, sizeof copy, "%s", text);
  char *choices = strchr(copy, '|'), *settings;
  if (choices) *choices++ = '\0';
  settings = strchr(copy, ':');
  if (settings) *settings++ = '\0';
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layer, copy));
  if (settings) set_all(&layer.kind, settings);
  for (char *rest = choices, *one; choices && (one = strtok_r(rest, " ", &rest));) choose(&layer, one);
  if (!strcmp(copy, "categorical")) layer.columns = columns, layer.sizes = sizes, layer.n_columns = 2;
  return layer;
}

enum { MOST = 6 };
static pynn_model *model_of(const pynn_context *context, const char *const *texts, int target_scaling,
                            const char *loss_name) {
  pynn_layer layers[MOST];
  pynn_model *model = NULL;
  pynn_model_options options;
  pynn_spec loss;
  pynn_error error;
  int32_t n = 0;
  for (; n < MOST && texts[n]; n++) layers[n] = parse(texts[n]);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = PYNN_FLOAT64, options.seed = 8, options.target_scaling = target_scaling;
  if (!CHECK(pynn_model_new(&model, context, &options, layers, n, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  return model;
}

static pynn_summary *summary_of(const pynn_context *context, const double *from, int64_t rows, int64_t columns,
                                int64_t held) {
  pynn_summary *summary = NULL;
  const pynn_array all = pynn_matrix(from, PYNN_FLOAT64, rows, columns);
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&summary, context, columns, held, NULL));
  CHECK_STATUS(PYNN_OK, pynn_summary_add(summary, &all, NULL));
  return summary;
}

/* Every normalization to numbers of about the size that it meets, targets to y. */
static void adapt(const pynn_context *context, pynn_model *model) {
  double numbers[ROWS * 8];
  for (int i = 0; i < ROWS * 8; i++) numbers[i] = sin(11.0 * i);
  for (int32_t i = 0; i < pynn_model_n_layers(model); i++) {
    pynn_spec normalization;
    pynn_spec_named(&normalization, PYNN_LAYER, "normalization");
    pynn_layer layer;
    pynn_model_layer(model, i, &layer);
    if (layer.kind.row != normalization.row) continue;
    pynn_summary *summary = summary_of(context, numbers, ROWS, i ? 4 : INPUTS, ROWS);
    CHECK_STATUS(PYNN_OK, pynn_normalization_adapt(model, i, summary, 0, NULL));
    pynn_summary_free(summary);
  }
  if (!pynn_model_target_scaling(model)) return;
  pynn_summary *summary = summary_of(context, y, ROWS, OUTPUTS, 0);
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(model, summary, 0, NULL));
  pynn_summary_free(summary);
}

static double loss_at(pynn_model *model, pynn_workspace *workspace, const pynn_data *data, double *parameter,
                      double value) {
  const double kept = *parameter;
  double loss = 0;
  *parameter = value;
  CHECK_STATUS(PYNN_OK, pynn_evaluate(model, workspace, &data->x, &data->targets,
                                      data->weights.data ? &data->weights : NULL, PYNN_FLOAT32, NULL, &loss, NULL));
  *parameter = kept;
  return loss;
}

static void check_gradient(const pynn_context *context, const char *const *texts, const char *loss_name, int scaled) {
  pynn_model *model = model_of(context, texts, scaled, loss_name);
  adapt(context, model);
  const int64_t n = pynn_model_n_parameters(model);
  double *parameters = pynn_model_parameters(model), *full = malloc((size_t)n * sizeof *full), mean, worst = 0;
  for (int64_t i = 0; i < n; i++) parameters[i] += 0.1 * sin(13.0 * (double)i);
  pynn_workspace *workspace = NULL;
  pynn_trainer *trainer = NULL;
  pynn_trainer_options how;
  pynn_step step;
  pynn_error error;
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS),
                    pynn_matrix(y, PYNN_FLOAT64, ROWS, strcmp(loss_name, "gaussian_nll") ? OUTPUTS : OUTPUTS / 2),
                    pynn_matrix(w, PYNN_FLOAT64, ROWS, 1)};
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  pynn_trainer_options_init(&how, model);
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&how.optimizer, "learning_rate", 1e-300)); /* nothing moves */
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  const pynn_status whole = pynn_trainer_full_gradient(trainer, &data, 4, &mean, full, &error);
  CHECK(whole == PYNN_OK || (whole == PYNN_ERROR_UNSUPPORTED && strstr(error.message, "as layer")));
  if (!CHECK(!pynn_train_step(trainer, &data, &step, &error))) fprintf(stderr, "  %s: %s\n", texts[0], error.message);
  const double *gradient = pynn_trainer_gradient(trainer);
  for (int64_t i = 0; i < n; i++) {
    const double h = 1e-6 * fmax(1, fabs(parameters[i]));
    const double slope = (loss_at(model, workspace, &data, &parameters[i], parameters[i] + h) -
                          loss_at(model, workspace, &data, &parameters[i], parameters[i] - h)) /
                         (2 * h);
    worst = fmax(worst, fabs(slope - gradient[i]) / fmax(1, fabs(slope)));
    if (!whole) CHECK(fabs(full[i] - gradient[i]) < 1e-12 * fmax(1, fabs(gradient[i])));
  }
  if (!CHECK(worst < 2e-7)) fprintf(stderr, "  %s, %s: off by %g\n", texts[0], texts[1], worst);
  CHECK_CLOSE(step.loss, loss_at(model, workspace, &data, parameters, *parameters), 1e-12);
  if (!whole) CHECK_CLOSE(mean, step.loss, 1e-12);
  free(full);
  pynn_trainer_free(trainer);
  pynn_workspace_free(workspace);
  pynn_model_free(model);
}

static void test_gradients(const pynn_context *context) {
  static const char *const stacks[][MOST] = {
      {"dense:units=4|activation=tanh", "normalization:mode=1,missing=1,clip=0.6", "dense:units=2"},
      {"dense:units=4", "normalization:mode=2,missing=2", "dense:units=2"},
      {"dense:units=4", "normalization:mode=0", "activation|activation=sigmoid", "dense:units=2"},
      {"categorical:dimension=3", "dense:units=2"},
      {"categorical", "dense:units=3|activation=silu", "dense:units=2"},
      {"dense:units=5", "categorical:dimension=2", "dense:units=2"},
      {"dense:units=5", "categorical", "dense:units=2"},
      {"layer_normalization:center=0", "dense:units=2"},
      {"layer_normalization:scale=0", "dense:units=2"},
      {"dense:units=4", "layer_normalization:scale=0,center=0", "dense:units=2"},
      {"dense:units=4|activation=softplus", "dense:units=4|activation=tanh", "add", "dense:units=2"},
      {"dense:units=4,use_bias=0", "dense:units=2,use_bias=0"},
      {"dense:units=4|kernel_regularizer=l1_l2 bias_regularizer=l2 activation=gelu",
       "dense:units=2|kernel_regularizer=l1"},
      {"layer_normalization", "dense:units=3", "activation|activation=softmax", "dense:units=2"},
  };
  for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++)
    for (int scaled = 0; scaled < 2; scaled++) check_gradient(context, stacks[i], "mse", scaled);
  check_gradient(context, stacks[0], "gaussian_nll", 0);
  check_gradient(context, stacks[11], "huber", 1);
}

/* ---- adaptation */

static const double *state_of(pynn_model *model, int32_t layer, const char *name) {
  pynn_tensor tensor;
  for (int32_t i = 0; i < pynn_model_n_tensors(model); i++)
    if (pynn_model_tensor(model, i, &tensor) == PYNN_OK && tensor.layer == layer && !strcmp(tensor.name, name))
      return pynn_model_state(model) + tensor.offset;
  const double *found = NULL;
  CHECK(found); /* a tensor of that name */
  return found;
}

/* Columns: 1 ... 9; the same with a hole; all 7; nothing; a spread that no double has. */
static void numbers_of(double *cells) {
  for (int i = 0; i < ROWS; i++) {
    double *row = cells + i * INPUTS;
    row[0] = i + 1, row[1] = i == 3 ? (double)NAN : i + 1, row[2] = 7, row[3] = (double)NAN;
    row[4] = i % 2 ? DBL_MAX : -DBL_MAX;
  }
}

static void test_adaptation(const pynn_context *context) {
  double cells[ROWS * INPUTS];
  numbers_of(cells);
  static const char *const texts[][3] = {{"normalization:mode=0,missing=1", "dense:units=2"},
                                         {"normalization:mode=1,missing=2", "dense:units=2"},
                                         {"normalization:mode=2,missing=1", "dense:units=2"}};
  const double deviation = sqrt(60.0 / 9); /* of 1 ... 9 */
  for (int mode = 0; mode < 3; mode++) {
    pynn_model *model = model_of(context, texts[mode], 0, "mse");
    pynn_summary *summary = summary_of(context, cells, ROWS, INPUTS, ROWS);
    CHECK_STATUS(PYNN_OK, pynn_normalization_adapt(model, 0, summary, 0, NULL));
    const double *shift = state_of(model, 0, "shift"), *scale = state_of(model, 0, "scale");
    const double *filled = state_of(model, 0, "fill");
    CHECK_CLOSE(shift[0], mode == 1 ? 1 : 5, 1e-14);
    CHECK_CLOSE(scale[0], mode == 0 ? 1 / deviation : mode == 1 ? 1.0 / 8 : 1.0 / 4, 1e-14);
    CHECK_CLOSE(filled[1], mode == 1 ? 5.5 : 41.0 / 8, 1e-14); /* the median, the mean */
    CHECK(shift[2] == 7 && scale[2] == 0 && shift[3] == 0 && scale[3] == 0);
    CHECK(isfinite(shift[4]) && scale[4] >= 0 && scale[4] <= DBL_MAX);
    CHECK(*state_of(model, 0, "rows") == ROWS);
    pynn_summary_free(summary);
    pynn_model_free(model);
  }
}

static void test_adaptation_refused(const pynn_context *context) {
  static const char *const robust[] = {"normalization:mode=2", "dense:units=2", NULL};
  static const char *const standard[] = {"normalization", "dense:units=2", NULL};
  static const char *const clipped[] = {"normalization:clip=3", "dense:units=2", NULL};
  pynn_error error;
  double cells[ROWS * INPUTS];
  memcpy(cells, x, sizeof cells);
  pynn_model *model = model_of(context, robust, 1, "mse");
  pynn_summary *no_quartiles = summary_of(context, x, ROWS, INPUTS, 0), *empty = NULL, *two = NULL;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 0, no_quartiles, 0, &error));
  CHECK(strstr(error.message, "quartiles"));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(NULL, 0, no_quartiles, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 0, NULL, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, -1, no_quartiles, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 2, no_quartiles, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 0, no_quartiles, -1, &error));
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&empty, context, INPUTS, 4, NULL));
  CHECK_EQUAL(pynn_summary_columns(empty), INPUTS);
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_normalization_adapt(model, 0, empty, 0, &error));
  CHECK(strstr(error.message, "at least one row"));

  /* targets: of another number of columns, none, beyond, unknown */
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_target_adapt(model, no_quartiles, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_target_adapt(NULL, no_quartiles, 0, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_target_adapt(model, NULL, 0, &error));
  CHECK_STATUS(PYNN_OK, pynn_summary_new(&two, context, OUTPUTS, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_target_adapt(model, two, 0, &error));
  CHECK(strstr(error.message, "at least one row"));
  const double kept = y[OUTPUTS * 5 + 1];
  y[OUTPUTS * 5 + 1] = (double)INFINITY;
  pynn_summary *beyond = summary_of(context, y, ROWS, OUTPUTS, 0);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_target_adapt(model, beyond, 0, &error));
  CHECK(error.row == 5 && error.column == 1 && error.operation == PYNN_OPERATION_TARGET);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_target_adapt(model, beyond, 0, NULL));
  pynn_summary_free(beyond);
  y[OUTPUTS * 5 + 1] = (double)NAN; /* unknown: the others are enough */
  pynn_summary *unknown = summary_of(context, y, ROWS, OUTPUTS, 0);
  CHECK_STATUS(PYNN_OK, pynn_target_adapt(model, unknown, 0, &error));
  pynn_summary_free(unknown);
  y[OUTPUTS * 5 + 1] = kept;
  const double none[2 * OUTPUTS] = {1, (double)NAN, 2, (double)NAN};
  pynn_summary *nothing = summary_of(context, none, 2, OUTPUTS, 0);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_target_adapt(model, nothing, 0, &error));
  CHECK(error.row == 0 && error.column == 1);
  pynn_summary_free(nothing);
  pynn_model_free(model);

  /* infinities: only where they are clipped */
  cells[2 * INPUTS + 3] = (double)-INFINITY;
  pynn_summary *infinite = summary_of(context, cells, ROWS, INPUTS, ROWS);
  model = model_of(context, standard, 0, "mse");
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_normalization_adapt(model, 0, infinite, 0, &error));
  CHECK(error.row == 2 && error.column == 3);
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_normalization_adapt(model, 0, infinite, 0, NULL));
  pynn_model_free(model);
  model = model_of(context, clipped, 0, "mse");
  CHECK_STATUS(PYNN_OK, pynn_normalization_adapt(model, 0, infinite, 0, &error));
  pynn_workspace *workspace = NULL;
  double out[ROWS * OUTPUTS];
  const pynn_array rows = pynn_matrix(cells, PYNN_FLOAT64, ROWS, INPUTS);
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
  CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &rows, 0, pynn_model_dtype(model), out, &error));
  for (int i = 0; i < ROWS * OUTPUTS; i++) CHECK(isfinite(out[i]));
  pynn_workspace_free(workspace);
  pynn_model_free(model);
  pynn_summary_free(infinite);
  pynn_summary_free(two);
  pynn_summary_free(empty);
  pynn_summary_free(no_quartiles);
}

/* minmax and constant targets, through predictions: they come in the units of the targets, and a constant as it is */
static void test_targets(const pynn_context *context) {
  static const char *const texts[] = {"dense:units=2|kernel_initializer=zeros", NULL};
  for (int minmax = 0; minmax < 2; minmax++) {
    pynn_model *model = model_of(context, texts, 1, "mse");
    pynn_workspace *workspace = NULL;
    double targets[ROWS * OUTPUTS], out[ROWS * OUTPUTS], mean = 0, least = DBL_MAX;
    for (int i = 0; i < ROWS; i++) {
      targets[i * OUTPUTS] = 100 + 3 * i, targets[i * OUTPUTS + 1] = 42;
      mean += targets[i * OUTPUTS] / ROWS, least = fmin(least, targets[i * OUTPUTS]);
    }
    const pynn_array rows = pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS);
    CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
    pynn_error error;
    CHECK_STATUS(PYNN_ERROR_NOT_READY, pynn_predict(model, workspace, &rows, 0, pynn_model_dtype(model), out, &error));
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &rows, 1, pynn_model_dtype(model), out,
                                       &error)); /* logits need no units */
    CHECK(out[0] == 0);
    pynn_summary *summary = summary_of(context, targets, ROWS, OUTPUTS, 0);
    CHECK_STATUS(PYNN_OK, pynn_target_adapt(model, summary, minmax, NULL));
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &rows, 0, pynn_model_dtype(model), out, &error));
    CHECK_CLOSE(out[0], minmax ? least : mean, 1e-14);
    CHECK(out[1] == 42);
    double loss;
    const pynn_array good = pynn_matrix(targets, PYNN_FLOAT64, ROWS, OUTPUTS);
    CHECK_STATUS(PYNN_OK, pynn_evaluate(model, workspace, &rows, &good, NULL, PYNN_FLOAT32, NULL, &loss, NULL));
    CHECK_CLOSE(loss, minmax ? (0 + 1 + 4 + 9 + 16 + 25 + 36 + 49 + 64) / 64.0 / 18 : 0.5, 1e-12); /* of scaled ones */
    pynn_spec refused;
    pynn_spec_named(&refused, PYNN_LOSS, "softmax_cross_entropy");
    CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_model_set_loss(model, &refused));
    pynn_spec_named(&refused, PYNN_LOSS, "gaussian_nll");
    CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_model_set_loss(model, &refused));
    pynn_summary_free(summary);
    pynn_workspace_free(workspace);
    pynn_model_free(model);
  }
}

/* ---- summaries */

static int by_value(const void *a, const void *b) {
  const double x_ = *(const double *)a, y_ = *(const double *)b;
  return (x_ > y_) - (x_ < y_);
}

static void test_summaries(const pynn_context *context) {
  enum { MANY = 5000, HELD = 64 };
  double *numbers = malloc(MANY * sizeof *numbers), *sorted = malloc(MANY * sizeof *sorted);
  for (int i = 0; i < MANY; i++) sorted[i] = numbers[i] = sin(1.7 * i) * exp(fmod(0.37 * i, 3));
  qsort(sorted, MANY, sizeof *sorted, by_value);
  pynn_summary *rough = summary_of(context, numbers, MANY, 1, HELD),
               *exact = summary_of(context, numbers, MANY, 1, MANY);
  pynn_column a, b;
  CHECK_STATUS(PYNN_OK, pynn_summary_column(rough, 0, &a));
  CHECK_STATUS(PYNN_OK, pynn_summary_column(exact, 0, &b));
  const double off = MANY * ceil(log2((double)MANY / HELD)) / HELD; /* ranks, as pynn.h says */
  for (int q = 0; q < 3; q++) {
    const double rank = 0.25 * (q + 1) * (MANY - 1), part = rank - floor(rank);
    const double *below = sorted + (int)rank;
    CHECK_CLOSE(b.quartiles[q], below[0] * (1 - part) + below[1] * part, 1e-14);
    const int lowest = (int)(rank - off), highest = (int)(rank + off) + 1;
    CHECK(a.quartiles[q] >= sorted[lowest] && a.quartiles[q] <= sorted[highest]);
  }
  CHECK_EQUAL(a.count, MANY);
  pynn_summary_free(rough);
  pynn_summary_free(exact);

  /* 1, 3, 2 with an odd number held, tiny and huge numbers, and no number at all */
  const double few[] = {1, 3, 2, 9, 4, 8, 5, 7, 6, 0}, huge[] = {DBL_MAX, -DBL_MAX, DBL_MAX, -DBL_MAX};
  const double tiny[] = {4e-200, 8e-200}, none[] = {(double)NAN, (double)INFINITY};
  pynn_summary *odd = summary_of(context, few, 10, 1, 3);
  CHECK_STATUS(PYNN_OK, pynn_summary_column(odd, 0, &a));
  CHECK(a.minimum == 0 && a.maximum == 9 && a.mean == 4.5 && a.quartiles[0] <= a.quartiles[1]);
  CHECK(a.quartiles[1] <= a.quartiles[2] && a.quartiles[0] >= 0 && a.quartiles[2] <= 9);
  pynn_summary_free(odd);
  odd = summary_of(context, huge, 4, 1, 0);
  CHECK_STATUS(PYNN_OK, pynn_summary_column(odd, 0, &a));
  CHECK(a.mean == 0 && fabs(a.std / DBL_MAX - 1) < 1e-15 && isnan(a.quartiles[0]));
  pynn_summary_free(odd);
  odd = summary_of(context, tiny, 2, 1, 2);
  CHECK_STATUS(PYNN_OK, pynn_summary_column(odd, 0, &a));
  CHECK_CLOSE(a.std, 2e-200, 1e-15);
  pynn_summary_free(odd);
  odd = summary_of(context, none, 2, 1, 2);
  CHECK_STATUS(PYNN_OK, pynn_summary_column(odd, 0, &a));
  CHECK(a.rows == 2 && a.count == 0 && a.missing == 1 && a.infinite == 1 && a.first_infinite == 1);
  CHECK(isnan(a.mean) && isnan(a.std) && isnan(a.minimum) && isnan(a.maximum) && isnan(a.quartiles[1]));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_column(odd, -1, &a));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_column(odd, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_column(NULL, 0, &a));
  const pynn_array wide = pynn_matrix(few, PYNN_FLOAT64, 5, 2), good = pynn_matrix(few, PYNN_FLOAT64, 5, 1);
  const int64_t offsets[] = {0, 1}, indices[] = {0};
  const pynn_array sparse = pynn_csr(few, PYNN_FLOAT64, indices, offsets, PYNN_INT64, 1, 1);
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_summary_add(odd, &wide, NULL));
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_summary_add(odd, &sparse, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_add(NULL, &good, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_add(odd, NULL, NULL));
  pynn_summary_free(odd);
  const int64_t wrong[][2] = {{0, 0}, {-1, 0}, {1, -1}, {1, 1}, {INT64_MAX, 0}, {((int64_t)1 << 20) + 1, 4}};
  odd = NULL;
  for (int i = 0; i < 6; i++)
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_new(&odd, context, wrong[i][0], wrong[i][1], NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_new(&odd, NULL, 1, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_summary_new(NULL, context, 1, 0, NULL));
  CHECK(!odd);
  free(numbers);
  free(sorted);
}

int main(void) {
  pynn_context *context;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  fill();
  test_gradients(context);
  test_adaptation(context);
  test_adaptation_refused(context);
  test_targets(context);
  test_summaries(context);
  pynn_context_free(context);
  CHECK_REPORT();
}
