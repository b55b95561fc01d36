/* The table of initializers, which fill new kernels and biases. */
#ifndef PYNN_INITIALIZERS_H
#define PYNN_INITIALIZERS_H

#include "pynn.h"

struct initializer {
  pynn_row row;
  /* Fills out, rows x columns (a kernel's inputs x units); every number is a function of key, its index and p alone.
   * p are the row's numbers; scratch has room for as many doubles as out. */
  void (*fill)(int64_t rows, int64_t columns, uint64_t key, const double *p, double *out, double *scratch);
};

extern const struct initializer pynn_initializers[];
extern const int32_t pynn_n_initializers;

#endif
