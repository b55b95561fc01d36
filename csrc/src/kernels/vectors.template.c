/* What is done to whole vectors and tiles: bias, largest magnitudes, sums, dropout, conversion.
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

/* Adds the sum of n numbers and of their squares. */
static void add_moments(size_t n, const real *x, double *sum, double *squares) {
  double first[LANES8] = {0}, second[LANES8] = {0};
  const size_t even = n / LANES8 * LANES8;
  for (size_t i = 0; i < even; i += LANES8)
    for (size_t l = 0; l < LANES8; l++) {
      const double value = (double)x[i + l];
      first[l] += value;
      second[l] += value * value;
    }
  for (size_t i = even; i < n; i++) {
    first[i - even] += (double)x[i];
    second[i - even] += (double)x[i] * (double)x[i];
  }
  for (size_t l = 0; l < LANES8; l++) *sum += first[l], *squares += second[l];
}

static void observe(size_t rows, size_t columns, const void *y_, const void *z_, size_t ld, double flat_,
                    unsigned char *alive, struct observed *out) {
  const real_int smallest = magnitude(REAL_MIN), tiny = magnitude((real)TINY);
  const int saturates = z_ && flat_ > 0;
  const real_int flat = saturates ? magnitude((real)flat_) : REAL_INT_MAX; /* no magnitude is above that */
  real_int most = 0;
  *out = (struct observed){.n = (int64_t)(rows * columns)};
  for (size_t j = 0; alive && j < columns; j++) alive[j] = 0;
  for (size_t i = 0; i < rows; i++) {
    const real *y = (const real *)y_ + i * ld, *z = saturates ? (const real *)z_ + i * ld : y;
    real_int zeros = 0, small = 0, saturated = 0; /* as wide as a number: they are counted in vectors */
    for (size_t j = 0; j < columns; j++) {
      const real_int m = magnitude(y[j]);
      most = m > most ? m : most;
      zeros += m < smallest;
      small += m < tiny;
      saturated += magnitude(z[j]) > flat;
    }
    for (size_t j = 0; alive && j < columns; j++)
      alive[j] |= (unsigned char)((magnitude(y[j]) >= smallest) & (magnitude(z[j]) <= flat));
    add_moments(columns, y, &out->sum, &out->squares);
    out->zeros += zeros, out->tiny += small - zeros, out->saturated += saturated;
  }
  out->largest = magnitude_value(most);
}

static void compare(size_t n, const void *before_, const void *after_, const void *gradient_, struct changed *out) {
  const real *before = before_, *after = after_, *gradient = gradient_;
  double change[LANES8] = {0}, weight[LANES8] = {0};
  real_int lost = 0;
  *out = (struct changed){0};
  for (size_t i = 0; i < n; i++) lost += (after[i] == before[i]) & (gradient[i] != 0);
  for (size_t i = 0; i < n; i += LANES8) {
    const size_t width = n - i < LANES8 ? n - i : LANES8;
    for (size_t l = 0; l < width; l++) {
      const double w = (double)before[i + l], moved = (double)after[i + l] - w;
      change[l] += moved * moved;
      weight[l] += w * w;
    }
  }
  for (size_t l = 0; l < LANES8; l++) out->squares += change[l], out->weight_squares += weight[l];
  out->lost = lost;
}

static void column_sums(size_t rows, size_t columns, const void *x_, size_t ldx, void *sums_) {
  enum { BLOCK = 64 };
  const real *x = x_;
  real *sums = sums_;
  for (size_t from = 0; from < columns; from += BLOCK) {
    size_t width = columns - from < BLOCK ? columns - from : BLOCK;
    double sum[BLOCK] = {0};
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < width; j++) sum[j] += (double)x[i * ldx + from + j];
    for (size_t j = 0; j < width; j++) sums[from + j] = (real)sum[j];
  }
}

static void dropout(size_t n, const void *x_, void *y_, double rate, uint64_t key, uint64_t step, uint64_t first) {
  const real *x = x_;
  real *y = y_;
  uint32_t threshold = (uint32_t)(rate * 0x1p32);
  real scale = (real)(1 / (1 - rate));
  struct philox draw = {{0}};
  for (size_t i = 0; i < n; i++) { /* one draw of 4 x 32 bits serves 4 neighbours */
    uint64_t index = first + i;
    if (i == 0 || index % 4 == 0) draw = philox(key, step, index / 4);
    y[i] = draw.word[index % 4] < threshold ? 0 : x[i] * scale;
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
