/* Fuzzes what callers build models and trainers from: clang -fsanitize=fuzzer,address,undefined. An input is read as a
 * tape of choices: layers by name or as raw numbers, options, a loss, an optimizer, a guard, a schedule, data. What is
 * accepted trains, predicts and goes through a checkpoint in memory; what is refused leaves nothing behind. Memory ends
 * at 8 MB. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pynn.h"

enum { LAYERS = 6, ROWS = 5, WIDE = 16, STEPS = 4 };
#define MEMORY ((size_t)8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t in_use;

static void *count_allocate(void *user, size_t size) {
  (void)user;
  if (size > MEMORY - in_use) return NULL;
  void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
  if (memory) in_use += size;
  return memory;
}

static void count_release(void *user, void *memory, size_t size) {
  (void)user;
  in_use -= size;
  free(memory);
}

static void require(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

/* ---------------------------------------------------------------- a tape of choices */

struct tape {
  const uint8_t *at, *end;
};

static void take(struct tape *tape, void *out, size_t size) {
  const size_t left = (size_t)(tape->end - tape->at), n = size < left ? size : left;
  memset(out, 0, size);
  memcpy(out, tape->at, n);
  tape->at += n;
}

static unsigned byte(struct tape *tape) {
  uint8_t value;
  take(tape, &value, 1);
  return value;
}

/* Mostly what a caller would choose, now and then any double at all. */
static double number(struct tape *tape) {
  static const double usual[] = {0, 1, 2, 3, 0.5, 0.9, 0.99, 0.01, 1e-3, 4, 5, 8, 16, -1, 1e9, 1e300};
  const unsigned choice = byte(tape);
  double any;
  if (choice < 240) return usual[choice % 16];
  take(tape, &any, sizeof any);
  return any;
}

static int64_t integer(struct tape *tape) {
  int64_t any;
  const unsigned choice = byte(tape);
  if (choice < 240) return choice % 20;
  take(tape, &any, sizeof any);
  return any;
}

static pynn_spec spec(struct tape *tape, pynn_table table) {
  pynn_spec made = {0};
  const unsigned choice = byte(tape);
  if (choice >= 250) {
    take(tape, &made, sizeof made);
    return made;
  }
  const int32_t n = pynn_table_size(table);
  const pynn_row *row = pynn_table_row(table, (int32_t)choice % n);
  require(pynn_spec_named(&made, table, row->name) == PYNN_OK, "a name");
  for (unsigned changes = byte(tape) % 4; changes > 0 && row->n_fields; changes--) {
    const unsigned field = byte(tape) % (unsigned)row->n_fields;
    const double value = number(tape);
    if (byte(tape) > 250) made.values[field] = value; /* past the check */
    else pynn_spec_set(&made, row->fields[field].name, value);
  }
  return made;
}

static pynn_layer layer(struct tape *tape) {
  pynn_layer made;
  const unsigned choice = byte(tape);
  if (choice >= 250) {
    take(tape, &made, sizeof made);
    return made;
  }
  const pynn_row *row = pynn_table_row(PYNN_LAYER, (int32_t)choice % pynn_table_size(PYNN_LAYER));
  require(pynn_layer_named(&made, row->name) == PYNN_OK, "a kind");
  if (byte(tape) % 2) made.kind = spec(tape, PYNN_LAYER);
  if (byte(tape) % 2) pynn_spec_set(&made.kind, "units", 1 + byte(tape) % WIDE);
  for (int32_t i = 0; i < made.n_choices; i++)
    if (byte(tape) % 4 == 1) made.choices[i].spec = spec(tape, (pynn_table)made.choices[i].spec.table);
  if (byte(tape) % 32 == 1) made.n_choices = byte(tape) % (PYNN_MAX_CHOICES + 2) - 1;
  return made;
}

static pynn_guard guard(struct tape *tape) {
  pynn_guard made;
  pynn_guard_init(&made);
  made.policy = (pynn_policy)(byte(tape) % 5);
  if (byte(tape) % 2) made.check_every = integer(tape);
  if (byte(tape) % 4 == 1) made.streak = integer(tape);
  if (byte(tape) % 4 == 1) made.max_rollbacks = integer(tape);
  if (byte(tape) % 4 == 1) made.backoff = number(tape);
  if (byte(tape) % 4 == 1) made.snapshot_every = integer(tape);
  if (byte(tape) % 4 == 1) made.divergence = number(tape);
  if (byte(tape) % 4 == 1) made.window = integer(tape);
  if (byte(tape) % 4 == 1) made.clip_z = number(tape);
  if (byte(tape) % 4 == 1) made.clip_alpha = number(tape);
  return made;
}

static pynn_schedule schedule(struct tape *tape) {
  pynn_schedule made;
  require(pynn_schedule_named(&made, "constant") == PYNN_OK, "a schedule");
  made.spec = spec(tape, PYNN_SCHEDULE);
  if (byte(tape) % 4 == 1) made.warmup_steps = integer(tape), made.warmup_start_factor = number(tape);
  if (byte(tape) % 4 == 1) made.n_boundaries = (int32_t)integer(tape);
  for (int i = 0; i < 3; i++) made.boundaries[i] = integer(tape), made.values[i] = number(tape);
  return made;
}

/* ---------------------------------------------------------------- what is accepted is used */

static void train(pynn_trainer *trainer, struct tape *tape, int64_t inputs, int64_t outputs, int labels) {
  static double x[ROWS * 64], y[ROWS * 64], weights[ROWS];
  int64_t classes[ROWS];
  for (int64_t i = 0; i < ROWS * inputs; i++) x[i] = i % 3 ? (double)(i % 7) - 3 : number(tape);
  for (int64_t i = 0; i < ROWS * outputs; i++) y[i] = i % 2 ? 0.5 : number(tape);
  for (int i = 0; i < ROWS; i++) classes[i] = integer(tape), weights[i] = number(tape);
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT64, ROWS, inputs), pynn_matrix(y, PYNN_FLOAT64, ROWS, outputs), {0}};
  if (labels) data.targets = pynn_matrix(classes, PYNN_INT64, ROWS, 1);
  if (byte(tape) % 4 == 1) data.weights = pynn_matrix(weights, PYNN_FLOAT64, ROWS, 1);
  pynn_step step;
  pynn_event events[2];
  pynn_blame blame;
  pynn_error error;
  for (int i = 0; i < STEPS; i++) {
    if (pynn_train_step(trainer, &data, &step, &error) != PYNN_OK)
      require(memchr(error.message, '\0', sizeof error.message) != NULL, "a message");
    pynn_trainer_events(trainer, events, 2, NULL);
  }
  if (byte(tape) % 8 == 1) pynn_trainer_blame(trainer, &data, NULL, 0, ROWS, &blame, &error);
}

static void keep(pynn_trainer *trainer) {
  pynn_checkpoint *kept = NULL;
  if (pynn_checkpoint_new(&kept, trainer, NULL) == PYNN_OK)
    require(pynn_checkpoint_restore(kept, trainer, NULL) == PYNN_OK, "its own state");
  pynn_checkpoint_free(kept);
}

static void use(pynn_model *model, struct tape *tape) {
  const int64_t inputs = pynn_model_inputs(model), outputs = pynn_model_outputs(model);
  const pynn_spec loss = spec(tape, PYNN_LOSS);
  const pynn_status chosen = pynn_model_set_loss(model, &loss);
  if (inputs > 64 || outputs > 64) return;
  static double x[ROWS * 64], out[ROWS * 64];
  pynn_workspace *workspace = NULL;
  pynn_array rows = pynn_matrix(x, PYNN_FLOAT64, ROWS, inputs);
  if (pynn_workspace_new(&workspace, model) == PYNN_OK)
    pynn_predict(model, workspace, &rows, 0, pynn_model_dtype(model), out, NULL);
  pynn_workspace_free(workspace);

  pynn_trainer_options options;
  pynn_trainer *trainer = NULL;
  pynn_trainer_options_init(&options, model);
  options.optimizer = spec(tape, PYNN_OPTIMIZER);
  options.batch_size = byte(tape) % 8 == 1 ? integer(tape) : ROWS;
  options.clip_norm = byte(tape) % 4 == 1 ? number(tape) : 0;
  options.guard = guard(tape);
  const pynn_status status = pynn_trainer_new(&trainer, model, &options, NULL);
  require((status == PYNN_OK) == (trainer != NULL), "a trainer");
  if (!trainer) return;
  require(chosen == PYNN_OK, "a trainer without a loss");
  if (byte(tape) % 4 == 1) {
    const pynn_schedule made = schedule(tape);
    pynn_trainer_set_schedule(trainer, &made, NULL);
  }
  const int labels = byte(tape) % 2;
  train(trainer, tape, inputs, outputs, labels);
  if (byte(tape) % 4 == 1) {
    const pynn_guard other = guard(tape);
    pynn_trainer_set_guard(trainer, &other, NULL);
  }
  keep(trainer);
  train(trainer, tape, inputs, outputs, labels);
  pynn_trainer_free(trainer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static pynn_context *context;
  struct tape tape = {data, data + size};
  if (!context) {
    pynn_context_options options;
    pynn_context_options_init(&options);
    options.threads = 1;
    options.allocator = (pynn_allocator){count_allocate, count_release, NULL};
    require(pynn_context_new(&context, &options) == PYNN_OK, "a context");
  }
  const size_t before = in_use;
  pynn_layer layers[LAYERS];
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_error error;
  pynn_model_options_init(&options);
  options.inputs = byte(&tape) % 8 == 1 ? integer(&tape) : 1 + byte(&tape) % WIDE;
  options.dtype = (pynn_dtype)(byte(&tape) % 16 == 1 ? byte(&tape) : byte(&tape) % 2);
  options.seed = (uint64_t)integer(&tape);
  const int32_t n = (int32_t)(byte(&tape) % LAYERS);
  for (int32_t i = 0; i < n; i++) layers[i] = layer(&tape);
  const pynn_status status = pynn_model_new(&model, context, &options, layers, n, &error);
  require((status == PYNN_OK) == (model != NULL), "a model");
  if (status) require(memchr(error.message, '\0', sizeof error.message) != NULL, "a message");
  if (model) use(model, &tape);
  pynn_model_free(model);
  require(in_use == before, "memory that was not given back");
  return 0;
}
