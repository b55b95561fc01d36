/* Parts of safetensors files: entries of the header, numbers, and where bytes come from and go to. */
#ifndef PYNN_SAFETENSORS_H
#define PYNN_SAFETENSORS_H

#include "base/disk.h"
#include "base/json.h"
#include "base/status.h"
#include "file/checksum.h"

#define ALIGNMENT 64
#define MAX_HEADER ((uint64_t)100 << 20) /* the limit of other readers of safetensors */

/* The dtypes of tensors, by pynn_dtype. */
extern const char *const tensor_dtypes[];

/* A tensor as the header describes it. */
struct entry {
  char name[64];
  const char *dtype;
  uint64_t shape[2], offsets[2]; /* offsets in bytes: begin and end */
  size_t rank;
};
/* Writes an entry; takes one, which must be the next in the header and exactly this. */
void put_entry(struct json_writer *writer, const char *name, const struct entry *entry);
void take_entry(struct json *json, const struct entry *entry);
/* Takes dtype and count of a vector that begins at byte `begin` and ends within `room` bytes; returns its end. */
uint64_t take_vector(struct json *json, uint64_t begin, uint64_t room, pynn_vector *out);
static inline uint64_t vector_size(const pynn_vector *vector) {
  return (uint64_t)vector->count * pynn_dtype_size(vector->dtype);
}

/* Whether a name may stand in a header: letters, digits, '.', '_', '-', and none that the format reserves. */
int valid_name(const char *name);

/* Where written bytes go: into a checksum, or to the disk. */
struct sink {
  struct checksum *sum;
  struct disk_file *disk;
};
/* Writes numbers of `element` bytes each in the byte order of the file; returns an errno value. */
int put_data(const struct sink *sink, const void *data, uint64_t size, size_t element);

/* Where bytes come from: memory, or the disk when `bytes` is NULL. */
struct source {
  const unsigned char *bytes;
  struct disk_file *disk;
  const char *path;
  uint64_t size, taken;
};
/* Reads the next `size` bytes; the source was checked to have them. */
pynn_status take_bytes(struct source *source, void *out, size_t size, pynn_error *error);
/* Reads numbers into `out` (NULL: skips them) and adds them to the checksum. */
pynn_status take_data(struct source *source, struct checksum *sum, void *out, uint64_t size, size_t element,
                      pynn_error *error);

/* The end of a path, as much of it as a message can hold. */
const char *path_end(const char *path);
pynn_status fail_disk(pynn_error *error, const struct disk_file *disk, const char *path, int code);
pynn_status fail_format(pynn_error *error, const struct json *json, const char *where);

#endif
