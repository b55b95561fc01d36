/* Guarded scalars in `real`, without branches, tables or libm, so that loops over them become vector code.
 *
 * - NaN comes only from NaN (and the logarithm of a negative number); infinities give the limit; nothing overflows on
 *   the way to a finite result.
 * - Arguments are reduced exactly and the last operations carry a rounding error along (`struct pair`): in float32 exp,
 *   log, log1p, sigmoid, softplus and tanh are within 1 ULP for every one of the 2^32 inputs and expm1 within 2, with
 * and without fma (tests/exhaustive.c measures it).
 * - Subnormal numbers are zero, and so may be results below REAL_FLUSH: intermediates may fall below REAL_MIN.
 * - Coefficients are minimax (Remez) fits, made for these intervals and degrees.
 *
 * Epsilon policy. An epsilon stands only where a division can vanish, and never changes a result that was safe:
 *
 *                                             float32    float64
 *   REAL_FLUSH     results below may be 0     2.4e-35    4.6e-305
 *   EPSILON_FLOOR  least epsilon beside a     1.1e-19    1.5e-154   sqrt(REAL_MIN): no smaller root but 0 exists
 *                  square root in optimizers
 */
#ifndef PYNN_NUMERICS_H
#define PYNN_NUMERICS_H

#include "real.h"

#define REAL_FLUSH (REAL_MIN * 2048)
#define REAL_INFINITY ((real)INFINITY)
#define REAL_NAN ((real)NAN)

#if PYNN_REAL_BITS == 32
typedef uint32_t real_bits; /* for shifts of real_int */
#  define EPSILON_FLOOR 0x1p-63
#  define EXP_MIN -0x1.5d589ep+6f /* e^x >= REAL_MIN from here ... */
#  define EXP_MAX 0x1.62e42ep+6f  /* ... and finite to here */
#  define EXP_FLUSH 88            /* e^-x = 0 above, yet its scale 2^n is still a number */
#  define LOG2_E 0x1.715476p+0f
#  define LN2_HI 0x1.62e4p-1f /* short: its products with exponents are exact */
#  define LN2_LO 0x1.7f7d1cp-20f
#  define SQRT_HALF 0x1.6a09e6p-1f
#  define HIGH_HALF ((real_int)~0xfff) /* 12 of 24 bits */
#  define TAIL_MAX R(14.5)             /* normal_tail is 0 from here */
#  define TAIL_CENTRE 4

/* (e^r - 1 - r) / r^2, |r| <= ln 2 / 2 */
static const real exp_polynomial[] = {0x1p-1f,        0x1.555556p-3f,  0x1.555496p-5f,
                                      0x1.111082p-7f, 0x1.6d88a2p-10f, 0x1.a1b214p-13f};
/* (2 atanh(s) - 2s) / s^3 in s^2, |s| <= 0.172 */
static const real log_polynomial[] = {0x1.555556p-1f, 0x1.999a54p-2f, 0x1.244128p-2f, 0x1.e1e06ap-3f};
/* (tanh(x)/x - 1) / x^2 in x^2, |x| <= 0.55 */
static const real tanh_polynomial[] = {-0x1.55554ep-2f, 0x1.110ddcp-3f, -0x1.b94266p-5f, 0x1.59fd02p-6f,
                                       -0x1.9f1476p-8f};
/* e^(a^2/2) Phi(-a) (a + 4) in (a - 4)/(a + 4), 0 <= a <= 14.5 */
static const real tail_polynomial[] = {0x1.82b4bcp-1f,  -0x1.373e38p-1f, 0x1.8c6d9ep-2f,  -0x1.7e0000p-3f,
                                       0x1.eed404p-5f,  -0x1.ed2d1cp-8f, -0x1.cc65cap-9f, 0x1.9b8bd6p-10f,
                                       0x1.78232ap-13f, -0x1.14c36cp-13f};
#else
typedef uint64_t real_bits;
#  define EPSILON_FLOOR 0x1p-511
#  define EXP_MIN -0x1.6232bdd7abcd2p+9
#  define EXP_MAX 0x1.62e42fefa39efp+9
#  define EXP_FLUSH 709
#  define LOG2_E 0x1.71547652b82fep+0
#  define LN2_HI 0x1.62e42fefa38p-1
#  define LN2_LO 0x1.ef35793c7673p-45
#  define SQRT_HALF 0x1.6a09e667f3bcdp-1
#  define HIGH_HALF ((real_int)~0x7ffffff) /* 26 of 53 bits */
#  define TAIL_MAX 39.0
#  define TAIL_CENTRE 5

static const real exp_polynomial[] = {0x1p-1,
                                      0x1.555555555555ap-3,
                                      0x1.555555555555cp-5,
                                      0x1.111111110f0f5p-7,
                                      0x1.6c16c16c13d98p-10,
                                      0x1.a01a01b21e334p-13,
                                      0x1.a01a01b29d771p-16,
                                      0x1.71ddf2d87a3e8p-19,
                                      0x1.27e4c1e4be7c7p-22,
                                      0x1.af681ca2de6cep-26,
                                      0x1.1f9abd0675c91p-29};
static const real log_polynomial[] = {0x1.5555555555568p-1, 0x1.999999998bd63p-2, 0x1.2492493886a62p-2,
                                      0x1.c71c58ff55dedp-3, 0x1.7464ecfb67529p-3, 0x1.39c1931475d1dp-3,
                                      0x1.2dd6c7bf1dfb4p-3};
static const real tanh_polynomial[] = {-0x1.5555555555554p-2,  0x1.1111111110d13p-3,  -0x1.ba1ba1b9c2b44p-5,
                                       0x1.664f48674a916p-6,   -0x1.226e30b23daedp-7, 0x1.d6d2d7eab860bp-9,
                                       -0x1.7d92a8ce7ece4p-10, 0x1.34999d731c42dp-11, -0x1.ea433aa6c28b9p-13,
                                       0x1.5fb5af4c72f5cp-14,  -0x1.4c65137e84d2bp-16};
/* as above with centre 5, to 39 */
static const real tail_polynomial[] = {
    0x1.89d3abe1f95aep-1,   -0x1.54ad03f27ca17p-1, 0x1.fb31653876f9fp-2,   -0x1.410ed5f8759e4p-2,
    0x1.51f6329f011d4p-3,   -0x1.1b1c254c9ec0ap-4, 0x1.54b4d4f4f991fp-6,   -0x1.88590ea29d490p-9,
    -0x1.a250381c6b0d5p-11, 0x1.1daf1c3966be5p-11, -0x1.f2144a6c57268p-15, -0x1.a1707cd8ccabcp-15,
    0x1.17dc86cd17ddbp-16,  0x1.0b1e7cecb4cafp-18, -0x1.73a47bc4fa25bp-19, -0x1.6847be64d49ddp-22,
    0x1.d0ce489776407p-22,  0x1.5f28f49b45f06p-25, -0x1.1b847915fccb2p-24, -0x1.1d016022239d5p-27,
    0x1.10e457f1c3487p-27,  0x1.899d0a853c1a5p-30, -0x1.4d0c35c954ba7p-32};
#endif

/* INDEPENDENT: the iterations of the next loop are; y may be z itself, but they do not overlap otherwise.
 * UNROLLED: the next loop is short and constant, and goes away before the one around it is vectorised.
 * INLINED: the function takes a function, which must become part of its loop. */
#if defined(__GNUC__)
#  define INLINED static inline __attribute__((always_inline))
#else
#  define INLINED static inline
#endif
#if defined(__clang__)
#  define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#  define UNROLLED _Pragma("clang loop unroll(full)")
#  pragma clang diagnostic ignored "-Wpass-failed" /* hints, not demands */
#elif defined(__GNUC__)
#  define INDEPENDENT _Pragma("GCC ivdep")
#  define UNROLLED _Pragma("GCC unroll 32")
#else
#  define INDEPENDENT
#  define UNROLLED
#endif

/* A number as the unevaluated sum of two. */
struct pair {
  real hi, lo;
};

static inline struct pair fast_two_sum(real a, real b) { /* |a| >= |b| or a == 0 */
  real sum = a + b;
  return (struct pair){sum, b - (sum - a)};
}

static inline struct pair two_sum(real a, real b) {
  real sum = a + b, b_part = sum - a;
  return (struct pair){sum, (a - (sum - b_part)) + (b - b_part)};
}

/* c - a*b where c is the product or the dividend rounded: what rounding lost. */
static inline real residual(real c, real a, real b) {
#if FMA_BUILTIN
  return fma_(-a, b, c);
#else
  real a_hi = real_of(bits_of(a) & HIGH_HALF), b_hi = real_of(bits_of(b) & HIGH_HALF);
  real a_lo = a - a_hi, b_lo = b - b_hi;
  return ((c - a_hi * b_hi) - a_hi * b_lo - a_lo * b_hi) - a_lo * b_lo;
#endif
}

/* n/d: one division, then what it left divided again. */
static inline real quotient(struct pair n, struct pair d) {
  real reciprocal = 1 / d.hi, q = n.hi * reciprocal;
  return q + (residual(n.hi, q, d.hi) + (n.lo - q * d.lo)) * reciprocal;
}

static inline real polynomial(const real *c, int n, real x) {
  real sum = c[n - 1];
  UNROLLED for (int i = n - 2; i >= 0; i--) sum = fma_(sum, x, c[i]);
  return sum;
}
#define POLYNOMIAL(name, x) polynomial(name##_polynomial, sizeof name##_polynomial / sizeof(real), x)

static inline real absolute(real x) { return real_of(magnitude(x)); }
static inline real sqrt_(real x) {
#if PYNN_REAL_BITS == 32
  return sqrtf(x);
#else
  return sqrt(x);
#endif
}
static inline real clamp(real x, real least, real most) { /* NaN stays */
  x = x < least ? least : x;
  return x > most ? most : x;
}

/* An integer n is held as ROUNDER + n: adding ROUNDER rounds, and n stands in the low bits. */
#define ROUNDER (R(1.5) * ((real_bits)1 << MANTISSA_BITS))
static inline real power_of_two(real rounder_plus_n) {
  return real_of((real_int)(((real_bits)bits_of(rounder_plus_n) + EXPONENT_BIAS) << MANTISSA_BITS));
}

/* e^(x - tail) = (1 + w) 2^n and w = h + q: x = n ln 2 + h + l, where h is exact. */
struct exp_parts {
  real h, q, rounder_plus_n;
};
static inline struct exp_parts exp_reduce(real x, real tail) {
  real t = fma_(x, LOG2_E, ROUNDER), n = t - ROUNDER;
  real h = fma_(n, -LN2_HI, x), l = fma_(n, LN2_LO, tail), r = h - l;
  return (struct exp_parts){h, fma_(r * r, POLYNOMIAL(exp, r), -l), t};
}

static inline real exp_less(real x, real tail) { /* e^(x - tail), |tail| small */
  struct exp_parts e = exp_reduce(x, tail);
  real y = 1 + (e.h + e.q);
  y = real_of((real_int)((real_bits)bits_of(y) + ((real_bits)bits_of(e.rounder_plus_n) << MANTISSA_BITS)));
  y = x > EXP_MAX ? REAL_INFINITY : y;
  y = x < EXP_MIN ? 0 : y;
  return x == x ? y : x;
}

static inline real exp_(real x) { return exp_less(x, 0); }

static inline real expm1_(real x) {
  real c = x < -40 ? -40 : x; /* e^-40 is lost beside 1 */
  struct exp_parts e = exp_reduce(c, 0);
  real half_scale = power_of_two(e.rounder_plus_n - 1), w = e.h + e.q;
  real y = 2 * fma_(w, half_scale, half_scale - R(0.5));
  y = e.rounder_plus_n == ROUNDER ? w : y; /* |x| < ln 2 / 2 */
  return x > EXP_MAX ? REAL_INFINITY : y;
}

/* e^-a = (hi + lo) 2^n for a >= 0, `scale` = 2^n, zero once e^-a is. */
static inline struct pair exp_negative(real a, real *scale) {
  struct exp_parts e = exp_reduce(a > EXP_FLUSH ? -EXP_FLUSH : -a, 0);
  struct pair w = fast_two_sum(e.h, e.q), y = fast_two_sum(1, w.hi);
  *scale = power_of_two(e.rounder_plus_n);
  return (struct pair){y.hi, y.lo + w.lo};
}

/* log((1 + f) 2^k) + tail, |f| <= 0.42: log(1 + f) = 2 atanh(s), s = f/(2 + f). */
static inline struct pair log_sum(real f, real k, real tail) {
  real half_square = R(0.5) * f * f, s = f / (2 + f), z = s * s; /* 2s = f - f^2/2 + s f^2/2 */
  real rest = fma_(s, fma_(z, POLYNOMIAL(log, z), half_square), tail);
  struct pair low = two_sum(k * LN2_LO, f), sum = fast_two_sum(k * LN2_HI, low.hi);
  struct pair less = fast_two_sum(sum.hi, -half_square);
  return (struct pair){less.hi, less.lo + (sum.lo + (low.lo + rest))};
}

/* The exponent k, biased, for which u = m 2^k with sqrt(1/2) <= m < sqrt(2). */
static inline real_bits biased_exponent(real u) {
  return ((real_bits)bits_of(u) + (real_bits)(bits_of(1) - bits_of(SQRT_HALF))) >> MANTISSA_BITS;
}
static inline real exponent(real_bits biased) {
  const real shift = (real_bits)1 << MANTISSA_BITS; /* integers to floats without a conversion that AVX2 lacks */
  return real_of((real_int)(biased | (real_bits)bits_of(shift))) - (shift + EXPONENT_BIAS);
}

/* log(1 + x + tail), x >= -1; tail is less than the last bit of x. */
static inline struct pair log1p_sum(real x, real tail) {
  real_bits k = biased_exponent(1 + x);
  real four_scale = real_of((real_int)((2 * EXPONENT_BIAS + 2 - k) << MANTISSA_BITS)), scale = R(0.25) * four_scale;
  struct pair f = two_sum(R(0.25) * x * four_scale, scale - 1);          /* (1 + x) 2^-k - 1; 2^-k may be subnormal */
  return log_sum(f.hi, exponent(k), (f.lo + tail * scale) * (1 - f.hi)); /* 1/(1 + f) is near 1 - f */
}

static inline real log1p_(real x) {
  struct pair y = log1p_sum(x, 0);
  real sum = y.hi + y.lo;
  sum = x > -1 ? sum : x == -1 ? -REAL_INFINITY : REAL_NAN;
  return x <= REAL_MAX ? sum : x; /* infinity and NaN */
}

static inline real log_(real x) {
  real_bits k = biased_exponent(x);
  real m = real_of((real_int)((real_bits)bits_of(x) - ((k - EXPONENT_BIAS) << MANTISSA_BITS)));
  struct pair y = log_sum(m - 1, exponent(k), 0);
  real sum = y.hi + y.lo;
  sum = x >= REAL_MIN ? sum : x > -REAL_MIN ? -REAL_INFINITY : REAL_NAN;
  return x <= REAL_MAX ? sum : x;
}

/* 1 / (1 + e^a), a >= 0 */
static inline real logistic_tail(real a) {
  real scale;
  struct pair e = exp_negative(a, &scale), d = fast_two_sum(1, e.hi * scale);
  d.lo += e.lo * scale;
  return quotient(e, d) * scale;
}

static inline real sigmoid_(real x) {
  real tail = logistic_tail(absolute(x));
  return x < 0 ? tail : 1 - tail;
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|) */
static inline real softplus_(real x) {
  real scale;
  struct pair e = exp_negative(absolute(x), &scale), log = log1p_sum(e.hi * scale, e.lo * scale);
  struct pair sum = two_sum(x > 0 ? x : 0, log.hi);
  real y = sum.hi + (sum.lo + log.lo);
  return x > EXP_FLUSH ? x : y;
}

static inline real tanh_(real x) {
  real a = absolute(x), z = x * x;
  real near = fma_(z * POLYNOMIAL(tanh, z), x, x), far = 1 - 2 * logistic_tail(2 * a);
  far = x < 0 ? -far : far;
  return a < R(0.55) ? near : far;
}

/* The normal distribution's Phi(-a) = e^(-a^2/2) ratio, a >= 0, relatively exact however small. */
struct normal_tail {
  real exponential, ratio;
};
static inline struct normal_tail normal_tail(real a) {
  a = a > TAIL_MAX ? TAIL_MAX : a;
  real half = R(0.5) * a, half_square = half * a, q = 1 / (a + TAIL_CENTRE);
  return (struct normal_tail){exp_less(-half_square, -residual(half_square, half, a)),
                              q * POLYNOMIAL(tail, (a - TAIL_CENTRE) * q)};
}

/* Rows are taken ROW_LANES at a time: maxima and sums vectorise, in the same order on every target. */
enum { ROW_LANES = 8 };

static inline real row_max(size_t n, const real *z) {
  real lane[ROW_LANES];
  size_t i = 0;
  for (size_t l = 0; l < ROW_LANES; l++) lane[l] = z[l < n ? l : 0];
  for (; i + ROW_LANES <= n; i += ROW_LANES)
    for (size_t l = 0; l < ROW_LANES; l++) lane[l] = z[i + l] > lane[l] ? z[i + l] : lane[l];
  for (; i < n; i++) lane[0] = z[i] > lane[0] ? z[i] : lane[0];
  for (size_t l = 1; l < ROW_LANES; l++) lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
  return lane[0];
}

/* e_i = e^(z_i - max), which is at most 1 (not stored when e is NULL); returns their sum. */
static inline double row_exp(size_t n, const real *z, real max, real *e) {
  double lane[ROW_LANES] = {0}, sum = 0;
  real block[ROW_LANES];
  for (size_t i = 0; i < n; i += ROW_LANES) {
    size_t width = n - i < ROW_LANES ? n - i : ROW_LANES;
    for (size_t l = 0; l < ROW_LANES; l++) block[l] = -REAL_INFINITY;
    for (size_t l = 0; l < width; l++) block[l] = z[i + l] - max;
    for (size_t l = 0; l < ROW_LANES; l++) block[l] = exp_(block[l]);
    for (size_t l = 0; l < ROW_LANES; l++) lane[l] += (double)block[l];
    if (e) memcpy(e + i, block, width * sizeof(real));
  }
  for (size_t l = 0; l < ROW_LANES; l++) sum += lane[l];
  return sum;
}

#endif
