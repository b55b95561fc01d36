/* Every row of every kernel table, in both dtypes, on every target of this processor: values, derivatives, extremes.
 * (exhaustive.c measures the float32 activations to the last bit; here the float64 ones are measured.) */
#include "base/rng.h"
#include "check.h"
#include "compute/context.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000 };
static const struct kernels *k;
static double tiny; /* spacing of reals at 1 */

/* ---------------------------------------------------------------- reals by way of doubles */

typedef double vector[MOST]; /* holds MOST reals of either dtype */
static void put(void *x, size_t n, const double *values) { k->from_double(n, values, x); }
static double get(const void *x, size_t i) {
  return k->size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
static uint64_t state = 1;
static double uniform(double least, double most) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return least + (most - least) * ((double)(state >> 11) * 0x1p-53);
}
/* Any sign and size, as extreme as the dtype allows. */
static double extreme(void) {
  double most = log2(k->maximum), size = exp2(uniform(-most, most));
  switch (state % 8) {
    case 0: return 0;
    case 1: return k->maximum;
    case 2: return -k->maximum;
  }
  return (state & 8 ? -1 : 1) * (size < k->maximum ? size : k->maximum);
}

/* ---------------------------------------------------------------- activations */

typedef long double wide;
#define LEAK ((wide)0.01L)
#define NARROW(x) (x)
#include "references.h"

static void forward(const struct activation *f, size_t n, const double *inputs, void *z, void *y, const double *p) {
  put(z, n, inputs);
  f->forward(n, z, y, p);
}
static void defaults(const pynn_row *row, double *p) {
  for (int i = 0; i < PYNN_MAX_FIELDS; i++) p[i] = row->fields[i].value;
}

/* Within 16 units of the last place, counted in units of 1/16 at least where |x| < 2: some slopes have zeros there.
 * gelu_tanh's exponent, up to x^2, carries its rounding into the tail. What is below REAL_FLUSH may be anything there.
 */
static int near(const char *name, double x, double got, wide exact) {
  wide allowed = 16 * (wide)tiny * (strcmp(name, "gelu_tanh") ? 1 : 1 + (wide)(x * x));
  wide size = fabsl(x) < 2 ? fmaxl(fabsl(exact), 1 / 16.0L) : fabsl(exact);
  wide flush = 2048 * (k->size == 4 ? (wide)FLT_MIN : (wide)DBL_MIN);
  return fabsl(got - exact) <= allowed * size || (fabsl(exact) < flush && fabs(got) <= (double)flush);
}

/* A finite z gives a finite value and no NaN goes back, infinities give a limit, NaN stays NaN. Needs no reference. */
static void extremes(const struct activation *f, const double *p, int may_overflow) {
  const double smallest = k->size == 4 ? (double)FLT_MIN : DBL_MIN, most = k->maximum, infinite = INFINITY;
  const double edges[] = {0,     -0.0, smallest / 2, -smallest / 2, smallest,  -smallest, 1e-30, -1e-30,   1e30,
                          -1e30, most, -most,        infinite,      -infinite, NAN,       0.5,   1 + tiny, -1 - tiny};
  enum { EDGES = sizeof edges / sizeof *edges };
  static vector z, y, delta, inputs;
  double deltas[MOST];
  for (int i = 0; i < MOST; i++) inputs[i] = i < EDGES ? edges[i] : extreme(), deltas[i] = i < EDGES ? 1 : extreme();
  forward(f, MOST, inputs, z, y, p);
  put(delta, MOST, deltas);
  f->backward(MOST, z, y, delta, p);
  for (size_t i = 0; i < MOST; i++) {
    const double at = get(z, i), value = get(y, i), back = get(delta, i);
    const int right = isnan(at) ? isnan(value)
                      : isinf(at)
                          ? !isnan(value)
                          : !isnan(value) && (may_overflow || isfinite(value)) && (isinf(value) || !isnan(back));
    if (!CHECK(right))
      fprintf(stderr, "  %s %s(%a) = %g, and %g goes back: edit csrc/src/kernels/activations.template.c\n", k->target,
              f->row.name, at, value, back);
  }
}

/* The derivative against central differences of the values: in float64, away from bends. Needs no reference. */
static void differences(const struct activation *f, const double *p) {
  static vector z, y, delta, inputs, above, below;
  const double step = 0x1p-20;
  double ones[MOST];
  int off = 0;
  for (int i = 0; i < MOST; i++) inputs[i] = uniform(-8, 8), ones[i] = 1;
  forward(f, MOST, inputs, z, y, p);
  put(delta, MOST, ones);
  f->backward(MOST, z, y, delta, p);
  for (int i = 0; i < MOST; i++) inputs[i] += step;
  forward(f, MOST, inputs, z, above, p);
  for (int i = 0; i < MOST; i++) inputs[i] -= 2 * step;
  forward(f, MOST, inputs, z, below, p);
  for (size_t i = 0; i < MOST; i++) {
    const double slope = (get(above, i) - get(below, i)) / (2 * step);
    off += fabs(slope - get(delta, i)) > 1e-7 * (1 + fabs(get(y, i)) + fabs(slope));
  }
  if (!CHECK(off <= 2)) /* inputs that happen to lie at a bend */
    fprintf(stderr, "  %s %s: the derivative is no derivative at %d of %d inputs\n", k->target, f->row.name, off, MOST);
}

static void elementwise(const struct activation *f) {
  static vector z, y, again, delta, inputs;
  const struct reference *exact = reference_of(f->row.name);
  const char *name = f->row.name;
  double p[PYNN_MAX_FIELDS], ones[MOST];
  defaults(&f->row, p);
  extremes(f, p, exact && exact->flags & MAY_OVERFLOW);
  if (k->size == 8) differences(f, p);

  for (int i = 0; i < MOST; i++) {
    inputs[i] = i % 2 ? uniform(-20, 20) : uniform(-2, 2) * exp2(uniform(-60, 0));
    ones[i] = 1;
  }
  forward(f, MOST, inputs, z, y, p);
  put(delta, MOST, ones);
  f->backward(MOST, z, y, delta, p);

  /* In place, and in pieces: the same bits. */
  memcpy(again, z, sizeof z);
  for (size_t from = 0, n = 1; from < MOST; from += n, n = from + n + 1 < MOST ? n + 1 : MOST - from)
    f->forward(n, (char *)again + from * k->size, (char *)again + from * k->size, p);
  CHECK(!memcmp(again, y, MOST * k->size));

  if (!CHECK(exact)) return;
  for (size_t i = 0; i < MOST; i++) {
    const wide value = exact->value((wide)get(z, i)), slope = exact->slope((wide)get(z, i));
    if (!CHECK(near(name, get(z, i), get(y, i), value)) || !CHECK(near(name, get(z, i), get(delta, i), slope)))
      fprintf(stderr, "  %s %s(%a) = %a, slope %a\n", k->target, name, get(z, i), get(y, i), get(delta, i));
  }
  if (!strcmp(name, "relu")) { /* a unit that is off stays off */
    const double infinite = INFINITY;
    forward(f, 1, (double[]){-1}, z, y, p);
    put(delta, 1, &infinite);
    f->backward(1, z, y, delta, p);
    CHECK(get(delta, 0) == 0);
  }
}

static void rowwise(const struct activation *f) { /* softmax */
  static vector z, y, delta, inputs, back;
  for (size_t n = 1; n <= MOST; n = n * 2 + 1) {
    wide most = -INFINITY, sum = 0, along = 0;
    double total = 0;
    for (size_t i = 0; i < n; i++) inputs[i] = uniform(-30, 30), back[i] = uniform(-1, 1);
    forward(f, n, inputs, z, y, NULL);
    put(delta, n, back);
    for (size_t i = 0; i < n; i++) most = fmaxl(most, get(z, i));
    for (size_t i = 0; i < n; i++) sum += expl(get(z, i) - most);
    for (size_t i = 0; i < n; i++) along += (wide)get(delta, i) * expl(get(z, i) - most) / sum;
    f->backward(n, NULL, y, delta, NULL);
    for (size_t i = 0; i < n; i++) {
      wide exact = expl(get(z, i) - most) / sum;
      total += get(y, i);
      CHECK(fabsl(get(y, i) - exact) <= 40 * tiny * exact); /* z - max itself is rounded */
      put(back + i, 1, &back[i]);
      CHECK(fabsl(get(delta, i) - exact * (get(back + i, 0) - along)) <= 100 * tiny * exact);
    }
    CHECK(fabs(total - 1) <= (double)n * tiny);
    for (size_t i = 0; i < n; i++) inputs[i] = extreme(), back[i] = uniform(-1, 1);
    forward(f, n, inputs, z, y, NULL);
    put(delta, n, back);
    f->backward(n, NULL, y, delta, NULL);
    for (size_t i = 0; i < n; i++) CHECK(get(y, i) >= 0 && get(y, i) <= 1 && isfinite(get(delta, i)));
  }
}

/* ---------------------------------------------------------------- losses */

static double loss_of(const struct loss *l, size_t n, const double *z_, const double *t_, int64_t label, double scale,
                      void *delta, const double *p) {
  static vector z, t;
  put(z, n, z_);
  if (t_) put(t, n, t_);
  return l->row_loss(n, z, t_ ? t : NULL, label, scale, delta, p);
}

/* The gradient against central differences of the loss, which is double in both dtypes. */
static void gradient(const struct loss *l, size_t n, const double *t, int64_t label, const double *p) {
  static vector delta;
  double z[MOST], step = k->size == 4 ? 0x1p-7 : 0x1p-17;
  for (size_t i = 0; i < n; i++) z[i] = nearbyint(uniform(-4, 4) * 64) / 64 + 1. / 128;
  double loss = loss_of(l, n, z, t, label, 0.25, delta, p);
  CHECK_CLOSE(loss, loss_of(l, n, z, t, label, 0, NULL, p), 0);
  for (size_t i = 0; i < n; i++) {
    double at = z[i], above, below, slope;
    z[i] = at + step, above = loss_of(l, n, z, t, label, 1, NULL, p);
    z[i] = at - step, below = loss_of(l, n, z, t, label, 1, NULL, p);
    z[i] = at, slope = 0.25 * (above - below) / (2 * step);
    if (!CHECK(fabs(get(delta, i) - slope) <= (k->size == 4 ? 1e-4 : 1e-9) * (1 + fabs(loss))))
      fprintf(stderr, "  %s %s: %g for %g\n", k->target, l->row.name, get(delta, i), slope);
  }
}

static void check_loss(const struct loss *l) {
  static vector delta;
  const int bounded = strstr(l->row.name, "cross_entropy") != NULL, labels = (l->row.flags & PYNN_ROW_LABELS) != 0;
  const int in_unit = (l->row.flags & PYNN_ROW_PROBABILITIES) != 0, pairs = (l->row.flags & PYNN_ROW_PAIRS) != 0;
  const int density = pairs || (l->row.flags & PYNN_ROW_NONNEGATIVE) != 0; /* may be negative, and e^z may overflow */
  const int any_sign = density || !strcmp(l->row.name, "kl_divergence");   /* these targets do not sum to 1 */
  double z[MOST], t[MOST], p[PYNN_MAX_FIELDS];
  for (size_t n = 1 + (size_t)pairs; n <= 70; n = n * 2 + !pairs)
    for (int smooth = 0; smooth < 2; smooth++) {
      defaults(&l->row, p);
      if (bounded && smooth) p[0] = 0.1;
      for (size_t i = 0; i < n; i++) t[i] = nearbyint(uniform(0, 1) * 64) / 64; /* does not sum to one */
      gradient(l, n, t, 0, p);
      if (labels) gradient(l, n, NULL, (int64_t)n / 2, p);

      for (int repeat = 0; repeat < 50; repeat++) { /* extremes */
        for (size_t i = 0; i < n; i++)
          z[i] = extreme(), t[i] = in_unit ? uniform(0, 1) : density ? fabs(extreme()) : extreme();
        for (int one = 0; one <= labels; one++) {
          double loss = loss_of(l, n, z, one ? NULL : t, 0, 1, delta, p);
          if (!CHECK(!isnan(loss) && (loss >= 0 || any_sign)))
            fprintf(stderr, "  %s %s: %g\n", k->target, l->row.name, loss);
          CHECK(isfinite(loss) || k->size == 8 || density);
          for (size_t i = 0; i < n; i++) {
            CHECK(!isnan(get(delta, i)));
            if (bounded) CHECK(fabs(get(delta, i)) <= (labels ? (double)n : 1) && (!one || fabs(get(delta, i)) <= 1));
          }
          CHECK_CLOSE(loss_of(l, n, z, one ? NULL : t, 0, 0, delta, p), loss, 0);
          for (size_t i = 0; i < n; i++) CHECK(get(delta, i) == 0);
        }
      }
      for (size_t i = 0; i < n; i++) z[i] = t[i] = 0.5;
      z[n - 1] = NAN;
      CHECK(isnan(loss_of(l, n, z, t, 0, 1, delta, p)));
    }
  if (labels) { /* a label is a one-hot target, to the bit; a sure and right answer has a loss near 0, a wrong one its
                   margin */
    for (size_t i = 0; i < 10; i++) z[i] = uniform(-3, 3), t[i] = i == 4;
    CHECK_CLOSE(loss_of(l, 10, z, NULL, 4, 1, NULL, p), loss_of(l, 10, z, t, 4, 1, NULL, p), 1e-15);
    p[0] = 0;
    CHECK(loss_of(l, 2, (double[]){100, 0}, NULL, 0, 1, delta, p) < 1e-15);
    CHECK_CLOSE(loss_of(l, 2, (double[]){100, 0}, NULL, 1, 1, delta, p), 100, 1e-15);
    CHECK_CLOSE(loss_of(l, 2, (double[]){-30, 30}, NULL, 0, 1, delta, p), 60, 1e-15);
  }
}

/* ---------------------------------------------------------------- optimizers */

/* One step in long double, as PyTorch defines it, or Keras with early_epsilon, but for weight decay, which is the
 * trainer's; p as in the table's rows. */
static void expected(const char *name, const double *p, int64_t step, wide *w, wide g, wide *a, wide *b, wide *u) {
  if (!strcmp(name, "sgd")) {
    *a = p[1] * *a + g;
    *w -= p[0] * (p[2] != 0 ? g + p[1] * *a : *a);
  } else if (!strcmp(name, "rmsprop")) {
    *a = p[1] * *a + (1 - (wide)p[1]) * g * g;
    *b = p[2] * *b + g / (p[5] != 0 ? sqrtl(*a + p[3]) : sqrtl(*a) + p[3]);
    *w -= p[0] * *b;
  } else if (!strcmp(name, "adagrad")) {
    *a += g * g;
    *w -= p[0] * g / (p[4] != 0 ? sqrtl(*a + p[2]) : sqrtl(*a) + p[2]);
  } else if (!strcmp(name, "lion")) {
    wide direction = p[1] * *a + (1 - (wide)p[1]) * g;
    *w -= p[0] * (direction > 0 ? 1 : direction < 0 ? -1 : 0);
    *a = p[2] * *a + (1 - (wide)p[2]) * g;
  } else if (!strcmp(name, "nadam")) {
    wide product = 1, mu = 0;
    for (int64_t i = 1; i <= step; i++) product *= mu = p[1] * (1 - powl(0.96L, (wide)p[4] * i) / 2);
    wide next = p[1] * (1 - powl(0.96L, (wide)p[4] * (step + 1)) / 2);
    *a = p[1] * *a + (1 - (wide)p[1]) * g;
    *b = p[2] * *b + (1 - (wide)p[2]) * g * g;
    *w -= p[0] * ((1 - mu) / (1 - product) * g + next / (1 - product * next) * *a) /
          (sqrtl(*b / (1 - powl(p[2], step))) + p[3]);
  } else if (CHECK(!strcmp(name, "adam") || !strcmp(name, "adamw") || !strcmp(name, "amsgrad"))) {
    *a = p[1] * *a + (1 - (wide)p[1]) * g;
    *b = p[2] * *b + (1 - (wide)p[2]) * g * g;
    *u = strcmp(name, "amsgrad") || *b > *u ? *b : *u;
    const wide correction = sqrtl(1 - powl(p[2], step)), epsilon = p[5] != 0 ? p[3] / correction : p[3];
    *w -= p[0] / (1 - powl(p[1], step)) * *a / (sqrtl(*u) / correction + epsilon);
  }
}

/* Whether a state vector holds squares, which are never negative. */
static int holds_squares(const char *name, int slot) {
  if (!strcmp(name, "rmsprop") || !strcmp(name, "adagrad")) return slot == 0;
  return slot > 0 && strcmp(name, "sgd") && strcmp(name, "lion");
}

static void steps(const struct optimizer *o, const double *p) {
  static vector w, g, slot[PYNN_MAX_SLOTS];
  void *slots[] = {slot[0], slot[1], slot[2]};
  wide exact[37], a[37], b[37], u[37];
  double values[37], c[8], start = o->slot_start < 0 ? 0 : p[o->slot_start];
  for (int i = 0; i < 37; i++) values[i] = uniform(-1, 1), a[i] = b[i] = u[i] = start;
  put(w, 37, values);
  for (int i = 0; i < 37; i++) exact[i] = get(w, (size_t)i), values[i] = start;
  for (int s = 0; s < PYNN_MAX_SLOTS; s++) put(slot[s], 37, values);
  for (int64_t step = 1; step <= 20; step++) {
    struct update_health health;
    double most = 0;
    for (int i = 0; i < 37; i++) values[i] = uniform(-1, 1) * exp10(uniform(-3, 1));
    put(g, 37, values);
    o->coefficients(p, p[0], step, c);
    o->update(37, w, g, 0.5, slots, c, &health);
    for (size_t i = 0; i < 37; i++) {
      expected(o->row.name, p, step, &exact[i], 0.5L * get(g, i), &a[i], &b[i], &u[i]);
      if (!CHECK(fabsl(get(w, i) - exact[i]) <= (k->size == 4 ? 1e-5L : 1e-13L)))
        fprintf(stderr, "  %s %s step %d: %g for %Lg\n", k->target, o->row.name, (int)step, get(w, i), exact[i]);
      most = fmax(most, fabs(get(w, i)));
    }
    CHECK(health.parameter_max == most);
    for (int s = 0; s < o->n_slots; s++) CHECK(health.slot_max[s] == k->largest(37, slot[s]));
  }
}

/* From any finite state: what comes out is below the bound, and finite when the bound is. Bad values show. */
static void bounds(const struct optimizer *o, const double *p) {
  static vector w, g, slot[PYNN_MAX_SLOTS];
  void *slots[] = {slot[0], slot[1], slot[2]};
  struct update_health health;
  double values[16], c[8], slot_max[PYNN_MAX_SLOTS];
  for (int repeat = 0; repeat < 2000; repeat++) {
    double reach = uniform(0.1, 1); /* of the range of exponents */
    for (int s = -2; s < PYNN_MAX_SLOTS; s++) {
      for (int i = 0; i < 16; i++) {
        values[i] = copysign(pow(fabs(extreme()), reach), uniform(-1, 1));
        if (s >= 0 && holds_squares(o->row.name, s)) values[i] = fabs(values[i]);
      }
      put(s == -2 ? w : s == -1 ? g : slot[s], 16, values);
      if (s >= 0) slot_max[s] = k->largest(16, slot[s]);
    }
    o->coefficients(p, p[0], 1 + repeat, c);
    double bound = o->bound(c, k->largest(16, w), k->largest(16, g), slot_max);
    o->update(16, w, g, 1, slots, c, &health);
    if (bound <= k->maximum) {
      CHECK(health.parameter_max <= bound);
      for (int s = 0; s < o->n_slots; s++) CHECK(health.slot_max[s] <= bound);
    }
  }
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int b = 0; b < 3; b++) {
    memset(w, 0, sizeof w), memset(g, 0, sizeof g), memset(slot, 0, sizeof slot);
    put((char *)g + 5 * k->size, 1, &bad[b]);
    o->coefficients(p, p[0], 1, c);
    o->update(16, w, g, 1, slots, c, &health);
    CHECK(!isfinite(health.parameter_max) || !isfinite(health.slot_max[0]) || !isfinite(health.slot_max[1]));
  }
  o->coefficients(p, p[0], (int64_t)1 << 40, c); /* a run without end */
  CHECK(isfinite(c[0]));
}

static void check_optimizer(const struct optimizer *o) {
  double p[PYNN_MAX_FIELDS];
  defaults(&o->row, p);
  CHECK(!strcmp(o->row.fields[0].name, "learning_rate"));
  steps(o, p), bounds(o, p);
  for (int i = 1; i < o->row.n_fields; i++) { /* each number once away from its default */
    defaults(&o->row, p);
    p[i] = o->row.fields[i].maximum == 1 ? (o->row.fields[i].flags & PYNN_FIELD_BOOLEAN ? 1 : 0.5) : 0.125;
    if (!strcmp(o->row.fields[i].name, "nesterov")) p[1] = 0.9;
    if (!strcmp(o->row.fields[i].name, "early_epsilon"))
      p[strcmp(o->row.name, "adagrad") ? 3 : 2] = 0.125; /* to be seen */
    steps(o, p), bounds(o, p);
  }
}

/* ---------------------------------------------------------------- tables */

static void check_row(const pynn_row *row) {
  CHECK(row->name && *row->name && row->aliases && row->n_fields <= PYNN_MAX_FIELDS);
  for (int i = 0; i < row->n_fields; i++) {
    const pynn_field *f = &row->fields[i];
    CHECK(f->value >= f->minimum && f->value <= f->maximum);
    CHECK(!(f->flags & PYNN_FIELD_OPEN_MINIMUM) || f->value > f->minimum);
    CHECK(!(f->flags & PYNN_FIELD_OPEN_MAXIMUM) || f->value < f->maximum);
  }
}

static void check_names(void) {
  pynn_spec spec;
  for (int32_t i = 0; i < pynn_table_size(PYNN_ACTIVATION); i++)
    CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, PYNN_INITIALIZER, pynn_table_row(PYNN_ACTIVATION, i)->initializer));
  for (int32_t i = 0; i < pynn_table_size(PYNN_LOSS); i++)
    CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, PYNN_ACTIVATION, pynn_table_row(PYNN_LOSS, i)->link));
  for (int table = PYNN_ACTIVATION; table <= PYNN_LAYER; table++)
    for (int32_t i = 0; i < pynn_table_size((pynn_table)table); i++) {
      const pynn_row *row = pynn_table_row((pynn_table)table, i);
      check_row(row);
      CHECK_STATUS(PYNN_OK, pynn_spec_named(&spec, (pynn_table)table, row->name));
      CHECK_EQUAL(spec.row, i);
    }
}

/* ---------------------------------------------------------------- dropout */

/* Each number is decided by its own word of philox, wherever a run of numbers begins and ends. */
static void check_dropout(void) {
  static double x[1200];
  static char in[1200 * 8], out[1200 * 8];
  const uint64_t key = 0x123456789abcdef0, step = 0x1fffffffe, far = 0x3fffffff0; /* a carry beyond 32 bits */
  for (int i = 0; i < 1200; i++) x[i] = uniform(1, 2);
  put(in, 1200, x);
  for (uint64_t first = far; first < far + 9; first++)
    for (size_t n = 1; n < 1200; n = n < 20 ? n + 1 : n * 2 + 3) {
      int right = 1;
      k->dropout(n, in, out, 0.3, key, step, first);
      for (size_t i = 0; i < n; i++) {
        const uint64_t index = first + i;
        const int drops = philox(key, step, index / 4).word[index % 4] < (uint32_t)(0.3 * 0x1p32);
        right &= drops ? get(out, i) == 0 : fabs(get(out, i) - get(in, i) / 0.7) <= 4 * tiny * get(out, i);
      }
      CHECK(right);
    }
}

int main(void) {
  static const char *const cpus[] = {"baseline", "avx2", "avx512", "neon"};
  check_names();
  for (int cpu = 0; cpu < 4; cpu++) {
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    options.threads = 1;
    options.cpu = cpus[cpu];
    if (pynn_context_new(&context, &options)) continue;
    for (int dtype = PYNN_FLOAT32; dtype <= PYNN_FLOAT64; dtype++) {
      k = context->kernels[dtype];
      tiny = k->size == 4 ? (double)FLT_EPSILON : DBL_EPSILON;
      for (int32_t i = 0; i < k->n_activations; i++)
        (k->activations[i].row.flags & PYNN_ROW_ROWWISE ? rowwise : elementwise)(&k->activations[i]);
      for (int32_t i = 0; i < k->n_losses; i++) check_loss(&k->losses[i]);
      for (int32_t i = 0; i < k->n_optimizers; i++) check_optimizer(&k->optimizers[i]);
      check_dropout();
    }
    pynn_context_free(context);
  }
  CHECK_REPORT();
}
