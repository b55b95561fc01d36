"""Carry what training put in place of bad cells inside a compiled model, where C programs and headers find it.

In Python the schema of a model fills cells in before they reach the core. A file or a header has no Python, so there
the fills are the state of a normalization: of the model's own, if it is the first layer, or of one that changes nothing
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core
from ..layers import Normalization
from .network import assemble

__all__ = ["with_fills", "without_fills"]

_NONFINITE = Normalization.MISSING.index("nonfinite")


def with_fills(core: _core.Model, fill: Sequence[float]) -> tuple[_core.Model, dict[str, Any]]:
    """Return a copy of a model that fills in bad cells of X itself, and what `without_fills` needs to undo it."""
    layers, values = list(core.layers), np.asarray(fill, np.float64)
    own = _own_columns(core) if not _block_from_the_start(layers) else None
    changed: dict[str, Any] = {"at": 0}
    if own is not None:
        kind, numbers = layers[0]["kind"]
        changed = {"at": None, "missing": numbers["missing"], "fill": _state(core, 0, "fill").tolist()}
        layers[0] = layers[0] | {"kind": (kind, numbers | {"missing": _NONFINITE})}
        if not own.all():
            changed["at"] = 1
    if changed["at"] is not None:
        added = Normalization(missing="nonfinite").core
        layers.insert(changed["at"], added)
    filled = _copy(core, layers, added=changed["at"])
    if changed["at"] is not None:
        for name, value in (("shift", 0.0), ("scale", 1.0), ("fill", values), ("rows", 1.0)):
            _state(filled, changed["at"], name)[...] = value
    if own is not None:
        _state(filled, 0, "fill")[own] = values[own]
    return filled, changed


def without_fills(core: _core.Model, changed: Mapping[str, Any]) -> _core.Model:
    """Return a copy of a model as it was before `with_fills`."""
    layers, at = list(core.layers), changed["at"]
    if at is not None:
        if layers[at]["kind"][0] != Normalization.kind:
            raise ValueError(f"layer {at} is no normalization")
        del layers[at]
    if "missing" in changed:
        kind, numbers = layers[0]["kind"]
        layers[0] = layers[0] | {"kind": (kind, numbers | {"missing": changed["missing"]})}
    plain = _copy(core, layers, removed=at)
    if "missing" in changed:
        _state(plain, 0, "fill")[...] = changed["fill"]
    return plain


def _own_columns(core: _core.Model) -> np.ndarray | None:
    """Tell which columns the first layer normalizes; None where it is no normalization."""
    if core.layers[0]["kind"][0] != Normalization.kind:
        return None
    return ~np.isnan(_state(core, 0, "scale"))


def _block_from_the_start(layers: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a residual block begins with the first layer, so that X goes around it."""
    adds = [(i, layer["kind"][1]) for i, layer in enumerate(layers) if layer["kind"][0] == "add"]
    return any(int(numbers["layers"]) >= i for i, numbers in adds)


def _state(core: _core.Model, layer: int, name: str) -> np.ndarray:
    """Return one layer's part of the state, as a view."""
    for part, index, offset, rows, columns in core.states:
        if index == layer and part == name:
            return np.asarray(core.state)[offset : offset + rows * columns]
    raise ValueError(f"layer {layer} has no {name}")


def _copy(
    core: _core.Model, layers: list[Any], added: int | None = None, removed: int | None = None
) -> _core.Model:  # fmt: skip
    """Return a model of other layers with the parameters and the state of those that both have, and the loss."""
    copy = assemble(core.inputs, layers, core.dtype, core.seed, core.target_scaling, core.context, core.timesteps)
    np.asarray(copy.parameters)[...] = np.asarray(core.parameters)
    for name, index, *_ in core.states:
        if index == removed:
            continue
        later = index if index < 0 else index + (added is not None and index >= added)
        later -= removed is not None and index > removed
        _state(copy, later, name)[...] = _state(core, index, name)
    if core.loss is not None:
        copy.set_loss(core.loss)
    return copy
