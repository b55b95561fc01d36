"""Check arguments: one function for each kind of value, one form of message.

Each returns the value in its plain Python type, or raises ``expected <name> as <rule>; received <name>=<value>``.
"""

from __future__ import annotations

import difflib
import importlib
import math
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from .errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DtypeError,
    MissingDependencyError,
    MissingFileError,
    UnknownNameError,
)

__all__ = [
    "boolean", "choice", "describe", "dtype", "field", "folder", "integer", "is_name", "name", "nearest",
    "number", "package", "path", "require", "shape",
]  # fmt: skip

_SHOWN = 1e9  # a larger limit is named only to those who exceed it


def integer(name: str, value: Any, minimum: int, maximum: int = 2**62) -> int:
    """Return an integer in minimum ... maximum; bools and floats are refused."""
    right = isinstance(value, Integral) and not isinstance(value, bool)
    if right and minimum <= value <= maximum:
        return int(value)
    shown = maximum if maximum < _SHOWN or (right and value > maximum) else None
    rule = f"an integer >= {minimum}" if shown is None else f"an integer in {minimum} ... {shown}"
    raise (ArgumentValueError if right else ArgumentTypeError)(_expected(name, rule, value))


def power_of_two(name: str, value: Any, maximum: int) -> int:
    """Return an integer that is a power of two."""
    value = integer(name, value, 1, maximum)
    if value & (value - 1):
        raise ArgumentValueError(_expected(name, f"a power of two in 1 ... {maximum}", value))
    return value


def shape(name: str, value: Any, sequences: bool) -> tuple[int, int | None]:
    """Return columns and timesteps of ``(timesteps, features)``, or of a number of columns; of sequences both have to
    be known."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and sequences:
        timesteps, features = (integer(name, part, 1) for part in value)
        return timesteps * features, timesteps
    if sequences:
        raise ArgumentTypeError(_expected(name, "(timesteps, features), for layers that take sequences", value))
    if isinstance(value, (tuple, list)):
        rule = "an integer, the columns of X without the rows, for layers that take no sequences"
        raise ArgumentValueError(_expected(name, rule, value))
    return integer(name, value, 1), None


def number(
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """Return a real number within closed (`minimum`, `maximum`) or open (`above`, `below`) limits; NaN is refused."""
    right = isinstance(value, Real) and not isinstance(value, bool)
    low = minimum if above is None else above
    high = maximum if below is None else below
    if right:
        inside = (value > low if above is not None else value >= low) and (
            value < high if below is not None else value <= high
        )
        if inside and (math.isfinite(value) or not finite):
            return float(value)
    rule = _in_words("a finite number" if finite else "a number", low, high, above is not None, below is not None)
    raise (ArgumentValueError if right else ArgumentTypeError)(_expected(name, rule, value))


def boolean(name: str, value: Any) -> bool:
    """Return True or False; 0 and 1 are refused."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ArgumentTypeError(_expected(name, "True or False", value))


def choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return one of `choices`; the error lists them."""
    listed = list(choices)
    for known in listed:
        if value is known or (type(value) is type(known) and value == known):
            return known
    rule = f"one of {', '.join(map(repr, listed))}"
    raise UnknownNameError(_expected(name, rule, value) + nearest(value, filter(_is_text, listed)))


def name(argument: str, value: str, known: Mapping[str, str]) -> str:
    """Return the canonical name of a name or alias, in any case; the error lists the valid ones and the nearest.

    Parameters
    ----------
    argument : str
        What is named, for the message.
    value : str
    known : mapping of str to str
        Names and aliases, to canonical names.
    """
    if value in known:
        return known[value]
    folded = {_fold(alias): canonical for alias, canonical in known.items()}
    if _fold(value) in folded:
        return folded[_fold(value)]
    raise UnknownNameError(_expected(argument, f"one of {', '.join(map(repr, known))}", value) + nearest(value, known))


def is_name(value: str, known: Iterable[str]) -> bool:
    """Return whether `name` would find a name among those known."""
    return _fold(value) in map(_fold, known)


def nearest(value: Any, known: Iterable[str]) -> str:
    """Return ``": did you mean 'accuracy'?"`` for a misspelt name, or an empty string where none is near."""
    if not isinstance(value, str):
        return ""
    folded = {_fold(alias): alias for alias in known}
    found = difflib.get_close_matches(_fold(value), folded, n=1, cutoff=0.6)
    return f": did you mean {folded[found[0]]!r}?" if found else ""


def _fold(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def path(name: str, value: Any) -> str:
    """Return a path as a string."""
    try:
        found = os.fsdecode(value)
    except TypeError:
        raise ArgumentTypeError(_expected(name, "a string or path", value)) from None
    if "\0" in found:
        raise ArgumentValueError(f"expected {name} without NUL characters; received {name}={value!r}")
    return found


def folder(name: str, path: str) -> None:
    """Refuse a file in a folder that does not exist; a folder with fields to be filled in is created later."""
    parent = os.path.dirname(path)
    if parent and "{" not in parent and not os.path.isdir(parent):
        raise MissingFileError(f"expected {name} in a folder that exists; received {name}={path!r}")


def dtype(name: str, value: Any) -> np.dtype:
    """Return float32 or float64 in native byte order."""
    try:
        found = np.dtype(value)
    except TypeError:
        found = None
    if found is None or value is None or found.newbyteorder("=") not in (np.dtype("f4"), np.dtype("f8")):
        raise DtypeError(_expected(name, "'float32' or 'float64'", value))
    return found.newbyteorder("=")


def require(holds: bool, rule: str, **received: Any) -> None:
    """Refuse arguments that break a rule between several of them."""
    if not holds:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ArgumentValueError(f"expected {rule}; received {values}")


def field(name: str, value: Any, rule: Mapping[str, Any]) -> float | int | bool:
    """Return a number that obeys the rule of a table's field, in the field's type.

    A whole float is an integer here, and 0 or 1 a boolean: that is how numbers come back from files.
    """
    if rule["type"] is bool:
        right = isinstance(value, (bool, int, np.bool_))
    else:
        right = isinstance(value, Real) and not isinstance(value, bool)
    if not right:
        raise ArgumentTypeError(_expected(name, describe(rule), value))
    real = float(value)
    above = real > rule["minimum"] if rule["open_minimum"] else real >= rule["minimum"]
    below = real < rule["maximum"] if rule["open_maximum"] else real <= rule["maximum"]
    whole = math.isfinite(real) and (rule["type"] is float or real == math.floor(real))
    if not (above and below and whole):
        raise ArgumentValueError(_expected(name, describe(rule), value))
    return rule["type"](real)


def describe(rule: Mapping[str, Any]) -> str:
    """Return the rule of a table's field in words: "a finite number > 0"."""
    if rule["type"] is bool:
        return "True or False"
    noun = "an integer" if rule["type"] is int else "a finite number"
    return _in_words(noun, rule["minimum"], rule["maximum"], rule["open_minimum"], rule["open_maximum"])


def package(module: str, extra: str, purpose: str) -> Any:
    """Import an optional package; where it is missing, the error names the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependencyError(
            f"expected {module.split('.')[0]} {purpose}; received an environment without it: "
            f"pip install 'pynn-dense[{extra}]'"
        ) from None


def _in_words(noun: str, low: float, high: float, open_low: bool, open_high: bool) -> str:
    limits = [f"{'>' if open_low else '>='} {low:g}"] if low > -1e30 else []
    if high < 1e30:
        limits.append(f"{'<' if open_high else '<='} {high:.8g}")
    return " ".join([noun, " and ".join(limits)]).strip()


def _expected(name: str, rule: str, value: Any) -> str:
    return f"expected {name} as {rule}; received {name}={value!r}"
