/* Products of matrices.
 *
 *   C[i][j] = fma(A[i][k-1], B[k-1][j], ... fma(A[i][0], B[0][j], 0))
 *
 * Every element is one chain in the order of k: a block of k goes on from C. So bits depend neither on tiles, packing
 * and the rows and columns around, nor on the width of vectors. What is packed, and when, was chosen by measurement:
 * docs/architecture.md has the numbers. */
enum {
  BLOCK_K = WIDE == 3 ? 512 : 384, /* steps of k in a packed panel of B, which stays in the second-level cache */
  BLOCK_M = 528,      /* rows that one panel of B is packed for: BLOCK_M x BLOCK_K of A stay there as well */
  FEW_NUMBERS = 8192, /* B is read as it lies when it has no more, */
  FEW_ROWS = 2 * MR,  /* or when so few rows read it */
  PACK_COLUMNS = 512, /* A^T is packed when at least this many columns of C read it */
  MOST_NARROW = MASKS ? LANES - 1 : LANES / 2
};
_Static_assert(BLOCK_M % MR == 0, "blocks of rows are whole until the last");

/* to[j][i] = from[i][j], SQUARE numbers in both directions. */
enum { SQUARE = VECTOR_BYTES >= 32 ? 32 / sizeof(real) : 4 };
static inline __attribute__((always_inline)) void transpose_square(const real *from, size_t ld_from, real *to,
                                                                   size_t ld_to) {
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

/* How many of `left` rows the next block takes. Fewer than LATENCY_ROWS leave the adders waiting for their own
 * results, so the last two blocks share what is left. */
enum { LATENCY_ROWS = 4 };
static size_t height(size_t left) {
  if (left <= MR) return left;
  return left < MR + LATENCY_ROWS ? left - LATENCY_ROWS : MR;
}

/* How many vectors the next panel of `left` columns takes: no panel of one vector beside wider ones. */
static int width(size_t left) {
  const size_t vectors = (left + LANES - 1) / LANES;
  if (vectors <= 2 || WIDE == 2) return vectors > 1 ? 2 : 1;
  return vectors == 4 ? 2 : WIDE;
}

/* A, by strides, or packed (column == 0): the block of rows that begins at i stands at i * k, step by step. */
struct left {
  const real *from;
  size_t row, column, k;
};

static inline const real *left_block(const struct left *a, size_t i, size_t rows, size_t step, size_t *row,
                                     size_t *column) {
  *row = a->column ? a->row : 1;
  *column = a->column ? a->column : rows;
  return a->column ? a->from + i * a->row + step * a->column : a->from + i * a->k + step * rows;
}

/* Packs A^T (m x k, rows of A are lda apart), a few steps at a time so that lines are written whole. */
static void pack_left(size_t m, size_t k, const real *a, size_t lda, real *to) {
  enum { STEPS = 8 };
  for (size_t s = 0; s < k; s += STEPS, a += STEPS * lda) {
    const size_t steps = k - s < STEPS ? k - s : STEPS;
    for (size_t i = 0, rows; i < m; i += rows) {
      rows = height(m - i);
      real *block = to + i * k + s * rows;
      if (rows == MR)
        for (size_t t = 0; t < steps; t++) memcpy(block + t * MR, a + t * lda + i, MR * sizeof(real));
      else
        for (size_t t = 0; t < steps; t++) copy_few(rows, a + t * lda + i, block + t * rows);
    }
  }
}

/* A panel of B (steps x columns) or B^T (columns x steps), missing columns zero. */
static void pack_right(size_t columns, size_t steps, const real *b, size_t ldb, int transposed, real *panel,
                       size_t ld) {
  if (columns < ld) memset(panel, 0, steps * ld * sizeof(real));
  if (transposed) transpose(columns, steps, b, ldb, panel, ld);
  else
    for (size_t s = 0; s < steps; s++) copy_few(columns, b + s * ldb, panel + s * ld);
}

/* A block of steps of a product: C (m x n) += A B, or = when not `accumulate`. */
static __attribute__((noinline)) void block_times(size_t m, size_t n, size_t step, size_t steps, const struct left *a,
                                                  const real *b, size_t ldb, int transposed, int accumulate, real *c,
                                                  size_t ldc) {
  _Alignas(64) real packed[NR * BLOCK_K];
  for (size_t j = 0, columns; j < n; j += columns) {
    const int wide = width(n - j);
    const size_t whole = (size_t)wide * LANES;
    columns = n - j < whole ? n - j : whole;
    const some last = some_of(columns - (size_t)(wide - 1) * LANES);
    const real *panel = transposed ? b + j * ldb + step : b + step * ldb + j;
    size_t ld = ldb, i = 0, a_row, a_column;
    if (transposed || (!MASKS && columns < whole)) {
      pack_right(columns, steps, panel, ldb, transposed, packed, whole);
      panel = packed, ld = whole;
    } else if (m > FEW_ROWS && a->k * ldb > FEW_NUMBERS) { /* the first rows pack B while they read it */
      const real *from = left_block(a, 0, MR, step, &a_row, &a_column);
      micros_pack[wide - 1](last, steps, from, a_row, a_column, panel, ldb, packed, accumulate, c + j, ldc);
      panel = packed, ld = whole, i = MR;
    }
    for (size_t rows; i < m; i += rows) {
      rows = height(m - i);
      const real *from = left_block(a, i, rows, step, &a_row, &a_column);
      micros[wide - 1][rows - 1](last, steps, from, a_row, a_column, panel, ld, accumulate, c + i * ldc + j, ldc);
    }
  }
}

/* A^T B with few columns: C^T = B^T A, so that vectors lie along the rows of A, which are lda apart. */
static __attribute__((noinline)) void narrow(size_t m, size_t n, size_t k, const real *a, size_t lda, const real *b,
                                             size_t ldb, real *c, size_t ldc) {
  _Alignas(64) real packed[NR * BLOCK_K];
  real strip[LANES * NR];
  for (size_t i = 0, rows, ld; i < m; i += rows) {
    const int wide = width(m - i);
    ld = (size_t)wide * LANES;
    rows = m - i < ld ? m - i : ld;
    const int packs = !MASKS && rows < ld;
    const some last = some_of(packs ? LANES : rows - (size_t)(wide - 1) * LANES);
    for (size_t step = 0, steps; step < k; step += steps) {
      const real *panel = a + i + step * lda;
      steps = k - step < BLOCK_K ? k - step : BLOCK_K;
      if (packs) pack_right(rows, steps, panel, lda, 0, packed, ld);
      for (size_t s = 0, block; s < n; s += block) {
        block = height(n - s);
        micros[wide - 1][block - 1](last, steps, b + step * ldb + s, 1, ldb, packs ? packed : panel, packs ? ld : lda,
                                    step > 0, strip + s * ld, ld);
      }
    }
    transpose(n, rows, strip, ld, c + i * ldc, ldc);
  }
}

/* C = or += A B, or A B^T; A is packed into `room` first unless that is NULL. */
static void multiply(size_t m, size_t n, size_t k, const real *a, size_t a_row, size_t a_column, real *room,
                     const real *b, size_t ldb, int transposed, int accumulate, real *c, size_t ldc) {
  const size_t blocks = (k + BLOCK_K - 1) / BLOCK_K, block = blocks ? (k + blocks - 1) / blocks : 0;
  if (!accumulate && k == 0)
    for (size_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof(real));
  for (size_t i = 0; i < m; i += BLOCK_M, a += BLOCK_M * a_row, c += BLOCK_M * ldc) {
    const size_t rows = m - i < BLOCK_M ? m - i : BLOCK_M;
    struct left left = {a, a_row, a_column, k};
    if (room) {
      pack_left(rows, k, a, a_column, room);
      left = (struct left){room, 0, 0, k};
    }
    for (size_t step = 0, steps; step < k; step += steps) {
      steps = k - step < block ? k - step : block;
      block_times(rows, n, step, steps, &left, b, ldb, transposed, accumulate || step, c, ldc);
    }
  }
}

static void gemm(size_t m, size_t n, size_t k, const void *a, size_t a_row, size_t a_column, const void *b, size_t ldb,
                 int accumulate, void *c, size_t ldc) {
  multiply(m, n, k, a, a_row, a_column, NULL, b, ldb, 0, accumulate, c, ldc);
}

static void gemm_transposed(size_t m, size_t n, size_t k, const void *a, size_t lda, const void *b_, size_t ldb,
                            void *room, void *c_, size_t ldc) {
  const real *b = b_;
  real *c = c_;
  size_t whole =
      n - n % LANES; /* columns beside whole vectors, unless they are many or C is too large for them to count */
  if (n - whole > MOST_NARROW || n >= 8 * LANES || m < LANES || k == 0) whole = n;
  if (whole < n) narrow(m, n - whole, k, a, lda, b + whole, ldb, c + whole, ldc);
  if (whole > 0) multiply(m, whole, k, a, 1, lda, whole >= PACK_COLUMNS ? room : NULL, b, ldb, 0, 0, c, ldc);
}

/* A B^T in one of two ways. B packed transposed costs about 8 of m parts; C^T = B A^T, which leaves the weights B as
 * they lie and transposes C, costs about 8 of k parts and what is missing in the last vector of rows. */
static int by_panels(size_t m, size_t k) {
  const double missing = (double)((m + LANES - 1) / LANES * LANES - m) / (double)m;
  return m <= 256 && k <= 4096 && missing + 8.0 / (double)k < 8.0 / (double)m;
}

/* Panels hold rows of A, transposed: k x wide vectors each, missing rows zero. */
static void pack_panels(size_t m, size_t k, const void *a_, size_t lda, void *panels_) {
  const real *a = a_;
  real *panel = panels_;
  if (!by_panels(m, k)) return;
  for (size_t i = 0, rows, ld; i < m; i += rows, panel += ld * k) {
    ld = (size_t)width(m - i) * LANES;
    rows = m - i < ld ? m - i : ld;
    pack_right(rows, k, a + i * lda, lda, 1, panel, ld);
  }
}

static void gemm_panels(size_t m, size_t n, size_t k, const void *a, size_t lda, const void *panels_, const void *b_,
                        size_t ldb, void *c_, size_t ldc) {
  const real *panel = panels_, *b = b_;
  real *c = c_;
  _Alignas(64) real strip[GEMM_STEP * NR];
  if (!by_panels(m, k)) {
    multiply(m, n, k, a, lda, 1, NULL, b, ldb, 1, 0, c, ldc);
    return;
  }
  for (size_t i = 0, rows, ld; i < m; i += rows, panel += ld * k) {
    const int wide = width(m - i);
    ld = (size_t)wide * LANES;
    rows = m - i < ld ? m - i : ld;
    for (size_t j = 0; j < n; j += GEMM_STEP) {
      const size_t columns = n - j < GEMM_STEP ? n - j : GEMM_STEP;
      for (size_t s = 0, block; s < columns; s += block) {
        block = height(columns - s);
        micros[wide - 1][block - 1](some_of(LANES), k, b + (j + s) * ldb, ldb, 1, panel, ld, 0, strip + s * ld, ld);
      }
      transpose(columns, rows, strip, ld, c + i * ldc + j, ldc);
    }
  }
}

/* The panels of B one after the other, each k x its whole vectors. */
static void pack(size_t n, size_t k, const void *b_, size_t ldb, int transposed, void *packed_) {
  const real *b = b_;
  real *packed = packed_;
  for (size_t j = 0, columns; j < n; j += columns) {
    const size_t whole = (size_t)width(n - j) * LANES;
    columns = n - j < whole ? n - j : whole;
    pack_right(columns, k, transposed ? b + j * ldb : b + j, ldb, transposed, packed, whole);
    packed += k * whole;
  }
}

static void gemm_packed(size_t m, size_t n, size_t k, const void *a_, size_t a_row, const void *packed_, int accumulate,
                        void *c_, size_t ldc) {
  const real *a = a_, *packed = packed_;
  real *c = c_;
  for (size_t j = 0, columns; j < n; j += columns) {
    const int wide = width(n - j);
    const size_t whole = (size_t)wide * LANES;
    columns = n - j < whole ? n - j : whole;
    const some last = some_of(columns - (size_t)(wide - 1) * LANES);
    for (size_t step = 0, steps; step < k; step += steps) {
      steps = k - step < BLOCK_K ? k - step : BLOCK_K;
      for (size_t i = 0, rows; i < m; i += rows) {
        rows = height(m - i);
        micros[wide - 1][rows - 1](last, steps, a + i * a_row + step, a_row, 1, packed + step * whole, whole,
                                   accumulate || step, c + i * ldc + j, ldc);
      }
    }
    packed += k * whole;
  }
}
