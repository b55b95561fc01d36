/* Rows of a sparse matrix (pynn_csr), as passes read them: where they lie, a few numbers at a time. */
#ifndef PYNN_SPARSE_H
#define PYNN_SPARSE_H

#include "kernels/kernels.h"

/* Rows order[first ...], or first ... when order is NULL. x == NULL: nothing sparse. */
struct sparse {
  const pynn_array *x;
  const int64_t *order;
  int64_t first;
};

/* The cells of a row from `at` to `end`, numbers of the matrix's data and indices. */
struct cells {
  int64_t at, end;
};

/* Some cells: values as reals of the pass's dtype, columns counted from the one that was asked for. */
enum { CELLS = 128 };
struct taken {
  double values[CELLS]; /* or floats */
  size_t columns[CELLS];
  size_t n;
};

/* Whether the rows keep the rules of pynn_csr. */
pynn_status sparse_check(const struct sparse *s, int64_t rows, pynn_error *error);
/* All cells of row i; those of its columns from ... to-1. */
struct cells sparse_row(const struct sparse *s, int64_t i);
struct cells sparse_between(const struct sparse *s, int64_t i, int64_t from, int64_t to);
/* The next of `cells`, at most CELLS, with columns less `from`; n == 0: there are no more. */
void sparse_take(const struct kernels *kernels, const struct sparse *s, struct cells *cells, int64_t from,
                 struct taken *out);
/* Cells in `rows` rows. */
int64_t sparse_count(const struct sparse *s, int64_t rows);
/* The rows, dense, into out (rows x columns reals). */
void sparse_gather(const struct kernels *kernels, const struct sparse *s, int64_t rows, void *out);

#endif
