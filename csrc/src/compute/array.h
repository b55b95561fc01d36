/* Views of matrices in the caller's memory. */
#ifndef PYNN_ARRAY_H
#define PYNN_ARRAY_H

#include "compute/context.h"

const char *array_row(const pynn_array *x, int64_t row);
/* Known dtype, `columns` columns, `rows` rows (-1: any), data where there are rows. */
pynn_status array_check(const pynn_array *x, const char *name, int64_t rows, int64_t columns, pynn_error *error);
/* UNSUPPORTED for a sparse one. */
pynn_status array_check_dense(const pynn_array *x, const char *name, pynn_error *error);
/* The caller's memory for reals; NULL is aligned. */
pynn_status array_check_out(const void *out, const char *name, const struct kernels *kernels, pynn_error *error);
/* Rows order[first ...] (or first ... when order is NULL) as reals into out (count x columns). Rows are in range. */
void array_gather(const struct kernels *kernels, const pynn_array *x, const int64_t *order, int64_t first,
                  int64_t count, void *out);
/* Row `first` where the rows from there on can be read as they lie, `*ld` reals apart; NULL when they must be gathered.
 */
const void *array_in_place(const struct kernels *kernels, const pynn_array *x, int64_t first, int64_t *ld);
/* What lies at (row, column), as a double. */
double array_cell(const struct kernels *doubles, const pynn_array *x, int64_t row, int64_t column);
int array_is_integer(const pynn_array *x);
/* The integer at (row, 0), by way of the double kernels; whether it is in 0 ... classes-1. */
int array_label(const struct kernels *doubles, const pynn_array *x, int64_t row, int64_t classes, int64_t *label);

#endif
