/* exhaustive [stride [names...]]: every float32 activation and its derivative, on every target that this processor
 * has, over all 2^32 inputs, against the C library in double. A stride above 1 takes a sample: each stride-th input on
 * average, at random, and three on either side of every power of two and of infinity. Prints the largest error in
 * units in the last place of the exact result and where it is; fails when a stated limit is exceeded, when NaN comes
 * from a number or a number from NaN, or when a monotone or odd function is not.
 *
 * A subnormal input counts as zero. A result that is exactly below REAL_FLUSH may be anything smaller than that. Near
 * their zero, slopes of functions with a minimum are differences of numbers near 1/2: for |x| < 2 their error is
 * counted in units of 1/16 at least. */
#include "pynn.h"

#define PYNN_REAL_BITS 32
#include "base/numerics.h"

#include <stdio.h>
#include <stdlib.h>

typedef double wide;
#define LEAK ((double)0.01f)
#define NARROW(x) ((float)(x))
#include "references.h"

/* The library's scalars that no activation shows over their whole domain, as compiled into this program. */
static const struct scalar {
  const char *name;
  float (*got)(float);
  double (*exact)(double);
  double limit;
} scalars[] = {{"expm1_", expm1_, expm1, 2}, {"log1p_", log1p_, log1p, 1}, {"log_", log_, log, 1}};

static double ulps(float x, float got, double exact, int has_minimum) {
  double size = fabs(exact), off;
  int power;
  if (isnan(exact) || isnan(got)) return isnan(exact) && isnan(got) ? 0 : INFINITY;
  if (size < (double)REAL_FLUSH) return fabs((double)got) <= (double)REAL_FLUSH ? 0 : INFINITY;
  if (size > 0x1p128) exact = copysign(0x1p128, exact);
  off = fabs((isinf(got) ? copysign(0x1p128, (double)got) : (double)got) - exact);
  if (has_minimum && fabs((double)x) < 2 && size < 1. / 16) size = 1. / 16;
  frexp(size, &power);
  return ldexp(off, 24 - (power > 128 ? 128 : power));
}

struct result {
  double most; /* 0: every result is the exact one, correctly rounded */
  float where;
  uint64_t nan, order, odd; /* violations */
  uint64_t inputs;
};

static int report(const char *name, const char *what, const char *target, const struct result *r, double limit) {
  int bad = !(r->most <= limit) || r->nan || r->order || r->odd;
  printf("%-13s %-6s %-9s %7.4f ULP (limit %g) at %-15a nan %llu order %llu odd %llu of %llu%s\n", name, what, target,
         r->most, limit, (double)r->where, (unsigned long long)r->nan, (unsigned long long)r->order,
         (unsigned long long)r->odd, (unsigned long long)r->inputs, bad ? "  FAILED" : "");
  fflush(stdout);
  return bad;
}

static void compare(struct result *r, float x, float got, double exact, int has_minimum) {
  r->inputs++;
  if (got == (float)exact) return; /* correctly rounded: at most 0.5 */
  double error = ulps(x, got, exact, has_minimum);
  if (isnan(exact) != isnan(got)) r->nan++;
  if (error > r->most) r->most = error, r->where = x;
}

enum { BLOCK = 1 << 14, TARGETS = 4 };
static float x[BLOCK], y[BLOCK], delta[BLOCK], opposite[BLOCK];
static double exact[BLOCK], exact_slope[BLOCK];

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return fabsf(value) < FLT_MIN ? copysignf(0, value) : value;
}

/* The input after `bits`: the next one, or in a sample one about `stride` further but none of an edge left out. */
static uint64_t following(uint64_t bits, uint64_t stride) {
  enum { EDGE = 3, EXPONENT = 1 << 23 };
  const uint64_t edge = (bits + EDGE) / EXPONENT * EXPONENT; /* the edge here or the last one */
  if (stride == 1 || bits + 1 < edge + EDGE) return bits + 1;
  static uint64_t state = 1;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  const uint64_t next = bits + 1 + state % (2 * stride - 1);
  return next < edge + EXPONENT - EDGE ? next : edge + EXPONENT - EDGE;
}

/* One activation over inputs of one sign, in the order of their size. */
static void sweep(const struct reference *f, pynn_context *const *contexts, int n_contexts, uint32_t sign,
                  uint64_t stride, struct result (*results)[2]) {
  const uint64_t end = 0x80000000u;
  float last[TARGETS] = {0};
  pynn_spec spec;
  pynn_spec_named(&spec, PYNN_ACTIVATION, f->name);
  for (uint64_t bits = 0, first = 1; bits < end; first = 0) {
    int n = 0;
    for (; n < BLOCK && bits < end; bits = following(bits, stride), n++) {
      x[n] = from_bits((uint32_t)bits | sign);
      exact[n] = f->value((double)x[n]);
      exact_slope[n] = f->slope((double)x[n]);
    }
    for (int c = 0; c < n_contexts; c++) {
      struct result *value = &results[c][0], *slope = &results[c][1];
      memcpy(y, x, sizeof x);
      for (int i = 0; i < n; i++) delta[i] = 1, opposite[i] = -x[i];
      pynn_activation_forward(contexts[c], PYNN_FLOAT32, &spec, 1, n, y);
      pynn_activation_backward(contexts[c], PYNN_FLOAT32, &spec, 1, n, x, y, delta);
      if (f->flags & ODD) pynn_activation_forward(contexts[c], PYNN_FLOAT32, &spec, 1, n, opposite);
      for (int i = 0; i < n; i++) {
        compare(value, x[i], y[i], exact[i], 0);
        if (!isnan(x[i])) compare(slope, x[i], delta[i], exact_slope[i], f->flags & HAS_MINIMUM);
        if (f->flags & MONOTONE && !(first && i == 0)) value->order += sign ? y[i] > last[c] : y[i] < last[c];
        if (f->flags & ODD && !isnan(x[i])) value->odd += opposite[i] != -y[i];
        last[c] = y[i];
      }
    }
  }
}

static int wanted(int argc, char **argv, const char *name) {
  for (int i = 2; i < argc; i++)
    if (!strcmp(argv[i], name)) return 1;
  return argc < 3;
}

int main(int argc, char **argv) {
  static const char *const names[TARGETS] = {"baseline", "avx2", "avx512", "neon"};
  const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  pynn_context *contexts[TARGETS];
  int n_contexts = 0, failed = 0;
  for (int i = 0; i < TARGETS; i++) {
    pynn_context_options options;
    pynn_context_options_init(&options);
    options.threads = 1;
    options.cpu = names[i];
    if (pynn_context_new(&contexts[n_contexts], &options) == PYNN_OK) n_contexts++;
  }
  for (int32_t i = 0; i < pynn_table_size(PYNN_ACTIVATION); i++) {
    const pynn_row *row = pynn_table_row(PYNN_ACTIVATION, i);
    struct result results[TARGETS][2] = {{{0}}};
    if (row->flags & PYNN_ROW_ROWWISE || !wanted(argc, argv, row->name)) continue;
    const struct reference *f = reference_of(row->name);
    if (!f) {
      failed = 1;
      continue;
    }
    sweep(f, contexts, n_contexts, 0, stride, results);
    sweep(f, contexts, n_contexts, 0x80000000u, stride, results);
    for (int c = 0; c < n_contexts; c++) {
      failed |= report(f->name, "value", pynn_context_cpu(contexts[c]), &results[c][0], f->value_limit);
      failed |= report(f->name, "slope", pynn_context_cpu(contexts[c]), &results[c][1], f->slope_limit);
    }
  }
  for (size_t k = 0; k < sizeof scalars / sizeof *scalars; k++) {
    struct result result = {0};
    if (!wanted(argc, argv, scalars[k].name)) continue;
    for (uint64_t bits = 0; bits < 0x100000000u; bits = following(bits, stride)) {
      float input = from_bits((uint32_t)bits);
      compare(&result, input, scalars[k].got(input), scalars[k].exact((double)input), 0);
    }
    failed |= report(scalars[k].name, "value", "scalar", &result, scalars[k].limit);
  }
  for (int c = 0; c < n_contexts; c++) pynn_context_free(contexts[c]);
  return failed;
}
