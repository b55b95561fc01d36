"""Layers and optimizers as the Python that makes them: ``pynn.Dense(10, activation="relu")``."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from .base import Layer

__all__ = ["written"]

HOMES = {"pynn.optimizers": "pynn", "pynn.layers": "pynn"}  # whose classes `pynn` itself has


def written(value: Any) -> str:
    """Return an expression that makes the value again, with the arguments that are not the defaults."""
    if isinstance(value, (list, tuple)) and any(isinstance(one, Layer) for one in value):
        return f"[{', '.join(map(written, value))}]"
    if not is_dataclass(value) or isinstance(value, type):
        return f'"{value}"' if isinstance(value, str) and value.isidentifier() else repr(value)
    given = _given(value)
    module = type(value).__module__
    home = "pynn" if isinstance(value, Layer) else HOMES.get(module, module)
    if not given and home not in ("pynn",) and hasattr(value, "name"):
        return f'"{value.name}"'
    shown = [written(v) if i == 0 and isinstance(value, Layer) and name in ("units", "rate", "layers") else
             f"{name}={written(v)}" for i, (name, v) in enumerate(given)]  # fmt: skip
    return f"{home}.{type(value).__name__}({', '.join(shown)})"


def _given(value: Any) -> list[tuple[str, Any]]:
    """Return the arguments without which another value would be made."""
    given = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
    for f in fields(value):
        if f.init and (f.default is not MISSING or f.default_factory is not MISSING):
            others = {name: argument for name, argument in given.items() if name != f.name}
            given = others if type(value)(**others) == value else given
    return list(given.items())
