/* Losses of one row of n logits z, and delta = scale * d loss / d z.
 *
 * To add one that is a mean over outputs: write name_term, say POINTWISE, add a row to the table. Rules: finite logits
 * give a finite loss as far as its true value is in range, and never NaN; nothing is clamped; terms are summed in
 * double, and are of one sign where the loss is. A gradient that is a difference of probabilities is formed in double
 * or from the smaller of the two. */

/* scale * gradient; 0 when the row does not count, whatever overflowed. */
static inline real weighted(double scale, double gradient) { return scale == 0 ? 0 : (real)(scale * gradient); }

/* What one output adds to the row's mean, and its derivative; `a` is the loss's first number. */
struct term {
  double loss, gradient;
};

INLINED double mean_of_terms(size_t n, const real *z, const real *t, double scale, real *restrict delta, double a,
                             struct term (*term)(real z, real t, double a)) {
  enum { BLOCK = 8 * ROW_LANES };
  double lane[ROW_LANES] = {0}, losses[BLOCK], gradients[BLOCK], sum = 0, share = 1 / (double)n;
  for (size_t from = 0; from < n; from += BLOCK) {
    size_t width = n - from < BLOCK ? n - from : BLOCK, i;
    for (i = 0; i < width; i++) {
      struct term x = term(z[from + i], t[from + i], a);
      losses[i] = share * x.loss, gradients[i] = share * x.gradient;
    }
    for (; i % ROW_LANES; i++) losses[i] = 0;
    for (i = 0; i < width; i += ROW_LANES)
      for (size_t l = 0; l < ROW_LANES; l++) lane[l] += losses[i + l];
    for (i = 0; delta && i < width; i++) delta[from + i] = weighted(scale, gradients[i]);
  }
  for (size_t l = 0; l < ROW_LANES; l++) sum += lane[l];
  return sum;
}

#define POINTWISE(name)                                                                                \
  static double name(size_t n, const void *z, const void *t, int64_t label, double scale, void *delta, \
                     const double *p) {                                                                \
    return (void)label, mean_of_terms(n, z, t, scale, delta, p[0], name##_term);                       \
  }

/* mean (z - t)^2;  2 (z - t) / n */
static inline struct term mean_squared_error_term(real z, real t, double a) {
  double error = (double)z - (double)t;
  return (void)a, (struct term){error * error, 2 * error};
}
POINTWISE(mean_squared_error)

/* mean |z - t|;  sign(z - t) / n */
static inline struct term mean_absolute_error_term(real z, real t, double a) {
  double error = (double)z - (double)t;
  return (void)a, (struct term){fabs(error), error > 0 ? 1 : error < 0 ? -1 : error};
}
POINTWISE(mean_absolute_error)

/* mean h(z - t), h(e) = e^2/2 for |e| <= d and d (|e| - d/2) beyond;  clamp(z - t, -d, d) / n */
static inline struct term huber_term(real z, real t, double d) {
  double error = (double)z - (double)t, size = fabs(error);
  return (struct term){size <= d ? 0.5 * error * error : d * (size - 0.5 * d), error > d ? d : error < -d ? -d : error};
}
POINTWISE(huber)

/* mean of y softplus(-z) + (1 - y) softplus(z) = log(1 + e^-|z|) + (z > 0 ? (1 - y) z : -y z);  (sigmoid(z) - y) / n.
 * y is the target, drawn by label_smoothing towards 1/2. */
static inline struct term sigmoid_cross_entropy_term(real z, real t, double label_smoothing) {
  real e = exp_(-absolute(z));
  double y = (1 - label_smoothing) * (double)t + 0.5 * label_smoothing, tail = (double)(e / (1 + e)), logit = (double)z;
  return (struct term){(double)log1p_(e) + (logit > 0 ? 1 - y : -y) * logit, logit > 0 ? (1 - y) - tail : tail - y};
}
POINTWISE(sigmoid_cross_entropy)

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
    delta[i] = weighted(scale, total * inverse * (double)delta[i] - y);
  }
  return loss;
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
