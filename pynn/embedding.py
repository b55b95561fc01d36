"""Where the C library lies inside the installed package, for programs that compile against it and link it.

The package is an installation prefix: ``include/pynn.h``, ``lib/libpynn.a`` and what CMake and pkg-config read. All
paths follow the package when it is moved. ``python -m pynn --cflags --libs`` prints them for a compiler.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .errors import MissingFileError

__all__ = ["get_cmake_dir", "get_include", "get_library_dir", "get_pkgconfig_dir"]

_PACKAGE = Path(__file__).resolve().parent


def get_include() -> str:
    """The directory of ``pynn.h``: what ``-I`` or ``include_dirs`` takes."""
    return _existing("include")


def get_library_dir() -> str:
    """The directory of the static library: what ``-L`` or ``library_dirs`` takes, with ``-lpynn -lm -pthread``."""
    return _existing("lib")


def get_cmake_dir() -> str:
    """What CMake takes as ``-Dpynn_DIR=``, for ``find_package(pynn)`` and the target ``pynn::pynn``."""
    return _existing("lib/cmake/pynn")


def get_pkgconfig_dir() -> str:
    """What ``PKG_CONFIG_PATH`` takes, for ``pkg-config --cflags --static --libs pynn``."""
    return _existing("lib/pkgconfig")


def _existing(part: str) -> str:
    path = _PACKAGE / part
    if not path.is_dir():
        raise MissingFileError(
            f"expected the C library in the package; received path={str(path)!r}, which does not exist: "
            "install pynn-dense again, from a wheel or with a C compiler"
        )
    return str(path)


def _libs() -> str:
    threads = "" if sys.platform == "win32" else " -pthread -lm"
    return f"-L{_quoted(get_library_dir())} -lpynn{threads}"


def _quoted(path: str) -> str:
    return f"'{path}'" if any(c.isspace() for c in path) else path


# `python -m pynn FLAG ...` prints these, on one line
FLAGS = {
    "--cflags": lambda: f"-I{_quoted(get_include())}",
    "--libs": _libs,
    "--includedir": get_include,
    "--libdir": get_library_dir,
    "--cmakedir": get_cmake_dir,
    "--pkgconfigdir": get_pkgconfig_dir,
}
