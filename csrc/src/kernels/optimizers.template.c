/* Optimizers: one pass over parameters w, gradient g = scale * gradient, and state vectors.
 *
 * To add one: write name_coefficients, name_update, name_bound and add a row to the table. Rules: the algebra is
 * PyTorch's; what does not depend on the element is computed once, in double; epsilon stands beside the root, or with
 * early_epsilon where Keras has it, and is at least EPSILON_FLOOR. Decoupled weight decay, w <- (1 - learning_rate
 * weight_decay) w, is done to w by the trainer before the update, for every row that has the field. As no smaller root
 * exists but that of an underflown square, a finite gradient then gives a finite step. A bound is a sum of magnitudes
 * (so that nothing hides a NaN), with room for rounding. */
#define ROUNDING (1 + 16 * (double)REAL_EPSILON)

static inline real_int greater(real_int most, real x) { return magnitude(x) > most ? magnitude(x) : most; }
static inline double floored(double epsilon) { return epsilon > EPSILON_FLOOR ? epsilon : EPSILON_FLOOR; }
/* 1 - beta^t, exact also for large t and beta near 1 */
static inline double bias_correction(double beta, int64_t t) { return -expm1((double)t * log(beta)); }

/* ---- sgd:  v <- momentum v + g,  w <- w - learning_rate (nesterov ? g + momentum v : v) */
enum { SGD_RATE, SGD_MOMENTUM, SGD_GRADIENT_SHARE, SGD_VELOCITY_SHARE };

static void sgd_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  double momentum = p[1], nesterov = p[2];
  (void)step;
  c[SGD_RATE] = learning_rate;
  c[SGD_MOMENTUM] = momentum;
  c[SGD_GRADIENT_SHARE] = nesterov != 0 ? 1 : 0;
  c[SGD_VELOCITY_SHARE] = nesterov != 0 ? momentum : 1;
}
static void sgd_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                       struct update_health *health) {
  real *restrict w = w_, *restrict v = slots[0];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[SGD_RATE], momentum = (real)c[SGD_MOMENTUM];
  const real of_g = (real)c[SGD_GRADIENT_SHARE], of_v = (real)c[SGD_VELOCITY_SHARE];
  real_int w_most = 0, v_most = 0;
  if (momentum == 0) /* v is not used */
    for (size_t i = 0; i < n; i++) {
      w[i] = fma_(-rate, g[i] * s, w[i]);
      w_most = greater(w_most, w[i]);
    }
  else
    for (size_t i = 0; i < n; i++) {
      real gradient = g[i] * s;
      v[i] = fma_(momentum, v[i], gradient);
      w[i] = fma_(-rate, fma_(of_g, gradient, of_v * v[i]), w[i]);
      w_most = greater(w_most, w[i]);
      v_most = greater(v_most, v[i]);
    }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(v_most)}};
}
static double sgd_bound(const double *c, double w, double g, const double *slots) {
  double direction = c[SGD_MOMENTUM] * slots[0] + 2 * g;
  return ROUNDING * (w + direction + c[SGD_RATE] * (1 + direction));
}

/* ---- rmsprop:  v <- rho v + (1 - rho) g^2,  u <- momentum u + g / (sqrt(v) + epsilon),  w <- w - learning_rate u
 * early_epsilon: g / sqrt(v + epsilon) */
enum { RMS_RATE, RMS_RHO, RMS_NEW, RMS_MOMENTUM, RMS_EPSILON, RMS_INSIDE };

static void rmsprop_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  double rho = p[1], momentum = p[2], epsilon = p[3];
  (void)step;
  c[RMS_RATE] = learning_rate;
  c[RMS_RHO] = rho;
  c[RMS_NEW] = 1 - rho;
  c[RMS_MOMENTUM] = momentum;
  c[RMS_EPSILON] = p[5] != 0 ? 0 : floored(epsilon);
  c[RMS_INSIDE] = p[5] != 0 ? floored(epsilon) : 0;
}
static void rmsprop_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                           struct update_health *health) {
  real *restrict w = w_, *restrict v = slots[0], *restrict u = slots[1];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[RMS_RATE], epsilon = (real)c[RMS_EPSILON];
  const real rho = (real)c[RMS_RHO], new = (real)c[RMS_NEW], momentum = (real)c[RMS_MOMENTUM];
  const real inside = (real)c[RMS_INSIDE];
  real_int w_most = 0, v_most = 0, u_most = 0;
  for (size_t i = 0; i < n; i++) {
    real gradient = g[i] * s;
    v[i] = fma_(rho, v[i], new * gradient * gradient);
    u[i] = fma_(momentum, u[i], gradient / (sqrt_(v[i] + inside) + epsilon));
    w[i] = fma_(-rate, u[i], w[i]);
    w_most = greater(w_most, w[i]);
    v_most = greater(v_most, v[i]);
    u_most = greater(u_most, u[i]);
  }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(v_most), (double)real_of(u_most)}};
}
static double rmsprop_bound(const double *c, double w, double g, const double *slots) {
  double v = c[RMS_RHO] * slots[0] + c[RMS_NEW] * g * g;
  double u = c[RMS_MOMENTUM] * slots[1] + g / (c[RMS_EPSILON] + sqrt(c[RMS_INSIDE]));
  return ROUNDING * (v + w + u + c[RMS_RATE] * (1 + u));
}

/* ---- adagrad:  v <- v + g^2,  w <- w - learning_rate g / (sqrt(v) + epsilon)
 * early_epsilon: g / sqrt(v + epsilon) */
enum { ADAGRAD_RATE, ADAGRAD_EPSILON, ADAGRAD_INSIDE };

static void adagrad_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  (void)step;
  c[ADAGRAD_RATE] = learning_rate;
  c[ADAGRAD_EPSILON] = p[4] != 0 ? 0 : floored(p[2]);
  c[ADAGRAD_INSIDE] = p[4] != 0 ? floored(p[2]) : 0;
}
static void adagrad_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                           struct update_health *health) {
  real *restrict w = w_, *restrict v = slots[0];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[ADAGRAD_RATE], epsilon = (real)c[ADAGRAD_EPSILON];
  const real inside = (real)c[ADAGRAD_INSIDE];
  real_int w_most = 0, v_most = 0;
  for (size_t i = 0; i < n; i++) {
    real gradient = g[i] * s;
    v[i] = fma_(gradient, gradient, v[i]);
    w[i] = fma_(-rate, gradient / (sqrt_(v[i] + inside) + epsilon), w[i]);
    w_most = greater(w_most, w[i]);
    v_most = greater(v_most, v[i]);
  }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(v_most)}};
}
static double adagrad_bound(const double *c, double w, double g, const double *slots) {
  double v = slots[0] + g * g, direction = g / (c[ADAGRAD_EPSILON] + sqrt(c[ADAGRAD_INSIDE]));
  return ROUNDING * (v + w + direction + c[ADAGRAD_RATE] * (1 + direction));
}

/* ---- adam:  m <- m + (1 - beta_1) (g - m),  v <- beta_2 v + (1 - beta_2) g^2,
 *      w <- w - learning_rate/(1 - beta_1^t) m / (sqrt(v/(1 - beta_2^t)) + epsilon)
 * early_epsilon: (sqrt(v) + epsilon) / sqrt(1 - beta_2^t) */
enum { ADAM_RATE, ADAM_NEW_1, ADAM_BETA_2, ADAM_NEW_2, ADAM_ROOT_SCALE, ADAM_EPSILON };

static void adam_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  double beta_1 = p[1], beta_2 = p[2], epsilon = p[3];
  c[ADAM_RATE] = learning_rate / bias_correction(beta_1, step);
  c[ADAM_NEW_1] = 1 - beta_1;
  c[ADAM_BETA_2] = beta_2;
  c[ADAM_NEW_2] = 1 - beta_2;
  c[ADAM_ROOT_SCALE] = 1 / sqrt(bias_correction(beta_2, step));
  c[ADAM_EPSILON] = floored(epsilon) * (p[5] != 0 ? c[ADAM_ROOT_SCALE] : 1);
}
static void adam_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                        struct update_health *health) {
  real *restrict w = w_, *restrict m = slots[0], *restrict v = slots[1];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[ADAM_RATE], epsilon = (real)c[ADAM_EPSILON];
  const real new_1 = (real)c[ADAM_NEW_1], beta_2 = (real)c[ADAM_BETA_2], new_2 = (real)c[ADAM_NEW_2];
  const real root_scale = (real)c[ADAM_ROOT_SCALE];
  real_int w_most = 0, m_most = 0, v_most = 0;
  for (size_t i = 0; i < n; i++) {
    real gradient = g[i] * s;
    m[i] = fma_(new_1, gradient - m[i], m[i]);
    v[i] = fma_(beta_2, v[i], new_2 * gradient * gradient);
    w[i] = fma_(-rate, m[i] / fma_(sqrt_(v[i]), root_scale, epsilon), w[i]);
    w_most = greater(w_most, w[i]);
    m_most = greater(m_most, m[i]);
    v_most = greater(v_most, v[i]);
  }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(m_most), (double)real_of(v_most)}};
}
static double adam_bound(const double *c, double w, double g, const double *slots) {
  double m = g + slots[0], v = c[ADAM_BETA_2] * slots[1] + c[ADAM_NEW_2] * g * g, direction = m / c[ADAM_EPSILON];
  return ROUNDING * (m + (v + 1) * c[ADAM_ROOT_SCALE] + direction + w + c[ADAM_RATE] * (1 + direction));
}

/* ---- amsgrad:  as adam, with u <- max(u, v) in the place of v in the root */
static void amsgrad_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                           struct update_health *health) {
  real *restrict w = w_, *restrict m = slots[0], *restrict v = slots[1], *restrict u = slots[2];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[ADAM_RATE], epsilon = (real)c[ADAM_EPSILON];
  const real new_1 = (real)c[ADAM_NEW_1], beta_2 = (real)c[ADAM_BETA_2], new_2 = (real)c[ADAM_NEW_2];
  const real root_scale = (real)c[ADAM_ROOT_SCALE];
  real_int w_most = 0, m_most = 0, v_most = 0, u_most = 0;
  for (size_t i = 0; i < n; i++) {
    real gradient = g[i] * s;
    m[i] = fma_(new_1, gradient - m[i], m[i]);
    v[i] = fma_(beta_2, v[i], new_2 * gradient * gradient);
    u[i] = v[i] > u[i] ? v[i] : u[i];
    w[i] = fma_(-rate, m[i] / fma_(sqrt_(u[i]), root_scale, epsilon), w[i]);
    w_most = greater(w_most, w[i]);
    m_most = greater(m_most, m[i]);
    v_most = greater(v_most, v[i]);
    u_most = greater(u_most, u[i]);
  }
  *health = (struct update_health){(double)real_of(w_most),
                                   {(double)real_of(m_most), (double)real_of(v_most), (double)real_of(u_most)}};
}
static double amsgrad_bound(const double *c, double w, double g, const double *slots) {
  return adam_bound(c, w, g, slots) + ROUNDING * (slots[2] + 1) * (1 + c[ADAM_ROOT_SCALE]);
}

/* ---- nadam:  m and v as adam, mu_t = beta_1 (1 - 0.96^(t momentum_decay) / 2), P_t = mu_1 ... mu_t,
 *      w <- w - learning_rate ((1 - mu_t)/(1 - P_t) g + mu_(t+1)/(1 - P_(t+1)) m) / (sqrt(v/(1 - beta_2^t)) + epsilon)
 */
enum { NADAM_OF_M = 6 }; /* ADAM_RATE is that of g */

static double nadam_mu(double beta_1, double decay, int64_t t) { return beta_1 * (1 - 0.5 * exp(-decay * (double)t)); }
/* mu_1 ... mu_t: the factors differ from beta_1 at the start only, or the product has vanished by then. */
static double nadam_product(double beta_1, double decay, int64_t t) {
  double product = 1;
  int64_t i = 1;
  for (; i <= t && product > 0x1p-60 && decay * (double)i < 40; i++) product *= nadam_mu(beta_1, decay, i);
  return product > 0x1p-60 ? product * pow(beta_1, (double)(t - i + 1)) : 0;
}
static void nadam_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  const double decay = -log(0.96) * p[4], product = nadam_product(p[1], decay, step);
  const double next = nadam_mu(p[1], decay, step + 1);
  adam_coefficients(p, learning_rate, step, c);
  c[ADAM_RATE] = learning_rate * (1 - nadam_mu(p[1], decay, step)) / (1 - product);
  c[NADAM_OF_M] = learning_rate * next / (1 - product * next);
  c[ADAM_EPSILON] = floored(p[3]); /* the only place it has, in Keras too */
}
static void nadam_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                         struct update_health *health) {
  real *restrict w = w_, *restrict m = slots[0], *restrict v = slots[1];
  const real *restrict g = g_, s = (real)scale, of_g = (real)c[ADAM_RATE], of_m = (real)c[NADAM_OF_M];
  const real new_1 = (real)c[ADAM_NEW_1], beta_2 = (real)c[ADAM_BETA_2], new_2 = (real)c[ADAM_NEW_2];
  const real root_scale = (real)c[ADAM_ROOT_SCALE], epsilon = (real)c[ADAM_EPSILON];
  real_int w_most = 0, m_most = 0, v_most = 0;
  for (size_t i = 0; i < n; i++) {
    real gradient = g[i] * s;
    m[i] = fma_(new_1, gradient - m[i], m[i]);
    v[i] = fma_(beta_2, v[i], new_2 * gradient * gradient);
    w[i] = w[i] - fma_(of_g, gradient, of_m * m[i]) / fma_(sqrt_(v[i]), root_scale, epsilon);
    w_most = greater(w_most, w[i]);
    m_most = greater(m_most, m[i]);
    v_most = greater(v_most, v[i]);
  }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(m_most), (double)real_of(v_most)}};
}
static double nadam_bound(const double *c, double w, double g, const double *slots) {
  double m = g + slots[0], v = c[ADAM_BETA_2] * slots[1] + c[ADAM_NEW_2] * g * g;
  double direction = c[ADAM_RATE] * g + c[NADAM_OF_M] * m;
  return ROUNDING * (m + (v + 1) * c[ADAM_ROOT_SCALE] + direction + w + (1 + direction) / c[ADAM_EPSILON]);
}

/* ---- lion:  w <- w - learning_rate sign(m + (1 - beta_1) (g - m)),  m <- m + (1 - beta_2) (g - m) */
enum { LION_RATE, LION_NEW_1, LION_NEW_2 };

static void lion_coefficients(const double *p, double learning_rate, int64_t step, double *c) {
  (void)step;
  c[LION_RATE] = learning_rate;
  c[LION_NEW_1] = 1 - p[1];
  c[LION_NEW_2] = 1 - p[2];
}
static void lion_update(size_t n, void *w_, const void *g_, double scale, void *const *slots, const double *c,
                        struct update_health *health) {
  real *restrict w = w_, *restrict m = slots[0];
  const real *restrict g = g_, s = (real)scale, rate = (real)c[LION_RATE];
  const real new_1 = (real)c[LION_NEW_1], new_2 = (real)c[LION_NEW_2];
  real_int w_most = 0, m_most = 0;
  for (size_t i = 0; i < n; i++) {
    real change = g[i] * s - m[i], direction = fma_(new_1, change, m[i]);
    w[i] -= (direction > 0 ? rate : 0) - (direction < 0 ? rate : 0);
    m[i] = fma_(new_2, change, m[i]);
    w_most = greater(w_most, w[i]);
    m_most = greater(m_most, m[i]);
  }
  *health = (struct update_health){(double)real_of(w_most), {(double)real_of(m_most)}};
}
static double lion_bound(const double *c, double w, double g, const double *slots) {
  return ROUNDING * (w + c[LION_RATE] + 2 * (g + slots[0]));
}

#define NUMBER(name, value, maximum) {name, value, 0, maximum, 0}
#define POSITIVE(name, value) {name, value, 0, DBL_MAX, PYNN_FIELD_OPEN_MINIMUM}
#define DECAY(name, value) {name, value, 0, 1, PYNN_FIELD_OPEN_MAXIMUM} /* in [0, 1) */
#define SWITCH(name) {name, 0, 0, 1, PYNN_FIELD_BOOLEAN}
#define ADAM_FIELDS \
  POSITIVE("learning_rate", 0.001), DECAY("beta_1", 0.9), DECAY("beta_2", 0.999), POSITIVE("epsilon", 1e-7)
#define WEIGHT_DECAY NUMBER("weight_decay", 0, DBL_MAX)
#define EARLY SWITCH("early_epsilon")

static const struct optimizer optimizers[] = {
    {{.name = "sgd",
      .aliases = "",
      .n_fields = 4,
      .fields = {POSITIVE("learning_rate", 0.01), DECAY("momentum", 0), SWITCH("nesterov"), WEIGHT_DECAY}},
     1,
     -1,
     sgd_coefficients,
     sgd_update,
     sgd_bound},
    {{.name = "rmsprop",
      .aliases = "",
      .n_fields = 6,
      .fields = {POSITIVE("learning_rate", 0.001), DECAY("rho", 0.9), DECAY("momentum", 0), POSITIVE("epsilon", 1e-7),
                 WEIGHT_DECAY, EARLY}},
     2,
     -1,
     rmsprop_coefficients,
     rmsprop_update,
     rmsprop_bound},
    {{.name = "adagrad",
      .aliases = "",
      .n_fields = 5,
      .fields = {POSITIVE("learning_rate", 0.001), NUMBER("initial_accumulator_value", 0.1, (double)FLT_MAX),
                 POSITIVE("epsilon", 1e-7), WEIGHT_DECAY, EARLY}},
     1,
     1,
     adagrad_coefficients,
     adagrad_update,
     adagrad_bound},
    {{.name = "adam", .aliases = "", .n_fields = 6, .fields = {ADAM_FIELDS, WEIGHT_DECAY, EARLY}},
     2,
     -1,
     adam_coefficients,
     adam_update,
     adam_bound},
    {{.name = "adamw",
      .aliases = "",
      .n_fields = 6,
      .fields = {ADAM_FIELDS, NUMBER("weight_decay", 0.004, DBL_MAX), EARLY}},
     2,
     -1,
     adam_coefficients,
     adam_update,
     adam_bound},
    {{.name = "amsgrad", .aliases = "", .n_fields = 6, .fields = {ADAM_FIELDS, WEIGHT_DECAY, EARLY}},
     3,
     -1,
     adam_coefficients,
     amsgrad_update,
     amsgrad_bound},
    {{.name = "nadam",
      .aliases = "",
      .n_fields = 6,
      .fields = {ADAM_FIELDS, NUMBER("momentum_decay", 0.004, 1e6), WEIGHT_DECAY}},
     2,
     -1,
     nadam_coefficients,
     nadam_update,
     nadam_bound},
    {{.name = "lion",
      .aliases = "",
      .n_fields = 4,
      .fields = {POSITIVE("learning_rate", 0.001), DECAY("beta_1", 0.9), DECAY("beta_2", 0.99), WEIGHT_DECAY}},
     1,
     -1,
     lion_coefficients,
     lion_update,
     lion_bound},
};
