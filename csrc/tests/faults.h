/* Memory that is counted and can run out, and system calls that fail: the n-th one, or all from the n-th on. */
#ifndef FAULTS_H
#define FAULTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* ---------------------------------------------------------------- memory */

static size_t in_use, peak;
static long allocations, failing_allocation = -1; /* -1: none */
static int all_allocations_after;

static inline void *count_allocate(void *user, size_t size) {
  (void)user;
  const long n = allocations++;
  if (failing_allocation >= 0 && (n == failing_allocation || (all_allocations_after && n > failing_allocation)))
    return NULL;
  void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
  if (!memory) return NULL;
  memset(memory, 0xA5, size); /* what is not set is seen */
  in_use += size;
  if (in_use > peak) peak = in_use;
  return memory;
}

static inline void count_release(void *user, void *memory, size_t size) {
  (void)user;
  in_use -= size;
  free(memory);
}

static inline pynn_context *counted_context(void) {
  pynn_context_options options;
  pynn_context_options_init(&options);
  options.threads = 1;
  options.allocator = (pynn_allocator){count_allocate, count_release, NULL};
  pynn_context *context = NULL;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
  return context;
}

/* ---------------------------------------------------------------- system calls */

#if defined(__linux__) && defined(FAULTS_DISK)
#  include <signal.h>
#  include <stdarg.h>
#  include <sys/file.h>
#  include <sys/syscall.h>
#  include <sys/wait.h>

static long calls, failing_call = -1; /* -1: none */
static int all_calls_after, failing_errno;
static long killing_call = -1;   /* the process dies before it */
static long largest_transfer;    /* > 0: reads and writes do at most this much */
static long end_of_reading = -1; /* bytes after which reads find the end of the file */
static const char *failed_call;  /* the first that failed */
static int unlink_failed;
static int real_fsync = 1; /* 0: it does nothing, for speed */

static int fails(const char *name) {
  const long n = calls++;
  if (n == killing_call) kill(getpid(), SIGKILL);
  if (failing_call < 0 || (n != failing_call && !(all_calls_after && n > failing_call))) return 0;
  if (!failed_call) failed_call = name;
  unlink_failed |= strcmp(name, "unlinkat") == 0;
  errno = failing_errno;
  return 1;
}

static size_t shortened(size_t size) {
  return largest_transfer > 0 && size > (size_t)largest_transfer ? (size_t)largest_transfer : size;
}

ssize_t write(int file, const void *bytes, size_t size) {
  return fails("write") ? -1 : syscall(SYS_write, file, bytes, shortened(size));
}

ssize_t read(int file, void *bytes, size_t size) {
  if (fails("read")) return -1;
  size = shortened(size);
  if (end_of_reading >= 0 && (size_t)end_of_reading < size) size = (size_t)end_of_reading;
  ssize_t n = syscall(SYS_read, file, bytes, size);
  if (end_of_reading >= 0 && n > 0) end_of_reading -= n;
  return n;
}

int fsync(int file) { return fails("fsync") ? -1 : real_fsync ? (int)syscall(SYS_fsync, file) : 0; }
int fchmod(int file, mode_t mode) { return fails("fchmod") ? -1 : (int)syscall(SYS_fchmod, file, mode); }
int flock(int file, int operation) { return fails("flock") ? -1 : (int)syscall(SYS_flock, file, operation); }

int close(int file) { /* closes even if it says that it did not, as Linux does */
  const int failed = fails("close"), code = errno;
  const int result = (int)syscall(SYS_close, file);
  if (failed) errno = code;
  return failed ? -1 : result;
}

static int open_at(const char *name, int directory, const char *path, int flags, mode_t mode) {
  return fails(name) ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_at("open", AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_at("openat", directory, path, flags, mode);
}

int renameat(int from, const char *old, int to, const char *new) {
  return fails("renameat") ? -1 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int unlinkat(int directory, const char *path, int flags) {
  return fails("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, directory, path, flags);
}

int faccessat(int directory, const char *path, int mode, int flags) {
  (void)flags;
  return fails("faccessat") ? -1 : (int)syscall(SYS_faccessat, directory, path, mode);
}

ssize_t readlink(const char *restrict path, char *restrict out, size_t size) {
  return fails("readlink") ? -1 : syscall(SYS_readlinkat, AT_FDCWD, path, out, size);
}

/* Runs `act` in a child that is killed before its n-th system call. 1: it was; 0: it came to its end. */
static inline int killed_at(long n, void (*act)(const void *), const void *argument) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    calls = 0;
    killing_call = n;
    act(argument);
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return WIFSIGNALED(status);
}

static inline int open_files(void) {
  int n = 0;
  DIR *directory = opendir("/proc/self/fd");
  while (directory && readdir(directory)) n++;
  if (directory) closedir(directory);
  return n;
}
#endif

/* ---------------------------------------------------------------- files */

static inline int files_in(const char *folder) {
  int n = 0;
  DIR *directory = opendir(folder);
  for (struct dirent *file; directory && (file = readdir(directory));)
    n += strcmp(file->d_name, ".") && strcmp(file->d_name, "..");
  if (directory) closedir(directory);
  return n;
}

/* The bytes of a file, malloced. */
static inline unsigned char *contents(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!CHECK(file)) exit(1);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size + 1);
  CHECK_EQUAL(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

#endif
