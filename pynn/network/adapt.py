"""What data decide before training: shifts and scales of normalizations, sizes of categories, scaling of targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, arrays, runtime
from .. import layers as layers_
from ..errors import ArgumentTypeError, ArgumentValueError, NotReadyError, NumericalError

if TYPE_CHECKING:
    from ..model import Sequential

__all__ = ["Parts", "adapt", "adapt_targets", "learn_sizes", "needed", "update_moments"]

ROWS = 1 << 14  # of an array that are taken at a time
BYTES = 1 << 26  # of numbers that are held for exact quartiles
HELD = 2048  # numbers of a column that are held for quartiles of data that come in parts
MOST_CODES = (1 << 20) - 2

Parts = Callable[[], Iterator[tuple[Any, Any]]]  # a new pass over (X, y), part by part, each time it is called


def parts(data: Any) -> Parts:
    """A way to pass over data: an array, a `DataLoader`, or an iterable of arrays or of batches (X, y)."""
    if hasattr(data, "parts"):
        return lambda: ((rows.x, rows.targets) for rows in data.parts())
    if not _is_iterable_of_parts(data):
        x = arrays.as_matrix(data)
        return lambda: ((x[first : first + ROWS], None) for first in range(0, len(x), ROWS))
    if hasattr(data, "__next__"):
        raise ArgumentTypeError(
            "expected data that can be passed over more than once, to adapt to before training; received an iterator, "
            "which runs out: call adapt(X) with an array or a loader first"
        )
    return lambda: ((part[0], part[1]) if isinstance(part, (tuple, list)) else (part, None) for part in data)


def _is_iterable_of_parts(x: Any) -> bool:
    return hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, (list, tuple, str, bytes))


def needed(model: Sequential) -> bool:
    """Whether anything waits for data."""
    return bool(
        [layer for layer in _specs(model) if isinstance(layer, layers_.Categorical) and layer.sizes is None]
        or (not model.built and [layer for layer in _specs(model) if isinstance(layer, layers_.Normalization)])
        or (model.built and (_waiting(model) or not targets_ready(model)))
        or (not model.built and model.target_scaling)
    )


def _specs(model: Sequential) -> list[layers_.Layer]:
    return [layer.spec for layer in model.layers]


def _waiting(model: Sequential) -> list[int]:
    """Normalizations that were not adapted yet."""
    state = np.asarray(model.core.state)
    return [layer for name, layer, offset, _, _ in model.core.states if name == "rows" and not state[offset] > 0]


def targets_ready(model: Sequential) -> bool:
    state = np.asarray(model.core.state)
    return all(state[offset] > 0 for name, _, offset, _, _ in model.core.states if name == "target_rows")


# ---- categories


def learn_sizes(model: Sequential, data: Parts) -> dict[int, tuple[int, ...]]:
    """Numbers of codes of the categories that have none yet, by layer: the largest code + 1."""
    found = {}
    for index, layer in enumerate(_specs(model)):
        if not isinstance(layer, layers_.Categorical) or layer.sizes is not None:
            continue
        for below in _specs(model)[:index]:
            apart = isinstance(below, layers_.Normalization) and below.columns is not None
            if not apart or set(below.columns) & set(layer.columns):  # type: ignore[attr-defined]
                raise ArgumentValueError(
                    f"expected Categorical.sizes of layer {index}, as layers below it change its columns; "
                    "received sizes=None"
                )
        largest, first = np.zeros(len(layer.columns)), 0
        for x, _ in data():
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


def adapt(model: Sequential, data: Any, layer: int | None = None) -> None:
    """Adapt one normalization, or all that were not yet, in order; each sees what the layers below make of the data."""
    waiting = _waiting(model) if layer is None else [layer]
    for index in waiting:
        spec = _specs(model)[index]
        below = _below(model, index)
        whole = None if callable(data) or _is_iterable_of_parts(data) else arrays.as_matrix(data)
        if whole is not None and below is None and spec.needs_quartiles:  # type: ignore[attr-defined]
            _adapt_blocks(model, index, whole)
            continue
        held = HELD if spec.needs_quartiles else 0  # type: ignore[attr-defined]
        model.core.adapt(index, _summarize(model, below, data, held))


def _summarize(model: Sequential, below: _core.Model | None, data: Any, held: int = 0) -> _core.Summary:
    """What columns hold of what the layers below one make of the data."""
    summary = None
    for x, _ in (data if callable(data) else parts(data))():
        x = x if arrays.is_sparse(x) else arrays.as_matrix(x, "X", model.inputs)
        if below is not None:
            x = below.predict(x, np.empty((x.shape[0], below.outputs), model.dtype), True, False)
        summary = summary or runtime.summary(x.shape[1], held)
        summary.add(x)
    if summary is None:
        raise ArgumentValueError("expected data with at least one row to adapt to; received none")
    return summary


def update_moments(model: Sequential, data: Any) -> None:
    """Moving means and variances of batch normalizations, in order, from what the layers below make of the data."""
    state = np.asarray(model.core.state)
    before = state.copy()
    try:
        for index, spec in enumerate(_specs(model)):
            if isinstance(spec, layers_.BatchNormalization):
                _take_moments(model, index, _summarize(model, _below(model, index), data))
    except BaseException:
        state[...] = before
        raise


def _take_moments(model: Sequential, index: int, summary: _core.Summary) -> None:
    layer, largest = model.layers[index], float(np.finfo(model.dtype).max)
    for j in range(len(layer.moving_mean)):
        column = summary.column(j)
        if not column["count"]:
            continue
        mean, std = column["mean"], column["std"]
        if not (abs(mean) <= largest and std <= math.sqrt(largest)):
            raise NumericalError(
                f"expected columns whose mean and variance {model.dtype.name} holds, up to {largest:.1e}; received "
                f"column {j} of what layer {index}, BatchNormalization, takes, with mean {mean:g} and standard "
                f"deviation {std:g}: scale X, or put a pynn.Normalization before it"
            )
        layer.moving_mean[j], layer.moving_variance[j] = mean, std**2


def _adapt_blocks(model: Sequential, index: int, x: np.ndarray) -> None:
    """All numbers of some columns at a time: exact quartiles in bounded memory."""
    width = max(1, BYTES // (8 * len(x)))
    for first in range(0, x.shape[1], width):
        block = x[:, first : first + width]
        summary = runtime.summary(block.shape[1], max(2, len(x)))
        summary.add(block)
        model.core.adapt(index, summary, first)


def _below(model: Sequential, index: int) -> _core.Model | None:
    """A model of the layers below one; None where they leave X as it is."""
    core = model.core
    if all(isinstance(spec, (layers_.Dropout, layers_.GaussianNoise)) for spec in _specs(model)[:index]):
        return None
    below = _core.Model(core.context, core.inputs, core.layers[:index], core.dtype, core.seed)
    for to, source in ((below.parameters, core.parameters), (below.state, core.state)):
        np.asarray(to)[...] = np.asarray(source)[: len(to)]
    return below


# ---- targets


def adapt_targets(model: Sequential, data: Iterable[tuple[Any, Any]]) -> None:
    """Take the scaling of targets from (X, y) parts."""
    summary = runtime.summary(model.outputs)
    for _, y in data:
        if y is None:
            raise NotReadyError("expected targets to scale; received X alone")
        y = arrays.as_matrix(y, "y")
        summary.add(y)
    model.core.adapt_targets(summary, model.target_scaling == "minmax")
