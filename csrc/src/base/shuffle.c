/* Shuffling: a permutation that depends on seed, epoch and length alone. */
#include "pynn.h"
#include "base/rng.h"

/* Uniform in 0 ... n-1 from 64 random bits, by the high half of bits * n (bias below n / 2^64). */
static int64_t below(uint64_t bits, int64_t n) {
  uint64_t high = (bits >> 32) * (uint64_t)n, low = (bits & 0xffffffffu) * (uint64_t)n;
  if ((uint64_t)n <= 0xffffffffu) return (int64_t)((high + (low >> 32)) >> 32);
  return (int64_t)(bits % (uint64_t)n); /* more rows than 2^32: the bias stays below 2^-20 */
}

void pynn_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *out) {
  const uint64_t key = stream_key(seed, STREAM_SHUFFLE, 0);
  struct philox draw = {{0}};
  for (int64_t i = 0; out && i < n; i++) { /* Fisher and Yates, inside out; a draw of 128 bits serves two places */
    if (i % 2 == 0) draw = philox(key, epoch, (uint64_t)i);
    const uint32_t *word = &draw.word[i % 2 * 2];
    int64_t j = below((uint64_t)word[0] << 32 | word[1], i + 1);
    out[i] = out[j];
    out[j] = i;
  }
}
