/* An allocator over a buffer that the caller provides: a stack of blocks, and a list of the holes inside it.
 *
 * A block has no header: its size is passed again at its release. A hole holds its own size and the offset of the next
 * one. Holes are sorted by address and neighbours are joined; a hole that touches the top becomes free space. */
#include "pynn.h"

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
