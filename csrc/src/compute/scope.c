/* The floating-point state and the BLAS's own threads during a call. */
#include "compute/scope.h"

#include "base/floating_point.h"
#include "compute/parallel.h"

/* Counts the callers of the BLAS in and out; its own threads are off while there is one. */
static void blas_count(const pynn_context *context, int change) {
  const pynn_blas *blas = &context->blas;
  if (!blas->set_threads || !blas->get_threads) return;
  struct blas_turn *turn = pool_blas_turn(context->pool);
  pid_t process = getpid();
  process_lock_wait(&turn->lock, process);
  if (turn->process != process) turn->callers = 0;
  turn->process = process;
  if (change > 0 && turn->callers == 0) {
    turn->threads = blas->get_threads();
    if (turn->threads != 1) blas->set_threads(1);
  }
  turn->callers += change;
  if (change < 0 && turn->callers == 0 && turn->threads != 1) blas->set_threads(turn->threads);
  process_lock_release(&turn->lock);
}

struct compute_scope compute_begin(const pynn_context *context, int blas) {
  if (blas) blas_count(context, 1);
  return (struct compute_scope){floating_point_set(), blas};
}

void compute_end(const pynn_context *context, struct compute_scope scope) {
  floating_point_restore(scope.floating_point);
  if (scope.blas) blas_count(context, -1);
}
