/* `real` and its vectors for the kernel templates: kernels_f32.c and kernels_f64.c define PYNN_REAL_BITS (32 or 64)
 * and are compiled once for each processor target with that target's flags. */
#ifndef PYNN_REAL_H
#define PYNN_REAL_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if PYNN_REAL_BITS == 32
typedef float real;
typedef int32_t real_int;
#  define R(x) x##f
#  define REAL_MAX FLT_MAX
#  define REAL_MIN FLT_MIN /* smallest normal number */
#  define REAL_EPSILON FLT_EPSILON
#  define REAL_INT_MAX INT32_MAX
#  define MANTISSA_BITS 23
#  define EXPONENT_BIAS 127
#else
typedef double real;
typedef int64_t real_int;
#  define R(x) x
#  define REAL_MAX DBL_MAX
#  define REAL_MIN DBL_MIN
#  define REAL_EPSILON DBL_EPSILON
#  define REAL_INT_MAX INT64_MAX
#  define MANTISSA_BITS 52
#  define EXPONENT_BIAS 1023
#endif

/* The processor target, from the compiler's flags: how wide vectors are and whether a*b+c is one instruction. */
#if defined(__AVX512F__)
#  define TARGET avx512
#  define VECTOR_BYTES 64
#  define FMA_BUILTIN 1
#elif defined(__AVX2__) && defined(__FMA__)
#  define TARGET avx2
#  define VECTOR_BYTES 32
#  define FMA_BUILTIN 1
#else
#  define TARGET baseline
#  define VECTOR_BYTES 16
#  if defined(__aarch64__)
#    define FMA_BUILTIN 1
#  else
#    define FMA_BUILTIN 0
#  endif
#endif

/* A file whose numbers are the same on every target, in vectors of any width, says PYNN_UNFUSED. */
#if defined(PYNN_UNFUSED)
#  undef FMA_BUILTIN
#  define FMA_BUILTIN 0
#endif

/* a*b + c: one rounding where the target has it, two on the baseline. Never left to the compiler's choice (the build
 * says -ffp-contract=off), so a loop's vector body and its remainder give the same bits. */
static inline real fma_(real a, real b, real c) {
#if !FMA_BUILTIN
  return a * b + c;
#elif PYNN_REAL_BITS == 32
  return __builtin_fmaf(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

static inline real_int bits_of(real x) {
  real_int i;
  memcpy(&i, &x, sizeof i);
  return i;
}

static inline real real_of(real_int i) {
  real x;
  memcpy(&x, &i, sizeof x);
  return x;
}

/* |x| as an integer: ordered as |x|, infinity above all numbers and NaN above infinity. */
static inline real_int magnitude(real x) { return bits_of(x) & REAL_INT_MAX; }

#endif
