/* Single kernels, called directly: for tests and tools. */
#include "compute/scope.h"
#include "names/tables.h"

static int bad(const pynn_context *context, pynn_dtype dtype, int64_t rows, int64_t columns) {
  return !context || (unsigned)dtype > PYNN_FLOAT64 || rows < 0 || columns < 0;
}

/* Rows of `columns` reals at a time, as row-wise activations need; elementwise ones do not mind. */
pynn_status pynn_activation_forward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec, int64_t rows,
                                    int64_t columns, void *z) {
  if (bad(context, dtype, rows, columns) || !spec || !z || !spec_valid(spec, PYNN_ACTIVATION))
    return PYNN_ERROR_INVALID_ARGUMENT;
  const struct kernels *kernels = context->kernels[dtype];
  const struct compute_scope scope = compute_begin(context, 0);
  for (int64_t i = 0; i < rows; i++) {
    void *row = (char *)z + (size_t)(i * columns) * kernels->size;
    kernels->activations[spec->row].forward((size_t)columns, row, row, spec->values);
  }
  compute_end(context, scope);
  return PYNN_OK;
}

pynn_status pynn_activation_backward(const pynn_context *context, pynn_dtype dtype, const pynn_spec *spec, int64_t rows,
                                     int64_t columns, const void *z, const void *y, void *delta) {
  if (bad(context, dtype, rows, columns) || !spec || !z || !y || !delta || !spec_valid(spec, PYNN_ACTIVATION))
    return PYNN_ERROR_INVALID_ARGUMENT;
  const struct kernels *kernels = context->kernels[dtype];
  const struct compute_scope scope = compute_begin(context, 0);
  for (int64_t i = 0; i < rows; i++) {
    size_t from = (size_t)(i * columns) * kernels->size;
    kernels->activations[spec->row].backward((size_t)columns, (const char *)z + from, (const char *)y + from,
                                             (char *)delta + from, spec->values);
  }
  compute_end(context, scope);
  return PYNN_OK;
}

pynn_status pynn_gemm(const pynn_context *context, pynn_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a,
                      int64_t a_row, int64_t a_column, const void *b, int64_t ldb, double beta, void *c, int64_t ldc) {
  if (bad(context, dtype, m, n) || k < 0 || !a || !b || !c || a_row < 0 || a_column < 0 || ldb < n || ldc < n ||
      (beta != 0 && beta != 1))
    return PYNN_ERROR_INVALID_ARGUMENT;
  const struct compute_scope scope = compute_begin(context, 0);
  context->kernels[dtype]->gemm((size_t)m, (size_t)n, (size_t)k, a, (size_t)a_row, (size_t)a_column, b, (size_t)ldb,
                                beta != 0, c, (size_t)ldc);
  compute_end(context, scope);
  return PYNN_OK;
}
