"""Weights as 8-bit integers with one scale for each unit."""

from __future__ import annotations

import numpy as np

_CANDIDATES = np.linspace(0.6, 1.0, 33)  # of the scale at which no weight is clipped


def quantize(kernel: np.ndarray, importance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int8 matrix, float32 scales) with ``matrix * scales`` near `kernel`, (inputs, units).

    For each unit the scale is chosen, among 33 that clip none to some of its weights, which least changes the unit's
    sum: the error of a weight counts by `importance`, (inputs,), the mean square of the input that it multiplies.
    """
    largest = np.abs(kernel).max(axis=0)
    best = np.full(kernel.shape[1], np.inf)
    scales = np.zeros(kernel.shape[1], np.float32)
    matrix = np.zeros(kernel.shape, np.int8)
    for candidate in _CANDIDATES:
        scale = (largest * candidate / 127).astype(np.float32)
        steps = np.clip(np.rint(kernel / np.where(scale > 0, scale, 1)), -127, 127)
        error = importance @ np.square(kernel - steps * scale.astype(np.float64))
        better = error < best
        best[better], scales[better] = error[better], scale[better]
        matrix[:, better] = steps[:, better].astype(np.int8)
    return matrix, scales
