"""Numbers and texts as C source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["comment", "double", "literal", "real", "string", "wrapped"]


def real(x: Any) -> str:
    """Write a number as a C float."""
    text = str(np.float32(x))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def double(x: Any) -> str:
    """Write a number as a C double. NaN marks columns that a normalization leaves as they are."""
    return "NAN" if np.isnan(x) else repr(float(x))


def literal(kind: str, x: Any) -> str:
    """Write a number as a constant of a C type."""
    return real(x) if kind == "float" else double(x) if kind == "double" else str(int(x))


def wrapped(items: Sequence[str], per_line: int) -> str:
    """Join items with commas, `per_line` on each line."""
    lines = (", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line))
    return ",\n  ".join(lines)


def string(text: str) -> str:
    """Write a C string; characters other than plain ASCII are octal UTF-8."""
    return '"' + _escaped(text, '"\\?') + '"'


def comment(text: Any) -> str:
    """Write a text for a comment, which it cannot end."""
    return _escaped(str(text), "\\?").replace("*/", "*\\057").replace("/*", "\\057*")


def _escaped(text: str, special: str) -> str:
    return "".join(chr(b) if 32 <= b < 127 and chr(b) not in special else f"\\{b:03o}" for b in text.encode())
