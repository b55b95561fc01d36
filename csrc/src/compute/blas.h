/* Products of matrices on a BLAS the context was given. */
#ifndef PYNN_BLAS_H
#define PYNN_BLAS_H

#include "compute/context.h"

/* Whether an m x n x k product goes to the BLAS: the library's own kernel wins where one side is thin. The same for any
 * order of the three, so a layer's forward, gradient and delta go the same way. */
int blas_takes(const pynn_context *context, int64_t m, int64_t n, int64_t k);

/* Row-major C (m x n) = op(A) op(B), where op transposes when told; leading dimensions are row lengths in memory. */
void blas_gemm(const pynn_context *context, pynn_dtype dtype, int transpose_a, int transpose_b, int64_t m, int64_t n,
               int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc);

#endif
