/* Initializers, in double with the library's own log: the same numbers whatever the C library.
 *
 * Keras's definitions: fan_in = inputs = rows, fan_out = units = columns, and the *_normal kinds are normal numbers
 * truncated at two standard deviations, widened so that `stddev` is theirs after truncation. */
#include "names/initializers.h"

#include "base/rng.h"

#include <float.h>
#include <math.h>

static void fill_constant(const struct part *part, double value, double *out) {
  for (int64_t i = 0; i < part->n; i++) out[i] = value;
}

static void fill_normal(const struct part *part, uint64_t key, double mean, double stddev, double limit, double *out) {
  part->kernels->normals((size_t)part->n, key, (uint64_t)part->first, limit, out);
  for (int64_t i = 0; i < part->n; i++) out[i] = mean + stddev * out[i];
}

static void fill_uniform(const struct part *part, uint64_t key, double least, double most, double *out) {
  for (int64_t i = 0; i < part->n; i++) {
    double u = random_unit(key, 0, (uint64_t)(part->first + i));
    out[i] = least * (1 - u) + most * u;
  }
}

/* Variance 1/fan, truncated normal or uniform. */
#define TRUNCATED_STDDEV 0.87962566103423978 /* of a standard normal number within +-2 */
static void scaled_normal(const struct part *part, uint64_t key, double fan, double *out) {
  fill_normal(part, key, 0, 1 / (sqrt(fan) * TRUNCATED_STDDEV), 2, out);
}
static void scaled_uniform(const struct part *part, uint64_t key, double fan, double *out) {
  double limit = sqrt(3 / fan);
  fill_uniform(part, key, -limit, limit, out);
}

/* All fill functions have one signature; each uses some of it. */
#define FILL(name) static void name(const struct part *part, uint64_t key, const double *p, double *out)
#define UNUSED (void)key, (void)p
static double rows_of(const struct part *part) { return (double)part->rows; }
static double mean_side(const struct part *part) { return 0.5 * (double)(part->rows + part->columns); }

FILL(zeros) { UNUSED, fill_constant(part, 0, out); }
FILL(ones) { UNUSED, fill_constant(part, 1, out); }
FILL(constant) { UNUSED, fill_constant(part, p[0], out); }
FILL(random_normal) { UNUSED, fill_normal(part, key, p[0], p[1], (double)INFINITY, out); }
FILL(truncated_normal) { UNUSED, fill_normal(part, key, p[0], p[1], 2, out); }
FILL(random_uniform) { UNUSED, fill_uniform(part, key, p[0], p[1], out); }
FILL(glorot_normal) { UNUSED, scaled_normal(part, key, mean_side(part), out); }
FILL(glorot_uniform) { UNUSED, scaled_uniform(part, key, mean_side(part), out); }
FILL(he_normal) { UNUSED, scaled_normal(part, key, 0.5 * rows_of(part), out); }
FILL(he_uniform) { UNUSED, scaled_uniform(part, key, 0.5 * rows_of(part), out); }
FILL(lecun_normal) { UNUSED, scaled_normal(part, key, rows_of(part), out); }
FILL(lecun_uniform) { UNUSED, scaled_uniform(part, key, rows_of(part), out); }

static double dot(int64_t n, const double *a, const double *b) {
  enum { LANES = 8 };
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += a[i + l] * b[i + l];
  for (; i < n; i++) sum += a[i] * b[i];
  for (int l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

/* gain times a matrix with orthonormal rows or columns, whichever are fewer, uniform over all such (Haar measure):
 * Gram-Schmidt, each vector twice, on normal numbers. Q's distribution is right as R's diagonal is positive. */
static void orthogonal(const struct part *part, uint64_t key, const double *p, double *out, double *scratch) {
  const int64_t rows = part->rows, columns = part->columns;
  int tall = rows > columns;
  int64_t count = tall ? columns : rows, length = tall ? rows : columns;
  double *q = tall ? scratch : out;
  fill_normal(part, key, 0, 1, (double)INFINITY, q);
  for (int64_t i = 0; i < count; i++) {
    double *vector = q + i * length;
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = 0; j < i; j++) {
        const double *other = q + j * length;
        double along = dot(length, vector, other);
        for (int64_t k = 0; k < length; k++) vector[k] -= along * other[k];
      }
    double scale = 1 / sqrt(dot(length, vector, vector));
    for (int64_t k = 0; k < length; k++) vector[k] *= scale;
  }
  for (int64_t i = 0; i < count; i++)
    for (int64_t k = 0; k < length; k++) out[tall ? k * columns + i : i * length + k] = p[0] * q[i * length + k];
}

#define ROW(name_, aliases_, ...) {{.name = #name_, .aliases = aliases_, __VA_ARGS__}, name_, NULL}
#define FIELDS(n, ...) .n_fields = n, .fields = {__VA_ARGS__}
#define ANY(name, value) {name, value, -DBL_MAX, DBL_MAX, 0}
#define STDDEV {"stddev", 0.05, 0, DBL_MAX, 0}

const struct initializer pynn_initializers[] = {
    ROW(zeros, "", .flags = 0),
    ROW(ones, "", .flags = 0),
    ROW(constant, "", FIELDS(1, ANY("value", 0))),
    ROW(random_normal, "normal", FIELDS(2, ANY("mean", 0), STDDEV)),
    ROW(truncated_normal, "", FIELDS(2, ANY("mean", 0), STDDEV)),
    ROW(random_uniform, "uniform", FIELDS(2, ANY("minval", -0.05), ANY("maxval", 0.05))),
    ROW(glorot_normal, "", .flags = 0),
    ROW(glorot_uniform, "", .flags = 0),
    ROW(he_normal, "", .flags = 0),
    ROW(he_uniform, "", .flags = 0),
    ROW(lecun_normal, "", .flags = 0),
    ROW(lecun_uniform, "", .flags = 0),
    {{.name = "orthogonal", .aliases = "", FIELDS(1, ANY("gain", 1))}, NULL, orthogonal},
};
const int32_t pynn_n_initializers = sizeof pynn_initializers / sizeof *pynn_initializers;
