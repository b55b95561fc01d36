"""Numbers that float32 has no steps for: when scaled targets or inputs need float64, and predictions in it.

A model computes in units of the spread, where float32 is fine enough; what it takes and gives is in units of the data.
There float32 has 2^24 steps between 0 and the shift: of a spread that is much smaller than the shift few are left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core

__all__ = ["NEEDS", "needs_double", "predict", "reads_in_double", "scales_in_double", "unscaled"]

NEEDS = 2.0**13  # shift / spread beyond which rounding to float32 moves a number by 2^-11 of the spread


def needs_double(shift: np.ndarray, spread: np.ndarray) -> bool:
    """Tell whether numbers at this shift, that vary by this spread, need float64 in any column."""
    shift, spread = np.abs(np.asarray(shift, np.float64)), np.asarray(spread, np.float64)
    constant = ~(spread > 0)  # a target that never changed is predicted as it was
    return bool(((shift > NEEDS * spread) & ~constant).any() or (constant & (np.float32(shift) != shift)
                                                                 & (shift > 2.0**24)).any())  # fmt: skip


def _scaling(core: _core.Model) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift and the spread of a model's targets."""
    found = {name: (offset, rows * columns) for name, layer, offset, rows, columns in core.states if layer < 0}
    state = np.asarray(core.state)
    shift, spread = (state[at : at + n] for at, n in (found["target_shift"], found["target_spread"]))
    return shift, spread


def reads_in_double(core: _core.Model) -> bool:
    """Tell whether the first layer of a float32 model normalizes numbers that need float64."""
    if core.dtype != "float32" or core.layers[0]["kind"][0] != "normalization":
        return False
    state = np.asarray(core.state)
    found = {name: state[at : at + rows * columns] for name, layer, at, rows, columns in core.states if layer == 0}
    own = found["scale"] > 0  # others are constant, or copied
    shift, spread = found["shift"][own], 1 / found["scale"][own]
    return needs_double(shift, spread) or bool((np.abs(shift) > np.finfo(np.float32).max).any())


def scales_in_double(core: _core.Model) -> bool:
    """Tell whether a float32 model predicts numbers that need float64."""
    return bool(core.target_scaling) and core.dtype == "float32" and needs_double(*_scaling(core))


def unscaled(core: _core.Model, raw: np.ndarray) -> np.ndarray:
    """Return logits in the units of the targets, in float64."""
    shift, spread = _scaling(core)
    return raw.astype(np.float64) * spread + shift


def predict(core: _core.Model, x: Any, out: np.ndarray, raw: bool = False, guarded: bool = True) -> None:
    """Write predictions to `out`; in float64 where `out` is and the model is not."""
    if raw or out.dtype == core.dtype:
        core.predict(x, out, raw, guarded)
        return
    logits = np.empty(out.shape, core.dtype)
    try:
        core.predict(x, logits, True, guarded)
    finally:
        out[...] = unscaled(core, logits)
