/* Products: every target against chains of fused multiply-adds in the order of k, bit for bit, at every edge of the
 * blocks of registers, panels and blocks of k and rows. */
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
  if (kernels->size == 4) ((float *)x)[i] = (float)value;
  else ((double *)x)[i] = value;
}

static void *matrix(const struct kernels *kernels, size_t n) {
  char *x = malloc((n + 1) * kernels->size);
  for (size_t i = 0; i < n; i++) set(kernels, x, i, uniform());
  return x;
}

/* One link of a chain, with one rounding where the target has it. */
static double link(const struct kernels *kernels, double a, double b, double sum) {
  if (kernels->size == 8) return kernels->fused ? fma(a, b, sum) : a * b + sum;
  if (kernels->fused) return (double)fmaf((float)a, (float)b, (float)sum);
  const float product = (float)a * (float)b;
  return (double)(product + (float)sum);
}

/* C (m x n) += A B, element by element. */
static void reference(const struct kernels *kernels, size_t m, size_t n, size_t k, const void *a, size_t lda,
                      const void *b, size_t ldb, void *c, size_t ldc) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = get(kernels, c, i * ldc + j);
      for (size_t s = 0; s < k; s++)
        sum = link(kernels, get(kernels, a, i * lda + s), get(kernels, b, s * ldb + j), sum);
      set(kernels, c, i * ldc + j, sum);
    }
}

struct operands {
  char *a, *b, *a_transposed, *b_transposed, *c, *expected, *room;
};

static struct operands operands_new(const struct kernels *kernels, size_t m, size_t n, size_t k) {
  const size_t lda = k + 3, ldb = n + 1, ldc = n + 2;
  struct operands o = {matrix(kernels, m * lda),
                       matrix(kernels, k * ldb),
                       matrix(kernels, k * (m + 2)),
                       matrix(kernels, n * (k + 1)),
                       matrix(kernels, m * ldc),
                       matrix(kernels, m * ldc),
                       matrix(kernels, (m + GEMM_STEP) * (k + 1))};
  for (size_t i = 0; i < m; i++)
    for (size_t s = 0; s < k; s++) set(kernels, o.a_transposed, s * (m + 2) + i, get(kernels, o.a, i * lda + s));
  for (size_t s = 0; s < k; s++)
    for (size_t j = 0; j < n; j++) set(kernels, o.b_transposed, j * (k + 1) + s, get(kernels, o.b, s * ldb + j));
  for (size_t i = 0; i < m * ldc; i++) set(kernels, o.expected, i, i % ldc < n ? 0 : 7);
  reference(kernels, m, n, k, o.a, lda, o.b, ldb, o.expected, ldc);
  return o;
}

static void operands_free(struct operands *o) {
  free(o->a), free(o->b), free(o->a_transposed), free(o->b_transposed), free(o->c), free(o->expected), free(o->room);
}

/* C is written before each product: NaN where the result goes, 7 between its rows, where nothing may change. */
static void prepare(const struct kernels *kernels, const struct operands *o, size_t m, size_t n) {
  for (size_t i = 0; i < m * (n + 2); i++) set(kernels, o->c, i, i % (n + 2) < n ? NAN : 7);
}

static void products(const struct kernels *kernels, size_t m, size_t n, size_t k) {
  const size_t size = kernels->size, lda = k + 3, ldb = n + 1, ldc = n + 2, bytes = m * ldc * size;
  struct operands o = operands_new(kernels, m, n, k);
  prepare(kernels, &o, m, n);
  kernels->gemm(m, n, k, o.a, lda, 1, o.b, ldb, 0, o.c, ldc);
  CHECK(!memcmp(o.c, o.expected, bytes));
  prepare(kernels, &o, m, n);
  kernels->gemm(m, n, k, o.a_transposed, 1, m + 2, o.b, ldb, 0, o.c, ldc);
  CHECK(!memcmp(o.c, o.expected, bytes));
  for (int packs = 0; packs < 2; packs++) {
    prepare(kernels, &o, m, n);
    kernels->gemm_transposed(m, n, k, o.a_transposed, m + 2, o.b, ldb, packs ? o.room : NULL, o.c, ldc);
    CHECK(!memcmp(o.c, o.expected, bytes));
  }
  prepare(kernels, &o, m, n);
  kernels->pack_panels(m, k, o.a, lda, o.room);
  kernels->gemm_panels(m, n / 2, k, o.a, lda, o.room, o.b_transposed, k + 1, o.c, ldc); /* in two parts of B */
  kernels->gemm_panels(m, n - n / 2, k, o.a, lda, o.room, o.b_transposed + n / 2 * (k + 1) * size, k + 1,
                       o.c + n / 2 * size, ldc);
  CHECK(!memcmp(o.c, o.expected, bytes));
  prepare(kernels, &o, m, n); /* one row at a time, in two halves of columns */
  for (size_t i = 0; i < m; i++) {
    char *row = o.c + i * ldc * size;
    kernels->gemm(1, n / 2, k, o.a + i * lda * size, lda, 1, o.b, ldb, 0, row, ldc);
    kernels->gemm(1, n - n / 2, k, o.a + i * lda * size, lda, 1, o.b + n / 2 * size, ldb, 0, row + n / 2 * size, ldc);
  }
  CHECK(!memcmp(o.c, o.expected, bytes));
  prepare(kernels, &o, m, n); /* k in two halves, accumulated */
  kernels->gemm(m, n, k / 2, o.a, lda, 1, o.b, ldb, 0, o.c, ldc);
  kernels->gemm(m, n, k - k / 2, o.a + k / 2 * size, lda, 1, o.b + k / 2 * ldb * size, ldb, 1, o.c, ldc);
  CHECK(!memcmp(o.c, o.expected, bytes));
  operands_free(&o);
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

static void every_edge(const struct kernels *kernels) {
  const size_t rows[] = {1, 2, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 19, 25};
  const size_t columns[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 64, 65, 97};
  const size_t steps[] = {1, 2, 5, 8, 13, 40, 130};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < sizeof columns / sizeof *columns; j++)
      products(kernels, rows[i], columns[j], steps[(i + 3 * j) % (sizeof steps / sizeof *steps)]);
  products(kernels, 20, 40, 300); /* both ways of A B^T, several blocks of k and of rows, A^T packed */
  products(kernels, 32, 50, 400);
  products(kernels, 140, 90, 1201);
  products(kernels, 535, 50, 390);
  products(kernels, 531, 515, 11);
}

int main(void) {
  const char *cpus[] = {"baseline", "avx2", "avx512"};
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
      every_edge(kernels);
      nonfinite(kernels);
    }
  }
  CHECK_REPORT();
}
