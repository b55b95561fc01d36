/* Products: every target against a plain triple loop, bit for bit across tilings, at every edge of the tiles. */
#include "check.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

static uint64_t state = 5;
static double uniform(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

static double get(const struct kernels *kernels, const void *x, size_t i) {
  return kernels->size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
static void set(const struct kernels *kernels, void *x, size_t i, double value) {
  kernels->from_double(1, &value, (char *)x + i * kernels->size);
}

static void *matrix(const struct kernels *kernels, size_t n) {
  char *x = malloc((n + 1) * kernels->size);
  for (size_t i = 0; i < n; i++) set(kernels, x, i, uniform());
  return x;
}

static void products(const struct kernels *kernels, size_t m, size_t n, size_t k) {
  const size_t size = kernels->size, lda = k + 3, ldb = n + 1, ldc = n + 2;
  const double tolerance = (size == 4 ? 0x1p-23 : 0x1p-52) * (double)(k + 1);
  char *a = matrix(kernels, m * lda), *b = matrix(kernels, k * ldb), *c = matrix(kernels, m * ldc);
  char *c2 = matrix(kernels, m * ldc), *bt = matrix(kernels, n * (k + 1)), *at = matrix(kernels, k * (m + 2));
  char *panels = malloc((m + kernels->gemm_columns) * (k + 1) * size);
  double untouched = get(kernels, c, n);
  for (size_t i = 0; i < m; i++)
    for (size_t s = 0; s < k; s++) set(kernels, at, s * (m + 2) + i, get(kernels, a, i * lda + s));
  for (size_t s = 0; s < k; s++)
    for (size_t j = 0; j < n; j++) set(kernels, bt, j * (k + 1) + s, get(kernels, b, s * ldb + j));

  kernels->gemm(m, n, k, a, lda, 1, b, ldb, 0, c, ldc);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
      for (size_t s = 0; s < k; s++) sum += get(kernels, a, i * lda + s) * get(kernels, b, s * ldb + j);
      CHECK(fabs(get(kernels, c, i * ldc + j) - sum) <= tolerance);
    }
  CHECK(m < 2 || get(kernels, c, n) == untouched); /* between the rows of C */

  kernels->gemm(m, n, k, at, 1, m + 2, b, ldb, 0, c2, ldc); /* A transposed */
  for (size_t i = 0; i < m; i++) CHECK(!memcmp(c + i * ldc * size, c2 + i * ldc * size, n * size));
  kernels->pack_panels(m, k, a, lda, panels); /* B transposed */
  kernels->gemm_panels(m, n, k, panels, bt, k + 1, c2, ldc);
  for (size_t i = 0; i < m; i++) CHECK(!memcmp(c + i * ldc * size, c2 + i * ldc * size, n * size));
  for (size_t i = 0; i < m; i += 3) { /* one row at a time, in two halves of columns */
    kernels->gemm(1, n / 2, k, a + i * lda * size, lda, 1, b, ldb, 0, c2, ldc);
    kernels->gemm(1, n - n / 2, k, a + i * lda * size, lda, 1, b + n / 2 * size, ldb, 0, c2 + n / 2 * size, ldc);
    CHECK(!memcmp(c + i * ldc * size, c2, n * size));
  }
  memcpy(c2, c, m * ldc * size); /* k in two halves, accumulated */
  kernels->gemm(m, n, k / 2, a, lda, 1, b, ldb, 0, c2, ldc);
  kernels->gemm(m, n, k - k / 2, a + k / 2 * size, lda, 1, b + k / 2 * ldb * size, ldb, 1, c2, ldc);
  for (size_t i = 0; i < m; i++) CHECK(!memcmp(c + i * ldc * size, c2 + i * ldc * size, n * size));
  free(a), free(b), free(c), free(c2), free(bt), free(at), free(panels);
}

/* NaN and infinity pass through products; zeros do not swallow them. */
static void nonfinite(const struct kernels *kernels) {
  char *a = matrix(kernels, 40 * 30), *b = matrix(kernels, 30 * 20), *c = matrix(kernels, 40 * 20);
  set(kernels, a, 3 * 30 + 7, NAN);
  set(kernels, b, 11 * 20 + 4, INFINITY);
  for (size_t i = 0; i < 40; i++) set(kernels, a, i * 30 + 11, 0);
  kernels->gemm(40, 20, 30, a, 30, 1, b, 20, 0, c, 20);
  for (size_t j = 0; j < 20; j++) CHECK(isnan(get(kernels, c, 3 * 20 + j)));
  for (size_t i = 0; i < 40; i++) CHECK(isnan(get(kernels, c, i * 20 + 4)));
  CHECK(isfinite(get(kernels, c, 0)));
  CHECK(isnan(kernels->largest(40 * 20, c)));
  free(a), free(b), free(c);
}

int main(void) {
  const char *cpus[] = {"baseline", "avx2", "avx512"};
  const size_t sides[] = {1, 2, 5, 6, 7, 8, 13, 16, 17, 33, 64};
  for (int cpu = 0; cpu < 3; cpu++) {
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    options.cpu = cpus[cpu];
    if (pynn_context_new(&context, &options)) continue;
    pynn_context_free(context);
    const struct kernels *tables[3][2] = {
        {&pynn_kernels_f32_baseline, &pynn_kernels_f64_baseline},
#if defined(PYNN_HAVE_X86_TARGETS)
        {&pynn_kernels_f32_avx2, &pynn_kernels_f64_avx2},
        {&pynn_kernels_f32_avx512, &pynn_kernels_f64_avx512},
#endif
    };
    for (int dtype = 0; dtype < 2; dtype++) {
      const struct kernels *kernels = tables[cpu][dtype];
      CHECK(!strcmp(kernels->target, cpus[cpu]));
      for (size_t i = 0; i < 11; i++)
        for (size_t j = 0; j < 11; j++) products(kernels, sides[i], sides[j], sides[(i + 3 * j) % 11]);
      products(kernels, 20, 40, 300); /* more than one packed panel of k */
      products(kernels, 140, 90, 513);
      nonfinite(kernels);
    }
  }
  CHECK_REPORT();
}
