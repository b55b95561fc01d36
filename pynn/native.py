"""C functions that are given from Python: where they are, and what their signatures say."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from .errors import ArgumentTypeError

__all__ = ["address", "arguments", "own", "reals", "require"]


def address(function: Any) -> int:
    """Where C code is; 0 for what Python has to call."""
    if isinstance(function, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    found = getattr(function, "address", 0)  # numba.cfunc
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def arguments(function: Any) -> list[str] | None:
    """The arguments that C code says it takes, ``"float32*"`` say; None when it does not say."""
    if isinstance(function, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return None if function.argtypes is None else [_name(argument) for argument in function.argtypes]
    signature = getattr(function, "_sig", None)  # numba.cfunc
    return None if signature is None else [str(argument) for argument in signature.args]


def require(function: Any, count: int, what: str) -> None:
    """Refuse C code with another number of arguments: it would read memory that it was not given."""
    taken = arguments(function)
    if taken is not None and len(taken) != count:
        raise ArgumentTypeError(f"expected {what} with {count} arguments, as pynn.h says; received one with {taken}")


def reals(function: Any) -> set[str]:
    """The dtypes of the vectors that C code takes; both when it does not say, or takes untyped pointers."""
    said = {name for name in ("float32", "float64") if f"{name}*" in (arguments(function) or ())}
    return said or {"float32", "float64"}


def own(lent: Any) -> np.ndarray:
    """A read-only copy of what the library lends for the time of a call: a function may keep it."""
    copy = np.array(lent)
    copy.flags.writeable = False
    return copy


def _name(argument: Any) -> str:
    pointed: Any = getattr(argument, "_type_", None)
    names: dict[Any, str] = {ctypes.c_float: "float32*", ctypes.c_double: "float64*"}
    return names.get(pointed) or str(getattr(argument, "__name__", "?"))
