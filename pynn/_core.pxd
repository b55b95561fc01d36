# What other Cython modules may cimport: the C objects behind the classes. Small, because it is ABI.
from pynn.libpynn cimport pynn_checkpoint, pynn_context, pynn_model, pynn_trainer, pynn_workspace

cdef class Context:
    cdef pynn_context *c
    cdef object keep

cdef class Model:
    cdef pynn_model *c
    cdef readonly Context context
    cdef object turn, exclusive
    cdef dict activations, callbacks
    cdef int readers
    cdef int n_idle
    cdef pynn_workspace *idle[16]
    cdef pynn_workspace *enter(self) except NULL
    cdef int leave(self, pynn_workspace *workspace) except -1
    cdef object take_error(self)
    cdef int raise_from_callbacks(self) except -1

cdef class Trainer:
    cdef pynn_trainer *c
    cdef readonly Model model

cdef class Checkpoint:
    cdef pynn_checkpoint *c
    cdef readonly Context context
    cdef object exclusive
