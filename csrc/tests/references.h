/* What every activation is, and its derivative: one row for each row of activations.template.c, in the C library's
 * functions of `wide`. test_kernels.c takes long double, exhaustive.c double, which tries 2^32 inputs.
 *
 * The limits are the largest errors of the float32 kernels in units of the last place, which exhaustive.c measures and
 * docs/numerics.md lists. MONOTONE, ODD: what is checked beside. HAS_MINIMUM: the derivative has a zero, near which it
 * is a difference of numbers near 1/2. MAY_OVERFLOW: f(z) exceeds the largest number for some finite z. */
#ifndef PYNN_TESTS_REFERENCES_H
#define PYNN_TESTS_REFERENCES_H

#include <string.h>
#include <tgmath.h>

/* 1 / (1 + e^-x) without e^x of large x */
static wide logistic(wide x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
/* |x| of functions times a gate: no infinity * 0 */
static wide limited(wide x) { return x > 10000 ? 10000 : x < -10000 ? -10000 : x; }
static wide gate(wide x, wide value) { return (x < 0 ? limited(x) : x) * value; }

static wide linear_value(wide x) { return x; }
static wide linear_slope(wide x) { return x != x ? x : 1; }
static wide relu_value(wide x) { return x <= 0 ? 0 : x; }
static wide relu_slope(wide x) { return x > 0; }
static wide relu6_value(wide x) { return x <= 0 ? 0 : x > 6 ? 6 : x; }
static wide relu6_slope(wide x) { return x > 0 && x < 6; }
static wide leaky_relu_value(wide x) { return x > 0 ? x : LEAK * x; }
static wide leaky_relu_slope(wide x) { return x > 0 ? 1 : LEAK; }
static wide elu_value(wide x) { return x > 0 ? x : expm1(x); }
static wide elu_slope(wide x) { return x > 0 ? 1 : exp(x); }
#define SCALE ((wide)1.0507009873554804934193349852946L)
#define ALPHA ((wide)1.6732632423543772848170429916717L)
static wide selu_value(wide x) { return SCALE * (x > 0 ? x : ALPHA * expm1(x)); }
static wide selu_slope(wide x) { return SCALE * (x > 0 ? 1 : ALPHA * exp(x)); }
static wide sigmoid_slope(wide x) { return logistic(x) * logistic(-x); }
static wide tanh_value(wide x) { return tanh(x); }
static wide tanh_slope(wide x) { return 4 * sigmoid_slope(2 * x); }
static wide softplus_value(wide x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static wide log_sigmoid_value(wide x) { return -softplus_value(-x); }
static wide log_sigmoid_slope(wide x) { return logistic(-x); }
static wide softsign_value(wide x) { return isinf(x) ? copysign((wide)1, x) : x / (1 + fabs(x)); }
static wide softsign_slope(wide x) { return 1 / (1 + fabs(x)) / (1 + fabs(x)); }
static wide hard_sigmoid_value(wide x) { return x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6; }
static wide hard_sigmoid_slope(wide x) { /* 0 where x + 3 rounds to 6 */
  return x != x ? 0 : NARROW(x + 3) > 0 && NARROW(x + 3) < 6 ? (wide)1 / 6 : 0;
}
static wide exponential_value(wide x) { return exp(x); }
static wide silu_value(wide x) { return gate(x, logistic(x)); }
static wide silu_slope(wide x) { return logistic(x) * (1 + limited(x) * logistic(-x)); }
static wide normal(wide x) { return erfc(-x * (wide)0.70710678118654752440084436210485L) / 2; }
static wide gelu_value(wide x) { return gate(x, normal(x)); }
static wide gelu_slope(wide x) {
  const wide c = limited(x);
  return normal(c) + c * (wide)0.39894228040143267793994605993438L * exp(-c * c / 2);
}
#define GELU_SLOPE ((wide)1.5957691216057307117597842397375L) /* 2 sqrt(2 / pi) */
static wide gelu_inner(wide x) { return GELU_SLOPE * (x + (wide)0.044715L * x * x * x); }
static wide gelu_tanh_value(wide x) { return gate(x, logistic(gelu_inner(limited(x)))); }
static wide gelu_tanh_slope(wide x) {
  const wide c = limited(x), g = gelu_inner(c);
  return logistic(g) * (1 + c * logistic(-g) * GELU_SLOPE * (1 + 3 * (wide)0.044715L * c * c));
}
static wide mish_value(wide x) { return gate(x, tanh(softplus_value(x))); }
static wide mish_slope(wide x) {
  const wide c = limited(x), s = softplus_value(c), sech = 1 / cosh(s);
  return tanh(s) + c * sech * sech * logistic(c);
}

enum { MONOTONE = 1, ODD = 2, HAS_MINIMUM = 4, MAY_OVERFLOW = 8 };
static const struct reference {
  const char *name;
  wide (*value)(wide), (*slope)(wide);
  double value_limit, slope_limit; /* in units of the last place, float32 */
  int flags;
} references[] = {
    {"linear", linear_value, linear_slope, 0, 0, MONOTONE | ODD},
    {"relu", relu_value, relu_slope, 0, 0, MONOTONE},
    {"relu6", relu6_value, relu6_slope, 0, 0, MONOTONE},
    {"leaky_relu", leaky_relu_value, leaky_relu_slope, 0, 0, MONOTONE},
    {"elu", elu_value, elu_slope, 1, 1, MONOTONE},
    {"selu", selu_value, selu_slope, 2, 2, MONOTONE | MAY_OVERFLOW},
    {"gelu", gelu_value, gelu_slope, 2.5, 9, HAS_MINIMUM},
    {"gelu_tanh", gelu_tanh_value, gelu_tanh_slope, 1.5, 4.5, HAS_MINIMUM},
    {"silu", silu_value, silu_slope, 2, 4, HAS_MINIMUM},
    {"mish", mish_value, mish_slope, 2.5, 10, HAS_MINIMUM},
    {"softplus", softplus_value, logistic, 1, 2, MONOTONE},
    {"log_sigmoid", log_sigmoid_value, log_sigmoid_slope, 1, 2, MONOTONE},
    {"softsign", softsign_value, softsign_slope, 1, 4, MONOTONE | ODD},
    {"sigmoid", logistic, sigmoid_slope, 1, 2, MONOTONE},
    {"hard_sigmoid", hard_sigmoid_value, hard_sigmoid_slope, 1, 1, MONOTONE},
    {"tanh", tanh_value, tanh_slope, 1, 2, MONOTONE | ODD},
    {"exponential", exponential_value, exponential_value, 1, 1, MONOTONE | MAY_OVERFLOW},
};

/* The reference of a row; NULL and a message that names this file when it is missing. */
static const struct reference *reference_of(const char *name) {
  for (size_t i = 0; i < sizeof references / sizeof *references; i++)
    if (!strcmp(references[i].name, name)) return &references[i];
  fprintf(stderr, "%s has no reference: add a row to csrc/tests/references.h\n", name);
  return NULL;
}

#endif
