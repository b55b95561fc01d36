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

/* A network is made, trained, used and freed, again and again, in the same buffer. */
static void test_network(void) {
  static float x[32 * 4];
  static int64_t y[32];
  float out[32 * 2];
  for (int i = 0; i < 128; i++) x[i] = (float)((i * 37) % 41) / 20 - 1;
  for (int i = 0; i < 32; i++) y[i] = x[4 * i] > x[4 * i + 1];
  pynn_arena arena = pynn_arena_over(buffer, sizeof buffer);
  pynn_context_options options;
  pynn_context_options_init(&options);
  options.allocator = pynn_arena_allocator(&arena);
  options.threads = 1;
  size_t peak = 0;
  for (int round = 0; round < 3; round++) {
    pynn_context *context;
    pynn_model *model;
    pynn_workspace *workspace;
    pynn_trainer *trainer;
    pynn_layer layers[2];
    pynn_spec loss;
    pynn_step step = {0};
    pynn_dense(&layers[0], 8, "tanh");
    pynn_dense(&layers[1], 2, NULL);
    pynn_spec_named(&loss, PYNN_LOSS, "softmax_cross_entropy");
    pynn_model_options shape;
    pynn_model_options_init(&shape);
    shape.inputs = 4;
    pynn_trainer_options training;
    CHECK_STATUS(PYNN_OK, pynn_context_new(&context, &options));
    CHECK_STATUS(PYNN_OK, pynn_model_new(&model, context, &shape, layers, 2, NULL));
    CHECK_STATUS(PYNN_OK, pynn_model_set_loss(model, &loss));
    pynn_trainer_options_init(&training, model);
    pynn_spec_named(&training.optimizer, PYNN_OPTIMIZER, "adam");
    training.guard.policy = PYNN_POLICY_ROLLBACK;
    CHECK_STATUS(PYNN_OK, pynn_workspace_new(&workspace, model));
    CHECK_STATUS(PYNN_OK, pynn_trainer_new(&trainer, model, &training, NULL));
    const size_t used = arena.used;
    const pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, 32, 4), pynn_matrix(y, PYNN_INT64, 32, 1), {0}};
    double first = 0;
    for (int i = 0; i < 200; i++) {
      CHECK_STATUS(PYNN_OK, pynn_train_step(trainer, &data, &step, NULL));
      if (!i) first = step.loss;
    }
    CHECK(step.loss < first / 2);
    CHECK_STATUS(PYNN_OK, pynn_predict(model, workspace, &data.x, 0, out, NULL));
    CHECK_CLOSE(out[0] + out[1], 1, 1e-6);
    CHECK_EQUAL(arena.used, used); /* steps and predictions take nothing */
    pynn_trainer_free(trainer);
    pynn_workspace_free(workspace);
    pynn_model_free(model);
    pynn_context_free(context);
    CHECK_EQUAL(arena.used, 0);
    CHECK(!round || arena.peak == peak);
    peak = arena.peak;
  }
  /* the peak is enough, and one line less is not */
  for (int less = 0; less < 2; less++) {
    pynn_context *context = NULL;
    arena = pynn_arena_over(buffer, 4096);
    if (less) arena.size = 0;
    CHECK_STATUS(less ? PYNN_ERROR_OUT_OF_MEMORY : PYNN_OK, pynn_context_new(&context, &options));
    pynn_context_free(context);
  }
}

int main(void) {
  for (uint32_t seed = 1; seed < 5; seed++) test_random(seed);
  test_edges();
  test_network();
  CHECK_REPORT();
}
