# Summaries: what columns of data hold. Part of _core.pyx.

cdef class Summary:
    """What columns hold, from one pass over any number of parts; `held` numbers of each are held for quartiles."""
    cdef pynn_summary *c
    cdef Context context
    cdef Gate turn

    def __init__(self, Context context not None, int64_t columns, int64_t held=0):
        cdef pynn_error error
        require_new(self.c, self)
        self.turn = Gate("a summary")
        check(pynn_summary_new(&self.c, context.c, columns, held, blank(&error)), &error)
        self.context = context

    def __dealloc__(self):
        pynn_summary_free(self.c)

    def add(self, x):
        """More rows."""
        cdef View vx = view(x, "X")
        cdef pynn_error error
        with self.turn, nogil:
            check(pynn_summary_add(self.c, &vx.array, blank(&error)), &error)

    def column(self, int64_t index):
        """The fields of pynn_column."""
        cdef pynn_column c
        with self.turn:
            check(pynn_summary_column(self.c, index, &c))
        return c
