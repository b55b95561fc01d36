"""What data decide before training: shifts and scales of normalizations, sizes of categories, scaling of targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core, arrays, runtime
from .. import layers as layers_
from ..errors import ArgumentValueError, NotReadyError, NumericalError, UnsupportedError
from .network import Network
from .passes import ArrayPasses, BatchPasses, LoaderPasses, Passes, passes

__all__ = ["adapt", "adapt_targets", "learn_sizes", "needed", "targets_ready", "update_moments"]

BYTES = 1 << 26  # of numbers that are held for exact quartiles
HELD = 2048  # numbers of a column that are held for quartiles of data that come in parts
MOST_CODES = (1 << 20) - 2


def needed(network: Network) -> bool:
    """Whether anything waits for data."""
    built = network.built
    for layer in network.specs:
        if isinstance(layer, layers_.Categorical) and layer.sizes is None:
            return True
        if isinstance(layer, layers_.Normalization) and not built:
            return True
    if not built:
        return network.target_scaling is not None
    return bool(_waiting(network)) or not targets_ready(network)


def _waiting(network: Network) -> list[int]:
    """Normalizations that were not adapted yet."""
    state = np.asarray(network.core.state)
    return [layer for name, layer, offset, _, _ in network.core.states if name == "rows" and not state[offset] > 0]


def targets_ready(network: Network) -> bool:
    state = np.asarray(network.core.state)
    return all(state[offset] > 0 for name, _, offset, _, _ in network.core.states if name == "target_rows")


# ---- categories


def learn_sizes(network: Network, data: Passes) -> dict[int, tuple[int, ...]]:
    """Numbers of codes of the categories that have none yet, by layer: the largest code + 1."""
    found = {}
    for index, layer in enumerate(network.specs):
        if not isinstance(layer, layers_.Categorical) or layer.sizes is not None:
            continue
        for below in network.specs[:index]:
            apart = isinstance(below, layers_.Normalization) and below.columns is not None
            if not apart or set(below.columns) & set(layer.columns):  # type: ignore[attr-defined]
                raise ArgumentValueError(
                    f"expected Categorical.sizes of layer {index}, as layers below it change its columns; "
                    "received sizes=None"
                )
        largest, first = np.zeros(len(layer.columns)), 0
        for x, *_ in data:
            x = arrays.as_matrix(x)
            if layer.columns[-1] >= x.shape[1]:
                raise ArgumentValueError(
                    f"expected X with the columns of Categorical, up to {layer.columns[-1]}; received X of {x.shape[1]}"
                )
            largest = np.maximum(largest, _largest_codes(x, layer.columns, first))
            first += len(x)
        found[index] = tuple(int(code) + 1 for code in largest)
    return found


def _largest_codes(x: np.ndarray, columns: tuple[int, ...], first: int) -> np.ndarray:
    codes = np.asarray(x[:, list(columns)], np.float64)
    codes = np.where(np.isfinite(codes) & (codes >= 0), codes, 0)
    bad = np.argwhere((codes != np.floor(codes)) | (codes > MOST_CODES))
    if len(bad):
        row, place = (int(i) for i in bad[0])
        raise ArgumentValueError(
            f"expected codes as integers up to {MOST_CODES}; received X[{first + row}, {columns[place]}]="
            f"{codes[row, place]:g}"
        )
    return codes.max(axis=0, initial=0)


# ---- normalizations


def adapt(network: Network, data: Any, layer: int | None = None) -> None:
    """Adapt one normalization, or all that were not yet, in order; each sees what the layers below make of the data."""
    data = data if isinstance(data, (ArrayPasses, LoaderPasses, BatchPasses)) else passes(data)
    whole = data.whole.x if isinstance(data, ArrayPasses) and not arrays.is_sparse(data.whole.x) else None
    for index in _waiting(network) if layer is None else [layer]:
        spec: Any = network.specs[index]
        below = network.below(index)
        if below is None and isinstance(data, ArrayPasses) and arrays.is_sparse(data.whole.x):
            raise UnsupportedError(
                "expected a dense X for Normalization, whose shift would fill the zeros of a sparse one; received a "
                f"sparse {type(data.whole.x).__name__}. Scale its columns by their spread alone, before: "
                "X.multiply(1 / abs(X).max(axis=0).toarray()).tocsr() brings them to -1 ... 1"
            )
        if whole is not None and below is None and spec.needs_quartiles:
            _adapt_blocks(network, index, whole)
            continue
        network.core.adapt(index, _summarize(network, below, data, HELD if spec.needs_quartiles else 0))


def _summarize(network: Network, below: _core.Model | None, data: Passes, held: int = 0) -> _core.Summary:
    """What columns hold of what the layers below one make of the data."""
    summary = None
    for x, *_ in data:
        x = x if arrays.is_sparse(x) else arrays.as_matrix(x, "X", network.inputs)
        if below is not None:
            x = below.predict(x, np.empty((x.shape[0], below.outputs), network.dtype), True, False)
        summary = summary or runtime.summary(x.shape[1], held)
        summary.add(x)
    if summary is None:
        raise ArgumentValueError("expected data with at least one row to adapt to; received none")
    return summary


def update_moments(network: Network, data: Passes) -> None:
    """Take moving means and variances of batch normalizations, in order, from what the layers below make of the data.

    Those of frozen layers stay.
    """
    state = network.state
    before = state.copy()
    try:
        for index, spec in enumerate(network.specs):
            if isinstance(spec, layers_.BatchNormalization) and index not in network.frozen:
                _take_moments(network, index, _summarize(network, network.below(index), data))
    except BaseException:
        state[...] = before
        raise


def _take_moments(network: Network, index: int, summary: _core.Summary) -> None:
    means, variances = network.view(index, "moving_mean"), network.view(index, "moving_variance")
    largest = float(np.finfo(network.dtype).max)
    for j in range(len(means)):
        column = summary.column(j)
        if not column["count"]:
            continue
        mean, std = column["mean"], column["std"]
        if not (abs(mean) <= largest and std <= math.sqrt(largest)):
            raise NumericalError(
                f"expected columns whose mean and variance {network.dtype.name} holds, up to {largest:.1e}; received "
                f"column {j} of what layer {index}, BatchNormalization, takes, with mean {mean:g} and standard "
                f"deviation {std:g}: scale X, or put a pynn.Normalization before it"
            )
        means[j], variances[j] = mean, std**2


def _adapt_blocks(network: Network, index: int, x: np.ndarray) -> None:
    """All numbers of some columns at a time: exact quartiles in bounded memory."""
    width = max(1, BYTES // (8 * len(x)))
    for first in range(0, x.shape[1], width):
        block = x[:, first : first + width]
        summary = runtime.summary(block.shape[1], max(2, len(x)))
        summary.add(block)
        network.core.adapt(index, summary, first)


# ---- targets


def adapt_targets(network: Network, data: Passes) -> None:
    """Take the scaling of targets from data."""
    summary = runtime.summary(network.outputs)
    for _, y, weights, _ in data:
        if y is None:
            raise NotReadyError("expected targets to scale; received X alone")
        y = arrays.as_matrix(y, "y")
        summary.add(y if weights is None else arrays.there(y, weights))
    network.core.adapt_targets(summary, network.target_scaling == "minmax")
