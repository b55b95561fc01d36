"""How this process computes: the BLAS that SciPy brings, the processor target and the number of threads.

Environment: ``PYNN_NUM_THREADS`` (1, 2, ...; default: every processor this process may use) and ``PYNN_CPU``
(``baseline``, ``avx2``, ``avx512``; default: the best there is), read when the first model is built.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import re
from threading import Lock
from typing import Any

from . import _core
from .errors import ArgumentTypeError, ArgumentValueError, UnsupportedError

__all__ = ["blas_note", "context", "get_num_threads", "set_num_threads"]

_lock = Lock()
_context: _core.Context | None = None
_note = "not looked for yet"

_INTEGER_BYTES = {"int": 4, "int32_t": 4, "int64_t": 8, "long long": 8, "long": ctypes.sizeof(ctypes.c_long)}
_GEMM = re.compile(r"void \(char \*, char \*(?P<sizes>(, (?P<int>\w[\w ]*?) \*){3})(, \S+ \*){2}, (?P=int) \*, \S+ \*, "
                   r"(?P=int) \*(, \S+ \*){2}, (?P=int) \*\)")  # fmt: skip


def context() -> _core.Context:
    """The context that models of this process are made in; made on first use."""
    global _context, _note
    with _lock:
        if _context is None:
            blas, module, _note = find_blas()
            cpu = os.environ.get("PYNN_CPU") or None
            try:
                _context = _core.Context(blas=blas, cpu=cpu, threads=_threads_wanted(), keep=module)
            except UnsupportedError:
                raise UnsupportedError(
                    f"expected PYNN_CPU as baseline, avx2 or avx512 and supported by this processor; received {cpu!r}"
                ) from None
        return _context


def _threads_wanted() -> int:
    text = os.environ.get("PYNN_NUM_THREADS", "").strip()
    if not text:
        return 0
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise ArgumentValueError(f"expected PYNN_NUM_THREADS in 1 ... 256; received PYNN_NUM_THREADS={text!r}")
    return int(text)


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
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"expected n as an integer; received n={n!r}")
    if not 1 <= n <= 256:
        raise ArgumentValueError(f"expected n in 1 ... 256; received n={n!r}")
    context().threads = int(n)


def blas_note() -> str:
    """Which BLAS is in use, or why none is; for reports."""
    context()
    return _note


def find_blas() -> tuple[tuple[Any, ...] | None, Any, str]:
    """SciPy's BLAS for a context: (description or None, module to keep alive, note).

    `scipy.linalg.cython_blas` exports C functions with their signatures. Only that extension file is loaded, since
    importing all of `scipy.linalg` takes some hundred times longer.
    """
    try:
        module = _load_cython_blas()
        sgemm, dgemm = (module.__pyx_capi__[name] for name in ("sgemm", "dgemm"))
        match = _GEMM.fullmatch(_core.signature(sgemm))
        size = _INTEGER_BYTES.get(match["int"]) if match else None
        if size is None or not _GEMM.fullmatch(_core.signature(dgemm)):
            return None, None, f"none: scipy's sgemm has an unknown signature, {_core.signature(sgemm)}"
    except Exception as error:
        return None, None, f"none: scipy.linalg.cython_blas could not be loaded ({error!r})"
    get, set_ = _thread_functions(module.__file__)
    bits = 8 * size
    note = f"scipy's, {bits}-bit integers, {'one thread a call' if set_ else 'threads not controllable'}"
    return (f"scipy ({bits}-bit integers)", size, sgemm, dgemm, get, set_), module, note


def _load_cython_blas() -> Any:
    spec = importlib.util.find_spec("scipy")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("scipy is not installed")
    folder = os.path.join(spec.submodule_search_locations[0], "linalg")
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = os.path.join(folder, f"cython_blas{suffix}")
        if os.path.exists(path):
            loader = importlib.machinery.ExtensionFileLoader("scipy.linalg.cython_blas", path)
            file_spec = importlib.util.spec_from_file_location("scipy.linalg.cython_blas", path, loader=loader)
            module = importlib.util.module_from_spec(file_spec)  # type: ignore[arg-type]
            loader.exec_module(module)
            return module
    raise ImportError(f"no cython_blas in {folder}")


def _thread_functions(path: str) -> tuple[int, int]:
    """Addresses of the functions that get and set the BLAS's own number of threads, 0 where it has none we know."""
    try:
        library = ctypes.CDLL(path)  # looked up in what this file is linked with
    except OSError:
        return 0, 0
    for pattern in ("scipy_openblas_{}_num_threads", "scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
        try:
            functions = [getattr(library, pattern.format(verb)) for verb in ("get", "set")]
        except AttributeError:
            continue
        get, set_ = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions)
        return get, set_
    return 0, 0
