# Who may compute: one thread that changes an object, or any number that read it. Part of _core.pyx.

_gates = WeakSet()


@cython.final
@cython.no_gc  # nothing that it holds refers back
cdef class Gate:
    """Lets in one thread that changes an object (`with gate:`), or any number that read it.

    A thread that is in is refused a second time rather than left to wait for itself: it can only be Python code that
    the computation calls. In a child of fork every gate is new, since the
    threads that were in do not exist there; an object that one of them was changing is refused from then on.
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
