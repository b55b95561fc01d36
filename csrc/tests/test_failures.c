/* Memory that runs out at every single allocation, and disks that fail at every single system call, once and from then
 * on: an error, nothing leaked, nothing changed. A table of scenarios; a function of pynn.h without one is named. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE
#endif
#define FAULTS_DISK
#include <ctype.h>
#include <stdint.h>

#include "check.h"
#include "faults.h"

enum { ROWS = 12, INPUTS = 4, OUTPUTS = 2 };

static char folder[] = "test_failures_XXXXXX";
static float x[ROWS * INPUTS], y[ROWS * OUTPUTS];

static const char *in_folder(const char *name) {
  static char paths[8][128];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* ---------------------------------------------------------------- what scenarios act on */

struct world {
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
  pynn_model *plain; /* one layer that acts alike in training and prediction */
  pynn_trainer *plain_trainer;
  pynn_model *scaled; /* inputs and targets are adapted to */
  pynn_checkpoint *copy;
  pynn_data data;
  unsigned char *model_file, *checkpoint_file; /* bytes of good files */
  size_t model_size, checkpoint_size;
};

static pynn_status new_model(const pynn_context *context, pynn_model **out) {
  pynn_layer layers[3];
  pynn_model_options options;
  pynn_dense(&layers[0], 6, "relu");
  pynn_dropout(&layers[1], 0.5);
  pynn_dense(&layers[2], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  return pynn_model_new(out, context, &options, layers, 3, NULL);
}

static pynn_trainer_options trainer_options(const pynn_model *model) {
  pynn_trainer_options options;
  pynn_trainer_options_init(&options, model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&options.optimizer, PYNN_OPTIMIZER, "adam"));
  options.batch_size = ROWS;
  options.guard.policy = PYNN_POLICY_ROLLBACK;
  options.guard.check_every = 2;
  options.guard.snapshot_every = 1;
  return options;
}

static void make_plain(struct world *w, const pynn_spec *loss) {
  pynn_layer layer;
  pynn_model_options options;
  pynn_trainer_options trainer;
  pynn_dense(&layer, OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&w->plain, w->context, &options, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(w->plain, loss));
  pynn_trainer_options_init(&trainer, w->plain);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&w->plain_trainer, w->plain, &trainer, NULL));
}

static pynn_model *scaled_model(const pynn_context *context) {
  pynn_layer layers[2];
  pynn_model *model = NULL;
  pynn_model_options options;
  CHECK_STATUS(PYNN_OK, pynn_layer_named(&layers[0], "normalization"));
  pynn_dense(&layers[1], OUTPUTS, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.target_scaling = 1;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 2, NULL));
  return model;
}

static struct world make_world(void) {
  struct world w = {.context = counted_context()};
  pynn_spec loss;
  pynn_step step;
  CHECK_STATUS(PYNN_OK, new_model(w.context, &w.model));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "mse"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(w.model, &loss));
  CHECK_STATUS(PYNN_OK, pynn_workspace_new(&w.workspace, w.model));
  const pynn_trainer_options options = trainer_options(w.model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&w.trainer, w.model, &options, NULL));
  make_plain(&w, &loss);
  w.scaled = scaled_model(w.context);
  w.data.x = pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS);
  w.data.targets = pynn_matrix(y, PYNN_FLOAT32, ROWS, OUTPUTS);
  for (int i = 0; i < 5; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(w.trainer, &w.data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&w.copy, w.trainer, NULL));
  CHECK_STATUS(PYNN_OK, pynn_save(w.model, in_folder("model"), NULL, 0, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_save(w.trainer, in_folder("checkpoint"), NULL, 0, NULL, 0, NULL));
  w.model_file = contents(in_folder("model"), &w.model_size);
  w.checkpoint_file = contents(in_folder("checkpoint"), &w.checkpoint_size);
  return w;
}

static void free_world(struct world *w) {
  free(w->model_file);
  free(w->checkpoint_file);
  pynn_checkpoint_free(w->copy);
  pynn_model_free(w->scaled);
  pynn_trainer_free(w->plain_trainer);
  pynn_model_free(w->plain);
  pynn_trainer_free(w->trainer);
  pynn_workspace_free(w->workspace);
  pynn_model_free(w->model);
  pynn_context_free(w->context);
}

/* A number that changes with any change of what the world's objects hold. */
static uint64_t digest(const struct world *w) {
  uint64_t sum = (uint64_t)pynn_trainer_steps(w->trainer) + 31 * (uint64_t)pynn_checkpoint_n_vectors(w->copy);
  const size_t n = (size_t)pynn_model_n_parameters(w->model);
  const float *vectors[] = {pynn_model_parameters(w->model), pynn_trainer_slot(w->trainer, 0),
                            pynn_trainer_slot(w->trainer, 1)};
  for (int v = 0; v < 3; v++) {
    for (size_t i = 0; i < n; i++) {
      uint32_t bits;
      memcpy(&bits, &vectors[v][i], sizeof bits);
      sum = (sum ^ bits) * 0x9E3779B97F4A7C15u;
    }
  }
  return sum;
}

/* ---------------------------------------------------------------- scenarios: one row each, with what they do */

static pynn_status context_new(struct world *w) {
  (void)w;
  pynn_context_options options;
  pynn_context *context = NULL;
  pynn_context_options_init(&options);
  options.threads = 2;
  options.allocator = (pynn_allocator){count_allocate, count_release, NULL};
  pynn_status status = pynn_context_new(&context, &options);
  CHECK(!context == (status != PYNN_OK));
  pynn_context_free(context);
  return status;
}

static pynn_status model_new(struct world *w) {
  pynn_model *model = NULL;
  pynn_status status = new_model(w->context, &model);
  CHECK(!model == (status != PYNN_OK));
  pynn_model_free(model);
  return status;
}

static pynn_status workspace_new_(struct world *w) {
  pynn_workspace *workspace = NULL;
  pynn_status status = pynn_workspace_new(&workspace, w->model);
  CHECK(!workspace == (status != PYNN_OK));
  pynn_workspace_free(workspace);
  return status;
}

static pynn_status trainer_new(struct world *w) {
  pynn_trainer *trainer = NULL;
  const pynn_trainer_options options = trainer_options(w->model);
  pynn_status status = pynn_trainer_new(&trainer, w->model, &options, NULL);
  CHECK(!trainer == (status != PYNN_OK));
  pynn_trainer_free(trainer);
  return status;
}

/* Away from a policy that needs memory and back to it; to statistics and back. */
static pynn_status set_guard(struct world *w) {
  pynn_guard old = trainer_options(w->model).guard, other = old, off;
  pynn_guard_init(&off);
  other.policy = PYNN_POLICY_SKIP;
  pynn_status status = pynn_trainer_set_guard(w->trainer, &off, NULL);
  if (!status) status = pynn_trainer_set_guard(w->trainer, &other, NULL);
  if (!status) status = pynn_trainer_set_guard(w->trainer, &old, NULL);
  const long failing = failing_allocation;
  failing_allocation = -1;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(w->trainer, &old, NULL));
  failing_allocation = failing;
  return status;
}

static pynn_status blame(struct world *w) {
  pynn_blame found;
  return pynn_trainer_blame(w->trainer, &w->data, NULL, 0, ROWS, &found, NULL);
}

static pynn_status save(struct world *w) {
  static const pynn_metadata entries[] = {{"a", "1"}, {"b", "2"}};
  return pynn_save(w->model, in_folder("model"), entries, 2, NULL);
}

static pynn_status loaded(pynn_model *model, pynn_status status) {
  CHECK(!model == (status != PYNN_OK));
  pynn_model_free(model);
  return status;
}

static pynn_status load(struct world *w) {
  pynn_model *model = NULL;
  pynn_status status = pynn_load(&model, w->context, in_folder("model"), NULL);
  return loaded(model, status);
}

static pynn_status load_memory(struct world *w) {
  pynn_model *model = NULL;
  pynn_status status = pynn_load_memory(&model, w->context, w->model_file, w->model_size, NULL);
  return loaded(model, status);
}

static pynn_status load_model_of_checkpoint(struct world *w) {
  pynn_model *model = NULL;
  pynn_status status = pynn_load_memory(&model, w->context, w->checkpoint_file, w->checkpoint_size, NULL);
  return loaded(model, status);
}

static pynn_status had(pynn_checkpoint *checkpoint, pynn_status status) {
  CHECK(!checkpoint == (status != PYNN_OK));
  pynn_checkpoint_free(checkpoint);
  return status;
}

static pynn_status checkpoint_new(struct world *w) {
  pynn_checkpoint *checkpoint = NULL;
  pynn_status status = pynn_checkpoint_new(&checkpoint, w->trainer, NULL);
  return had(checkpoint, status);
}

static pynn_status checkpoint_load(struct world *w) {
  pynn_checkpoint *checkpoint = NULL;
  pynn_status status = pynn_checkpoint_load(&checkpoint, w->context, in_folder("checkpoint"), NULL);
  return had(checkpoint, status);
}

static pynn_status checkpoint_load_memory(struct world *w) {
  pynn_checkpoint *checkpoint = NULL;
  pynn_status status =
      pynn_checkpoint_load_memory(&checkpoint, w->context, w->checkpoint_file, w->checkpoint_size, NULL);
  return had(checkpoint, status);
}

static const pynn_metadata texts[] = {{"state", "{}"}};
static const pynn_vector vectors[] = {{"best", PYNN_FLOAT32, 3, x}};

static pynn_status checkpoint_save(struct world *w) {
  return pynn_checkpoint_save(w->trainer, in_folder("checkpoint"), texts, 1, vectors, 1, NULL);
}

static pynn_status checkpoint_write(struct world *w) {
  return pynn_checkpoint_write(w->copy, in_folder("checkpoint"), texts, 1, vectors, 1, NULL);
}

static pynn_status checkpoint_use(struct world *w) {
  pynn_vector vector;
  pynn_status status = pynn_checkpoint_take(w->copy, w->trainer, NULL);
  if (!status) status = pynn_checkpoint_restore(w->copy, w->trainer, NULL);
  if (!status) status = pynn_checkpoint_vector(w->copy, "pynn.steps", &vector);
  if (!status) status = pynn_checkpoint_vector_at(w->copy, 0, &vector);
  pynn_checkpoint_entry(w->copy, "a");
  return pynn_checkpoint_model(w->copy) && pynn_checkpoint_n_vectors(w->copy) > 0 ? status : PYNN_ERROR_SHAPE;
}

static pynn_status predict(struct world *w) {
  float out[ROWS * OUTPUTS];
  double loss;
  pynn_status status = pynn_predict(w->model, w->workspace, &w->data.x, 0, pynn_model_dtype(w->model), out, NULL);
  if (!status)
    status = pynn_evaluate(w->model, w->workspace, &w->data.x, &w->data.targets, NULL, pynn_model_dtype(w->model), out,
                           &loss, NULL);
  return status;
}

/* Steps that are taken back, so that the world stays as it was. */
static pynn_status train(struct world *w) {
  pynn_step step;
  pynn_event events[4];
  pynn_layer_health health;
  pynn_statistics statistics;
  pynn_losses losses;
  pynn_trainer_begin_epoch(w->trainer);
  pynn_status status = pynn_train_step(w->trainer, &w->data, &step, NULL);
  if (!status) status = pynn_train_batches(w->trainer, &w->data, NULL, 0, ROWS, 5, 0, PYNN_FLOAT32, NULL, &step, NULL);
  pynn_trainer_events(w->trainer, events, 4, NULL);
  pynn_trainer_health(w->trainer, 0, &health);
  pynn_trainer_statistics(w->trainer, 0, &statistics);
  pynn_trainer_losses(w->trainer, &losses);
  if (!status) status = pynn_checkpoint_restore(w->copy, w->trainer, NULL);
  return status;
}

static pynn_status kernels(struct world *w) {
  pynn_spec spec;
  float z[4] = {1, 2, 3, 4}, delta[4] = {1, 1, 1, 1}, out[4];
  pynn_status status = pynn_spec_named(&spec, PYNN_ACTIVATION, "relu");
  if (!status) status = pynn_activation_forward(w->context, PYNN_FLOAT32, &spec, 2, 2, z);
  if (!status) status = pynn_activation_backward(w->context, PYNN_FLOAT32, &spec, 2, 2, z, z, delta);
  if (!status) status = pynn_gemm(w->context, PYNN_FLOAT32, 2, 2, 2, z, 2, 1, delta, 2, 0, out, 2);
  return status;
}

static pynn_status settings(struct world *w) {
  pynn_schedule schedule;
  pynn_status status = pynn_schedule_named(&schedule, "cosine_decay");
  const double rate = pynn_trainer_learning_rate(w->trainer);
  if (!status) status = pynn_trainer_set_schedule(w->trainer, &schedule, NULL);
  if (!status) status = pynn_trainer_set_rate_factor(w->trainer, 1);
  if (!status) status = pynn_trainer_set_learning_rate(w->trainer, rate);
  if (!status) status = pynn_trainer_set_steps(w->trainer, pynn_trainer_steps(w->trainer));
  if (!status) status = pynn_context_set_blas(w->context, NULL);
  if (!status) status = pynn_context_set_threads(w->context, 1);
  if (!status) status = pynn_model_set_loss(w->model, pynn_model_loss(w->model));
  return pynn_trainer_rate_factor(w->trainer) == 1 ? status : PYNN_ERROR_SHAPE;
}

/* An average, begun and ended; a policy that keeps it with good states left and taken again. Steps go on in between,
 * whatever failed. */
static pynn_status set_average(struct world *w) {
  pynn_step step;
  pynn_average average;
  pynn_guard keeping = trainer_options(w->model).guard, other = keeping;
  other.policy = PYNN_POLICY_SKIP;
  pynn_average_init(&average);
  pynn_status status = pynn_trainer_set_average(w->trainer, &average, NULL);
  CHECK((pynn_trainer_average(w->trainer) == NULL) == (status != PYNN_OK));
  if (!status) status = pynn_trainer_set_n_averaged(w->trainer, 0);
  CHECK_EQUAL(pynn_trainer_n_averaged(w->trainer), 0);
  if (!status) CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_trainer_use_average(w->trainer));
  if (!status) status = pynn_trainer_set_guard(w->trainer, &other, NULL);
  if (!status) status = pynn_trainer_set_guard(w->trainer, &keeping, NULL);
  const long failing = failing_allocation;
  failing_allocation = -1;
  CHECK_STATUS(PYNN_OK, pynn_train_step(w->trainer, &w->data, &step, NULL));
  CHECK(!pynn_trainer_average(w->trainer) || pynn_trainer_n_averaged(w->trainer) == 1);
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_average(w->trainer, NULL, NULL));
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(w->trainer, &keeping, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(w->copy, w->trainer, NULL));
  failing_allocation = failing;
  return status;
}

static int nothing_lost(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits, const void *targets,
                        const int64_t *classes, double *losses, void *gradient, int backward) {
  (void)user, (void)logits, (void)targets, (void)classes;
  memset(losses, 0, (size_t)rows * sizeof *losses);
  if (backward) memset(gradient, 0, (size_t)(rows * n) * pynn_dtype_size(dtype));
  return 0;
}

static pynn_status own_losses(struct world *w) {
  const pynn_spec old = *pynn_model_loss(w->plain);
  const pynn_custom_loss own = {.struct_size = sizeof own, .name = "nothing", .function = nothing_lost};
  double loss, gradient[INPUTS * OUTPUTS + OUTPUTS];
  pynn_status status = pynn_model_set_custom_loss(w->plain, &own);
  if (!status) status = pynn_trainer_full_gradient(w->plain_trainer, &w->data, ROWS, &loss, gradient, NULL);
  CHECK(pynn_model_custom_loss_name(w->plain) && loss == 0);
  if (!status) status = pynn_model_set_loss(w->plain, &old);
  return status;
}

static int as_it_is(void *user, pynn_dtype dtype, int64_t n, const void *z, void *out) {
  (void)user;
  memmove(out, z, (size_t)n * pynn_dtype_size(dtype));
  return 0;
}

static int slope_one(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *values, void *delta) {
  (void)user, (void)dtype, (void)n, (void)z, (void)values, (void)delta;
  return 0;
}

static pynn_status own_activations(struct world *w) {
  const pynn_custom_activation own = {.struct_size = sizeof own,
                                      .name = "nothing",
                                      .flags = PYNN_CUSTOM_FLOAT32,
                                      .value = as_it_is,
                                      .derivative = slope_one};
  double loss, gradient[INPUTS * OUTPUTS + OUTPUTS];
  pynn_status status = pynn_model_set_custom_activation(w->plain, 0, &own, NULL);
  if (!status) status = pynn_trainer_full_gradient(w->plain_trainer, &w->data, ROWS, &loss, gradient, NULL);
  CHECK(pynn_model_custom_activation_name(w->plain, 0));
  if (!status) status = pynn_model_set_custom_activation(w->plain, 0, NULL, NULL);
  return status;
}

static pynn_status mixup(struct world *w) {
  pynn_step step;
  pynn_status status = pynn_trainer_set_mixup(w->plain_trainer, 0.4, NULL);
  if (!status) status = pynn_train_step(w->plain_trainer, &w->data, &step, NULL);
  if (!status) status = pynn_trainer_set_mixup(w->plain_trainer, 0, NULL);
  return status;
}

static pynn_status shards(struct world *w) {
  pynn_shards shards;
  pynn_shards_init(&shards);
  shards.shards = 4;
  pynn_status status = pynn_trainer_set_shards(w->plain_trainer, &shards, NULL);
  if (!status) status = pynn_trainer_set_shards(w->plain_trainer, NULL, NULL);
  return status;
}

static pynn_status stream(struct world *w) {
  pynn_stream *stream = NULL;
  pynn_array rows = w->data.x;
  float out[2 * OUTPUTS];
  rows.rows = 2;
  pynn_status status = pynn_stream_new(&stream, w->plain, 2, NULL);
  CHECK(!stream == (status != PYNN_OK));
  if (!status) status = pynn_stream_step(stream, &rows, 1, PYNN_FLOAT32, out, NULL);
  CHECK(pynn_stream_n_state(stream) == 0 && !pynn_stream_state(NULL));
  pynn_stream_reset(stream);
  pynn_stream_free(stream);
  return status;
}

/* A summary of enough rows to make its buffers grow. */
static pynn_status summarize(const struct world *w, const pynn_array *part, pynn_summary **out) {
  pynn_column column;
  pynn_status status = pynn_summary_new(out, w->context, part->columns, 4, NULL);
  CHECK(!*out == (status != PYNN_OK));
  for (int i = 0; i < 9 && !status; i++) status = pynn_summary_add(*out, part, NULL);
  if (!status) status = pynn_summary_column(*out, pynn_summary_columns(*out) - 1, &column);
  return status;
}

static pynn_status adapt(struct world *w) {
  pynn_summary *inputs = NULL, *targets = NULL;
  pynn_status status = summarize(w, &w->data.x, &inputs);
  if (!status) status = summarize(w, &w->data.targets, &targets);
  if (!status) status = pynn_normalization_adapt(w->scaled, 0, inputs, 0, NULL);
  if (!status) status = pynn_target_adapt(w->scaled, targets, 0, NULL);
  pynn_summary_free(inputs);
  pynn_summary_free(targets);
  return status;
}

#define ALLOCATES 1
#define TAKES_NOTHING 0
/* Functions, whether they take memory, what is done, and the file that it replaces (which a failure leaves alone). */
static const struct scenario {
  const char *functions;
  int allocates;
  pynn_status (*act)(struct world *);
  const char *replaces, *reads;
} scenarios[] = {
    {"pynn_context_new pynn_context_free", ALLOCATES, context_new, NULL, NULL},
    {"pynn_model_new pynn_model_free", ALLOCATES, model_new, NULL, NULL},
    {"pynn_workspace_new pynn_workspace_free", ALLOCATES, workspace_new_, NULL, NULL},
    {"pynn_trainer_new pynn_trainer_free", ALLOCATES, trainer_new, NULL, NULL},
    {"pynn_trainer_set_guard", ALLOCATES, set_guard, NULL, NULL},
    {"pynn_trainer_blame", ALLOCATES, blame, NULL, NULL},
    {"pynn_save", ALLOCATES, save, "model", NULL},
    {"pynn_load", ALLOCATES, load, NULL, "model"},
    {"pynn_load_memory", ALLOCATES, load_memory, NULL, NULL},
    {"pynn_load_memory", ALLOCATES, load_model_of_checkpoint, NULL, NULL},
    {"pynn_checkpoint_new pynn_checkpoint_free", ALLOCATES, checkpoint_new, NULL, NULL},
    {"pynn_checkpoint_load", ALLOCATES, checkpoint_load, NULL, "checkpoint"},
    {"pynn_checkpoint_load_memory", ALLOCATES, checkpoint_load_memory, NULL, NULL},
    {"pynn_checkpoint_save", ALLOCATES, checkpoint_save, "checkpoint", NULL},
    {"pynn_checkpoint_write", ALLOCATES, checkpoint_write, "checkpoint", NULL},
    {"pynn_checkpoint_take pynn_checkpoint_restore pynn_checkpoint_entry pynn_checkpoint_model "
     "pynn_checkpoint_vector pynn_checkpoint_vector_at pynn_checkpoint_n_vectors",
     TAKES_NOTHING, checkpoint_use, NULL, NULL},
    {"pynn_trainer_set_average pynn_trainer_average pynn_trainer_set_n_averaged pynn_trainer_n_averaged "
     "pynn_trainer_use_average",
     ALLOCATES, set_average, NULL, NULL},
    {"pynn_model_set_custom_loss pynn_model_custom_loss_name pynn_trainer_full_gradient", TAKES_NOTHING, own_losses,
     NULL, NULL},
    {"pynn_model_set_custom_activation pynn_model_custom_activation_name", TAKES_NOTHING, own_activations, NULL, NULL},
    {"pynn_summary_new pynn_summary_free pynn_summary_add pynn_summary_columns pynn_summary_column "
     "pynn_normalization_adapt pynn_target_adapt",
     ALLOCATES, adapt, NULL, NULL},
    {"pynn_trainer_set_mixup", TAKES_NOTHING, mixup, NULL, NULL},
    {"pynn_shards_init pynn_trainer_set_shards", ALLOCATES, shards, NULL, NULL},
    {"pynn_stream_new pynn_stream_free pynn_stream_step pynn_stream_reset pynn_stream_n_state pynn_stream_state",
     ALLOCATES, stream, NULL, NULL},
    {"pynn_predict pynn_evaluate", TAKES_NOTHING, predict, NULL, NULL},
    {"pynn_train_step pynn_train_batches pynn_trainer_begin_epoch pynn_trainer_events pynn_trainer_health "
     "pynn_trainer_statistics pynn_trainer_losses",
     TAKES_NOTHING, train, NULL, NULL},
    {"pynn_activation_forward pynn_activation_backward pynn_gemm", TAKES_NOTHING, kernels, NULL, NULL},
    {"pynn_trainer_set_schedule pynn_trainer_set_rate_factor pynn_trainer_rate_factor pynn_trainer_set_learning_rate "
     "pynn_trainer_learning_rate pynn_trainer_set_steps pynn_trainer_steps pynn_context_set_blas "
     "pynn_context_set_threads pynn_model_set_loss pynn_model_loss",
     TAKES_NOTHING, settings, NULL, NULL},
};
#define N_SCENARIOS (sizeof scenarios / sizeof *scenarios)

/* Functions that meet no allocator: they are given none, or only read a number or a pointer from an object. */
static const char without_memory[] =
    "pynn_version pynn_strerror pynn_dtype_size pynn_matrix pynn_blas_linked pynn_context_options_init "
    "pynn_context_threads pynn_context_cpu pynn_context_blas pynn_table_size pynn_table_row pynn_spec_named "
    "pynn_spec_set pynn_spec_get pynn_dense pynn_dropout pynn_layer_named pynn_layer_choose pynn_layer_choice "
    "pynn_slot_name pynn_model_shape pynn_model_output_dtype pynn_model_options_init pynn_model_inputs "
    "pynn_model_outputs pynn_model_dtype "
    "pynn_model_seed pynn_model_n_layers pynn_model_layer pynn_model_n_parameters pynn_model_parameters "
    "pynn_model_n_tensors pynn_model_tensor pynn_model_metadata pynn_guard_init pynn_trainer_options_init "
    "pynn_trainer_gradient pynn_trainer_n_slots pynn_trainer_slot pynn_trainer_epoch_loss pynn_operation_name "
    "pynn_event_name pynn_gather pynn_shuffle pynn_schedule_named pynn_schedule_rate pynn_plateau_init "
    "pynn_model_n_state pynn_model_state pynn_model_target_scaling pynn_plateau_next pynn_csr pynn_average_init "
    "pynn_mixup_draw pynn_measure pynn_arena_over pynn_arena_allocator pynn_trainer_set_raw_predictions "
    "pynn_trainer_set_series "
    "pynn_model_set_trainable pynn_model_trainable ";

static int among(const char *words, const char *name) {
  const size_t n = strlen(name);
  for (const char *at = words; (at = strstr(at, name)); at += n)
    if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return 1;
  return 0;
}

static int has_scenario(const char *name) {
  int known = among(without_memory, name);
  for (size_t i = 0; i < N_SCENARIOS; i++) known |= among(scenarios[i].functions, name);
  return known;
}

/* Every function that pynn.h declares is in the table, or said to meet no memory. */
static void test_every_function_has_a_scenario(void) {
  char path[4096], name[128];
  size_t size, found = 0;
  snprintf(path, sizeof path, "%s", __FILE__);
  char *slash = strrchr(path, '/');
  snprintf(slash ? slash : path, 32, "%s../include/pynn.h", slash ? "/" : "");
  unsigned char *bytes = contents(path, &size);
  bytes[size] = '\0';
  for (const char *at = (const char *)bytes; (at = strstr(at, "\nPYNN_API ")); at++) {
    const char *end = strchr(at, '(');
    const char *begin = end;
    while (begin && begin > at && (isalnum((unsigned char)begin[-1]) || begin[-1] == '_')) begin--;
    snprintf(name, sizeof name, "%.*s", (int)(end - begin), begin);
    found++;
    if (!CHECK(has_scenario(name))) fprintf(stderr, "  %s of pynn.h has no scenario here\n", name);
  }
  CHECK(found > 80);
  free(bytes);
}

/* ---------------------------------------------------------------- memory */

/* Whatever a failure left of the world still predicts, and trains as if nothing had been: with these bits. */
static uint64_t trained(struct world *w) {
  pynn_step step;
  CHECK_STATUS(PYNN_OK, predict(w));
  for (int i = 0; i < 2; i++) CHECK_STATUS(PYNN_OK, pynn_train_step(w->trainer, &w->data, &step, NULL));
  const uint64_t bits = digest(w);
  CHECK_STATUS(PYNN_OK, pynn_train_step(w->plain_trainer, &w->data, &step, NULL));
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(w->copy, w->trainer, NULL));
  return bits;
}

static void test_memory(struct world *w) {
  for (size_t i = 0; i < N_SCENARIOS; i++) {
    const struct scenario *s = &scenarios[i];
    const uint64_t kept = digest(w), next = trained(w);
    const size_t before = in_use;
    for (int persistently = 0; persistently < 2; persistently++) {
      pynn_status status = PYNN_ERROR_OUT_OF_MEMORY;
      long n = 0;
      all_allocations_after = persistently;
      for (; status == PYNN_ERROR_OUT_OF_MEMORY && n < 200; n++) {
        allocations = 0;
        failing_allocation = n;
        status = s->act(w);
        failing_allocation = -1;
        const int told = (status == PYNN_OK) == (allocations <= n);
        if (!CHECK(told && in_use == before && digest(w) == kept && trained(w) == next && digest(w) == kept))
          fprintf(stderr, "  %s: allocation %ld, status %d\n", s->functions, n, (int)status);
      }
      all_allocations_after = 0;
      CHECK_STATUS(PYNN_OK, status);
      if (!CHECK(s->allocates ? n > 1 : allocations == 0))
        fprintf(stderr, "  %s: %ld allocations\n", s->functions, allocations);
    }
  }
}

/* ---------------------------------------------------------------- disks */

#if defined(__linux__)
/* A failed call that a whole save may pass over: it only looks for what others left, or closes what was read. */
static int may_be_passed_over(void) {
  static const char *const calls_[] = {"flock", "openat", "unlinkat", "close"};
  for (size_t i = 0; i < sizeof calls_ / sizeof *calls_; i++)
    if (failed_call && strcmp(failed_call, calls_[i]) == 0) return 1;
  return failing_errno == EINTR;
}

static void check_file(const struct world *w, const char *name, int must_be_old) {
  const int is_model = strcmp(name, "model") == 0;
  size_t size;
  unsigned char *now = contents(in_folder(name), &size);
  const int is_old = size == (is_model ? w->model_size : w->checkpoint_size) &&
                     memcmp(now, is_model ? w->model_file : w->checkpoint_file, size) == 0;
  pynn_model *model = NULL;
  CHECK_STATUS(PYNN_OK, pynn_load_memory(&model, w->context, now, size, NULL)); /* whole, old or new */
  if (!CHECK(is_old || !must_be_old)) fprintf(stderr, "  %s is another after %s\n", name, failed_call);
  pynn_model_free(model);
  free(now);
}

static void put_back(const struct world *w, const char *name) {
  const int is_model = strcmp(name, "model") == 0;
  FILE *file = fopen(in_folder(name), "wb");
  if (!CHECK(file)) return;
  fwrite(is_model ? w->model_file : w->checkpoint_file, 1, is_model ? w->model_size : w->checkpoint_size, file);
  fclose(file);
}

static void fail_at(struct world *w, const struct scenario *s, long n, int persistently, int *done) {
  const uint64_t kept = digest(w);
  const size_t before = in_use;
  const int files = files_in(folder), open_before = open_files();
  calls = 0, failed_call = NULL, unlink_failed = 0;
  failing_call = n, all_calls_after = persistently;
  const pynn_status status = s->act(w);
  failing_call = -1, all_calls_after = 0;
  *done = !failed_call;
  int right = status == PYNN_OK ? !failed_call || may_be_passed_over() : status == PYNN_ERROR_IO;
  right &= in_use == before && digest(w) == kept && open_files() == open_before;
  right &= files_in(folder) <= files + unlink_failed; /* fewer: what an earlier failure left is gone */
  if (!CHECK(right))
    fprintf(stderr, "  %s: call %ld (%s) %s, status %d\n", s->functions, n, failed_call ? failed_call : "none",
            persistently ? "persistently" : "once", (int)status);
  /* once the file is renamed it is the new one, though its folder may not be on the disk */
  if (s->replaces) check_file(w, s->replaces, status != PYNN_OK && failed_call && !strstr("fsync close", failed_call));
}

static void test_disks(struct world *w) {
  static const int codes[] = {ENOSPC, EIO, EINTR};
  for (size_t i = 0; i < N_SCENARIOS; i++) {
    const struct scenario *s = &scenarios[i];
    if (!s->replaces && !s->reads) continue;
    for (int c = 0; c < 3; c++)
      for (int persistently = 0; persistently < 2 - (codes[c] == EINTR); persistently++) {
        int done = 0;
        long n = 0;
        failing_errno = codes[c];
        if (s->replaces) put_back(w, s->replaces);
        const int files = files_in(folder);
        for (; !done && n < 200; n++) {
          fail_at(w, s, n, persistently, &done);
          if (s->replaces) put_back(w, s->replaces);
        }
        CHECK(done && n > (s->replaces ? 8 : 3));
        CHECK_STATUS(PYNN_OK, s->act(w)); /* and what could not be removed is removed now */
        CHECK_EQUAL(files_in(folder), files);
        if (s->replaces) put_back(w, s->replaces);
      }
  }
}
#endif

int main(void) {
  if (!mkdtemp(folder)) return 1;
#if defined(__linux__)
  real_fsync = 0;
#endif
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)(i % 7) - 3;
  for (int i = 0; i < ROWS * OUTPUTS; i++) y[i] = (float)(i % 3);
  test_every_function_has_a_scenario();
  struct world world = make_world();
  test_memory(&world);
#if defined(__linux__)
  test_disks(&world);
#endif
  free_world(&world);
  CHECK_EQUAL(in_use, 0);
  unlink(in_folder("model"));
  unlink(in_folder("checkpoint"));
  CHECK(rmdir(folder) == 0);
  CHECK_REPORT();
}
