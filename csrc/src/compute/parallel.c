/* Threads of a context.
 *
 * A job's tiles are drawn from one 64-bit ticket, generation << 32 | next tile. A thread that still holds an old job
 * cannot draw from a new one because its generation no longer matches; the ticket is closed while a job is written.
 * Idle threads spin for some microseconds, since the next layer's job follows at once, and then sleep. */
#include "compute/parallel.h"

#include "base/floating_point.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#if defined(__SSE2__)
#  include <immintrin.h>
#endif

#define MAX_THREADS 256
/* Below this many floating-point operations a job stays on the caller's thread: waking costs more (measured: see
 * docs/architecture.md). */
#define PARALLEL_WORK 8e5
#define SPIN 4000 /* pauses before an idle thread sleeps, about 50 microseconds */
#define CLOSED 0xffffffffu

struct pool {
  struct blas_turn blas_turn;
  _Atomic int32_t threads; /* with the caller's */
  int32_t started;
  pid_t process;     /* that the threads live in: a fork leaves them behind */
  process_lock lock; /* held by the caller who has the pool */
  _Atomic uint64_t ticket;
  _Atomic int64_t tiles, finished;
  void (*_Atomic run)(void *, int64_t);
  void *_Atomic argument;
  _Atomic int32_t sleepers;
  _Atomic int stop;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pthread_t thread[MAX_THREADS];
};

static void pause_(void) {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Draws and runs tiles of generation `generation` until there are none. */
static void work(struct pool *pool, uint32_t generation) {
  for (;;) {
    uint64_t ticket = atomic_load(&pool->ticket);
    int64_t tiles = atomic_load_explicit(&pool->tiles, memory_order_relaxed);
    void (*run)(void *, int64_t) = atomic_load_explicit(&pool->run, memory_order_relaxed);
    void *argument = atomic_load_explicit(&pool->argument, memory_order_relaxed);
    uint32_t tile = (uint32_t)ticket;
    if ((uint32_t)(ticket >> 32) != generation || tile == CLOSED || tile >= tiles) return;
    if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1)) continue;
    run(argument, tile);
    atomic_fetch_add(&pool->finished, 1);
  }
}

/* Whether the ticket belongs to a job that the thread has not seen and that is open for drawing. */
static int is_news(uint64_t ticket, uint32_t seen) {
  return (uint32_t)(ticket >> 32) != seen && (uint32_t)ticket != CLOSED;
}

static void *worker(void *argument) {
  struct pool *pool = argument;
  uint32_t seen = 0;
  floating_point_set();
  while (!atomic_load(&pool->stop)) {
    uint64_t ticket = atomic_load(&pool->ticket);
    for (int i = 0; i < SPIN && !is_news(ticket, seen); i++) {
      pause_();
      ticket = atomic_load(&pool->ticket);
    }
    if (!is_news(ticket, seen)) {
      pthread_mutex_lock(&pool->mutex);
      atomic_fetch_add(&pool->sleepers, 1);
      while (!is_news(atomic_load(&pool->ticket), seen) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->mutex);
      atomic_fetch_sub(&pool->sleepers, 1);
      pthread_mutex_unlock(&pool->mutex);
      continue;
    }
    seen = (uint32_t)(ticket >> 32);
    work(pool, seen);
  }
  return NULL;
}

/* Starts the threads in this process; fewer when the system gives fewer. Signals stay with the caller's threads. */
static void start(struct pool *pool) {
  sigset_t all, before;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  atomic_store(&pool->ticket, 0);
  atomic_store(&pool->sleepers, 0);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pool->started = 0;
  while (pool->started < pool->threads - 1 && !pthread_create(&pool->thread[pool->started], NULL, worker, pool))
    pool->started++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool->process = getpid();
}

/* Ends the threads; the next job starts new ones. For the owner of the pool. */
static void stop(struct pool *pool) {
  if (pool->process == getpid()) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int32_t i = 0; i < pool->started; i++) pthread_join(pool->thread[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
  }
  atomic_store(&pool->stop, 0);
  pool->process = 0;
}

static int32_t how_many(int32_t threads) {
  if (threads < 1) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t set; /* what this process may use, in a container say */
    if (!sched_getaffinity(0, sizeof set, &set)) processors = CPU_COUNT(&set);
#endif
    threads = (int32_t)processors;
  }
  return threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
}

struct pool *pool_new(const pynn_allocator *allocator, int32_t threads) {
  struct pool *pool = memory_allocate(allocator, 1, sizeof *pool);
  if (pool) pool->threads = how_many(threads);
  return pool;
}

void pool_free(const pynn_allocator *allocator, struct pool *pool) {
  if (!pool) return;
  stop(pool);
  memory_release(allocator, pool, 1, sizeof *pool);
}

void pool_resize(struct pool *pool, int32_t threads) {
  process_lock_wait(&pool->lock, getpid()); /* the current job ends first */
  stop(pool);
  pool->threads = how_many(threads);
  process_lock_release(&pool->lock);
}

int32_t pool_threads(const struct pool *pool) { return pool->threads; }
struct blas_turn *pool_blas_turn(struct pool *pool) { return &pool->blas_turn; }

void parallel_for(const pynn_context *context, int64_t tiles, double work_, void (*run)(void *, int64_t),
                  void *argument) {
  struct pool *pool = context->pool;
  pid_t process;
  if (tiles < 2 || tiles >= CLOSED || work_ < PARALLEL_WORK || pool->threads < 2 ||
      !process_lock_try(&pool->lock, process = getpid())) {
    for (int64_t tile = 0; tile < tiles; tile++) run(argument, tile);
    return;
  }
  if (pool->process != process) start(pool);
  uint64_t generation = (atomic_load(&pool->ticket) >> 32) + 1;
  if (generation > UINT32_MAX) generation = 1;
  atomic_store(&pool->ticket, generation << 32 | CLOSED);
  atomic_store_explicit(&pool->tiles, tiles, memory_order_relaxed);
  atomic_store_explicit(&pool->run, run, memory_order_relaxed);
  atomic_store_explicit(&pool->argument, argument, memory_order_relaxed);
  atomic_store(&pool->finished, 0);
  atomic_store(&pool->ticket, generation << 32);
  if (atomic_load(&pool->sleepers)) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
  work(pool, (uint32_t)generation);
  for (int i = 0; atomic_load(&pool->finished) < tiles; i++)
    if (i < SPIN) pause_();
    else sched_yield();
  process_lock_release(&pool->lock);
}
