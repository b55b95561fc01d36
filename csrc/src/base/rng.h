/* Counter-based random numbers (Philox 4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11):
 * a draw is a pure function of (key, stream, step, index), so it depends on no thread, tile or order. */
#ifndef PYNN_RNG_H
#define PYNN_RNG_H

#include <stdint.h>

/* Streams derived from one seed. */
enum { STREAM_INITIALIZER = 1, STREAM_SHUFFLE = 2, STREAM_DROPOUT = 3, STREAM_MIXUP = 4 };

struct philox {
  uint32_t word[4];
};

static inline struct philox philox(uint64_t key, uint64_t high, uint64_t low) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  struct philox c = {{(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c.word[0], p1 = (uint64_t)0xCD9E8D57u * c.word[2];
    c = (struct philox){
        {(uint32_t)(p1 >> 32) ^ c.word[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.word[3] ^ k1, (uint32_t)p0}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/* The key of a stream: `seed` and (stream, substream), mixed. */
static inline uint64_t stream_key(uint64_t seed, uint64_t stream, uint64_t substream) {
  struct philox d = philox(seed, stream, substream);
  return (uint64_t)d.word[0] << 32 | d.word[1];
}

/* 64 random bits, number `index` of (key, step). */
static inline uint64_t random_bits(uint64_t key, uint64_t step, uint64_t index) {
  struct philox d = philox(key, step, index);
  return (uint64_t)d.word[0] << 32 | d.word[1];
}

/* Two words as a number in (0, 1): (2k+1) / 2^53, never 0 or 1. */
static inline double unit(uint32_t high, uint32_t low) {
  return ((double)(((uint64_t)high << 32 | low) >> 12) + 0.5) * 0x1p-52;
}

/* Uniform in (0, 1). */
static inline double random_unit(uint64_t key, uint64_t step, uint64_t index) {
  struct philox d = philox(key, step, index);
  return unit(d.word[0], d.word[1]);
}

#endif
