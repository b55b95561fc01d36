/* Model files. A file is a valid safetensors file: the header's length (8 bytes, little-endian), the header (JSON),
 * then the parameters (little-endian reals), which begin at a multiple of 64:
 *
 *   {"__metadata__":{"format":"pynn", "pynn.checksum":"<16 hex digits>", "pynn.version":"1", "pynn.model":"<JSON>",
 *                    <the caller's entries in the order of their keys>},
 *    "layers.0.kernel":{"dtype":"F32", "shape":[inputs, units], "data_offsets":[begin, end]}, "layers.0.bias": ...}
 *
 *   pynn.model: {"dtype":"float32", "inputs":784, "seed":0, "loss":null or {"name":..., <numbers>},
 *                "layers":[{"kind":"dense", <numbers>, "activation":{"name":..., <numbers>},
 *                           "kernel_initializer":{...}, "bias_initializer":{...}}, {"kind":"dropout", <numbers>}]}
 *
 * The reader takes keys and tensors in this order only, so that duplicates, holes and overlaps cannot occur; a number
 * that a row does not have in the file keeps its default. Parameters are read as they are, NaN and infinity too. */
#include "file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "json.h"
#include "model.h"

#define VERSION "1"
#define ALIGNMENT 64
#define MAX_HEADER ((uint64_t)100 << 20) /* as other readers of safetensors have it */
#define CHUNK ((size_t)1 << 15)          /* bytes moved at once, a multiple of BLOCK */

/* By PYNN_FLOAT32, PYNN_FLOAT64. */
static const struct {
  const char *name, *tensor;
} dtypes[] = {{"float32", "F32"}, {"float64", "F64"}};

/* By pynn_table, for messages. */
static const char *const table_names[] = {"activations", "losses", "optimizers", "initializers", "layers"};

/* The specs that a dense layer has beside its kind. */
static const struct {
  const char *key;
  pynn_table table;
  size_t offset;
} dense_specs[] = {
    {"activation", PYNN_ACTIVATION, offsetof(pynn_layer, activation)},
    {"kernel_initializer", PYNN_INITIALIZER, offsetof(pynn_layer, kernel_initializer)},
    {"bias_initializer", PYNN_INITIALIZER, offsetof(pynn_layer, bias_initializer)},
};
#define N_DENSE_SPECS (sizeof dense_specs / sizeof *dense_specs)

/* ---------------------------------------------------------------- bytes */

static uint64_t load_u64(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

static void store_u64(unsigned char *bytes, uint64_t value) {
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> (8 * i));
}

/* Between this machine's order of bytes and the file's, in place: nothing but on big-endian machines. */
static void reorder(unsigned char *bytes, size_t size, size_t real_size) {
  const uint16_t one = 1;
  if (*(const unsigned char *)&one == 1) return;
  for (size_t start = 0; start < size; start += real_size) {
    for (size_t i = start, j = start + real_size - 1; i < j; i++, j--) {
      unsigned char byte = bytes[i];
      bytes[i] = bytes[j];
      bytes[j] = byte;
    }
  }
}

/* Four lanes, each stepping over every fourth word. A step is a bijection of its word and of its lane, so a change
 * within one word always changes the result. */
#define LANES 4
#define BLOCK (8 * LANES)

struct checksum {
  uint64_t lanes[LANES];
};

static uint64_t step(uint64_t lane, uint64_t word) {
  uint64_t product = (lane ^ word) * 0x9E3779B97F4A7C15u;
  return product << 29 | product >> 35;
}

/* Only the last part may have a size that is no multiple of BLOCK; it counts as filled up with zeros. */
static void checksum_add(struct checksum *sum, const unsigned char *bytes, size_t size) {
  uint64_t a = sum->lanes[0], b = sum->lanes[1], c = sum->lanes[2], d = sum->lanes[3];
  unsigned char last[BLOCK] = {0};
  memcpy(last, bytes + size / BLOCK * BLOCK, size % BLOCK);
  for (size_t done = 0; done < size; done += BLOCK) {
    const unsigned char *block = size - done < BLOCK ? last : bytes + done;
    a = step(a, load_u64(block));
    b = step(b, load_u64(block + 8));
    c = step(c, load_u64(block + 16));
    d = step(d, load_u64(block + 24));
  }
  *sum = (struct checksum){{a, b, c, d}};
}

static void checksum_digits(const struct checksum *sum, char digits[CHECKSUM_DIGITS]) {
  char text[CHECKSUM_DIGITS + 1];
  uint64_t value = 0;
  for (int i = 0; i < LANES; i++) value = step(value, sum->lanes[i]);
  snprintf(text, sizeof text, "%016" PRIx64, value);
  memcpy(digits, text, CHECKSUM_DIGITS);
}

void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]) {
  const unsigned char *file = bytes;
  unsigned char start[(CHECKSUM_OFFSET + CHECKSUM_DIGITS + BLOCK - 1) / BLOCK * BLOCK] = {0};
  size_t started = size < sizeof start ? size : sizeof start;
  memcpy(start, file, started);
  memset(start + CHECKSUM_OFFSET, '0', CHECKSUM_DIGITS);
  struct checksum sum = {{0}};
  checksum_add(&sum, start, started);
  checksum_add(&sum, file + started, size - started);
  checksum_digits(&sum, digits);
}

static int valid_key(const char *key) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return *key && key[strspn(key, letters)] == '\0' && strncmp(key, "pynn.", 5) != 0 && strcmp(key, "format") != 0;
}

/* A tensor as the header describes it. */
struct entry {
  char name[64];
  const char *dtype;
  uint64_t shape[2], offsets[2]; /* offsets in bytes: begin and end */
  size_t rank;
};

static struct entry entry_of(const pynn_model *model, const pynn_tensor *tensor) {
  int is_bias = tensor->offset == model->layers[tensor->layer].bias;
  uint64_t rows = (uint64_t)tensor->rows, columns = (uint64_t)tensor->columns, size = model->kernels->size;
  struct entry entry = {.dtype = dtypes[model->dtype].tensor, .rank = is_bias ? 1 : 2};
  snprintf(entry.name, sizeof entry.name, "layers.%" PRId32 ".%s", tensor->layer, tensor->name);
  entry.shape[0] = is_bias ? columns : rows;
  entry.shape[1] = columns;
  entry.offsets[0] = (uint64_t)tensor->offset * size;
  entry.offsets[1] = entry.offsets[0] + rows * columns * size;
  return entry;
}

/* The end of a path, as much as a message has room for. */
static const char *path_end(const char *path) {
  size_t size = strlen(path), most = 120;
  if (size > most) path += size - most;
  while ((*path & 0xC0) == 0x80) path++; /* not from the middle of a UTF-8 sequence */
  return path;
}

static pynn_status fail_disk(pynn_error *error, const struct disk_file *disk, const char *path, int code) {
  char text[80];
  disk_error_text(code, text, sizeof text);
  return fail(error, PYNN_ERROR_IO, "expected to %s '%s'; received '%s'", disk->operation, path_end(path), text);
}

/* ---------------------------------------------------------------- save */

static void put_spec(struct json_writer *writer, const char *key, const pynn_spec *spec) {
  const pynn_row *row = pynn_table_row((pynn_table)spec->table, spec->row);
  json_put_string(writer, key);
  json_put(writer, ":");
  json_put_string(writer, row->name);
  for (int32_t i = 0; i < row->n_fields; i++) {
    json_put(writer, ",");
    json_put_string(writer, row->fields[i].name);
    json_put(writer, ":");
    if (row->fields[i].flags & PYNN_FIELD_BOOLEAN) json_put(writer, spec->values[i] != 0 ? "true" : "false");
    else json_put_number(writer, spec->values[i]);
  }
}

static void put_layer(struct json_writer *writer, const pynn_layer *layer) {
  json_put(writer, "{");
  put_spec(writer, "kind", &layer->kind);
  for (size_t i = 0; layer->kind.row == LAYER_DENSE && i < N_DENSE_SPECS; i++) {
    json_put(writer, ",");
    json_put_string(writer, dense_specs[i].key);
    json_put(writer, ":{");
    put_spec(writer, "name", (const pynn_spec *)((const char *)layer + dense_specs[i].offset));
    json_put(writer, "}");
  }
  json_put(writer, "}");
}

static void put_model(struct json_writer *writer, const pynn_model *model) {
  json_put(writer, "{\"dtype\":");
  json_put_string(writer, dtypes[model->dtype].name);
  json_put(writer, ",\"inputs\":");
  json_put_unsigned(writer, (uint64_t)model->inputs);
  json_put(writer, ",\"seed\":");
  json_put_unsigned(writer, model->seed);
  json_put(writer, ",\"loss\":");
  const pynn_spec *loss = pynn_model_loss(model);
  if (loss) {
    json_put(writer, "{");
    put_spec(writer, "name", loss);
    json_put(writer, "}");
  } else {
    json_put(writer, "null");
  }
  json_put(writer, ",\"layers\":[");
  for (int32_t i = 0; i < model->n_layers; i++) {
    if (i > 0) json_put(writer, ",");
    put_layer(writer, pynn_model_layer(model, i));
  }
  json_put(writer, "]}");
}

static void put_numbers(struct json_writer *writer, const uint64_t *numbers, size_t n) {
  for (size_t i = 0; i < n; i++) {
    json_put(writer, i == 0 ? "[" : ",");
    json_put_unsigned(writer, numbers[i]);
  }
  json_put(writer, "]");
}

static void put_tensor(struct json_writer *writer, const struct entry *entry) {
  json_put(writer, ",");
  json_put_string(writer, entry->name);
  json_put(writer, ":{\"dtype\":");
  json_put_string(writer, entry->dtype);
  json_put(writer, ",\"shape\":");
  put_numbers(writer, entry->shape, entry->rank);
  json_put(writer, ",\"data_offsets\":");
  put_numbers(writer, entry->offsets, 2);
  json_put(writer, "}");
}

static void put_header(struct json_writer *writer, const pynn_model *model, const pynn_metadata *const *entries,
                       int32_t n_entries) {
  json_put(writer, FILE_START "0000000000000000\",\"pynn.version\":\"" VERSION "\",\"pynn.model\":\"");
  writer->nested = 1;
  put_model(writer, model);
  writer->nested = 0;
  json_put(writer, "\"");
  for (int32_t i = 0; i < n_entries; i++) {
    json_put(writer, ",");
    json_put_string(writer, entries[i]->key);
    json_put(writer, ":");
    json_put_string(writer, entries[i]->value);
  }
  json_put(writer, "}");
  for (int32_t i = 0; i < model->n_tensors; i++) {
    struct entry entry = entry_of(model, &model->tensors[i]);
    put_tensor(writer, &entry);
  }
  json_put(writer, "}");
  while ((FILE_PREFIX + writer->size) % ALIGNMENT != 0) json_put(writer, " ");
}

static int compare_entries(const void *a, const void *b) {
  return strcmp((*(const pynn_metadata *const *)a)->key, (*(const pynn_metadata *const *)b)->key);
}

/* Fills `sorted` with pointers to the entries in the order of their keys. */
static pynn_status sort_entries(const pynn_metadata **sorted, const pynn_metadata *entries, int32_t n_entries,
                                pynn_error *error) {
  for (int32_t i = 0; i < n_entries; i++) {
    const char *key = entries[i].key, *value = entries[i].value;
    if (!key || !valid_key(key))
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                  "expected a metadata key of letters, digits, '.', '_' and '-', not starting with 'pynn.' and not "
                  "'format'; received '%.80s'",
                  key ? key : "NULL");
    if (!value || json_utf8(value, strlen(value)) != strlen(value))
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected UTF-8 as the value of metadata '%.80s'; received %s",
                  key, value ? "other bytes" : "NULL");
    sorted[i] = &entries[i];
  }
  if (n_entries > 0) qsort(sorted, (size_t)n_entries, sizeof *sorted, compare_entries);
  for (int32_t i = 1; i < n_entries; i++)
    if (compare_entries(&sorted[i - 1], &sorted[i]) == 0)
      return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected different metadata keys; received '%.80s' twice",
                  sorted[i]->key);
  return PYNN_OK;
}

/* Takes the parameters in chunks as the file has them: into the checksum, or to the disk. */
static int each_chunk(const pynn_model *model, struct checksum *sum, struct disk_file *disk) {
  unsigned char chunk[CHUNK];
  size_t size = (size_t)model->n_parameters * model->kernels->size;
  for (size_t done = 0; done < size; done += CHUNK) {
    size_t n = size - done < CHUNK ? size - done : CHUNK;
    memcpy(chunk, (const char *)model->parameters + done, n);
    reorder(chunk, n, model->kernels->size);
    if (sum) checksum_add(sum, chunk, n);
    int code = disk ? disk_write(disk, chunk, n) : 0;
    if (code) return code;
  }
  return 0;
}

/* `start` is everything before the parameters. */
static pynn_status replace_file(const pynn_model *model, const char *path, const unsigned char *start, size_t size,
                                pynn_error *error) {
  struct disk_file disk;
  int code = disk_create(&disk, path);
  if (!code) code = disk_write(&disk, start, size);
  if (!code) code = each_chunk(model, NULL, &disk);
  if (!code) code = disk_commit(&disk);
  pynn_status status = code ? fail_disk(error, &disk, path, code) : PYNN_OK;
  disk_close(&disk);
  return status;
}

static pynn_status save_sorted(const pynn_model *model, const char *path, const pynn_metadata *const *entries,
                               int32_t n_entries, pynn_error *error) {
  struct json_writer writer = {0};
  put_header(&writer, model, entries, n_entries);
  size_t size = FILE_PREFIX + writer.size;
  if (writer.size > MAX_HEADER)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected layers and metadata of at most %" PRIu64 " bytes; received %zu",
                MAX_HEADER, writer.size);
  unsigned char *start = context_allocate(model->context, size, 1);
  if (!start) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected %zu bytes of memory; received none", size);
  writer = (struct json_writer){.out = (char *)start + FILE_PREFIX, .capacity = writer.size};
  put_header(&writer, model, entries, n_entries);
  store_u64(start, writer.size);

  struct checksum sum = {{0}};
  checksum_add(&sum, start, size);
  each_chunk(model, &sum, NULL);
  checksum_digits(&sum, (char *)start + CHECKSUM_OFFSET);
  pynn_status status = replace_file(model, path, start, size, error);
  context_release(model->context, start, size, 1);
  return status;
}

pynn_status pynn_save(const pynn_model *model, const char *path, const pynn_metadata *entries, int32_t n_entries,
                      pynn_error *error) {
  if (!model || !path || n_entries < 0 || (n_entries > 0 && !entries))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a model, a path and n_entries >= 0 entries; received %s",
                !model          ? "no model"
                : !path         ? "no path"
                : n_entries < 0 ? "a negative number"
                                : "no entries");
  size_t count = n_entries > 0 ? (size_t)n_entries : 1;
  const pynn_metadata **sorted = context_allocate(model->context, count, sizeof *sorted);
  if (!sorted) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for %zu entries; received none", count);
  pynn_status status = sort_entries(sorted, entries, n_entries, error);
  if (status == PYNN_OK) status = save_sorted(model, path, sorted, n_entries, error);
  context_release(model->context, sorted, count, sizeof *sorted);
  return status;
}

/* ---------------------------------------------------------------- load */

/* Where the bytes of a file come from: memory, or the disk when `bytes` is NULL. */
struct source {
  const unsigned char *bytes;
  struct disk_file *disk;
  const char *path;
  uint64_t size, taken;
};

/* A file on its way to a model. The header is one block of memory, which becomes the model's metadata: nothing of the
 * file is held twice. */
struct draft {
  unsigned char *start; /* everything before the parameters, and a NUL */
  size_t size;          /* without the NUL */
  struct json json;
  pynn_model_options options;
  int has_loss;
  pynn_spec loss;
  pynn_layer *layers;
  int32_t n_layers, capacity;
};

static pynn_status fail_format(pynn_error *error, const struct json *json, const char *where) {
  char received[25];
  json_excerpt(json, received, sizeof received);
  return fail(error, PYNN_ERROR_FILE_FORMAT, "expected %s in %s; received %s", json->expected, where, received);
}

/* The next `size` bytes, which the size of the source has been checked to hold. */
static pynn_status take(struct source *source, void *out, size_t size, pynn_error *error) {
  size_t taken = size;
  int code = 0;
  if (source->disk) code = disk_read(source->disk, out, size, &taken);
  else memcpy(out, source->bytes + source->taken, size);
  if (code) return fail_disk(error, source->disk, source->path, code);
  source->taken += taken;
  if (taken < size)
    return fail(error, PYNN_ERROR_IO, "expected %" PRIu64 " bytes in '%s'; received %" PRIu64 ": it changed meanwhile",
                source->size, path_end(source->path), source->taken);
  return PYNN_OK;
}

/* The row's name and those of its numbers that are there, in the order of the row. */
static void take_spec(struct json *json, const char *key, pynn_table table, pynn_spec *out) {
  json_key(json, key);
  const char *name = json_string(json);
  if (json_failed(json)) return;
  if (pynn_spec_named(out, table, name) != PYNN_OK) {
    json_fail(json, "a name among this version's ", table_names[table]);
    return;
  }
  const pynn_row *row = pynn_table_row(table, out->row);
  for (int32_t i = 0; i < row->n_fields; i++) {
    const pynn_field *field = &row->fields[i];
    if (!json_has_key(json, field->name)) continue;
    double value = field->flags & PYNN_FIELD_BOOLEAN ? json_boolean(json) : json_number(json);
    if (json_failed(json)) return;
    if (pynn_spec_set(out, field->name, value) != PYNN_OK) json_fail(json, "an acceptable number as ", field->name);
  }
}

static void take_layer(struct json *json, pynn_layer *layer) {
  *layer = (pynn_layer){.struct_size = sizeof *layer};
  json_open(json, '{');
  take_spec(json, "kind", PYNN_LAYER, &layer->kind);
  for (size_t i = 0; layer->kind.row == LAYER_DENSE && i < N_DENSE_SPECS; i++) {
    json_key(json, dense_specs[i].key);
    json_open(json, '{');
    take_spec(json, "name", dense_specs[i].table, (pynn_spec *)((char *)layer + dense_specs[i].offset));
    json_close(json, '}');
  }
  json_close(json, '}');
}

/* The text of pynn.model. */
static void take_model(struct json *json, struct draft *draft) {
  pynn_model_options_init(&draft->options);
  json_open(json, '{');
  json_key(json, "dtype");
  const char *dtype = json_string(json);
  int is_double = strcmp(dtype, dtypes[PYNN_FLOAT64].name) == 0;
  if (!is_double && strcmp(dtype, dtypes[PYNN_FLOAT32].name) != 0) json_fail(json, "float32 or float64 as dtype", "");
  draft->options.dtype = is_double ? PYNN_FLOAT64 : PYNN_FLOAT32;
  json_key(json, "inputs");
  draft->options.inputs = (int64_t)json_unsigned(json, MAX_WIDTH);
  json_key(json, "seed");
  draft->options.seed = json_unsigned(json, UINT64_MAX);
  json_key(json, "loss");
  draft->has_loss = !json_null(json);
  if (draft->has_loss) {
    json_open(json, '{');
    take_spec(json, "name", PYNN_LOSS, &draft->loss);
    json_close(json, '}');
  }
  json_key(json, "layers");
  json_open(json, '[');
  while (json_more(json)) {
    if (draft->n_layers == draft->capacity) json_fail(json, "no more layers than this version can have", "");
    else take_layer(json, &draft->layers[draft->n_layers++]);
  }
  json_close(json, ']');
  json_close(json, '}');
  json_finish(json);
}

/* The caller's entries, moved to the start of the header, which is done with by then: key\0value\0 ... \0. */
static void take_entries(struct draft *draft) {
  struct json *json = &draft->json;
  char *list = (char *)draft->start, *previous = NULL, *key;
  while ((key = json_next_key(json))) {
    if (!valid_key(key) || (previous && strcmp(previous, key) >= 0)) json_fail(json, "keys of metadata in order", "");
    size_t size = strlen(key) + 1;
    previous = memmove(list, key, size);
    list += size;
    const char *value = json_string(json);
    if (json_failed(json)) return;
    size = strlen(value) + 1;
    memmove(list, value, size);
    list += size;
  }
  *list = '\0';
}

/* Takes __metadata__ and leaves the cursor before the first tensor. */
static pynn_status take_metadata(struct draft *draft, const pynn_context *context, pynn_error *error) {
  struct json *json = &draft->json;
  size_t begin = CHECKSUM_OFFSET + CHECKSUM_DIGITS;
  json_init(json, (char *)draft->start + begin, draft->size - begin);
  if (draft->size <= begin || *json->at++ != '"') json_fail(json, "a checksum of 16 digits", "");
  json_key(json, "pynn.version");
  if (strcmp(json_string(json), VERSION) != 0) json_fail(json, "version " VERSION, "");
  json_key(json, "pynn.model");
  char *text = json_string(json);
  if (json_failed(json)) return fail_format(error, json, "the header");

  struct json inner;
  json_init(&inner, text, strlen(text));
  size_t most = strlen(text) / strlen("{\"kind\":\"dropout\"}") + 1; /* layers that the text has room for */
  draft->capacity = most < (size_t)MAX_LAYERS ? (int32_t)most : MAX_LAYERS;
  draft->layers = context_allocate(context, (size_t)draft->capacity, sizeof *draft->layers);
  if (!draft->layers) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for the layers; received none");
  take_model(&inner, draft);
  if (json_failed(&inner)) {
    char where[48];
    snprintf(where, sizeof where, draft->n_layers > 0 ? "pynn.model, at layer %" PRId32 : "pynn.model",
             draft->n_layers - 1);
    return fail_format(error, &inner, where);
  }
  take_entries(draft);
  json_close(json, '}');
  return json_failed(json) ? fail_format(error, json, "the header") : PYNN_OK;
}

/* Everything before the parameters. What a length says is checked against the source before it is used. */
static pynn_status take_start(struct draft *draft, const pynn_context *context, struct source *source,
                              pynn_error *error) {
  unsigned char prefix[FILE_PREFIX];
  if (source->size < FILE_PREFIX)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected a model file; received only %" PRIu64 " bytes", source->size);
  pynn_status status = take(source, prefix, FILE_PREFIX, error);
  if (status != PYNN_OK) return status;
  uint64_t size = load_u64(prefix);
  if (size > source->size - FILE_PREFIX || size > MAX_HEADER)
    return fail(error, PYNN_ERROR_FILE_FORMAT,
                "expected a complete safetensors file; received a header of %" PRIu64 " bytes in a file of %" PRIu64,
                size, source->size);
  draft->size = FILE_PREFIX + (size_t)size;
  draft->start = context_allocate(context, draft->size + 1, 1);
  if (!draft->start) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected %zu bytes; received none", draft->size + 1);
  memcpy(draft->start, prefix, FILE_PREFIX);
  status = take(source, draft->start + FILE_PREFIX, (size_t)size, error);
  if (status != PYNN_OK) return status;
  if (draft->size < CHECKSUM_OFFSET + CHECKSUM_DIGITS ||
      memcmp(draft->start + FILE_PREFIX, FILE_START, sizeof FILE_START - 1) != 0)
    return fail(
        error, PYNN_ERROR_FILE_FORMAT, "expected a model that pynn saved; received %s",
        size > 0 && draft->start[FILE_PREFIX] == '{' ? "a safetensors file of another program" : "another file");
  if (draft->size % ALIGNMENT != 0)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected parameters at a multiple of %d bytes; received them at %zu",
                ALIGNMENT, draft->size);
  return PYNN_OK;
}

/* A model of the right shape, if the source holds exactly its parameters. */
static pynn_status make_model(pynn_model **out, const pynn_context *context, const struct draft *draft, uint64_t size,
                              pynn_error *error) {
  uint64_t parameters = 0, width = (uint64_t)draft->options.inputs; /* the row of units has MAX_WIDTH: no overflow */
  for (int32_t i = 0; i < draft->n_layers; i++) {
    const pynn_spec *kind = &draft->layers[i].kind;
    if (kind->row != LAYER_DENSE) continue;
    uint64_t units = (uint64_t)pynn_spec_get(kind, "units");
    parameters += (width + (pynn_spec_get(kind, "use_bias") != 0)) * units;
    width = units;
  }
  uint64_t bytes = parameters * pynn_dtype_size(draft->options.dtype);
  if (parameters > (uint64_t)MAX_PARAMETERS || bytes != size)
    return fail(error, PYNN_ERROR_FILE_FORMAT,
                "expected %" PRIu64 " bytes of parameters, as the layers say; received %" PRIu64, bytes, size);
  pynn_status status = model_new_empty(out, context, &draft->options, draft->layers, draft->n_layers, error);
  if (status != PYNN_ERROR_INVALID_ARGUMENT) return status;
  if (error) error->status = PYNN_ERROR_FILE_FORMAT; /* the argument came from the file */
  return PYNN_ERROR_FILE_FORMAT;
}

static void take_numbers(struct json *json, const uint64_t *expected, size_t n) {
  json_open(json, '[');
  for (size_t i = 0; i < n; i++) {
    if (json_more(json) && json_unsigned(json, UINT64_MAX) == expected[i]) continue;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, expected[i]);
    json_fail(json, "the number that the layers imply, ", text);
  }
  json_close(json, ']');
}

static void take_tensor(struct json *json, const struct entry *entry) {
  json_key(json, entry->name);
  json_open(json, '{');
  json_key(json, "dtype");
  if (strcmp(json_string(json), entry->dtype) != 0) json_fail(json, "the dtype of the model, ", entry->dtype);
  json_key(json, "shape");
  take_numbers(json, entry->shape, entry->rank);
  json_key(json, "data_offsets");
  take_numbers(json, entry->offsets, 2);
  json_close(json, '}');
}

/* The tensors in the header must be those of the model, one after the other. */
static pynn_status take_tensors(struct draft *draft, const pynn_model *model, pynn_error *error) {
  struct json *json = &draft->json;
  for (int32_t i = 0; i < model->n_tensors; i++) {
    struct entry entry = entry_of(model, &model->tensors[i]);
    take_tensor(json, &entry);
  }
  json_close(json, '}');
  json_finish(json);
  return json_failed(json) ? fail_format(error, json, "the header") : PYNN_OK;
}

/* The parameters, straight to where they belong; then the source must be at its end and give the checksum. */
static pynn_status take_parameters(pynn_model *model, struct source *source, struct checksum *sum,
                                   const char digits[CHECKSUM_DIGITS], pynn_error *error) {
  size_t size = (size_t)model->n_parameters * model->kernels->size;
  for (size_t done = 0; done < size; done += CHUNK) {
    unsigned char *chunk = (unsigned char *)model->parameters + done;
    size_t n = size - done < CHUNK ? size - done : CHUNK;
    pynn_status status = take(source, chunk, n, error);
    if (status != PYNN_OK) return status;
    checksum_add(sum, chunk, n);
    reorder(chunk, n, model->kernels->size);
  }
  char computed[CHECKSUM_DIGITS];
  checksum_digits(sum, computed);
  if (memcmp(computed, digits, CHECKSUM_DIGITS) != 0)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected checksum %.16s; received %.16s: the file is damaged", digits,
                computed);
  return PYNN_OK;
}

static pynn_status load_draft(pynn_model **out, const pynn_context *context, struct source *source, struct draft *draft,
                              pynn_error *error) {
  pynn_status status = take_start(draft, context, source, error);
  if (status != PYNN_OK) return status;
  char digits[CHECKSUM_DIGITS];
  struct checksum sum = {{0}};
  memcpy(digits, draft->start + CHECKSUM_OFFSET, CHECKSUM_DIGITS);
  memset(draft->start + CHECKSUM_OFFSET, '0', CHECKSUM_DIGITS);
  checksum_add(&sum, draft->start, draft->size);

  status = take_metadata(draft, context, error);
  if (status == PYNN_OK) status = make_model(out, context, draft, source->size - draft->size, error);
  if (status == PYNN_OK) status = take_tensors(draft, *out, error);
  if (status == PYNN_OK) status = take_parameters(*out, source, &sum, digits, error);
  if (status == PYNN_OK && draft->has_loss) status = pynn_model_set_loss(*out, &draft->loss);
  return status;
}

static pynn_status load(pynn_model **out, const pynn_context *context, struct source *source, pynn_error *error) {
  pynn_model *model = NULL;
  struct draft draft = {0};
  pynn_status status = load_draft(&model, context, source, &draft, error);
  context_release(context, draft.layers, (size_t)draft.capacity, sizeof *draft.layers);
  if (status != PYNN_OK) {
    context_release(context, draft.start, draft.size + 1, 1);
    pynn_model_free(model);
    return status;
  }
  model->metadata = (char *)draft.start;
  model->metadata_size = draft.size + 1;
  *out = model;
  return PYNN_OK;
}

pynn_status pynn_load(pynn_model **out, const pynn_context *context, const char *path, pynn_error *error) {
  if (!out || !context || !path)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and a path; received NULL");
  struct disk_file disk;
  struct source source = {.disk = &disk, .path = path};
  int code = disk_open(&disk, path, &source.size);
  pynn_status status = code ? fail_disk(error, &disk, path, code) : load(out, context, &source, error);
  if (error && status == PYNN_ERROR_FILE_FORMAT) {
    size_t n = strlen(error->message);
    snprintf(error->message + n, sizeof error->message - n, " (in '%s')", path_end(path));
  }
  disk_close(&disk);
  return status;
}

pynn_status pynn_load_memory(pynn_model **out, const pynn_context *context, const void *bytes, size_t size,
                             pynn_error *error) {
  if (!out || !context || (!bytes && size > 0))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and bytes; received NULL");
  struct source source = {.bytes = bytes, .size = size};
  return load(out, context, &source, error);
}

const char *pynn_model_metadata(const pynn_model *model, const char *key) {
  for (const char *entry = model->metadata; entry && *entry;) {
    const char *value = entry + strlen(entry) + 1;
    if (strcmp(entry, key) == 0) return value;
    entry = value + strlen(value) + 1;
  }
  return NULL;
}
