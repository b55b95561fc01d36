"""What can be set on a model, and what to do about the rest."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from difflib import get_close_matches
from typing import Any

__all__ = ["require_settable"]

FIXED = {  # attributes that cannot be set, and what to do instead
    "loss": "call compile(loss=...)",
    "target_scaling": "call compile(loss=..., target_scaling=...)",
    "seed": "make another model, Sequential(layers, seed=...)",
    "dtype": "make another model, Sequential(layers, dtype=...)",
    "inputs": "call build(inputs)",
    "outputs": "make another model, with other units in its last layer",
    "built": "call build(inputs)",
    "parameters": "write into them, model.parameters[...] = values",
    "history": "keep it under a name of your own; the next fit starts another one",
    "core": "call build(inputs)",
    "layers": "make another model, Sequential(layers)",
}


def require_settable(model: type, name: str, value: Any) -> None:
    """Refuse attributes that cannot be set, and misspelt ones; others are the user's own."""
    if name in FIXED:
        raise FrozenInstanceError(f"expected {name} to stay as it is; received {name}={value!r}: {FIXED[name]}")
    if name.startswith("_") or hasattr(model, name):
        return
    near = get_close_matches(name, [known for known in dir(model) if not known.startswith("_")], 1, 0.8)
    if near:
        raise FrozenInstanceError(f"expected an attribute such as {near[0]}; received {name}={value!r}")
