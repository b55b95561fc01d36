/* What training adds around a step: penalties, constraints, averages, mixtures.
 *
 * A regulariser is a penalty on the numbers of a tensor and its gradient; a constraint changes them after an update.
 * To add one: write the function and a row of its table. Sums are in double, in LANES8 fixed lanes. */

/* x <- factor x */
static void scale(size_t n, void *x_, double factor_) {
  real *x = x_;
  const real factor = (real)factor_;
  for (size_t i = 0; i < n; i++) x[i] *= factor;
}

/* average <- average + share (w - average) */
static void blend(size_t n, const void *w_, double *average, double share) {
  const real *w = w_;
  for (size_t i = 0; i < n; i++) average[i] += share * ((double)w[i] - average[i]);
}

/* out <- share a + (1 - share) b */
static void mix(size_t n, const void *a_, const void *b_, double share_, void *out_) {
  const real *a = a_, *b = b_, share = (real)share_, rest = (real)(1 - share_);
  real *out = out_;
  for (size_t i = 0; i < n; i++) out[i] = fma_(share, a[i], rest * b[i]);
}

/* ---- regularisers:  penalty l1 sum |w| + l2 sum w^2,  g <- g + l1 sign(w) + 2 l2 w */

static double elastic(size_t n, const void *w_, void *g_, double l1, double l2) {
  const real *w = w_, slope = (real)l1, twice = (real)(2 * l2);
  real *g = g_;
  double sizes[LANES8] = {0}, squares[LANES8] = {0}, size = 0, square = 0;
  for (size_t from = 0; from < n; from += LANES8)
    for (size_t l = 0; l < (n - from < LANES8 ? n - from : LANES8); l++) {
      const double x = (double)w[from + l];
      sizes[l] += fabs(x);
      squares[l] += x * x;
    }
  for (size_t i = 0; g && i < n; i++) {
    const real sign = w[i] > 0 ? slope : w[i] < 0 ? -slope : 0;
    g[i] += fma_(twice, w[i], sign);
  }
  for (size_t l = 0; l < LANES8; l++) size += sizes[l], square += squares[l];
  return (l1 > 0 ? l1 * size : 0) + (l2 > 0 ? l2 * square : 0);
}

static double none_penalty(size_t n, const void *w, void *g, const double *p) {
  return (void)n, (void)w, (void)g, (void)p, 0.0;
}
static double l1_penalty(size_t n, const void *w, void *g, const double *p) { return elastic(n, w, g, p[0], 0); }
static double l2_penalty(size_t n, const void *w, void *g, const double *p) { return elastic(n, w, g, 0, p[0]); }
static double l1_l2_penalty(size_t n, const void *w, void *g, const double *p) { return elastic(n, w, g, p[0], p[1]); }

#define STRENGTH(name) {name, 0.01, 0, (double)FLT_MAX, 0}

static const struct regularizer regularizers[] = {
    {{.name = "none", .aliases = ""}, none_penalty},
    {{.name = "l1", .aliases = "", .n_fields = 1, .fields = {STRENGTH("l1")}}, l1_penalty},
    {{.name = "l2", .aliases = "", .n_fields = 1, .fields = {STRENGTH("l2")}}, l2_penalty},
    {{.name = "l1_l2", .aliases = "", .n_fields = 2, .fields = {STRENGTH("l1"), STRENGTH("l2")}}, l1_l2_penalty},
};

/* ---- constraints on the columns of a tensor, at most CONSTRAINED of them */

/* Euclidean norms of columns; those whose squares leave the range of double are taken once more, scaled. */
static void column_norms(size_t rows, size_t columns, const void *w_, size_t ld, double *norms) {
  const real *w = w_;
  double largest[CONSTRAINED] = {0};
  for (size_t j = 0; j < columns; j++) norms[j] = 0;
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      const double x = fabs((double)w[i * ld + j]);
      norms[j] += x * x;
      largest[j] = x > largest[j] ? x : largest[j];
    }
  for (size_t j = 0; j < columns; j++) {
    const int inside = norms[j] > 1e-280 && norms[j] < 1e280;
    double sum = 0;
    for (size_t i = 0; !inside && largest[j] > 0 && i < rows; i++)
      sum += ((double)w[i * ld + j] / largest[j]) * ((double)w[i * ld + j] / largest[j]);
    norms[j] = inside ? sqrt(norms[j]) : largest[j] * sqrt(sum);
  }
}

/* Columns of norm n > 0 get norm wanted(n, p); those that have it already keep their bits. */
INLINED void renorm(size_t rows, size_t columns, void *w_, size_t ld, const double *p,
                    double (*wanted)(double norm, const double *p)) {
  real *w = w_, factors[CONSTRAINED];
  double norms[CONSTRAINED];
  int changes = 0;
  column_norms(rows, columns, w, ld, norms);
  for (size_t j = 0; j < columns; j++) {
    const double norm = norms[j] >= (double)REAL_MIN ? norms[j] : 0, now = norm > 0 ? wanted(norm, p) : 0;
    factors[j] = norm > 0 ? (real)(now / norm) : 1;
    changes |= factors[j] != 1;
  }
  for (size_t i = 0; changes && i < rows; i++)
    for (size_t j = 0; j < columns; j++) w[i * ld + j] *= factors[j];
}

static double at_most(double norm, const double *p) { return norm > p[0] ? p[0] : norm; }
static double one(double norm, const double *p) { return (void)norm, (void)p, 1.0; }
static double between(double norm, const double *p) {
  const double inside = norm < p[0] ? p[0] : norm > p[1] ? p[1] : norm;
  return p[2] * inside + (1 - p[2]) * norm;
}

static void unconstrained(size_t rows, size_t columns, void *w, size_t ld, const double *p) {
  (void)rows, (void)columns, (void)w, (void)ld, (void)p;
}
static void max_norm(size_t rows, size_t columns, void *w, size_t ld, const double *p) {
  renorm(rows, columns, w, ld, p, at_most);
}
static void unit_norm(size_t rows, size_t columns, void *w, size_t ld, const double *p) {
  renorm(rows, columns, w, ld, p, one);
}
static void min_max_norm(size_t rows, size_t columns, void *w, size_t ld, const double *p) {
  renorm(rows, columns, w, ld, p, between);
}
static void non_neg(size_t rows, size_t columns, void *w_, size_t ld, const double *p) {
  real *w = w_;
  (void)p;
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) w[i * ld + j] = w[i * ld + j] > 0 ? w[i * ld + j] : 0;
}

#define NORM(name, value) {name, value, 0, (double)FLT_MAX, 0}

static const struct constraint constraints[] = {
    {{.name = "none", .aliases = ""}, unconstrained},
    {{.name = "max_norm", .aliases = "", .n_fields = 1, .fields = {NORM("max_value", 2)}}, max_norm},
    {{.name = "unit_norm", .aliases = ""}, unit_norm},
    {{.name = "min_max_norm",
      .aliases = "",
      .n_fields = 3,
      .fields = {NORM("min_value", 0), NORM("max_value", 1), {"rate", 1, 0, 1, 0}}},
     min_max_norm},
    {{.name = "non_neg", .aliases = ""}, non_neg},
};
