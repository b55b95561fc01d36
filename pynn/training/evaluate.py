"""Loss and metrics over data, without training."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import known, sampling
from ..errors import ArgumentValueError, NumericalError, ShapeError
from ..metrics.base import value_of
from ..network import precision
from ..report import data_faults
from .batches import checked
from .metrics import rows_at_once

if TYPE_CHECKING:
    from ..model import Sequential


class Held:
    """Checked batches of any iterable, as `Blocks` has them: to evaluate on, weighted by class (classes, weights)."""

    def __init__(self, model: Sequential, batches: Iterable[Any], class_weight: Any = None) -> None:
        self.model, self.batches, self.class_weight = model, batches, class_weight

    def __iter__(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        for batch in self.batches:
            x, y, weights = checked(self.model, batch)
            x = known.filled(x, self.model.schema)
            if self.class_weight is not None:
                by_class = sampling.row_weights(self.class_weight, sampling.as_labels(y, "class_weight"))[:, None]
                weights = by_class if weights is None else weights * by_class
            yield x, y, weights, getattr(batch[0], "rows", None)


class Blocks:
    """Checked rows of a loader, (X, y, weights, rows' numbers) after (X, ...), each time it is iterated: to evaluate
    on."""

    def __init__(self, model: Sequential, loader: Any) -> None:
        self.model, self.loader = model, loader

    def __iter__(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        for block in self.loader.blocks(0):
            x = known.filled(block.x, self.model.schema)
            yield *self.model.check_batch(x, block.targets, block.weights, block.numbers), block.numbers


def evaluate(
    model: Sequential, parts: Iterable[tuple[Any, Any, Any, Any]], *, guarded: bool = True
) -> dict[str, float]:
    """Loss and metrics over parts (X, y, weights, rows' numbers or None) of checked arrays, in chunks. The metrics are
    copies: those of the model may be at work for an epoch, or for another thread."""
    metrics = copy.deepcopy(model.metrics)
    for metric in metrics:
        metric.reset()
    most, loss, before, weighted = rows_at_once(model), 0.0, 0, False
    double = precision.scales_in_double(model.core)
    dtype = np.float64 if double else model.dtype
    for x, y, weights, numbers in parts:
        n = x.shape[0]
        out: Any = np.empty((min(most, n), model.outputs), dtype) if metrics else None
        for first in range(0, n, most):
            rows = slice(first, min(first + most, n))
            w = None if weights is None else weights[rows]
            try:
                predictions = None if double else out
                loss += model.core.evaluate(x[rows], y[rows], w, predictions, guarded) * (rows.stop - first)
                if double and metrics:
                    precision.predict(model.core, x[rows], out[: rows.stop - first], guarded=guarded)
            except NumericalError as error:
                raise data_faults.bad_prediction(
                    error, first if numbers is not None else before + first, numbers
                ) from None
            for metric in metrics:
                metric.update(y[rows], out[: rows.stop - first], w)
        before += n
        weighted = weighted or w is None or bool(weights.any())
    if not before:
        raise ShapeError("expected at least one row to evaluate; received none")
    require_weight(weighted)
    return {"loss": loss / before} | {metric.name: value_of(metric) for metric in metrics}


def require_weight(weighted: bool) -> None:
    """Refuse data of which no row counts: their loss would be 0, the best there is."""
    if not weighted:
        raise ArgumentValueError(
            "expected sample_weight, or class_weight of the classes in y, with a weight > 0; received weights that are "
            "all 0"
        )


def require_finite(model: Sequential, data: tuple[Any, Any, Any], numbers: Any = None) -> None:
    """Refuse X, y and weights with cells that are NaN or infinite before any step, but not the y of rows of weight 0;
    memory-mapped data are left to the steps. `numbers` are the rows' for the caller."""
    for name, x in zip(("X", "y", "sample_weight"), data, strict=True):
        if x is None:
            continue
        if getattr(x, "base", None) is not None and type(x.base).__name__ in ("mmap", "memmap"):
            continue
        cells = model.refused(name, x)
        if name == "y" and data[2] is not None:
            cells = cells[data[2][cells[:, 0], 0] != 0]
        if len(cells):
            raise data_faults.bad_cells(name, x, cells, numbers)
