# cython: language_level=3, boundscheck=False, wraparound=False, binding=True, freethreading_compatible=True
"""The compiled core: the C library as Python objects.

A method takes views of its arguments, calls C without the GIL, checks the status and returns. Arrays come and go by the
buffer protocol (_arrays.pxi); a gate (_gate.pxi) keeps threads apart. Decisions and messages live above, in Python.
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
    exception.layer, exception.row, exception.column = known(error.layer), known(error.row), known(error.column)
    exception.value = error.value
    if error.operation:
        exception.operation = text(pynn_operation_name(<pynn_operation>error.operation))
    return exception


cdef object known(int64_t index):
    """An index, None where C says -1."""
    return index if index >= 0 else None


cdef pynn_error *blank(pynn_error *error) noexcept nogil:
    """An error for a call to fill in; a failure that leaves it alone is told by its status."""
    error.status = PYNN_OK
    return error


cdef int check(pynn_status status, pynn_error *error=NULL) except -1 nogil:
    if status != PYNN_OK:
        with gil:
            raise failure(status, error)
    return 0


cdef int require_new(void *c, object made) except -1:
    """Refuse a second __init__: what refers to the C object would lose it."""
    if c != NULL:
        raise errors.ArgumentValueError(
            f"expected a new {type(made).__name__}; received one that was initialised before")
    return 0


include "_arrays.pxi"
include "_gate.pxi"

# ---------------------------------------------------------------- names

TABLES = {"activation": PYNN_ACTIVATION, "loss": PYNN_LOSS, "optimizer": PYNN_OPTIMIZER,
          "initializer": PYNN_INITIALIZER, "layer": PYNN_LAYER, "schedule": PYNN_SCHEDULE,
          "regularizer": PYNN_REGULARIZER, "constraint": PYNN_CONSTRAINT}


cdef str text(const char *s):
    return (<bytes>s).decode() if s != NULL else None


cdef object field_type(const pynn_field *field):
    return bool if field.flags & PYNN_FIELD_BOOLEAN else int if field.flags & PYNN_FIELD_INTEGER else float


_FLAGS = {"labels": PYNN_ROW_LABELS, "probabilities": PYNN_ROW_PROBABILITIES, "rowwise": PYNN_ROW_ROWWISE,
          "nonnegative": PYNN_ROW_NONNEGATIVE, "pairs": PYNN_ROW_PAIRS, "signs": PYNN_ROW_SIGNS}
TRAITS = {"units": PYNN_LAYER_UNITS, "only_trains": PYNN_LAYER_ONLY_TRAINS, "adapts": PYNN_LAYER_ADAPTS,
          "takes_codes": PYNN_LAYER_TAKES_CODES, "takes_missing": PYNN_LAYER_TAKES_MISSING, "adds": PYNN_LAYER_ADDS,
          "updates_state": PYNN_LAYER_UPDATES_STATE, "reads_double": PYNN_LAYER_READS_DOUBLE,
          "sparse": PYNN_LAYER_SPARSE, "product": PYNN_LAYER_PRODUCT, "timesteps": PYNN_LAYER_TIMESTEPS}


def table(str kind):
    """Rows of a table: a list of dicts with name, aliases, fields, link, initializer and flags; traits of layers."""
    cdef pynn_table t = TABLES[kind]
    cdef const pynn_row *row
    rows = []
    for i in range(pynn_table_size(t)):
        row = pynn_table_row(t, i)
        rows.append({
            "name": text(row.name), "aliases": tuple((text(row.aliases) or "").split()),
            "fields": [read_field(&row.fields[f]) for f in range(row.n_fields)],
            "link": text(row.link), "initializer": text(row.initializer),
        } | {name: bool(row.flags & flag) for name, flag in (TRAITS if t == PYNN_LAYER else _FLAGS).items()})
    return rows


cdef dict read_field(const pynn_field *field):
    return {"name": text(field.name), "default": field.value, "minimum": field.minimum, "maximum": field.maximum,
            "open_minimum": bool(field.flags & PYNN_FIELD_OPEN_MINIMUM),
            "open_maximum": bool(field.flags & PYNN_FIELD_OPEN_MAXIMUM), "type": field_type(field)}


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


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Context:
    """Processor target, BLAS and threads. `blas` is a `pynn.blas.Library`, or None for the library's own kernels."""

    def __init__(self, *, blas=None, cpu=None, int32_t threads=0):
        cdef pynn_context_options options
        cdef bytes target = b"" if cpu is None else cpu.encode()
        require_new(self.c, self)
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
        memset(&b, 0, sizeof(b))
        if blas is not None:
            b.struct_size, b.name, b.integer_size = sizeof(b), name, blas.integer_size
            b.sgemm = <void (*)() noexcept nogil><size_t>blas.sgemm
            b.dgemm = <void (*)() noexcept nogil><size_t>blas.dgemm
            b.get_threads = <int (*)() noexcept nogil><size_t>blas.get_threads
            b.set_threads = <void (*)(int) noexcept nogil><size_t>blas.set_threads
        check(pynn_context_set_blas(self.c, NULL if blas is None else &b))
        self.keep.append((name, blas))

    def __dealloc__(self):
        pynn_context_free(self.c)

    @property
    def threads(self):
        return pynn_context_threads(self.c)

    @threads.setter
    def threads(self, int32_t value):
        with nogil:
            check(pynn_context_set_threads(self.c, value))

    @property
    def cpu(self):
        return text(pynn_context_cpu(self.c))

    @property
    def blas(self):
        return text(pynn_context_blas(self.c))


# ---------------------------------------------------------------- functions that C calls

cdef class Callback:
    """Python code that the C library calls, and what it raised, by thread."""
    cdef object function
    cdef dict errors


cdef int call_custom_loss(void *user, pynn_dtype dtype, int64_t rows, int64_t n, const void *logits,
                          const void *targets, const int64_t *labels, double *losses, void *gradient,
                          int backward) noexcept with gil:
    cdef Callback custom = <Callback>user
    try:
        custom.function(
            matrix(logits, dtype, rows, n, True),
            matrix(targets, dtype, rows, n, True) if labels == NULL else matrix(labels, PYNN_INT64, rows, 0, True),
            matrix(losses, PYNN_FLOAT64, rows, 0, False),
            matrix(gradient, dtype, rows, n, False) if backward else None)
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef int call_value(void *user, pynn_dtype dtype, int64_t n, const void *z, void *y) noexcept with gil:
    return call_activation(<Callback>user, "value", dtype, n, z, y)


cdef int call_derivative(void *user, pynn_dtype dtype, int64_t n, const void *z, const void *y,
                         void *delta) noexcept with gil:
    return call_activation(<Callback>user, "derivative", dtype, n, z, delta)


cdef int call_activation(Callback custom, str what, pynn_dtype dtype, int64_t n, const void *z, void *out) noexcept:
    try:
        getattr(custom.function, what)(matrix(z, dtype, n, 0, True), matrix(out, dtype, n, 0, False))
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef (int64_t, int64_t) part_of(custom, size_t part, size_t size):
    """Where this process's part of `size` bytes begins, and its length."""
    begin = min(size, part * <size_t>custom.process)
    return begin, min(part, size - begin)


cdef int call_gather(void *user, const void *own, size_t part, size_t size, void *all) noexcept with gil:
    cdef Callback custom = <Callback>user
    try:
        length = part_of(custom.function, part, size)[1]
        custom.function.gather(matrix(own, PYNN_UINT8, length, 0, True), part, matrix(all, PYNN_UINT8, size, 0, False))
        return 0
    except BaseException as error:
        custom.errors[get_ident()] = error
        return 1


cdef int call_exchange(void *user, const void *all, size_t part, size_t size, void *received) noexcept with gil:
    cdef Callback custom = <Callback>user
    try:
        length = part_of(custom.function, part, size)[1] * custom.function.processes
        custom.function.exchange(
            matrix(all, PYNN_UINT8, size, 0, True), part, matrix(received, PYNN_UINT8, length, 0, False))
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
                 uint64_t seed=0, bint target_scaling=False, int64_t timesteps=1):
        cdef pynn_model_options options
        cdef pynn_error error
        cdef int32_t n = <int32_t>len(layers)
        cdef bytearray memory = bytearray((n + 1) * sizeof(pynn_layer))
        cdef pynn_layer *c_layers = <pynn_layer *><char *>memory
        require_new(self.c, self)
        if dtype != "float32" and dtype != "float64":
            raise errors.DtypeError(f"expected dtype 'float32' or 'float64'; received dtype={dtype!r}")
        lists = []  # what the layers point to
        for i in range(n):
            read_layer(&c_layers[i], layers[i], lists)
        pynn_model_options_init(&options)
        options.inputs, options.dtype, options.seed = inputs, <pynn_dtype><int>_DTYPES[dtype], seed
        options.target_scaling, options.timesteps = target_scaling, timesteps
        with nogil:
            check(pynn_model_new(&self.c, context.c, &options, c_layers, n, blank(&error)), &error)
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
    def timesteps(self):
        return self.shape(-1)[0]

    def shape(self, int32_t layer):
        """(timesteps, features) of the rows that a layer gives; -1: of X."""
        cdef pynn_shape found
        check(pynn_model_shape(self.c, layer, &found))
        return found.timesteps, found.features

    @property
    def dtype(self):
        return _DTYPE_NAMES[<int>pynn_model_dtype(self.c)]

    @property
    def output_dtype(self):
        """The dtype that predictions need: "float64" where float32 has too few steps for the scaled targets."""
        return _DTYPE_NAMES[<int>pynn_model_output_dtype(self.c)]

    @property
    def seed(self):
        return pynn_model_seed(self.c)

    @property
    def parameters(self):
        if self.exclusive.torn:
            self.exclusive.refuse(0)
        return vector(self, pynn_model_parameters(self.c), pynn_model_n_parameters(self.c), pynn_model_dtype(self.c))

    cdef list parts(self, bint trainable):
        cdef pynn_tensor t
        found = []
        for i in range(pynn_model_n_tensors(self.c)):
            check(pynn_model_tensor(self.c, i, &t))
            if bool(t.trainable) == trainable:
                found.append((text(t.name), t.layer, t.offset, t.rows, t.columns))
        return found

    @property
    def tensors(self):
        """Parts of the parameter vector: a list of (name, layer, offset, rows, columns)."""
        return self.parts(True)

    @property
    def state(self):
        """What the model has beside its parameters and no gradient changes, float64."""
        return vector(self, pynn_model_state(self.c), pynn_model_n_state(self.c), PYNN_FLOAT64)

    @property
    def states(self):
        """Parts of the state, as `tensors`; those of the targets have layer -1."""
        return self.parts(False)

    @property
    def target_scaling(self):
        return bool(pynn_model_target_scaling(self.c))

    def adapt(self, int32_t layer, Summary summary not None, int64_t first=0):
        """Set a normalization from a summary of its inputs' columns `first` ..."""
        cdef pynn_error error
        with self.exclusive:
            check(pynn_normalization_adapt(self.c, layer, summary.c, first, blank(&error)), &error)

    def adapt_targets(self, Summary summary not None, bint minmax):
        """Set the scaling of targets from a summary of them."""
        cdef pynn_error error
        with self.exclusive:
            check(pynn_target_adapt(self.c, summary.c, minmax, blank(&error)), &error)

    @property
    def layers(self):
        """The layers in the form that `Model` takes them; a custom activation that only a file has, by its name."""
        cdef pynn_layer given
        found = []
        for i in range(pynn_model_n_layers(self.c)):
            check(pynn_model_layer(self.c, i, &given))
            layer = write_layer(&given)
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
        """A custom loss: C code at `address`, else `function(logits, targets, losses, gradient)`.

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

    def set_trainable(self, int32_t layer, bint trainable):
        """Freeze a layer, or let it be trained again."""
        with self.exclusive:
            check(pynn_model_set_trainable(self.c, layer, trainable))

    def set_custom_activation(self, int32_t layer, activation not None):
        """A custom activation, a `pynn.activations.Custom`; see its `native`."""
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
        with self.exclusive:
            status = pynn_model_set_custom_activation(self.c, layer, &a, blank(&error))
            if status == PYNN_OK:
                self.activations[layer] = activation
                self.callbacks[layer] = custom, activation
        if status == PYNN_ERROR_CALLBACK and custom.errors:
            raise custom.errors.popitem()[1]
        check(status, &error)

    cdef object take_error(self):
        """What a custom function raised in this thread since the last call of this, or None."""
        cdef Callback custom
        found, thread = None, get_ident()
        for custom, _ in self.callbacks.values():
            found = custom.errors.pop(thread, found)
        return found

    cdef int finish(self, pynn_status status, pynn_error *error, bint guarded=True) except -1:
        """Raise what a call ended with: what a function that it called raised, before what the library says of that;
        numbers that are not finite only where they are `guarded` against."""
        if status == PYNN_ERROR_CALLBACK:
            raised = self.take_error()
            if raised is not None:
                raise raised
        if guarded or status != PYNN_ERROR_NUMERIC:
            check(status, error)
        return 0

    @property
    def custom_loss_name(self):
        """The name of a custom loss, None without one."""
        return text(pynn_model_custom_loss_name(self.c))

    def predict(self, x, out, bint raw=False, bint guarded=True):
        """Predictions in `out`; values that are not finite raise, unless not `guarded`."""
        cdef View vx = view(x, "X")
        cdef View vo = output_any(out, "out", vx.array.rows * pynn_model_outputs(self.c))
        cdef pynn_error error
        cdef pynn_status status
        cdef pynn_workspace *workspace = self.enter()
        with nogil:
            status = pynn_predict(self.c, workspace, &vx.array, raw, vo.array.dtype, vo.buffer.buf, blank(&error))
        self.leave(workspace)
        self.finish(status, &error, guarded)
        return out

    def evaluate(self, x, targets, weights=None, out=None, bint guarded=True):
        """Mean loss; predictions go to `out`. Values that are not finite raise, unless not `guarded`."""
        cdef Data d = data(x, targets, weights, None, 0, 0)
        cdef View vo = None
        cdef const pynn_array *w = NULL if weights is None else &d.c.weights
        cdef void *memory = NULL
        cdef pynn_dtype dtype = PYNN_FLOAT32
        cdef pynn_error error
        cdef pynn_status status
        cdef double loss = 0
        if out is not None:
            vo = output_any(out, "out", d.c.x.rows * pynn_model_outputs(self.c))
            memory, dtype = vo.buffer.buf, vo.array.dtype
        cdef pynn_workspace *workspace = self.enter()
        with nogil:
            status = pynn_evaluate(self.c, workspace, &d.c.x, &d.c.targets, w, dtype, memory, &loss, blank(&error))
        self.leave(workspace)
        self.finish(status, &error, guarded)
        return loss

    def save(self, bytes path not None, dict metadata not None):
        kept = []
        cdef pynn_metadata *entries = read_texts(metadata, kept)
        cdef int32_t n = <int32_t>len(metadata)
        cdef const char *c_path = path
        cdef pynn_error error
        with self.exclusive, nogil:
            check(pynn_save(self.c, c_path, entries, n, blank(&error)), &error)

    def metadata(self, str key not None):
        """Text entry of the file the model was loaded from, or None."""
        return text(pynn_model_metadata(self.c, key.encode()))


def load(Context context not None, bytes path not None):
    """The model in the file at `path`."""
    cdef Model model = Model.__new__(Model)
    cdef const char *c_path = path
    cdef pynn_error error
    with nogil:
        check(pynn_load(&model.c, context.c, c_path, blank(&error)), &error)
    model.context = context
    return model


include "_stream.pxi"
include "_summary.pxi"


cdef const int64_t *read_list(object numbers, list kept) except? NULL:
    """The numbers as an array that lives as long as `kept`."""
    cdef bytes memory = b"".join((<object>number).to_bytes(8, sys.byteorder, signed=True) for number in numbers)
    kept.append(memory)
    return <const int64_t *><const char *>memory


cdef pynn_metadata *read_texts(dict texts, list kept) except NULL:
    """Keys and values as entries that live as long as `kept`."""
    cdef bytearray memory = bytearray((len(texts) + 1) * sizeof(pynn_metadata))
    cdef pynn_metadata *entries = <pynn_metadata *><char *>memory
    kept.append(memory)
    for i, (key, value) in enumerate(texts.items()):
        pair = (<str>key).encode(), (<str>value).encode()
        entries[<size_t>i].key, entries[<size_t>i].value = <const char *><bytes>pair[0], <const char *><bytes>pair[1]
        kept.append(pair)
    return entries


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
    found = {"kind": write_spec(&layer.kind)}
    for i in range(layer.n_choices):
        found[text(pynn_slot_name(layer.choices[i].slot))] = write_spec(&layer.choices[i].spec)
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
    out[0] = <dict>out[0] | guard | {"policy": POLICIES[guard.get("policy", "raise")]}
    return 0


@cython.no_gc_clear  # what it refers to must outlive it
cdef class Trainer:
    """An optimizer at work on a model. Keeps its model alive; excludes predictions while it computes. What it tells of
    itself waits for a step that another thread takes; code that the step calls gets it at once."""

    def __init__(self, Model model not None, tuple optimizer not None, int64_t batch_size, double clip_norm=0,
                 uint64_t seed=0, dict guard=None):
        cdef pynn_trainer_options options
        cdef pynn_error error
        require_new(self.c, self)
        pynn_trainer_options_init(&options, model.c)
        read_spec(&options.optimizer, PYNN_OPTIMIZER, optimizer)
        options.batch_size, options.clip_norm, options.seed = batch_size, clip_norm, seed
        read_guard(&options.guard, guard or {})
        with model.exclusive, nogil:
            check(pynn_trainer_new(&self.c, model.c, &options, blank(&error)), &error)
        self.model = model

    def __dealloc__(self):
        pynn_trainer_free(self.c)

    cdef double number(self, double (*get)(const pynn_trainer *) noexcept nogil) except? -1:
        """A number that the trainer tells of itself."""
        cdef int entered = self.model.exclusive.look()
        cdef double found = get(self.c)
        self.model.exclusive.leave(entered)
        return found

    cdef int64_t count(self, int64_t (*get)(const pynn_trainer *) noexcept nogil) except? -1:
        cdef int entered = self.model.exclusive.look()
        cdef int64_t found = get(self.c)
        self.model.exclusive.leave(entered)
        return found

    def train(self, x, targets, weights, order, int64_t first, int64_t count, int64_t batch_size, double seconds=0,
              predictions=None):
        """Steps over batches of rows order[first : first+count], for at most about `seconds` (0: no limit).

        Returns (steps, rows, mean loss, last gradient norm, batches left out, rows in them). A refused step that the
        guard does not pass over raises; the exception's `progress` says in the same form what was done before it.
        """
        cdef Data d = data(x, targets, weights, order, first, count)
        cdef View vp = None
        cdef void *out = NULL
        cdef pynn_dtype dtype = PYNN_FLOAT32
        cdef pynn_step step
        cdef pynn_error error
        cdef pynn_status status
        memset(&step, 0, sizeof(step))
        if predictions is not None:
            vp = output_any(predictions, "predictions", count * pynn_model_outputs(self.model.c))
            out, dtype = vp.buffer.buf, vp.array.dtype
        with self.model.exclusive, nogil:
            status = pynn_train_batches(self.c, &d.c, d.order, first, count, batch_size, seconds, dtype, out, &step,
                                        blank(&error))
        progress = (step.steps, step.rows, step.loss, step.gradient_norm, step.refused, step.refused_rows)
        try:
            if status == PYNN_ERROR_CALLBACK and self.together is not None:
                self.raise_from_exchange()
            self.model.finish(status, &error)
        except errors.PynnError as exception:
            exception.progress = progress
            raise
        return progress

    cdef int raise_from_exchange(self) except -1:
        """Raise what an exchange with other processes ended with, if one failed."""
        raised = (<Callback>self.together).errors.pop(get_ident(), None)
        if raised is not None:
            raise raised
        return 0

    def full_gradient(self, x, targets, weights, int64_t batch_size, gradient):
        """The mean loss over all rows; its gradient goes into `gradient`, a float64 array. Nothing is updated."""
        cdef Data d = data(x, targets, weights, None, 0, 0)
        cdef View g = output(gradient, "gradient", PYNN_FLOAT64, pynn_model_n_parameters(self.model.c))
        cdef double loss = 0
        cdef pynn_error error
        cdef pynn_status status
        with self.model.exclusive, nogil:
            status = pynn_trainer_full_gradient(self.c, &d.c, batch_size, &loss, <double *>g.buffer.buf, blank(&error))
        self.model.finish(status, &error)
        return loss

    def set_guard(self, dict guard not None):
        """Another guard (fields of pynn_guard by name) from now on, one that has seen nothing yet."""
        cdef pynn_guard g
        cdef pynn_error error
        read_guard(&g, guard)
        with self.model.exclusive, nogil:
            check(pynn_trainer_set_guard(self.c, &g, blank(&error)), &error)

    def events(self):
        """What the guard did since the last call: (list of the fields of pynn_event, how many older ones were lost)."""
        cdef pynn_event e
        cdef int64_t dropped = 0, lost = 0
        found = []
        with self.model.exclusive:
            while pynn_trainer_events(self.c, &e, 1, &dropped):
                lost += dropped
                found.append(<dict>e | {
                    "kind": text(pynn_event_name(e.kind)), "operation": text(pynn_operation_name(e.operation)),
                    "layer": known(e.layer), "row": known(e.row), "column": known(e.column),
                    "restored": known(e.restored)})
        return found, lost

    def statistics(self, int32_t layer):
        """What the last step that took statistics saw in a layer: the fields of pynn_statistics."""
        cdef pynn_statistics s
        cdef int entered = self.model.exclusive.look()
        cdef pynn_status status = pynn_trainer_statistics(self.c, layer, &s)
        self.model.exclusive.leave(entered)
        check(status)
        return s

    def losses(self):
        """What the guard has seen of the losses: the fields of pynn_losses, NaN where it has not."""
        cdef pynn_losses seen
        cdef int entered = self.model.exclusive.look()
        pynn_trainer_losses(self.c, &seen)
        self.model.exclusive.leave(entered)
        return seen

    def begin_epoch(self):
        """Units count as dead until they are seen alive."""
        with self.model.exclusive:
            pynn_trainer_begin_epoch(self.c)

    @property
    def epoch_loss(self):
        """Mean loss over the rows of the steps since the epoch began, to the same bits whatever the calls."""
        return self.number(pynn_trainer_epoch_loss)

    def blame(self, x, targets, weights, order, int64_t first, int64_t count):
        """Where a step on rows order[first : first+count] first goes wrong: the fields of pynn_blame, None: nowhere."""
        cdef Data d = data(x, targets, weights, order, first, count)
        cdef pynn_blame b
        cdef pynn_error error
        cdef pynn_status status
        with self.model.exclusive, nogil:
            status = pynn_trainer_blame(self.c, &d.c, d.order, first, count, &b, blank(&error))
        self.model.take_error()  # a replay goes past what functions raise
        check(status, &error)
        if b.operation == PYNN_OPERATION_NONE:
            return None
        return <dict>b | {
            "layer": known(b.layer), "tensor_row": known(b.tensor_row),
            "operation": text(pynn_operation_name(b.operation)), "fails_in_float64": bool(b.fails_in_float64),
            "rows": [b.rows[i] for i in range(min(b.n_rows, PYNN_BLAME_CELLS))],
            "columns": [b.columns[i] for i in range(min(b.n_columns, PYNN_BLAME_CELLS))],
        }

    @property
    def learning_rate(self):
        return self.number(pynn_trainer_learning_rate)

    @learning_rate.setter
    def learning_rate(self, double value):
        with self.model.exclusive:
            check(pynn_trainer_set_learning_rate(self.c, value))

    def set_schedule(self, tuple schedule not None):
        """The learning rate follows a schedule (see `read_schedule`) of the steps applied from now on."""
        cdef pynn_schedule s
        cdef pynn_error error
        read_schedule(&s, schedule)
        with self.model.exclusive:
            check(pynn_trainer_set_schedule(self.c, &s, blank(&error)), &error)

    def set_average(self, average):
        """Averages parameters from now on: (decay, start, every), None: no longer."""
        cdef pynn_average a
        cdef pynn_error error
        pynn_average_init(&a)
        if average is not None:
            a.decay, a.start, a.every = average
        with self.model.exclusive:
            check(pynn_trainer_set_average(self.c, NULL if average is None else &a, blank(&error)), &error)

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
        return self.count(pynn_trainer_n_averaged)

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
        with self.model.exclusive:
            check(pynn_trainer_set_mixup(self.c, alpha, blank(&error)), &error)

    def set_shards(self, int64_t shards, together=None):
        """Sum steps over this many parts of a batch from now on; 0: batches are whole. `together` are the processes
        that share the parts out: processes, process, gather(own, part, all), exchange(all, part, received)."""
        cdef pynn_shards s
        cdef pynn_error error
        cdef Callback custom = callback(together)
        pynn_shards_init(&s)
        s.shards = shards
        if together is not None:
            s.processes, s.process, s.user = together.processes, together.process, <void *>custom
            s.gather, s.exchange = call_gather, call_exchange
        with self.model.exclusive:
            check(pynn_trainer_set_shards(self.c, &s if shards else NULL, blank(&error)), &error)
            self.together = custom

    def set_raw_predictions(self, bint raw):
        """Let `train` write logits as predictions from now on, or predictions."""
        with self.model.exclusive:
            pynn_trainer_set_raw_predictions(self.c, raw)

    @property
    def rate_factor(self):
        """What rollbacks have left of a schedule."""
        return self.number(pynn_trainer_rate_factor)

    @rate_factor.setter
    def rate_factor(self, double value):
        with self.model.exclusive:
            check(pynn_trainer_set_rate_factor(self.c, value))

    @property
    def steps(self):
        """Steps applied so far."""
        return self.count(pynn_trainer_steps)

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

    def set_series(self, values, about, counters):
        """Write what steps see in the layers into arrays from now on, see pynn_series; None: no longer."""
        cdef pynn_series series
        cdef View v, a, c
        if values is None:
            with self.model.exclusive:
                check(pynn_trainer_set_series(self.c, NULL))
            self.series = None
            return
        v = output(values, "values", PYNN_FLOAT64, len(about) * pynn_model_n_layers(self.model.c) * PYNN_SERIES_FIELDS)
        a, c = output(about, "about", PYNN_FLOAT64, 3 * len(about)), output(counters, "counters", PYNN_INT64, 3)
        series.values, series.about = <double *>v.buffer.buf, <double *>a.buffer.buf
        series.counters, series.capacity = <int64_t *>c.buffer.buf, len(about)
        with self.model.exclusive:
            check(pynn_trainer_set_series(self.c, &series))
        self.series = v, a, c  # they hold the memory


# ---------------------------------------------------------------- checkpoints

@cython.no_gc_clear  # what it refers to must outlive it
cdef class Checkpoint:
    """A trainer's state at one moment: a copy of it, or what `load_checkpoint` read. One thread uses it at a time."""

    def __cinit__(self):
        self.exclusive = Gate("a checkpoint")

    def __init__(self, Trainer trainer not None):
        cdef pynn_error error
        require_new(self.c, self)
        with trainer.model.exclusive, nogil:
            check(pynn_checkpoint_new(&self.c, trainer.c, blank(&error)), &error)
        self.context = trainer.model.context

    def __dealloc__(self):
        pynn_checkpoint_free(self.c)

    def take(self, Trainer trainer not None):
        """Copy the trainer's present state."""
        cdef pynn_error error
        with self.exclusive, trainer.model.exclusive, nogil:
            check(pynn_checkpoint_take(self.c, trainer.c, blank(&error)), &error)

    def restore(self, Trainer trainer not None):
        """Put a trainer and its model where this was taken."""
        cdef pynn_error error
        with self.exclusive, trainer.model.exclusive, nogil:
            check(pynn_checkpoint_restore(self.c, trainer.c, blank(&error)), &error)

    def write(self, bytes path not None, dict texts not None, dict arrays not None):
        """Write a copy to a file, with texts and arrays of one dimension beside it."""
        cdef int32_t n_texts = <int32_t>len(texts), n_arrays = <int32_t>len(arrays)
        kept = []
        cdef pynn_metadata *entries = read_texts(texts, kept)
        cdef bytearray memory = bytearray((n_arrays + 1) * sizeof(pynn_vector))
        cdef pynn_vector *vectors = <pynn_vector *><char *>memory
        cdef const char *c_path = path
        cdef pynn_error error
        cdef View v
        for i, (name, array) in enumerate(arrays.items()):
            key, v = (<str>name).encode(), view(array, name, True)
            vectors[<size_t>i].name, vectors[<size_t>i].dtype = <const char *><bytes>key, v.array.dtype
            vectors[<size_t>i].count, vectors[<size_t>i].data = v.array.rows * v.array.columns, v.array.data
            kept.append((key, v))
        with self.exclusive, nogil:
            check(pynn_checkpoint_write(self.c, c_path, entries, n_texts, vectors, n_arrays, blank(&error)), &error)

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

    @property
    def timesteps(self):
        cdef pynn_shape rows
        check(pynn_model_shape(pynn_checkpoint_model(self.c), -1, &rows))
        return rows.timesteps


def load_checkpoint(Context context not None, bytes path not None):
    """The checkpoint in the file at `path`."""
    cdef Checkpoint checkpoint = Checkpoint.__new__(Checkpoint)
    cdef const char *c_path = path
    cdef pynn_error error
    with nogil:
        check(pynn_checkpoint_load(&checkpoint.c, context.c, c_path, blank(&error)), &error)
    checkpoint.context = context
    return checkpoint


# ---------------------------------------------------------------- rows

def mixup_draw(uint64_t seed, int64_t step, double alpha, int64_t rows):
    """(share, shift) of a step of mixup: see pynn.h."""
    cdef double share
    cdef int64_t shift
    pynn_mixup_draw(seed, step, alpha, rows, &share, &shift)
    return share, shift


include "_rows.pxi"
