/* Products of matrices: one micro-kernel that keeps MR x NR sums in registers while it walks along k.
 *
 *   C[i][j] = fma(A[i][k-1], B[k-1][j], ... fma(A[i][0], B[0][j], 0))
 *
 * Every element is one chain in the order of k, so bits depend neither on tiles nor on the rows and columns around. A
 * is read through two strides, which makes X W and X^T dZ the same code; only B is packed, a panel of NR columns at a
 * time. For batches of up to some hundred rows this beats a BLAS, which packs both operands (docs/architecture.md has
 * numbers).
 */
typedef real vector __attribute__((vector_size(VECTOR_BYTES)));

enum {
  LANES = VECTOR_BYTES / sizeof(real),
  MR = VECTOR_BYTES == 64 ? 12 : 6, /* MR * 2 sums, 2 of B and 1 of A fill the registers */
  NR = 2 * LANES,
  KB = 256 /* steps of k in a packed panel: NR * KB reals stay in the first-level cache */
};

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

/* n < NR numbers, in pieces of powers of two: too few for a call of memcpy, and masked stores are slow on some
 * processors. One copy of the code is enough. */
static __attribute__((noinline)) void copy_few(size_t n, const real *from, real *to) {
  _Static_assert(NR <= 32, "pieces up to 16");
#pragma GCC unroll 5
  for (size_t piece = 16; piece; piece /= 2)
    if (n & piece) {
      memcpy(to, from, piece * sizeof(real));
      from += piece, to += piece;
    }
}

/* to[j][i] = from[i][j], SQUARE numbers in both directions. */
enum { SQUARE = VECTOR_BYTES >= 32 ? 32 / sizeof(real) : 4 };
static inline void transpose_square(const real *from, size_t ld_from, real *to, size_t ld_to) {
#if VECTOR_BYTES >= 32 && PYNN_REAL_BITS == 32
  __m256 x[8], y[8];
  for (size_t i = 0; i < 8; i++) x[i] = _mm256_loadu_ps(from + i * ld_from);
  for (int i = 0; i < 8; i += 2)
    y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]), y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      x[i + 2 * j] = _mm256_shuffle_ps(y[i + j], y[i + 2 + j], 0x44);
      x[i + 2 * j + 1] = _mm256_shuffle_ps(y[i + j], y[i + 2 + j], 0xee);
    }
  for (size_t i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(x[i], x[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * ld_to, _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
  }
#elif VECTOR_BYTES >= 32
  __m256d x[4], y[4];
  for (size_t i = 0; i < 4; i++) x[i] = _mm256_loadu_pd(from + i * ld_from);
  for (int i = 0; i < 4; i += 2)
    y[i] = _mm256_unpacklo_pd(x[i], x[i + 1]), y[i + 1] = _mm256_unpackhi_pd(x[i], x[i + 1]);
  for (size_t i = 0; i < 2; i++) {
    _mm256_storeu_pd(to + i * ld_to, _mm256_permute2f128_pd(y[i], y[i + 2], 0x20));
    _mm256_storeu_pd(to + (i + 2) * ld_to, _mm256_permute2f128_pd(y[i], y[i + 2], 0x31));
  }
#else
  for (size_t i = 0; i < SQUARE; i++)
    for (size_t j = 0; j < SQUARE; j++) to[j * ld_to + i] = from[i * ld_from + j];
#endif
}

/* to (columns x rows) = from (rows x columns), transposed */
static void transpose(size_t rows, size_t columns, const real *from, size_t ld_from, real *to, size_t ld_to) {
  size_t i = 0;
  for (size_t j; i + SQUARE <= rows; i += SQUARE, from += SQUARE * ld_from, to += SQUARE) {
    for (j = 0; j + SQUARE <= columns; j += SQUARE) transpose_square(from + j, ld_from, to + j * ld_to, ld_to);
    for (; j < columns; j++)
      for (size_t r = 0; r < SQUARE; r++) to[j * ld_to + r] = from[r * ld_from + j];
  }
  for (; i < rows; i++, from += ld_from, to++)
    for (size_t j = 0; j < columns; j++) to[j * ld_to] = from[j];
}

/* C (rows x NR) = or += A (rows x k) B (k x NR), and B goes to `packed` on the way unless that is NULL; `rows` is a
 * constant wherever this is inlined. */
static inline __attribute__((always_inline)) void micro(int rows, size_t k, const real *restrict a, size_t a_row,
                                                        size_t a_column, const real *restrict b, size_t ldb,
                                                        real *restrict packed, int accumulate, real *restrict c,
                                                        size_t ldc) {
  vector sum[MR][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) sum[i][j] = accumulate ? vector_load(c + (size_t)i * ldc + j * LANES) : (vector){0};
  for (size_t step = 0; step < k; step++, a += a_column, b += ldb) {
    vector b0 = vector_load(b), b1 = vector_load(b + LANES);
    if (packed) {
      vector_store(packed + step * NR, b0);
      vector_store(packed + step * NR + LANES, b1);
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
      vector x = vector_fill(a[(size_t)i * a_row]);
      sum[i][0] = vector_fma(x, b0, sum[i][0]);
      sum[i][1] = vector_fma(x, b1, sum[i][1]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) vector_store(c + (size_t)i * ldc + j * LANES, sum[i][j]);
}

typedef void micro_rows(size_t k, const real *a, size_t a_row, size_t a_column, const real *b, size_t ldb,
                        int accumulate, real *c, size_t ldc);
#define MICRO(rows)                                                                                           \
  static void micro_##rows(size_t k, const real *a, size_t a_row, size_t a_column, const real *b, size_t ldb, \
                           int accumulate, real *c, size_t ldc) {                                             \
    micro(rows, k, a, a_row, a_column, b, ldb, NULL, accumulate, c, ldc);                                     \
  }
/* clang-format off */
MICRO(1) MICRO(2) MICRO(3) MICRO(4) MICRO(5) MICRO(6)
#if VECTOR_BYTES == 64
MICRO(7) MICRO(8) MICRO(9) MICRO(10) MICRO(11) MICRO(12)
#endif
static micro_rows *const micro_table[MR + 1] = {
    NULL,    micro_1, micro_2, micro_3,  micro_4,  micro_5,  micro_6,
#if VECTOR_BYTES == 64
    micro_7, micro_8, micro_9, micro_10, micro_11, micro_12,
#endif
};
/* clang-format on */
#undef MICRO

static void micro_pack(size_t k, const real *a, size_t a_row, size_t a_column, const real *b, size_t ldb, real *packed,
                       int accumulate, real *c, size_t ldc) {
  micro(MR, k, a, a_row, a_column, b, ldb, packed, accumulate, c, ldc);
}

/* How many of `left` rows the next block takes. Fewer than LATENCY_ROWS leave the adders waiting for their own
 * results, so the last two blocks share what is left. */
enum { LATENCY_ROWS = 4 };
static size_t height(size_t left) {
  if (left <= MR) return left;
  return left < MR + LATENCY_ROWS ? left - LATENCY_ROWS : MR;
}

/* A column panel of C (m x width, width <= NR) from a panel of B whose rows hold NR readable reals. */
static void panel_times(size_t m, size_t width, size_t k, const real *a, size_t a_row, size_t a_column, const real *b,
                        size_t ldb, int accumulate, real *c, size_t ldc) {
  real edge[MR * NR];
  for (size_t i = 0, rows; i < m; i += rows) {
    rows = height(m - i);
    if (width == NR) {
      micro_table[rows](k, a + i * a_row, a_row, a_column, b, ldb, accumulate, c + i * ldc, ldc);
      continue;
    }
    for (size_t r = 0; accumulate && r < rows; r++) copy_few(width, c + (i + r) * ldc, edge + r * NR);
    micro_table[rows](k, a + i * a_row, a_row, a_column, b, ldb, accumulate, edge, NR);
    for (size_t r = 0; r < rows; r++) copy_few(width, edge + r * NR, c + (i + r) * ldc);
  }
}

/* A panel of fewer than NR columns, the others zero. */
static void pack_edge(size_t k, size_t width, const real *b, size_t ldb, real *packed) {
  memset(packed, 0, k * NR * sizeof(real));
  for (size_t s = 0; s < k; s++) copy_few(width, b + s * ldb, packed + s * NR);
}

static void gemm(size_t m, size_t n, size_t k, const void *a_, size_t a_row, size_t a_column, const void *b_,
                 size_t ldb, int accumulate, void *c_, size_t ldc) {
  const real *a = a_, *b = b_;
  real *c = c_;
  _Alignas(64) real packed[NR * KB];
  if (!accumulate && k == 0)
    for (size_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof(real));
  for (size_t j = 0; j < n; j += NR) {
    size_t width = n - j < NR ? n - j : NR;
    if (width == NR && (m <= MR || k * ldb <= 8192)) { /* B is read once: packing would not pay */
      panel_times(m, NR, k, a, a_row, a_column, b + j, ldb, accumulate, c + j, ldc);
      continue;
    }
    for (size_t from = 0; from < k; from += KB) {
      /* the first MR rows of m > MR pack a whole panel while they read it */
      const size_t steps = k - from < KB ? k - from : KB, done = width == NR ? MR : 0;
      const real *source = b + from * ldb + j, *left = a + from * a_column;
      if (done) micro_pack(steps, left, a_row, a_column, source, ldb, packed, accumulate || from, c + j, ldc);
      else pack_edge(steps, width, source, ldb, packed);
      panel_times(m - done, width, steps, left + done * a_row, a_row, a_column, packed, NR, accumulate || from,
                  c + done * ldc + j, ldc);
    }
  }
}

/* Panel p holds rows p*NR ... of A transposed: k x NR, missing rows zero. */
static void pack_panels(size_t m, size_t k, const void *a_, size_t lda, void *panels_) {
  const real *a = a_;
  real *panel = panels_;
  for (size_t i = 0; i < m; i += NR, panel += NR * k) {
    size_t rows = m - i < NR ? m - i : NR;
    if (rows < NR) memset(panel, 0, NR * k * sizeof(real));
    transpose(rows, k, a + i * lda, lda, panel, NR);
  }
}

/* C = A B^T is computed as C^T = B A^T, a strip of columns of C at a time, because transposing the small delta costs
 * less than transposing the weights. */
static void gemm_panels(size_t m, size_t n, size_t k, const void *panels_, const void *b_, size_t ldb, void *c_,
                        size_t ldc) {
  enum { STRIP = 24 }; /* a multiple of MR and of SQUARE */
  const real *panel = panels_, *b = b_;
  real *c = c_;
  real strip[STRIP * NR];
  for (size_t i = 0; i < m; i += NR, panel += NR * k) {
    const size_t rows = m - i < NR ? m - i : NR;
    for (size_t j = 0; j < n; j += STRIP) {
      const size_t columns = n - j < STRIP ? n - j : STRIP;
      for (size_t s = 0, block; s < columns; s += block) {
        block = height(columns - s);
        micro_table[block](k, b + (j + s) * ldb, ldb, 1, panel, NR, 0, strip + s * NR, NR);
      }
      transpose(columns, rows, strip, NR, c + i * ldc + j, ldc);
    }
  }
}
