/* Standard normal numbers by Marsaglia's polar method, in double with the library's own log: the same numbers whatever
 * the C library and dtype. */
#ifndef PYNN_NORMAL_H
#define PYNN_NORMAL_H

#define PYNN_REAL_BITS 64
#include "base/numerics.h"
#include "base/rng.h"

/* Two numbers from one draw; 0 when it does not fit, and another has to be tried. */
static inline int normal_pair(struct philox d, double out[2]) {
  const double u = unit(d.word[0], d.word[1]) * 2 - 1, v = unit(d.word[2], d.word[3]) * 2 - 1;
  const double square = u * u + v * v;
  if (square >= 1) return 0;
  const double scale = sqrt(-2 * log_(square) / square);
  out[0] = u * scale, out[1] = v * scale;
  return 1;
}

#endif
