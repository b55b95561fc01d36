/* Threads of a context: one job at a time, cut into tiles whose bounds do not depend on the number of threads. */
#ifndef PYNN_PARALLEL_H
#define PYNN_PARALLEL_H

#include "base/process_lock.h"
#include "compute/context.h"

struct pool *pool_new(const pynn_allocator *allocator, int32_t threads);
void pool_free(const pynn_allocator *allocator, struct pool *pool);
int32_t pool_threads(const struct pool *pool);
/* Waits for the current job, then changes the number of threads (0: one for each processor). */
void pool_resize(struct pool *pool, int32_t threads);

/* Calls run(argument, tile) once for each tile in 0 ... tiles-1 and returns when all are done. Uses the threads of the
 * pool when `work` (floating-point operations in total) is large enough and no other caller has them; else the caller's
 * thread alone. Threads treat subnormals as zero. */
void parallel_for(const pynn_context *context, int64_t tiles, double work, void (*run)(void *argument, int64_t tile),
                  void *argument);

/* Callers that may call the BLAS now: the first saves its number of threads, the last restores it. It is kept in the
 * pool because a context is const while it computes. */
struct blas_turn {
  process_lock lock;
  pid_t process;
  int64_t callers;
  int threads;
};
struct blas_turn *pool_blas_turn(struct pool *pool);

#endif
