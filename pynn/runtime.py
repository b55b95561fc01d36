"""How this process computes: the processor target, the number of threads, and the BLAS (`pynn.blas`).

Environment, read when the first model is built: ``PYNN_NUM_THREADS`` (1, 2, ...; default: every processor this process
may use, or ``OMP_NUM_THREADS`` if that is fewer, as in joblib's workers) and ``PYNN_CPU`` (``baseline``, ``avx2``,
``avx512``; default: the best there is). ``threadpoolctl.threadpool_limits(limits=n)`` limits pynn too, if threadpoolctl
was imported before a model is built.
"""

from __future__ import annotations

import os
import sys
from threading import Lock
from typing import Any

from . import _core, checks
from .errors import ArgumentValueError, UnsupportedError

__all__ = ["context", "get_num_threads", "provenance", "set_num_threads", "summary"]

_lock = Lock()
_context: _core.Context | None = None
_blas: Any = None  # the library that `pynn.blas.use` chose
_is_controlled = False


def _renew() -> None:
    """In a child of fork: a thread that is not there may have held the lock."""
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def context() -> _core.Context:
    """The context that models of this process are made in; made on first use."""
    global _context
    with _lock:
        if "threadpoolctl" in sys.modules and not _is_controlled:
            _let_threadpoolctl_limit()
        if _context is None:
            cpu = os.environ.get("PYNN_CPU") or None
            try:
                _context = _core.Context(cpu=cpu, threads=_threads_wanted())
            except UnsupportedError:
                raise UnsupportedError(
                    f"expected PYNN_CPU as baseline, avx2 or avx512 and supported by this processor; received {cpu!r}"
                ) from None
        return _context


def use_blas(library: Any) -> None:
    """Let large products go to a `pynn.blas.Library`, or with None to none. One that is refused changes nothing."""
    global _blas
    context().set_blas(library)
    _blas = library


def blas_in_use() -> str:
    """Name, integers and threads of the BLAS in use, or ``none``."""
    return "none" if _blas is None else str(_blas)


def summary(columns: int, held: int = 0) -> _core.Summary:
    """What columns hold, from one pass over any number of parts; `held` numbers of each are held for quartiles."""
    return _core.Summary(context(), columns, held)


def provenance() -> dict[str, str | int]:
    """What the bits of a result depend on beside the model, its seed and the data: version, processor target and BLAS.
    The number of threads is there for its speed; no bit depends on it.

    Examples
    --------
    >>> import pynn
    >>> sorted(pynn.runtime.provenance())
    ['blas', 'kernels', 'pynn', 'threads']
    """
    now = context()
    return {"pynn": _core.__version__, "kernels": now.cpu, "blas": blas_in_use(), "threads": int(now.threads)}


def _threads_wanted() -> int:
    """The number that the environment asks for; 0: every processor that this process may use."""
    text = os.environ.get("PYNN_NUM_THREADS", "").strip()
    if not text:
        shared = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return int(shared) if shared.isdecimal() and 1 <= int(shared) < processors else 0
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise ArgumentValueError(f"expected PYNN_NUM_THREADS in 1 ... 256; received PYNN_NUM_THREADS={text!r}")
    return int(text)


def _let_threadpoolctl_limit() -> None:
    """Register with threadpoolctl, which sets the threads of all libraries in a process."""
    global _is_controlled
    _is_controlled = True
    try:
        from threadpoolctl import LibController, register
    except ImportError:  # a version before LibController was public
        return

    class Controller(LibController):
        user_api = internal_api = "pynn"
        filename_prefixes = (os.path.basename(_core.__file__).lower(),)

        def get_num_threads(self) -> int:
            return get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            set_num_threads(min(max(num_threads, 1), 256))

        def get_version(self) -> str:
            if not os.path.samefile(self.filepath, _core.__file__):
                raise OSError("another package's module of the same name")  # how a controller declines
            return str(_core.__version__)

    register(Controller)


def get_num_threads() -> int:
    """Number of threads that training and prediction use, the caller's included."""
    return int(context().threads)


def set_num_threads(n: int) -> None:
    """Use `n` threads from now on, in models that exist too. Results do not depend on it, to the last bit.

    Parameters
    ----------
    n : int in 1 ... 256

    Examples
    --------
    >>> import pynn
    >>> pynn.set_num_threads(1)
    >>> pynn.get_num_threads()
    1
    """
    context().threads = checks.integer("n", n, 1, 256)
