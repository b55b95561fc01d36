/* Arenas: blocks do not overlap, holes are found again, everything goes back; a network that lives in a buffer. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(64) unsigned char buffer[1 << 20];

struct block {
  unsigned char *memory;
  size_t size;
  unsigned char mark;
};

static int marked(const struct block *b) {
  for (size_t i = 0; i < b->size; i++)
    if (b->memory[i] != b->mark) return 0;
  return 1;
}

/* Random allocations and releases: each block keeps what was written to it, and at the end nothing is in use. */
static void test_random(uint32_t seed) {
  enum { BLOCKS = 64, TURNS = 20000 };
  struct block blocks[BLOCKS] = {{NULL, 0, 0}};
  pynn_arena arena = pynn_arena_over(buffer, 1 << 16);
  const pynn_allocator allocator = pynn_arena_allocator(&arena);
  int64_t refused = 0;
  for (int turn = 0; turn < TURNS; turn++) {
    seed = seed * 1664525u + 1013904223u;
    struct block *b = &blocks[seed >> 26];
    if (b->memory) {
      if (!CHECK(marked(b))) return;
      allocator.release(allocator.user, b->memory, b->size);
      b->memory = NULL;
      continue;
    }
    b->size = (seed >> 8) % 4000 + 1;
    b->mark = (unsigned char)turn;
    b->memory = allocator.allocate(allocator.user, b->size);
    refused += !b->memory;
    if (!b->memory) continue;
    CHECK((uintptr_t)b->memory % 64 == 0);
    CHECK(b->memory >= buffer && b->memory + b->size <= buffer + (1 << 16));
    memset(b->memory, b->mark, b->size);
  }
  CHECK(refused > 0);
  CHECK(arena.peak <= arena.size && arena.peak > arena.size / 2);
  for (int i = 0; i < BLOCKS; i++)
    if (blocks[i].memory) {
      CHECK(marked(&blocks[i]));
      allocator.release(allocator.user, blocks[i].memory, blocks[i].size);
    }
  CHECK_EQUAL(arena.used, 0);
}

static void test_edges(void) {
  pynn_arena none = pynn_arena_over(NULL, 100), odd = pynn_arena_over(buffer + 1, 200),
             tiny = pynn_arena_over(buffer + 1, 3);
  pynn_allocator allocator = pynn_arena_allocator(&none);
  CHECK(!allocator.allocate(allocator.user, 1));
  CHECK_EQUAL(tiny.size, 0);
  CHECK_EQUAL(odd.size, 128);
  allocator = pynn_arena_allocator(&odd);
  void *a = allocator.allocate(allocator.user, 65);
  CHECK(a == buffer + 64);
  CHECK(!allocator.allocate(allocator.user, 1));
  CHECK(!allocator.allocate(allocator.user, SIZE_MAX));
  allocator.release(allocator.user, a, 65);
  CHECK_EQUAL(odd.used, 0);
}

enum { ROWS = 32 };
static float x[ROWS * 4], out[ROWS * 2];
static int64_t y[ROWS];

struct plan {
  pynn_context_options where;
  pynn_model_options shape;
  pynn_layer layers[2];
  pynn_spec loss;
  pynn_trainer_options how;
};

static struct plan plan_of(const char *optimizer, pynn_policy policy, int64_t check_every) {
  struct plan p;
  pynn_context_options_init(&p.where);
  p.where.threads = 1;
  pynn_model_options_init(&p.shape);
  p.shape.inputs = 4;
  pynn_dense(&p.layers[0], 8, "tanh");
  pynn_dense(&p.layers[1], 2, NULL);
  pynn_spec_named(&p.loss, PYNN_LOSS, "softmax_cross_entropy");
  pynn_trainer_options_init(&p.how, NULL);
  pynn_spec_named(&p.how.optimizer, PYNN_OPTIMIZER, optimizer);
  p.how.guard.policy = policy;
  p.how.guard.check_every = check_every;
  return p;
}

/* A network is made, trained, used and freed in the arena; OUT_OF_MEMORY when it does not fit. */
static pynn_status live(pynn_arena *arena, struct plan *p) {
  pynn_context *context = NULL;
  pynn_model *model = NULL;
  pynn_workspace *workspace = NULL;
  pynn_trainer *trainer = NULL;
  pynn_step step = {0};
  p->where.allocator = pynn_arena_allocator(arena);
  pynn_status status = pynn_context_new(&context, &p->where);
  if (!status) status = pynn_model_new(&model, context, &p->shape, p->layers, 2, NULL);
  if (!status) status = pynn_model_set_loss(model, &p->loss);
  if (!status) status = pynn_workspace_new(&workspace, model);
  if (!status) status = pynn_trainer_new(&trainer, model, &p->how, NULL);
  if (!status) {
    const size_t used = arena->used;
    const pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, ROWS, 4), pynn_matrix(y, PYNN_INT64, ROWS, 1), {0}};
    double first = 0;
    for (int i = 0; i < 200; i++) {
      CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
      if (!i) first = step.loss;
    }
    CHECK(step.loss < first);
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &data.x, 0, pynn_model_dtype(model), out, NULL));
    CHECK_CLOSE(out[0] + out[1], 1, 1e-6);
    CHECK_EQUAL(arena->used, used); /* steps and predictions take nothing */
  }
  pynn_trainer_free(trainer);
  pynn_workspace_free(workspace);
  pynn_model_free(model);
  pynn_context_free(context);
  CHECK_EQUAL(arena->used, 0);
  return status;
}

/* What pynn_measure says is enough, every time; what one run took at most is just enough. */
static void test_network(const char *optimizer, pynn_policy policy, int64_t check_every) {
  struct plan p = plan_of(optimizer, policy, check_every);
  pynn_sizes sizes = {0};
  CHECK_STATUS(PYNN_OK, pynn_measure(&sizes, &p.where, &p.shape, p.layers, 2, &p.loss, &p.how, NULL));
  CHECK(sizes.context && sizes.model && sizes.workspace && sizes.trainer);
  const size_t all = sizes.context + sizes.model + sizes.workspace + sizes.trainer;
  CHECK(all <= sizeof buffer);
  pynn_arena arena = pynn_arena_over(buffer, all);
  for (int round = 0; round < 3; round++) CHECK_STATUS(PYNN_OK, live(&arena, &p));
  const size_t peak = arena.peak;
  CHECK(peak <= all && peak + sizes.model > all);
  arena = pynn_arena_over(buffer, peak);
  CHECK_STATUS(PYNN_OK, live(&arena, &p));
  for (size_t less = 64; less < peak; less += 1024) {
    arena = pynn_arena_over(buffer, peak - less);
    CHECK_STATUS(PYNN_ERROR_OUT_OF_MEMORY, live(&arena, &p));
  }
}

static void test_measure_fails_like_new(void) {
  struct plan p = plan_of("adam", PYNN_POLICY_RAISE, 0);
  pynn_sizes sizes = {1, 2, 3, 4};
  pynn_error error;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_measure(NULL, &p.where, &p.shape, p.layers, 2, NULL, NULL, &error));
  p.shape.inputs = 0;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT, pynn_measure(&sizes, NULL, &p.shape, p.layers, 2, NULL, NULL, &error));
  CHECK(strstr(error.message, "inputs"));
  p.shape.inputs = 4;
  p.where.cpu = "z80";
  CHECK_STATUS(PYNN_ERROR_UNSUPPORTED, pynn_measure(&sizes, &p.where, &p.shape, p.layers, 2, NULL, NULL, &error));
  p.where.cpu = NULL;
  p.how.batch_size = 0;
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_measure(&sizes, &p.where, &p.shape, p.layers, 2, &p.loss, &p.how, &error));
  CHECK_STATUS(PYNN_ERROR_INVALID_ARGUMENT,
               pynn_measure(&sizes, &p.where, &p.shape, p.layers, 2, &p.layers[0].kind, &p.how, &error));
  CHECK(sizes.context == 1 && sizes.trainer == 4);
  CHECK_STATUS(PYNN_OK, pynn_measure(&sizes, &p.where, &p.shape, p.layers, 2, NULL, NULL, NULL));
  CHECK_EQUAL(sizes.trainer, 0);
}

int main(void) {
  for (int i = 0; i < 4 * ROWS; i++) x[i] = (float)((i * 37) % 41) / 20 - 1;
  for (int i = 0; i < ROWS; i++) y[i] = x[4 * i] > x[4 * i + 1];
  for (uint32_t seed = 1; seed < 5; seed++) test_random(seed);
  test_edges();
  test_network("sgd", PYNN_POLICY_RAISE, 0);
  test_network("adam", PYNN_POLICY_ROLLBACK, 10);
  test_network("adagrad", PYNN_POLICY_SKIP, 1);
  test_measure_fails_like_new();
  CHECK_REPORT();
}
