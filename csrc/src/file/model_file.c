/* Files of models and checkpoints. A file is a valid safetensors file: the header's length (8 bytes, little-endian),
 * the header (JSON), then the numbers (little-endian), which begin at a multiple of 64:
 *
 *   {"__metadata__":{"format":"pynn", "pynn.checksum":"<16 hex digits>", "pynn.version":"1", "pynn.model":"<JSON>",
 *                    <the caller's entries in the order of their keys>},
 *    "layers.0.kernel":{"dtype":"F32", "shape":[inputs, units], "data_offsets":[begin, end]}, "layers.0.bias": ...,
 *    <vectors in the order of their names, in checkpoints only: "pynn.steps":{"dtype":"I64", "shape":[1], ...}>}
 *
 * schema.h describes pynn.model. State that is not trained ("layers.0.shift", "layers.target_shift", F64) stands before
 * the parameters.
 *
 * A checkpoint (checkpoint.c) has text entries and vectors whose names start with "pynn."; a reader of models skips the
 * vectors. The reader takes keys and tensors in this order only, so that duplicates, holes and overlaps cannot occur.
 * Parameters are read as they are, NaN and infinity too. */
#include "file/model_file.h"

#include "file/safetensors.h"
#include "file/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "1"

/* ---------------------------------------------------------------- tensors */

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

/* ---------------------------------------------------------------- save */

/* What a file is made of. Entries and vectors in the order of their names. */
struct contents {
  const pynn_model *model;
  const pynn_metadata **entries;
  const pynn_vector **vectors;
  int32_t n_entries, n_vectors;
};

static void put_header(struct json_writer *writer, const struct contents *contents) {
  const pynn_model *model = contents->model;
  uint64_t offset = model_size(model);
  json_put(writer, FILE_START "0000000000000000\",\"pynn.version\":\"" VERSION "\",\"pynn.model\":\"");
  writer->nested = 1;
  schema_put(writer, model);
  writer->nested = 0;
  json_put(writer, "\"");
  for (int32_t i = 0; i < contents->n_entries; i++) {
    json_put_key(writer, contents->entries[i]->key);
    json_put_string(writer, contents->entries[i]->value);
  }
  json_put(writer, "}");
  for (int32_t i = 0; i < 2 * model->n_tensors; i++) {
    const pynn_tensor *tensor = in_file(model, i);
    if (!tensor) continue;
    struct entry entry = entry_of(model, tensor);
    put_entry(writer, entry.name, &entry);
  }
  for (int32_t i = 0; i < contents->n_vectors; i++) {
    const pynn_vector *vector = contents->vectors[i];
    struct entry entry = {.dtype = tensor_dtypes[vector->dtype], .rank = 1, .shape = {(uint64_t)vector->count}};
    entry.offsets[0] = offset;
    entry.offsets[1] = offset += vector_size(vector);
    put_entry(writer, vector->name, &entry);
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

/* Entries and vectors are kept in the order of their names, which both begin with. */
static const char *name_of(const void *named) { return *(const char *const *)named; }

static int compare_names(const void *a, const void *b) {
  return strcmp(name_of(*(const void *const *)a), name_of(*(const void *const *)b));
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

/* A file on its way to a model. The header is one block of memory, which becomes the model's metadata: nothing of the
 * file is held twice. */
struct draft {
  unsigned char *start; /* everything before the parameters, and a NUL */
  size_t size;          /* without the NUL */
  struct json json;
  struct schema schema;
  struct file_vectors *vectors; /* NULL: the caller skips them */
  int is_checkpoint;
  uint64_t end; /* of the last tensor, from the first one's beginning */
};

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
  pynn_status status = schema_take(&draft->schema, context, text, error);
  if (status) return status;
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
  pynn_status status = take_bytes(source, prefix, FILE_PREFIX, error);
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
  status = take_bytes(source, draft->start + FILE_PREFIX, (size_t)size, error);
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

/* A vector that begins where the last tensor ended. */
static void draft_vector(struct draft *draft, const char *name, uint64_t room) {
  pynn_vector vector = {.name = name};
  draft->end = take_vector(&draft->json, draft->end, room, &vector);
  if (!json_failed(&draft->json) && draft->vectors) draft->vectors->list[draft->vectors->n++] = vector;
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
    draft_vector(draft, name, room);
  }
}

/* The tensors in the header must be those of the model, one after the other, then vectors up to the file's end. */
static pynn_status take_tensors(struct draft *draft, const pynn_model *model, uint64_t room, pynn_error *error) {
  struct json *json = &draft->json;
  for (int32_t i = 0; i < 2 * model->n_tensors; i++) {
    const pynn_tensor *tensor = in_file(model, i);
    if (!tensor) continue;
    struct entry entry = entry_of(model, tensor);
    take_entry(json, &entry);
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
  if (status == PYNN_OK) status = schema_make(&draft->schema, room, out, error);
  if (status == PYNN_OK) status = make_list(draft, context, error);
  if (status == PYNN_OK) status = take_tensors(draft, *out, room, error);
  if (status == PYNN_OK) status = make_block(draft, *out, error);
  if (status == PYNN_OK) status = take_contents(draft, *out, source, &sum, digits, error);
  if (status == PYNN_OK) status = schema_finish(&draft->schema, *out, error);
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
  struct draft draft = {.vectors = vectors ? &found : NULL};
  pynn_status status = load_draft(&model, context, source, &draft, error);
  schema_release(&draft.schema);
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
