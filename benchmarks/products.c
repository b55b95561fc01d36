/* What products.py times: the three products of a layer by the library's kernels and by a BLAS, on the caller's thread.
 * Linked with the objects of the kernels as they were built. */
#include "kernels/kernels.h"

#include <pmmintrin.h>
#include <string.h>
#include <time.h>

enum { FORWARD, DW, DX };

/* forward: Y = X W. dW = X^T dY. dX = dY W^T. `left` is X or dY, `right` W or dY. */
struct product {
  int64_t kind, rows, inputs, units;
  const void *left, *right;
  void *out, *room;
};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other programs disturb it less than a clock on the wall */
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void own(const struct kernels *kernels, const struct product *p) {
  const size_t rows = (size_t)p->rows, inputs = (size_t)p->inputs, units = (size_t)p->units;
  if (p->kind == FORWARD) kernels->gemm(rows, units, inputs, p->left, inputs, 1, p->right, units, 0, p->out, units);
  else if (p->kind == DW)
    kernels->gemm_transposed(inputs, units, rows, p->left, inputs, p->right, units, p->room, p->out, units);
  else {
    kernels->pack_panels(rows, units, p->left, units, p->room);
    kernels->gemm_panels(rows, inputs, units, p->left, units, p->room, p->right, units, p->out, inputs);
  }
}

double time_own(const char *target, int bits, const struct product *p, int repeats) {
  static const struct kernels *const tables[] = {&pynn_kernels_f32_baseline, &pynn_kernels_f64_baseline,
                                                 &pynn_kernels_f32_avx2,     &pynn_kernels_f64_avx2,
                                                 &pynn_kernels_f32_avx512,   &pynn_kernels_f64_avx512};
  const struct kernels *const *table = tables + (bits == 64);
  _mm_setcsr(_mm_getcsr() | 0x8040); /* subnormal numbers are zero, as in a step */
  while (strcmp((*table)->target, target) != 0) table += 2;
  const double begin = seconds();
  for (int i = 0; i < repeats; i++) own(*table, p);
  return (seconds() - begin) / repeats;
}

typedef void gemm(const char *, const char *, const void *, const void *, const void *, const void *, const void *,
                  const void *, const void *, const void *, const void *, void *, const void *);

/* A BLAS is column-major: C^T = B^T A^T. Integers of either size are read from 64-bit ones on little-endian machines.
 */
static void by_blas(gemm *blas, int bits, const struct product *p) {
  static const float one = 1, zero = 0;
  static const double one_d = 1, zero_d = 0;
  const void *alpha = bits == 32 ? (const void *)&one : &one_d, *beta = bits == 32 ? (const void *)&zero : &zero_d;
  const int64_t r = p->rows, i = p->inputs, u = p->units;
  if (p->kind == FORWARD) blas("N", "N", &u, &r, &i, alpha, p->right, &u, p->left, &i, beta, p->out, &u);
  else if (p->kind == DW) blas("N", "T", &u, &i, &r, alpha, p->right, &u, p->left, &i, beta, p->out, &u);
  else blas("T", "N", &i, &r, &u, alpha, p->right, &u, p->left, &u, beta, p->out, &i);
}

double time_blas(gemm *blas, int bits, const struct product *p, int repeats) {
  _mm_setcsr(_mm_getcsr() | 0x8040);
  const double begin = seconds();
  for (int i = 0; i < repeats; i++) by_blas(blas, bits, p);
  return (seconds() - begin) / repeats;
}
