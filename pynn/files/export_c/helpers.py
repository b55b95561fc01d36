"""C functions of layers, as the library's kernels compute them.

P_ stands for the header's prefix, N_ for that of its macros, IN for the type of a layer's input.
"""

from __future__ import annotations

__all__ = ["HELPERS", "PRELUDE"]

HELPERS = {
    "dense": """
/* y = x W + b: each sum one chain in the order of the inputs. W (inputs x units) is row-major; b may be 0. */
static inline void P_dense(const P_real *x, size_t inputs, size_t units, const P_real *w, const P_real *b, P_real *y) {
  for (size_t j = 0; j < units; j++) y[j] = 0;
  for (size_t i = 0; i < inputs; i++, w += units)
    for (size_t j = 0; j < units; j++) y[j] = P_fma_(x[i], w[j], y[j]);
  for (size_t j = 0; b && j < units; j++) y[j] += b[j];
}
""",
    "dense_int8": """
/* y = (x W) * scale + b, W of 8-bit integers (inputs x units, row-major), one scale for each unit. */
static inline void P_dense_int8(const P_real *x, size_t inputs, size_t units, const int8_t *w, const P_real *scale,
                                const P_real *b, P_real *y) {
  for (size_t j = 0; j < units; j++) y[j] = 0;
  for (size_t i = 0; i < inputs; i++, w += units)
    for (size_t j = 0; j < units; j++) y[j] = P_fma_(x[i], (P_real)w[j], y[j]);
  for (size_t j = 0; j < units; j++) y[j] = b ? y[j] * scale[j] + b[j] : y[j] * scale[j];
}
""",
    "softmax": """
static inline void P_softmax(size_t n, const P_real *x, P_real *y) {
  P_real largest = x[0];
  for (size_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  const double inverse = 1 / (1 + P_row_exp(n, x, largest, y)); /* row_exp leaves the 1 of the largest out */
  for (size_t i = 0; i < n; i++) y[i] = (P_real)((double)y[i] * inverse);
}
""",
    "affine": """
static inline void P_affine(size_t n, const P_real *x, const double *shift, const double *scale, const P_real *gamma,
                            const P_real *beta, P_real *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = (P_real)(((double)x[i] - shift[i]) * scale[i] * (gamma ? (double)gamma[i] : 1) +
                   (beta ? (double)beta[i] : 0));
}
""",
    "layer_norm": """
static inline void P_layer_norm(size_t n, const P_real *x, const P_real *gamma, const P_real *beta, double epsilon,
                                P_real *y) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] - (double)x[0];
  const double mean = (double)x[0] + sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  const double variance = squares / (double)n + epsilon, inverse = variance > 0 ? 1 / sqrt(variance) : 0;
  for (size_t i = 0; i < n; i++)
    y[i] = (P_real)(((double)x[i] - mean) * inverse * (gamma ? (double)gamma[i] : 1) + (beta ? (double)beta[i] : 0));
}
""",
    "normalize": """
/* (x - shift) scale; a scale of 0 gives 0, of NaN x itself; clip > 0 cuts. NaN, and infinite cells where `infinite` is
 * set, are replaced by `fill` (0: not). */
static inline void P_normalize(size_t n, const IN *x, const double *shift, const double *scale, const double *fill,
                               int infinite, double clip, P_real *y) {
  for (size_t i = 0; i < n; i++) {
    const double given = (double)x[i];
    const int finite = given <= DBL_MAX && given >= -DBL_MAX;
    const double value = fill && (infinite ? !finite : given != given) ? fill[i] : given;
    double z = (value - shift[i]) * scale[i];
    if (!(scale[i] < 0) && !(scale[i] > 0) && value <= DBL_MAX && value >= -DBL_MAX) z = 0;
    if (clip > 0) z = z > clip ? clip : z < -clip ? -clip : z;
    y[i] = scale[i] != scale[i] ? (P_real)x[i] : (P_real)z;
  }
}
""",
    "categorical": """
/* The other columns first, then for each code column its slot (0: unknown, else 1 + code): one of size + 1 columns that
 * is 1, or a row of `wide` numbers from the table. */
static inline void P_categorical(size_t n, const P_real *x, size_t coded, const int32_t *columns, const int32_t *sizes,
                                 size_t wide, const P_real *table, P_real *y) {
  for (size_t i = 0, c = 0; i < n; i++) {
    if (c < coded && (size_t)columns[c] == i) c++;
    else *y++ = x[i];
  }
  for (size_t c = 0; c < coded; c++) {
    const P_real code = x[columns[c]];
    const int known = code >= 0 && code < (P_real)sizes[c] && !((P_real)(int32_t)code < code);
    const size_t slot = known ? (size_t)code + 1 : 0, slots = (size_t)sizes[c] + 1, width = wide ? wide : slots;
    for (size_t i = 0; i < width; i++) y[i] = wide ? table[slot * wide + i] : (P_real)(i == slot);
    y += width;
    if (wide) table += slots * wide;
  }
}
""",
}

PRELUDE = """
/* a*b + c in one rounding where the processor does that, in two elsewhere: as the library's own kernels do. */
#ifndef N_FMA
#  if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
#    define N_FMA 1
#  else
#    define N_FMA 0
#  endif
#endif
#define P_FMA_BUILTIN N_FMA
static inline P_real P_fma_(P_real a, P_real b, P_real c) {
#if N_FMA
  return FMA(a, b, c);
#else
  return a * b + c;
#endif
}
"""
