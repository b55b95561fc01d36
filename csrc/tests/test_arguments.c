/* Every function refuses what it cannot use, says so in `error`, and changes nothing: one call for each rule. */
#include "check.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define REFUSES(call) CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, call)

enum { ROWS = 12, INPUTS = 3, OUTPUTS = 2 };
static float x[ROWS * INPUTS], t[ROWS * OUTPUTS], w[ROWS], out[ROWS * OUTPUTS];

struct net {
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
};

static pynn_data data_of(void) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS), pynn_matrix(t, PYNN_FLOAT32, ROWS, OUTPUTS), {0}};
}

static struct net make(const char *loss_name) {
  struct net net;
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options how;
  pynn_dense(&layers[0], 4, "tanh");
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&net.context, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_new(&net.model, net.context, &options, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, loss_name));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(net.model, &loss));
  pynn_trainer_options_init(&how, net.model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&net.trainer, net.model, &how, NULL));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&net.workspace, net.model));
  return net;
}

static void destroy(struct net *net) {
  pynn_trainer_free(net->trainer);
  pynn_workspace_free(net->workspace);
  pynn_model_free(net->model);
  pynn_context_free(net->context);
}

/* ---- contexts and names */

static void nothing(void) {}
static int get_threads(void) { return 1; }

static void test_contexts(void) {
  pynn_context *context = NULL;
  pynn_context_options options;
  pynn_context_options_init(&options);
  REFUSES(pynn_context_new(NULL, &options));
  options.allocator.allocate = pynn_arena_allocator(NULL).allocate;
  REFUSES(pynn_context_new(&context, &options));
  pynn_context_options_init(&options);
  pynn_blas good = {.struct_size = sizeof good, .integer_size = 4, .sgemm = nothing, .dgemm = nothing}, blas = good;
  blas.struct_size = 1;
  options.blas = &blas;
  REFUSES(pynn_context_new(&context, &options));
  blas = good, blas.sgemm = NULL;
  REFUSES(pynn_context_new(&context, &options));
  blas = good, blas.dgemm = NULL;
  REFUSES(pynn_context_new(&context, &options));
  blas = good, blas.integer_size = 2;
  REFUSES(pynn_context_new(&context, &options));
  CHECK(!context);
  blas = good, blas.get_threads = get_threads; /* without set_threads: left alone */
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
  CHECK(!strcmp(pynn_context_blas(context), "unnamed"));
  REFUSES(pynn_context_set_blas(NULL, NULL));
  blas.integer_size = 3;
  REFUSES(pynn_context_set_blas(context, &blas));
  CHECK_STATUS(PYNN_OK, pynn_context_set_blas(context, NULL));
  CHECK(!strcmp(pynn_context_blas(context), "none"));
  REFUSES(pynn_context_set_threads(NULL, 1));
  REFUSES(pynn_context_set_threads(context, -1));
  pynn_context_free(context);
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, NULL));
  CHECK(strlen(pynn_context_cpu(context)) > 0);
  pynn_context_free(context);
  pynn_context_free(NULL);
  pynn_model_free(NULL);
  pynn_workspace_free(NULL);
  pynn_trainer_free(NULL);
}

static void test_names(void) {
  pynn_spec spec;
  REFUSES(pynn_spec_named(NULL, PYNN_LOSS, "mse"));
  REFUSES(pynn_spec_named(&spec, PYNN_LOSS, NULL));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_named(&spec, (pynn_table)77, "mse"));
  CHECK(!pynn_table_row((pynn_table)77, 0));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_set(NULL, "delta", 1));
  CHECK(isnan(pynn_spec_get(NULL, "delta")));
  pynn_spec_named(&spec, PYNN_LOSS, "mse");
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_spec_set(&spec, NULL, 1));
  CHECK(isnan(pynn_spec_get(&spec, "delta")) && isnan(pynn_spec_get(&spec, NULL)));
  CHECK(!strcmp(pynn_operation_name((pynn_operation)-1), "none"));
  CHECK(!strcmp(pynn_operation_name((pynn_operation)999), "none"));
  CHECK(!strcmp(pynn_event_name((pynn_event_kind)-1), "unknown"));
}

static void test_layers(void) {
  pynn_layer layer;
  pynn_spec relu, mse;
  pynn_spec_named(&relu, PYNN_ACTIVATION, "relu");
  pynn_spec_named(&mse, PYNN_LOSS, "mse");
  REFUSES(pynn_layer_named(NULL, "dense"));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_layer_named(&layer, "conv"));
  REFUSES(pynn_dense(NULL, 3, NULL));
  REFUSES(pynn_dense(&layer, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_dense(&layer, 3, "rlu"));
  REFUSES(pynn_dropout(NULL, 0.5));
  REFUSES(pynn_dropout(&layer, 1));
  for (int i = 0; pynn_slot_name((pynn_slot)i); i++) CHECK(strlen(pynn_slot_name((pynn_slot)i)) > 3);
  CHECK(!pynn_slot_name((pynn_slot)-1));
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layer, "dense"));
  CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layer, "activation", &relu));
  CHECK_EQUAL(pynn_layer_choice(&layer, "activation")->row, relu.row);
  REFUSES(pynn_layer_choose(&layer, "activation", &mse));
  REFUSES(pynn_layer_choose(&layer, "activation", NULL));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_layer_choose(&layer, "no such", &relu));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_layer_choose(NULL, "activation", &relu));
  CHECK(!pynn_layer_choice(&layer, NULL));
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layer, "dropout"));
  CHECK(!pynn_layer_choice(&layer, "activation"));
  layer.n_choices = 1, layer.choices[0].slot = (pynn_slot)999;
  CHECK(!pynn_layer_choice(&layer, "activation"));
}

/* ---- models */

static void test_models(const struct net *net) {
  pynn_model *model = NULL;
  pynn_model_options good, options;
  pynn_layer layers[2], bad;
  pynn_error error;
  pynn_dense(&layers[0], 4, "tanh");
  pynn_dense(&layers[1], 2, NULL);
  pynn_model_options_init(&good);
  good.inputs = 3;
#define NEW(options_, layers_, n) pynn_model_new(&model, net->context, options_, layers_, n, &error)
  REFUSES(pynn_model_new(NULL, net->context, &good, layers, 2, &error));
  REFUSES(pynn_model_new(&model, NULL, &good, layers, 2, &error));
  REFUSES(NEW(NULL, layers, 2));
  REFUSES(NEW(&good, NULL, 2));
  REFUSES(NEW(&good, layers, 0));
  REFUSES(NEW(&good, layers, 5000));
  options = good, options.struct_size = 3;
  REFUSES(NEW(&options, layers, 2));
  options = good, options.inputs = 0;
  REFUSES(NEW(&options, layers, 2));
  options = good, options.inputs = (int64_t)1 << 40;
  REFUSES(NEW(&options, layers, 2));
  options = good, options.dtype = PYNN_INT8;
  CHECK_STATUS(PYNN_ERROR_DTYPE, NEW(&options, layers, 2));
  bad = layers[1], bad.struct_size = 5;
  layers[1] = bad;
  REFUSES(NEW(&good, layers, 2));
  CHECK_EQUAL(error.layer, 1);
  pynn_spec *const parts[] = {&bad.kind, &bad.choices[0].spec, &bad.choices[1].spec, &bad.choices[6].spec};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    pynn_dense(&bad, 2, "leaky_relu");
    parts[i]->row = 999;
    layers[1] = bad;
    REFUSES(pynn_model_new(&model, net->context, &good, layers, 2, i % 2 ? &error : NULL));
    pynn_dense(&bad, 2, "leaky_relu");
    parts[i]->table = PYNN_LOSS;
    layers[1] = bad;
    REFUSES(NEW(&good, layers, 2));
    CHECK_EQUAL(error.layer, 1);
  }
  pynn_dense(&bad, 2, "leaky_relu");
  bad.choices[PYNN_SLOT_ACTIVATION].spec.values[0] = (double)NAN;
  layers[1] = bad;
  REFUSES(NEW(&good, layers, 2));
  const int32_t counts[] = {-1, 0, 6, PYNN_MAX_CHOICES, PYNN_MAX_CHOICES + 1};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) { /* a choice for each slot of the kind, no more */
    pynn_dense(&layers[1], 2, "leaky_relu");
    layers[1].n_choices = counts[i];
    REFUSES(NEW(&good, layers, 2));
    CHECK_EQUAL(error.layer, 1);
  }
  pynn_dense(&layers[1], 2, "leaky_relu");
  layers[1].choices[2].slot = PYNN_SLOT_ACTIVATION;
  REFUSES(NEW(&good, layers, 2));
  pynn_dense(&layers[0], (int64_t)1 << 20, NULL);
  pynn_dense(&layers[1], (int64_t)1 << 20, NULL);
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, NEW(&good, layers, 2));
#undef NEW
  CHECK(!model);

  pynn_tensor tensor;
  CHECK_STATUS(PYNN_OK, pynn_model_tensor(net->model, 0, &tensor));
  CHECK(!strcmp(tensor.name, "kernel") && tensor.rows == INPUTS && tensor.columns == 4);
  REFUSES(pynn_model_tensor(net->model, -1, &tensor));
  REFUSES(pynn_model_tensor(net->model, pynn_model_n_tensors(net->model), &tensor));
  pynn_layer layer;
  CHECK_STATUS(PYNN_OK, pynn_model_layer(net->model, 1, &layer));
  REFUSES(pynn_model_layer(net->model, 2, &layer));
  REFUSES(pynn_model_layer(net->model, -1, &layer));
  REFUSES(pynn_model_layer(net->model, 1, NULL));
  pynn_spec relu;
  pynn_spec_named(&relu, PYNN_ACTIVATION, "relu");
  REFUSES(pynn_model_set_loss(net->model, &relu));
  REFUSES(pynn_model_set_loss(net->model, NULL));
  REFUSES(pynn_model_set_loss(NULL, pynn_model_loss(net->model)));
  pynn_workspace *workspace = NULL;
  REFUSES(pynn_workspace_new(NULL, net->model));
  REFUSES(pynn_workspace_new(&workspace, NULL));
}

/* ---- prediction and training */

static void test_prediction(const struct net *net, const struct net *other) {
  const pynn_array good = data_of().x;
  pynn_array view = good;
  pynn_data data = data_of();
  pynn_error error;
  double loss;
#define PREDICT(view_) pynn_predict(net->model, net->workspace, view_, 0, pynn_model_dtype(net->model), out, &error)
  REFUSES(pynn_predict(NULL, net->workspace, &good, 0, pynn_model_dtype(NULL), out, &error));
  REFUSES(pynn_predict(net->model, NULL, &good, 0, pynn_model_dtype(net->model), out, &error));
  REFUSES(pynn_predict(net->model, other->workspace, &good, 0, pynn_model_dtype(net->model), out, &error));
  REFUSES(PREDICT(NULL));
  REFUSES(pynn_predict(net->model, net->workspace, &good, 0, PYNN_FLOAT32, NULL, NULL));
  view.dtype = (pynn_dtype)50;
  CHECK_STATUS(PYNN_ERROR_DTYPE, PREDICT(&view));
  view = good, view.columns = 2;
  CHECK_STATUS(PYNN_ERROR_SHAPE, PREDICT(&view));
  CHECK_EQUAL(error.status, PYNN_ERROR_SHAPE);
  view = good, view.rows = -1;
  CHECK_STATUS(PYNN_ERROR_SHAPE, PREDICT(&view));
  view = good, view.data = NULL;
  REFUSES(PREDICT(&view));
  view.rows = 0;
  CHECK_STATUS(PYNN_OK, PREDICT(&view));
#undef PREDICT
  const pynn_array *targets = &data.targets;
  REFUSES(pynn_evaluate(NULL, net->workspace, &good, targets, NULL, pynn_model_dtype(NULL), out, &loss, &error));
  REFUSES(pynn_evaluate(net->model, NULL, &good, targets, NULL, pynn_model_dtype(net->model), out, &loss, &error));
  REFUSES(pynn_evaluate(net->model, other->workspace, &good, targets, NULL, pynn_model_dtype(net->model), out, &loss,
                        &error));
  REFUSES(
      pynn_evaluate(net->model, net->workspace, NULL, targets, NULL, pynn_model_dtype(net->model), out, &loss, &error));
  REFUSES(
      pynn_evaluate(net->model, net->workspace, &good, NULL, NULL, pynn_model_dtype(net->model), out, &loss, &error));
  REFUSES(
      pynn_evaluate(net->model, net->workspace, &good, targets, NULL, pynn_model_dtype(net->model), out, NULL, &error));
  view = data.targets, view.rows = ROWS - 1;
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_evaluate(net->model, net->workspace, &good, &view, NULL,
                                               pynn_model_dtype(net->model), out, &loss, &error));
  view = pynn_matrix(w, PYNN_FLOAT32, ROWS, OUTPUTS + 1);
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_evaluate(net->model, net->workspace, &good, targets, &view,
                                               pynn_model_dtype(net->model), out, &loss, &error));
  view = pynn_matrix(NULL, PYNN_FLOAT32, 0, INPUTS);
  pynn_array none = pynn_matrix(NULL, PYNN_FLOAT32, 0, OUTPUTS);
  CHECK_STATUS(PYNN_OK,
               pynn_evaluate(net->model, net->workspace, &view, &none, NULL, PYNN_FLOAT32, NULL, &loss, &error));
  CHECK(loss == 0);
}

static void test_trainers(const struct net *net) {
  pynn_trainer *trainer = NULL;
  pynn_trainer_options good, how;
  pynn_error error;
  pynn_trainer_options_init(&good, net->model);
#define NEW(how_) pynn_trainer_new(&trainer, net->model, how_, &error)
  REFUSES(pynn_trainer_new(NULL, net->model, &good, &error));
  REFUSES(pynn_trainer_new(&trainer, NULL, &good, &error));
  REFUSES(NEW(NULL));
  how = good, how.struct_size = 0;
  REFUSES(NEW(&how));
  how = good, how.batch_size = 0;
  REFUSES(NEW(&how));
  how = good, how.batch_size = INT64_MAX / 2;
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, NEW(&how));
  how = good, how.optimizer.row = -1;
  REFUSES(NEW(&how));
  how = good, how.clip_norm = -1;
  REFUSES(NEW(&how));
  how = good, how.clip_norm = (double)NAN;
  REFUSES(NEW(&how));
  how = good, how.clip_norm = 1e300;
  REFUSES(NEW(&how));
#define GUARD(field, value)            \
  how = good, how.guard.field = value; \
  REFUSES(NEW(&how));                  \
  REFUSES(pynn_trainer_set_guard(net->trainer, &how.guard, &error))
  GUARD(policy, (pynn_policy)9);
  GUARD(policy, (pynn_policy)-1);
  GUARD(streak, 0);
  GUARD(max_rollbacks, -1);
  GUARD(backoff, 0);
  GUARD(backoff, 1);
  GUARD(snapshot_every, 0);
  GUARD(divergence, 0.5);
  GUARD(divergence, (double)INFINITY);
  GUARD(window, 7);
  GUARD(window, PYNN_GUARD_WINDOW + 1);
  GUARD(clip_z, -1);
  GUARD(clip_z, (double)INFINITY);
  GUARD(clip_alpha, 0);
  GUARD(clip_alpha, 1);
  GUARD(check_every, -1);
#undef GUARD
#undef NEW
  CHECK(!trainer);
  REFUSES(pynn_trainer_set_guard(NULL, &good.guard, &error));
  REFUSES(pynn_trainer_set_guard(net->trainer, NULL, &error));

  const double rates[] = {0, -1, (double)NAN, (double)INFINITY};
  for (int i = 0; i < 4; i++) {
    REFUSES(pynn_trainer_set_learning_rate(net->trainer, rates[i]));
    REFUSES(pynn_trainer_set_rate_factor(net->trainer, rates[i]));
  }
  REFUSES(pynn_trainer_set_steps(net->trainer, -1));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_steps(net->trainer, 0));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_rate_factor(net->trainer, 1));
  CHECK(pynn_trainer_rate_factor(net->trainer) == 1);
  CHECK(!pynn_trainer_slot(net->trainer, -1) && !pynn_trainer_slot(net->trainer, 9));
  pynn_layer_health health;
  pynn_statistics statistics;
  REFUSES(pynn_trainer_health(net->trainer, -1, &health));
  REFUSES(pynn_trainer_health(net->trainer, 2, &health));
  REFUSES(pynn_trainer_statistics(net->trainer, -1, &statistics));
  REFUSES(pynn_trainer_statistics(net->trainer, 2, &statistics));
  CHECK_STATUS(PYNN_OK, pynn_trainer_statistics(net->trainer, 1, &statistics));
  CHECK_EQUAL(statistics.step, 0);
  pynn_trainer_begin_epoch(net->trainer);
}

static void test_schedules(const struct net *net) {
  pynn_schedule good, s;
  pynn_error error;
  REFUSES(pynn_schedule_named(NULL, "constant"));
  CHECK_STATUS(PYNN_ERROR_UNKNOWN_NAME, pynn_schedule_named(&good, "sawtooth"));
  CHECK_STATUS(PYNN_OK, pynn_schedule_named(&good, "piecewise_constant_decay"));
#define SET(change) \
  s = good, change; \
  REFUSES(pynn_trainer_set_schedule(net->trainer, &s, &error))
  SET(s.struct_size = 1);
  SET(s.spec.row = 999);
  SET(s.warmup_steps = -1);
  SET(s.warmup_start_factor = 2);
  SET(s.warmup_start_factor = (double)NAN);
  SET(s.n_boundaries = -1);
  SET(s.n_boundaries = PYNN_MAX_BOUNDARIES + 1);
  SET(s.values[0] = -1);
  SET(s.values[0] = (double)INFINITY);
  SET((s.n_boundaries = 2, s.boundaries[0] = 5, s.boundaries[1] = 5));
  SET((s.n_boundaries = 1, s.boundaries[0] = -1));
#undef SET
  REFUSES(pynn_trainer_set_schedule(NULL, &good, &error));
  REFUSES(pynn_trainer_set_schedule(net->trainer, NULL, &error));
}

static void test_steps(const struct net *net) {
  pynn_data good = data_of(), data = good;
  pynn_step step = {.rows = 77};
  pynn_error error;
  int64_t order[ROWS] = {0, 1, 2, ROWS};
  REFUSES(pynn_train_step(NULL, &good, &step, &error));
  REFUSES(pynn_train_step(net->trainer, NULL, &step, &error));
  REFUSES(pynn_train_step(net->trainer, &good, NULL, &error));
  data.x.rows = data.targets.rows = 0;
  CHECK_STATUS(PYNN_ERROR_SHAPE, pynn_train_step(net->trainer, &data, &step, &error));
#define TRAIN(trainer, data_, order_, first, count, batch, step_) \
  pynn_train_batches(trainer, data_, order_, first, count, batch, 0, PYNN_FLOAT32, NULL, step_, &error)
  REFUSES(TRAIN(NULL, &good, NULL, 0, ROWS, 4, &step));
  REFUSES(TRAIN(net->trainer, NULL, NULL, 0, ROWS, 4, &step));
  REFUSES(TRAIN(net->trainer, &good, NULL, 0, ROWS, 4, NULL));
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, TRAIN(net->trainer, &good, NULL, 0, ROWS, 0, &step));
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, TRAIN(net->trainer, &good, NULL, 0, ROWS, 33, &step));
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &good, NULL, -1, 2, 4, &step));
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &good, NULL, 0, -2, 4, &step));
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &good, NULL, 5, ROWS, 4, &step));
  REFUSES(TRAIN(net->trainer, &good, order, 0, 4, 4, &step));
  order[3] = -1;
  REFUSES(TRAIN(net->trainer, &good, order, 0, 4, 4, &step));
  data = good, data.x.columns = 9;
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &data, NULL, 0, ROWS, 4, &step));
  data = good, data.weights = pynn_matrix(w, PYNN_FLOAT32, 1, 1);
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &data, NULL, 0, ROWS, 4, &step));
  data = good, data.weights = pynn_matrix(w, PYNN_FLOAT32, ROWS, OUTPUTS + 1);
  CHECK_STATUS(PYNN_ERROR_SHAPE, TRAIN(net->trainer, &data, NULL, 0, ROWS, 4, &step));
  CHECK_EQUAL(step.rows, 77);
  CHECK_EQUAL(pynn_trainer_steps(net->trainer), 0);
  /* one nanosecond is over after the first step */
  CHECK_STATUS(PYNN_OK,
               pynn_train_batches(net->trainer, &good, NULL, 0, ROWS, 4, 1e-9, PYNN_FLOAT32, NULL, &step, NULL));
  CHECK_EQUAL(step.steps, 1);
  pynn_blame blame;
  REFUSES(pynn_trainer_blame(NULL, &good, NULL, 0, 4, &blame, &error));
#undef TRAIN
}

/* NULL where an object is expected, or room for a result: an error, or nothing, and never a crash. */
static void test_nothing(const struct net *net) {
  pynn_tensor tensor;
  pynn_layer_health health;
  pynn_statistics statistics;
  pynn_losses losses = {.first = 3};
  pynn_vector vector;
  pynn_event event;
  pynn_checkpoint *checkpoint = NULL;
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&checkpoint, net->trainer, NULL));
  REFUSES(pynn_model_tensor(NULL, 0, &tensor));
  REFUSES(pynn_model_tensor(net->model, 0, NULL));
  REFUSES(pynn_trainer_set_learning_rate(NULL, 1));
  REFUSES(pynn_trainer_set_rate_factor(NULL, 1));
  REFUSES(pynn_trainer_set_steps(NULL, 1));
  REFUSES(pynn_trainer_set_n_averaged(NULL, 1));
  REFUSES(pynn_trainer_use_average(NULL));
  REFUSES(pynn_trainer_set_average(NULL, NULL, NULL));
  REFUSES(pynn_trainer_health(NULL, 0, &health));
  REFUSES(pynn_trainer_health(net->trainer, 0, NULL));
  REFUSES(pynn_trainer_statistics(NULL, 0, &statistics));
  REFUSES(pynn_trainer_statistics(net->trainer, 0, NULL));
  REFUSES(pynn_checkpoint_vector(NULL, "pynn.steps", &vector));
  REFUSES(pynn_checkpoint_vector(checkpoint, NULL, &vector));
  REFUSES(pynn_checkpoint_vector(checkpoint, "pynn.steps", NULL));
  REFUSES(pynn_checkpoint_vector_at(NULL, 0, &vector));
  REFUSES(pynn_checkpoint_vector_at(checkpoint, 0, NULL));
  REFUSES(pynn_gather(NULL, NULL, 1, out, NULL));

  pynn_context_options_init(NULL), pynn_model_options_init(NULL), pynn_trainer_options_init(NULL, NULL);
  pynn_guard_init(NULL), pynn_plateau_init(NULL), pynn_average_init(NULL);
  pynn_trainer_losses(NULL, &losses), pynn_trainer_losses(net->trainer, NULL), pynn_trainer_begin_epoch(NULL);
  pynn_mixup_draw(1, 1, 1, 4, NULL, NULL), pynn_shuffle(1, 1, 4, NULL), pynn_trainer_set_raw_predictions(NULL, 1);
  CHECK(losses.first == 3);
  CHECK(!pynn_context_threads(NULL) && !pynn_context_cpu(NULL) && !pynn_context_blas(NULL));
  CHECK(!pynn_model_inputs(NULL) && !pynn_model_outputs(NULL) && !pynn_model_seed(NULL) && !pynn_model_n_layers(NULL));
  CHECK(!pynn_model_dtype(NULL) && pynn_model_layer(NULL, 0, NULL) && !pynn_model_n_parameters(NULL));
  CHECK(!pynn_model_parameters(NULL) && !pynn_model_n_state(NULL) && !pynn_model_state(NULL));
  CHECK(!pynn_model_target_scaling(NULL) && !pynn_model_n_tensors(NULL) && !pynn_model_loss(NULL));
  CHECK(!pynn_model_custom_loss_name(NULL) && !pynn_model_custom_activation_name(NULL, 0));
  CHECK(!pynn_model_metadata(NULL, "key") && !pynn_model_metadata(net->model, NULL) && !pynn_summary_columns(NULL));
  CHECK(isnan(pynn_trainer_learning_rate(NULL)) && isnan(pynn_trainer_rate_factor(NULL)));
  CHECK(!pynn_trainer_steps(NULL) && !pynn_trainer_gradient(NULL) && !pynn_trainer_n_slots(NULL));
  CHECK(!pynn_trainer_slot(NULL, 0) && !pynn_trainer_average(NULL) && !pynn_trainer_n_averaged(NULL));
  CHECK(!pynn_trainer_events(NULL, &event, 1, NULL) && !pynn_trainer_events(net->trainer, NULL, 1, NULL));
  CHECK(isnan(pynn_trainer_epoch_loss(NULL)) && isnan(pynn_plateau_next(NULL, 1, 0.5)));
  REFUSES(pynn_blas_linked(NULL));
  CHECK(!pynn_checkpoint_model(NULL) && !pynn_checkpoint_entry(NULL, "key") && !pynn_checkpoint_n_vectors(NULL));
  CHECK(!pynn_checkpoint_entry(checkpoint, NULL) && isnan(pynn_schedule_rate(NULL, 1)));
  pynn_schedule schedule;
  CHECK_STATUS(PYNN_OK, pynn_schedule_named(&schedule, "constant"));
  schedule.spec.row = 99;
  CHECK(isnan(pynn_schedule_rate(&schedule, 1)));
  pynn_checkpoint_free(checkpoint);
}

/* Numbers near the ends of their types, and memory that is not where reals can be. */
static void test_extremes(const struct net *net) {
  pynn_data good = data_of();
  pynn_step step;
  pynn_error error;
  pynn_trainer *trainer = NULL;
  pynn_trainer_options how;
  pynn_array wide = pynn_matrix(x, PYNN_FLOAT64, INT64_MAX / 2, INT64_MAX / 2), view = good.x;
  const int64_t order[] = {0, 1};
  double loss;
  char room[sizeof out + 8];
  char *beside = room + 1 + (8 - (uintptr_t)room % 8) % 8;
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_predict(net->model, net->workspace, &wide, 0, pynn_model_dtype(net->model), out, &error));
  REFUSES(pynn_predict(net->model, net->workspace, &good.x, 0, pynn_model_dtype(net->model), beside, &error));
  CHECK(strstr(error.message, "aligned to 4 bytes"));
  REFUSES(pynn_evaluate(net->model, net->workspace, &good.x, &good.targets, NULL, pynn_model_dtype(net->model), beside,
                        &loss, &error));
  REFUSES(pynn_train_batches(net->trainer, &good, NULL, 0, ROWS, 4, 0, PYNN_FLOAT32, beside, &step, &error));
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_train_batches(net->trainer, &good, order, INT64_MAX, 2, 4, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_train_batches(net->trainer, &good, NULL, INT64_MAX, 2, 4, 0, PYNN_FLOAT32, NULL, &step, &error));
  CHECK_STATUS(PYNN_ERROR_SHAPE,
               pynn_train_batches(net->trainer, &good, NULL, 2, INT64_MAX, 4, 0, PYNN_FLOAT32, NULL, &step, &error));
  pynn_trainer_options_init(&how, net->model);
  how.batch_size = INT64_MAX;
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, pynn_trainer_new(&trainer, net->model, &how, &error));
  REFUSES(pynn_gather(&good.x, NULL, -1, out, NULL));
  view.columns = -1;
  REFUSES(pynn_gather(&view, NULL, 1, out, NULL));
  /* elements may lie anywhere, in any order, or all in one place */
  float forth[ROWS * OUTPUTS], back[ROWS * OUTPUTS];
  char moved[sizeof x + 1];
  memcpy(moved + 1, x, sizeof x);
  view = pynn_matrix(moved + 1, PYNN_FLOAT32, ROWS, INPUTS);
  CHECK_STATUS(PYNN_OK,
               pynn_predict(net->model, net->workspace, &good.x, 0, pynn_model_dtype(net->model), forth, NULL));
  CHECK_STATUS(PYNN_OK, pynn_predict(net->model, net->workspace, &view, 0, pynn_model_dtype(net->model), back, NULL));
  CHECK(!memcmp(forth, back, sizeof forth));
  view = good.x, view.data = x + (ROWS - 1) * INPUTS, view.row_stride = -view.row_stride;
  CHECK_STATUS(PYNN_OK, pynn_predict(net->model, net->workspace, &view, 0, pynn_model_dtype(net->model), back, NULL));
  for (int i = 0; i < ROWS; i++)
    CHECK(!memcmp(forth + i * OUTPUTS, back + (ROWS - 1 - i) * OUTPUTS, OUTPUTS * sizeof *back));
  view = good.x, view.row_stride = 0;
  CHECK_STATUS(PYNN_OK, pynn_predict(net->model, net->workspace, &view, 0, pynn_model_dtype(net->model), back, NULL));
  for (int i = 0; i < ROWS; i++) CHECK(!memcmp(forth, back + i * OUTPUTS, OUTPUTS * sizeof *back));
}

/* ---- kernels, one by one */

static void test_direct(const struct net *net) {
  pynn_spec tanh_, mse;
  float z[6] = {-2, -1, 0, 1, 2, 3}, y[6], delta[6] = {1, 1, 1, 1, 1, 1}, c[4];
  const pynn_context *context = net->context;
  pynn_spec_named(&tanh_, PYNN_ACTIVATION, "tanh");
  pynn_spec_named(&mse, PYNN_LOSS, "mse");
  memcpy(y, z, sizeof z);
  CHECK_STATUS(PYNN_OK, pynn_activation_forward(context, PYNN_FLOAT32, &tanh_, 2, 3, y));
  CHECK_STATUS(PYNN_OK, pynn_activation_backward(context, PYNN_FLOAT32, &tanh_, 2, 3, z, y, delta));
  for (int i = 0; i < 6; i++) {
    CHECK_CLOSE(y[i], tanh((double)z[i]), 1e-6);
    CHECK_CLOSE(delta[i], 1 - tanh((double)z[i]) * tanh((double)z[i]), 1e-5);
  }
  REFUSES(pynn_activation_forward(NULL, PYNN_FLOAT32, &tanh_, 2, 3, y));
  REFUSES(pynn_activation_forward(context, PYNN_INT8, &tanh_, 2, 3, y));
  REFUSES(pynn_activation_forward(context, PYNN_FLOAT32, &tanh_, -1, 3, y));
  REFUSES(pynn_activation_forward(context, PYNN_FLOAT32, &tanh_, 2, -3, y));
  REFUSES(pynn_activation_forward(context, PYNN_FLOAT32, NULL, 2, 3, y));
  REFUSES(pynn_activation_forward(context, PYNN_FLOAT32, &mse, 2, 3, y));
  REFUSES(pynn_activation_forward(context, PYNN_FLOAT32, &tanh_, 2, 3, NULL));
  REFUSES(pynn_activation_backward(NULL, PYNN_FLOAT32, &tanh_, 2, 3, z, y, delta));
  REFUSES(pynn_activation_backward(context, PYNN_FLOAT32, NULL, 2, 3, z, y, delta));
  REFUSES(pynn_activation_backward(context, PYNN_FLOAT32, &mse, 2, 3, z, y, delta));
  REFUSES(pynn_activation_backward(context, PYNN_FLOAT32, &tanh_, 2, 3, NULL, y, delta));
  REFUSES(pynn_activation_backward(context, PYNN_FLOAT32, &tanh_, 2, 3, z, NULL, delta));
  REFUSES(pynn_activation_backward(context, PYNN_FLOAT32, &tanh_, 2, 3, z, y, NULL));
  const float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8};
#define GEMM(context_, m, n, k, a_, row, column, b_, ldb, beta, c_, ldc) \
  pynn_gemm(context_, PYNN_FLOAT32, m, n, k, a_, row, column, b_, ldb, beta, c_, ldc)
  CHECK_STATUS(PYNN_OK, GEMM(context, 2, 2, 2, a, 2, 1, b, 2, 0, c, 2));
  CHECK(c[0] == 19 && c[1] == 22 && c[2] == 43 && c[3] == 50);
  CHECK_STATUS(PYNN_OK, GEMM(context, 2, 2, 2, a, 2, 1, b, 2, 1, c, 2));
  CHECK(c[0] == 38 && c[3] == 100);
  CHECK_STATUS(PYNN_OK, GEMM(context, 2, 2, 0, a, 2, 1, b, 2, 0, c, 2));
  CHECK(c[0] == 0 && c[3] == 0);
  REFUSES(GEMM(NULL, 2, 2, 2, a, 2, 1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, -2, 2, 2, a, 2, 1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, -2, a, 2, 1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, NULL, 2, 1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, 1, NULL, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, 1, b, 2, 0, NULL, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, -2, 1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, -1, b, 2, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, 1, b, 1, 0, c, 2));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, 1, b, 2, 0, c, 1));
  REFUSES(GEMM(context, 2, 2, 2, a, 2, 1, b, 2, 0.5, c, 2));
#undef GEMM
  pynn_array view = pynn_matrix(x, PYNN_FLOAT32, 2, 2);
  const int64_t order[] = {1, -1};
  float rows[4];
  pynn_error error;
  CHECK_STATUS(PYNN_OK, pynn_gather(&view, NULL, 2, rows, NULL));
  REFUSES(pynn_gather(&view, order, 2, rows, &error));
  CHECK_EQUAL(error.row, 1);
  REFUSES(pynn_gather(&view, NULL, 3, rows, NULL));
  view.dtype = (pynn_dtype)99;
  CHECK_STATUS(PYNN_ERROR_DTYPE, pynn_gather(&view, NULL, 2, rows, &error));
}

/* ---- the BLAS, with both integer sizes and dtypes: a plain one that counts its calls */

static int calls;
#define PLAIN_GEMM(name, real, integer)                                                                               \
  static void name(const char *ta, const char *tb, const integer *m, const integer *n, const integer *k,              \
                   const real *alpha, const real *a, const integer *lda, const real *b, const integer *ldb,           \
                   const real *beta, real *c, const integer *ldc) {                                                   \
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);                                                                  \
    for (integer j = 0; j < *n; j++)                                                                                  \
      for (integer i = 0; i < *m; i++) {                                                                              \
        real sum = 0;                                                                                                 \
        for (integer p = 0; p < *k; p++)                                                                              \
          sum += (*ta == 'T' ? a[p + i * *lda] : a[i + p * *lda]) * (*tb == 'T' ? b[j + p * *ldb] : b[p + j * *ldb]); \
        c[i + j * *ldc] = *alpha * sum + (*beta != 0 ? *beta * c[i + j * *ldc] : 0);                                  \
      }                                                                                                               \
  }
PLAIN_GEMM(sgemm4, float, int32_t)
PLAIN_GEMM(dgemm4, double, int32_t)
PLAIN_GEMM(sgemm8, float, int64_t)
PLAIN_GEMM(dgemm8, double, int64_t)

static double trained(const pynn_blas *blas, pynn_dtype dtype) {
  enum { N = 200 };
  static float in[N * N];
  static int64_t labels[N];
  for (int i = 0; i < N * N; i++) in[i] = (float)((i * 7919) % 201) / 100 - 1;
  for (int i = 0; i < N; i++) labels[i] = i % 200;
  pynn_context_options where;
  pynn_context_options_init(&where);
  where.blas = blas;
  pynn_context *context;
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_model_options shape;
  pynn_trainer_options how;
  pynn_step step = {0};
  pynn_dense(&layers[0], N, "tanh");
  pynn_dense(&layers[1], N, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
  pynn_model_options_init(&shape);
  shape.inputs = N, shape.dtype = dtype;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &where));
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &shape, layers, 2, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  pynn_trainer_options_init(&how, model);
  how.batch_size = N;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &how, NULL));
  const pynn_data data = {pynn_matrix(in, PYNN_FLOAT32, N, N), pynn_matrix(labels, PYNN_INT64, N, 1), {0}};
  for (int i = 0; i < 3; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_context_free(context);
  return step.loss;
}

static void test_blas(void) {
  pynn_blas four = {sizeof four, "four", 4, (void (*)(void))sgemm4, (void (*)(void))dgemm4, NULL, NULL};
  pynn_blas eight = {sizeof eight, "eight", 8, (void (*)(void))sgemm8, (void (*)(void))dgemm8, NULL, NULL};
  for (int dtype = 0; dtype < 2; dtype++) {
    const double own = trained(NULL, (pynn_dtype)dtype);
    calls = 0;
    CHECK_CLOSE(trained(&four, (pynn_dtype)dtype), own, dtype ? 1e-12 : 1e-4);
    CHECK(calls > 0);
    calls = 0;
    CHECK_CLOSE(trained(&eight, (pynn_dtype)dtype), own, dtype ? 1e-12 : 1e-4);
    CHECK(calls > 0);
  }
}

int main(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)(i % 7) / 7;
  for (int i = 0; i < ROWS * OUTPUTS; i++) t[i] = (float)(i % 5) / 5;
  for (int i = 0; i < ROWS; i++) w[i] = 1;
  struct net net = make("mse"), other = make("mse");
  test_contexts();
  test_names();
  test_layers();
  test_models(&net);
  test_prediction(&net, &other);
  test_trainers(&net);
  test_schedules(&net);
  test_steps(&net);
  test_nothing(&net);
  test_extremes(&net);
  test_direct(&net);
  test_blas();
  destroy(&other);
  destroy(&net);
  CHECK_REPORT();
}
