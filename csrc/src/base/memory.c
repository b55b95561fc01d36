/* Memory from an allocator. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(void *user, size_t size) {
  (void)user;
  return aligned_alloc(64, (size + 63) / 64 * 64);
}

static void release(void *user, void *memory, size_t size) {
  (void)user;
  (void)size;
  free(memory);
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
  return memory ? memset(memory, 0, bytes) : NULL;
}

void memory_release(const pynn_allocator *allocator, void *memory, size_t count, size_t size) {
  if (memory) allocator->release(allocator->user, memory, bytes_of(count, size));
}
