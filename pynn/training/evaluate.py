"""Compute loss and metrics over data, without training."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data import known, sampling
from ..errors import ArgumentValueError, NumericalError, ShapeError
from ..metrics.base import value_of
from ..network import precision
from ..network.passes import Part, Passes
from ..report import data_faults
from .learner import Learner
from .metrics import rows_at_once

__all__ = ["Checked", "evaluate", "require_finite"]


class Checked:
    """Passes over rows as the core reads them, weighted by class (classes, weights) if that is given."""

    def __init__(self, learner: Learner, passes: Passes, class_weight: Any = None) -> None:
        self.learner, self.passes, self.class_weight = learner, passes, class_weight

    def __iter__(self) -> Iterator[Part]:
        for part in self.passes:
            x = known.filled(part.x, self.learner.network.schema)
            checked = self.learner.check_batch(x, *part[1:])
            if self.class_weight is not None:
                by_class = sampling.weights_of(self.class_weight, checked.y)
                weights = by_class if checked.weights is None else checked.weights * by_class
                checked = checked._replace(weights=weights)
            yield checked


def evaluate(learner: Learner, passes: Passes, *, guarded: bool = True) -> dict[str, float]:
    """Return loss and metrics over checked rows, in chunks. The metrics are copies: those of the learner may be in use
    for an epoch, or by another thread."""
    metrics = copy.deepcopy(learner.metrics)
    for metric in metrics:
        metric.reset()
    core, most, loss, before, weighted = learner.network.core, rows_at_once(learner), 0.0, 0, False
    double = precision.scales_in_double(core)
    dtype = np.float64 if double else learner.network.dtype
    for x, y, weights, rows in passes:
        n = x.shape[0]
        out: Any = np.empty((min(most, n), learner.network.outputs), dtype) if metrics else None
        for first in range(0, n, most):
            part = slice(first, min(first + most, n))
            w = None if weights is None else weights[part]
            try:
                predictions = None if double else out
                loss += core.evaluate(x[part], y[part], w, predictions, guarded) * (part.stop - first)
                if double and metrics:
                    precision.predict(core, x[part], out[: part.stop - first], guarded=guarded)
            except NumericalError as error:
                raise data_faults.bad_prediction(error, first if rows is not None else before + first, rows) from None
            for metric in metrics:
                some = y[part], out[: part.stop - first], w
                metric.update(*(metric.by_output(*some) if w is not None and w.shape[1] > 1 else some))
        before += n
        weighted = weighted or weights is None or bool(weights.any())
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


def require_finite(learner: Learner, part: Part) -> None:
    """Refuse X, y and weights with cells that are NaN or infinite before any step, but not the y of rows of weight 0;
    memory-mapped data are left to the steps."""
    for name, x in zip(("X", "y", "sample_weight"), part[:3], strict=True):
        if x is None or x.dtype.kind != "f":
            continue
        if getattr(x, "base", None) is not None and type(x.base).__name__ in ("mmap", "memmap"):
            continue
        cells = learner.network.bad_cells(name, x)
        if name == "y" and part.weights is not None:
            cells = cells[part.weights[cells[:, 0], cells[:, 1] % part.weights.shape[1]] != 0]
        if len(cells):
            raise data_faults.bad_cells(name, x, cells, part.rows)
