/* In place of parallel.c where the library is built without threads: every job runs on its caller's. */
#include "compute/parallel.h"

struct pool {
  struct blas_turn blas_turn;
};

struct pool *pool_new(const pynn_allocator *allocator, int32_t threads) {
  (void)threads;
  return memory_allocate(allocator, 1, sizeof(struct pool));
}

void pool_free(const pynn_allocator *allocator, struct pool *pool) { memory_release(allocator, pool, 1, sizeof *pool); }

void pool_resize(struct pool *pool, int32_t threads) { (void)pool, (void)threads; }

int32_t pool_threads(const struct pool *pool) { return (void)pool, 1; }

struct blas_turn *pool_blas_turn(struct pool *pool) { return &pool->blas_turn; }

void parallel_for(const pynn_context *context, int64_t tiles, double work, void (*run)(void *, int64_t),
                  void *argument) {
  (void)context, (void)work;
  for (int64_t tile = 0; tile < tiles; tile++) run(argument, tile);
}
