/* Runs a fuzzer's harness without libFuzzer, on inputs that the test makes itself: the same ones each time. Inputs that
 * were run are mutated again, so that changes add up. */
#ifndef FUZZ_MAIN_H
#define FUZZ_MAIN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_CORPUS = 64, FUZZ_SIZE = 1 << 16 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static uint64_t fuzz_state = 88172645463325252u;

static uint64_t fuzz_random(void) {
  fuzz_state ^= fuzz_state << 13, fuzz_state ^= fuzz_state >> 7, fuzz_state ^= fuzz_state << 17;
  return fuzz_state >> 3;
}

/* What libFuzzer would provide: some bytes are changed, put in, taken out or copied. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
  for (uint64_t changes = 1 + fuzz_random() % 4; changes > 0; changes--) {
    const size_t at = size ? fuzz_random() % size : 0, n = 1 + fuzz_random() % 8;
    switch (size ? fuzz_random() % 5 : 2) {
      case 0: data[at] = (uint8_t)fuzz_random(); break;
      case 1: data[at] ^= (uint8_t)(1 << fuzz_random() % 8); break;
      case 2:
        if (size + n > max_size) break;
        memmove(data + at + n, data + at, size - at);
        for (size_t i = 0; i < n; i++) data[at + i] = (uint8_t)fuzz_random();
        size += n;
        break;
      case 3:
        if (at + n > size) break;
        memmove(data + at, data + at + n, size - at - n);
        size -= n;
        break;
      default: {
        const size_t from = fuzz_random() % size, most = size - (from > at ? from : at);
        memmove(data + at, data + from, n < most ? n : most);
      }
    }
  }
  return size;
}

/* `runs` inputs of at most `max_size` bytes, each made by `mutate` from one that was run before. */
static inline int fuzz_run(size_t (*mutate)(uint8_t *, size_t, size_t, unsigned), int (*test)(const uint8_t *, size_t),
                           long runs, size_t max_size) {
  static uint8_t corpus[FUZZ_CORPUS][FUZZ_SIZE];
  static size_t sizes[FUZZ_CORPUS];
  for (long i = 0; i < runs; i++) {
    const size_t from = fuzz_random() % FUZZ_CORPUS, to = fuzz_random() % FUZZ_CORPUS;
    if (fuzz_random() % 16 == 0) sizes[from] = 0;
    memcpy(corpus[to], corpus[from], sizes[from]);
    sizes[to] = mutate(corpus[to], sizes[from], max_size, (unsigned)fuzz_random());
    uint8_t *input = malloc(sizes[to] ? sizes[to] : 1); /* its own block, so that reading beyond it is found */
    if (!input) return 1;
    memcpy(input, corpus[to], sizes[to]);
    test(input, sizes[to]);
    free(input);
  }
  printf("%ld inputs\n", runs);
  return 0;
}

#endif
