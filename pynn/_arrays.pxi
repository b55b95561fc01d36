# Arrays in and out: from a Python object's buffer to a pynn_array, and C memory as a buffer. Part of _core.pyx.

cdef dict _DTYPES = {
    "float32": PYNN_FLOAT32, "float64": PYNN_FLOAT64, "float16": PYNN_FLOAT16, "bool": PYNN_BOOL,
    "int8": PYNN_INT8, "int16": PYNN_INT16, "int32": PYNN_INT32, "int64": PYNN_INT64,
    "uint8": PYNN_UINT8, "uint16": PYNN_UINT16, "uint32": PYNN_UINT32, "uint64": PYNN_UINT64,
}
cdef dict _DTYPE_NAMES = {number: name for name, number in _DTYPES.items()}


cdef class View:
    """A Python object's buffer, held as long as this object lives."""
    cdef Py_buffer buffer
    cdef pynn_array array
    cdef View indices, offsets  # of a sparse matrix
    cdef bint held

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)


cdef int dtype_of(const char *format, Py_ssize_t size) noexcept:
    """The pynn_dtype of a buffer's format and item size; -1 for what the library does not read."""
    cdef int order = 0
    cdef char code
    if format == NULL:
        return PYNN_UINT8
    while format[0] == c"@" or format[0] == c"=" or format[0] == (c"<" if LITTLE_ENDIAN else c">"):
        format += 1
    code = format[0]
    if code == 0 or format[1] != 0:
        return -1
    order = 0 if size == 1 else 1 if size == 2 else 2 if size == 4 else 3 if size == 8 else -1
    if order < 0:
        return -1
    if code == c"f" or code == c"d" or code == c"e":
        return PYNN_FLOAT16 if size == 2 else PYNN_FLOAT32 if size == 4 else PYNN_FLOAT64
    if code == c"?":
        return PYNN_BOOL
    if strchr(b"bhilqn", code) != NULL:
        return PYNN_INT8 + order
    if strchr(b"BHILQN", code) != NULL:
        return PYNN_UINT8 + order
    return -1


cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #  define LITTLE_ENDIAN_ 0
    #else
    #  define LITTLE_ENDIAN_ 1
    #endif
    """
    const bint LITTLE_ENDIAN "LITTLE_ENDIAN_"


cdef View view(object x, str name, bint writable=False):
    """The one way from a Python object to a pynn_array: one dimension is a column; writable means contiguous too."""
    if not writable and hasattr(x, "indptr"):
        return sparse_view(x, name)
    cdef View v = View.__new__(View)
    cdef Py_buffer *b = &v.buffer
    cdef int flags = PyBUF_FORMAT | (PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS if writable else PyBUF_STRIDES)
    cdef int dtype
    try:
        PyObject_GetBuffer(x, b, flags)
    except (TypeError, ValueError, BufferError) as error:
        raise errors.DtypeError(f"expected {name} as an array; received {type(x).__name__} ({error})") from None
    v.held = True
    dtype = dtype_of(b.format, b.itemsize)
    if dtype < 0:
        raise errors.DtypeError(
            f"expected {name} of float16/32/64, bool or 8- to 64-bit integers in native byte order; "
            f"received buffer format {(<bytes>b.format).decode()!r}")
    if b.ndim != 1 and b.ndim != 2:
        raise errors.ShapeError(f"expected {name} with 1 or 2 dimensions; received {b.ndim}")
    v.array.data = b.buf
    v.array.dtype = <pynn_dtype>dtype
    v.array.rows, v.array.row_stride = b.shape[0], b.strides[0]
    v.array.columns = b.shape[1] if b.ndim == 2 else 1
    v.array.column_stride = b.strides[1] if b.ndim == 2 else b.itemsize
    return v


cdef bint is_dense_vector(View v):
    return v.buffer.ndim == 1 and (v.array.rows <= 1 or v.array.row_stride == v.buffer.itemsize)


cdef View sparse_view(object x, str name):
    """A CSR matrix as scipy.sparse has it."""
    cdef View v = view(x.data, name)
    cdef int64_t rows = x.shape[0], columns = x.shape[1]
    v.indices, v.offsets = view(x.indices, name), view(x.indptr, name)
    fits = (v.indices.array.rows == v.array.rows and v.offsets.array.rows == rows + 1
            and v.indices.array.dtype == v.offsets.array.dtype and x.indptr[rows] <= v.array.rows)
    for part in (v, v.indices, v.offsets):
        fits = fits and is_dense_vector(part)
    if not fits:
        raise errors.ShapeError(
            f"expected {name} as a valid CSR matrix of contiguous arrays; received arrays that do not fit together")
    v.array = pynn_csr(v.array.data, v.array.dtype, v.indices.array.data, v.offsets.array.data,
                       v.offsets.array.dtype, rows, columns)
    return v


cdef View output(object x, str name, pynn_dtype dtype, int64_t count):
    """Contiguous memory that C writes `count` numbers of `dtype` to."""
    cdef View v = output_any(x, name, count)
    if v.array.dtype != dtype:
        raise errors.DtypeError(
            f"expected {name} of {_DTYPE_NAMES[<int>dtype]}; received {_DTYPE_NAMES[<int>v.array.dtype]}")
    return v


cdef View output_any(object x, str name, int64_t count):
    """Contiguous memory that C writes `count` numbers to, in a dtype that C checks."""
    cdef View v = view(x, name, True)
    if v.array.rows * v.array.columns < count:
        raise errors.ShapeError(f"expected {name} with room for {count} numbers; "
                                f"received {v.array.rows * v.array.columns}")
    return v


cdef View indices(object order):
    cdef View v = view(order, "order")
    if v.array.dtype != PYNN_INT64 or not is_dense_vector(v):
        raise errors.DtypeError("expected order as a contiguous vector of int64")
    return v


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Vector:
    """C memory as a buffer, of one dimension or two: `numpy.asarray(vector)` is a view that keeps its owner alive."""
    cdef object owner
    cdef void *data
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef int ndim
    cdef bint readonly
    cdef char format[2]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.readonly and flags & PyBUF_WRITABLE:
            raise BufferError("expected what the function is given to be read only")
        buffer.buf, buffer.obj = self.data, self
        buffer.itemsize = self.strides[self.ndim - 1]
        buffer.len = self.shape[0] * self.strides[0]
        buffer.readonly, buffer.ndim = self.readonly, self.ndim
        buffer.format = self.format if flags & PyBUF_FORMAT else NULL
        buffer.shape, buffer.strides = self.shape, self.strides
        buffer.suboffsets = buffer.internal = NULL

    def __len__(self):
        return self.shape[0]


cdef Vector matrix(const void *data, pynn_dtype dtype, int64_t rows, int64_t columns, bint readonly):
    """Rows of `columns` numbers, lent for the time of a call; with `columns` 0 a vector."""
    cdef Vector v = Vector.__new__(Vector)
    cdef Py_ssize_t size = <Py_ssize_t>pynn_dtype_size(dtype)
    v.data, v.readonly, v.ndim = <void *>data, readonly, 2 if columns else 1
    v.shape[0], v.shape[1] = rows, columns
    v.strides[0], v.strides[1] = size * (columns if columns else 1), size
    v.format[0], v.format[1] = c"d", 0
    if dtype == PYNN_FLOAT32 or dtype == PYNN_INT64 or dtype == PYNN_UINT8:
        v.format[0] = c"f" if dtype == PYNN_FLOAT32 else c"q" if dtype == PYNN_INT64 else c"B"
    return v


cdef Vector vector(object owner, void *data, int64_t n, pynn_dtype dtype):
    """A vector that keeps the owner of its memory alive."""
    cdef Vector v = matrix(data, dtype, n, 0, False)
    v.owner = owner
    return v
