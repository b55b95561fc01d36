/* What is done to whole vectors and tiles: bias, largest magnitudes, sums, conversion.
 *
 * Largest magnitudes are taken over bit patterns, where infinity lies above all numbers and NaN above infinity: a
 * single bad value cannot hide. Sums are kept in double, in LANES8 fixed lanes, so that they vectorise and their
 * order does not depend on the target. */
enum { LANES8 = 8 };

static inline double magnitude_value(real_int largest_bits) { return (double)real_of(largest_bits); }

static double add_bias(size_t rows, size_t columns, void *z_, size_t ldz, const void *bias_) {
  const real *bias = bias_;
  real_int most = 0;
  for (size_t i = 0; i < rows; i++) {
    real *z = (real *)z_ + i * ldz;
    if (bias)
      for (size_t j = 0; j < columns; j++) {
        z[j] += bias[j];
        most = magnitude(z[j]) > most ? magnitude(z[j]) : most;
      }
    else
      for (size_t j = 0; j < columns; j++) most = magnitude(z[j]) > most ? magnitude(z[j]) : most;
  }
  return magnitude_value(most);
}

static double largest(size_t n, const void *x_) {
  const real *x = x_;
  real_int most = 0;
  for (size_t i = 0; i < n; i++) most = magnitude(x[i]) > most ? magnitude(x[i]) : most;
  return magnitude_value(most);
}

static double sum_squares(size_t n, const void *x_, double *largest_) {
  const real *x = x_;
  double lane[LANES8] = {0}, sum = 0;
  real_int top[LANES8] = {0}, most = 0;
  const size_t even = n / LANES8 * LANES8;
  for (size_t i = 0; i < even; i += LANES8)
    for (size_t l = 0; l < LANES8; l++) {
      const real_int m = magnitude(x[i + l]);
      top[l] = m > top[l] ? m : top[l];
      lane[l] += (double)x[i + l] * (double)x[i + l];
    }
  for (size_t i = even; i < n; i++) {
    const real_int m = magnitude(x[i]);
    most = m > most ? m : most;
    lane[i - even] += (double)x[i] * (double)x[i];
  }
  for (size_t l = 0; l < LANES8; l++) {
    most = top[l] > most ? top[l] : most;
    sum += lane[l];
  }
  *largest_ = magnitude_value(most);
  return sum;
}

/* A power of two that brings `largest` near 1 where its square could leave the range of doubles, else 1. */
static double unit_for(double largest) {
  int power;
  if (PYNN_REAL_BITS == 32 || largest == 0 || (largest > 1e-140 && largest < 1e140)) return 1;
  frexp(largest, &power);
  return ldexp(1, 2 - power);
}

/* Sum of the distances of x * unit from `origin`, or of their squares. */
static inline double sum_distances(size_t n, const real *x, double unit, double origin, int squared) {
  double lane[LANES8] = {0}, sum = 0;
  const size_t even = n / LANES8 * LANES8;
  for (size_t i = 0; i < even; i += LANES8)
    for (size_t l = 0; l < LANES8; l++) {
      const double away = (double)x[i + l] * unit - origin;
      lane[l] += squared ? away * away : away;
    }
  for (size_t i = even; i < n; i++) {
    const double away = (double)x[i] * unit - origin;
    lane[i - even] += squared ? away * away : away;
  }
  for (size_t l = 0; l < LANES8; l++) sum += lane[l];
  return sum;
}

static void count(size_t rows, size_t columns, const real *y_, const real *z_, size_t ld, real_int flat,
                  unsigned char *alive, struct observed *out) {
  const real_int smallest = magnitude(REAL_MIN), tiny = magnitude((real)TINY);
  real_int most = 0;
  for (size_t j = 0; alive && j < columns; j++) alive[j] = 0;
  for (size_t i = 0; i < rows; i++) {
    const real *y = y_ + i * ld, *z = z_ + i * ld;
    real_int zeros = 0, small = 0, saturated = 0; /* as wide as a number: they are counted in vectors */
    for (size_t j = 0; j < columns; j++) {
      const real_int m = magnitude(y[j]);
      most = m > most ? m : most;
      zeros += m < smallest;
      small += m < tiny;
      saturated += magnitude(z[j]) > flat;
    }
    for (size_t j = 0; alive && j < columns; j++)
      alive[j] |= (unsigned char)((int)(magnitude(y[j]) >= smallest) & (magnitude(z[j]) <= flat));
    out->zeros += zeros, out->tiny += small - zeros, out->saturated += saturated;
  }
  out->largest = magnitude_value(most);
}

static void observe(size_t rows, size_t columns, const void *y_, const void *z, size_t ld, double flat,
                    unsigned char *alive, struct observed *out) {
  const int saturates = z && flat > 0;
  const real *y = y_;
  const double n = (double)(rows * columns);
  *out = (struct observed){.n = (int64_t)(rows * columns)};
  if (!out->n) return;
  count(rows, columns, y, saturates ? z : y, ld, saturates ? magnitude((real)flat) : REAL_INT_MAX, alive, out);
  const double unit = unit_for(out->largest), first = (double)y[0] * unit;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < rows; i++) sum += sum_distances(columns, y + i * ld, unit, first, 0);
  const double mean = first + sum / n; /* of equal numbers: that number */
  for (size_t i = 0; i < rows; i++) squares += sum_distances(columns, y + i * ld, unit, mean, 1);
  out->mean = mean / unit;
  out->spread = sqrt(squares) / unit;
}

static void compare(size_t n, const void *before_, const void *after_, const void *gradient_, struct changed *out) {
  const real *before = before_, *after = after_, *gradient = gradient_;
  real_int lost = 0, most = 0;
  for (size_t i = 0; i < n; i++) {
    lost += (after[i] == before[i]) & (gradient[i] != 0);
    most = magnitude(after[i]) > most ? magnitude(after[i]) : most;
    most = magnitude(before[i]) > most ? magnitude(before[i]) : most;
  }
  const double unit = unit_for(magnitude_value(most));
  double change[LANES8] = {0}, weight[LANES8] = {0}, changes = 0, weights = 0;
  for (size_t i = 0; i < n; i += LANES8) {
    const size_t width = n - i < LANES8 ? n - i : LANES8;
    for (size_t l = 0; l < width; l++) {
      const double w = (double)before[i + l] * unit, moved = (double)after[i + l] * unit - w;
      change[l] += moved * moved;
      weight[l] += w * w;
    }
  }
  for (size_t l = 0; l < LANES8; l++) changes += change[l], weights += weight[l];
  *out = (struct changed){sqrt(changes) / unit, sqrt(weights) / unit, lost};
}

static void column_sums(size_t rows, size_t columns, const void *x_, size_t ldx, void *sums_) {
  enum { BLOCK = 16 };
  const real *x = x_;
  real *sums = sums_;
  for (size_t from = 0; from < columns; from += BLOCK, x += BLOCK) {
    size_t width = columns - from < BLOCK ? columns - from : BLOCK;
    double sum[BLOCK] = {0};
    if (width == BLOCK)
      for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < BLOCK; j++) sum[j] += (double)x[i * ldx + j];
    else
      for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++) sum[j] += (double)x[i * ldx + j];
    for (size_t j = 0; j < width; j++) sums[from + j] = (real)sum[j];
  }
}

static float half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u, bits;
  float value;
  if (exponent == 31) bits = 0x7f800000u | fraction << 13;
  else if (exponent) bits = (exponent + 112) << 23 | fraction << 13;
  else {
    value = (float)fraction * 0x1p-24f;
    memcpy(&bits, &value, sizeof bits);
  }
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#define CONVERT(type, expression)                               \
  for (size_t i = 0; i < n; i++) {                              \
    type value;                                                 \
    memcpy(&value, source + (int64_t)i * stride, sizeof value); \
    out[i] = (real)(expression);                                \
  }                                                             \
  break
static void from_array(size_t n, const void *source_, int64_t stride, pynn_dtype dtype, void *out_) {
  const char *source = source_;
  real *out = out_;
  switch (dtype) {
    case PYNN_FLOAT32: CONVERT(float, value);
    case PYNN_FLOAT64: CONVERT(double, value);
    case PYNN_FLOAT16: CONVERT(uint16_t, half_to_float(value));
    case PYNN_BOOL: CONVERT(uint8_t, value != 0);
    case PYNN_INT8: CONVERT(int8_t, value);
    case PYNN_INT16: CONVERT(int16_t, value);
    case PYNN_INT32: CONVERT(int32_t, value);
    case PYNN_INT64: CONVERT(int64_t, value);
    case PYNN_UINT8: CONVERT(uint8_t, value);
    case PYNN_UINT16: CONVERT(uint16_t, value);
    case PYNN_UINT32: CONVERT(uint32_t, value);
    case PYNN_UINT64: CONVERT(uint64_t, value);
  }
}
#undef CONVERT

static void from_double(size_t n, const double *source, void *out_) {
  real *out = out_;
  for (size_t i = 0; i < n; i++) out[i] = (real)source[i];
}
