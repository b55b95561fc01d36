/* Memory from an allocator, with sizes that cannot overflow. */
#ifndef PYNN_MEMORY_H
#define PYNN_MEMORY_H

#include "pynn.h"

/* The C library's allocator. */
extern const pynn_allocator memory_default;

/* Zeroed memory aligned to 64 bytes for count x size bytes; NULL when that overflows or there is none. */
void *memory_allocate(const pynn_allocator *allocator, size_t count, size_t size);
/* Releases it; `count` and `size` are those of the allocation. NULL is legal. */
void memory_release(const pynn_allocator *allocator, void *memory, size_t count, size_t size);

#endif
