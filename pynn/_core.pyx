# cython: language_level=3, boundscheck=False, wraparound=False, binding=True, freethreading_compatible=True
"""The compiled core: the C library as Python objects.

A method takes views of its arguments, calls C without the GIL, checks the status and returns. Arrays come and go by the
buffer protocol; anything that exports a buffer will do. Decisions and kind messages live above, in Python.
"""
import os
import sys
from _thread import allocate_lock, get_ident
from weakref import WeakSet

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strchr
from pynn.libpynn cimport *

from pynn import errors

__version__ = (<bytes>pynn_version()).decode()

# ---------------------------------------------------------------- statuses

_EXCEPTIONS = {
    PYNN_ERROR_OUT_OF_MEMORY: errors.OutOfMemoryError,
    PYNN_ERROR_INVALID_ARGUMENT: errors.ArgumentValueError,
    PYNN_ERROR_UNKNOWN_NAME: errors.UnknownNameError,
    PYNN_ERROR_SHAPE: errors.ShapeError,
    PYNN_ERROR_DTYPE: errors.DtypeError,
    PYNN_ERROR_LABEL: errors.LabelError,
    PYNN_ERROR_NUMERIC: errors.NumericalError,
    PYNN_ERROR_TOO_LARGE: errors.TooLargeError,
    PYNN_ERROR_IO: errors.FileError,
    PYNN_ERROR_FILE_FORMAT: errors.FileFormatError,
    PYNN_ERROR_UNSUPPORTED: errors.UnsupportedError,
    PYNN_ERROR_THREAD: errors.ThreadError,
    PYNN_ERROR_CALLBACK: errors.CallbackError,
    PYNN_ERROR_NOT_READY: errors.NotReadyError,
}


def statuses():
    """The library's statuses: a dict of number -> (text, exception class, None for success)."""
    found, number = {}, 0
    while (text := (<bytes>pynn_strerror(<pynn_status><int>number)).decode()) != "unknown status":
        found[number] = (text, _EXCEPTIONS.get(number))
        number += 1
    return found


cdef object failure(pynn_status status, pynn_error *error):
    """The exception for a failed status; `error` may be NULL or not filled in."""
    if error == NULL or error.status != status:
        return _EXCEPTIONS[<int>status]((<bytes>pynn_strerror(status)).decode())
    exception = _EXCEPTIONS[<int>status]((<bytes>error.message).decode("utf-8", "replace"))
    exception.layer = error.layer if error.layer >= 0 else None
    exception.row = error.row if error.row >= 0 else None
    exception.column = error.column if error.column >= 0 else None
    exception.value = error.value
    if error.operation:
        exception.operation = text(pynn_operation_name(<pynn_operation>error.operation))
    return exception


cdef int check(pynn_status status, pynn_error *error=NULL) except -1:
    if status != PYNN_OK:
        raise failure(status, error)
    return 0


# ---------------------------------------------------------------- arrays

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


cdef View sparse_view(object x, str name):
    """A CSR matrix as scipy.sparse has it."""
    cdef View v = view(x.data, name)
    cdef int64_t rows = x.shape[0], columns = x.shape[1]
    v.indices, v.offsets = view(x.indices, name), view(x.indptr, name)
    if (v.buffer.ndim != 1 or v.indices.buffer.ndim != 1 or v.offsets.buffer.ndim != 1
            or v.indices.array.rows != v.array.rows or v.offsets.array.rows != rows + 1
            or v.indices.array.dtype != v.offsets.array.dtype or x.indptr[rows] > v.array.rows):
        raise errors.ShapeError(f"expected {name} as a valid CSR matrix; received arrays that do not fit together")
    for part in (v, v.indices, v.offsets):
        if (<View>part).array.rows > 1 and (<View>part).array.row_stride != (<View>part).buffer.itemsize:
            raise errors.ShapeError(f"expected {name} of contiguous arrays; received a CSR matrix with strides")
    v.array = pynn_csr(v.array.data, v.array.dtype, v.indices.array.data, v.offsets.array.data,
                       v.offsets.array.dtype, rows, columns)
    return v


cdef View output(object x, str name, pynn_dtype dtype, int64_t count):
    """Contiguous memory that C writes `count` numbers of `dtype` to."""
    cdef View v = view(x, name, True)
    if v.array.dtype != dtype:
        raise errors.DtypeError(
            f"expected {name} of {_DTYPE_NAMES[<int>dtype]}; received {_DTYPE_NAMES[<int>v.array.dtype]}")
    if v.array.rows * v.array.columns < count:
        raise errors.ShapeError(f"expected {name} with room for {count} numbers; "
                                f"received {v.array.rows * v.array.columns}")
    return v


cdef View indices(object order):
    cdef View v = view(order, "order")
    if v.array.dtype != PYNN_INT64 or v.buffer.ndim != 1 or (v.array.rows > 1 and v.array.row_stride != 8):
        raise errors.DtypeError("expected order as a contiguous vector of int64")
    return v


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Vector:
    """Reals in C memory as a writable buffer: `numpy.asarray(vector)` is a view that keeps their owner alive."""
    cdef object owner
    cdef void *data
    cdef Py_ssize_t shape, stride
    cdef char format[2]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        buffer.buf = self.data
        buffer.obj = self
        buffer.len = self.shape * self.stride
        buffer.itemsize = self.stride
        buffer.readonly = 0
        buffer.ndim = 1
        buffer.format = self.format if flags & PyBUF_FORMAT else NULL
        buffer.shape = &self.shape
        buffer.strides = &self.stride
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def __len__(self):
        return self.shape


cdef Vector vector(object owner, void *data, int64_t n, pynn_dtype dtype):
    cdef Vector v = Vector.__new__(Vector)
    v.owner, v.data, v.shape, v.stride = owner, data, n, <Py_ssize_t>pynn_dtype_size(dtype)
    v.format[0], v.format[1] = (c"f" if dtype == PYNN_FLOAT32 else c"d"), 0
    return v


# ---------------------------------------------------------------- names

TABLES = {"activation": PYNN_ACTIVATION, "loss": PYNN_LOSS, "optimizer": PYNN_OPTIMIZER,
          "initializer": PYNN_INITIALIZER, "layer": PYNN_LAYER, "schedule": PYNN_SCHEDULE,
          "regularizer": PYNN_REGULARIZER, "constraint": PYNN_CONSTRAINT}


cdef str text(const char *s):
    return (<bytes>s).decode() if s != NULL else None


cdef object field_type(const pynn_field *field):
    return bool if field.flags & PYNN_FIELD_BOOLEAN else int if field.flags & PYNN_FIELD_INTEGER else float


def table(str kind):
    """Rows of a table: a list of dicts with name, aliases, fields, link, initializer and flags, as in pynn.h."""
    cdef pynn_table t = TABLES[kind]
    cdef const pynn_row *row
    cdef const pynn_field *field
    cdef int32_t i, f
    rows = []
    for i in range(pynn_table_size(t)):
        row = pynn_table_row(t, i)
        fields = []
        for f in range(row.n_fields):
            field = &row.fields[f]
            fields.append({
                "name": text(field.name), "default": field.value, "minimum": field.minimum, "maximum": field.maximum,
                "open_minimum": bool(field.flags & PYNN_FIELD_OPEN_MINIMUM),
                "open_maximum": bool(field.flags & PYNN_FIELD_OPEN_MAXIMUM),
                "type": field_type(field),
            })
        rows.append({
            "name": text(row.name), "aliases": tuple((text(row.aliases) or "").split()), "fields": fields,
            "link": text(row.link), "initializer": text(row.initializer),
            "labels": bool(row.flags & PYNN_ROW_LABELS), "probabilities": bool(row.flags & PYNN_ROW_PROBABILITIES),
            "rowwise": bool(row.flags & PYNN_ROW_ROWWISE), "nonnegative": bool(row.flags & PYNN_ROW_NONNEGATIVE),
            "pairs": bool(row.flags & PYNN_ROW_PAIRS), "signs": bool(row.flags & PYNN_ROW_SIGNS),
        })
    return rows


cdef int read_spec(pynn_spec *out, pynn_table t, tuple spec) except -1:
    """(name, {field: number}) -> pynn_spec."""
    name, numbers = spec
    check(pynn_spec_named(out, t, (<str>name).encode()))
    for field, number in numbers.items():
        check(pynn_spec_set(out, (<str>field).encode(), number))
    return 0


cdef tuple write_spec(const pynn_spec *spec):
    """pynn_spec -> (name, {field: number})."""
    cdef const pynn_row *row = pynn_table_row(<pynn_table>spec.table, spec.row)
    return text(row.name), {text(row.fields[f].name): field_type(&row.fields[f])(spec.values[f])
                            for f in range(row.n_fields)}


# ---------------------------------------------------------------- schedules

cdef int read_schedule(pynn_schedule *out, tuple schedule) except -1:
    """((name, {field: number}), boundaries, values, warm-up steps, start factor) -> pynn_schedule."""
    choice, boundaries, values, warmup_steps, start = schedule
    check(pynn_schedule_named(out, (<str>choice[0]).encode()))
    read_spec(&out.spec, PYNN_SCHEDULE, choice)
    if len(boundaries) > PYNN_MAX_BOUNDARIES or len(values) > PYNN_MAX_BOUNDARIES + 1:
        raise errors.ArgumentValueError(f"expected at most {PYNN_MAX_BOUNDARIES} boundaries; received more")
    out.n_boundaries, out.warmup_steps, out.warmup_start_factor = <int32_t>len(boundaries), warmup_steps, start
    for i, boundary in enumerate(boundaries):
        out.boundaries[<size_t>i] = boundary
    for i, value in enumerate(values):
        out.values[<size_t>i] = value
    return 0


def schedule_rate(tuple schedule not None, int64_t step):
    """The learning rate of the step that follows `step` applied ones."""
    cdef pynn_schedule s
    read_schedule(&s, schedule)
    return pynn_schedule_rate(&s, step)


# ---------------------------------------------------------------- context

def function(capsule):
    """A capsule's (name, address): for functions of `scipy.linalg.cython_blas`, the name is the C signature."""
    cdef const char *name = PyCapsule_GetName(capsule)
    return text(name), <size_t>PyCapsule_GetPointer(capsule, name)


cdef int read_blas(pynn_blas *out, object blas, bytes name) except -1:
    memset(out, 0, sizeof(out[0]))
    out.struct_size = sizeof(out[0])
    out.name = name
    out.integer_size = blas.integer_size
    out.sgemm = <void (*)() noexcept nogil><size_t>blas.sgemm
    out.dgemm = <void (*)() noexcept nogil><size_t>blas.dgemm
    out.get_threads = <int (*)() noexcept nogil><size_t>blas.get_threads
    out.set_threads = <void (*)(int) noexcept nogil><size_t>blas.set_threads
    return 0


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Context:
    """Processor target, BLAS and threads. `blas` is a `pynn.blas.Library`, or None for the library's own kernels."""

    def __init__(self, *, blas=None, cpu=None, int32_t threads=0):
        cdef pynn_context_options options
        cdef bytes target = b"" if cpu is None else cpu.encode()
        if self.c != NULL:
            raise errors.ArgumentValueError("expected a new Context; received one that was initialised before")
        pynn_context_options_init(&options)
        options.threads = threads
        if cpu is not None:
            options.cpu = target
        self.keep = []
        check(pynn_context_new(&self.c, &options))
        self.set_blas(blas)

    def set_blas(self, blas):
        """Another BLAS from now on; what was used before stays loaded."""
        cdef pynn_blas b
        cdef bytes name = b"" if blas is None else blas.name.encode()
        if blas is not None:
            read_blas(&b, blas, name)
        check(pynn_context_set_blas(self.c, NULL if blas is None else &b))
        self.keep.append((name, blas))

    def __dealloc__(self):
        pynn_context_free(self.c)

    @property
    def threads(self):
        return pynn_context_threads(self.c)

    @threads.setter
    def threads(self, int32_t value):
        cdef pynn_status status
        with nogil:
            status = pynn_context_set_threads(self.c, value)
        check(status)

    @property
    def cpu(self):
        return text(pynn_context_cpu(self.c))

    @property
    def blas(self):
        return text(pynn_context_blas(self.c))


# ---------------------------------------------------------------- who may compute

_gates = WeakSet()


@cython.final
@cython.no_gc  # nothing that it holds refers back
cdef class Gate:
    """Lets in one thread that changes an object (`with gate:`), or any number that read it.

    A thread that is in is refused a second time rather than left to wait for itself: it can only be Python code that
    the computation calls. A child of fork gets every gate anew, since the threads that were in are not there; an object
    that one of them was changing is refused from then on.
    """

    def __cinit__(self, str what):
        self.what, self.readers = what, {}
        self.turn, self.free = allocate_lock(), allocate_lock()  # of `readers`; held by the writer or by all readers
        _gates.add(self)

    cdef int refuse(self, unsigned long me) except -1:
        if self.torn:
            raise errors.ThreadError(
                f"expected {self.what} that no other thread was changing when this process was forked; received one in "
                "the middle of a step: fork between steps, or load the model from its file or checkpoint"
            )
        if self.writer == me or me in self.readers:
            raise errors.ArgumentValueError(
                f"expected {self.what} other than the one that is computing; received a call from its own custom loss "
                "or activation, which it would wait for: compute with a copy made before, copy.deepcopy(model)"
            )
        return 0

    def __enter__(self):
        cdef unsigned long me = PyThread_get_thread_ident()
        self.refuse(me)
        self.free.acquire()
        self.writer = me

    def __exit__(self, *error):
        self.writer = 0
        self.free.release()

    cdef int join(self, unsigned long me) except -1:
        """As a reader, who has the turn."""
        if not self.readers:
            self.free.acquire()
        self.readers[me] = True
        return 0

    cdef int part(self) except -1:
        """As a reader, who has the turn."""
        cdef unsigned long me = PyThread_get_thread_ident()
        del self.readers[me]
        if not self.readers:
            self.free.release()
        return 0

    cdef int look(self) except -1:
        """Enter for a moment, also from within; returns what `leave` wants to know."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if not self.torn and (self.writer == me or me in self.readers):
            return 0
        self.refuse(me)
        if self.free.acquire(False):
            return 1
        with self.turn:
            self.join(me)
        return 2

    cdef int leave(self, int entered) except -1:
        if entered == 1:
            self.free.release()
        elif entered == 2:
            with self.turn:
                self.part()
        return 0

    def renew(self):
        """In a child of fork, where only the thread that forked is left."""
        cdef unsigned long me = PyThread_get_thread_ident()
        self.torn = self.torn or (self.writer != 0 and self.writer != me)
        self.writer = me if self.writer == me else 0
        self.readers = {me: True} if me in self.readers else {}
        self.turn, self.free = allocate_lock(), allocate_lock()
        if self.writer or self.readers:
            self.free.acquire()


def _renew():
    for gate in list(_gates):
        gate.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


# ---------------------------------------------------------------- functions of the caller's

cdef class Callback:
    """Python code that the C library calls, and what it raised, by thread."""
    cdef object function
    cdef dict errors


@cython.no_gc_clear
cdef class Matrix:
    """A C matrix or vector, lent to Python for the time of a call."""
    cdef void *data
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef int ndim
    cdef bint readonly
    cdef char format[2]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.data == NULL:
            raise BufferError("expected arrays to be used during the call of the function only")
        if self.readonly and flags & PyBUF_WRITABLE:
            raise BufferError("expected what the function is given to be read only")
        buffer.buf, buffer.obj = self.data, self
        buffer.itemsize = self.strides[self.ndim - 1]
        buffer.len = self.shape[0] * self.strides[0]
        buffer.readonly, buffer.ndim = self.readonly, self.ndim
        buffer.format = self.format if flags & PyBUF_FORMAT else NULL
        buffer.shape, buffer.strides = self.shape, self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL


cdef Matrix matrix(const void *data, char format, Py_ssize_t size, int64_t rows, int64_t columns, bint readonly):
    """A matrix, or with `columns` 0 a vector."""
    cdef Matrix m = Matrix.__new__(Matrix)
    m.data, m.readonly, m.ndim = <void *>data, readonly, 2 if columns else 1
    m.shape[0], m.shape[1] = rows, columns
    m.strides[0], m.strides[1] = size * (columns if columns else 1), size
    m.format[0], m.format[1] = format, 0
    return m


cdef int call_custom_loss(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits,
                          const void *targets, const int64_t *labels, double *losses, void *gradient,
                          int backward) noexcept with gil:
    cdef Callback custom = <Callback>user
    cdef Py_ssize_t size = <Py_ssize_t>pynn_dtype_size(dtype)
    cdef char real = c"f" if dtype == PYNN_FLOAT32 else c"d"
    cdef Matrix z = matrix(logits, real, size, rows, n, True)
    cdef Matrix t = matrix(targets, real, size, rows, n, True) if labels == NULL else \
        matrix(labels, c"q", 8, rows, 0, True)
    cdef Matrix values = matrix(losses, c"d", 8, rows, 0, False)
    cdef Matrix g = None if not backward else matrix(gradient, real, size, rows, n, False)
    try:
        custom.function(z, t, values, g)
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef int call_value(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y) noexcept with gil:
    cdef Callback custom = <Callback>user
    cdef Py_ssize_t size = <Py_ssize_t>pynn_dtype_size(dtype)
    cdef char real = c"f" if dtype == PYNN_FLOAT32 else c"d"
    try:
        custom.function.value(matrix(z, real, size, n, 0, True), matrix(y, real, size, n, 0, False))
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef int call_derivative(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y,
                         void *delta) noexcept with gil:
    cdef Callback custom = <Callback>user
    cdef Py_ssize_t size = <Py_ssize_t>pynn_dtype_size(dtype)
    cdef char real = c"f" if dtype == PYNN_FLOAT32 else c"d"
    try:
        custom.function.derivative(matrix(z, real, size, n, 0, True), matrix(delta, real, size, n, 0, False))
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef Callback callback(function):
    cdef Callback made = Callback.__new__(Callback)
    made.function, made.errors = function, {}
    return made


# ---------------------------------------------------------------- model

@cython.no_gc_clear  # what it refers to must outlive it
cdef class Model:
    """Layers and their parameters.

    `layers` is a list of dicts: "kind", and the choices that the kind has ("activation", "kernel_initializer", ...),
    each a (name, numbers) pair. Any number of threads predict at once; training and changes exclude all else.
    """

    def __cinit__(self):
        self.exclusive = Gate("a model")
        self.activations, self.callbacks = {}, {}

    def __init__(self, Context context not None, int64_t inputs, list layers not None, str dtype="float32",
                 uint64_t seed=0, bint target_scaling=False):
        cdef pynn_model_options options
        cdef pynn_error error
        cdef pynn_status status
        cdef int32_t n = <int32_t>len(layers)
        cdef pynn_layer *c_layers
        if self.c != NULL:
            raise errors.ArgumentValueError("expected a new Model; received one that was initialised before")
        if dtype != "float32" and dtype != "float64":
            raise errors.DtypeError(f"expected dtype 'float32' or 'float64'; received dtype={dtype!r}")
        c_layers = <pynn_layer *>calloc(n + 1, sizeof(pynn_layer))
        if c_layers == NULL:
            raise MemoryError
        lists = []  # what the layers point to
        try:
            for i in range(n):
                read_layer(&c_layers[i], layers[i], lists)
            pynn_model_options_init(&options)
            options.inputs, options.dtype, options.seed = inputs, <pynn_dtype><int>_DTYPES[dtype], seed
            options.target_scaling = target_scaling
            error.status = PYNN_OK
            with nogil:
                status = pynn_model_new(&self.c, context.c, &options, c_layers, n, &error)
            check(status, &error)
        finally:
            free(c_layers)
        self.context = context
        for i, layer in enumerate(layers):
            if "custom_activation" in layer:
                self.set_custom_activation(i, layer["custom_activation"])

    def __dealloc__(self):
        for i in range(self.n_idle):
            pynn_workspace_free(self.idle[i])
        pynn_model_free(self.c)

    cdef pynn_workspace *enter(self) except NULL:
        """A workspace for one prediction, which keeps training out."""
        cdef pynn_workspace *workspace = NULL
        cdef unsigned long me = PyThread_get_thread_ident()
        self.exclusive.refuse(me)
        with self.exclusive.turn:
            if self.n_idle:
                self.n_idle -= 1
                workspace = self.idle[self.n_idle]
            else:
                check(pynn_workspace_new(&workspace, self.c))
            try:
                self.exclusive.join(me)
            except BaseException:  # Ctrl-C while another thread trains
                pynn_workspace_free(workspace)
                raise
        return workspace

    cdef int leave(self, pynn_workspace *workspace) except -1:
        with self.exclusive.turn:
            self.exclusive.part()
            if self.n_idle < 16:
                self.idle[self.n_idle] = workspace
                self.n_idle += 1
                workspace = NULL
        pynn_workspace_free(workspace)
        return 0

    @property
    def inputs(self):
        return pynn_model_inputs(self.c)

    @property
    def outputs(self):
        return pynn_model_outputs(self.c)

    @property
    def dtype(self):
        return _DTYPE_NAMES[<int>pynn_model_dtype(self.c)]

    @property
    def seed(self):
        return pynn_model_seed(self.c)

    @property
    def parameters(self):
        if self.exclusive.torn:
            self.exclusive.refuse(0)
        return vector(self, pynn_model_parameters(self.c), pynn_model_n_parameters(self.c), pynn_model_dtype(self.c))

    @property
    def tensors(self):
        """Parts of the parameter vector: a list of (name, layer, offset, rows, columns)."""
        cdef pynn_tensor t
        found = []
        for i in range(pynn_model_n_tensors(self.c)):
            check(pynn_model_tensor(self.c, i, &t))
            if t.trainable:
                found.append((text(t.name), t.layer, t.offset, t.rows, t.columns))
        return found

    @property
    def state(self):
        """What the model has beside its parameters and no gradient changes, float64."""
        return vector(self, pynn_model_state(self.c), pynn_model_n_state(self.c), PYNN_FLOAT64)

    @property
    def states(self):
        """Parts of the state, as `tensors`; those of the targets have layer -1."""
        cdef pynn_tensor t
        found = []
        for i in range(pynn_model_n_tensors(self.c)):
            check(pynn_model_tensor(self.c, i, &t))
            if not t.trainable:
                found.append((text(t.name), t.layer, t.offset, t.rows, t.columns))
        return found

    @property
    def target_scaling(self):
        return bool(pynn_model_target_scaling(self.c))

    def adapt(self, int32_t layer, Summary summary not None, int64_t first=0):
        """Set a normalization from a summary of its inputs' columns `first` ..."""
        cdef pynn_error error
        error.status = PYNN_OK
        with self.exclusive:
            check(pynn_normalization_adapt(self.c, layer, summary.c, first, &error), &error)

    def adapt_targets(self, Summary summary not None, bint minmax):
        """Set the scaling of targets from a summary of them."""
        cdef pynn_error error
        error.status = PYNN_OK
        with self.exclusive:
            check(pynn_target_adapt(self.c, summary.c, minmax, &error), &error)

    @property
    def layers(self):
        """The layers in the form that `Model` takes them; a custom activation that only a file has, by its name."""
        found = []
        for i in range(pynn_model_n_layers(self.c)):
            layer = write_layer(pynn_model_layer(self.c, i))
            name = text(pynn_model_custom_activation_name(self.c, i))
            found.append(layer if name is None else layer | {"custom_activation": self.activations.get(i, name)})
        return found

    @property
    def loss(self):
        """The loss as (name, numbers), or None."""
        cdef const pynn_spec *loss = pynn_model_loss(self.c)
        return None if loss == NULL else write_spec(loss)

    def set_loss(self, tuple loss not None):
        cdef pynn_spec spec
        read_spec(&spec, PYNN_LOSS, loss)
        with self.exclusive:
            check(pynn_model_set_loss(self.c, &spec))

    def set_custom_loss(self, str name not None, str link not None, bint labels, function, size_t address=0,
                        bint checked=True):
        """A loss of the caller's: C code at `address`, else `function(logits, targets, losses, gradient)`.

        The function gets a row for each row of the batch, in memoryviews: logits and gradient (None: not wanted) in the
        model's dtype, targets likewise or int64 labels, losses in float64; it fills the last two.
        """
        cdef pynn_custom_loss loss
        cdef bytes name_ = name.encode(), link_ = link.encode()
        cdef Callback custom = callback(function)
        loss.struct_size = sizeof(loss)
        loss.name, loss.link, loss.flags = name_, link_, PYNN_ROW_LABELS if labels else 0
        loss.flags |= 0 if address and checked else PYNN_CUSTOM_UNCHECKED  # Python code looks at its own
        loss.function = <pynn_loss_function><void *>address if address else call_custom_loss
        loss.user = NULL if address else <void *>custom
        with self.exclusive:
            check(pynn_model_set_custom_loss(self.c, &loss))
            self.callbacks["loss"] = custom, function

    def set_custom_activation(self, int32_t layer, activation not None):
        """An activation of the caller's, a `pynn.activations.Custom`; see its `native`."""
        cdef pynn_custom_activation a
        cdef pynn_error error
        cdef pynn_status status
        name, dtypes, checked, function, value, derivative = activation.native
        cdef bytes name_ = (<str>name).encode()
        cdef Callback custom = callback(function)
        a.struct_size, a.name = sizeof(a), name_
        a.flags = PYNN_CUSTOM_FLOAT32 if "float32" in dtypes else 0
        a.flags |= PYNN_CUSTOM_FLOAT64 if "float64" in dtypes else 0
        a.flags |= 0 if checked else PYNN_CUSTOM_UNCHECKED
        if function is None:
            a.value = <pynn_value_function><void *><size_t>value
            a.derivative = <pynn_derivative_function><void *><size_t>derivative
            a.user = NULL
        else:
            a.flags |= PYNN_CUSTOM_SERIAL
            a.value, a.derivative, a.user = call_value, call_derivative, <void *>custom
        error.status = PYNN_OK
        with self.exclusive:
            status = pynn_model_set_custom_activation(self.c, layer, &a, &error)
            if status == PYNN_OK:
                self.activations[layer] = activation
                self.callbacks[layer] = custom, activation
        if status == PYNN_ERROR_CALLBACK and custom.errors:
            raise custom.errors.popitem()[1]
        check(status, &error)

    cdef object take_error(self):
        """What Python code of the caller's raised in this thread since this was asked last, or None."""
        cdef Callback custom
        found, thread = None, get_ident()
        for custom, _ in self.callbacks.values():
            found = custom.errors.pop(thread, found)
        return found

    cdef int raise_from_callbacks(self) except -1:
        """What it raised in the call that ended with CALLBACK."""
        error = self.take_error()
        if error is not None:
            raise error
        return 0

    @property
    def custom_loss_name(self):
        """The name of a custom loss, None without one."""
        return text(pynn_model_custom_loss_name(self.c))

    def predict(self, x, out, bint raw=False, bint guarded=True):
        """Predictions in `out`; values that are not finite raise, unless not `guarded`."""
        cdef View vx = view(x, "X")
        cdef View vo = output(out, "out", pynn_model_dtype(self.c), vx.array.rows * pynn_model_outputs(self.c))
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        cdef pynn_workspace *workspace = self.enter()
        with nogil:
            status = pynn_predict(self.c, workspace, &vx.array, raw, vo.buffer.buf, &error)
        self.leave(workspace)
        if status == PYNN_ERROR_CALLBACK:
            self.raise_from_callbacks()
        if guarded or status != PYNN_ERROR_NUMERIC:
            check(status, &error)
        return out

    def evaluate(self, x, targets, weights=None, out=None, bint guarded=True):
        """Mean loss; predictions go to `out`. Values that are not finite raise, unless not `guarded`."""
        cdef View vx = view(x, "X"), vt = view(targets, "y"), vw = None, vo = None
        cdef const pynn_array *w = NULL
        cdef void *memory = NULL
        cdef pynn_error error
        cdef pynn_status status
        cdef double loss = 0
        if weights is not None:
            vw = view(weights, "sample_weight")
            w = &vw.array
        if out is not None:
            vo = output(out, "out", pynn_model_dtype(self.c), vx.array.rows * pynn_model_outputs(self.c))
            memory = vo.buffer.buf
        error.status = PYNN_OK
        cdef pynn_workspace *workspace = self.enter()
        with nogil:
            status = pynn_evaluate(self.c, workspace, &vx.array, &vt.array, w, memory, &loss, &error)
        self.leave(workspace)
        if status == PYNN_ERROR_CALLBACK:
            self.raise_from_callbacks()
        if guarded or status != PYNN_ERROR_NUMERIC:
            check(status, &error)
        return loss

    def save(self, bytes path not None, dict metadata not None):
        cdef int32_t n = <int32_t>len(metadata)
        cdef pynn_error error
        cdef pynn_status status
        cdef const char *c_path = path
        cdef pynn_metadata *entries = <pynn_metadata *>calloc(n + 1, sizeof(pynn_metadata))
        if entries == NULL:
            raise MemoryError
        texts = [(key.encode(), value.encode()) for key, value in metadata.items()]
        for i in range(n):
            entries[i].key, entries[i].value = texts[i][0], texts[i][1]
        error.status = PYNN_OK
        try:
            with self.exclusive, nogil:
                status = pynn_save(self.c, c_path, entries, n, &error)
            check(status, &error)
        finally:
            free(entries)

    def metadata(self, str key not None):
        """Text entry of the file the model was loaded from, or None."""
        return text(pynn_model_metadata(self.c, key.encode()))


def load(Context context not None, bytes path not None):
    """The model in the file at `path`."""
    cdef Model model = Model.__new__(Model)
    cdef const char *c_path = path
    cdef pynn_error error
    cdef pynn_status status
    error.status = PYNN_OK
    with nogil:
        status = pynn_load(&model.c, context.c, c_path, &error)
    check(status, &error)
    model.context = context
    return model


cdef class Summary:
    """What columns hold, from one pass over any number of parts; `held` numbers of each are held for quartiles."""
    cdef pynn_summary *c
    cdef Context context
    cdef Gate turn

    def __init__(self, Context context not None, int64_t columns, int64_t held=0):
        cdef pynn_error error
        if self.c != NULL:
            raise errors.ArgumentValueError("expected a new Summary; received one that was initialised before")
        self.turn = Gate("a summary")
        error.status = PYNN_OK
        check(pynn_summary_new(&self.c, context.c, columns, held, &error), &error)
        self.context = context

    def __dealloc__(self):
        pynn_summary_free(self.c)

    def add(self, x):
        """More rows."""
        cdef View vx = view(x, "X")
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        with self.turn, nogil:
            status = pynn_summary_add(self.c, &vx.array, &error)
        check(status, &error)

    def column(self, int64_t index):
        """The fields of pynn_column."""
        cdef pynn_column c
        with self.turn:
            check(pynn_summary_column(self.c, index, &c))
        return {"rows": c.rows, "count": c.count, "missing": c.missing, "infinite": c.infinite,
                "first_missing": c.first_missing, "first_infinite": c.first_infinite, "mean": c.mean, "std": c.std,
                "minimum": c.minimum, "maximum": c.maximum,
                "quartiles": (c.quartiles[0], c.quartiles[1], c.quartiles[2])}


cdef const int64_t *read_list(object numbers, list kept) except? NULL:
    """The numbers as an array that lives as long as `kept`."""
    cdef bytes memory = b"".join((<object>number).to_bytes(8, sys.byteorder, signed=True) for number in numbers)
    kept.append(memory)
    return <const int64_t *><const char *>memory


cdef int read_layer(pynn_layer *out, dict layer, list kept) except -1:
    cdef const pynn_spec *choice
    cdef pynn_spec spec
    check(pynn_layer_named(out, (<str>layer["kind"][0]).encode()))
    read_spec(&out.kind, PYNN_LAYER, layer["kind"])
    for name, value in layer.items():
        if name == "columns":
            out.columns, out.n_columns = read_list(value, kept), len(value)
        elif name == "sizes":
            out.sizes = read_list(value, kept)
        elif name not in ("kind", "custom_activation"):
            choice = pynn_layer_choice(out, (<str>name).encode())
            if choice == NULL:
                raise errors.UnknownNameError(f"expected choices of {layer['kind'][0]!r}; received {name!r}")
            read_spec(&spec, <pynn_table>choice.table, value)
            check(pynn_layer_choose(out, (<str>name).encode(), &spec))
    return 0


cdef dict write_layer(const pynn_layer *layer):
    cdef const pynn_spec *choice
    cdef const char *name
    cdef int32_t i = 0
    found = {"kind": write_spec(&layer.kind)}
    while (name := pynn_layer_choice_name(i)) != NULL:
        choice = pynn_layer_choice(layer, name)
        if choice != NULL:
            found[text(name)] = write_spec(choice)
        i += 1
    if layer.n_columns:
        found["columns"] = tuple(layer.columns[j] for j in range(layer.n_columns))
        if layer.sizes != NULL:
            found["sizes"] = tuple(layer.sizes[j] for j in range(layer.n_columns))
    return found


# ---------------------------------------------------------------- training

cdef class Data:
    """Views of what a step reads."""
    cdef View x, targets, weights, numbers
    cdef pynn_data c
    cdef const int64_t *order


cdef Data data(x, targets, weights, order, int64_t first, int64_t count):
    cdef Data d = Data.__new__(Data)
    d.x, d.targets = view(x, "X"), view(targets, "y")
    d.c.x, d.c.targets = d.x.array, d.targets.array
    if weights is not None:
        d.weights = view(weights, "sample_weight")
        d.c.weights = d.weights.array
    if order is not None:
        d.numbers = indices(order)
        if first < 0 or count < 0 or count > d.numbers.array.rows - first:
            raise errors.ArgumentValueError("expected first and count within order")
        d.order = <const int64_t *>d.numbers.array.data
    return d


POLICIES = {"raise": PYNN_POLICY_RAISE, "skip": PYNN_POLICY_SKIP, "rollback": PYNN_POLICY_ROLLBACK,
            "off": PYNN_POLICY_OFF}


cdef int read_guard(pynn_guard *out, dict guard) except -1:
    """Fields of pynn_guard by name, the policy by its name; those not given keep their defaults."""
    pynn_guard_init(out)
    out.policy = <pynn_policy><int>POLICIES[guard.get("policy", "raise")]
    out.streak, out.max_rollbacks = guard.get("streak", out.streak), guard.get("max_rollbacks", out.max_rollbacks)
    out.backoff, out.divergence = guard.get("backoff", out.backoff), guard.get("divergence", out.divergence)
    out.snapshot_every, out.window = guard.get("snapshot_every", out.snapshot_every), guard.get("window", out.window)
    out.clip_z, out.clip_alpha = guard.get("clip_z", out.clip_z), guard.get("clip_alpha", out.clip_alpha)
    out.check_every = guard.get("check_every", out.check_every)
    return 0


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Trainer:
    """An optimizer at work on a model. Keeps its model alive; excludes predictions while it computes. What it tells of
    itself waits for a step that another thread takes; code that the step calls gets it at once."""

    def __init__(self, Model model not None, tuple optimizer not None, int64_t batch_size, double clip_norm=0,
                 uint64_t seed=0, dict guard=None):
        cdef pynn_trainer_options options
        cdef pynn_error error
        cdef pynn_status status
        if self.c != NULL:
            raise errors.ArgumentValueError("expected a new Trainer; received one that was initialised before")
        pynn_trainer_options_init(&options, model.c)
        read_spec(&options.optimizer, PYNN_OPTIMIZER, optimizer)
        options.batch_size, options.clip_norm, options.seed = batch_size, clip_norm, seed
        read_guard(&options.guard, guard or {})
        error.status = PYNN_OK
        with model.exclusive, nogil:
            status = pynn_trainer_new(&self.c, model.c, &options, &error)
        check(status, &error)
        self.model = model

    def __dealloc__(self):
        pynn_trainer_free(self.c)

    def train(self, x, targets, weights, order, int64_t first, int64_t count, int64_t batch_size, double seconds=0,
              predictions=None):
        """Steps over batches of rows order[first : first+count], for at most about `seconds` (0: no limit).

        Returns (steps, rows, mean loss, last gradient norm, batches left out, rows in them). A refused step that the
        guard does not pass over raises; the exception's `progress` says in the same form what was done before it.
        """
        cdef Data d = data(x, targets, weights, order, first, count)
        cdef View vp = None
        cdef void *out = NULL
        cdef pynn_step step
        cdef pynn_error error
        cdef pynn_status status
        memset(&step, 0, sizeof(step))
        if predictions is not None:
            vp = output(predictions, "predictions", pynn_model_dtype(self.model.c),
                        count * pynn_model_outputs(self.model.c))
            out = vp.buffer.buf
        error.status = PYNN_OK
        with self.model.exclusive, nogil:
            status = pynn_train_batches(self.c, &d.c, d.order, first, count, batch_size, seconds, out, &step, &error)
        progress = (step.steps, step.rows, step.loss, step.gradient_norm, step.refused, step.refused_rows)
        if status == PYNN_ERROR_CALLBACK:
            self.model.raise_from_callbacks()
        if status != PYNN_OK:
            exception = failure(status, &error)
            exception.progress = progress
            raise exception
        return progress

    def full_gradient(self, x, targets, weights, int64_t batch_size, gradient):
        """The mean loss over all rows; its gradient goes into `gradient`, a float64 array. Nothing is updated."""
        cdef Data d = data(x, targets, weights, None, 0, 0)
        cdef View g = output(gradient, "gradient", PYNN_FLOAT64, pynn_model_n_parameters(self.model.c))
        cdef double loss = 0
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        with self.model.exclusive, nogil:
            status = pynn_trainer_full_gradient(self.c, &d.c, batch_size, &loss, <double *>g.buffer.buf, &error)
        if status == PYNN_ERROR_CALLBACK:
            self.model.raise_from_callbacks()
        check(status, &error)
        return loss

    def set_guard(self, dict guard not None):
        """Another guard (fields of pynn_guard by name) from now on, one that has seen nothing yet."""
        cdef pynn_guard g
        cdef pynn_error error
        cdef pynn_status status
        read_guard(&g, guard)
        error.status = PYNN_OK
        with self.model.exclusive, nogil:
            status = pynn_trainer_set_guard(self.c, &g, &error)
        check(status, &error)

    def events(self):
        """What the guard did since the last call: (list of the fields of pynn_event, how many older ones were lost)."""
        cdef pynn_event e
        cdef int64_t dropped = 0, lost = 0
        found = []
        with self.model.exclusive:
            while pynn_trainer_events(self.c, &e, 1, &dropped):
                lost += dropped
                found.append({
                    "kind": text(pynn_event_name(e.kind)), "operation": text(pynn_operation_name(e.operation)),
                    "layer": e.layer if e.layer >= 0 else None, "row": e.row if e.row >= 0 else None,
                    "column": e.column if e.column >= 0 else None, "step": e.step,
                    "restored": e.restored if e.restored >= 0 else None, "first": e.first, "rows": e.rows,
                    "value": e.value, "learning_rate": e.learning_rate, "new_learning_rate": e.new_learning_rate,
                })
        return found, lost

    def statistics(self, int32_t layer):
        """What the last step that took statistics saw in a layer: the fields of pynn_statistics."""
        cdef pynn_statistics s
        cdef int entered = self.model.exclusive.look()
        cdef pynn_status status = pynn_trainer_statistics(self.c, layer, &s)
        self.model.exclusive.leave(entered)
        check(status)
        return {
            "step": s.step, "largest": s.largest, "mean": s.mean, "std": s.std, "zeros": s.zeros,
            "saturated": s.saturated, "tiny": s.tiny, "dead": s.dead, "gradient_rms": s.gradient_rms,
            "gradient_zeros": s.gradient_zeros, "gradient_tiny": s.gradient_tiny, "weight_norm": s.weight_norm,
            "update_ratio": s.update_ratio, "updates_lost": s.updates_lost,
        }

    def losses(self):
        """What the guard has seen of the losses: the fields of pynn_losses, NaN where it has not."""
        cdef pynn_losses seen
        cdef int entered = self.model.exclusive.look()
        pynn_trainer_losses(self.c, &seen)
        self.model.exclusive.leave(entered)
        return {"first": seen.first, "recent": seen.recent, "best": seen.best, "worst": seen.worst,
                "nothing": seen.nothing, "sampled": seen.sampled, "constant": seen.constant}

    def begin_epoch(self):
        """Units count as dead until they are seen alive."""
        with self.model.exclusive:
            pynn_trainer_begin_epoch(self.c)

    @property
    def epoch_loss(self):
        """Mean loss over the rows of the steps since the epoch began, to the same bits whatever the calls."""
        cdef int entered = self.model.exclusive.look()
        cdef double found = pynn_trainer_epoch_loss(self.c)
        self.model.exclusive.leave(entered)
        return found

    def blame(self, x, targets, weights, order, int64_t first, int64_t count):
        """Where a step on rows order[first : first+count] first goes wrong: the fields of pynn_blame, None: nowhere."""
        cdef Data d = data(x, targets, weights, order, first, count)
        cdef pynn_blame b
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        with self.model.exclusive, nogil:
            status = pynn_trainer_blame(self.c, &d.c, d.order, first, count, &b, &error)
        self.model.take_error()  # a replay goes on
        check(status, &error)
        if b.operation == PYNN_OPERATION_NONE:
            return None
        return {
            "operation": text(pynn_operation_name(b.operation)), "layer": b.layer if b.layer >= 0 else None,
            "rows": [b.rows[i] for i in range(min(b.n_rows, PYNN_BLAME_CELLS))], "n_rows": b.n_rows,
            "columns": [b.columns[i] for i in range(min(b.n_columns, PYNN_BLAME_CELLS))], "n_columns": b.n_columns,
            "n_cells": b.n_cells, "tensor_row": b.tensor_row if b.tensor_row >= 0 else None, "value": b.value,
            "largest_left": b.largest_left, "largest_right": b.largest_right,
            "fails_in_float64": bool(b.fails_in_float64),
        }

    @property
    def learning_rate(self):
        cdef int entered = self.model.exclusive.look()
        cdef double found = pynn_trainer_learning_rate(self.c)
        self.model.exclusive.leave(entered)
        return found

    @learning_rate.setter
    def learning_rate(self, double value):
        with self.model.exclusive:
            check(pynn_trainer_set_learning_rate(self.c, value))

    def set_schedule(self, tuple schedule not None):
        """The learning rate follows a schedule (see `read_schedule`) of the steps applied from now on."""
        cdef pynn_schedule s
        cdef pynn_error error
        read_schedule(&s, schedule)
        error.status = PYNN_OK
        with self.model.exclusive:
            check(pynn_trainer_set_schedule(self.c, &s, &error), &error)

    def set_average(self, average):
        """Averages parameters from now on: (decay, start, every), None: no longer."""
        cdef pynn_average a
        cdef pynn_error error
        pynn_average_init(&a)
        if average is not None:
            a.decay, a.start, a.every = average
        error.status = PYNN_OK
        with self.model.exclusive:
            check(pynn_trainer_set_average(self.c, NULL if average is None else &a, &error), &error)

    @property
    def average(self):
        """A copy of the average of the parameters, float64; None: there is none."""
        cdef int64_t n = pynn_model_n_parameters(self.model.c)
        cdef const double *values
        with self.model.exclusive:
            values = pynn_trainer_average(self.c)
            if values == NULL:
                return None
            copy = bytearray(n * sizeof(double))
            memcpy(<char *>copy, values, n * sizeof(double))
        return vector(copy, <char *>copy, n, PYNN_FLOAT64)

    @property
    def n_averaged(self):
        """Parameters taken into the average."""
        cdef int entered = self.model.exclusive.look()
        cdef int64_t found = pynn_trainer_n_averaged(self.c)
        self.model.exclusive.leave(entered)
        return found

    @n_averaged.setter
    def n_averaged(self, int64_t value):
        with self.model.exclusive:
            check(pynn_trainer_set_n_averaged(self.c, value))

    def use_average(self):
        """Parameters <- average."""
        with self.model.exclusive:
            check(pynn_trainer_use_average(self.c))

    def set_mixup(self, double alpha):
        """Rows of batches are mixed from now on; 0: not."""
        cdef pynn_error error
        error.status = PYNN_OK
        with self.model.exclusive:
            check(pynn_trainer_set_mixup(self.c, alpha, &error), &error)

    @property
    def rate_factor(self):
        """What rollbacks have left of a schedule."""
        cdef int entered = self.model.exclusive.look()
        cdef double found = pynn_trainer_rate_factor(self.c)
        self.model.exclusive.leave(entered)
        return found

    @rate_factor.setter
    def rate_factor(self, double value):
        with self.model.exclusive:
            check(pynn_trainer_set_rate_factor(self.c, value))

    @property
    def steps(self):
        """Steps applied so far."""
        cdef int entered = self.model.exclusive.look()
        cdef int64_t found = pynn_trainer_steps(self.c)
        self.model.exclusive.leave(entered)
        return found

    @steps.setter
    def steps(self, int64_t value):
        with self.model.exclusive:
            check(pynn_trainer_set_steps(self.c, value))

    @property
    def gradient(self):
        """The last step's gradient, before clipping."""
        return vector(self, pynn_trainer_gradient(self.c), pynn_model_n_parameters(self.model.c),
                      pynn_model_dtype(self.model.c))

    @property
    def slots(self):
        """State vectors of the optimizer; write them between steps only."""
        return [vector(self, pynn_trainer_slot(self.c, i), pynn_model_n_parameters(self.model.c),
                       pynn_model_dtype(self.model.c)) for i in range(pynn_trainer_n_slots(self.c))]

    def health(self, int32_t layer):
        """What the last step saw in a layer: (activation_max, delta_max, gradient_max, gradient_norm)."""
        cdef pynn_layer_health h
        cdef int entered = self.model.exclusive.look()
        cdef pynn_status status = pynn_trainer_health(self.c, layer, &h)
        self.model.exclusive.leave(entered)
        check(status)
        return h.activation_max, h.delta_max, h.gradient_max, h.gradient_norm


# ---------------------------------------------------------------- checkpoints

@cython.no_gc_clear  # what it refers to must outlive it
cdef class Checkpoint:
    """A trainer's state at one moment: a copy of it, or what `load_checkpoint` read. One thread uses it at a time."""

    def __cinit__(self):
        self.exclusive = Gate("a checkpoint")

    def __init__(self, Trainer trainer not None):
        cdef pynn_error error
        cdef pynn_status status
        if self.c != NULL:
            raise errors.ArgumentValueError("expected a new Checkpoint; received one that was initialised before")
        error.status = PYNN_OK
        with trainer.model.exclusive, nogil:
            status = pynn_checkpoint_new(&self.c, trainer.c, &error)
        check(status, &error)
        self.context = trainer.model.context

    def __dealloc__(self):
        pynn_checkpoint_free(self.c)

    def take(self, Trainer trainer not None):
        """Copy the trainer's state anew."""
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        with self.exclusive, trainer.model.exclusive, nogil:
            status = pynn_checkpoint_take(self.c, trainer.c, &error)
        check(status, &error)

    def restore(self, Trainer trainer not None):
        """Put a trainer and its model where this was taken."""
        cdef pynn_error error
        cdef pynn_status status
        error.status = PYNN_OK
        with self.exclusive, trainer.model.exclusive, nogil:
            status = pynn_checkpoint_restore(self.c, trainer.c, &error)
        check(status, &error)

    def write(self, bytes path not None, dict texts not None, dict arrays not None):
        """Write a copy to a file, with texts and arrays of one dimension beside it."""
        cdef int32_t n_texts = <int32_t>len(texts), n_arrays = <int32_t>len(arrays)
        cdef pynn_metadata *entries = <pynn_metadata *>calloc(n_texts + 1, sizeof(pynn_metadata))
        cdef pynn_vector *vectors = <pynn_vector *>calloc(n_arrays + 1, sizeof(pynn_vector))
        cdef const char *c_path = path
        cdef pynn_error error
        cdef pynn_status status
        cdef View v
        error.status = PYNN_OK
        kept_texts = [(key.encode(), value.encode()) for key, value in texts.items()]
        try:
            if entries == NULL or vectors == NULL:
                raise MemoryError
            for i in range(n_texts):
                entries[i].key, entries[i].value = kept_texts[i][0], kept_texts[i][1]
            kept_arrays = [(name.encode(), view(array, name, True)) for name, array in arrays.items()]
            for i in range(n_arrays):
                v = kept_arrays[i][1]
                vectors[i].name, vectors[i].dtype = kept_arrays[i][0], v.array.dtype
                vectors[i].count, vectors[i].data = v.array.rows * v.array.columns, v.array.data
            with self.exclusive, nogil:
                status = pynn_checkpoint_write(self.c, c_path, entries, n_texts, vectors, n_arrays, &error)
            check(status, &error)
        finally:
            free(entries)
            free(vectors)

    def text(self, str key not None):
        """Text of the file that this was read from, or None."""
        return text(pynn_checkpoint_entry(self.c, key.encode()))

    def array(self, str name not None):
        """Numbers of the file that this was read from: (name of the dtype, bytes)."""
        cdef pynn_vector v
        check(pynn_checkpoint_vector(self.c, name.encode(), &v))
        return _DTYPE_NAMES[<int>v.dtype], (<const char *>v.data)[:v.count * <int64_t>pynn_dtype_size(v.dtype)]

    @property
    def inputs(self):
        return pynn_model_inputs(pynn_checkpoint_model(self.c))


def load_checkpoint(Context context not None, bytes path not None):
    """The checkpoint in the file at `path`."""
    cdef Checkpoint checkpoint = Checkpoint.__new__(Checkpoint)
    cdef const char *c_path = path
    cdef pynn_error error
    cdef pynn_status status
    error.status = PYNN_OK
    with nogil:
        status = pynn_checkpoint_load(&checkpoint.c, context.c, c_path, &error)
    check(status, &error)
    checkpoint.context = context
    return checkpoint


# ---------------------------------------------------------------- rows

def gather(x, order, out):
    """Rows order[i] of x into `out`, of x's dtype."""
    cdef View vx = view(x, "x"), vo = indices(order)
    cdef View vout = output(out, "out", vx.array.dtype, vo.array.rows * vx.array.columns)
    cdef pynn_error error
    cdef pynn_status status
    error.status = PYNN_OK
    with nogil:
        status = pynn_gather(&vx.array, <const int64_t *>vo.array.data, vo.array.rows, vout.buffer.buf, &error)
    check(status, &error)
    return out


def mixup_draw(uint64_t seed, int64_t step, double alpha, int64_t rows):
    """(share, shift) of a step of mixup: see pynn.h."""
    cdef double share
    cdef int64_t shift
    pynn_mixup_draw(seed, step, alpha, rows, &share, &shift)
    return share, shift


cdef extern from *:
    """
    #if defined(_WIN32)
    static int64_t read_rows_(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows,
                              const int64_t *places, int64_t n, char *out) {
      (void)file, (void)offset, (void)step, (void)size, (void)rows, (void)places, (void)n, (void)out;
      return 0;
    }
    #else
    #include <errno.h>
    #include <string.h>
    #include <unistd.h>
    static int64_t read_bytes_(int file, int64_t offset, int64_t size, char *out) {
      int64_t done = 0;
      while (done < size) {
        const ssize_t got = pread(file, out + done, (size_t)(size - done), (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += got;
      }
      return done;
    }

    /* Row rows[i], which lies `offset + rows[i] * step` bytes into the file, to place places[i]. Returns how
     * many could be read. A call of the system costs what a few kilobytes do, so rows that near, the next further on,
     * are read with the bytes between them. */
    static int64_t read_rows_(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows,
                              const int64_t *places, int64_t n, char *out) {
      enum { SPAN = 1 << 15, GAP = 1 << 12 };
      char span[SPAN];
      for (int64_t i = 0, many; i < n; i += many) {
        const int64_t from = offset + rows[i] * step;
        for (many = 1; step == size && i + many < n && rows[i + many] == rows[i] + many &&
                       places[i + many] == places[i] + many; many++) {}
        if (many > 1 || size > SPAN) { /* they stand together in both */
          const int64_t got = read_bytes_(file, from, many * size, out + places[i] * size);
          if (got < many * size) return i + got / size;
          continue;
        }
        while (i + many < n && rows[i + many] >= rows[i + many - 1] &&
               (rows[i + many] - rows[i + many - 1]) * step <= GAP + size &&
               (rows[i + many] - rows[i]) * step + size <= SPAN)
          many++;
        const int64_t got = read_bytes_(file, from, (rows[i + many - 1] - rows[i]) * step + size, span);
        for (int64_t j = i; j < i + many; j++) {
          const char *row = span + (rows[j] - rows[i]) * step;
          if (row + size > span + got) return j;
          memcpy(out + places[j] * size, row, (size_t)size);
        }
      }
      return n;
    }
    #endif
    """
    int64_t read_rows_(int file, int64_t offset, int64_t step, int64_t size, const int64_t *rows,
                       const int64_t *places, int64_t n, char *out) nogil


def read_rows(int file, int64_t offset, int64_t step, int64_t size, rows, places, out):
    """Row rows[i] of `size` bytes, `step` apart from `offset` on, from an open file to place places[i] of `out`, as
    many; fastest when `rows` ascend. Returns how many could be read."""
    cdef View vr = indices(rows), vp = indices(places), vout = output(out, "out", PYNN_UINT8, len(rows) * size)
    cdef int64_t done
    if len(places) != len(rows):
        raise errors.ShapeError(f"expected as many places as rows; received {len(places)} for {len(rows)}")
    with nogil:
        done = read_rows_(file, offset, step, size, <const int64_t *>vr.array.data, <const int64_t *>vp.array.data,
                          vr.array.rows, <char *>vout.buffer.buf)
    return done


def shuffle(uint64_t seed, uint64_t epoch, out):
    """A permutation of 0 ... len(out)-1 that depends on (seed, epoch, length) alone, into int64 `out`."""
    cdef View v = output(out, "out", PYNN_INT64, 0)
    with nogil:
        pynn_shuffle(seed, epoch, v.array.rows, <int64_t *>v.buffer.buf)
    return out
