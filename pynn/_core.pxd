# What other Cython modules may cimport: the C objects behind the classes. Small, because it is ABI.
from libc.stdint cimport int64_t
from pynn.libpynn cimport (
    pynn_checkpoint, pynn_context, pynn_error, pynn_model, pynn_status, pynn_trainer, pynn_workspace,
)

cdef class Context:
    cdef pynn_context *c
    cdef object keep

cdef class Gate:
    cdef str what
    cdef object turn, free
    cdef dict readers
    cdef unsigned long writer
    cdef bint torn
    cdef object __weakref__
    cdef int refuse(self, unsigned long me) except -1
    cdef int join(self, unsigned long me) except -1
    cdef int part(self) except -1
    cdef int look(self) except -1
    cdef int leave(self, int entered) except -1

cdef class Model:
    cdef pynn_model *c
    cdef readonly Context context
    cdef Gate exclusive
    cdef dict activations, callbacks
    cdef int n_idle
    cdef pynn_workspace *idle[16]
    cdef pynn_workspace *enter(self) except NULL
    cdef int leave(self, pynn_workspace *workspace) except -1
    cdef object take_error(self)
    cdef int finish(self, pynn_status status, pynn_error *error, bint guarded=*) except -1
    cdef list parts(self, bint trainable)

cdef class Trainer:
    cdef pynn_trainer *c
    cdef readonly Model model
    cdef object together
    cdef int raise_from_exchange(self) except -1
    cdef object series
    cdef double number(self, double (*get)(const pynn_trainer *) noexcept nogil) except? -1
    cdef int64_t count(self, int64_t (*get)(const pynn_trainer *) noexcept nogil) except? -1

cdef class Checkpoint:
    cdef pynn_checkpoint *c
    cdef readonly Context context
    cdef Gate exclusive
