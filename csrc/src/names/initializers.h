/* The table of initializers, which fill new kernels and biases. */
#ifndef PYNN_INITIALIZERS_H
#define PYNN_INITIALIZERS_H

#include "kernels/kernels.h"

struct part {
  const struct kernels *kernels;
  int64_t rows, columns, first, n;
};

struct initializer {
  pynn_row row;
  /* Fills out with numbers first ... first+n-1 of rows x columns (a kernel's inputs x units). Every number is a
   * function of key, its index and p, the row's numbers, alone. */
  void (*fill)(const struct part *part, uint64_t key, const double *p, double *out);
  /* Instead, where a number depends on the others: fills all of out; scratch has room for as many doubles. */
  void (*fill_whole)(const struct part *part, uint64_t key, const double *p, double *out, double *scratch);
};

extern const struct initializer pynn_initializers[];
extern const int32_t pynn_n_initializers;

#endif
