/* Guarded scalars in `real`, without branches, tables or libm, so that loops over them become vector code.
 *
 * - NaN comes only from NaN (and the logarithm of a negative number); infinities give the limit; nothing overflows on
 *   the way to a finite result.
 * - Arguments are reduced exactly and the delicate operations carry a rounding error along (`struct pair`): in float32
 *   exp, log, log1p, sigmoid, softplus and tanh are within 1 ULP for every one of the 2^32 inputs, with and without fma
 *   (tests/exhaustive.c measures it; docs/numerics.md has the table).
 * - Subnormal numbers are zero, and so may be results below REAL_FLUSH: intermediates may fall below REAL_MIN.
 * - Coefficients are minimax fits, made for these intervals and degrees (gelu's by benchmarks/polynomials.py).
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

#include "base/real.h"

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
#  define TAIL_MAX R(14.5)             /* e^(-a^2/2) is 0 from here */
#  define TAIL_CENTRE R(2.0)
#  define INVERSE_SQRT_TAU 0x1.988454p-2f /* 1 / sqrt(2 pi), and what rounding left */
#  define INVERSE_SQRT_TAU_LO -0x1.857936p-27f
#  define GELU_CUBIC 0x1.2444f2p-4f /* 0.044715 * 2 sqrt(2/pi) */
#  define GELU_CUBIC_LO 0x1.49b16ap-29f

/* (e^r - 1 - r) / r^2, |r| <= ln 2 / 2 */
static const real exp_polynomial[] = {0x1p-1f,        0x1.555556p-3f,  0x1.555496p-5f,
                                      0x1.111082p-7f, 0x1.6d88a2p-10f, 0x1.a1b214p-13f};
/* (2 atanh(s) - 2s) / s^3 in s^2, |s| <= 0.172 */
static const real log_polynomial[] = {0x1.555556p-1f, 0x1.999a54p-2f, 0x1.244128p-2f, 0x1.e1e06ap-3f};
/* (tanh(x)/x - 1) / x^2 in x^2, |x| <= 0.55 */
static const real tanh_polynomial[] = {-0x1.55554ep-2f, 0x1.110ddcp-3f, -0x1.b94266p-5f, 0x1.59fd02p-6f,
                                       -0x1.9f1476p-8f};
/* (Phi(a) - 1/2) / a in a^2, a <= 1 */
static const real gelu_near_polynomial[] = {0x1.988454p-2f,   -0x1.105864p-4f, 0x1.46d6d4p-7f,
                                            -0x1.37a3dep-10f, 0x1.e7a8ecp-14f, -0x1.27dceep-17f};
/* (gelu'(a) - 1/2) / a less its value at 0, over a^2, in a^2, a <= 1 */
static const real gelu_slope_near_polynomial[] = {-0x1.10585p-2f,   0x1.ea3cf6p-5f,  -0x1.3776ccp-7f, 0x1.316972p-10f,
                                                  -0x1.02545ep-13f, 0x1.d5d694p-17f, -0x1.917e1ap-20f};
/* a e^(a^2/2) Phi(-a) in (a - 2)/(a + 2), a >= 1 */
static const real gelu_tail_polynomial[] = {0x1.5845dcp-2f,  0x1.5d300ep-3f,  -0x1.35de92p-3f,
                                            0x1.0c5632p-5f,  0x1.290efp-6f,   -0x1.d4c9a2p-9f,
                                            -0x1.23a9bep-8f, -0x1.2cbeep-11f, 0x1.4bfd3ep-10f};
/* (a + 2) e^(a^2/2) Phi(-a), likewise, a >= 1 */
static const real gelu_slope_tail_polynomial[] = {0x1.5845dcp-1f,   -0x1.535bc2p-2f, 0x1.d7d2c8p-6f,   0x1.2ce8aap-5f,
                                                  -0x1.e80256p-12f, -0x1.c4f488p-8f, -0x1.f9a0aap-10f, 0x1.b63b2ep-10f};
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
#  define TAIL_CENTRE R(4.0)
#  define INVERSE_SQRT_TAU 0x1.9884533d43651p-2
#  define INVERSE_SQRT_TAU_LO -0x1.cbc0d30ebfd15p-56
#  define GELU_CUBIC 0x1.2444f2a4d8b4bp-4
#  define GELU_CUBIC_LO -0x1.6c843a29d1c7p-61

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
/* (Phi(a) - 1/2) / a in a^2, a <= 1 */
static const real gelu_near_polynomial[] = {0x1.9884533d43651p-2,   -0x1.1058377e2cf55p-4,  0x1.46d042976e62dp-7,
                                            -0x1.37403f6d8ec13p-10, 0x1.e42b0e26213c4p-14,  -0x1.3ce9179942871p-17,
                                            0x1.658f4cd41b9b7p-21,  -0x1.62c0d52baa8dfp-25, 0x1.4503a67ec5714p-29,
                                            -0x1.99ef469be23a1p-33, 0x1.57914544332edp-35,  -0x1.f1d6a6c7c42a4p-38};
/* (gelu'(a) - 1/2) / a less its value at 0, over a^2, in a^2, a <= 1 */
static const real gelu_slope_near_polynomial[] = {
    -0x1.1058377e2cf16p-2,  0x1.ea3863e31ffd7p-5,  -0x1.37403f6c0c81bp-7,  0x1.2e9ae86b03c0ap-10,
    -0x1.db5d7f0af040ap-14, 0x1.38d98fe0ff0c5p-17, -0x1.623c1e6dcf286p-21, 0x1.62348e8553168p-25,
    -0x1.6a4c6d24a8ee6p-29, 0x1.e1b2608fb55e4p-32, -0x1.bd299d4449bb8p-33, 0x1.5e274f92b5397p-34,
    -0x1.4f4e0697538e9p-36, 0x1.2250a3dd7679p-39};
/* a e^(a^2/2) Phi(-a) in (a - 4)/(a + 4), a >= 1 */
static const real gelu_tail_polynomial[] = {
    0x1.82b4bb8c94dcep-2,  0x1.2dda040d62d0dp-4,   -0x1.c41d6bcaf8565p-4,  0x1.9adc525a902dfp-4,
    -0x1.024df8efd2b1bp-4, 0x1.b0ffe01db0542p-6,   -0x1.691976fb0c90dp-8,  -0x1.e4abd3c423141p-11,
    0x1.ce76f6fd1a1b7p-11, -0x1.99ff0d3b043a6p-15, -0x1.e8a4fc2ab2d49p-14, 0x1.16d0a5be77b6cp-16,
    0x1.2cdaa3a86ae1bp-16, -0x1.5d8527a887fbdp-19, -0x1.b83c8d6981fc1p-19, 0x1.b5b04ac1b5f8ep-23,
    0x1.6058104c79c2ap-21, 0x1.697b772ae588bp-25,  -0x1.1741209d86356p-23, -0x1.1a760b8d16c23p-26,
    0x1.5cde8924e47ap-26,  -0x1.41746aabb2966p-31};
/* (a + 4) e^(a^2/2) Phi(-a), likewise, a >= 1 */
static const real gelu_slope_tail_polynomial[] = {
    0x1.82b4bb8c94dcdp-1,  -0x1.373e3a893c283p-1,  0x1.8c6dbf2cfc491p-2,   -0x1.7dff2bff68dddp-3,
    0x1.eec4cc3e0f9cap-5,  -0x1.ee276102a26bfp-8,  -0x1.c8171970f6f89p-9,  0x1.ab825f84d99cfp-10,
    0x1.17a45bececf9fp-13, -0x1.e4a421a9ca153p-13, -0x1.ff0a7150f86e1p-20, 0x1.26d0c14c2643ep-15,
    0x1.7601e59e7fb36p-21, -0x1.8d4456f6d819p-18,  -0x1.34fce8fdc6697p-21, 0x1.10c05d612b858p-20,
    0x1.9146c118b5964p-23, -0x1.2b9e601dc5244p-23, -0x1.2f966e111ca7ep-26};
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

static inline struct pair product(real a, real b) {
  real p = a * b;
  return (struct pair){p, -residual(p, a, b)};
}

/* n/d: one division, then what it left divided again. */
static inline struct pair quotient(struct pair n, struct pair d) {
  real reciprocal = 1 / d.hi, q = n.hi * reciprocal;
  return (struct pair){q, (residual(n.hi, q, d.hi) + (n.lo - q * d.lo)) * reciprocal};
}
static inline real inverse(struct pair d) {
  real q = 1 / d.hi;
  return fma_(q, residual(1, q, d.hi) - q * d.lo, q);
}

static inline struct pair one_less(struct pair x) { /* 1 - x, |x| <= 1 */
  struct pair y = fast_two_sum(1, -x.hi);
  return (struct pair){y.hi, y.lo - x.lo};
}

static inline real times(real a, struct pair x) { return fma_(a, x.hi, a * x.lo); }

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

/* e^-(a + tail) = (hi + lo) 2^n for a >= 0, `scale` = 2^n, zero once e^-a is. */
static inline struct pair exp_negative(real a, real tail, real *scale) {
  struct exp_parts e = exp_reduce(a > EXP_FLUSH ? -EXP_FLUSH : -a, tail);
  real y = 1 + (e.h + e.q);
  *scale = power_of_two(e.rounder_plus_n);
  return (struct pair){y, ((1 - y) + e.h) + e.q};
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

/* 1 / (1 + e^(a + tail)), a >= 0 */
static inline struct pair logistic_tail(real a, real tail) {
  real scale;
  struct pair e = exp_negative(a, tail, &scale), d = fast_two_sum(1, e.hi * scale);
  d.lo += e.lo * scale;
  e = quotient(e, d);
  return (struct pair){e.hi * scale, e.lo * scale};
}

static inline real sigmoid_(real x) {
  struct pair tail = logistic_tail(absolute(x), 0);
  real t = tail.hi + tail.lo;
  return x < 0 ? t : 1 - t;
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|) */
static inline real softplus_(real x) {
  real scale;
  struct pair e = exp_negative(absolute(x), 0, &scale), log = log1p_sum(e.hi * scale, e.lo * scale);
  struct pair sum = two_sum(x > 0 ? x : 0, log.hi);
  real y = sum.hi + (sum.lo + log.lo);
  return x > EXP_FLUSH ? x : y;
}

static inline real tanh_(real x) {
  real a = absolute(x), z = x * x;
  struct pair tail = logistic_tail(2 * a, 0);
  real near = fma_(z * POLYNOMIAL(tanh, z), x, x), far = 1 - 2 * (tail.hi + tail.lo);
  far = x < 0 ? -far : far;
  return a < R(0.55) ? near : far;
}

/* gelu(z) = z Phi(z), Phi the normal distribution. Near 0 Phi is 1/2 + z P(z^2); elsewhere, for a = |z|, the value is
 * max(z, 0) - e^(-a^2/2) G(a), where G = a e^(a^2/2) Phi(-a) is between 0.2 and 0.4: relatively exact however small. */
static inline real gelu_(real z) {
  real near = z * fma_(z, POLYNOMIAL(gelu_near, z * z), R(0.5)), size = absolute(z), scale;
  real a = size > TAIL_MAX ? TAIL_MAX : size, q = inverse(two_sum(a, TAIL_CENTRE));
  real G = POLYNOMIAL(gelu_tail, (a - TAIL_CENTRE) * q), half = R(0.5) * a, half_square = half * a;
  struct pair e = exp_negative(half_square, -residual(half_square, half, a), &scale);
  real far = fma_(-times(G, e), scale, z > 0 ? z : 0);
  return size < R(0.9) ? near : far;
}

/* Phi(z) + z Phi'(z) = 1/2 + z P(z^2) near 0, and 0 or 1 less e^(-a^2/2) (e^(a^2/2) Phi(-a) - a / sqrt(2 pi)). */
static inline real gelu_slope_(real z) {
  real a = absolute(z), square = z * z, p = POLYNOMIAL(gelu_slope_near, square);
  real factor = fma_(square, p, 2 * INVERSE_SQRT_TAU), lost = fma_(square, p, 2 * INVERSE_SQRT_TAU - factor);
  real near = fma_(z, lost, fma_(z, factor, R(0.5)));
  real c = a > TAIL_MAX ? TAIL_MAX : a, q = 1 / (c + TAIL_CENTRE);
  real half = R(0.5) * c, half_square = half * c, ratio = q * POLYNOMIAL(gelu_slope_tail, (c - TAIL_CENTRE) * q);
  real beyond = fma_(c, INVERSE_SQRT_TAU, fma_(c, INVERSE_SQRT_TAU_LO, -ratio)) *
                exp_less(-half_square, -residual(half_square, half, c));
  return a < R(1.1) ? near : z < 0 ? -beyond : 1 + beyond;
}

/* Rows are taken ROW_LANES at a time: maxima and sums vectorise, in the same order on every target. */
enum { ROW_LANES = 8 };

static inline real row_max(size_t n, const real *z) {
  real lane[ROW_LANES], most = z[0];
  size_t i = 0;
  if (n < ROW_LANES) {
    for (; i < n; i++) most = z[i] > most ? z[i] : most;
    return most;
  }
  for (size_t l = 0; l < ROW_LANES; l++) lane[l] = z[l];
  for (; i + ROW_LANES <= n; i += ROW_LANES)
    for (size_t l = 0; l < ROW_LANES; l++) lane[l] = z[i + l] > lane[l] ? z[i + l] : lane[l];
  for (; i < n; i++) lane[0] = z[i] > lane[0] ? z[i] : lane[0];
  for (size_t l = 1; l < ROW_LANES; l++) lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
  return lane[0];
}

/* e^(z - max), with what rounding z - max loses */
static inline real exp_below(real z, real max) {
  struct pair below = two_sum(z, -max);
  return exp_less(below.hi, -below.lo);
}

/* e_i = e^(z_i - max), which is at most 1 (not stored when e is NULL). Returns their sum less 1: of the largest there
 * is at least one, and what the others add keeps its relative accuracy beside it. */
static inline double row_exp(size_t n, const real *z, real max, real *e) {
  enum { FEW = 3 }; /* so few are faster one by one than padded to a vector */
  double lane[ROW_LANES] = {0}, ones[ROW_LANES] = {-1}, some = 0, more = -1;
  real block[ROW_LANES];
  for (size_t i = 0; n <= FEW && i < n; i++) {
    const real x = exp_below(z[i], max);
    some += x == 1 ? 0 : (double)x;
    more += x == 1 ? 1 : 0;
    if (e) e[i] = x;
  }
  if (n <= FEW) return some + more;
  for (size_t i = 0; i < n; i += ROW_LANES) {
    size_t width = n - i < ROW_LANES ? n - i : ROW_LANES;
    for (size_t l = 0; l < ROW_LANES; l++) block[l] = -REAL_INFINITY;
    for (size_t l = 0; l < width; l++) block[l] = z[i + l];
    for (size_t l = 0; l < ROW_LANES; l++) block[l] = exp_below(block[l], max);
    for (size_t l = 0; l < ROW_LANES; l++) {
      lane[l] += block[l] == 1 ? 0 : (double)block[l];
      ones[l] += block[l] == 1 ? 1 : 0;
    }
    if (e) memcpy(e + i, block, width * sizeof(real));
  }
  for (size_t l = 1; l < ROW_LANES; l++) lane[0] += lane[l], ones[0] += ones[l];
  return lane[0] + ones[0];
}

#endif
