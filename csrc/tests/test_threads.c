/* Many threads at once: one model predicted from by all, a trainer for each; and no memory taken while they work, by
 * the allocator's count and by malloc's own. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- malloc and its kin, counted while `watching`, where the C library lets itself be replaced */

static _Atomic int watching;
static _Atomic int64_t mallocs;

#if defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#    define SANITIZED 1
#  endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#  define SANITIZED 1
#endif
#if defined(__GLIBC__) && !defined(SANITIZED)
#  define INTERPOSED 1
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static void count(void) {
  if (atomic_load(&watching)) atomic_fetch_add(&mallocs, 1);
}
void *malloc(size_t size) { return count(), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return count(), __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return count(), __libc_realloc(old, size); }
void *aligned_alloc(size_t align, size_t size) { return count(), __libc_memalign(align, size); }
#else
#  define INTERPOSED 0
#endif

/* ---- an allocator that counts */

static _Atomic int64_t allocations, in_use;

static void *counted_allocate(void *user, size_t size) {
  (void)user;
  atomic_fetch_add(&allocations, 1);
  atomic_fetch_add(&in_use, (int64_t)size);
  return aligned_alloc(64, (size + 63) / 64 * 64);
}
static void counted_release(void *user, void *memory, size_t size) {
  (void)user;
  atomic_fetch_sub(&in_use, (int64_t)size);
  free(memory);
}

/* ---- work */

enum { THREADS = 6, ROUNDS = 12, ROWS = 150, INPUTS = 40, OUTPUTS = 5 };
static float x[ROWS * INPUTS], expected[ROWS * OUTPUTS];
static int64_t y[ROWS];

struct worker {
  pthread_t thread;
  const pynn_model *shared;
  pynn_workspace *workspace;
  pynn_model *own;
  pynn_trainer *trainer;
  float *out;
  double loss;
  int wrong;
};

static pynn_data data_of(void) {
  return (pynn_data){pynn_matrix(x, PYNN_FLOAT32, ROWS, INPUTS), pynn_matrix(y, PYNN_INT64, ROWS, 1), {0}};
}

/* Predictions are the same to the last bit however many threads make them; training goes on beside them. */
static void *work(void *argument) {
  struct worker *w = argument;
  const pynn_data data = data_of();
  for (int round = 0; round < ROUNDS; round++) {
    pynn_step step;
    double loss;
    w->wrong += pynn_predict(w->shared, w->workspace, &data.x, 0, pynn_model_dtype(w->shared), w->out, NULL) != PYNN_OK;
    w->wrong += memcmp(w->out, expected, sizeof expected) != 0;
    w->wrong += pynn_evaluate(w->shared, w->workspace, &data.x, &data.targets, NULL, PYNN_FLOAT32, NULL, &loss, NULL) !=
                PYNN_OK;
    w->wrong += pynn_train_batches(w->trainer, &data, NULL, 0, ROWS, 32, 0, PYNN_FLOAT32, NULL, &step, NULL) != PYNN_OK;
    w->loss = step.loss;
  }
  return NULL;
}

static pynn_model *make(const pynn_context *context) {
  pynn_layer layers[3];
  pynn_spec loss;
  pynn_model_options options;
  pynn_model *model = NULL;
  pynn_dense(&layers[0], 300, "gelu");
  pynn_dropout(&layers[1], 0.1);
  pynn_dense(&layers[2], OUTPUTS, NULL);
  pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
  pynn_model_options_init(&options);
  options.inputs = INPUTS;
  CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &options, layers, 3, NULL));
  CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
  return model;
}

static void test_threads(int32_t pool) {
  pynn_context_options options;
  pynn_context *context;
  struct worker workers[THREADS] = {0};
  pynn_context_options_init(&options);
  options.allocator = (pynn_allocator){counted_allocate, counted_release, NULL};
  options.threads = pool;
  CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
  pynn_model *shared = make(context);
  for (int i = 0; i < THREADS; i++) {
    struct worker *w = &workers[i];
    pynn_trainer_options how;
    w->shared = shared;
    w->own = make(context);
    w->out = malloc(sizeof expected);
    pynn_trainer_options_init(&how, w->own);
    pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, "adam");
    how.guard.policy = PYNN_POLICY_ROLLBACK;
    how.guard.check_every = 3;
    CHECK_STATUS(PYNN_OK, pynn_workspace_new(&w->workspace, shared));
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&w->trainer, w->own, &how, NULL));
  }
  const pynn_data data = data_of();
  CHECK_STATUS(PYNN_OK,
               pynn_predict(shared, workers[0].workspace, &data.x, 0, pynn_model_dtype(shared), expected, NULL));

  const int64_t before = atomic_load(&allocations);
  for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
  for (int i = 0; i < THREADS; i++) pthread_join(workers[i].thread, NULL);
  CHECK_EQUAL(atomic_load(&allocations), before);
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQUAL(workers[i].wrong, 0);
    CHECK(workers[i].loss == workers[0].loss); /* same seed, same bits, whoever had the pool */
    CHECK(!memcmp(pynn_model_parameters(workers[i].own), pynn_model_parameters(workers[0].own),
                  (size_t)pynn_model_n_parameters(shared) * sizeof(float)));
  }

  /* one more round of everything on this thread, with malloc watched; the pool's threads run already */
  atomic_store(&mallocs, 0);
  atomic_store(&watching, 1);
  work(&workers[0]);
  atomic_store(&watching, 0);
  CHECK_EQUAL(atomic_load(&mallocs), 0);

  for (int i = 0; i < THREADS; i++) {
    pynn_trainer_free(workers[i].trainer);
    pynn_workspace_free(workers[i].workspace);
    pynn_model_free(workers[i].own);
    free(workers[i].out);
  }
  pynn_model_free(shared);
  pynn_context_free(context);
  CHECK_EQUAL(atomic_load(&in_use), 0);
}

/* The watch itself works. */
static void test_watch(void) {
  atomic_store(&watching, 1);
  void *volatile memory = malloc(10);
  atomic_store(&watching, 0);
  free(memory);
  CHECK_EQUAL(atomic_load(&mallocs), INTERPOSED);
}

int main(void) {
  for (int i = 0; i < ROWS * INPUTS; i++) x[i] = (float)((i * 7919) % 101) / 50 - 1;
  for (int i = 0; i < ROWS; i++) y[i] = i % OUTPUTS;
  test_watch();
  test_threads(1);
  test_threads(3);
  CHECK_REPORT();
}
