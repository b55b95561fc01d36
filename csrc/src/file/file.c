/* Files of models and checkpoints. A file is a valid safetensors file: the header's length (8 bytes, little-endian),
 * the header (JSON), then the parameters (little-endian reals), which begin at a multiple of 64, and vectors:
 *
 *   {"__metadata__":{"format":"pynn", "pynn.checksum":"<16 hex digits>", "pynn.version":"1", "pynn.model":"<JSON>",
 *                    <the caller's entries in the order of their keys>},
 *    "layers.0.kernel":{"dtype":"F32", "shape":[inputs, units], "data_offsets":[begin, end]}, "layers.0.bias": ...,
 *    <vectors in the order of their names, in checkpoints only: "pynn.steps":{"dtype":"I64", "shape":[1], ...}>}
 *
 *   pynn.model: {"dtype":"float32", "inputs":784, "seed":0, <"target_scaling":true>, "loss":null or {"name":...,
 * <numbers>}, "layers":[{"kind":"dense", <numbers>, "activation":{"name":..., <numbers>}, "kernel_initializer":{...},
 * "bias_initializer":{...}}, {"kind":"dropout", <numbers>}, {"kind": "categorical", <numbers>, ..., "columns":[0, 3],
 * "sizes":[7, 2]}]}
 *
 * State that is not trained ("layers.0.shift", "layers.target_shift", F64) stands before the parameters.
 *
 * A checkpoint (checkpoint.c) has text entries and vectors whose names start with "pynn."; a reader of models passes
 * over the vectors. The reader takes keys and tensors in this order only, so that duplicates, holes and overlaps cannot
 * occur; a number that a row does not have in the file keeps its default. Parameters are read as they are, NaN and
 * infinity too. */
#include "file/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/json.h"
#include "graph/layer.h"

#define VERSION "1"
#define ALIGNMENT 64
#define MAX_HEADER ((uint64_t)100 << 20) /* as other readers of safetensors have it */
#define CHUNK ((size_t)1 << 15)          /* bytes moved at once, a multiple of every element's size */

/* The dtypes of models, and those of tensors, by pynn_dtype. */
static const char *const dtypes[] = {"float32", "float64"};
static const char *const tensor_dtypes[] = {"F32", "F64", "F16", "BOOL", "I8",  "I16",
                                            "I32", "I64", "U8",  "U16",  "U32", "U64"};
#define N_TENSOR_DTYPES ((int)(sizeof tensor_dtypes / sizeof *tensor_dtypes))

/* By pynn_table, for messages. */
static const char *const table_names[] = {"activations", "losses",    "optimizers",   "initializers",
                                          "layers",      "schedules", "regularizers", "constraints"};

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
  unsigned char rest[BLOCK]; /* bytes that do not fill a block yet */
  size_t n_rest;
};

static uint64_t step(uint64_t lane, uint64_t word) {
  uint64_t product = (lane ^ word) * 0x9E3779B97F4A7C15u;
  return product << 29 | product >> 35;
}

static void add_blocks(struct checksum *sum, const unsigned char *bytes, size_t blocks) {
  uint64_t a = sum->lanes[0], b = sum->lanes[1], c = sum->lanes[2], d = sum->lanes[3];
  for (const unsigned char *end = bytes + blocks * BLOCK; bytes < end; bytes += BLOCK) {
    a = step(a, load_u64(bytes));
    b = step(b, load_u64(bytes + 8));
    c = step(c, load_u64(bytes + 16));
    d = step(d, load_u64(bytes + 24));
  }
  sum->lanes[0] = a, sum->lanes[1] = b, sum->lanes[2] = c, sum->lanes[3] = d;
}

static void checksum_add(struct checksum *sum, const void *data, size_t size) {
  const unsigned char *bytes = data;
  if (sum->n_rest > 0) {
    size_t n = size < BLOCK - sum->n_rest ? size : BLOCK - sum->n_rest;
    memcpy(sum->rest + sum->n_rest, bytes, n);
    sum->n_rest += n, bytes += n, size -= n;
    if (sum->n_rest < BLOCK) return;
    add_blocks(sum, sum->rest, 1);
    sum->n_rest = 0;
  }
  add_blocks(sum, bytes, size / BLOCK);
  sum->n_rest = size % BLOCK;
  memcpy(sum->rest, bytes + size / BLOCK * BLOCK, sum->n_rest);
}

/* A last block that is not full counts as filled up with zeros. */
static void checksum_digits(struct checksum *sum, char digits[CHECKSUM_DIGITS]) {
  char text[CHECKSUM_DIGITS + 1];
  uint64_t value = 0;
  if (sum->n_rest > 0) {
    memset(sum->rest + sum->n_rest, 0, BLOCK - sum->n_rest);
    add_blocks(sum, sum->rest, 1);
  }
  for (int i = 0; i < LANES; i++) value = step(value, sum->lanes[i]);
  snprintf(text, sizeof text, "%016" PRIx64, value);
  memcpy(digits, text, CHECKSUM_DIGITS);
}

void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]) {
  static const unsigned char zeros[CHECKSUM_DIGITS + 1] = "0000000000000000";
  const unsigned char *file = bytes;
  struct checksum sum = {{0}, {0}, 0};
  checksum_add(&sum, file, CHECKSUM_OFFSET);
  checksum_add(&sum, zeros, CHECKSUM_DIGITS);
  checksum_add(&sum, file + CHECKSUM_OFFSET + CHECKSUM_DIGITS, size - CHECKSUM_OFFSET - CHECKSUM_DIGITS);
  checksum_digits(&sum, digits);
}

static int valid_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (!name || !*name || name[strspn(name, letters)] != '\0') return 0;
  return strcmp(name, "format") != 0 && strcmp(name, "__metadata__") != 0 && strncmp(name, "layers.", 7) != 0;
}

/* Entries and vectors are kept in the order of their names, which both begin with. */
static const char *name_of(const void *named) { return *(const char *const *)named; }

static int compare_names(const void *a, const void *b) {
  return strcmp(name_of(*(const void *const *)a), name_of(*(const void *const *)b));
}

/* A tensor as the header describes it. */
struct entry {
  char name[64];
  const char *dtype;
  uint64_t shape[2], offsets[2]; /* offsets in bytes: begin and end */
  size_t rank;
};

static uint64_t state_size(const pynn_model *model) { return (uint64_t)model->n_state * sizeof *model->state; }

static struct entry entry_of(const pynn_model *model, const pynn_tensor *tensor) {
  int is_vector = tensor->rows == 1 && strcmp(tensor->name, "kernel") != 0;
  const pynn_dtype dtype = tensor->trainable ? model->dtype : PYNN_FLOAT64;
  uint64_t rows = (uint64_t)tensor->rows, columns = (uint64_t)tensor->columns, size = pynn_dtype_size(dtype);
  struct entry entry = {.dtype = tensor_dtypes[dtype], .rank = is_vector ? 1 : 2};
  if (tensor->layer < 0) snprintf(entry.name, sizeof entry.name, "layers.%s", tensor->name);
  else snprintf(entry.name, sizeof entry.name, "layers.%" PRId32 ".%s", tensor->layer, tensor->name);
  entry.shape[0] = is_vector ? columns : rows;
  entry.shape[1] = columns;
  entry.offsets[0] = (tensor->trainable ? state_size(model) : 0) + (uint64_t)tensor->offset * size;
  entry.offsets[1] = entry.offsets[0] + rows * columns * size;
  return entry;
}

/* Tensors in the order of the file, state before parameters: number i of 2 n_tensors; NULL: of the other sort. */
static const pynn_tensor *in_file(const pynn_model *model, int32_t i) {
  const pynn_tensor *tensor = &model->tensors[i % model->n_tensors].view;
  return tensor->trainable == (i >= model->n_tensors) ? tensor : NULL;
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

void file_put_spec(struct json_writer *writer, const char *key, const pynn_spec *spec, const char *without) {
  const pynn_row *row = pynn_table_row((pynn_table)spec->table, spec->row);
  json_put_string(writer, key);
  json_put(writer, ":");
  json_put_string(writer, row->name);
  for (int32_t i = 0; i < row->n_fields; i++) {
    if (without && strcmp(row->fields[i].name, without) == 0) continue;
    json_put(writer, ",");
    json_put_string(writer, row->fields[i].name);
    json_put(writer, ":");
    if (row->fields[i].flags & PYNN_FIELD_BOOLEAN) json_put(writer, spec->values[i] != 0 ? "true" : "false");
    else json_put_number(writer, spec->values[i]);
  }
}

static void put_list(struct json_writer *writer, const char *key, const int64_t *numbers, int64_t n) {
  if (!numbers || !n) return;
  json_put(writer, ",");
  json_put_string(writer, key);
  for (int64_t i = 0; i < n; i++) {
    json_put(writer, i == 0 ? ":[" : ",");
    json_put_unsigned(writer, (uint64_t)numbers[i]);
  }
  json_put(writer, "]");
}

static void put_layer(struct json_writer *writer, const pynn_layer *layer, const char *custom) {
  json_put(writer, "{");
  file_put_spec(writer, "kind", &layer->kind, NULL);
  for (int i = 0; i < N_LAYER_SPECS; i++) {
    if (!(layer_kinds[layer->kind.row]->specs >> i & 1)) continue;
    json_put(writer, ",");
    json_put_string(writer, layer_specs[i].key);
    json_put(writer, ":{");
    file_put_spec(writer, "name", layer_spec(layer, i), NULL);
    json_put(writer, "}");
  }
  put_list(writer, "columns", layer->columns, layer->n_columns);
  put_list(writer, "sizes", layer->sizes, layer->n_columns);
  if (custom) {
    json_put(writer, ",\"custom_activation\":");
    json_put_string(writer, custom);
  }
  json_put(writer, "}");
}

static void put_model(struct json_writer *writer, const pynn_model *model) {
  json_put(writer, "{\"dtype\":");
  json_put_string(writer, dtypes[model->dtype]);
  json_put(writer, ",\"inputs\":");
  json_put_unsigned(writer, (uint64_t)model->inputs);
  json_put(writer, ",\"seed\":");
  json_put_unsigned(writer, model->seed);
  if (model->scales_targets) json_put(writer, ",\"target_scaling\":true");
  json_put(writer, ",\"loss\":");
  const pynn_spec *loss = pynn_model_loss(model);
  if (loss) {
    json_put(writer, "{");
    file_put_spec(writer, "name", loss, NULL);
    json_put(writer, "}");
  } else if (model->custom.name[0]) {
    json_put(writer, "{\"custom\":");
    json_put_string(writer, model->custom.name);
    json_put(writer, ",\"link\":");
    json_put_string(writer, pynn_table_row(PYNN_ACTIVATION, model->link_spec.row)->name);
    json_put(writer, "}");
  } else {
    json_put(writer, "null");
  }
  json_put(writer, ",\"layers\":[");
  for (int32_t i = 0; i < model->n_layers; i++) {
    if (i > 0) json_put(writer, ",");
    put_layer(writer, pynn_model_layer(model, i), pynn_model_custom_activation_name(model, i));
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

static void put_tensor(struct json_writer *writer, const char *name, const struct entry *entry) {
  json_put(writer, ",");
  json_put_string(writer, name);
  json_put(writer, ":{\"dtype\":");
  json_put_string(writer, entry->dtype);
  json_put(writer, ",\"shape\":");
  put_numbers(writer, entry->shape, entry->rank);
  json_put(writer, ",\"data_offsets\":");
  put_numbers(writer, entry->offsets, 2);
  json_put(writer, "}");
}

/* What a file is made of. Entries and vectors in the order of their names. */
struct contents {
  const pynn_model *model;
  const pynn_metadata **entries;
  const pynn_vector **vectors;
  int32_t n_entries, n_vectors;
};

static uint64_t vector_size(const pynn_vector *vector) {
  return (uint64_t)vector->count * pynn_dtype_size(vector->dtype);
}

static uint64_t parameters_size(const pynn_model *model) {
  return (uint64_t)model->n_parameters * model->kernels->size;
}

static uint64_t model_size(const pynn_model *model) { return state_size(model) + parameters_size(model); }

static void put_header(struct json_writer *writer, const struct contents *contents) {
  const pynn_model *model = contents->model;
  uint64_t offset = model_size(model);
  json_put(writer, FILE_START "0000000000000000\",\"pynn.version\":\"" VERSION "\",\"pynn.model\":\"");
  writer->nested = 1;
  put_model(writer, model);
  writer->nested = 0;
  json_put(writer, "\"");
  for (int32_t i = 0; i < contents->n_entries; i++) {
    json_put(writer, ",");
    json_put_string(writer, contents->entries[i]->key);
    json_put(writer, ":");
    json_put_string(writer, contents->entries[i]->value);
  }
  json_put(writer, "}");
  for (int32_t i = 0; i < 2 * model->n_tensors; i++) {
    const pynn_tensor *tensor = in_file(model, i);
    if (!tensor) continue;
    struct entry entry = entry_of(model, tensor);
    put_tensor(writer, entry.name, &entry);
  }
  for (int32_t i = 0; i < contents->n_vectors; i++) {
    const pynn_vector *vector = contents->vectors[i];
    struct entry entry = {.dtype = tensor_dtypes[vector->dtype], .rank = 1, .shape = {(uint64_t)vector->count}};
    entry.offsets[0] = offset;
    entry.offsets[1] = offset += vector_size(vector);
    put_tensor(writer, vector->name, &entry);
  }
  json_put(writer, "}");
  while ((FILE_PREFIX + writer->size) % ALIGNMENT != 0) json_put(writer, " ");
}

static pynn_status bad_name(const char *name, const char *what, pynn_error *error) {
  return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
              "expected a %s of letters, digits, '.', '_' and '-', not starting with 'pynn.' or 'layers.', not "
              "'format' or '__metadata__'; received '%.80s'",
              what, name ? name : "NULL");
}

static pynn_status check_entry(const pynn_metadata *entry, pynn_error *error) {
  if (!valid_name(entry->key)) return bad_name(entry->key, "metadata key", error);
  if (!entry->value || json_utf8(entry->value, strlen(entry->value)) != strlen(entry->value))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected UTF-8 as the value of metadata '%.80s'; received %s",
                entry->key, entry->value ? "other bytes" : "NULL");
  return PYNN_OK;
}

static pynn_status check_vector(const pynn_vector *vector, pynn_error *error) {
  if (!valid_name(vector->name)) return bad_name(vector->name, "vector's name", error);
  if (!pynn_dtype_size(vector->dtype))
    return fail(error, PYNN_ERROR_DTYPE, "expected a dtype of pynn.h in vector '%.80s'; received dtype=%d",
                vector->name, (int)vector->dtype);
  if (vector->count < 0 || vector->count > MAX_PARAMETERS || (vector->count > 0 && !vector->data))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected 0 ... 2^36 numbers in vector '%.80s'; received count=%" PRId64 "%s", vector->name,
                vector->count, vector->data ? "" : ", data=NULL");
  return PYNN_OK;
}

/* Fills both lists with pointers to what is checked, in the order of the names. */
static pynn_status sort_contents(struct contents *contents, const pynn_metadata *entries, const pynn_vector *vectors,
                                 pynn_error *error) {
  for (int32_t i = 0; i < contents->n_entries; i++) {
    pynn_status status = check_entry(&entries[i], error);
    if (status != PYNN_OK) return status;
    contents->entries[i] = &entries[i];
  }
  for (int32_t i = 0; i < contents->n_vectors; i++) {
    pynn_status status = check_vector(&vectors[i], error);
    if (status != PYNN_OK) return status;
    contents->vectors[i] = &vectors[i];
  }
  const struct {
    void *list;
    int32_t n;
    const char *what;
  } lists[] = {{contents->entries, contents->n_entries, "metadata keys"},
               {contents->vectors, contents->n_vectors, "names of vectors"}};
  for (int l = 0; l < 2; l++) {
    const void **list = lists[l].list;
    if (lists[l].n > 0) qsort(list, (size_t)lists[l].n, sizeof *list, compare_names);
    for (int32_t i = 1; i < lists[l].n; i++)
      if (compare_names(&list[i - 1], &list[i]) == 0)
        return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected different %s; received '%.80s' twice", lists[l].what,
                    name_of(list[i]));
  }
  return PYNN_OK;
}

/* Where finished bytes go: into the checksum, or to the disk. */
struct sink {
  struct checksum *sum;
  struct disk_file *disk;
};

/* Numbers in chunks as the file has them. */
static int put_data(const struct sink *sink, const void *data, uint64_t size, size_t element) {
  unsigned char chunk[CHUNK];
  for (uint64_t done = 0; done < size; done += CHUNK) {
    size_t n = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
    memcpy(chunk, (const char *)data + done, n);
    reorder(chunk, n, element);
    if (sink->sum) checksum_add(sink->sum, chunk, n);
    int code = sink->disk ? disk_write(sink->disk, chunk, n) : 0;
    if (code) return code;
  }
  return 0;
}

/* Everything after the header. */
static int put_contents(const struct sink *sink, const struct contents *contents) {
  const pynn_model *model = contents->model;
  int code = put_data(sink, model->state, state_size(model), sizeof *model->state);
  if (!code) code = put_data(sink, model->parameters, parameters_size(model), model->kernels->size);
  for (int32_t i = 0; i < contents->n_vectors && !code; i++) {
    const pynn_vector *vector = contents->vectors[i];
    code = put_data(sink, vector->data, vector_size(vector), pynn_dtype_size(vector->dtype));
  }
  return code;
}

/* `start` is everything before the parameters. */
static pynn_status replace_file(const struct contents *contents, const char *path, const unsigned char *start,
                                size_t size, pynn_error *error) {
  struct disk_file disk;
  const struct sink sink = {.disk = &disk};
  int code = disk_create(&disk, path);
  if (!code) code = disk_write(&disk, start, size);
  if (!code) code = put_contents(&sink, contents);
  if (!code) code = disk_commit(&disk);
  pynn_status status = code ? fail_disk(error, &disk, path, code) : PYNN_OK;
  disk_close(&disk);
  return status;
}

static pynn_status save_sorted(const struct contents *contents, const char *path, pynn_error *error) {
  const pynn_context *context = contents->model->context;
  struct json_writer writer = {0};
  put_header(&writer, contents);
  size_t size = FILE_PREFIX + writer.size;
  if (writer.size > MAX_HEADER)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected layers and metadata of at most %" PRIu64 " bytes; received %zu",
                MAX_HEADER, writer.size);
  unsigned char *start = context_allocate(context, size, 1);
  if (!start) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected %zu bytes of memory; received none", size);
  writer = (struct json_writer){.out = (char *)start + FILE_PREFIX, .capacity = writer.size};
  put_header(&writer, contents);
  store_u64(start, writer.size);

  struct checksum sum = {{0}, {0}, 0};
  const struct sink sink = {.sum = &sum};
  checksum_add(&sum, start, size);
  put_contents(&sink, contents);
  checksum_digits(&sum, (char *)start + CHECKSUM_OFFSET);
  pynn_status status = replace_file(contents, path, start, size, error);
  context_release(context, start, size, 1);
  return status;
}

pynn_status file_save(const pynn_model *model, const char *path, const pynn_metadata *entries, int32_t n_entries,
                      const pynn_vector *vectors, int32_t n_vectors, pynn_error *error) {
  if (n_vectors > FILE_VECTORS)
    return fail(error, PYNN_ERROR_TOO_LARGE, "expected at most %d vectors; received %" PRId32, FILE_VECTORS, n_vectors);
  const size_t count = (size_t)n_entries + (size_t)n_vectors;
  const void **sorted = context_allocate(model->context, count, sizeof *sorted);
  if (!sorted) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for %zu entries; received none", count);
  struct contents contents = {.model = model, .n_entries = n_entries, .n_vectors = n_vectors};
  contents.entries = (const pynn_metadata **)sorted;
  contents.vectors = (const pynn_vector **)(sorted + n_entries);
  pynn_status status = sort_contents(&contents, entries, vectors, error);
  if (status == PYNN_OK) status = save_sorted(&contents, path, error);
  context_release(model->context, sorted, count, sizeof *sorted);
  return status;
}

/* Names that begin with "pynn." are for the library alone. */
static int is_own_name(const char *name) { return name && strncmp(name, "pynn.", 5) == 0; }

pynn_status file_check_names(const pynn_metadata *entries, int32_t n_entries, const pynn_vector *vectors,
                             int32_t n_vectors, pynn_error *error) {
  for (int32_t i = 0; i < n_entries; i++)
    if (is_own_name(entries[i].key)) return bad_name(entries[i].key, "metadata key", error);
  for (int32_t i = 0; i < n_vectors; i++)
    if (is_own_name(vectors[i].name)) return bad_name(vectors[i].name, "vector's name", error);
  return PYNN_OK;
}

pynn_status pynn_save(const pynn_model *model, const char *path, const pynn_metadata *entries, int32_t n_entries,
                      pynn_error *error) {
  if (!model || !path || n_entries < 0 || (n_entries > 0 && !entries))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a model, a path and n_entries >= 0 entries; received %s",
                !model          ? "no model"
                : !path         ? "no path"
                : n_entries < 0 ? "a negative number"
                                : "no entries");
  pynn_status status = file_check_names(entries, n_entries, NULL, 0, error);
  return status ? status : file_save(model, path, entries, n_entries, NULL, 0, error);
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
  const pynn_context *context;
  unsigned char *start; /* everything before the parameters, and a NUL */
  size_t size;          /* without the NUL */
  struct json json;
  pynn_model_options options;
  int has_loss;
  pynn_spec loss, link;
  char custom[PYNN_CUSTOM_NAME]; /* name of a loss that is not in the library, "": none */
  struct layer *layers;          /* with their specs alone; the model's own in the end */
  int32_t n_layers, capacity;
  char (*customs)[PYNN_CUSTOM_NAME]; /* names of the layers' custom activations; NULL: none so far */
  int64_t *lists;                    /* MAX_COLUMNS numbers of the layers' columns and sizes; NULL: none so far */
  int64_t n_lists;
  struct file_vectors *vectors; /* NULL: the caller passes over them */
  int is_checkpoint;
  uint64_t end; /* of the last tensor, from the first one's beginning */
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

static const int64_t *take_list(struct json *json, struct draft *draft, const char *key, int64_t *n) {
  if (!json_has_key(json, key)) return NULL;
  if (!draft->lists) draft->lists = context_allocate(draft->context, (size_t)MAX_COLUMNS, sizeof *draft->lists);
  if (!draft->lists) json_fail(json, "memory for a list", "");
  int64_t *list = draft->lists + draft->n_lists, count = 0;
  json_open(json, '[');
  while (json_more(json)) {
    if (draft->n_lists == MAX_COLUMNS) json_fail(json, "no more columns than this version can have", "");
    else list[count++] = (int64_t)json_unsigned(json, (uint64_t)MAX_WIDTH), draft->n_lists++;
  }
  json_close(json, ']');
  if (*n && count != *n) json_fail(json, "as many sizes as columns", "");
  *n = count;
  return list;
}

static void take_custom_name(struct json *json, char out[PYNN_CUSTOM_NAME]) {
  const char *name = json_string(json);
  const size_t length = strlen(name);
  if (length < 1 || length >= PYNN_CUSTOM_NAME) json_fail(json, "a custom function with a shorter name", "");
  else memcpy(out, name, length);
}

/* Of the layer that was taken last. */
static void take_custom_activation(struct json *json, struct draft *draft) {
  if (!draft->customs)
    draft->customs = context_allocate(draft->context, (size_t)draft->capacity, sizeof *draft->customs);
  if (!draft->customs) json_fail(json, "memory for a name", "");
  else take_custom_name(json, draft->customs[draft->n_layers - 1]);
}

static void take_layer(struct json *json, struct draft *draft, pynn_layer *layer) {
  *layer = (pynn_layer){.struct_size = sizeof *layer};
  json_open(json, '{');
  take_spec(json, "kind", PYNN_LAYER, &layer->kind);
  for (int i = 0; i < N_LAYER_SPECS && !json_failed(json); i++) {
    if (!(layer_kinds[layer->kind.row]->specs >> i & 1)) continue;
    json_key(json, layer_specs[i].key);
    json_open(json, '{');
    take_spec(json, "name", layer_specs[i].table, layer_spec(layer, i));
    json_close(json, '}');
  }
  layer->columns = take_list(json, draft, "columns", &layer->n_columns);
  layer->sizes = take_list(json, draft, "sizes", &layer->n_columns);
  if (json_has_key(json, "custom_activation")) take_custom_activation(json, draft);
  json_close(json, '}');
}

/* The name and the link of a loss that is not in the library. */
static void take_custom_loss(struct json *json, struct draft *draft) {
  take_custom_name(json, draft->custom);
  json_key(json, "link");
  if (pynn_spec_named(&draft->link, PYNN_ACTIVATION, json_string(json)) != PYNN_OK)
    json_fail(json, "a name among this version's ", "activations");
}

/* The text of pynn.model. */
static void take_model(struct json *json, struct draft *draft) {
  pynn_model_options_init(&draft->options);
  json_open(json, '{');
  json_key(json, "dtype");
  const char *dtype = json_string(json);
  int is_double = strcmp(dtype, dtypes[PYNN_FLOAT64]) == 0;
  if (!is_double && strcmp(dtype, dtypes[PYNN_FLOAT32]) != 0) json_fail(json, "float32 or float64 as dtype", "");
  draft->options.dtype = is_double ? PYNN_FLOAT64 : PYNN_FLOAT32;
  json_key(json, "inputs");
  draft->options.inputs = (int64_t)json_unsigned(json, MAX_WIDTH);
  json_key(json, "seed");
  draft->options.seed = json_unsigned(json, UINT64_MAX);
  draft->options.target_scaling = json_has_key(json, "target_scaling") && json_boolean(json);
  json_key(json, "loss");
  draft->has_loss = !json_null(json);
  if (draft->has_loss) {
    json_open(json, '{');
    if (json_has_key(json, "custom")) take_custom_loss(json, draft);
    else take_spec(json, "name", PYNN_LOSS, &draft->loss);
    json_close(json, '}');
  }
  json_key(json, "layers");
  json_open(json, '[');
  while (json_more(json)) {
    if (draft->n_layers == draft->capacity) json_fail(json, "no more layers than this version can have", "");
    else take_layer(json, draft, &draft->layers[draft->n_layers++].spec);
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
    if (!valid_name(key) || (previous && strcmp(previous, key) >= 0)) json_fail(json, "keys of metadata in order", "");
    draft->is_checkpoint |= strncmp(key, "pynn.", 5) == 0;
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

/* Layers that begin in the text: nothing else in it begins so, as quotes within strings are escaped. At least 1. */
static int32_t count_layers(const char *text) {
  static const char beginning[] = "{\"kind\":";
  int32_t n = 0;
  for (const char *at = text; n < MAX_LAYERS && (at = strstr(at, beginning)); at++) n++;
  return n ? n : 1;
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
  draft->capacity = count_layers(text);
  draft->layers = context_allocate(context, (size_t)draft->capacity, sizeof *draft->layers);
  if (!draft->layers) return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for the layers; received none");
  take_model(&inner, draft);
  if (draft->n_layers != draft->capacity) json_fail(&inner, "as many layers as begin in it", "");
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
  if (size > MAX_HEADER)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected a safetensors file; received another kind of file");
  if (size > source->size - FILE_PREFIX)
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

/* A model of the right shape, if the source holds its parameters. */
static pynn_status make_model(pynn_model **out, const pynn_context *context, struct draft *draft, uint64_t size,
                              pynn_error *error) {
  pynn_model shape;
  pynn_status status = model_measure(&shape, context, &draft->options, &draft->layers->spec, sizeof *draft->layers,
                                     draft->n_layers, error);
  uint64_t bytes = status ? 0 : model_size(&shape);
  if (!status && bytes > size)
    return fail(error, PYNN_ERROR_FILE_FORMAT,
                "expected %" PRIu64 " bytes of parameters, as the layers say; received %" PRIu64, bytes, size);
  if (!status) {
    status = model_new_around(out, context, &draft->options, draft->layers, draft->n_layers, error);
    if (!status) draft->layers = NULL;
    return status;
  }
  if (error) error->status = PYNN_ERROR_FILE_FORMAT; /* the arguments came from the file */
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

/* A vector that begins where the last tensor ended. */
static void take_vector(struct draft *draft, const char *name, uint64_t room) {
  struct json *json = &draft->json;
  json_open(json, '{');
  json_key(json, "dtype");
  const char *text = json_string(json);
  int dtype = 0;
  while (dtype < N_TENSOR_DTYPES && strcmp(text, tensor_dtypes[dtype]) != 0) dtype++;
  if (dtype == N_TENSOR_DTYPES) json_fail(json, "a dtype of vectors", "");
  size_t size = json_failed(json) ? 1 : pynn_dtype_size((pynn_dtype)dtype);
  json_key(json, "shape");
  json_open(json, '[');
  uint64_t count = json_unsigned(json, (room - draft->end) / size);
  json_close(json, ']');
  json_key(json, "data_offsets");
  const uint64_t offsets[] = {draft->end, draft->end + count * size};
  take_numbers(json, offsets, 2);
  json_close(json, '}');
  if (json_failed(json)) return;
  draft->end = offsets[1];
  if (draft->vectors)
    draft->vectors->list[draft->vectors->n++] =
        (pynn_vector){.name = name, .dtype = (pynn_dtype)dtype, .count = (int64_t)count};
}

/* The vectors of a checkpoint, in the order of their names. `room`: bytes after the header. */
static void take_vectors(struct draft *draft, uint64_t room) {
  struct json *json = &draft->json;
  const char *previous = NULL, *name;
  for (int n = 0; draft->is_checkpoint && (name = json_next_key(json)); n++) {
    if (n == FILE_VECTORS) json_fail(json, "no more vectors than this version can have", "");
    if (!valid_name(name) || (previous && strcmp(previous, name) >= 0))
      json_fail(json, "names of vectors in order", "");
    previous = name;
    take_vector(draft, name, room);
  }
}

/* The tensors in the header must be those of the model, one after the other, then vectors up to the file's end. */
static pynn_status take_tensors(struct draft *draft, const pynn_model *model, uint64_t room, pynn_error *error) {
  struct json *json = &draft->json;
  for (int32_t i = 0; i < 2 * model->n_tensors; i++) {
    const pynn_tensor *tensor = in_file(model, i);
    if (!tensor) continue;
    struct entry entry = entry_of(model, tensor);
    take_tensor(json, &entry);
  }
  draft->end = model_size(model);
  take_vectors(draft, room);
  json_close(json, '}');
  json_finish(json);
  if (json_failed(json)) return fail_format(error, json, "the header");
  if (draft->end != room)
    return fail(error, PYNN_ERROR_FILE_FORMAT,
                "expected %" PRIu64 " bytes of numbers, as the header says; received %" PRIu64, draft->end, room);
  return PYNN_OK;
}

/* Numbers into the checksum and straight to where they belong; to nowhere when `out` is NULL. */
static pynn_status take_data(struct source *source, struct checksum *sum, void *out, uint64_t size, size_t element,
                             pynn_error *error) {
  unsigned char passed[CHUNK];
  for (uint64_t done = 0; done < size; done += CHUNK) {
    unsigned char *chunk = out ? (unsigned char *)out + done : passed;
    size_t n = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
    pynn_status status = take(source, chunk, n, error);
    if (status != PYNN_OK) return status;
    checksum_add(sum, chunk, n);
    reorder(chunk, n, element);
  }
  return PYNN_OK;
}

/* Everything after the header; then the checksum must be the one that the file says. */
static pynn_status take_contents(struct draft *draft, pynn_model *model, struct source *source, struct checksum *sum,
                                 const char digits[CHECKSUM_DIGITS], pynn_error *error) {
  struct file_vectors *vectors = draft->vectors;
  pynn_status status = take_data(source, sum, model->state, state_size(model), sizeof *model->state, error);
  if (!status) status = take_data(source, sum, model->parameters, parameters_size(model), model->kernels->size, error);
  if (!vectors && !status) status = take_data(source, sum, NULL, draft->end - model_size(model), 1, error);
  char *data = vectors ? vectors->block : NULL;
  for (int32_t i = 0; vectors && i < vectors->n && !status; i++) {
    pynn_vector *vector = &vectors->list[i];
    vector->data = data;
    status = take_data(source, sum, data, vector_size(vector), pynn_dtype_size(vector->dtype), error);
    data += vector_size(vector);
  }
  if (status != PYNN_OK) return status;
  char computed[CHECKSUM_DIGITS];
  checksum_digits(sum, computed);
  if (memcmp(computed, digits, CHECKSUM_DIGITS) != 0)
    return fail(error, PYNN_ERROR_FILE_FORMAT, "expected checksum %.16s; received %.16s: the file is damaged", digits,
                computed);
  return PYNN_OK;
}

/* Memory for as many vectors as the rest of the header can describe, and later for their numbers. */
static pynn_status make_list(struct draft *draft, const pynn_context *context, pynn_error *error) {
  static const char shortest[] = "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  struct file_vectors *vectors = draft->vectors;
  if (!vectors) return PYNN_OK;
  size_t most = (size_t)(draft->json.end - draft->json.at) / (sizeof shortest - 1) + 1;
  vectors->capacity = most < FILE_VECTORS ? (int32_t)most : FILE_VECTORS;
  vectors->list = context_allocate(context, (size_t)vectors->capacity, sizeof *vectors->list);
  if (vectors->list) return PYNN_OK;
  return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for the names of vectors; received none");
}

static pynn_status make_block(struct draft *draft, const pynn_model *model, pynn_error *error) {
  struct file_vectors *vectors = draft->vectors;
  if (!vectors) return PYNN_OK;
  vectors->size = (size_t)(draft->end - model_size(model));
  vectors->block = context_allocate(model->context, vectors->size, 1);
  if (vectors->block) return PYNN_OK;
  return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected %zu bytes of memory; received none", vectors->size);
}

/* Of a layer without an activation the file speaks in vain. */
static pynn_status name_custom_activation(pynn_model *model, int32_t index, const char *name, pynn_error *error) {
  if (model_name_custom_activation(model, index, name, error) == PYNN_OK) return PYNN_OK;
  if (error) error->status = PYNN_ERROR_FILE_FORMAT;
  return PYNN_ERROR_FILE_FORMAT;
}

static pynn_status load_draft(pynn_model **out, const pynn_context *context, struct source *source, struct draft *draft,
                              pynn_error *error) {
  pynn_status status = take_start(draft, context, source, error);
  if (status != PYNN_OK) return status;
  char digits[CHECKSUM_DIGITS];
  struct checksum sum = {{0}, {0}, 0};
  memcpy(digits, draft->start + CHECKSUM_OFFSET, CHECKSUM_DIGITS);
  memset(draft->start + CHECKSUM_OFFSET, '0', CHECKSUM_DIGITS);
  checksum_add(&sum, draft->start, draft->size);

  const uint64_t room = source->size - draft->size;
  status = take_metadata(draft, context, error);
  if (status == PYNN_OK) status = make_model(out, context, draft, room, error);
  if (status == PYNN_OK) status = make_list(draft, context, error);
  if (status == PYNN_OK) status = take_tensors(draft, *out, room, error);
  if (status == PYNN_OK) status = make_block(draft, *out, error);
  if (status == PYNN_OK) status = take_contents(draft, *out, source, &sum, digits, error);
  if (status == PYNN_OK && draft->custom[0])
    status = model_name_custom_loss(*out, draft->custom, pynn_table_row(PYNN_ACTIVATION, draft->link.row)->name);
  else if (status == PYNN_OK && draft->has_loss) status = pynn_model_set_loss(*out, &draft->loss);
  for (int32_t i = 0; draft->customs && status == PYNN_OK && i < draft->n_layers; i++)
    if (draft->customs[i][0]) status = name_custom_activation(*out, i, draft->customs[i], error);
  return status;
}

void file_release(const pynn_context *context, struct file_vectors *vectors) {
  context_release(context, vectors->list, (size_t)vectors->capacity, sizeof *vectors->list);
  context_release(context, vectors->block, vectors->size, 1);
  *vectors = (struct file_vectors){0};
}

static pynn_status load(pynn_model **out, struct file_vectors *vectors, const pynn_context *context,
                        struct source *source, pynn_error *error) {
  pynn_model *model = NULL;
  struct file_vectors found = {0};
  struct draft draft = {.context = context, .vectors = vectors ? &found : NULL};
  pynn_status status = load_draft(&model, context, source, &draft, error);
  context_release(context, draft.layers, (size_t)draft.capacity, sizeof *draft.layers);
  context_release(context, draft.customs, (size_t)draft.capacity, sizeof *draft.customs);
  context_release(context, draft.lists, (size_t)MAX_COLUMNS, sizeof *draft.lists);
  if (status != PYNN_OK) {
    file_release(context, &found);
    context_release(context, draft.start, draft.size + 1, 1);
    pynn_model_free(model);
    return status;
  }
  model->metadata = (char *)draft.start;
  model->metadata_size = draft.size + 1;
  if (vectors) *vectors = found;
  *out = model;
  return PYNN_OK;
}

pynn_status file_load(pynn_model **out, struct file_vectors *vectors, const pynn_context *context, const char *path,
                      pynn_error *error) {
  struct disk_file disk;
  struct source source = {.disk = &disk, .path = path};
  int code = disk_open(&disk, path, &source.size);
  pynn_status status = code ? fail_disk(error, &disk, path, code) : load(out, vectors, context, &source, error);
  if (error && status == PYNN_ERROR_FILE_FORMAT) {
    size_t n = strlen(error->message);
    snprintf(error->message + n, sizeof error->message - n, " (in '%s')", path_end(path));
  }
  disk_close(&disk);
  return status;
}

pynn_status file_load_memory(pynn_model **out, struct file_vectors *vectors, const pynn_context *context,
                             const void *bytes, size_t size, pynn_error *error) {
  struct source source = {.bytes = bytes, .size = size};
  return load(out, vectors, context, &source, error);
}

pynn_status pynn_load(pynn_model **out, const pynn_context *context, const char *path, pynn_error *error) {
  if (!out || !context || !path)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and a path; received NULL");
  return file_load(out, NULL, context, path, error);
}

pynn_status pynn_load_memory(pynn_model **out, const pynn_context *context, const void *bytes, size_t size,
                             pynn_error *error) {
  if (!out || !context || (!bytes && size > 0))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out, a context and bytes; received NULL");
  return file_load_memory(out, NULL, context, bytes, size, error);
}

const char *pynn_model_metadata(const pynn_model *model, const char *key) {
  for (const char *entry = model && key ? model->metadata : NULL; entry && *entry;) {
    const char *value = entry + strlen(entry) + 1;
    if (strcmp(entry, key) == 0) return value;
    entry = value + strlen(value) + 1;
  }
  return NULL;
}
