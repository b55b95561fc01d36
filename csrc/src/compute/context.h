/* The context: memory, BLAS, kernels of the chosen target, threads. */
#ifndef PYNN_CONTEXT_H
#define PYNN_CONTEXT_H

#include "kernels/kernels.h"
#include "pynn.h"

struct pool;

struct pynn_context {
  pynn_allocator allocator;
  pynn_blas blas;                   /* sgemm == NULL: none */
  const struct kernels *kernels[2]; /* by PYNN_FLOAT32, PYNN_FLOAT64 */
  struct pool *pool;
};

/* Zeroed memory aligned to 64 bytes for count x size bytes; NULL when it overflows or there is none. */
void *context_allocate(const pynn_context *context, size_t count, size_t size);
void context_release(const pynn_context *context, void *memory, size_t count, size_t size);

/* Fills *error (which may be NULL) and returns `status`. `format` as printf; layer, row and column are set to -1. */
pynn_status fail(pynn_error *error, pynn_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
