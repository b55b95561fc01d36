/* Views of matrices: element sizes, gathering rows. */
#include "compute/array.h"

#include "compute/sparse.h"

#include <string.h>

static const size_t sizes[] = {
    [PYNN_FLOAT32] = 4, [PYNN_FLOAT64] = 8, [PYNN_FLOAT16] = 2, [PYNN_BOOL] = 1,   [PYNN_INT8] = 1,   [PYNN_INT16] = 2,
    [PYNN_INT32] = 4,   [PYNN_INT64] = 8,   [PYNN_UINT8] = 1,   [PYNN_UINT16] = 2, [PYNN_UINT32] = 4, [PYNN_UINT64] = 8,
};

size_t pynn_dtype_size(pynn_dtype dtype) { return (unsigned)dtype < sizeof sizes / sizeof *sizes ? sizes[dtype] : 0; }

pynn_array pynn_matrix(const void *data, pynn_dtype dtype, int64_t rows, int64_t columns) {
  int64_t size = (int64_t)pynn_dtype_size(dtype);
  return (pynn_array){.data = data,
                      .dtype = dtype,
                      .rows = rows,
                      .columns = columns,
                      .row_stride = (int64_t)((uint64_t)columns * (uint64_t)size), /* of columns that can be */
                      .column_stride = size};
}

pynn_array pynn_csr(const void *data, pynn_dtype dtype, const void *indices, const void *offsets,
                    pynn_dtype index_dtype, int64_t rows, int64_t columns) {
  return (pynn_array){.data = data,
                      .dtype = dtype,
                      .rows = rows,
                      .columns = columns,
                      .column_stride = (int64_t)pynn_dtype_size(dtype),
                      .indices = indices,
                      .offsets = offsets,
                      .index_dtype = index_dtype};
}

const char *array_row(const pynn_array *x, int64_t row) { return (const char *)x->data + row * x->row_stride; }

pynn_status array_check(const pynn_array *x, const char *name, int64_t rows, int64_t columns, pynn_error *error) {
  if (!pynn_dtype_size(x->dtype))
    return fail(error, PYNN_ERROR_DTYPE, "expected a dtype of pynn.h; received %s.dtype=%d", name, (int)x->dtype);
  if (x->rows < 0 || (rows >= 0 && x->rows != rows))
    return fail(error, PYNN_ERROR_SHAPE, "expected %lld rows in %s; received %lld", (long long)rows, name,
                (long long)x->rows);
  if (x->columns != columns)
    return fail(error, PYNN_ERROR_SHAPE, "expected %lld columns in %s; received %lld", (long long)columns, name,
                (long long)x->columns);
  if (x->indices && (!x->offsets || (x->index_dtype != PYNN_INT32 && x->index_dtype != PYNN_INT64)))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected a view from pynn_csr in %s; received another", name);
  if (x->indices && x->column_stride != (int64_t)pynn_dtype_size(x->dtype))
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected contiguous data in %s; received another stride", name);
  if (x->rows && !x->data) return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected data in %s; received NULL", name);
  return PYNN_OK;
}

pynn_status array_check_dense(const pynn_array *x, const char *name, pynn_error *error) {
  if (!x->indices) return PYNN_OK;
  return fail(error, PYNN_ERROR_UNSUPPORTED, "expected a dense %s; received a sparse one", name);
}

pynn_status array_check_out(const void *out, const char *name, const struct kernels *kernels, pynn_error *error) {
  if ((uintptr_t)out % kernels->size == 0) return PYNN_OK;
  return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected %s aligned to %d bytes; received %p", name,
              (int)kernels->size, out);
}

static pynn_dtype dtype_of(const struct kernels *kernels) { return kernels->size == 4 ? PYNN_FLOAT32 : PYNN_FLOAT64; }

const void *array_in_place(const struct kernels *kernels, const pynn_array *x, int64_t first, int64_t *ld) {
  const int64_t size = (int64_t)kernels->size;
  if (x->indices || x->dtype != dtype_of(kernels) || x->column_stride != size || x->row_stride < x->columns * size ||
      x->row_stride % size || (uintptr_t)x->data % (uintptr_t)size)
    return NULL;
  *ld = x->row_stride / size;
  return array_row(x, first);
}

void array_gather(const struct kernels *kernels, const pynn_array *x, const int64_t *order, int64_t first,
                  int64_t count, void *out) {
  if (x->indices) {
    sparse_gather(kernels, &(struct sparse){x, order, first}, count, out);
    return;
  }
  size_t columns = (size_t)x->columns, bytes = columns * kernels->size;
  int dense = x->dtype == dtype_of(kernels) && x->column_stride == (int64_t)kernels->size;
  for (int64_t i = 0; i < count; i++) {
    const char *source = array_row(x, order ? order[first + i] : first + i);
    void *to = (char *)out + (size_t)i * bytes;
    if (dense) memcpy(to, source, bytes);
    else kernels->from_array(columns, source, x->column_stride, x->dtype, to);
  }
}

double array_cell(const struct kernels *doubles, const pynn_array *x, int64_t row, int64_t column) {
  const char *cell = array_row(x, row) + column * x->column_stride;
  double value = 0;
  if (x->indices) {
    const struct cells cells = sparse_between(&(struct sparse){x, NULL, row}, 0, column, column + 1);
    if (cells.at == cells.end) return 0;
    cell = (const char *)x->data + cells.at * x->column_stride;
  }
  doubles->from_array(1, cell, 0, x->dtype, &value);
  return value;
}

int array_is_integer(const pynn_array *x) { return x->dtype >= PYNN_INT8 && x->dtype <= PYNN_UINT64; }

int array_label(const struct kernels *doubles, const pynn_array *x, int64_t row, int64_t classes, int64_t *label) {
  double value; /* exact up to 2^53, far beyond any number of classes */
  doubles->from_array(1, array_row(x, row), 0, x->dtype, &value);
  *label = value > -0x1p62 && value < 0x1p62 ? (int64_t)value : INT64_MAX;
  return *label >= 0 && *label < classes;
}

pynn_status pynn_gather(const pynn_array *x, const int64_t *order, int64_t count, void *out, pynn_error *error) {
  if (!x || !out || count < 0 || x->columns < 0)
    return fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected x, out, columns >= 0 and count >= 0; received count=%lld",
                (long long)count);
  pynn_status status = array_check(x, "x", -1, x->columns, error);
  if (!status) status = array_check_dense(x, "x", error);
  if (status) return status;
  size_t size = pynn_dtype_size(x->dtype), bytes = (size_t)x->columns * size;
  for (int64_t i = 0; i < count; i++) {
    int64_t row = order ? order[i] : i;
    if (row < 0 || row >= x->rows) {
      status = fail(error, PYNN_ERROR_INVALID_ARGUMENT, "expected row numbers in 0 ... %lld; received %lld at %lld",
                    (long long)x->rows - 1, (long long)row, (long long)i);
      if (error) error->row = i;
      return status;
    }
  }
  for (int64_t i = 0; i < count; i++) {
    const char *source = array_row(x, order ? order[i] : i);
    char *to = (char *)out + (size_t)i * bytes;
    if (x->column_stride == (int64_t)size) {
      memcpy(to, source, bytes);
      continue;
    }
    for (int64_t j = 0; j < x->columns; j++, to += size) memcpy(to, source + j * x->column_stride, size);
  }
  return PYNN_OK;
}
