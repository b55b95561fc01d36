/* Threads of a context: one job at a time, cut into tiles whose bounds do not depend on the number of threads. */
#ifndef PYNN_PARALLEL_H
#define PYNN_PARALLEL_H

#include "compute/context.h"
#include "base/process_lock.h"

struct pool *pool_new(const pynn_context *context, int32_t threads);
void pool_free(const pynn_context *context, struct pool *pool);
int32_t pool_threads(const struct pool *pool);
/* Waits for the job at hand, then has `threads` threads (0: one for each processor). */
void pool_resize(struct pool *pool, int32_t threads);

/* Calls run(argument, tile) once for each tile in 0 ... tiles-1, on the caller's thread and, when `work` (floating
 * point operations in all) is worth it and no other caller has them, on the pool's. Returns when all are done.
 * Threads compute with subnormals as zero. */
void parallel_for(const pynn_context *context, int64_t tiles, double work, void (*run)(void *argument, int64_t tile),
                  void *argument);

/* Callers now in the BLAS: the first saves its number of threads and the last restores it. The pool keeps it, since a
 * context is const while it computes. */
struct blas_turn {
  process_lock lock;
  pid_t process;
  int64_t callers;
  int threads;
};
struct blas_turn *pool_blas_turn(struct pool *pool);

/* The caller's floating-point state and BLAS threads, around every entry that computes. */
struct guard {
  uint64_t floating_point;
  int blas;
};
/* `blas`: something in between may call it. */
struct guard compute_begin(const pynn_context *context, int blas);
void compute_end(const pynn_context *context, struct guard guard);

#endif
