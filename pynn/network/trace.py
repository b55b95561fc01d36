"""One batch on its way through every layer: shapes, ranges, what is not finite, time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..data import known
from ..names import public
from .network import Network

__all__ = ["Trace", "TracedLayer", "trace"]

REPEATS = 7  # of a pass that is timed; the quickest counts


@public
@dataclass(frozen=True)
class TracedLayer:
    """What a layer made of a batch.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Rows and units.
    low, mean, high, std : float
        Of the finite values; NaN where there are none.
    zeros : float
        Share of values that are exactly 0.
    nonfinite : int
        Number of values that are NaN or infinite.
    row, column : int or None
        The first of them.
    seconds : float
        Time of this layer, for the whole batch.
    """

    name: str
    shape: tuple[int, ...]
    low: float
    mean: float
    high: float
    std: float
    zeros: float
    nonfinite: int
    row: int | None
    column: int | None
    seconds: float


@public
@dataclass(frozen=True)
class Trace:
    """A batch on its way through a network; prints as a table.

    Attributes
    ----------
    layers : list of TracedLayer
        The input, every layer as in prediction, and the prediction if the loss makes another one of the last layer.
    """

    layers: list[TracedLayer]

    def __iter__(self) -> Iterator[TracedLayer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> TracedLayer:
        return self.layers[index]

    def __str__(self) -> str:
        head = ("layer", "shape", "lowest", "mean", "highest", "std", "zeros", "not finite", "time")
        rows = [head] + [
            (layer.name, "x".join(map(str, layer.shape)), *(f"{v:.3g}" for v in (layer.low, layer.mean, layer.high)),
             f"{layer.std:.3g}", f"{layer.zeros:.0%}", _bad(layer), f"{1e6 * layer.seconds:.0f} us")
            for layer in self.layers
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        aligned = [[cell.rjust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]
        return "\n".join("  ".join([row[0].ljust(widths[0]), *cells[1:]])
                         for row, cells in zip(rows, aligned, strict=True))  # fmt: skip


def _bad(layer: TracedLayer) -> str:
    return f"{layer.nonfinite}, first [{layer.row}, {layer.column}]" if layer.nonfinite else "0"


def trace(network: Network, x: Any) -> Trace:
    """Take rows through a network layer by layer, as in prediction."""
    x = arrays.as_inputs(known.inputs(x, network.schema), network.core.inputs)
    values = known.filled(x, network.schema)
    values = np.asarray(values.toarray() if arrays.is_sparse(values) else values)
    found = [_measured("input", values, 0.0)]
    before = 0.0
    for i, spec in enumerate(network.specs):
        below = network.cut(i + 1)
        out = np.empty((len(values), below.outputs), network.dtype)
        whole = _timed(below, values, out)
        activation = getattr(spec, "activation", None)
        kind = f"{i} {type(spec).__name__}" + (f" {activation.name}" if activation is not None else "")
        found.append(_measured(kind, out, max(whole - before, 0.0)))
        before = whole
    if network.loss is not None and network.loss.row["link"] != "linear":
        out = np.empty((len(values), network.core.outputs), network.dtype)
        network.core.predict(values, out, False, False)
        found.append(_measured(f"prediction ({network.loss.row['link']})", out, 0.0))
    return Trace(found)


def _timed(core: Any, x: np.ndarray, out: np.ndarray) -> float:
    """Predict logits, and return the seconds of the quickest pass."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        core.predict(x, out, True, False)
        times.append(time.perf_counter() - begin)
    return min(times)


def _measured(name: str, values: np.ndarray, seconds: float) -> TracedLayer:
    """Return what there is to say of the values of a layer."""
    finite = np.isfinite(values)
    good = values[finite].astype(np.float64)
    at = np.argwhere(~finite)
    row, column = (int(at[0][0]), int(at[0][1])) if len(at) else (None, None)
    with np.errstate(over="ignore"):
        numbers = (float(good.min()), float(good.mean()), float(good.max()), float(good.std())) if len(good) else None
    low, mean, high, std = numbers or (np.nan,) * 4
    return TracedLayer(name, values.shape, low, mean, high, std, float((values == 0).mean()), len(at), row, column,
                       seconds)  # fmt: skip
