/* The micro-kernel of products: up to MR x WIDE vectors of sums stay in registers while it walks along k. */
typedef real vector __attribute__((vector_size(VECTOR_BYTES)));

/* MR * WIDE sums, WIDE of B and one of A fill the registers: 32 of them, or 16. */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
enum { MR = 8, WIDE = 3 };
#else
enum { MR = 6, WIDE = 2 };
#endif
enum {
  LANES = VECTOR_BYTES / sizeof(real),
  NR = WIDE * LANES,
  AHEAD = 16, /* rows of B that are fetched ahead while it is packed */
  LONG = 32   /* steps that leave time to fetch C ahead */
};
_Static_assert(GEMM_STEP % MR == 0 && GEMM_STEP % NR == 0, "tiles are cut for every kernel alike");

static inline vector vector_load(const real *p) {
  vector v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void vector_store(real *p, vector v) { memcpy(p, &v, sizeof v); }
static inline vector vector_fill(real x) { return x - (vector){0}; }

static inline vector vector_fma(vector a, vector b, vector c) {
#if VECTOR_BYTES == 64 && PYNN_REAL_BITS == 32
  return (vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VECTOR_BYTES == 64
  return (vector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif VECTOR_BYTES == 32 && PYNN_REAL_BITS == 32
  return (vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VECTOR_BYTES == 32
  return (vector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__) && PYNN_REAL_BITS == 32
  return (vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__aarch64__)
  return (vector)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

/* n <= GEMM_STEP numbers, in pieces of powers of two: too few for a call of memcpy, and masked stores are slow on some
 * processors. One copy of the code is enough. */
static __attribute__((noinline)) void copy_few(size_t n, const real *from, real *to) {
  _Static_assert(NR < 64, "pieces up to 32");
#pragma GCC unroll 6
  for (size_t piece = 32; piece; piece /= 2)
    if (n & piece) {
      memcpy(to, from, piece * sizeof(real));
      from += piece, to += piece;
    }
}

/* The first n numbers of a vector, 1 <= n <= LANES: `some_of(n)`. AVX-512 reads and writes them under a mask. */
#if VECTOR_BYTES == 64
enum { MASKS = 1 };
#  if PYNN_REAL_BITS == 32
typedef __mmask16 some;
static inline vector load_some(const real *p, some s) { return (vector)_mm512_maskz_loadu_ps(s, p); }
static inline void store_some(real *p, some s, vector v) { _mm512_mask_storeu_ps(p, s, (__m512)v); }
#  else
typedef __mmask8 some;
static inline vector load_some(const real *p, some s) { return (vector)_mm512_maskz_loadu_pd(s, p); }
static inline void store_some(real *p, some s, vector v) { _mm512_mask_storeu_pd(p, s, (__m512d)v); }
#  endif
static inline some some_of(size_t n) { return (some)((1u << n) - 1); }
#else
enum { MASKS = 0 };
typedef size_t some;
static inline vector load_some(const real *p, some s) {
  real x[LANES] = {0};
  if (s == LANES) return vector_load(p);
  copy_few(s, p, x);
  return vector_load(x);
}
static inline void store_some(real *p, some s, vector v) {
  real x[LANES];
  if (s == LANES) {
    vector_store(p, v);
    return;
  }
  vector_store(x, v);
  copy_few(s, x, p);
}
static inline some some_of(size_t n) { return n; }
#endif

/* Fetches a row of `wide` vectors. The address may lie beyond the matrix: fetching it does nothing. */
static inline void prefetch(const real *p, size_t rows, size_t ld, int wide) {
  const char *line = (const char *)((uintptr_t)p + rows * ld * sizeof(real));
  for (int i = 0; i < wide * VECTOR_BYTES; i += 64) __builtin_prefetch(line + i);
}

/* C (rows x wide vectors, `last` of the last) = or += A (rows x k) B (k x wide), and B goes to `packed` on the way
 * unless that is NULL. `rows`, `wide` and whether B is packed are constants wherever this is inlined.
 * Without masks B has whole vectors. */
static inline __attribute__((always_inline)) void micro(int rows, int wide, some last, size_t k, const real *restrict a,
                                                        size_t a_row, size_t a_column, const real *restrict b,
                                                        size_t ldb, real *restrict packed, int accumulate,
                                                        real *restrict c, size_t ldc) {
  vector sum[MR][WIDE], v[WIDE];
#pragma GCC unroll 8
  for (int i = 0; i < rows && k >= LONG; i++) prefetch(c, (size_t)i, ldc, wide);
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
    for (int j = 0; j < wide; j++) {
      const real *from = c + (size_t)i * ldc + j * LANES;
      sum[i][j] = !accumulate ? (vector){0} : j < wide - 1 ? vector_load(from) : load_some(from, last);
    }
  for (size_t step = 0; step < k; step++, a += a_column, b += ldb) {
#pragma GCC unroll 3
    for (int j = 0; j < wide; j++) {
      v[j] = MASKS && j == wide - 1 ? load_some(b + j * LANES, last) : vector_load(b + j * LANES);
      if (packed) vector_store(packed + step * (size_t)(wide * LANES) + j * LANES, v[j]);
    }
    if (packed) prefetch(b, AHEAD, ldb, wide);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
      vector x = vector_fill(a[(size_t)i * a_row]);
#pragma GCC unroll 3
      for (int j = 0; j < wide; j++) sum[i][j] = vector_fma(x, v[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
    for (int j = 0; j < wide; j++)
      if (j < wide - 1) vector_store(c + (size_t)i * ldc + j * LANES, sum[i][j]);
      else store_some(c + (size_t)i * ldc + j * LANES, last, sum[i][j]);
}

typedef void micro_rows(some last, size_t k, const real *a, size_t a_row, size_t a_column, const real *b, size_t ldb,
                        int accumulate, real *c, size_t ldc);
typedef void micro_pack(some last, size_t k, const real *a, size_t a_row, size_t a_column, const real *b, size_t ldb,
                        real *packed, int accumulate, real *c, size_t ldc);
#define MICRO(wide, rows)                                                                                             \
  static void micro_##wide##_##rows(some last, size_t k, const real *a, size_t a_row, size_t a_column, const real *b, \
                                    size_t ldb, int accumulate, real *c, size_t ldc) {                                \
    micro(rows, wide, last, k, a, a_row, a_column, b, ldb, NULL, accumulate, c, ldc);                                 \
  }
#define MICRO_PACK(wide)                                                                                          \
  static void micro_pack_##wide(some last, size_t k, const real *a, size_t a_row, size_t a_column, const real *b, \
                                size_t ldb, real *packed, int accumulate, real *c, size_t ldc) {                  \
    micro(MR, wide, last, k, a, a_row, a_column, b, ldb, packed, accumulate, c, ldc);                             \
  }
/* clang-format off */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
#  define MORE(wide) MICRO(wide, 7) MICRO(wide, 8)
#  define MORE_NAMES(wide) micro_##wide##_7, micro_##wide##_8
#else
#  define MORE(wide)
#  define MORE_NAMES(wide)
#endif
#define MICROS(wide) \
  MICRO(wide, 1) MICRO(wide, 2) MICRO(wide, 3) MICRO(wide, 4) MICRO(wide, 5) MICRO(wide, 6) MORE(wide) MICRO_PACK(wide)
#define NAMES(wide) \
  {micro_##wide##_1, micro_##wide##_2, micro_##wide##_3, micro_##wide##_4, micro_##wide##_5, micro_##wide##_6, \
   MORE_NAMES(wide)}
MICROS(1) MICROS(2)
#if VECTOR_BYTES == 64 || defined(__aarch64__)
MICROS(3)
static micro_rows *const micros[WIDE][MR] = {NAMES(1), NAMES(2), NAMES(3)};
static micro_pack *const micros_pack[WIDE] = {micro_pack_1, micro_pack_2, micro_pack_3};
#else
static micro_rows *const micros[WIDE][MR] = {NAMES(1), NAMES(2)};
static micro_pack *const micros_pack[WIDE] = {micro_pack_1, micro_pack_2};
#endif
/* clang-format on */
#undef MICRO
#undef MICRO_PACK
#undef MORE
#undef MORE_NAMES
#undef MICROS
#undef NAMES
