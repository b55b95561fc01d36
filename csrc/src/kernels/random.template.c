/* Dropout, whose random words are drawn many at a time: philox (base/rng.h) in 64-bit lanes. */
typedef uint64_t lanes __attribute__((vector_size(VECTOR_BYTES)));
enum {
  LANES_64 = VECTOR_BYTES / 8,
  DRAWS = 64, /* at a time; a multiple of the lanes */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  WORD_SHIFT = 0, /* of the second of two words that lie side by side */
#else
  WORD_SHIFT = 32,
#endif
};

/* Products of the low halves, whatever the high halves hold. */
static inline lanes low_product(lanes a, lanes b) {
#if VECTOR_BYTES == 64
  return (lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32
  return (lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (lanes)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

/* The words of philox(key, high, first + j), j = 0 ... count - 1, one after another; room for DRAWS of them. High
 * halves of lanes are left as they come: only low ones are used. */
static void random_words(size_t count, uint64_t key, uint64_t high, uint64_t first, uint32_t *words) {
  uint64_t fronts[DRAWS], backs[DRAWS], pairs[2 * DRAWS];
  const lanes zero = {0}, half = zero + 0xffffffff, times_0 = zero + 0xD2511F53, times_1 = zero + 0xCD9E8D57;
  lanes steps = zero, k0[10], k1[10];
  for (size_t i = 0; i < LANES_64; i++) steps[i] = i;
  for (uint64_t i = 0; i < 10; i++)
    k0[i] = zero + (key + i * 0x9E3779B9), k1[i] = zero + ((key >> 32) + i * 0xBB67AE85);
  for (size_t j = 0; j < count; j += LANES_64) {
    const lanes index = zero + (first + j) + steps;
    lanes c0 = index, c1 = index >> 32, c2 = zero + high, c3 = zero + (high >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
      const lanes p0 = low_product(c0, times_0), p1 = low_product(c2, times_1);
      c0 = (p1 >> 32) ^ c1 ^ k0[round], c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ k1[round], c3 = p0;
    }
    const lanes front = (c0 & half) << (32 - WORD_SHIFT) | (c1 & half) << WORD_SHIFT;
    const lanes back = (c2 & half) << (32 - WORD_SHIFT) | (c3 & half) << WORD_SHIFT;
    memcpy(fronts + j, &front, sizeof front);
    memcpy(backs + j, &back, sizeof back);
  }
  for (size_t j = 0; j < count; j++) pairs[2 * j] = fronts[j], pairs[2 * j + 1] = backs[j];
  memcpy(words, pairs, 16 * count);
}

/* One draw of 4 x 32 bits serves 4 neighbours. */
static void dropout(size_t n, const void *x_, void *y_, double rate, uint64_t key, uint64_t step, uint64_t first) {
  const real *x = x_, scale = (real)(1 / (1 - rate));
  const uint32_t threshold = (uint32_t)(rate * 0x1p32);
  uint32_t words[4 * DRAWS];
  real *y = y_;
  while (n) {
    const size_t begin = (size_t)(first % 4), room = 4 * DRAWS - begin, count = n < room ? n : room;
    random_words((begin + count + 3) / 4, key, step, first / 4, words);
    for (size_t i = 0; i < count; i++) y[i] = words[begin + i] < threshold ? 0 : x[i] * scale;
    x += count, y += count, first += count, n -= count;
  }
}
