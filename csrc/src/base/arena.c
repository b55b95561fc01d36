/* An allocator over the caller's buffer: a stack of blocks, and a list of the holes that were released inside it.
 *
 * A block carries nothing: its size comes back with its release, and a hole's size and successor stand in the hole.
 * Holes are kept in the order of their addresses, neighbours joined, and what touches the top goes back to it. */
#include "compute/context.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

struct hole {
  size_t size;
  size_t next; /* offset of the next hole; END: none */
};
#define END ((size_t)-1)

static size_t rounded(size_t size) { return size <= SIZE_MAX - LINE ? (size + LINE - 1) / LINE * LINE : 0; }

static struct hole hole_at(const pynn_arena *arena, size_t offset) {
  struct hole hole;
  memcpy(&hole, arena->memory + offset, sizeof hole);
  return hole;
}

static void set_hole(pynn_arena *arena, size_t offset, size_t size, size_t next) {
  const struct hole hole = {size, next};
  memcpy(arena->memory + offset, &hole, sizeof hole);
}

/* The hole `from` (END: the list's head) now leads to `next`. */
static void link_after(pynn_arena *arena, size_t from, size_t next) {
  if (from == END) arena->holes = next;
  else set_hole(arena, from, hole_at(arena, from).size, next);
}

pynn_arena pynn_arena_over(void *memory, size_t size) {
  const size_t skip = memory ? (LINE - (uintptr_t)memory % LINE) % LINE : 0;
  pynn_arena arena = {.holes = END};
  if (!memory || size < skip) return arena;
  arena.memory = (unsigned char *)memory + skip;
  arena.size = (size - skip) / LINE * LINE;
  return arena;
}

static void *arena_allocate(void *user, size_t size) {
  pynn_arena *arena = user;
  const size_t wanted = rounded(size);
  if (!wanted) return NULL;
  for (size_t before = END, at = arena->holes; at != END; before = at, at = hole_at(arena, at).next) {
    const struct hole hole = hole_at(arena, at);
    if (hole.size < wanted) continue;
    if (hole.size > wanted) set_hole(arena, at + wanted, hole.size - wanted, hole.next);
    link_after(arena, before, hole.size > wanted ? at + wanted : hole.next);
    return arena->memory + at;
  }
  if (wanted > arena->size - arena->used) return NULL;
  void *memory = arena->memory + arena->used;
  arena->used += wanted;
  if (arena->used > arena->peak) arena->peak = arena->used;
  return memory;
}

static void arena_release(void *user, void *memory, size_t size) {
  pynn_arena *arena = user;
  size_t at = (size_t)((unsigned char *)memory - arena->memory), length = rounded(size), before = END, second = END;
  size_t next = arena->holes;
  while (next != END && next < at) second = before, before = next, next = hole_at(arena, next).next;
  if (next == at + length) {
    const struct hole hole = hole_at(arena, next);
    length += hole.size, next = hole.next;
  }
  if (before != END && before + hole_at(arena, before).size == at) {
    at = before, length += hole_at(arena, before).size, before = second;
  }
  if (at + length == arena->used) { /* no hole lies above */
    arena->used = at;
    link_after(arena, before, END);
    return;
  }
  set_hole(arena, at, length, next);
  link_after(arena, before, at);
}

pynn_allocator pynn_arena_allocator(pynn_arena *arena) {
  return (pynn_allocator){arena_allocate, arena_release, arena};
}

/* ---- how much */

struct counter {
  size_t used, peak;
};

static void *count_allocate(void *user, size_t size) {
  struct counter *counter = user;
  void *memory = rounded(size) ? aligned_alloc(LINE, rounded(size)) : NULL;
  if (!memory) return NULL;
  counter->used += rounded(size);
  if (counter->used > counter->peak) counter->peak = counter->used;
  return memory;
}

static void count_release(void *user, void *memory, size_t size) {
  struct counter *counter = user;
  counter->used -= rounded(size);
  free(memory);
}

/* Bytes at most in use since the last call; counting starts anew from what is in use now. */
static size_t count_since(struct counter *counter, size_t before) {
  const size_t most = counter->peak - before;
  counter->peak = counter->used;
  return most;
}

struct made {
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_trainer *trainer;
};

static pynn_status make(struct made *made, struct counter *counter, pynn_sizes *sizes,
                        const pynn_context_options *context, const pynn_model_options *model, const pynn_layer *layers,
                        int32_t n_layers, const pynn_spec *loss, const pynn_trainer_options *trainer,
                        pynn_error *error) {
  pynn_status status = pynn_context_new(&made->context, context);
  if (status) return fail(error, status, "expected a context as described; %s", pynn_strerror(status));
  sizes->context = count_since(counter, 0);
  size_t before = counter->used;
  status = pynn_model_new(&made->model, made->context, model, layers, n_layers, error);
  if (status) return status;
  sizes->model = count_since(counter, before);
  before = counter->used;
  status = pynn_workspace_new(&made->workspace, made->model);
  if (status) return fail(error, status, "expected memory for a workspace; received none");
  sizes->workspace = count_since(counter, before);
  if (!loss || !trainer) return PYNN_OK;
  before = counter->used;
  status = pynn_model_set_loss(made->model, loss);
  if (status) return fail(error, status, "expected a loss made by pynn_spec_named and _set");
  status = pynn_trainer_new(&made->trainer, made->model, trainer, error);
  sizes->trainer = status ? 0 : count_since(counter, before);
  return status;
}

pynn_status pynn_measure(pynn_sizes *out, const pynn_context_options *context, const pynn_model_options *model,
                         const pynn_layer *layers, int32_t n_layers, const pynn_spec *loss,
                         const pynn_trainer_options *trainer, pynn_error *error) {
  struct counter counter = {0, 0};
  struct made made = {NULL, NULL, NULL, NULL};
  pynn_sizes sizes = {0, 0, 0, 0};
  pynn_context_options options;
  pynn_context_options_init(&options);
  if (context) options = *context;
  options.allocator = (pynn_allocator){count_allocate, count_release, &counter};
  if (!out) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected out; received NULL");
  const pynn_status status = make(&made, &counter, &sizes, &options, model, layers, n_layers, loss, trainer, error);
  pynn_trainer_free(made.trainer);
  pynn_workspace_free(made.workspace);
  pynn_model_free(made.model);
  pynn_context_free(made.context);
  if (!status) *out = sizes;
  return status;
}
