/* Files of models, with the vectors and texts of checkpoints. */
#ifndef PYNN_MODEL_FILE_H
#define PYNN_MODEL_FILE_H

#include "file/checksum.h"
#include "pynn.h"

/* The vectors of a loaded file: `list` in the order of the names, which are in the metadata of its model. */
struct file_vectors {
  pynn_vector *list;
  int32_t n, capacity;
  void *block; /* the numbers of all */
  size_t size; /* of the block, in bytes */
};
#define FILE_VECTORS 1024 /* the most of a file */

/* pynn_save with vectors; names may begin with "pynn.". Everything is checked before a file is touched. */
pynn_status file_save(const pynn_model *model, const char *path, const pynn_metadata *entries, int32_t n_entries,
                      const pynn_vector *vectors, int32_t n_vectors, pynn_error *error);
/* INVALID_ARGUMENT for a name that callers may not use. */
pynn_status file_check_names(const pynn_metadata *entries, int32_t n_entries, const pynn_vector *vectors,
                             int32_t n_vectors, pynn_error *error);

/* pynn_load with the vectors, to be released; `vectors` NULL: they are skipped. */
pynn_status file_load(pynn_model **out, struct file_vectors *vectors, const pynn_context *context, const char *path,
                      pynn_error *error);
pynn_status file_load_memory(pynn_model **out, struct file_vectors *vectors, const pynn_context *context,
                             const void *bytes, size_t size, pynn_error *error);
void file_release(const pynn_context *context, struct file_vectors *vectors);

#endif
