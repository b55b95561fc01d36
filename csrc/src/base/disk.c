/* Files through POSIX; see disk.h. */
#undef _GNU_SOURCE /* for the strerror_r that is standard */
#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* for flock */

#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINKS 40
#define MAX_NAMES 100
#define MAX_TRANSFER ((size_t)1 << 30) /* some systems refuse more in one call */
#define TEMPORARY_PREFIX 15            /* characters of ".pynn-xxxxxxxx-" */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static int not_regular(mode_t mode) { return S_ISREG(mode) ? 0 : S_ISDIR(mode) ? EISDIR : EINVAL; }

/* ---------------------------------------------------------------- reading */

int disk_open(struct disk_file *disk, const char *path, uint64_t *size) {
  *disk = (struct disk_file){.file = -1, .directory = -1, .operation = "open the regular file"};
  struct stat status;
  do disk->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (disk->file < 0 && errno == EINTR);
  if (disk->file < 0 || fstat(disk->file, &status) != 0) return errno;
  *size = (uint64_t)status.st_size;
  return not_regular(status.st_mode);
}

int disk_read(struct disk_file *disk, void *out, size_t size, size_t *taken) {
  disk->operation = "read";
  *taken = 0;
  while (*taken < size) {
    ssize_t n = read(disk->file, (char *)out + *taken, smaller(size - *taken, MAX_TRANSFER));
    if (n == 0) break;
    if (n > 0) *taken += (size_t)n;
    else if (errno != EINTR) return errno;
  }
  return 0;
}

/* Bytes from `offset` on; how many there were, fewer than `size` only at the end of the file or on an error. */
static int64_t read_at(int file, int64_t offset, int64_t size, char *out) {
  int64_t done = 0;
  while (done < size) {
    const ssize_t n = pread(file, out + done, smaller((size_t)(size - done), MAX_TRANSFER), (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += n;
  }
  return done;
}

/* A call of the system costs what a few kilobytes do, so rows that near, the next further on, are read with the bytes
 * between them. */
int64_t disk_read_rows(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows, const int64_t *places,
                       int64_t n, char *out) {
  enum { SPAN = 1 << 15, GAP = 1 << 12 };
  char span[SPAN];
  for (int64_t i = 0, many; i < n; i += many) {
    const int64_t from = offset + rows[i] * step;
    many = 1;
    while (step == size && i + many < n && rows[i + many] == rows[i] + many && places[i + many] == places[i] + many)
      many++;
    if (many > 1 || size > SPAN) { /* they stand together in both */
      const int64_t got = read_at(file, from, many * size, out + places[i] * size);
      if (got < many * size) return i + got / size;
      continue;
    }
    while (i + many < n && rows[i + many] >= rows[i + many - 1] &&
           (rows[i + many] - rows[i + many - 1]) * step <= GAP + size &&
           (rows[i + many] - rows[i]) * step + size <= SPAN)
      many++;
    const int64_t got = read_at(file, from, (rows[i + many - 1] - rows[i]) * step + size, span);
    for (int64_t j = i; j < i + many; j++) {
      const char *row = span + (rows[j] - rows[i]) * step;
      if (row + size > span + got) return j;
      memcpy(out + places[j] * size, row, (size_t)size);
    }
  }
  return n;
}

/* ---------------------------------------------------------------- writing */

/* The last part of a path. */
static char *base_name(char *path) {
  char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* Follows symbolic links in the last part of disk->target, also to a file that does not exist. */
static int follow_links(struct disk_file *disk) {
  char link[DISK_PATH];
  for (int links = 0; links < MAX_LINKS; links++) {
    ssize_t n = readlink(disk->target, link, sizeof link);
    if (n < 0) return errno == EINVAL || errno == ENOENT ? 0 : errno;
    size_t kept = link[0] == '/' ? 0 : (size_t)(base_name(disk->target) - disk->target);
    if (kept + (size_t)n >= DISK_PATH) return ENAMETOOLONG;
    memcpy(disk->target + kept, link, (size_t)n);
    disk->target[kept + (size_t)n] = '\0';
  }
  return ELOOP;
}

static int open_directory(struct disk_file *disk) {
  char directory[DISK_PATH + 1];
  size_t size = (size_t)(base_name(disk->target) - disk->target);
  memcpy(directory, disk->target, size);
  memcpy(directory + size, ".", 2);
  disk->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return disk->directory < 0 ? errno : 0;
}

/* What the names of a target's temporary files begin with: these are ours to remove. */
static void temporary_prefix(struct disk_file *disk, char prefix[TEMPORARY_PREFIX + 1]) {
  uint32_t hash = 2166136261u;
  for (const char *c = base_name(disk->target); *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  snprintf(prefix, TEMPORARY_PREFIX + 1, ".pynn-%08x-", (unsigned)hash);
}

/* A name that others cannot foresee; O_EXCL is what makes it safe. */
static void choose_name(struct disk_file *disk) {
  struct timespec now;
  char prefix[TEMPORARY_PREFIX + 1];
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t name = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
  name = (name ^ (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)disk) * 0x9E3779B97F4A7C15u;
  temporary_prefix(disk, prefix);
  snprintf(disk->temporary, sizeof disk->temporary, "%s%010llx.tmp", prefix,
           (unsigned long long)(name ^ name >> 29) & 0xFFFFFFFFFFu);
}

/* A temporary file is locked while it is written, so that others know it from one whose writer was killed: the lock
 * ends with the descriptor. Where nothing can be locked nothing is ever removed, either. */
static int open_temporary(struct disk_file *disk, mode_t mode) {
  struct stat status;
  for (int names = 0; names < MAX_NAMES; names++) {
    choose_name(disk);
    disk->file = openat(disk->directory, disk->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (disk->file < 0 && errno != EEXIST && errno != EINTR) break;
    if (disk->file < 0) continue;
    flock(disk->file, LOCK_EX | LOCK_NB);
    if (fstat(disk->file, &status) != 0) return errno;
    if (status.st_nlink > 0) return 0;
    close(disk->file); /* someone took it for an old one before it was locked */
    disk->file = -1;
    errno = EEXIST;
  }
  disk->temporary[0] = '\0';
  return errno;
}

static void remove_if_left(int directory, const char *name) {
  int file = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return;
  if (flock(file, LOCK_EX | LOCK_NB) == 0) unlinkat(directory, name, 0);
  close(file);
}

/* Removes what writers of this target left behind when they were killed. Best effort: a failure means nothing. */
static void remove_left(struct disk_file *disk) {
  char prefix[TEMPORARY_PREFIX + 1];
  temporary_prefix(disk, prefix);
  int copy = openat(disk->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (!directory) {
    if (copy >= 0) close(copy);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory));)
    if (strncmp(entry->d_name, prefix, TEMPORARY_PREFIX) == 0) remove_if_left(disk->directory, entry->d_name);
  closedir(directory);
}

int disk_create(struct disk_file *disk, const char *path) {
  *disk = (struct disk_file){.file = -1, .directory = -1, .operation = "find"};
  size_t size = strlen(path);
  if (size >= DISK_PATH) return ENAMETOOLONG;
  memcpy(disk->target, path, size + 1);
  int code = follow_links(disk);
  if (code) return code;

  disk->operation = "open the directory of";
  code = open_directory(disk);
  if (code) return code;

  disk->operation = "replace the regular file";
  struct stat old;
  const char *name = base_name(disk->target);
  if (!*name) return *path ? EISDIR : ENOENT;
  int exists = fstatat(disk->directory, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) return errno;
  if (exists && not_regular(old.st_mode)) return not_regular(old.st_mode);
  if (exists && faccessat(disk->directory, name, W_OK, 0) != 0) return errno;

  remove_left(disk);
  disk->operation = "create a temporary file beside";
  code = open_temporary(disk, exists ? old.st_mode & 0777 : 0666);
  if (code) return code;
  return exists && fchmod(disk->file, old.st_mode & 07777) != 0 ? errno : 0;
}

int disk_write(struct disk_file *disk, const void *bytes, size_t size) {
  disk->operation = "write";
  for (size_t done = 0; done < size;) {
    ssize_t n = write(disk->file, (const char *)bytes + done, smaller(size - done, MAX_TRANSFER));
    if (n > 0) done += (size_t)n;
    else if (n == 0 || errno != EINTR) return n == 0 ? ENOSPC : errno;
  }
  return 0;
}

static int synchronise(int descriptor) {
  int result;
  do result = fsync(descriptor);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

int disk_commit(struct disk_file *disk) {
  disk->operation = "synchronise";
  int code = synchronise(disk->file);
  if (code) return code;
  disk->operation = "close";
  int file = disk->file;
  disk->file = -1; /* closed, whatever close says */
  if (close(file) != 0 && errno != EINTR) return errno;
  disk->operation = "rename a temporary file to";
  if (renameat(disk->directory, disk->temporary, disk->directory, base_name(disk->target)) != 0) return errno;
  disk->temporary[0] = '\0';
  disk->operation = "synchronise the directory of";
  code = synchronise(disk->directory);
  return code == EINVAL ? 0 : code; /* a file system that has no such thing */
}

void disk_close(struct disk_file *disk) {
  if (disk->file >= 0) close(disk->file);
  if (disk->temporary[0]) unlinkat(disk->directory, disk->temporary, 0);
  if (disk->directory >= 0) close(disk->directory);
  disk->file = disk->directory = -1;
  disk->temporary[0] = '\0';
}

void disk_error_text(int code, char *text, size_t size) {
  if (strerror_r(code, text, size) != 0) snprintf(text, size, "error %d", code);
}
