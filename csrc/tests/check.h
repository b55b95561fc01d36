/* Checks for the C tests: a failed one prints where and what, and the program's exit status says that there was one. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>

#include "pynn.h"

static int check_failures, check_count;

static inline int check_(int holds, const char *file, int line, const char *what) {
  check_count++;
  if (holds) return 1;
  if (check_failures++ < 50) fprintf(stderr, "%s:%d: %s\n", file, line, what);
  return 0;
}

#define CHECK(condition) check_((condition) != 0, __FILE__, __LINE__, #condition)

#define CHECK_EQUAL(a, b)                                                                                 \
  do {                                                                                                    \
    long long a_ = (long long)(a), b_ = (long long)(b);                                                   \
    if (!check_(a_ == b_, __FILE__, __LINE__, #a " == " #b)) fprintf(stderr, "  %lld != %lld\n", a_, b_); \
  } while (0)

/* |a - b| <= relative * max(|a|, |b|), or both the same. */
#define CHECK_CLOSE(a, b, relative)                                                                                   \
  do {                                                                                                                \
    double a_ = (double)(a), b_ = (double)(b);                                                                        \
    if (!check_(a_ == b_ || fabs(a_ - b_) <= (relative) * fmax(fabs(a_), fabs(b_)), __FILE__, __LINE__, #a " ~ " #b)) \
      fprintf(stderr, "  %.17g, %.17g\n", a_, b_);                                                                    \
  } while (0)

#define CHECK_STATUS(expected, call)                                                   \
  do {                                                                                 \
    pynn_status status_ = (call);                                                      \
    if (!check_(status_ == (expected), __FILE__, __LINE__, #call " gives " #expected)) \
      fprintf(stderr, "  gave %d: %s\n", (int)status_, pynn_strerror(status_));        \
  } while (0)

/* The last line of main. */
#define CHECK_REPORT() return printf("%d checks, %d failed\n", check_count, check_failures), check_failures != 0

#endif
