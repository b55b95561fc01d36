/* Layers that are not products: numbers are computed in double and rounded once, so a row's result depends on nothing
 * but the row, and float32 loses nothing on the way. */

/* y = (x - shift) scale gamma + beta, column by column; gamma and beta may be NULL. */
static void affine(size_t rows, size_t columns, const void *x_, size_t ldx, void *y_, size_t ldy, const double *shift,
                   const double *scale, const void *gamma_, const void *beta_) {
  const real *gamma = gamma_, *beta = beta_;
  for (size_t i = 0; i < rows; i++) {
    const real *x = (const real *)x_ + i * ldx;
    real *y = (real *)y_ + i * ldy;
    if (gamma && beta)
      for (size_t j = 0; j < columns; j++)
        y[j] = (real)(((double)x[j] - shift[j]) * scale[j] * (double)gamma[j] + (double)beta[j]);
    else
      for (size_t j = 0; j < columns; j++)
        y[j] = (real)(((double)x[j] - shift[j]) * scale[j] * (gamma ? (double)gamma[j] : 1) +
                      (beta ? (double)beta[j] : 0));
  }
}

/* Mean and (biased) variance of each column, in the order of the rows. */
static void column_moments(size_t rows, size_t columns, const void *x_, size_t ldx, double *mean, double *variance) {
  const real *x = x_;
  const double n = (double)rows;
  for (size_t j = 0; j < columns; j++) mean[j] = variance[j] = 0;
  for (size_t i = 0; i < rows; i++) /* relative to the first row: a constant column has its value as mean, exactly */
    for (size_t j = 0; j < columns; j++) mean[j] += (double)x[i * ldx + j] - (double)x[j];
  for (size_t j = 0; j < columns; j++) mean[j] = (double)x[j] + mean[j] / n;
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      const double away = (double)x[i * ldx + j] - mean[j];
      variance[j] += away * away;
    }
  for (size_t j = 0; j < columns; j++) variance[j] /= n;
}

/* With x^ = (x - mean) inverse, of `rows` rows, whose moments depend on them:
 *   dgamma = sum_i delta x^,  dbeta = sum_i delta,  delta <- gamma inverse (delta - dbeta/n - x^ dgamma/n)
 * gamma (NULL: 1), dgamma and dbeta (NULL: not wanted). At most COLUMN_BLOCK columns. */
enum { COLUMN_BLOCK = 64 };
static void batch_norm_gradient(size_t rows, size_t columns, const void *x_, size_t ldx, void *delta_, size_t ld,
                                const double *mean, const double *inverse, const void *gamma_, void *dgamma_,
                                void *dbeta_, int wanted) {
  const real *x = x_, *gamma = gamma_;
  real *delta = delta_, *dgamma = dgamma_, *dbeta = dbeta_;
  double along[COLUMN_BLOCK] = {0}, sum[COLUMN_BLOCK] = {0};
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      const double d = (double)delta[i * ld + j];
      sum[j] += d;
      along[j] += d * (((double)x[i * ldx + j] - mean[j]) * inverse[j]);
    }
  for (size_t j = 0; j < columns; j++) {
    if (dgamma) dgamma[j] = (real)along[j];
    if (dbeta) dbeta[j] = (real)sum[j];
    along[j] /= (double)rows, sum[j] /= (double)rows;
  }
  for (size_t i = 0; i < rows && wanted; i++)
    for (size_t j = 0; j < columns; j++) {
      const double hat = ((double)x[i * ldx + j] - mean[j]) * inverse[j];
      const double scale = inverse[j] * (gamma ? (double)gamma[j] : 1);
      delta[i * ld + j] = (real)(scale * ((double)delta[i * ld + j] - sum[j] - hat * along[j]));
    }
}

/* One row to mean 0 and variance 1, then gamma and beta. moments <- mean, 1/sqrt(variance + epsilon). Squares of
 * doubles can leave their range: such a row is scaled on the way, by a power of 2. */
static void layer_norm(size_t n, const void *x_, void *y_, const void *gamma_, const void *beta_, double epsilon,
                       double *moments) {
  const real *x = x_, *gamma = gamma_, *beta = beta_;
  real *y = y_;
  double largest = 0, sum = 0, squares = 0;
  for (size_t j = 0; j < n; j++) largest = fabs((double)x[j]) > largest ? fabs((double)x[j]) : largest;
  const double unit = largest > 0x1p500 ? 0x1p-540 : 1;
  for (size_t j = 0; j < n; j++) sum += ((double)x[j] - (double)x[0]) * unit;
  const double mean = (double)x[0] * unit + sum / (double)n;
  for (size_t j = 0; j < n; j++) squares += ((double)x[j] * unit - mean) * ((double)x[j] * unit - mean);
  const double variance = squares / (double)n + epsilon * unit * unit;
  const double inverse = variance > 0 ? 1 / sqrt(variance) : 0; /* epsilon may have vanished beside such numbers */
  for (size_t j = 0; j < n; j++)
    y[j] =
        (real)(((double)x[j] * unit - mean) * inverse * (gamma ? (double)gamma[j] : 1) + (beta ? (double)beta[j] : 0));
  moments[0] = mean / unit, moments[1] = inverse * unit;
}

/* Columns of dgamma = sum_i delta x^ and dbeta = sum_i delta (NULL: not wanted); moments are two numbers a row. */
static void layer_norm_gradient(size_t rows, size_t columns, const void *x_, size_t ldx, const void *delta_, size_t ld,
                                const double *moments, void *dgamma_, void *dbeta_) {
  const real *x = x_, *delta = delta_;
  real *dgamma = dgamma_, *dbeta = dbeta_;
  double along[COLUMN_BLOCK] = {0}, sum[COLUMN_BLOCK] = {0};
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      const double d = (double)delta[i * ld + j];
      sum[j] += d;
      along[j] += d * (((double)x[i * ldx + j] - moments[2 * i]) * moments[2 * i + 1]);
    }
  for (size_t j = 0; j < columns; j++) {
    if (dgamma) dgamma[j] = (real)along[j];
    if (dbeta) dbeta[j] = (real)sum[j];
  }
}

/* One row: with g = delta gamma, delta <- inverse (g - mean(g) - x^ mean(g x^)). */
static void layer_norm_delta(size_t n, const void *x_, void *delta_, const void *gamma_, const double *moments) {
  const real *x = x_, *gamma = gamma_;
  real *delta = delta_;
  double sum = 0, along = 0;
  for (size_t j = 0; j < n; j++) {
    const double g = (double)delta[j] * (gamma ? (double)gamma[j] : 1);
    sum += g;
    along += g * (((double)x[j] - moments[0]) * moments[1]);
  }
  sum /= (double)n, along /= (double)n;
  for (size_t j = 0; j < n; j++) {
    const double g = (double)delta[j] * (gamma ? (double)gamma[j] : 1);
    delta[j] = (real)(moments[1] * (g - sum - ((double)x[j] - moments[0]) * moments[1] * along));
  }
}

/* One row of doubles: (x - shift) scale, NaN first replaced by `fill` where that is a number, cut to +-clip when that
 * is above 0. A scale of 0 gives 0, a scale of NaN x itself. Differences that leave the range of double are taken by
 * halves. Returns the largest magnitude of the columns that have a scale, NaN-proof. */
static double normalize(size_t n, const double *x, void *y_, const double *shift, const double *scale,
                        const double *fill, double clip) {
  real *y = y_;
  double largest = 0;
  for (size_t j = 0; j < n; j++) {
    const double value = x[j] == x[j] || !fill ? x[j] : fill[j], away = value - shift[j];
    if (scale[j] != scale[j]) {
      y[j] = (real)x[j];
      continue;
    }
    double z = fabs(away) <= DBL_MAX ? away * scale[j] : (value * 0.5 - shift[j] * 0.5) * (2 * scale[j]);
    if (scale[j] == 0 && value == value) z = 0;
    if (clip > 0) z = z > clip ? clip : z < -clip ? -clip : z;
    y[j] = (real)z;
    const double m = fabs((double)y[j]);
    largest = largest != largest || largest >= m ? largest : m;
  }
  return largest;
}

static void add(size_t n, const void *a_, const void *b_, void *y_) {
  const real *a = a_, *b = b_;
  real *y = y_;
  for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void add_double(size_t n, const void *x_, const double *d, void *y_) {
  const real *x = x_;
  real *y = y_;
  for (size_t i = 0; i < n; i++) y[i] = (real)((double)x[i] + d[i]);
}

static void to_double(size_t n, const void *x_, double *out) {
  const real *x = x_;
  for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
}
