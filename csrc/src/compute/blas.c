/* The injected BLAS. It is column-major, so C = A B is asked for as C^T = B^T A^T: this file alone knows. */
#include "compute/blas.h"

#if defined(PYNN_LINKED_BLAS)
extern void sgemm_(void), dgemm_(void);
/* Thread controls of the libraries that have some; absent in others. */
#  define WEAK __attribute__((weak))
extern int openblas_get_num_threads(void) WEAK, MKL_Get_Max_Threads(void) WEAK;
extern void openblas_set_num_threads(int) WEAK, MKL_Set_Num_Threads(int) WEAK;
#endif

pynn_status pynn_blas_linked(pynn_blas *out) {
  if (!out) return PYNN_ERROR_INVALID_ARGUMENT;
#if defined(PYNN_LINKED_BLAS)
  *out = (pynn_blas){
      .struct_size = sizeof *out, .name = PYNN_LINKED_BLAS, .integer_size = 4, .sgemm = sgemm_, .dgemm = dgemm_};
  out->get_threads = openblas_get_num_threads ? openblas_get_num_threads : MKL_Get_Max_Threads;
  out->set_threads = openblas_set_num_threads ? openblas_set_num_threads : MKL_Set_Num_Threads;
  return PYNN_OK;
#else
  return PYNN_ERROR_UNSUPPORTED;
#endif
}

/* Where the library's own kernel stops winning (measured on AVX2: docs/architecture.md). */
#define BLAS_SIDE 192

typedef void sgemm32(const char *, const char *, const int32_t *, const int32_t *, const int32_t *, const float *,
                     const float *, const int32_t *, const float *, const int32_t *, const float *, float *,
                     const int32_t *);
typedef void dgemm32(const char *, const char *, const int32_t *, const int32_t *, const int32_t *, const double *,
                     const double *, const int32_t *, const double *, const int32_t *, const double *, double *,
                     const int32_t *);
typedef void sgemm64(const char *, const char *, const int64_t *, const int64_t *, const int64_t *, const float *,
                     const float *, const int64_t *, const float *, const int64_t *, const float *, float *,
                     const int64_t *);
typedef void dgemm64(const char *, const char *, const int64_t *, const int64_t *, const int64_t *, const double *,
                     const double *, const int64_t *, const double *, const int64_t *, const double *, double *,
                     const int64_t *);

int blas_takes(const pynn_context *context, int64_t m, int64_t n, int64_t k) {
  return context->blas.sgemm && m >= BLAS_SIDE && n >= BLAS_SIDE && k >= BLAS_SIDE;
}

void blas_gemm(const pynn_context *context, pynn_dtype dtype, int transpose_a, int transpose_b, int64_t m, int64_t n,
               int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc) {
  const pynn_blas *blas = &context->blas;
  const char *ta = transpose_a ? "T" : "N", *tb = transpose_b ? "T" : "N";
  const float one = 1, zero = 0;
  const double one_d = 1, zero_d = 0;
  if (blas->integer_size == 4) {
    int32_t m4 = (int32_t)m, n4 = (int32_t)n, k4 = (int32_t)k;
    int32_t a4 = (int32_t)lda, b4 = (int32_t)ldb, c4 = (int32_t)ldc;
    if (dtype == PYNN_FLOAT32) ((sgemm32 *)blas->sgemm)(tb, ta, &n4, &m4, &k4, &one, b, &b4, a, &a4, &zero, c, &c4);
    else ((dgemm32 *)blas->dgemm)(tb, ta, &n4, &m4, &k4, &one_d, b, &b4, a, &a4, &zero_d, c, &c4);
  } else if (dtype == PYNN_FLOAT32)
    ((sgemm64 *)blas->sgemm)(tb, ta, &n, &m, &k, &one, b, &ldb, a, &lda, &zero, c, &ldc);
  else ((dgemm64 *)blas->dgemm)(tb, ta, &n, &m, &k, &one_d, b, &ldb, a, &lda, &zero_d, c, &ldc);
}
