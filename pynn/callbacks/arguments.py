"""Check the arguments of callbacks."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from typing import Any

from ..errors import ArgumentTypeError, ArgumentValueError, MissingFileError


def require(holds: bool, rule: str, **received: Any) -> None:
    """Refuse arguments that break a rule."""
    if not holds:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ArgumentValueError(f"expected {rule}; received {values}")


def numbers(whole: bool = False, **received: Any) -> None:
    """Refuse what are no finite numbers, or no whole ones."""
    for name, value in received.items():
        right = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not right or not math.isfinite(value):
            noun = "an integer" if whole else "a finite number"
            raise ArgumentTypeError(f"expected {name} as {noun}; received {name}={value!r}")


def file_path(name: str, path: Any) -> str:
    """`path` as a string."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(f"expected {name} as a string or path; received {name}={path!r}") from None


def require_folder(name: str, path: str) -> None:
    """Refuse a file in a folder that is not there before anything is trained; names with fields are made later."""
    folder = os.path.dirname(path)
    if folder and "{" not in folder and not os.path.isdir(folder):
        raise MissingFileError(f"expected {name} in a folder that exists; received {name}={path!r}")
