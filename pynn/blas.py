"""Which BLAS multiplies large matrices: none (the default), the one that SciPy brings, MKL, or any library by path.

Without a BLAS the library's own kernels do every product, with the same bits on every processor that has fused
multiply-add (AVX2, AVX-512, NEON). A BLAS takes only products whose three sides are all at least 192, and rounds
them in its own way. `use` chooses it for the whole process, `current` tells which is in use.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from . import _core, runtime
from .errors import ArgumentTypeError, MissingDependencyError, MissingFileError, UnsupportedError

__all__ = ["Library", "current", "use"]


@dataclass(frozen=True)
class Library:
    """A BLAS: addresses of its Fortran sgemm and dgemm, and of the functions that get and set its threads (or 0)."""

    name: str
    path: str
    integer_size: int
    sgemm: int
    dgemm: int
    get_threads: int = 0
    set_threads: int = 0
    keep: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        threads = "one thread a call" if self.set_threads else "threads not controllable"
        return f"{self.name}, {8 * self.integer_size}-bit integers, {threads}"


def use(which: str | os.PathLike[str] = "none") -> str:
    """Choose the BLAS of this process, for models that exist too. Not while one of them computes.

    Results are bit-identical from run to run with one BLAS. Another BLAS may round large products differently, and
    so may the same one on another processor; the library's own kernels do not. `pynn.runtime.provenance` says which
    was used.

    Parameters
    ----------
    which : "none", "scipy", "mkl" or a path
        None (the default), so that the library's own kernels do every product; SciPy's own; MKL, if the package ``mkl``
        is installed (``pip install 'pynn-dense[mkl]'``); or the file of any BLAS with the Fortran interface.

    Returns
    -------
    str
        What `current` says.

    Raises
    ------
    MissingDependencyError, MissingFileError, UnsupportedError
        If the library is missing or is no BLAS. The current one stays in use.

    Examples
    --------
    >>> import pynn
    >>> pynn.blas.use("scipy").split(",")[0]
    'scipy'
    >>> pynn.blas.use("none")
    'none'
    """
    if not isinstance(which, str | os.PathLike):
        raise ArgumentTypeError(f'expected which as "scipy", "mkl", "none" or a path; received which={which!r}')
    found = None if which == "none" else _FINDERS[str(which)]() if str(which) in _FINDERS else _at(os.fspath(which))
    runtime.use_blas(found)
    return current()


def current() -> str:
    """The BLAS in use: its name, integers and threads; or ``none``."""
    return runtime.blas_in_use()


_INTEGER_BYTES = {"int": 4, "int32_t": 4, "int64_t": 8, "long long": 8, "long": ctypes.sizeof(ctypes.c_long)}
_GEMM = re.compile(r"void \(char \*, char \*(?P<sizes>(, (?P<int>\w[\w ]*?) \*){3})(, \S+ \*){2}, (?P=int) \*, \S+ \*, "
                   r"(?P=int) \*(, \S+ \*){2}, (?P=int) \*\)")  # fmt: skip


def scipy() -> Library:
    """The functions that `scipy.linalg.cython_blas` exports with their signatures. Only that extension file is loaded:
    importing all of `scipy.linalg` takes many times longer."""
    module = _load_cython_blas()
    (signature, sgemm), (other, dgemm) = (_core.function(module.__pyx_capi__[name]) for name in ("sgemm", "dgemm"))
    match = _GEMM.fullmatch(signature)
    size = _INTEGER_BYTES.get(match["int"]) if match else None
    if size is None or not _GEMM.fullmatch(other):
        raise UnsupportedError(f"expected scipy's sgemm with a known signature; received {signature}")
    threads = _thread_functions(ctypes.CDLL(module.__file__))  # looked up in what this file is linked with
    return Library("scipy", module.__file__, size, sgemm, dgemm, *threads, keep=module)


def _load_cython_blas() -> Any:
    spec = importlib.util.find_spec("scipy")
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedError("expected scipy to be installed; received none")
    folder = os.path.join(spec.submodule_search_locations[0], "linalg")
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = os.path.join(folder, f"cython_blas{suffix}")
        if os.path.exists(path):
            loader = importlib.machinery.ExtensionFileLoader("scipy.linalg.cython_blas", path)
            file_spec = importlib.util.spec_from_file_location("scipy.linalg.cython_blas", path, loader=loader)
            module = importlib.util.module_from_spec(file_spec)  # type: ignore[arg-type]
            try:
                loader.exec_module(module)
            except ImportError as error:
                raise UnsupportedError(f"expected {path} to load: {error}") from None
            return module
    raise UnsupportedError(f"expected cython_blas in {folder}; received none")


def _mkl() -> Library:
    """MKL as its package installs it, a shared library in the environment's folder of libraries."""
    folders = [os.path.join(sys.prefix, "lib"), os.path.join(sys.prefix, "Library", "bin")]
    for folder in folders:
        for name in ("libmkl_rt.so.3", "libmkl_rt.so.2", "mkl_rt.3.dll", "mkl_rt.2.dll"):
            if os.path.exists(path := os.path.join(folder, name)):
                return _at(path, "mkl")
    raise MissingDependencyError(f"expected MKL in {folders[0]}; received none: pip install 'pynn-dense[mkl]'")


def _at(path: str, name: str | None = None) -> Library:
    """The BLAS in a file, by the names that gemm has in the libraries we know: the last letters tell the integers."""
    if not os.path.exists(path):
        raise MissingFileError(f'expected "scipy", "mkl", "none" or the path of a BLAS; received which={path!r}')
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise UnsupportedError(f"expected a library that loads; received which={path!r}: {error}") from None
    for symbol, size in (("{}_", 4), ("scipy_{}_", 4), ("{}_64_", 8), ("{}64_", 8), ("scipy_{}_64_", 8)):
        try:
            sgemm, dgemm = (_address(library, symbol.format(kind)) for kind in ("sgemm", "dgemm"))
        except AttributeError:
            continue
        threads = _thread_functions(library)
        return Library(name or os.path.basename(path), path, size, sgemm, dgemm, *threads, keep=library)
    raise UnsupportedError(f"expected a BLAS with sgemm_ and dgemm_; received which={path!r} without them")


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def _thread_functions(library: ctypes.CDLL) -> tuple[int, int]:
    """Addresses of the functions that get and set the BLAS's own number of threads, 0 where it has none we know."""
    openblas = ["scipy_openblas_{}_num_threads", "scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"]
    pairs = [(name.format("get"), name.format("set")) for name in openblas]
    for get, set_ in [*pairs, ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads")]:
        try:
            return _address(library, get), _address(library, set_)
        except AttributeError:
            continue
    return 0, 0


_FINDERS = {"scipy": scipy, "mkl": _mkl}
