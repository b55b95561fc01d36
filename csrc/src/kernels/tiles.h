/* Tiles: how a job over a matrix is cut, by shapes alone, so that the number of threads changes no bit. */
#ifndef PYNN_TILES_H
#define PYNN_TILES_H

#include "kernels/kernels.h"

#include <math.h>

enum {
  ROW_TILE = 128,   /* rows of a forward tile; PYNN_PREDICT_ROWS */
  STRIPS = 16,      /* most strips that a side is cut into: enough for threads to share evenly */
  LOSS_ROWS = 32,   /* rows of a tile of operations that go row by row */
  COLUMN_TILE = 64, /* columns of a tile of operations that go column by column */
  PART = 256        /* numbers that pass through a buffer on the stack at a time */
};
#define TILE_WORK 4e5 /* floating-point operations that make a tile worth handing out */

/* The address of element `index`, and its value. */
static inline char *at(const struct kernels *kernels, const void *base, int64_t index) {
  return (char *)(uintptr_t)base + (size_t)index * kernels->size;
}
static inline double number(const struct kernels *kernels, const void *base, int64_t index) {
  double value;
  kernels->to_double(1, at(kernels, base, index), &value);
  return value;
}
static inline void fill(const struct kernels *kernels, void *base, int64_t n, double value) {
  for (int64_t i = 0; i < n; i++) kernels->from_double(1, &value, at(kernels, base, i));
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The larger of two largest magnitudes; NaN when one is. */
static inline double larger(double a, double b) { return a != a || a >= b ? a : b; }

struct tiling {
  int64_t m, n, rows, columns, down, across;
};
struct tile {
  int64_t row, rows, column, columns;
};

static inline struct tiling tiling_of(int64_t m, int64_t n, int64_t rows, int64_t columns) {
  return (struct tiling){m, n, rows, columns, divide_up(m, rows), divide_up(n, columns)};
}

static inline int64_t tiles_in(const struct tiling *t) { return t->down * t->across; }

static inline struct tile tile_at(const struct tiling *t, int64_t index) {
  int64_t row = index / t->across * t->rows, column = index % t->across * t->columns;
  return (struct tile){row, least(t->rows, t->m - row), column, least(t->columns, t->n - column)};
}

/* The length of strips that `n` is cut into when one unit of length costs `work` operations: a power of two of equal
 * strips, so that two, four or eight threads share them evenly, each of them worth TILE_WORK and `shortest` long. */
static inline int64_t strip(int64_t n, double work, int64_t shortest, int64_t step) {
  int64_t strips = STRIPS;
  while (strips > 1 && (n < strips * shortest || work * (double)n < TILE_WORK * (double)strips)) strips /= 2;
  return divide_up(divide_up(n, strips), step) * step;
}

#endif
