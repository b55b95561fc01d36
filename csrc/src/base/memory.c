/* Memory from an allocator. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Zeroed memory on a cache line. calloc takes large blocks from the system as they are: pages that nobody writes, such
 * as those for copies that only a fault asks for, are never resident. What to free stands before the block. */
enum { LINE = 64 };
static void *allocate(void *user, size_t size) {
  (void)user;
  char *whole = calloc(1, size + LINE + sizeof whole);
  if (!whole) return NULL;
  const size_t before = sizeof whole + LINE - 1 - ((uintptr_t)whole + sizeof whole + LINE - 1) % LINE;
  memcpy(whole + before - sizeof whole, &whole, sizeof whole);
  return whole + before;
}

static void release(void *user, void *memory, size_t size) {
  char *whole;
  (void)user;
  (void)size;
  memcpy(&whole, (char *)memory - sizeof whole, sizeof whole);
  free(whole);
}

const pynn_allocator memory_default = {allocate, release, NULL};

/* Bytes of count x size, at least 1; 0 when that overflows. */
static size_t bytes_of(size_t count, size_t size) {
  if (count == 0 || size == 0) return 1;
  return count > SIZE_MAX / 2 / size ? 0 : count * size;
}

void *memory_allocate(const pynn_allocator *allocator, size_t count, size_t size) {
  const size_t bytes = bytes_of(count, size);
  if (!bytes) return NULL;
  void *memory = allocator->allocate(allocator->user, bytes);
  return !memory || allocator->allocate == allocate ? memory : memset(memory, 0, bytes);
}

void memory_release(const pynn_allocator *allocator, void *memory, size_t count, size_t size) {
  if (memory) allocator->release(allocator->user, memory, bytes_of(count, size));
}
