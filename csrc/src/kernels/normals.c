/* Standard normal numbers by Marsaglia's polar method, many at a time: number i of `key` takes the first of its
 * numbered attempts that fits. Compiled for each processor target, and without fused multiply-add on all, so that the
 * numbers are those of every other. */
#define PYNN_UNFUSED
#include "base/normal.h"

#include "kernels/kernels.h"

enum { BLOCK = 512 };

/* unit(high, low) * 2 - 1, in (-1, 1); an integer below 2^52 becomes a double by way of its bits, in any vectors. */
static inline double uniform(uint64_t high, uint64_t low) {
  const double whole = real_of((real_int)((high << 32 | low) >> 12 | 0x4330000000000000)) - 0x1p52;
  return (whole + 0.5) * 0x1p-52 * 2 - 1;
}

/* Two uniform numbers for each of `count` indices: philox(key, attempt, index) in 64-bit lanes. */
static void draw(size_t count, uint64_t key, uint64_t attempt, uint64_t first, const uint32_t *at, double *u,
                 double *v) {
  const uint64_t half = 0xffffffff;
  for (size_t j = 0; j < count; j++) {
    const uint64_t index = first + at[j];
    uint64_t c0 = index & half, c1 = index >> 32, c2 = attempt & half, c3 = attempt >> 32;
    uint64_t k0 = key & half, k1 = key >> 32;
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
      const uint64_t p0 = (c0 & half) * 0xD2511F53u, p1 = (c2 & half) * 0xCD9E8D57u;
      c0 = p1 >> 32 ^ c1 ^ k0, c1 = p1 & half;
      c2 = p0 >> 32 ^ c3 ^ k1, c3 = p0 & half;
      k0 = (k0 + 0x9E3779B9u) & half, k1 = (k1 + 0xBB67AE85u) & half;
    }
    u[j] = uniform(c0, c1);
    v[j] = uniform(c2, c3);
  }
}

/* x[j], and whether it is one: NaN where the point is outside the circle. */
static void scale(size_t count, const double *u, const double *v, double *x) {
  for (size_t j = 0; j < count; j++) {
    const double square = u[j] * u[j] + v[j] * v[j];
    const double found = u[j] * sqrt(-2 * log_(square) / square);
    x[j] = square < 1 ? found : (double)NAN;
  }
}

static void normals(size_t n, uint64_t key, uint64_t first, double limit, double *out) {
  uint32_t at[BLOCK];
  double u[BLOCK], v[BLOCK], x[BLOCK];
  for (; n; out += BLOCK, first += BLOCK) {
    size_t count = n < BLOCK ? n : BLOCK;
    n -= count;
    for (size_t j = 0; j < count; j++) at[j] = (uint32_t)j;
    for (uint64_t attempt = 0; count; attempt++) {
      size_t left = 0;
      draw(count, key, attempt, first, at, u, v);
      scale(count, u, v, x);
      for (size_t j = 0; j < count; j++) { /* what does not fit is written over by the next attempt */
        out[at[j]] = x[j];
        at[left] = at[j];
        left += !(fabs(x[j]) <= limit);
      }
      count = left;
    }
  }
}

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
void PASTE(pynn_normals_, TARGET)(size_t n, uint64_t key, uint64_t first, double limit, double *out);
void PASTE(pynn_normals_, TARGET)(size_t n, uint64_t key, uint64_t first, double limit, double *out) {
  normals(n, key, first, limit, out);
}
