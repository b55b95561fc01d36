/* Rows of sparse matrices. */
#include "compute/sparse.h"

#include "compute/context.h"

#include <string.h>

static int64_t integer(const pynn_array *x, const void *numbers, int64_t i) {
  return x->index_dtype == PYNN_INT32 ? ((const int32_t *)numbers)[i] : ((const int64_t *)numbers)[i];
}

static int64_t row_of(const struct sparse *s, int64_t i) { return s->order ? s->order[s->first + i] : s->first + i; }

struct cells sparse_row(const struct sparse *s, int64_t i) {
  const int64_t row = row_of(s, i);
  return (struct cells){integer(s->x, s->x->offsets, row), integer(s->x, s->x->offsets, row + 1)};
}

pynn_status sparse_check(const struct sparse *s, int64_t rows, pynn_error *error) {
  const int64_t all = integer(s->x, s->x->offsets, s->x->rows);
  for (int64_t i = 0; i < rows; i++) {
    const struct cells cells = sparse_row(s, i);
    int well = cells.at >= 0 && cells.at <= cells.end && cells.end <= all;
    int64_t last = -1;
    for (int64_t k = cells.at; well && k < cells.end; k++) {
      const int64_t column = integer(s->x, s->x->indices, k);
      well = column > last && column < s->x->columns;
      last = column;
    }
    if (well) continue;
    if (error) error->row = row_of(s, i);
    pynn_status status =
        fail(error, PYNN_ERROR_INVALID_ARGUMENT,
             "expected offsets that do not fall and indices that increase in 0 ... %lld; received others "
             "in row %lld of x",
             (long long)s->x->columns - 1, (long long)row_of(s, i));
    if (error) error->row = row_of(s, i);
    return status;
  }
  return PYNN_OK;
}

/* The first cell whose column is not below `column`. */
static int64_t lower(const struct sparse *s, struct cells cells, int64_t column) {
  while (cells.at < cells.end) {
    const int64_t middle = cells.at + (cells.end - cells.at) / 2;
    if (integer(s->x, s->x->indices, middle) < column) cells.at = middle + 1;
    else cells.end = middle;
  }
  return cells.at;
}

struct cells sparse_between(const struct sparse *s, int64_t i, int64_t from, int64_t to) {
  const struct cells cells = sparse_row(s, i);
  const int64_t at = lower(s, cells, from);
  return (struct cells){at, lower(s, (struct cells){at, cells.end}, to)};
}

void sparse_take(const struct kernels *kernels, const struct sparse *s, struct cells *cells, int64_t from,
                 struct taken *out) {
  const int64_t left = cells->end - cells->at;
  out->n = (size_t)(left < CELLS ? left : CELLS);
  kernels->from_array(out->n, (const char *)s->x->data + cells->at * s->x->column_stride, s->x->column_stride,
                      s->x->dtype, out->values);
  for (size_t k = 0; k < out->n; k++)
    out->columns[k] = (size_t)(integer(s->x, s->x->indices, cells->at + (int64_t)k) - from);
  cells->at += (int64_t)out->n;
}

int64_t sparse_count(const struct sparse *s, int64_t rows) {
  int64_t n = 0;
  for (int64_t i = 0; i < rows; i++) {
    const struct cells cells = sparse_row(s, i);
    n += cells.end - cells.at;
  }
  return n;
}

void sparse_gather(const struct kernels *kernels, const struct sparse *s, int64_t rows, void *out) {
  const size_t size = kernels->size;
  struct taken taken;
  memset(out, 0, (size_t)rows * (size_t)s->x->columns * size);
  for (int64_t i = 0; i < rows; i++) {
    char *row = (char *)out + (size_t)i * (size_t)s->x->columns * size;
    struct cells cells = sparse_row(s, i);
    for (sparse_take(kernels, s, &cells, 0, &taken); taken.n; sparse_take(kernels, s, &cells, 0, &taken))
      for (size_t k = 0; k < taken.n; k++)
        memcpy(row + taken.columns[k] * size, (const char *)taken.values + k * size, size);
  }
}
