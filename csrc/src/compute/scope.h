/* The scope of every public call that computes. */
#ifndef PYNN_SCOPE_H
#define PYNN_SCOPE_H

#include "compute/context.h"

/* What a call changes when it begins and restores when it ends: the floating-point state of the calling thread and, if
 * the call may use the BLAS, the number of the BLAS's own threads. */
struct compute_scope {
  uint64_t floating_point;
  int blas;
};
struct compute_scope compute_begin(const pynn_context *context, int blas);
void compute_end(const pynn_context *context, struct compute_scope scope);

#endif
