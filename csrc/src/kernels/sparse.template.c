/* Products with a few numbers of a row that is mostly 0: the chains of gemm, without the links that change nothing. */

/* y (n) += sum_k values[k] * rows[columns[k]] (n each): a row of X W. */
static void sparse_times(size_t n, size_t count, const void *values_, const size_t *columns, const void *rows_,
                         size_t ld, void *y_) {
  const real *values = values_, *rows = rows_;
  real *y = y_;
  for (size_t from = 0; from < n; from += NR) {
    const size_t width = n - from < NR ? n - from : NR;
    real sum[NR];
    for (size_t j = 0; j < width; j++) sum[j] = y[from + j];
    for (size_t k = 0; k < count; k++) {
      const real *row = rows + columns[k] * ld + from;
      if (width == NR)
        for (size_t j = 0; j < NR; j++) sum[j] = fma_(values[k], row[j], sum[j]);
      else
        for (size_t j = 0; j < width; j++) sum[j] = fma_(values[k], row[j], sum[j]);
    }
    for (size_t j = 0; j < width; j++) y[from + j] = sum[j];
  }
}

/* rows[columns[k]] (n each) += values[k] * y (n) for each k: a row's share of X^T dZ. */
static void sparse_outer(size_t n, size_t count, const void *values_, const size_t *columns, const void *y_,
                         void *rows_, size_t ld) {
  const real *values = values_, *y = y_;
  for (size_t k = 0; k < count; k++) {
    real *restrict row = (real *)rows_ + columns[k] * ld;
    for (size_t j = 0; j < n; j++) row[j] = fma_(values[k], y[j], row[j]);
  }
}
