/* What the columns of a matrix hold, from one pass over any number of its parts.
 *
 * Means and spreads: each part by two passes relative to its first row, then put together (Chan, Golub, LeVeque 1979).
 * A column that never changes has exactly its value as mean and exactly 0 as spread. Squares are kept scaled by a power
 * of 2, so that 1e300 is a number like any other.
 *
 * Quartiles: up to `held` numbers of a column are held, and quartiles are exact. Beyond, a full buffer of numbers of
 * one weight is sorted and every second goes to the buffer of twice the weight, the odd and the even ones in turn
 * (Munro and Paterson 1980; Manku, Rajagopalan, Lindsay 1998). Sorting 2^h-fold numbers so moves no rank by more than
 * 2^h, which n / (held 2^h) times makes n / held for each of log2(n / held) buffers: a rank is wrong by at most
 * n log2(n / held) / held. Nothing is random. */
#include "compute/array.h"
#include "compute/parallel.h"
#include "compute/scope.h"
#include "graph/model.h"
#include "kernels/tiles.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
  LEVELS = 40,    /* buffers of doubled weights: beyond 2^40 times `held` rows the last is cut again */
  PART_ROWS = 256 /* rows taken at a time */
};

struct moments {
  double mean, low;     /* the mean is their sum: 1e9 + 1e-8 is one */
  double unit, squares; /* sum of squares about the mean is unit^2 squares */
  double minimum, maximum;
  int64_t count, missing, infinite, first_missing, first_infinite;
};

struct buffer {
  double *values; /* `held` of them; NULL: not yet */
  int64_t count;
  int odd;
};

struct pynn_summary {
  const pynn_context *context;
  int64_t columns, held, rows;
  struct moments *moments; /* per column */
  struct buffer *buffers;  /* columns x LEVELS; NULL: no quartiles */
  double *scratch;         /* to sort with: `held` numbers, once there are any */
};

pynn_status pynn_summary_new(pynn_summary **out, const pynn_context *context, int64_t columns, int64_t held,
                             pynn_error *error) {
  if (!out || !context || columns < 1 || columns > MAX_WIDTH || held < 0 || held == 1)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT,
                "expected out, a context, columns in 1 ... 2^20 and held 0 or >= 2; received columns=%lld, held=%lld",
                (long long)columns, (long long)held);
  pynn_summary *s = context_allocate(context, 1, sizeof *s);
  if (s) {
    *s = (pynn_summary){.context = context, .columns = columns, .held = held};
    s->moments = context_allocate(context, (size_t)columns, sizeof *s->moments);
    if (held) s->buffers = context_allocate(context, (size_t)columns * LEVELS, sizeof *s->buffers);
  }
  if (!s || !s->moments || (held && !s->buffers)) {
    pynn_summary_free(s);
    return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for %lld columns; received none", (long long)columns);
  }
  for (int64_t j = 0; j < columns; j++)
    s->moments[j] = (struct moments){.unit = 1, .first_missing = -1, .first_infinite = -1};
  *out = s;
  return PYNN_OK;
}

void pynn_summary_free(pynn_summary *s) {
  if (!s) return;
  for (int64_t i = 0; s->buffers && i < s->columns * LEVELS; i++)
    context_release(s->context, s->buffers[i].values, (size_t)s->held, sizeof(double));
  context_release(s->context, s->scratch, (size_t)s->held, sizeof *s->scratch);
  context_release(s->context, s->buffers, (size_t)s->columns * LEVELS, sizeof *s->buffers);
  context_release(s->context, s->moments, (size_t)s->columns, sizeof *s->moments);
  context_release(s->context, s, 1, sizeof *s);
}

/* ---- means and spreads */

/* A power of 2 by which squares of numbers up to `largest` stay in range; 1 where they do anyway. */
static double unit_for(double largest) {
  if (largest < 0x1p450 && largest > 0x1p-400) return 1;
  int exponent;
  frexp(largest, &exponent);
  return largest > 0 ? ldexp(1, exponent < -1000 ? -1000 : exponent) : 1;
}

/* x: finite numbers, n > 0. */
static struct moments moments_of(const double *x, int64_t n) {
  struct moments m = {.count = n, .minimum = x[0], .maximum = x[0]};
  double sum = 0, largest = 0, rest = 0;
  for (int64_t i = 0; i < n; i++) {
    m.minimum = x[i] < m.minimum ? x[i] : m.minimum;
    m.maximum = x[i] > m.maximum ? x[i] : m.maximum;
  }
  const double small = m.maximum * 0.5 - m.minimum * 0.5 > 0x1p1000 ? 0x1p-20 : 1; /* sums stay in range */
  for (int64_t i = 0; i < n; i++) sum += x[i] * small - x[0] * small;
  m.mean = (x[0] * small + sum / (double)n) / small;
  if (small == 1) m.low = sum / (double)n - (m.mean - x[0]);
  largest = fmax(m.maximum * 0.5 - m.mean * 0.5, m.mean * 0.5 - m.minimum * 0.5);
  m.unit = unit_for(largest);
  for (int64_t i = 0; i < n; i++) {
    const double away = x[i] / m.unit - m.mean / m.unit - m.low / m.unit;
    m.squares += away * away;
    rest += away;
  }
  m.squares = fmax(0, m.squares - rest * rest / (double)n); /* the mean was rounded */
  if (m.minimum == m.maximum) m.mean = m.minimum, m.low = m.squares = 0;
  return m;
}

static void merge(struct moments *a, const struct moments *b) {
  if (!a->count) {
    a->mean = b->mean, a->low = b->low, a->unit = b->unit, a->squares = b->squares, a->count = b->count;
    a->minimum = b->minimum, a->maximum = b->maximum;
    return;
  }
  const double n = (double)a->count, m = (double)b->count, all = n + m;
  const double half = (b->mean * 0.5 - a->mean * 0.5) + (b->low * 0.5 - a->low * 0.5),
               unit = fmax(fmax(a->unit, b->unit), unit_for(fabs(half)));
  const double away = half / unit * 2, ra = a->unit / unit, rb = b->unit / unit;
  a->squares = a->squares * ra * ra + b->squares * rb * rb + away * away * (n / all * m);
  const double step = 2 * (half * (m / all)), mean = a->mean + step;
  a->low += step - (mean - a->mean);
  a->mean = mean;
  a->unit = unit;
  a->count += b->count;
  a->minimum = fmin(a->minimum, b->minimum);
  a->maximum = fmax(a->maximum, b->maximum);
}

/* ---- quartiles */

/* Numbers as integers in the same order: negative ones with all bits turned over, the others with their sign set. */
static uint64_t key_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | 1ULL << 63;
}

static double from_key(uint64_t key) {
  const uint64_t bits = key >> 63 ? key ^ 1ULL << 63 : ~key;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static int sorted(const double *x, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    if (key_of(x[i]) < key_of(x[i - 1])) return 0;
  return 1;
}

/* Radix sort by bytes, from the lowest; a byte that is the same in all keys, as three of each float32 are, is skipped.
 */
static void sort(double *x, int64_t n, double *scratch) {
  if (sorted(x, n)) return;
  int64_t counts[8][256] = {{0}};
  for (int64_t i = 0; i < n; i++) {
    const uint64_t key = key_of(x[i]);
    for (int byte = 0; byte < 8; byte++) counts[byte][key >> 8 * byte & 255]++;
  }
  double *from = x, *to = scratch;
  for (int byte = 0; byte < 8; byte++) {
    int64_t *next = counts[byte], first = 0;
    if (next[key_of(x[0]) >> 8 * byte & 255] == n) continue;
    for (int value = 0; value < 256; value++) {
      const int64_t count = next[value];
      next[value] = first;
      first += count;
    }
    for (int64_t i = 0; i < n; i++) to[next[key_of(from[i]) >> 8 * byte & 255]++] = from[i];
    double *const other = from;
    from = to, to = other;
  }
  if (from != x) memcpy(x, from, (size_t)n * sizeof *x);
}

/* Memory for n more numbers of a column, so that `hold` cannot fail. */
static int reserve(pynn_summary *s, struct buffer *levels, int64_t n) {
  const int64_t whole = s->held / 2 * 2;
  if (!s->scratch && !(s->scratch = context_allocate(s->context, (size_t)s->held, sizeof *s->scratch))) return 0;
  for (int level = 0; level < LEVELS && n > 0; level++) {
    struct buffer *b = &levels[level];
    if (!b->values && !(b->values = context_allocate(s->context, (size_t)s->held, sizeof *b->values))) return 0;
    const int64_t beyond = n - (s->held - b->count);
    n = beyond > 0 ? divide_up(beyond, whole) * (whole / 2) : 0; /* that go up */
  }
  return 1;
}

static void hold(const pynn_summary *s, struct buffer *levels, int level, const double *x, int64_t n) {
  struct buffer *b = &levels[level];
  while (n > 0) {
    if (b->count == s->held) { /* full: every second number goes up */
      const int64_t whole = s->held / 2 * 2;
      sort(b->values, b->count, s->scratch);
      for (int64_t i = 0; i < whole; i += 2) b->values[i / 2] = b->values[i + b->odd];
      const double left = b->values[s->held - 1];
      b->odd = !b->odd;
      if (level + 1 < LEVELS) hold(s, levels, level + 1, b->values, whole / 2);
      b->count = s->held - whole;
      if (b->count) b->values[0] = left;
    }
    const int64_t room = least(n, s->held - b->count);
    memcpy(b->values + b->count, x, (size_t)room * sizeof *x);
    b->count += room, x += room, n -= room;
  }
}

/* How many of x[0 ... n-1], which are sorted, have keys up to this one. */
static int64_t count_up_to(const double *x, int64_t n, uint64_t key) {
  int64_t low = 0;
  while (low < n) {
    const int64_t middle = low + (n - low) / 2;
    if (key_of(x[middle]) <= key) low = middle + 1;
    else n = middle;
  }
  return low;
}

/* The number of rank `rank` (0 ...) among all, each counted by its weight: the least key with that many at or below.
 * Buffers are sorted. */
static double ranked(const struct buffer *levels, double rank) {
  uint64_t low = 0, high = UINT64_MAX;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    double passed = 0;
    for (int level = 0; level < LEVELS; level++)
      if (levels[level].count)
        passed += ldexp((double)count_up_to(levels[level].values, levels[level].count, middle), level);
    if (passed > rank) high = middle;
    else low = middle + 1;
  }
  return from_key(low);
}

static double quantile(const struct buffer *levels, double share) {
  double n = 0;
  for (int level = 0; level < LEVELS; level++) n += ldexp((double)levels[level].count, level);
  const double at_ = share * (n - 1), below = floor(at_), part = at_ - below;
  const double a = ranked(levels, below), b = part > 0 ? ranked(levels, below + 1) : a;
  return a == b ? a : a * (1 - part) + b * part;
}

/* ---- the pass */

struct adding {
  pynn_summary *s;
  const pynn_array *x;
};

/* A strip of columns of the whole part. */
static void add_strip(struct adding *a, int64_t index) {
  pynn_summary *s = a->s;
  const struct kernels *doubles = s->context->kernels[PYNN_FLOAT64];
  for (int64_t j = index * COLUMN_TILE; j < least(s->columns, (index + 1) * COLUMN_TILE); j++) {
    struct moments *all = &s->moments[j];
    for (int64_t first = 0; first < a->x->rows; first += PART_ROWS) {
      double x[PART_ROWS], finite[PART_ROWS];
      const int64_t rows = least(PART_ROWS, a->x->rows - first);
      int64_t n = 0;
      doubles->from_array((size_t)rows, array_row(a->x, first) + j * a->x->column_stride, a->x->row_stride, a->x->dtype,
                          x);
      for (int64_t i = 0; i < rows; i++) {
        const int64_t row = s->rows + first + i;
        if (fabs(x[i]) <= DBL_MAX) finite[n++] = x[i];
        else if (x[i] != x[i]) all->first_missing = all->missing++ ? all->first_missing : row;
        else all->first_infinite = all->infinite++ ? all->first_infinite : row;
      }
      if (!n) continue;
      const struct moments part = moments_of(finite, n);
      merge(all, &part);
      if (s->buffers) hold(s, &s->buffers[j * LEVELS], 0, finite, n);
    }
  }
}

pynn_status pynn_summary_add(pynn_summary *s, const pynn_array *x, pynn_error *error) {
  if (!s || !x) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a summary and x; received NULL");
  pynn_status status = array_check(x, "x", -1, s->columns, error);
  if (!status && x->indices)
    status = fail(error, PYNN_ERROR_UNSUPPORTED, "expected a dense x to summarise; received a sparse one");
  if (status) return status;
  for (int64_t j = 0; s->buffers && j < s->columns; j++)
    if (!reserve(s, &s->buffers[j * LEVELS], x->rows))
      return fail(error, PYNN_ERROR_OUT_OF_MEMORY, "expected memory for quartiles; received none");
  struct adding adding = {.s = s, .x = x};
  const struct compute_scope scope = compute_begin(s->context, 0);
  for (int64_t i = 0; i < divide_up(s->columns, COLUMN_TILE); i++) add_strip(&adding, i);
  compute_end(s->context, scope);
  s->rows += x->rows;
  return PYNN_OK;
}

int64_t pynn_summary_columns(const pynn_summary *s) { return s ? s->columns : 0; }

pynn_status pynn_summary_column(const pynn_summary *s, int64_t column, pynn_column *out) {
  if (!s || !out || column < 0 || column >= s->columns) return PYNN_ERROR_INVALID_ARGUMENT;
  const struct moments *m = &s->moments[column];
  const double none = (double)NAN;
  *out = (pynn_column){.rows = s->rows,
                       .count = m->count,
                       .missing = m->missing,
                       .infinite = m->infinite,
                       .first_missing = m->first_missing,
                       .first_infinite = m->first_infinite,
                       .mean = m->count ? m->mean + m->low : none,
                       .std = m->count ? m->unit * sqrt(m->squares / (double)m->count) : none,
                       .minimum = m->count ? m->minimum : none,
                       .maximum = m->count ? m->maximum : none,
                       .quartiles = {none, none, none}};
  if (!s->buffers || !m->count) return PYNN_OK;
  struct buffer *levels = &s->buffers[column * LEVELS];
  for (int level = 0; level < LEVELS; level++) sort(levels[level].values, levels[level].count, s->scratch);
  for (int i = 0; i < 3; i++) out->quartiles[i] = quantile(levels, 0.25 * (i + 1));
  return PYNN_OK;
}
