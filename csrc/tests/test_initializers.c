/* Initializers: moments, limits, orthogonality; every number a function of key and index, in parts and on every target.
 */
#include "base/normal.h"
#include "check.h"
#include "names/initializers.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 300, COLUMNS = 200, COUNT = ROWS * COLUMNS };
static double out[COUNT], again[COUNT], scratch[COUNT];

static void fill(const char *name, int64_t rows, int64_t columns, uint64_t key, double a, double b, double *to) {
  double p[PYNN_MAX_FIELDS] = {a, b};
  for (int32_t i = 0; i < pynn_n_initializers; i++)
    if (!strcmp(pynn_initializers[i].row.name, name)) {
      struct part part = {&pynn_kernels_f64_baseline, rows, columns, 0, rows * columns};
      if (pynn_initializers[i].fill_whole) {
        pynn_initializers[i].fill_whole(&part, key, p, to, scratch);
        return;
      }
      part.n = rows * columns / 3; /* in two parts */
      pynn_initializers[i].fill(&part, key, p, to);
      part.first = part.n, part.n = rows * columns - part.n;
      pynn_initializers[i].fill(&part, key, p, to + part.first);
      return;
    }
  CHECK(pynn_n_initializers == 0 && name); /* fails: there is none of this name */
}

/* Every target draws the numbers of normal_pair, to the bit. */
static void same_normals(const struct kernels *kernels, double limit) {
  enum { FIRST = 0x7ffffe00, N = 1300 };
  kernels->normals(N, 0x123456789abcdef0, FIRST, limit, out);
  for (uint64_t i = 0; i < N; i++) {
    double pair[2] = {INFINITY};
    for (uint64_t attempt = 0; attempt == 0 || !(fabs(*pair) <= limit); attempt++)
      if (!normal_pair(philox(0x123456789abcdef0, attempt, FIRST + i), pair)) *pair = NAN;
    CHECK(out[i] == *pair);
  }
}

static void every_target(void) {
  const char *cpus[] = {"baseline", "avx2", "avx512"};
  const struct kernels *tables[] = {&pynn_kernels_f64_baseline,
#if defined(PYNN_HAVE_X86_TARGETS)
                                    &pynn_kernels_f64_avx2, &pynn_kernels_f32_avx512
#endif
  };
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    pynn_context_options options;
    pynn_context *context;
    pynn_context_options_init(&options);
    options.cpu = cpus[i];
    if (pynn_context_new(&context, &options)) continue;
    pynn_context_free(context);
    same_normals(tables[i], INFINITY);
    same_normals(tables[i], 2);
  }
}

/* Mean and standard deviation within 5 standard errors, all within `limit`, and the largest near it. */
static void moments(const char *name, double a, double b, double mean, double stddev, double limit) {
  double sum = 0, squares = 0, most = 0;
  fill(name, ROWS, COLUMNS, 7, a, b, out);
  for (int i = 0; i < COUNT; i++) {
    sum += out[i] - mean, squares += (out[i] - mean) * (out[i] - mean);
    most = fmax(most, fabs(out[i] - mean));
  }
  CHECK(fabs(sum / COUNT) < 5 * stddev / sqrt(COUNT));
  CHECK(fabs(sqrt(squares / COUNT) / stddev - 1) < 5 * sqrt(0.5 / COUNT));
  CHECK(most <= limit);
  CHECK(isinf(limit) || most > 0.99 * limit);
}

static void distribution(void) { /* normal numbers are normal: the share below each point */
  fill("random_normal", ROWS, COLUMNS, 3, 0, 1, out);
  for (double point = -3; point <= 3; point += 0.25) {
    double share = 0, expected = 0.5 * erfc(-point / sqrt(2));
    for (int i = 0; i < COUNT; i++) share += (out[i] < point) / (double)COUNT;
    CHECK(fabs(share - expected) < 5 * sqrt(expected * (1 - expected) / COUNT));
  }
}

static void orthogonal(int64_t rows, int64_t columns, double gain) {
  int64_t count = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
  double worst = 0;
  fill("orthogonal", rows, columns, 11, gain, 0, out);
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j <= i; j++) {
      double dot = 0;
      for (int64_t k = 0; k < length; k++)
        dot +=
            rows < columns ? out[i * columns + k] * out[j * columns + k] : out[k * columns + i] * out[k * columns + j];
      worst = fmax(worst, fabs(dot - (i == j ? gain * gain : 0)));
    }
  CHECK(worst < 1e-13 * gain * gain);
}

int main(void) {
  const double truncated = 0.87962566103423978, fan_in = ROWS, fan_out = COLUMNS, fan = (fan_in + fan_out) / 2;
  moments("random_normal", 0.5, 0.05, 0.5, 0.05, INFINITY);
  moments("truncated_normal", 0.5, 0.05, 0.5, 0.05 * truncated, 0.1);
  moments("random_uniform", -0.1, 0.3, 0.1, 0.4 / sqrt(12), 0.2);
  moments("glorot_normal", 0, 0, 0, sqrt(1 / fan), 2 * sqrt(1 / fan) / truncated);
  moments("glorot_uniform", 0, 0, 0, sqrt(1 / fan), sqrt(3 / fan));
  moments("he_normal", 0, 0, 0, sqrt(2 / fan_in), 2 * sqrt(2 / fan_in) / truncated);
  moments("he_uniform", 0, 0, 0, sqrt(2 / fan_in), sqrt(6 / fan_in));
  moments("lecun_normal", 0, 0, 0, sqrt(1 / fan_in), 2 * sqrt(1 / fan_in) / truncated);
  moments("lecun_uniform", 0, 0, 0, sqrt(1 / fan_in), sqrt(3 / fan_in));
  distribution();

  const int64_t shapes[][2] = {{1, 1}, {1, 9}, {9, 1}, {64, 64}, {300, 200}, {200, 300}};
  for (int i = 0; i < 6; i++) orthogonal(shapes[i][0], shapes[i][1], 1), orthogonal(shapes[i][0], shapes[i][1], 2.5);
  int positive = 0;
  for (uint64_t key = 0; key < 1000; key++) fill("orthogonal", 1, 1, key, 1, 0, out), positive += out[0] > 0;
  CHECK(positive > 400 && positive < 600); /* both signs: Haar measure */

  for (int32_t i = 0; i < pynn_n_initializers; i++) {
    const pynn_row *row = &pynn_initializers[i].row;
    double p[2] = {row->fields[0].value, row->fields[1].value};
    memset(out, 0xff, sizeof out);
    fill(row->name, 20, 30, 5, p[0], p[1], out);
    fill(row->name, 20, 30, 5, p[0], p[1], again);
    CHECK(!memcmp(out, again, 600 * sizeof *out));
    for (int k = 0; k < 600; k++) CHECK(isfinite(out[k]));
    int constant = !strcmp(row->name, "zeros") || !strcmp(row->name, "ones") || !strcmp(row->name, "constant");
    for (int k = 1; constant && k < 600; k++) CHECK(out[k] == (row->name[0] == 'o'));
    fill(row->name, 20, 30, 6, p[0], p[1], again);
    CHECK(constant == !memcmp(out, again, 600 * sizeof *out));
    if (strcmp(row->name, "orthogonal")) { /* numbers depend on their index alone where the fans are the same */
      fill(row->name, 30, 20, 5, p[0], p[1], again);
      CHECK(strstr(row->name, "he_") || strstr(row->name, "lecun_") || !memcmp(out, again, 600 * sizeof *out));
    }
  }
  fill("ones", 1, 1, 0, 0, 0, out);
  CHECK(out[0] == 1);
  fill("constant", 1, 1, 0, 0.25, 0, out);
  CHECK(out[0] == 0.25);
  fill("random_normal", 1, 4, 42, 0, 1, out); /* pinned: a seed means the same numbers in every release */
  CHECK_CLOSE(out[0], 0x1.71d1e93d7a6dap-3, 1e-15);
  CHECK_CLOSE(out[3], 0x1.945c05f0de665p+0, 1e-15);
  every_target();
  CHECK_REPORT();
}
