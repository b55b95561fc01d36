/* Losses of one row of n logits z, and delta = scale * d loss / d z.
 *
 * To add one: write its row function and add a row to the table. Rules: finite logits give a finite loss as far as its
 * true value is in range, and never NaN; nothing is clamped; terms are summed in double, and are of one sign where the
 * loss is. A gradient that is a difference of probabilities is formed in double or from the smaller of the two. */

/* scale * d/dz into delta, unless there is none to fill; 0 when the row does not count, whatever overflowed. */
static inline void put(real *delta, size_t i, double scale, double gradient) {
  if (delta) delta[i] = scale == 0 ? 0 : (real)(scale * gradient);
}

/* mean (z - t)^2;  2 (z - t) / n */
static double mean_squared_error(size_t n, const void *z_, const void *target, int64_t label, double scale, void *delta,
                                 const double *p) {
  const real *z = z_, *t = target;
  double sum = 0, share = 1 / (double)n;
  (void)label, (void)p;
  for (size_t i = 0; i < n; i++) {
    double error = (double)z[i] - (double)t[i];
    sum += share * error * error;
    put(delta, i, scale, 2 * share * error);
  }
  return sum;
}

/* mean |z - t|;  sign(z - t) / n */
static double mean_absolute_error(size_t n, const void *z_, const void *target, int64_t label, double scale,
                                  void *delta, const double *p) {
  const real *z = z_, *t = target;
  double sum = 0, share = 1 / (double)n;
  (void)label, (void)p;
  for (size_t i = 0; i < n; i++) {
    double error = (double)z[i] - (double)t[i];
    sum += share * fabs(error);
    put(delta, i, scale, error > 0 ? share : error < 0 ? -share : 0 * error);
  }
  return sum;
}

/* mean h(z - t), h(e) = e^2/2 for |e| <= d and d (|e| - d/2) beyond;  clamp(z - t, -d, d) / n */
static double huber(size_t n, const void *z_, const void *target, int64_t label, double scale, void *delta,
                    const double *p) {
  const real *z = z_, *t = target;
  double sum = 0, share = 1 / (double)n, d = p[0];
  (void)label;
  for (size_t i = 0; i < n; i++) {
    double error = (double)z[i] - (double)t[i], size = fabs(error);
    sum += share * (size <= d ? 0.5 * error * error : d * (size - 0.5 * d));
    put(delta, i, scale, share * (error > d ? d : error < -d ? -d : error));
  }
  return sum;
}

/* sum_j y_j (lse - z_j), lse = max + log sum_j e^(z_j - max);  softmax(z) sum(y) - y.
 * y is the target, or 1 at the label and 0 elsewhere, with the share label_smoothing of it spread over all classes. */
static double softmax_cross_entropy(size_t n, const void *z_, const void *target, int64_t label, double scale,
                                    void *delta_, const double *p) {
  const real *z = z_, *t = target;
  real *delta = delta_, max = row_max(n, z);
  double sum = row_exp(n, z, max, delta), inverse = 1 / sum, log_sum = log(sum);
  double rest = 1 - p[0], spread = p[0] / (double)n, total = 1, loss = 0;
  if (t || spread > 0) {
    total = 0;
    for (size_t i = 0; i < n; i++) {
      double y = rest * (t ? (double)t[i] : (int64_t)i == label) + spread;
      total += y;
      loss += y == 0 ? 0 : y * (log_sum + ((double)max - (double)z[i]));
    }
  } else loss = log_sum + ((double)max - (double)z[label]);
  for (size_t i = 0; delta && i < n; i++) {
    double y = rest * (t ? (double)t[i] : (int64_t)i == label) + spread;
    put(delta, i, scale, total * inverse * (double)delta[i] - y);
  }
  return loss;
}

/* mean of y softplus(-z) + (1 - y) softplus(z) = log(1 + e^-|z|) + (z > 0 ? (1 - y) z : -y z);  (sigmoid(z) - y) / n.
 * y is the target, drawn by label_smoothing towards 1/2. */
static double sigmoid_cross_entropy(size_t n, const void *z_, const void *target, int64_t label, double scale,
                                    void *delta, const double *p) {
  enum { BLOCK = 64 };
  const real *z = z_, *t = target;
  real tail[BLOCK], log_term[BLOCK];
  double sum = 0, share = 1 / (double)n, rest = 1 - p[0], spread = 0.5 * p[0];
  (void)label;
  for (size_t from = 0; from < n; from += BLOCK) {
    size_t width = n - from < BLOCK ? n - from : BLOCK;
    for (size_t i = 0; i < width; i++) {
      real e = exp_(-absolute(z[from + i]));
      tail[i] = e / (1 + e);
      log_term[i] = log1p_(e);
    }
    for (size_t i = 0; i < width; i++) {
      double y = rest * (double)t[from + i] + spread, logit = (double)z[from + i];
      sum += share * ((double)log_term[i] + (logit > 0 ? (1 - y) * logit : -y * logit));
      put(delta, from + i, scale, share * (logit > 0 ? (1 - y) - (double)tail[i] : (double)tail[i] - y));
    }
  }
  return sum;
}

#define LABEL_SMOOTHING .n_fields = 1, .fields = {{"label_smoothing", 0, 0, 1, PYNN_FIELD_OPEN_MAXIMUM}}

static const struct loss losses[] = {
    {{.name = "mean_squared_error", .aliases = "mse", .link = "linear"}, mean_squared_error},
    {{.name = "mean_absolute_error", .aliases = "mae", .link = "linear"}, mean_absolute_error},
    {{.name = "huber",
      .aliases = "",
      .link = "linear",
      .n_fields = 1,
      .fields = {{"delta", 1, 0, (double)FLT_MAX, PYNN_FIELD_OPEN_MINIMUM}}},
     huber},
    {{.name = "softmax_cross_entropy",
      .aliases = "cross_entropy categorical_crossentropy sparse_categorical_crossentropy",
      .link = "softmax",
      LABEL_SMOOTHING,
      .flags = PYNN_ROW_LABELS | PYNN_ROW_PROBABILITIES},
     softmax_cross_entropy},
    {{.name = "sigmoid_cross_entropy",
      .aliases = "binary_crossentropy",
      .link = "sigmoid",
      LABEL_SMOOTHING,
      .flags = PYNN_ROW_PROBABILITIES},
     sigmoid_cross_entropy},
};
