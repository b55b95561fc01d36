/* Fuzzes the readers of models and checkpoints: clang -fsanitize=fuzzer,address,undefined. Mutations know the file's
 * shape: header and numbers are changed apart, vectors grow and shrink with every offset after them, and length,
 * padding and checksum are made right again, since no blind mutation would. Nothing may take more memory than the file
 * has bytes and a megabyte; what loads must be usable, and a checkpoint that a trainer accepts must let it train. An
 * empty corpus starts from files that the library wrote; -max_len=2048 leaves those of whole checkpoints out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/model_file.h"
#include "pynn.h"

enum { MOST = 1 << 16, SEEDS = 32, INPUTS = 3, OUTPUTS = 2, ROWS = 4 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---------------------------------------------------------------- memory */

static size_t in_use, peak;

static void *count_allocate(void *user, size_t size) {
  (void)user;
  void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
  if (memory) in_use += size;
  if (in_use > peak) peak = in_use;
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

/* ---------------------------------------------------------------- seeds */

static struct {
  unsigned char *bytes;
  size_t size;
} seeds[SEEDS];
static int n_seeds;
static pynn_context *context;
static pynn_trainer *trainer;
static pynn_checkpoint *good; /* what the trainer is put back to */
static char path[64];

static void keep_seed(void) {
  const int i = n_seeds++;
  require(i < SEEDS, "room for seeds");
  FILE *file = fopen(path, "rb");
  require(file != NULL, "a seed");
  seeds[i].bytes = malloc(MOST);
  seeds[i].size = fread(seeds[i].bytes, 1, MOST, file);
  fclose(file);
}

static pynn_model *new_model(pynn_dtype dtype, int32_t n_layers) {
  pynn_layer layers[3];
  pynn_spec loss;
  pynn_model *model = NULL;
  pynn_model_options options;
  pynn_model_options_init(&options);
  options.inputs = INPUTS, options.dtype = dtype;
  pynn_dense(&layers[0], OUTPUTS, "leaky_relu");
  pynn_dropout(&layers[1], 0.25);
  pynn_dense(&layers[2], OUTPUTS, "tanh");
  pynn_spec_named(&loss, PYNN_LOSS, "huber");
  require(pynn_model_new(&model, context, &options, layers, n_layers, NULL) == PYNN_OK, "a model");
  require(pynn_model_set_loss(model, &loss) == PYNN_OK, "a loss");
  return model;
}

static void train(void) {
  static const float x[ROWS * INPUTS] = {1, 2, -1, 0.5f, 3, 1, 0, 1, 1, -2, 0, 1}, y[ROWS * OUTPUTS] = {1, 0, 1, 1};
  pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS), pynn_matrix(y, PYNN_FLOAT32, ROWS, OUTPUTS), {0}};
  pynn_step step;
  pynn_event events[3];
  for (int i = 0; i < 3; i++) pynn_train_step(trainer, &data, &step, NULL);
  pynn_trainer_events(trainer, events, 3, NULL);
}

static void make_seeds(void) {
  static const double numbers[] = {1, 2, 3};
  const pynn_metadata entries[] = {{"classes", "[\"\xC3\xA9\\n\"]"}};
  const pynn_metadata settings[] = {
      {"pynn.clip_norm", "0"}, {"pynn.guard", "{}"}, {"pynn.key", "0"}, {"pynn.optimizer", "{}"}, {"state", "{}"}};
  const pynn_vector vectors[] = {
      {"best", PYNN_FLOAT64, 3, numbers}, {"bytes", PYNN_UINT8, 5, numbers}, {"pynn.steps", PYNN_INT64, 1, numbers}};
  for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
    pynn_model *model = new_model((pynn_dtype)dtype, dtype == PYNN_FLOAT32 ? 1 : 3);
    require(pynn_save(model, path, entries, 1, NULL) == PYNN_OK, "a file");
    keep_seed();
    require(file_save(model, path, settings, 5, vectors, 3, NULL) == PYNN_OK, "a small checkpoint");
    keep_seed();
    pynn_model_free(model);
  }
  pynn_trainer_options options;
  pynn_trainer_options_init(&options, NULL);
  pynn_spec_named(&options.optimizer, PYNN_OPTIMIZER, "adam");
  options.guard.policy = PYNN_POLICY_ROLLBACK;
  options.guard.check_every = 2, options.guard.window = 8;
  require(pynn_trainer_new(&trainer, new_model(PYNN_FLOAT32, 3), &options, NULL) == PYNN_OK, "a trainer");
  train();
  require(pynn_checkpoint_new(&good, trainer, NULL) == PYNN_OK, "a copy");
  require(pynn_checkpoint_write(good, path, entries, 1, vectors, 2, NULL) == PYNN_OK, "a checkpoint");
  keep_seed();
}

static int as_it_is(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y) {
  (void)user;
  memmove(y, z, (size_t)n * pynn_dtype_size(dtype));
  return 0;
}

static int slope_one(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y, void *delta) {
  (void)user, (void)dtype, (void)n, (void)z, (void)y, (void)delta;
  return 0;
}

static int no_loss(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits, const void *targets,
                   const int64_t *labels, double *losses, void *gradient, int backward) {
  (void)user, (void)dtype, (void)rows, (void)n, (void)logits, (void)targets, (void)labels, (void)losses;
  (void)gradient, (void)backward;
  return 1;
}

/* A model with custom functions, of which the file has only the names. */
static void make_seed_with_names(void) {
  const pynn_custom_activation custom = {.struct_size = sizeof custom,
                                         .name = "own \"f\"",
                                         .flags = PYNN_CUSTOM_FLOAT32,
                                         .value = as_it_is,
                                         .derivative = slope_one};
  const pynn_custom_loss loss = {.struct_size = sizeof loss, .name = "own loss", .link = "tanh", .function = no_loss};
  pynn_model *model = new_model(PYNN_FLOAT32, 3);
  require(pynn_model_set_custom_activation(model, 0, &custom, NULL) == PYNN_OK, "an activation");
  require(pynn_model_set_custom_loss(model, &loss) == PYNN_OK, "a loss");
  require(pynn_save(model, path, NULL, 0, NULL) == PYNN_OK, "a file");
  keep_seed();
  pynn_model_free(model);
}

/* A small checkpoint for each kind of layer after a dense one, with a regularizer and a constraint where it takes them.
 */
static void make_seeds_of_kinds(void) {
  static const double numbers[] = {1};
  const pynn_vector vectors[] = {{"best", PYNN_FLOAT64, 1, numbers}};
  const pynn_metadata settings[] = {{"pynn.guard", "{}"}};
  for (int32_t kind = 0; kind < pynn_table_size(PYNN_LAYER); kind++) {
    pynn_layer layers[2];
    pynn_model *model = NULL;
    pynn_model_options options;
    pynn_spec choice;
    pynn_model_options_init(&options);
    options.inputs = INPUTS;
    pynn_dense(&layers[0], OUTPUTS, "gelu");
    require(pynn_layer_named(&layers[1], pynn_table_row(PYNN_LAYER, kind)->name) == PYNN_OK, "a kind");
    for (int i = 0; pynn_slot_name((pynn_slot)i); i++)
      for (int table = PYNN_REGULARIZER; table <= PYNN_CONSTRAINT; table++)
        if (pynn_spec_named(&choice, (pynn_table)table, pynn_table_row((pynn_table)table, 1)->name) == PYNN_OK)
          for (int l = 0; l < 2; l++) pynn_layer_choose(&layers[l], pynn_slot_name((pynn_slot)i), &choice);
    if (pynn_model_new(&model, context, &options, layers, 2, NULL) != PYNN_OK) continue; /* needs more than defaults */
    require(file_save(model, path, settings, 1, vectors, 1, NULL) == PYNN_OK, "a file");
    keep_seed();
    pynn_model_free(model);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  pynn_context_options options;
  pynn_context_options_init(&options);
  options.threads = 1;
  options.allocator = (pynn_allocator){count_allocate, count_release, NULL};
  require(pynn_context_new(&context, &options) == PYNN_OK, "a context");
  snprintf(path, sizeof path, "fuzz_load_%ld", (long)getpid());
  make_seeds();
  make_seed_with_names();
  make_seeds_of_kinds();
  return unlink(path);
}

/* ---------------------------------------------------------------- mutation */

/* A file in two parts; `text` is the header without the spaces at its end. */
struct parts {
  char text[MOST + 1];
  unsigned char data[MOST];
  size_t n_text, n_data;
};

static int take_apart(struct parts *parts, const unsigned char *bytes, size_t size) {
  uint64_t header = 0;
  for (int i = FILE_PREFIX - 1; size >= FILE_PREFIX && i >= 0; i--) header = header << 8 | bytes[i];
  if (size < FILE_PREFIX || size > MOST || header > size - FILE_PREFIX) return 0;
  parts->n_text = (size_t)header;
  parts->n_data = size - FILE_PREFIX - parts->n_text;
  memcpy(parts->text, bytes + FILE_PREFIX, parts->n_text);
  memcpy(parts->data, bytes + FILE_PREFIX + parts->n_text, parts->n_data);
  while (parts->n_text > 0 && parts->text[parts->n_text - 1] == ' ') parts->n_text--;
  parts->text[parts->n_text] = '\0';
  return 1;
}

static size_t put_together(const struct parts *parts, unsigned char *bytes, size_t max_size) {
  const size_t header = (FILE_PREFIX + parts->n_text + 63) / 64 * 64 - FILE_PREFIX;
  const size_t size = FILE_PREFIX + header + parts->n_data;
  if (size > max_size) return 0;
  for (int i = 0; i < FILE_PREFIX; i++) bytes[i] = (unsigned char)((uint64_t)header >> (8 * i));
  memset(bytes + FILE_PREFIX, ' ', header);
  memcpy(bytes + FILE_PREFIX, parts->text, parts->n_text);
  memcpy(bytes + FILE_PREFIX + header, parts->data, parts->n_data);
  if (size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS) file_checksum(bytes, size, (char *)bytes + CHECKSUM_OFFSET);
  return size;
}

/* Text before `at`, then `number`, then what followed the digits there. */
static void replace_number(struct parts *parts, size_t at, uint64_t number) {
  char digits[24];
  const size_t old = strspn(parts->text + at, "0123456789");
  const size_t n = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  if (parts->n_text - old + n > MOST) return;
  memmove(parts->text + at + n, parts->text + at + old, parts->n_text - at - old + 1);
  memcpy(parts->text + at, digits, n);
  parts->n_text += n - old;
}

static void change_a_number(struct parts *parts, unsigned random) {
  static const uint64_t numbers[] = {0,  1,  2,       3,          4,          8,         1024,
                                     64, 63, 1048576, UINT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX / 8 + 1};
  size_t at = parts->n_text ? random % parts->n_text : 0;
  at += strcspn(parts->text + at, "0123456789");
  if (at < parts->n_text) replace_number(parts, at, numbers[random / 7 % (sizeof numbers / sizeof *numbers)]);
}

/* One vector gets more or fewer numbers, and all offsets after it follow. */
static void resize_a_vector(struct parts *parts, unsigned random) {
  static const char shape[] = "\"shape\":[", offsets[] = "\"data_offsets\":[";
  const int more = random % 2 ? 1 + (int)(random / 64 % 40) : -1;
  int skip = (int)(random / 2 % 32);
  size_t at = 0;
  for (const char *place; (place = strstr(parts->text + at, shape)) && skip-- > 0;)
    at = (size_t)(place - parts->text) + 1;
  const char *place = strstr(parts->text + at, shape);
  if (!place) return;
  at = (size_t)(place - parts->text) + sizeof shape - 1;
  const uint64_t count = strtoull(parts->text + at, NULL, 10);
  const char *end = strstr(parts->text + at, offsets);
  unsigned long long from, to;
  if (!end || sscanf(end + sizeof offsets - 1, "%llu,%llu", &from, &to) != 2) return;
  const uint64_t size = count && to > from && to - from <= 8 * count ? (to - from) / count : 8;
  const uint64_t bytes = size * (uint64_t)(more < 0 ? 1 : more);
  if ((more < 0 && (!count || to > parts->n_data || bytes > to)) || parts->n_data + bytes > MOST) return;
  replace_number(parts, at, count + (uint64_t)more);
  const uint64_t moved = more < 0 ? 0 - bytes : bytes;
  for (int first = 1; (end = strstr(parts->text + at, offsets)); first = 0) {
    at = (size_t)(end - parts->text) + sizeof offsets - 1;
    from = strtoull(parts->text + at, NULL, 10);
    if (!first) replace_number(parts, at, from + moved);
    at += strcspn(parts->text + at, ",");
    if (parts->text[at]) at++;
    to = strtoull(parts->text + at, NULL, 10);
    replace_number(parts, at, to + moved);
  }
  if (more > 0) memset(parts->data + parts->n_data, 1, bytes);
  parts->n_data += moved;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  static struct parts parts;
  const unsigned choice = seed % 16, random = seed / 16 * 2654435761u >> 4;
  const int fresh = (int)(random % (unsigned)n_seeds);
  if ((size < 64 || random % 61 == 0) && seeds[fresh].size <= max_size)
    memcpy(data, seeds[fresh].bytes, size = seeds[fresh].size);
  if (choice == 0 || !take_apart(&parts, data, size)) return LLVMFuzzerMutate(data, size, max_size);
  if (choice < 8) parts.n_text = LLVMFuzzerMutate((uint8_t *)parts.text, parts.n_text, MOST);
  else if (choice < 11) change_a_number(&parts, random);
  else if (choice < 14) resize_a_vector(&parts, random);
  else parts.n_data = LLVMFuzzerMutate(parts.data, parts.n_data, MOST);
  parts.text[parts.n_text] = '\0';
  const size_t made = put_together(&parts, data, max_size);
  return made ? made : LLVMFuzzerMutate(data, size, max_size);
}

/* ---------------------------------------------------------------- reading */

static void use_model(const pynn_model *model, const unsigned char *bytes, size_t size) {
  const size_t n = (size_t)pynn_model_n_parameters(model) * pynn_dtype_size(pynn_model_dtype(model));
  uint64_t header = 0;
  for (int i = FILE_PREFIX - 1; i >= 0; i--) header = header << 8 | bytes[i];
  const size_t n_state = (size_t)pynn_model_n_state(model) * sizeof(double);
  const unsigned char *numbers = bytes + FILE_PREFIX + header;
  require(n + n_state <= size - header, "numbers beyond the file");
  require(memcmp(pynn_model_state((pynn_model *)model), numbers, n_state) == 0, "the state");
  require(memcmp(pynn_model_parameters((pynn_model *)model), numbers + n_state, n) == 0, "the parameters");
  pynn_model_metadata(model, "classes");
  pynn_workspace *workspace = NULL;
  if (pynn_model_inputs(model) >= 64 || pynn_model_outputs(model) >= 64 || n >= 4096 || bytes[size - 1] % 8) return;
  if (pynn_workspace_new(&workspace, model) != PYNN_OK) return;
  static const double zeros[64];
  double out[64];
  pynn_array x = pynn_matrix(zeros, PYNN_FLOAT64, 1, pynn_model_inputs(model));
  pynn_predict(model, workspace, &x, 0, pynn_model_dtype(model), out, NULL);
  pynn_workspace_free(workspace);
}

static void use_checkpoint(const pynn_checkpoint *checkpoint, const unsigned char *bytes, size_t size) {
  pynn_vector vector;
  unsigned sum = 0;
  use_model(pynn_checkpoint_model(checkpoint), bytes, size);
  for (int32_t i = 0; i < pynn_checkpoint_n_vectors(checkpoint); i++) {
    require(pynn_checkpoint_vector_at(checkpoint, i, &vector) == PYNN_OK, "a vector");
    const unsigned char *numbers = vector.data;
    for (size_t j = (size_t)vector.count * pynn_dtype_size(vector.dtype); j-- > 0;) sum += numbers[j];
    require(strlen(vector.name) > 0, "a name");
  }
  require(sum < 255u * MOST, "numbers that can be read");
  if (pynn_checkpoint_restore(checkpoint, trainer, NULL) != PYNN_OK) return;
  train();
  require(pynn_checkpoint_restore(good, trainer, NULL) == PYNN_OK, "the good state");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pynn_model *model = NULL;
  pynn_checkpoint *checkpoint = NULL;
  pynn_error error;
  if (size > MOST) return 0;
  const size_t before = peak = in_use;
  const pynn_status status = pynn_load_memory(&model, context, data, size, &error);
  if (status != PYNN_OK) require(!model && memchr(error.message, '\0', sizeof error.message), "a message");
  require(peak - before <= size + ((size_t)1 << 20), "memory of a model");
  if (status == PYNN_OK) use_model(model, data, size);
  pynn_model_free(model);
  peak = in_use;
  const pynn_status other = pynn_checkpoint_load_memory(&checkpoint, context, data, size, &error);
  require(peak - before <= size + ((size_t)1 << 20), "memory of a checkpoint");
  if (other == PYNN_OK) require(status == PYNN_OK, "a checkpoint that is no model");
  else require(!checkpoint, "a checkpoint that failed");
  if (other == PYNN_OK) use_checkpoint(checkpoint, data, size);
  pynn_checkpoint_free(checkpoint);
  require(in_use == before, "memory that was not given back");
  return 0;
}
