/* Losses of one row of n logits z, and delta = scale * d loss / d z.
 *
 * To add one that is a mean over outputs: write name_term, say POINTWISE, add a row to the table, with `by_output`.
 * Rules: finite logits give a finite loss as far as its true value is in range, and never NaN; nothing is clamped;
 * terms are summed in double, and are of one sign where the loss is. A gradient that is a difference of probabilities
 * is formed in double or from the smaller of the two. */

/* scale * gradient; 0 when the row does not count, whatever overflowed. */
static inline real weighted(double scale, double gradient) { return scale == 0 ? 0 : (real)(scale * gradient); }

/* What one output adds to the row's mean, and its derivative; p are the loss's numbers. */
struct term {
  double loss, gradient;
};

INLINED double mean_of_terms(size_t n, const real *z, const real *t, double scale, real *restrict delta,
                             const double *p, struct term (*term)(real z, real t, const double *p)) {
  enum { BLOCK = 8 * ROW_LANES };
  double lane[ROW_LANES] = {0}, losses[BLOCK], gradients[BLOCK], sum = 0, share = 1 / (double)n;
  for (size_t from = 0; from < n; from += BLOCK) {
    size_t width = n - from < BLOCK ? n - from : BLOCK, i;
    for (i = 0; i < width; i++) {
      struct term x = term(z[from + i], t[from + i], p);
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
    return (void)label, mean_of_terms(n, z, t, scale, delta, p, name##_term);                          \
  }

/* mean (z - t)^2;  2 (z - t) / n */
static inline struct term mean_squared_error_term(real z, real t, const double *p) {
  double error = (double)z - (double)t;
  return (void)p, (struct term){error * error, 2 * error};
}
POINTWISE(mean_squared_error)

/* mean |z - t|;  sign(z - t) / n */
static inline struct term mean_absolute_error_term(real z, real t, const double *p) {
  double error = (double)z - (double)t;
  return (void)p, (struct term){fabs(error), error > 0 ? 1 : error < 0 ? -1 : error};
}
POINTWISE(mean_absolute_error)

/* mean h(z - t), h(e) = e^2/2 for |e| <= d and d (|e| - d/2) beyond;  clamp(z - t, -d, d) / n */
static inline struct term huber_term(real z, real t, const double *p) {
  double error = (double)z - (double)t, size = fabs(error), d = p[0];
  return (struct term){size <= d ? 0.5 * error * error : d * (size - 0.5 * d), error > d ? d : error < -d ? -d : error};
}
POINTWISE(huber)

/* mean log(cosh(z - t)), as log(1 + m^2 / (2 (1 + m))) with m = e^|z - t| - 1;  tanh(z - t) / n */
static inline struct term log_cosh_term(real z, real t, const double *p) {
  enum { LINEAR = 20 }; /* beyond, log(cosh(e)) = |e| - log 2 */
  double error = (double)z - (double)t, size = fabs(error);
  real e = (real)error, m = expm1_(absolute(e) > LINEAR ? LINEAR : absolute(e)), near = log1p_(m * m / (2 * (1 + m)));
  return (void)p, (struct term){size > LINEAR ? size - 0.69314718055994530942 : (double)near, (double)tanh_(e)};
}
POINTWISE(log_cosh)

/* mean of q e for e > 0 and (q - 1) e otherwise, e = t - z;  -q or 1 - q, 0 where e is */
static inline struct term quantile_term(real z, real t, const double *p) {
  double error = (double)t - (double)z, slope = error > 0 ? -p[0] : 1 - p[0];
  return (struct term){-slope * error, error == 0 ? 0 : slope};
}
POINTWISE(quantile)

/* mean of r - t z, r = e^z: the negative logarithm of Poisson's distribution but for log(t!);  (r - t) / n */
static inline struct term poisson_term(real z, real t, const double *p) {
  double rate = (double)exp_(z), product = (double)t * (double)z;
  product = product > DBL_MAX ? DBL_MAX : product; /* or one output's infinity would meet another's */
  return (void)p, (struct term){rate > (double)REAL_MAX ? rate : rate - product, rate - (double)t};
}
POINTWISE(poisson)

/* mean max(0, 1 - y z), y = 1 where t > 0 and -1 elsewhere;  -y where that is not 0 */
static inline double sign_of_target(real t) { return t > 0 ? 1 : t <= 0 ? -1 : (double)t; }
static inline struct term hinge_term(real z, real t, const double *p) {
  double y = sign_of_target(t), margin = 1 - y * (double)z;
  return (void)p, (struct term){margin <= 0 ? 0 : margin, margin <= 0 ? 0 : -y};
}
POINTWISE(hinge)

/* mean max(0, 1 - y z)^2;  -2 y max(0, 1 - y z) / n */
static inline struct term squared_hinge_term(real z, real t, const double *p) {
  double y = sign_of_target(t), margin = 1 - y * (double)z, most = margin <= 0 ? 0 : margin;
  return (void)p, (struct term){most * most, -2 * y * most};
}
POINTWISE(squared_hinge)

/* mean of y softplus(-z) + (1 - y) softplus(z) = log(1 + e^-|z|) + (z > 0 ? (1 - y) z : -y z);  (sigmoid(z) - y) / n.
 * y is the target, drawn by label_smoothing towards 1/2. */
static inline struct term sigmoid_cross_entropy_term(real z, real t, const double *p) {
  real e = exp_(-absolute(z));
  double y = (1 - p[0]) * (double)t + 0.5 * p[0], tail = (double)(e / (1 + e)), logit = (double)z;
  return (struct term){(double)log1p_(e) + (logit > 0 ? 1 - y : -y) * logit, logit > 0 ? (1 - y) - tail : tail - y};
}
POINTWISE(sigmoid_cross_entropy)

/* mean of w m^gamma c: c the sigmoid cross-entropy, m = p (1 - t) + (1 - p) t the probability of what is not so, and
 * w = alpha t + (1 - alpha) (1 - t). The derivative of m is p (1 - p) (1 - 2t). Lin et al. 2017. */
static inline struct term focal_term(real z, real t_, const double *numbers) {
  double gamma = numbers[0], alpha = numbers[1], t = (double)t_, logit = (double)z;
  real e = exp_(-absolute(z));
  double tail = (double)(e / (1 + e)), p = logit < 0 ? tail : 1 - tail, rest = logit < 0 ? 1 - tail : tail;
  double c = (double)log1p_(e) + (logit > 0 ? 1 - t : -t) * logit, m = p * (1 - t) + rest * t;
  double weight = (alpha * t + (1 - alpha) * (1 - t)) * pow(m, gamma);
  double growth = m == 0 ? 0 : gamma * p * rest * (1 - 2 * t) / m;
  return (struct term){weight * c, weight * (growth * c + (p * (1 - t) - rest * t))};
}
POINTWISE(focal)

/* The first half of the outputs are means m, the second logarithms s of variances, and there is a target for each pair:
 * mean of (s + (t - m)^2 e^-s) / 2;  (m - t) e^-s and (1 - (t - m)^2 e^-s) / 2, over the number of pairs */
static double gaussian_nll(size_t n, const void *z_, const void *target, int64_t label, double scale, void *delta_,
                           const double *p) {
  const size_t pairs = n / 2;
  const real *mean = z_, *log_variance = mean + pairs, *t = target;
  real *d_mean = delta_, *d_log_variance = delta_ ? d_mean + pairs : NULL;
  double sum = 0, share = 1 / (double)pairs;
  (void)label, (void)p;
  for (size_t i = 0; i < pairs; i++) {
    double s = (double)log_variance[i], half_error = 0.5 * (double)mean[i] - 0.5 * (double)t[i];
    double root = (double)exp_(R(-0.25) * log_variance[i]),
           precision = root * root; /* its range is double's: e^(-s/2) */
    double scaled = half_error == 0 ? 0 : 2 * (half_error * precision);
    sum += share * 0.5 * (s + scaled * scaled);
    if (!delta_) continue;
    d_mean[i] = weighted(scale, scaled == 0 ? 0 : share * scaled * precision);
    d_log_variance[i] = weighted(scale, share * 0.5 * (1 - scaled * scaled));
  }
  return sum;
}

/* sum_j y_j (lse - z_j), lse = max + log sum_j e^(z_j - max);  softmax(z) sum(y) - y.
 * y is the target, or 1 at the label and 0 elsewhere, with the share label_smoothing of it spread over all classes.
 * The sum is 1 + more; a class of more than 1/2 has 1 - more/(1 + more), so that a tiny loss has its gradient. */
static double softmax_cross_entropy(size_t n, const void *z_, const void *target, int64_t label, double scale,
                                    void *delta_, const double *p) {
  const real *z = z_, *t = target;
  real *delta = delta_, max = row_max(n, z);
  double more = row_exp(n, z, max, delta), inverse = 1 / (1 + more), log_sum = log1p(more), half = 0.5 * (double)max;
  double rest = 1 - p[0], spread = p[0] / (double)n, total = 1, loss = 0;
  if (t || spread > 0) {
    double lost = total = 0;
    for (size_t i = 0; i < n; i++) {
      double y = rest * (t ? (double)t[i] : (int64_t)i == label) + spread;
      double sum = total + y; /* ten tenths are 1: the gradient is a small difference from it */
      lost += total >= y ? (total - sum) + y : (y - sum) + total;
      total = sum;
      loss += y == 0 ? 0 : y * log_sum + 2 * y * (half - 0.5 * (double)z[i]); /* max - z may be out of range */
    }
    total += lost;
  } else loss = log_sum + 2 * (half - 0.5 * (double)z[label]);
  for (size_t i = 0; delta && i < n; i++) {
    double y = rest * (t ? (double)t[i] : (int64_t)i == label) + spread;
    double share = total * inverse,
           slope = more < 1 && delta[i] == 1 ? (total - y) - share * more : share * (double)delta[i] - y;
    delta[i] = weighted(scale, slope);
  }
  return loss;
}

/* sum_j t_j (log t_j - log softmax(z)_j);  softmax(z) sum(t) - t */
static double kl_divergence(size_t n, const void *z, const void *target, int64_t label, double scale, void *delta,
                            const double *p) {
  const real *t = target;
  const double no_smoothing[] = {0};
  double loss = softmax_cross_entropy(n, z, target, label, scale, delta, no_smoothing);
  (void)p;
  for (size_t i = 0; i < n; i++) loss += t[i] == 0 ? 0 : (double)t[i] * log((double)t[i]);
  return loss;
}

#define LABEL_SMOOTHING .n_fields = 1, .fields = {{"label_smoothing", 0, 0, 1, PYNN_FIELD_OPEN_MAXIMUM}}

static const struct loss losses[] = {
    {{.name = "mean_squared_error", .aliases = "mse", .link = "linear"}, mean_squared_error, 1},
    {{.name = "mean_absolute_error", .aliases = "mae", .link = "linear"}, mean_absolute_error, 1},
    {{.name = "huber",
      .aliases = "",
      .link = "linear",
      .n_fields = 1,
      .fields = {{"delta", 1, 0, (double)FLT_MAX, PYNN_FIELD_OPEN_MINIMUM}}},
     huber,
     1},
    {{.name = "log_cosh", .aliases = "logcosh", .link = "linear"}, log_cosh, 1},
    {{.name = "quantile",
      .aliases = "pinball",
      .link = "linear",
      .n_fields = 1,
      .fields = {{"quantile", 0.5, 0, 1, PYNN_FIELD_OPEN_MINIMUM | PYNN_FIELD_OPEN_MAXIMUM}}},
     quantile,
     1},
    {{.name = "poisson", .aliases = "", .link = "exponential", .flags = PYNN_ROW_NONNEGATIVE}, poisson, 1},
    {{.name = "gaussian_nll", .aliases = "", .link = "linear", .flags = PYNN_ROW_PAIRS}, gaussian_nll, 0},
    {{.name = "hinge", .aliases = "", .link = "linear", .flags = PYNN_ROW_SIGNS}, hinge, 1},
    {{.name = "squared_hinge", .aliases = "", .link = "linear", .flags = PYNN_ROW_SIGNS}, squared_hinge, 1},
    {{.name = "softmax_cross_entropy",
      .aliases = "cross_entropy categorical_crossentropy sparse_categorical_crossentropy",
      .link = "softmax",
      LABEL_SMOOTHING,
      .flags = PYNN_ROW_LABELS | PYNN_ROW_PROBABILITIES},
     softmax_cross_entropy,
     0},
    {{.name = "sigmoid_cross_entropy",
      .aliases = "binary_crossentropy",
      .link = "sigmoid",
      LABEL_SMOOTHING,
      .flags = PYNN_ROW_PROBABILITIES},
     sigmoid_cross_entropy,
     1},
    {{.name = "focal",
      .aliases = "",
      .link = "sigmoid",
      .n_fields = 2,
      .fields = {{"gamma", 2, 0, 100, 0}, {"alpha", 0.25, 0, 1, 0}},
      .flags = PYNN_ROW_PROBABILITIES},
     focal,
     1},
    {{.name = "kl_divergence", .aliases = "kld", .link = "softmax", .flags = PYNN_ROW_PROBABILITIES}, kl_divergence, 0},
};
