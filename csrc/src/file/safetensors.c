/* Parts of safetensors files. */
#include "file/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BYTES ((size_t)1 << 15) /* moved at once, a multiple of every element's size */

const char *const tensor_dtypes[] = {"F32", "F64", "F16", "BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"};
#define N_TENSOR_DTYPES ((int)(sizeof tensor_dtypes / sizeof *tensor_dtypes))

int valid_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (!name || !*name || name[strspn(name, letters)] != '\0') return 0;
  return strcmp(name, "format") != 0 && strcmp(name, "__metadata__") != 0 && strncmp(name, "layers.", 7) != 0;
}

const char *path_end(const char *path) {
  size_t size = strlen(path), most = 120;
  if (size > most) path += size - most;
  while ((*path & 0xC0) == 0x80) path++; /* not from the middle of a UTF-8 sequence */
  return path;
}

pynn_status fail_disk(pynn_error *error, const struct disk_file *disk, const char *path, int code) {
  char text[80];
  disk_error_text(code, text, sizeof text);
  return fail(error, PYNN_ERROR_IO, "expected to %s '%s'; received '%s'", disk->operation, path_end(path), text);
}

pynn_status fail_format(pynn_error *error, const struct json *json, const char *where) {
  char received[25];
  json_excerpt(json, received, sizeof received);
  return fail(error, PYNN_ERROR_FILE_FORMAT, "expected %s in %s; received %s", json->expected, where, received);
}

/* ---- entries */

void put_entry(struct json_writer *writer, const char *name, const struct entry *entry) {
  json_put_key(writer, name);
  json_put(writer, "{\"dtype\":");
  json_put_string(writer, entry->dtype);
  json_put_key(writer, "shape");
  json_put_unsigneds(writer, entry->shape, (int64_t)entry->rank);
  json_put_key(writer, "data_offsets");
  json_put_unsigneds(writer, entry->offsets, 2);
  json_put(writer, "}");
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

void take_entry(struct json *json, const struct entry *entry) {
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

uint64_t take_vector(struct json *json, uint64_t begin, uint64_t room, pynn_vector *out) {
  json_open(json, '{');
  json_key(json, "dtype");
  const char *text = json_string(json);
  int dtype = 0;
  while (dtype < N_TENSOR_DTYPES && strcmp(text, tensor_dtypes[dtype]) != 0) dtype++;
  if (dtype == N_TENSOR_DTYPES) json_fail(json, "a dtype of vectors", "");
  size_t size = json_failed(json) ? 1 : pynn_dtype_size((pynn_dtype)dtype);
  json_key(json, "shape");
  json_open(json, '[');
  uint64_t count = json_unsigned(json, (room - begin) / size);
  json_close(json, ']');
  json_key(json, "data_offsets");
  const uint64_t offsets[] = {begin, begin + count * size};
  take_numbers(json, offsets, 2);
  json_close(json, '}');
  if (json_failed(json)) return begin;
  out->dtype = (pynn_dtype)dtype, out->count = (int64_t)count;
  return offsets[1];
}

/* ---- numbers */

/* Converts between the byte order of this machine and of the file, in place: does nothing on little-endian machines. */
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

int put_data(const struct sink *sink, const void *data, uint64_t size, size_t element) {
  unsigned char chunk[BYTES];
  for (uint64_t done = 0; done < size; done += BYTES) {
    size_t n = size - done < BYTES ? (size_t)(size - done) : BYTES;
    memcpy(chunk, (const char *)data + done, n);
    reorder(chunk, n, element);
    if (sink->sum) checksum_add(sink->sum, chunk, n);
    int code = sink->disk ? disk_write(sink->disk, chunk, n) : 0;
    if (code) return code;
  }
  return 0;
}

pynn_status take_bytes(struct source *source, void *out, size_t size, pynn_error *error) {
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

pynn_status take_data(struct source *source, struct checksum *sum, void *out, uint64_t size, size_t element,
                      pynn_error *error) {
  unsigned char passed[BYTES];
  for (uint64_t done = 0; done < size; done += BYTES) {
    unsigned char *chunk = out ? (unsigned char *)out + done : passed;
    size_t n = size - done < BYTES ? (size_t)(size - done) : BYTES;
    pynn_status status = take_bytes(source, chunk, n, error);
    if (status != PYNN_OK) return status;
    checksum_add(sum, chunk, n);
    reorder(chunk, n, element);
  }
  return PYNN_OK;
}
