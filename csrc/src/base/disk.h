/* Everything that the library asks of the operating system about files: whole reads, and writes that replace a file
 * at once or not at all. Functions return 0 or an errno value and leave in `operation` what was being done. */
#ifndef PYNN_DISK_H
#define PYNN_DISK_H

#include <stddef.h>
#include <stdint.h>

#define DISK_PATH 4096

struct disk_file {
  int file, directory;    /* descriptors, -1: none */
  const char *operation;  /* what is being done, to follow "expected to ..." */
  char target[DISK_PATH]; /* writing: the path with symbolic links resolved */
  char temporary[32];     /* writing: a name in the target's directory, "" when there is no such file */
};

/* Opens a regular file (never waits on a pipe) and tells its size. */
int disk_open(struct disk_file *disk, const char *path, uint64_t *size);
/* Reads `size` bytes, or fewer only at the end of the file. */
int disk_read(struct disk_file *disk, void *out, size_t size, size_t *taken);

/* Starts a temporary file that will replace the regular file at `path`, or at the end of its symbolic links. It has
 * that file's mode, or for a new one what the umask leaves. Removes what killed writers of that file left behind. */
int disk_create(struct disk_file *disk, const char *path);
int disk_write(struct disk_file *disk, const void *bytes, size_t size);
/* Puts what was written at the target, on the disk itself, before it returns. */
int disk_commit(struct disk_file *disk);

/* Closes; removes what was not committed. Legal on an object that failed to open, and twice. */
void disk_close(struct disk_file *disk);

/* Row rows[i], which lies `offset + rows[i] * step` bytes into an open file, to place places[i] of `out`, n rows of
 * `size` bytes; fastest when `rows` ascend. Returns how many could be read. */
int64_t disk_read_rows(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows, const int64_t *places,
                       int64_t n, char *out);

/* The system's text for an error number. Thread-safe. */
void disk_error_text(int code, char *text, size_t size);

#endif
