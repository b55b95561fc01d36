/* The context: memory, BLAS, kernels of the chosen target, threads. */
#ifndef PYNN_CONTEXT_H
#define PYNN_CONTEXT_H

#include "base/memory.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "pynn.h"

struct pool;

struct pynn_context {
  pynn_allocator allocator;
  pynn_blas blas;                   /* sgemm == NULL: none */
  const struct kernels *kernels[2]; /* by PYNN_FLOAT32, PYNN_FLOAT64 */
  struct pool *pool;
};

/* memory_allocate and memory_release with the context's allocator. */
static inline void *context_allocate(const pynn_context *context, size_t count, size_t size) {
  return memory_allocate(&context->allocator, count, size);
}
static inline void context_release(const pynn_context *context, void *memory, size_t count, size_t size) {
  memory_release(&context->allocator, memory, count, size);
}

#endif
