/* The tables that the kernel templates export: one `struct kernels` for each dtype and processor target.
 * A kernel is the maths: no allocation, no error path. `void *` is `real *` of the table's dtype; vectors are dense.
 * Bits of kernels with fixed arguments do not depend on how the caller splits rows and columns into calls. */
#ifndef PYNN_KERNELS_H
#define PYNN_KERNELS_H

#include "pynn.h"

/* f and its derivative. `p` are the row's numbers. */
struct activation {
  pynn_row row;
  /* y = f(z) over n numbers (one row when PYNN_ROW_ROWWISE); y may be z. */
  void (*forward)(size_t n, const void *z, void *y, const double *p);
  /* delta <- delta * f'(z) (rowwise: delta <- J^T delta). */
  void (*backward)(size_t n, const void *z, const void *y, void *delta, const double *p);
  double flat; /* |z| beyond which the function hardly moves: statistics call it saturated; 0: never */
};

/* The loss of one row of n logits. The target is n numbers (n/2 with PYNN_ROW_PAIRS), or a
 * class label when `target` is NULL.
 * Returns the loss in double; delta (may be NULL) <- scale * d loss / d logits, all zero when scale is 0. */
struct loss {
  pynn_row row;
  double (*row_loss)(size_t n, const void *logits, const void *target, int64_t label, double scale, void *delta,
                     const double *p);
  int by_output; /* the loss is the mean over outputs of what row_loss says of each alone */
};

/* What an update leaves: largest magnitude of the new parameters and of each new state vector (NaN-proof: a NaN or
 * infinity anywhere gives one), and sums for statistics. */
#define PYNN_MAX_SLOTS 3
struct update_health {
  double parameter_max;
  double slot_max[PYNN_MAX_SLOTS];
};

/* One fused pass over n parameters w, gradient g * scale, and state vectors. `c` comes from `coefficients`. */
struct optimizer {
  pynn_row row;
  int n_slots;
  int slot_start; /* index of the field that state vectors start from, -1: zero */
  /* Everything that depends on the step (1, 2, ...) and learning rate but not on the element. Fills c[0..7]. */
  void (*coefficients)(const double *p, double learning_rate, int64_t step, double *c);
  void (*update)(size_t n, void *w, const void *g, double scale, void *const *slots, const double *c,
                 struct update_health *health);
  /* An upper bound on every magnitude that `update` computes or stores, from the largest magnitudes going in
   * (g_max after scaling). Finite and below the dtype's maximum proves that the update is finite. */
  double (*bound)(const double *c, double w_max, double g_max, const double *slot_max);
};

/* A penalty on the n numbers w of a tensor, for the loss; g (may be NULL) gets its gradient added. */
struct regularizer {
  pynn_row row;
  double (*penalty)(size_t n, const void *w, void *g, const double *p);
};

/* What is done to columns of a tensor after an update: rows x columns (at most CONSTRAINED) of a matrix with rows of ld
 * reals. No finite number becomes one that is not, and none grows beyond 1 or the row's numbers but where it was. */
enum { CONSTRAINED = 64 };
struct constraint {
  pynn_row row;
  void (*apply)(size_t rows, size_t columns, void *w, size_t ld, const double *p);
};

/* One timestep of a recurrent cell over rows, beside its products: see kernels/recurrent.template.c. Matrices have
 * `units` columns, z the gates of the cell. */
enum { CELL_PART = 256, CELL_SIMPLE = 0, CELL_LSTM, CELL_GRU, CELL_GRU_BEFORE };
struct cell_step {
  size_t rows, units;
  const struct activation *f, *gate;
  const double *f_numbers, *gate_numbers;
  const unsigned char *skips; /* skips[row * skip_stride]: whether the timestep is padding; NULL: none is */
  size_t skip_stride;
  void *z;
  const void *bias, *recurrent_bias; /* NULL: none */
  const void *h_before, *c_before;
  void *h, *c;
  /* backward: dL/dh and dL/dc after the timestep, and then before it but for what products add; dL/dq */
  void *dh, *dc;
  const void *dq;
};
struct cell {
  void (*forward)(const struct cell_step *step);
  void (*backward)(const struct cell_step *step);
  void (*reset)(const struct cell_step *step); /* NULL, or: between two recurrent products */
  void (*reset_backward)(const struct cell_step *step);
};

/* What statistics count and measure, over numbers y. Roots of sums of squares stay in range where squares do not. */
#define TINY 1e-19 /* its square is lost in float32 */
struct observed {
  double largest, mean, spread; /* largest magnitude; root of the sum of squared distances from the mean */
  int64_t n, zeros, tiny, saturated;
};

/* What an update did to n parameters. */
struct changed {
  double norm, weight_norm; /* of the change, and of the parameters before it */
  int64_t lost;             /* parameters with a gradient that did not move */
};

/* Rows and columns of tiles are best multiples of this: whole blocks of registers for every dtype and target, and the
 * same tiles on each. */
enum { GEMM_STEP = 48 };

struct kernels {
  const char *target; /* "baseline", "avx2", ... */
  size_t size;        /* of a real */
  double maximum;     /* largest finite real */
  int fused;          /* a b + c has one rounding */
  const struct activation *activations;
  int32_t n_activations;
  const struct loss *losses;
  int32_t n_losses;
  const struct optimizer *optimizers;
  int32_t n_optimizers;
  const struct regularizer *regularizers; /* row 0: none */
  int32_t n_regularizers;
  const struct constraint *constraints; /* row 0: none */
  int32_t n_constraints;
  const struct cell *cells; /* by CELL_... */

  /* C (m x n) = A B, or += when accumulate. A: element strides a_row, a_column. B: rows contiguous.
   * Every element of C is one chain of fused multiply-adds in the order of k: no tiling changes a bit. */
  void (*gemm)(size_t m, size_t n, size_t k, const void *a, size_t a_row, size_t a_column, const void *b, size_t ldb,
               int accumulate, void *c, size_t ldc);
  /* C (m x n) = A^T B. A: k x m, rows lda apart. `room`: m * k reals to pack A in where that pays, or NULL. */
  void (*gemm_transposed)(size_t m, size_t n, size_t k, const void *a, size_t lda, const void *b, size_t ldb,
                          void *room, void *c, size_t ldc);
  /* C (m x n) = A B^T. A: m x k. B: n x k. pack_panels(m, k, a, ...) goes before it, once for any number of parts of
   * B; panels hold (m + GEMM_STEP) * k reals. */
  void (*pack_panels)(size_t m, size_t k, const void *a, size_t lda, void *panels);
  void (*gemm_panels)(size_t m, size_t n, size_t k, const void *a, size_t lda, const void *panels, const void *b,
                      size_t ldb, void *c, size_t ldc);
  /* gemm with B (or B^T, B: n x k) packed before, once for any number of products: (n + GEMM_STEP) * k reals. */
  void (*pack)(size_t n, size_t k, const void *b, size_t ldb, int transposed, void *packed);
  void (*gemm_packed)(size_t m, size_t n, size_t k, const void *a, size_t a_row, const void *packed, int accumulate,
                      void *c, size_t ldc);
  /* y (n) += sum_k values[k] rows[columns[k]], and rows[columns[k]] += values[k] y: rows are n reals, ld apart. */
  void (*sparse_times)(size_t n, size_t count, const void *values, const size_t *columns, const void *rows, size_t ld,
                       void *y);
  void (*sparse_outer)(size_t n, size_t count, const void *values, const size_t *columns, const void *y, void *rows,
                       size_t ld);

  /* z[r] += bias (NULL: not) for each row; returns the largest |z|, NaN-proof. */
  double (*add_bias)(size_t rows, size_t columns, void *z, size_t ldz, const void *bias);
  double (*largest)(size_t n, const void *x);                      /* largest |x|, NaN-proof */
  double (*sum_squares)(size_t n, const void *x, double *largest); /* in double; also the largest |x| */
  /* y as statistics see it. z (NULL: none): saturated where |z| > flat > 0. alive[j] (NULL: none) <- whether column j
   * has a number that is neither 0 nor saturated. */
  void (*observe)(size_t rows, size_t columns, const void *y, const void *z, size_t ld, double flat,
                  unsigned char *alive, struct observed *out);
  void (*compare)(size_t n, const void *before, const void *after, const void *gradient, struct changed *out);
  void (*column_sums)(size_t rows, size_t columns, const void *x, size_t ldx, void *sums);
  /* y = keep ? x / (1-rate) : 0 with draws from counters first ... first+n-1 of (key, step); y may be x. */
  void (*dropout)(size_t n, const void *x, void *y, double rate, uint64_t key, uint64_t step, uint64_t first);
  /* Layers that are not products: see kernels/layers.template.c, which says what each computes. */
  void (*affine)(size_t rows, size_t columns, const void *x, size_t ldx, void *y, size_t ldy, const double *shift,
                 const double *scale, const void *gamma, const void *beta);
  void (*column_moments)(size_t rows, size_t columns, const void *x, size_t ldx, double *mean, double *variance);
  void (*batch_norm_gradient)(size_t rows, size_t columns, const void *x, size_t ldx, void *delta, size_t ld,
                              const double *mean, const double *inverse, const void *gamma, void *dgamma, void *dbeta,
                              int wanted);
  void (*layer_norm)(size_t n, const void *x, void *y, const void *gamma, const void *beta, double epsilon,
                     double *moments);
  void (*layer_norm_gradient)(size_t rows, size_t columns, const void *x, size_t ldx, const void *delta, size_t ld,
                              const double *moments, void *dgamma, void *dbeta);
  void (*layer_norm_delta)(size_t n, const void *x, void *delta, const void *gamma, const double *moments);
  double (*normalize)(size_t n, const double *x, void *y, const double *shift, const double *scale, const double *fill,
                      double clip);
  void (*add)(size_t n, const void *a, const void *b, void *y);          /* y = a + b; y may be either */
  void (*add_double)(size_t n, const void *x, const double *d, void *y); /* y = x + d */
  void (*to_double)(size_t n, const void *x, double *out);
  /* n elements of any dtype at a byte stride into reals. */
  void (*from_array)(size_t n, const void *source, int64_t stride, pynn_dtype dtype, void *out);
  void (*from_double)(size_t n, const double *source, void *out);
  void (*scale)(size_t n, void *x, double factor);                       /* x <- factor x */
  void (*blend)(size_t n, const void *w, double *average, double share); /* average += share (w - average) */
  /* Standard normal numbers first ... first+n-1 of `key` within +-limit: the same on every target. */
  void (*normals)(size_t n, uint64_t key, uint64_t first, double limit, double *out);
  void (*mix)(size_t n, const void *a, const void *b, double share, void *out); /* share a + (1 - share) b */
};

extern const struct kernels pynn_kernels_f32_baseline, pynn_kernels_f64_baseline;
extern const struct kernels pynn_kernels_f32_avx2, pynn_kernels_f64_avx2;
extern const struct kernels pynn_kernels_f32_avx512, pynn_kernels_f64_avx512;

#endif
