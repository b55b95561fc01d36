/* Checkpoints: a run that goes on from one ends with the bits of a run that never stopped; what a file is checked for.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE
#endif
#define FAULTS_DISK
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "file/checkpoint.h"
#include "faults.h"
#include "file/model_file.h"
#include "train/guard.h"

enum { ROWS = 240, INPUTS = 5, CLASSES = 3, BATCH = 16 };

static char folder[] = "test_checkpoint_XXXXXX";
static double x[ROWS * INPUTS];
static int64_t labels[ROWS];

static const char *in_folder(const char *name) {
  static char paths[32][128];
  static int next;
  char *path = paths[next++ % 32];
  snprintf(path, sizeof paths[0], "%s/%.90s", folder, name);
  return path;
}

static void fill_data(void) {
  uint64_t state = 88172645463325252u;
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < INPUTS; j++) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      x[i * INPUTS + j] = (double)(state >> 11) * 0x1p-52 - 1;
    }
    const double *row = &x[i * INPUTS];
    labels[i] = row[0] > row[1] ? 0 : row[2] > row[3] ? 1 : 2;
  }
}

/* ---------------------------------------------------------------- runs */

struct setup {
  pynn_dtype dtype;
  const char *optimizer;
  double learning_rate, clip_norm;
  const char *schedule; /* NULL: none */
  pynn_guard guard;
};

struct run {
  pynn_model *model;
  pynn_trainer *trainer;
  pynn_data data;
};

static struct run start(const pynn_context *context, const struct setup *setup) {
  struct run run = {0};
  pynn_layer layers[3];
  pynn_spec loss;
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_dense(&layers[0], 9, "relu");
  pynn_dropout(&layers[1], 0.25);
  pynn_dense(&layers[2], CLASSES, NULL);
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = setup->dtype, options.seed = 11;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&run.model, context, &options, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy"));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(run.model, &loss));
  pynn_trainer_options_init(&trainer_options, run.model);
  CHECK_STATUS(PYNN_OK, pynn_spec_named(&trainer_options.optimizer, PYNN_OPTIMIZER, setup->optimizer));
  CHECK_STATUS(PYNN_OK, pynn_spec_set(&trainer_options.optimizer, "learning_rate", setup->learning_rate));
  trainer_options.clip_norm = setup->clip_norm;
  trainer_options.guard = setup->guard;
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&run.trainer, run.model, &trainer_options, NULL));
  pynn_schedule schedule;
  if (setup->schedule) {
    CHECK_STATUS(PYNN_OK, pynn_schedule_named(&schedule, setup->schedule));
    CHECK_STATUS(PYNN_OK, pynn_trainer_set_schedule(run.trainer, &schedule, NULL));
  }
  run.data.x = pynn_matrix(x, PYNN_FLOAT64, ROWS, INPUTS);
  run.data.targets = pynn_matrix(labels, PYNN_INT64, ROWS, 1);
  return run;
}

static void finish(struct run *run) {
  pynn_trainer_free(run->trainer);
  pynn_model_free(run->model);
}

static struct setup plain(void) {
  struct setup setup = {.dtype = PYNN_FLOAT32, .optimizer = "adam", .learning_rate = 0.01};
  pynn_guard_init(&setup.guard);
  return setup;
}

/* Batches first ... first+n-1 of an endless run; those of every eleventh step have a cell that is no number. */
static void train(struct run *run, int first, int n) {
  pynn_step step;
  for (int i = first; i < first + n; i++) {
    int64_t order[BATCH];
    for (int j = 0; j < BATCH; j++) order[j] = (i * 37 + j * 7) % ROWS;
    double *cell = &x[order[3] * INPUTS], kept = *cell;
    if (run->trainer->watch.options.policy != PYNN_POLICY_RAISE && i % 11 == 10) *cell = (double)NAN;
    if (i % 40 == 0) pynn_trainer_begin_epoch(run->trainer);
    pynn_train_batches(run->trainer, &run->data, order, 0, BATCH, BATCH, 0, PYNN_FLOAT32, NULL, &step, NULL);
    *cell = kept;
  }
}

static void save(const struct run *run, const char *path) {
  pynn_error error;
  if (!CHECK(pynn_checkpoint_save(run->trainer, path, NULL, 0, NULL, 0, &error) == PYNN_OK))
    fprintf(stderr, "  %s\n", error.message);
}

static pynn_checkpoint *load(const pynn_context *context, const char *path) {
  pynn_checkpoint *c = NULL;
  pynn_error error = {0};
  if (!CHECK(pynn_checkpoint_load(&c, context, path, &error) == PYNN_OK)) fprintf(stderr, "  %s\n", error.message);
  return c;
}

static int same_files(const char *a, const char *b) {
  size_t sizes[2];
  unsigned char *bytes[] = {contents(a, &sizes[0]), contents(b, &sizes[1])};
  const int same = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
  free(bytes[0]);
  free(bytes[1]);
  return same;
}

/* ---------------------------------------------------------------- the same bits */

/* Stops after `first` steps, goes on in new objects for `rest`, and ends as one that went on without a stop, down to
 * every byte of what a checkpoint keeps of both. */
static void check_goes_on(const pynn_context *context, const struct setup *setup, int first, int rest) {
  struct run whole = start(context, setup), resumed = start(context, setup);
  const char *path = in_folder("run"), *ends[] = {in_folder("whole"), in_folder("resumed")};
  train(&whole, 0, first);
  while (guard_suspects(&whole.trainer->watch)) train(&whole, first++, 1);
  save(&whole, path);
  pynn_checkpoint *c = load(context, path);
  pynn_error error = {0};
  if (!CHECK(pynn_checkpoint_restore(c, resumed.trainer, &error) == PYNN_OK)) fprintf(stderr, "  %s\n", error.message);
  pynn_checkpoint_free(c);
  save(&resumed, ends[1]);
  CHECK(same_files(path, ends[1]));
  train(&whole, first, rest);
  train(&resumed, first, rest);
  while (guard_suspects(&whole.trainer->watch)) train(&whole, first + rest, 1), train(&resumed, first + rest++, 1);
  save(&whole, ends[0]);
  save(&resumed, ends[1]);
  CHECK(same_files(ends[0], ends[1]));
  CHECK(pynn_trainer_steps(whole.trainer) > 0);
  finish(&whole);
  finish(&resumed);
}

static void test_goes_on(const pynn_context *context) {
  const pynn_policy policies[] = {PYNN_POLICY_RAISE, PYNN_POLICY_SKIP, PYNN_POLICY_ROLLBACK};
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++)
    for (int32_t o = 0; o < pynn_table_size(PYNN_OPTIMIZER); o++)
      for (int p = 0; p < 3; p++) {
        struct setup setup = plain();
        setup.dtype = (pynn_dtype)dtype;
        setup.optimizer = pynn_table_row(PYNN_OPTIMIZER, o)->name;
        setup.guard.policy = policies[p];
        setup.guard.snapshot_every = 7;
        setup.guard.check_every = 3;
        setup.guard.clip_z = p == 1 ? 1.5 : 0;
        setup.clip_norm = p == 0 ? 0.5 : 0;
        setup.schedule = p == 2 ? "cosine_decay_restarts" : NULL;
        check_goes_on(context, &setup, 60 + o, 70);
      }
}

/* A learning rate that cannot go well: the rollbacks come before the stop, after it, and one of each. */
static void test_rollbacks(const pynn_context *context) {
  struct setup setup = plain();
  setup.optimizer = "sgd";
  setup.learning_rate = 1e7;
  setup.guard.policy = PYNN_POLICY_ROLLBACK;
  setup.guard.snapshot_every = 4;
  setup.guard.window = 8;
  setup.guard.max_rollbacks = 1000;
  int64_t rollbacks[2] = {0};
  for (int first = 1; first < 80; first += 3) {
    struct run run = start(context, &setup);
    train(&run, 0, first);
    rollbacks[0] += run.trainer->watch.rollbacks > 0;
    const int64_t before = run.trainer->watch.rollbacks;
    train(&run, first, 120);
    rollbacks[1] += run.trainer->watch.rollbacks > before;
    finish(&run);
    check_goes_on(context, &setup, first, 120);
  }
  CHECK(rollbacks[0] > 5 && rollbacks[1] > 5);
}

/* Every byte of a trainer is kept by a row, or named here with what makes it unnecessary. A new field needs one or the
 * other. */
static void test_nothing_is_forgotten(void) {
  static const struct {
    size_t offset, size;
  } spared[] = {
#define SPARED(field) {offsetof(struct pynn_trainer, field), sizeof(((struct pynn_trainer *)0)->field)}
      SPARED(model),
      SPARED(optimizer), /* what it is of */
      SPARED(spec),
      SPARED(clip_norm), /* settings: must be the same */
      SPARED(scheduled),
      SPARED(raw_predictions), /* a setting */
      SPARED(shards),          /* of the processes that run now */
      SPARED(schedule),        /* settings */
      SPARED(dropout_key),
      SPARED(raw_predictions), /* of the call that follows */
      SPARED(weight_decay),
      SPARED(mixup),
      SPARED(mixup_key),
      SPARED(average.options),
      SPARED(average.values),
      SPARED(watch.options), /* settings */
      SPARED(w),
      SPARED(gradient), /* scratch of one step */
      SPARED(trial),
      SPARED(chunk_health), /* scratch */
      SPARED(before),
      SPARED(chunk_changed), /* scratch */
      SPARED(chunks),
      SPARED(largest), /* follows from the rest */
      SPARED(slots_given),
      SPARED(series),     /* in the caller's memory */
      SPARED(statistics), /* pointers to what has rows of its own */
      SPARED(slots),
      SPARED(watch.snapshots[0].values), /* pointers */
      SPARED(watch.snapshots[1].values),
      SPARED(watch.snapshots[0].average),
      SPARED(watch.snapshots[1].average),
      SPARED(watch.snapshots[0].state),
      SPARED(watch.snapshots[1].state),
  };
  size_t run = 0;
  for (size_t at = 0; at < sizeof(struct pynn_trainer); at++) {
    int known = checkpoint_covers(at);
    for (size_t i = 0; i < sizeof spared / sizeof *spared; i++)
      known |= at >= spared[i].offset && at < spared[i].offset + spared[i].size;
    run = known ? 0 : run + 1;
    if (!CHECK(run != 5)) /* more than padding can be */
      fprintf(stderr, "  a field of struct pynn_trainer at byte %zu has no row in checkpoint.c\n", at - run + 1);
  }
}

/* ---------------------------------------------------------------- files */

static void test_contents(const pynn_context *context) {
  struct setup setup = plain();
  struct run run = start(context, &setup);
  const char *path = in_folder("run");
  static const double reals[] = {1, -0.0, 5e-324};
  static const unsigned char bytes[] = {7, 8, 9, 10, 11};
  const pynn_metadata entries[] = {{"state", "{\"epoch\":3}"}, {"a", "\xC3\xA9"}};
  const pynn_vector vectors[] = {
      {"z.bytes", PYNN_UINT8, 5, bytes}, {"best", PYNN_FLOAT64, 3, reals}, {"no", PYNN_INT8, 0, NULL}};
  train(&run, 0, 20);
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_save(run.trainer, path, entries, 2, vectors, 3, NULL));

  pynn_checkpoint *c = load(context, path);
  pynn_vector found;
  CHECK(strcmp(pynn_checkpoint_entry(c, "state"), entries[0].value) == 0);
  CHECK(strcmp(pynn_checkpoint_entry(c, "a"), entries[1].value) == 0 && !pynn_checkpoint_entry(c, "b"));
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(PYNN_OK, pynn_checkpoint_vector(c, vectors[i].name, &found));
    CHECK(found.dtype == vectors[i].dtype && found.count == vectors[i].count);
    CHECK(found.count == 0 ||
          memcmp(found.data, vectors[i].data, (size_t)found.count * pynn_dtype_size(found.dtype)) == 0);
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_vector(c, "none", &found));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_vector(c, NULL, &found));
  for (int32_t i = 0; i < pynn_checkpoint_n_vectors(c); i++) {
    const char *previous = i > 0 ? found.name : "";
    CHECK_STATUS(PYNN_OK, pynn_checkpoint_vector_at(c, i, &found));
    CHECK(strcmp(previous, found.name) < 0);
  }
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_vector_at(c, -1, &found));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_vector_at(c, pynn_checkpoint_n_vectors(c), &found));

  pynn_model *model = NULL; /* the same file as a model */
  const size_t size = (size_t)pynn_model_n_parameters(run.model) * sizeof(float);
  CHECK_STATUS(PYNN_OK, pynn_load(&model, context, path, NULL));
  CHECK(memcmp(pynn_model_parameters(model), pynn_model_parameters(run.model), size) == 0);
  CHECK(memcmp(pynn_model_parameters((pynn_model *)pynn_checkpoint_model(c)), pynn_model_parameters(model), size) == 0);
  CHECK(strcmp(pynn_model_metadata(model, "a"), entries[1].value) == 0);
  pynn_checkpoint_free(c);
  c = NULL;
  CHECK_STATUS(PYNN_OK, pynn_save(model, path, NULL, 0, NULL)); /* and a model is no checkpoint */
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_checkpoint_load(&c, context, path, NULL));
  CHECK(!c);
  pynn_model_free(model);

  const pynn_vector bad[] = {{"pynn.x", PYNN_UINT8, 1, bytes},      {"layers.0.kernel", PYNN_UINT8, 1, bytes},
                             {"a b", PYNN_UINT8, 1, bytes},         {NULL, PYNN_UINT8, 1, bytes},
                             {"a", PYNN_UINT8, -1, bytes},          {"a", PYNN_UINT8, 1, NULL},
                             {"__metadata__", PYNN_UINT8, 1, bytes}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_save(run.trainer, path, NULL, 0, &bad[i], 1, NULL));
  CHECK_STATUS(PYNN_ERROR_DTYPE, pynn_checkpoint_save(run.trainer, path, NULL, 0,
                                                      &(pynn_vector){"a", (pynn_dtype)77, 1, bytes}, 1, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_checkpoint_save(run.trainer, path, NULL, 0, (pynn_vector[]){vectors[0], vectors[0]}, 2, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_checkpoint_save(run.trainer, path, &(pynn_metadata){"pynn.guard", ""}, 1, NULL, 0, NULL));
  CHECK_STATUS(PYNN_ERROR_TOO_LARGE, pynn_checkpoint_save(run.trainer, path, NULL, 0, vectors, 1000, NULL));
  finish(&run);
}

/* A state that is not good is never written over a good one. */
static void test_unsound(const pynn_context *context) {
  struct setup setup = plain();
  struct run run = start(context, &setup);
  const char *path = in_folder("run"), *kept = in_folder("kept");
  train(&run, 0, 5);
  save(&run, path);
  save(&run, kept);
  float *places[] = {pynn_model_parameters(run.model), pynn_trainer_slot(run.trainer, 1)};
  for (int i = 0; i < 2; i++) {
    const float good = places[i][4];
    places[i][4] = i == 0 ? (float)NAN : (float)INFINITY;
    CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_checkpoint_save(run.trainer, path, NULL, 0, NULL, 0, NULL));
    places[i][4] = good;
  }
  run.trainer->watch.bad_windows = 1;
  CHECK_STATUS(PYNN_ERROR_NUMERIC, pynn_checkpoint_save(run.trainer, path, NULL, 0, NULL, 0, NULL));
  CHECK(same_files(path, kept));
  run.trainer->watch.bad_windows = 0;
  save(&run, path);
  finish(&run);
}

/* ---------------------------------------------------------------- what differs */

static void check_refused_by(const pynn_context *context, const pynn_checkpoint *c, const struct setup *setup,
                             const char *what) {
  struct run run = start(context, setup);
  pynn_error error = {0};
  train(&run, 0, 3);
  save(&run, in_folder("before"));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(c, run.trainer, &error));
  if (!CHECK(strstr(error.message, what))) fprintf(stderr, "  %s: %s\n", what, error.message);
  save(&run, in_folder("after"));
  CHECK(same_files(in_folder("before"), in_folder("after")));
  finish(&run);
}

/* Every choice of a layer counts: initializers, penalties, constraints. */
static void test_other_choices(const pynn_context *context) {
  const struct setup setup = plain();
  struct run run = start(context, &setup);
  train(&run, 0, 3);
  save(&run, in_folder("run"));
  pynn_checkpoint *c = load(context, in_folder("run"));
  for (int slot = 0; pynn_slot_name((pynn_slot)slot); slot++) {
    const char *choice = pynn_slot_name((pynn_slot)slot);
    pynn_layer layers[8];
    pynn_model *model = NULL;
    pynn_model_options options;
    pynn_trainer_options trainer_options;
    pynn_trainer *trainer = NULL;
    pynn_error error;
    const int32_t n = pynn_model_n_layers(run.model);
    for (int32_t i = 0; i < n; i++) pynn_model_layer(run.model, i, &layers[i]);
    if (!pynn_layer_choice(&layers[0], choice)) continue; /* of other kinds */
    pynn_spec other = *pynn_layer_choice(&layers[0], choice);
    const char *name = pynn_table_row((pynn_table)other.table, other.row == 1 ? 2 : 1)->name;
    CHECK_STATUS(PYNN_OK, pynn_spec_named(&other, (pynn_table)other.table, name));
    CHECK_STATUS(PYNN_OK, pynn_layer_choose(&layers[0], choice, &other));
    pynn_model_options_init(&options);
    options.inputs = INPUTS, options.seed = pynn_model_seed(run.model);
    CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, n, NULL));
    CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, pynn_model_loss(run.model)));
    pynn_trainer_options_init(&trainer_options, model);
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &trainer_options, NULL));
    CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(c, trainer, &error));
    if (!CHECK(strstr(error.message, "another layer 0"))) fprintf(stderr, "  %s: %s\n", choice, error.message);
    pynn_trainer_free(trainer);
    pynn_model_free(model);
  }
  pynn_checkpoint_free(c);
  finish(&run);
}

static void test_other_settings(const pynn_context *context) {
  struct setup setup = plain(), other = setup;
  struct run run = start(context, &setup);
  train(&run, 0, 20);
  save(&run, in_folder("run"));
  pynn_checkpoint *c = load(context, in_folder("run"));
  other.optimizer = "sgd", check_refused_by(context, c, &other, "optimizer"), other = setup;
  other.dtype = PYNN_FLOAT64, check_refused_by(context, c, &other, "dtype"), other = setup;
  other.clip_norm = 1, check_refused_by(context, c, &other, "clip_norm"), other = setup;
  other.schedule = "one_cycle", check_refused_by(context, c, &other, "schedule"), other = setup;
  other.guard.window = 9, check_refused_by(context, c, &other, "guard"), other = setup;

  other.learning_rate = 0.5; /* this is the checkpoint's to say */
  struct run same = start(context, &other);
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_restore(c, same.trainer, NULL));
  CHECK(pynn_trainer_learning_rate(same.trainer) == 0.01);
  finish(&same);

  pynn_layer layer;
  pynn_model *model = NULL;
  pynn_model_options options;
  pynn_trainer_options trainer_options;
  pynn_trainer *trainer = NULL;
  pynn_error error;
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.seed = 11;
  pynn_dense(&layer, CLASSES, NULL);
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, &layer, 1, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, pynn_model_loss(run.model)));
  pynn_trainer_options_init(&trainer_options, model);
  CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &trainer_options, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(c, trainer, &error));
  CHECK(strstr(error.message, "layers"));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(NULL, trainer, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_restore(c, NULL, &error));

  pynn_checkpoint *copy = NULL; /* of another trainer, or of the same one under another guard */
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&copy, run.trainer, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_take(copy, trainer, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_take(c, run.trainer, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_write(c, in_folder("run"), NULL, 0, NULL, 0, NULL));
  pynn_guard guard = setup.guard;
  guard.policy = PYNN_POLICY_ROLLBACK;
  CHECK_STATUS(PYNN_OK, pynn_trainer_set_guard(run.trainer, &guard, NULL));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_checkpoint_take(copy, run.trainer, NULL));
  pynn_checkpoint_free(copy);
  pynn_trainer_free(trainer);
  pynn_model_free(model);
  pynn_checkpoint_free(c);
  finish(&run);
}

/* ---------------------------------------------------------------- damage */

static void check_unreadable(const pynn_context *context, const unsigned char *bytes, size_t size) {
  pynn_checkpoint *c = NULL;
  pynn_model *model = NULL;
  const size_t before = peak = in_use;
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_checkpoint_load_memory(&c, context, bytes, size, NULL));
  CHECK_STATUS(PYNN_ERROR_FILE_FORMAT, pynn_load_memory(&model, context, bytes, size, NULL));
  CHECK(!c && !model && in_use == before && peak - before < size + ((size_t)1 << 20));
}

static void test_damage(const pynn_context *context) {
  struct setup setup = plain();
  setup.guard.policy = PYNN_POLICY_ROLLBACK;
  struct run run = start(context, &setup);
  train(&run, 0, 30);
  save(&run, in_folder("run"));
  size_t size;
  unsigned char *bytes = contents(in_folder("run"), &size);
  for (size_t n = 0; n < size; n += n < 12000 ? 13 : 97) {
    unsigned char *cut = malloc(n ? n : 1);
    memcpy(cut, bytes, n);
    check_unreadable(context, cut, n);
    free(cut);
  }
  for (size_t at = 0; at < size; at += at < 12000 ? 1 : 31) {
    const unsigned char flip = (unsigned char)(1 << at % 8);
    bytes[at] ^= flip;
    check_unreadable(context, bytes, size);
    bytes[at] ^= flip;
  }
  free(bytes);
  finish(&run);
}

/* Numbers that no run has, in a file whose checksum is right. */
static void test_impossible_numbers(const pynn_context *context) {
  static const struct {
    const char *name;
    int64_t value;
  } bad[] = {{"pynn.steps", -1},
             {"pynn.snapshot.newest", 2},
             {"pynn.snapshot.newest", -1},
             {"pynn.guard.n_losses", 50},
             {"pynn.guard.n_losses", -1},
             {"pynn.events.oldest", 256},
             {"pynn.events.held", 257},
             {"pynn.events.kind", -1},
             {"pynn.snapshot.1.good", 1},
             {"pynn.guard.ran_away", 2},
             {"pynn.learning_rate", 0},
             {"pynn.learning_rate", INT64_MIN},
             {"pynn.events.held", INT64_MIN}};
  struct setup setup = plain();
  setup.guard.policy = PYNN_POLICY_ROLLBACK;
  struct run run = start(context, &setup);
  train(&run, 0, 30);
  save(&run, in_folder("run"));
  size_t size;
  unsigned char *bytes = contents(in_folder("run"), &size);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    pynn_checkpoint *c = NULL;
    pynn_vector vector;
    pynn_error error;
    unsigned char *changed = malloc(size);
    memcpy(changed, bytes, size);
    uint64_t header = 0;
    for (int b = 7; b >= 0; b--) header = header << 8 | bytes[b];
    char *text = malloc(header + 1), key[64];
    memcpy(text, bytes + 8, header);
    text[header] = '\0';
    snprintf(key, sizeof key, "\"%s\":", bad[i].name);
    unsigned long long begin = 0;
    const char *at = strstr(text, key);
    if (CHECK(at)) sscanf(strstr(at, "data_offsets"), "data_offsets\":[%llu", &begin);
    CHECK_STATUS(PYNN_OK, pynn_checkpoint_load_memory(&c, context, bytes, size, NULL));
    CHECK_STATUS(PYNN_OK, pynn_checkpoint_vector(c, bad[i].name, &vector));
    memcpy(changed + 8 + header + begin, &bad[i].value, pynn_dtype_size(vector.dtype));
    pynn_checkpoint_free(c);
    c = NULL;
    file_checksum(changed, size, (char *)changed + CHECKSUM_OFFSET);
    CHECK_STATUS(PYNN_OK, pynn_checkpoint_load_memory(&c, context, changed, size, NULL));
    if (!CHECK(pynn_checkpoint_restore(c, run.trainer, &error) == PYNN_ERROR_FILE_FORMAT))
      fprintf(stderr, "  %s\n", bad[i].name);
    pynn_checkpoint_free(c);
    free(changed);
    free(text);
  }
  save(&run, in_folder("after"));
  CHECK(same_files(in_folder("run"), in_folder("after")));
  free(bytes);
  finish(&run);
}

/* ---------------------------------------------------------------- beside training, and killed */

/* Returns NULL when each of some writes was done. */
static void *write_often(void *copy) {
  static char path[64];
  snprintf(path, sizeof path, "%s/beside", folder);
  for (int i = 0; i < 5; i++)
    if (pynn_checkpoint_write(copy, path, NULL, 0, NULL, 0, NULL) != PYNN_OK) return copy;
  return NULL;
}

static void test_beside_training(const pynn_context *context) {
  struct setup setup = plain();
  struct run run = start(context, &setup);
  pynn_checkpoint *copy = NULL;
  pthread_t writer;
  void *failed = NULL;
  train(&run, 0, 10);
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_new(&copy, run.trainer, NULL));
  train(&run, 10, 10);
  CHECK_STATUS(PYNN_OK, pynn_checkpoint_take(copy, run.trainer, NULL));
  save(&run, in_folder("run"));
  CHECK(pthread_create(&writer, NULL, write_often, copy) == 0);
  train(&run, 20, 200);
  pthread_join(writer, &failed);
  CHECK(!failed);
  CHECK(same_files(in_folder("run"), in_folder("beside")));
  pynn_checkpoint_free(copy);
  finish(&run);
}

#if defined(__linux__)
static void save_run(const void *run) { save(run, in_folder("run")); }

/* Killed at any system call of a save: what is there is a whole checkpoint, the old or the new one. */
static void test_killed(const pynn_context *context) {
  struct setup setup = plain();
  struct run run = start(context, &setup);
  int killed = 1, old = 0, n = 0;
  train(&run, 0, 10);
  save(&run, in_folder("old"));
  train(&run, 10, 10);
  save(&run, in_folder("new"));
  for (; killed && n < 100; n++) {
    struct run before = start(context, &setup);
    train(&before, 0, 10);
    save(&before, in_folder("run"));
    finish(&before);
    killed = killed_at(n, save_run, &run);
    pynn_checkpoint_free(load(context, in_folder("run")));
    const int is_old = same_files(in_folder("run"), in_folder("old"));
    CHECK(is_old || same_files(in_folder("run"), in_folder("new")));
    old += is_old;
  }
  CHECK(!killed && old >= 6 && n - old >= 2);
  save(&run, in_folder("run"));
  finish(&run);
}
#endif

int main(void) {
  if (!mkdtemp(folder)) return 1;
#if defined(__linux__)
  real_fsync = 0;
#endif
  pynn_context *context = counted_context();
  const size_t before = in_use;
  fill_data();
  test_goes_on(context);
  test_rollbacks(context);
  test_nothing_is_forgotten();
  test_contents(context);
  test_unsound(context);
  test_other_settings(context);
  test_other_choices(context);
  test_damage(context);
  test_impossible_numbers(context);
  test_beside_training(context);
#if defined(__linux__)
  test_killed(context);
#endif
  CHECK_EQUAL(in_use, before);
  pynn_context_free(context);
  static const char *const left[] = {"run", "whole", "resumed", "kept", "before", "after", "beside", "old", "new"};
  for (size_t i = 0; i < sizeof left / sizeof *left; i++) unlink(in_folder(left[i]));
  CHECK(rmdir(folder) == 0);
  CHECK_REPORT();
}
