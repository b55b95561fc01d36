/* Files of models, with vectors and texts of checkpoints beside them; and what tests and fuzzers need to know about
 * their bytes. */
#ifndef PYNN_FILE_H
#define PYNN_FILE_H

#include <stddef.h>

#include "base/json.h"
#include "pynn.h"

#define FILE_PREFIX 8 /* bytes of the header's length */
/* How the header of every model file begins; CHECKSUM_DIGITS digits of the checksum follow. */
#define FILE_START "{\"__metadata__\":{\"format\":\"pynn\",\"pynn.checksum\":\""
#define CHECKSUM_OFFSET (FILE_PREFIX + sizeof FILE_START - 1)
#define CHECKSUM_DIGITS 16

/* The checksum of a whole file, as lower-case hexadecimal digits without NUL. The place of the digits in the file
 * counts as '0'. size >= CHECKSUM_OFFSET + CHECKSUM_DIGITS. */
void file_checksum(const void *bytes, size_t size, char digits[CHECKSUM_DIGITS]);

/* The vectors of a loaded file: `list` in the order of the names, which are in the metadata of its model. */
struct file_vectors {
  pynn_vector *list;
  int32_t n, capacity;
  void *block; /* the numbers of all */
  size_t size; /* of the block, in bytes */
};
#define FILE_VECTORS 1024 /* most that a file has */

/* pynn_save with vectors; names may begin with "pynn.". Everything is checked before a file is touched. */
pynn_status file_save(const pynn_model *model, const char *path, const pynn_metadata *entries, int32_t n_entries,
                      const pynn_vector *vectors, int32_t n_vectors, pynn_error *error);
/* INVALID_ARGUMENT when a name is none that callers may use. */
pynn_status file_check_names(const pynn_metadata *entries, int32_t n_entries, const pynn_vector *vectors,
                             int32_t n_vectors, pynn_error *error);

/* pynn_load with the vectors, to be released; `vectors` NULL: they are passed over. */
pynn_status file_load(pynn_model **out, struct file_vectors *vectors, const pynn_context *context, const char *path,
                      pynn_error *error);
pynn_status file_load_memory(pynn_model **out, struct file_vectors *vectors, const pynn_context *context,
                             const void *bytes, size_t size, pynn_error *error);
void file_release(const pynn_context *context, struct file_vectors *vectors);

/* "key":"<the row's name>" and its numbers but the one called `without` (NULL: all). */
void file_put_spec(struct json_writer *writer, const char *key, const pynn_spec *spec, const char *without);

#endif
