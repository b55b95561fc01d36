/* Activations y = f(z) and what passes back through them, delta f'(z).
 *
 * To add one (CONTRIBUTING.md has an example): write name_value(z, a) and name_delta(delta, t, a), say in ELEMENTWISE
 * whether its t is z or y, add a row to the table. `a` is the row's first number. Rules: a finite z gives a finite
 * value and slope; infinities give the limit; NaN stays NaN; a slope that is 0 by definition selects 0 and multiplies
 * nothing; a slope keeps its relative accuracy where it is small. That is why saturating functions go back from z: from
 * y = sigmoid(z) the slope y (1 - y) would be lost to cancellation, and exactly 0 for z > 17. */

#define ELEMENTWISE(name, from)                                                                        \
  static void name##_forward(size_t n, const void *z_, void *y_, const double *p) {                    \
    const real *z = z_, a = (real)p[0];                                                                \
    real *y = y_;                                                                                      \
    INDEPENDENT for (size_t i = 0; i < n; i++) y[i] = name##_value(z[i], a);                           \
  }                                                                                                    \
  static void name##_backward(size_t n, const void *z, const void *y, void *delta_, const double *p) { \
    const real *t = from, a = (real)p[0];                                                              \
    real *delta = delta_;                                                                              \
    (void)z, (void)y;                                                                                  \
    INDEPENDENT for (size_t i = 0; i < n; i++) delta[i] = name##_delta(delta[i], t[i], a);             \
  }

/* z */
static void linear_forward(size_t n, const void *z, void *y, const double *p) {
  (void)p;
  if (y != z) memcpy(y, z, n * sizeof(real));
}
static void linear_backward(size_t n, const void *z, const void *y, void *delta, const double *p) {
  (void)n, (void)z, (void)y, (void)delta, (void)p;
}

/* max(z, 0); slope 0 at 0 */
static inline real relu_value(real z, real a) { return (void)a, z <= 0 ? 0 : z; }
static inline real relu_delta(real delta, real y, real a) { return (void)a, y > 0 ? delta : 0; }
ELEMENTWISE(relu, y)

/* min(max(z, 0), 6); slope 0 at both ends */
static inline real relu6_value(real z, real a) { return (void)a, clamp(z, 0, 6); }
static inline real relu6_delta(real delta, real y, real a) { return (void)a, y > 0 && y < 6 ? delta : 0; }
ELEMENTWISE(relu6, y)

/* z for z > 0, a z otherwise */
static inline real leaky_relu_value(real z, real a) { return z > 0 ? z : a * z; }
static inline real leaky_relu_delta(real delta, real y, real a) { return y > 0 ? delta : a * delta; }
ELEMENTWISE(leaky_relu, y)

/* z for z > 0, a (e^z - 1) otherwise */
static inline real elu_value(real z, real a) { return z > 0 ? z : a * expm1_(z); }
static inline real elu_delta(real delta, real z, real a) { return z > 0 ? delta : a * exp_(z) * delta; }
ELEMENTWISE(elu, z)

/* scale elu(z), with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017) */
#define SELU_SCALE R(1.0507009873554804934)
#define SELU_ALPHA R(1.6732632423543772848)
static inline real selu_value(real z, real a) {
  return (void)a, z > 0 ? SELU_SCALE * z : SELU_SCALE * SELU_ALPHA * expm1_(z);
}
static inline real selu_delta(real delta, real z, real a) {
  return (void)a, delta * (z > 0 ? SELU_SCALE : SELU_SCALE * SELU_ALPHA * exp_(z));
}
ELEMENTWISE(selu, z)

/* 1 / (1 + e^-z); slope s(z) s(-z) */
static inline real sigmoid_value(real z, real a) { return (void)a, sigmoid_(z); }
static inline real sigmoid_delta(real delta, real z, real a) {
  struct pair tail = logistic_tail(absolute(z), 0);
  return (void)a, delta * times(tail.hi + tail.lo, one_less(tail));
}
ELEMENTWISE(sigmoid, z)

/* (1 - e^-2z) / (1 + e^-2z); slope 4 s(2z) s(-2z) */
static inline real tanh_value(real z, real a) { return (void)a, tanh_(z); }
static inline real tanh_delta(real delta, real z, real a) {
  struct pair tail = logistic_tail(2 * absolute(z), 0);
  return (void)a, delta * times(4 * (tail.hi + tail.lo), one_less(tail));
}
ELEMENTWISE(tanh, z)

/* log(1 + e^z); slope sigmoid(z) = 1 - e^-y */
static inline real softplus_value(real z, real a) { return (void)a, softplus_(z); }
static inline real softplus_delta(real delta, real y, real a) { return (void)a, delta * -expm1_(-y); }
ELEMENTWISE(softplus, y)

/* log(sigmoid(z)) = -log(1 + e^-z); slope sigmoid(-z) = 1 - e^y */
static inline real log_sigmoid_value(real z, real a) { return (void)a, -softplus_(-z); }
static inline real log_sigmoid_delta(real delta, real y, real a) { return (void)a, delta * -expm1_(y); }
ELEMENTWISE(log_sigmoid, y)

/* z / (1 + |z|); slope 1 / (1 + |z|)^2. Beyond SOFTSIGN_ONE the 1 is lost beside |z|. */
#define SOFTSIGN_ONE (4 * (real)((real_bits)1 << MANTISSA_BITS))
static inline real softsign_value(real z, real a) {
  real c = clamp(z, -SOFTSIGN_ONE, SOFTSIGN_ONE);
  struct pair q = quotient((struct pair){c, 0}, two_sum(1, absolute(c)));
  return (void)a, q.hi + q.lo;
}
static inline real softsign_delta(real delta, real z, real a) {
  real d = 1 + absolute(z);
  return (void)a, delta * (1 / (d * d));
}
ELEMENTWISE(softsign, z)

/* min(max(z + 3, 0), 6) / 6 */
static inline real hard_sigmoid_value(real z, real a) { return (void)a, clamp(z + 3, 0, 6) / 6; }
static inline real hard_sigmoid_delta(real delta, real y, real a) { return (void)a, y > 0 && y < 1 ? delta / 6 : 0; }
ELEMENTWISE(hard_sigmoid, y)

/* e^z */
static inline real exponential_value(real z, real a) { return (void)a, exp_(z); }
static inline real exponential_delta(real delta, real y, real a) { return (void)a, delta * y; }
ELEMENTWISE(exponential, y)

/* The next four are z times a gate that rises from 0 to 1. Where the gate is 0 or 1 anyway z is clamped to c, so that
 * infinity * 0 cannot occur. */
#define GATE_SHUT 1024
static inline real gated(real z, real c, struct pair gate) { return fma_(z < 0 ? c : z, gate.hi, c * gate.lo); }
/* d/dz (z s(g(z))) = s (1 + (1 - s) v), for the logistic s, tail = s(-|g|) and v = z g'(z) */
static inline real gated_slope(real z, struct pair tail, struct pair v) {
  struct pair head = one_less(tail), gate = z < 0 ? tail : head, rest = z < 0 ? head : tail;
  real sum = fma_(v.hi, rest.hi, 1) + fma_(v.hi, rest.lo, v.lo * rest.hi);
  return times(sum, gate);
}

/* z sigmoid(z) */
static inline real silu_value(real z, real a) {
  struct pair tail = logistic_tail(absolute(z), 0);
  return (void)a, gated(z, clamp(z, -GATE_SHUT, GATE_SHUT), z < 0 ? tail : one_less(tail));
}
static inline real silu_delta(real delta, real z, real a) {
  struct pair v = {clamp(z, -GATE_SHUT, GATE_SHUT), 0};
  return (void)a, delta * gated_slope(z, logistic_tail(absolute(z), 0), v);
}
ELEMENTWISE(silu, z)

/* z Phi(z), Phi the normal distribution; slope Phi(z) + z Phi'(z) */
static inline real gelu_value(real z, real a) { return (void)a, gelu_(z); }
static inline real gelu_delta(real delta, real z, real a) { return (void)a, delta * gelu_slope_(z); }
ELEMENTWISE(gelu, z)

/* z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2 = z s(g(z)), g = 2 sqrt(2/pi) (z + 0.044715 z^3).
 * The logistic s turns an error of g into a relative one of its tail: g, to 90 and more, is a pair. */
#define GELU_LINEAR (4 * INVERSE_SQRT_TAU)
#define GELU_LINEAR_LO (4 * INVERSE_SQRT_TAU_LO)
static inline struct pair gelu_tanh_tail(real c) {
  struct pair square = product(c, c), cubic = product(GELU_CUBIC, square.hi), sum = two_sum(GELU_LINEAR, cubic.hi);
  struct pair g = product(c, sum.hi);
  cubic.lo = fma_(GELU_CUBIC, square.lo, fma_(GELU_CUBIC_LO, square.hi, cubic.lo));
  g.lo = fma_(c, sum.lo + (cubic.lo + GELU_LINEAR_LO), g.lo);
  return logistic_tail(absolute(g.hi), c < 0 ? -g.lo : g.lo);
}
static inline real gelu_tanh_value(real z, real a) {
  real c = clamp(z, -TAIL_MAX, TAIL_MAX);
  struct pair tail = gelu_tanh_tail(c);
  return (void)a, gated(z, c, z < 0 ? tail : one_less(tail));
}
static inline real gelu_tanh_delta(real delta, real z, real a) {
  real c = clamp(z, -TAIL_MAX, TAIL_MAX), cubic = 3 * GELU_CUBIC * c * c;
  struct pair inner_slope = fast_two_sum(GELU_LINEAR, cubic), v = product(c, inner_slope.hi); /* where it matters */
  v.lo = fma_(c, inner_slope.lo + GELU_LINEAR_LO, v.lo);
  return (void)a, delta * gated_slope(c, gelu_tanh_tail(c), v);
}
ELEMENTWISE(gelu_tanh, z)

/* z tanh(log(1 + e^z)) = z A/B with, for q = e^-|z|, A = q^2 + 2q, B = A + 2 (z < 0) or A = 1 + 2q, B = A + 2q^2;
 * slope (q + 2 + 4z (1 + q)/B) q/B or (A + 4z (1 + q) q^2/B) / B */
static inline real mish_value(real z, real a) {
  real scale, c = clamp(z, -GATE_SHUT, GATE_SHUT);
  struct pair e = exp_negative(absolute(c), 0, &scale);
  real q = e.hi * scale, square = q * q;
  struct pair A = z < 0 ? fast_two_sum(2 * q, square) : fast_two_sum(1, 2 * q);
  A.lo = fma_(2, e.lo * scale, A.lo);
  real sum = A.hi + A.lo;
  return (void)a, gated(z, c, quotient(A, z < 0 ? fast_two_sum(2, sum) : fast_two_sum(sum, 2 * square)));
}
static inline real mish_delta(real delta, real z, real a) {
  real c = clamp(z, -GATE_SHUT, GATE_SHUT), q = exp_(-absolute(z)), square = q * q, part = 4 * c * (1 + q);
  real A = z < 0 ? fma_(2, q, square) : 1 + 2 * q;
  real reciprocal = 1 / (A + (z < 0 ? 2 : 2 * square)), below = q * (fma_(part, reciprocal, 2) + q),
       above = fma_(part, square * reciprocal, A);
  return (void)a, delta * ((z < 0 ? below : above) * reciprocal);
}
ELEMENTWISE(mish, z)

/* y_i = e^(z_i - max) / sum_j e^(z_j - max);  delta_i <- y_i (delta_i - sum_j delta_j y_j) */
static void softmax_forward(size_t n, const void *z, void *y_, const double *p) {
  real *y = y_;
  double inverse = 1 / (1 + row_exp(n, z, row_max(n, z), y));
  (void)p;
  for (size_t i = 0; i < n; i++) y[i] = (real)((double)y[i] * inverse);
}
static void softmax_backward(size_t n, const void *z, const void *y_, void *delta_, const double *p) {
  const real *y = y_;
  real *delta = delta_;
  double sum = 0;
  (void)z, (void)p;
  for (size_t i = 0; i < n; i++) sum += (double)delta[i] * (double)y[i];
  for (size_t i = 0; i < n; i++) delta[i] = (real)((double)y[i] * ((double)delta[i] - sum));
}

#define NAMED(name_, aliases_, initializer_) .name = name_, .aliases = aliases_, .initializer = initializer_
#define ONE_FIELD(name_, value_) .n_fields = 1, .fields = {{name_, value_, 0, (double)FLT_MAX, 0}}

static const struct activation activations[] = {
    {{NAMED("linear", "", "glorot_uniform")}, linear_forward, linear_backward, 0},
    {{NAMED("relu", "", "he_normal")}, relu_forward, relu_backward, 0},
    {{NAMED("relu6", "", "he_normal")}, relu6_forward, relu6_backward, 0},
    {{NAMED("leaky_relu", "", "he_normal"), ONE_FIELD("negative_slope", 0.01)},
     leaky_relu_forward,
     leaky_relu_backward,
     0},
    {{NAMED("elu", "", "he_normal"), ONE_FIELD("alpha", 1)}, elu_forward, elu_backward, 0},
    {{NAMED("selu", "", "lecun_normal")}, selu_forward, selu_backward, 0},
    {{NAMED("gelu", "", "he_normal")}, gelu_forward, gelu_backward, 0},
    {{NAMED("gelu_tanh", "", "he_normal")}, gelu_tanh_forward, gelu_tanh_backward, 0},
    {{NAMED("silu", "swish", "he_normal")}, silu_forward, silu_backward, 0},
    {{NAMED("mish", "", "he_normal")}, mish_forward, mish_backward, 0},
    {{NAMED("softplus", "", "he_normal")}, softplus_forward, softplus_backward, 0},
    {{NAMED("log_sigmoid", "", "glorot_uniform")}, log_sigmoid_forward, log_sigmoid_backward, 0},
    {{NAMED("softsign", "", "glorot_uniform")}, softsign_forward, softsign_backward, 9},
    {{NAMED("sigmoid", "", "glorot_uniform")}, sigmoid_forward, sigmoid_backward, 5},
    {{NAMED("hard_sigmoid", "", "glorot_uniform")}, hard_sigmoid_forward, hard_sigmoid_backward, 3},
    {{NAMED("tanh", "", "glorot_uniform")}, tanh_forward, tanh_backward, 2.5},
    {{NAMED("exponential", "exp", "glorot_uniform")}, exponential_forward, exponential_backward, 0},
    {{NAMED("softmax", "", "glorot_uniform"), .flags = PYNN_ROW_ROWWISE}, softmax_forward, softmax_backward, 0},
};
