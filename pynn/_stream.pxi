# Streams: sequences that come one timestep after the other. Part of _core.pyx.

cdef class Stream:
    """Sequences that come one timestep after the other, with a copy of a model's numbers."""
    cdef pynn_stream *c
    cdef Context context
    cdef Gate turn
    cdef readonly object dtype

    def __init__(self, Model model not None, int64_t rows):
        cdef pynn_error error
        require_new(<void *>self.c, self)
        self.turn, self.context, self.dtype = Gate("a stream"), model.context, model.dtype
        with model.exclusive:
            check(pynn_stream_new(&self.c, model.c, rows, blank(&error)), &error)

    def __dealloc__(self):
        pynn_stream_free(self.c)

    def step(self, x, out, bint raw=False):
        """Predictions of the next timestep in `out`."""
        cdef View vx = view(x, "x"), vo = view(out, "out", True)
        cdef pynn_error error
        with self.turn, nogil:
            check(pynn_stream_step(self.c, &vx.array, raw, vo.array.dtype, vo.buffer.buf, blank(&error)), &error)
        return out

    def reset(self):
        """Start all sequences again."""
        with self.turn:
            pynn_stream_reset(self.c)

    @property
    def state(self):
        """What the sequences have come to, a writable vector."""
        return vector(self, pynn_stream_state(self.c), pynn_stream_n_state(self.c), _DTYPES[self.dtype])
