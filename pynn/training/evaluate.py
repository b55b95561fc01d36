"""Compute loss and metrics over data, without training."""

from __future__ import annotations

import copy
import itertools
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
from .processes import Together

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


def evaluate(
    learner: Learner, passes: Passes, *, guarded: bool = True, together: Together | None = None
) -> dict[str, float]:
    """Return loss and metrics over checked rows, in chunks, which several processes share out. The metrics are copies:
    those of the learner may be in use for an epoch, or by another thread."""
    metrics = copy.deepcopy(learner.metrics)
    for metric in metrics:
        metric.reset()
    loss, before, weighted, few = 0.0, 0, False, together.processes if together else 1
    chunks = _chunks(passes, rows_at_once(learner))
    while group := list(itertools.islice(chunks, few)):
        found = _shared(learner, group, guarded, together) if together else [_evaluated(learner, group[0], guarded)]
        for (_, y, weights, _, _), (mean, out) in zip(group, found, strict=True):
            loss += mean * len(y)
            before += len(y)
            weighted = weighted or weights is None or bool(weights.any())
            for metric in metrics:
                some = y, out, weights
                metric.update(*(metric.by_output(*some) if weights is not None and weights.shape[1] > 1 else some))
    if not before:
        raise ShapeError("expected at least one row to evaluate; received none")
    require_weight(weighted)
    return {"loss": loss / before} | {metric.name: value_of(metric) for metric in metrics}


# X, y, weights, index of the first row in `rows`, and what those are
Chunk = tuple[Any, Any, Any, int, Any]


def _chunks(passes: Passes, most: int) -> Iterator[Chunk]:
    """Passes in parts of at most `most` rows."""
    before = 0
    for x, y, weights, rows in passes:
        n = x.shape[0]
        for first in range(0, n, most):
            part = slice(first, min(first + most, n))
            at = first if rows is not None else before + first
            yield x[part], y[part], None if weights is None else weights[part], at, rows
        before += n


def _predictions(learner: Learner, chunk: Chunk) -> Any:
    """Memory for the predictions of a chunk; None if no metric needs them."""
    double = precision.scales_in_double(learner.network.core)
    dtype = np.float64 if double else learner.network.dtype
    return np.empty((len(chunk[1]), learner.network.outputs), dtype) if learner.metrics else None


def _evaluated(learner: Learner, chunk: Chunk, guarded: bool) -> tuple[float, Any]:
    """Return the mean loss of a chunk, and its predictions."""
    x, y, weights, first, rows = chunk
    core, out = learner.network.core, _predictions(learner, chunk)
    double = precision.scales_in_double(core)
    try:
        loss = core.evaluate(x, y, weights, None if double else out, guarded)
        if double and out is not None:
            precision.predict(core, x, out, guarded=guarded)
    except NumericalError as error:
        raise data_faults.bad_prediction(error, first, rows) from None
    return loss, out


def _shared(learner: Learner, group: list[Chunk], guarded: bool, together: Together) -> list[tuple[float, Any]]:
    """The same for a chunk of each process, of which this one evaluates its own."""
    own = np.empty(0, np.uint8)
    if together.process < len(group):
        loss, out = _evaluated(learner, group[together.process], guarded)
        parts = [np.array([loss]), *([] if out is None else [out.reshape(-1)])]
        own = np.concatenate([part.view(np.uint8) for part in parts])
    made = [_predictions(learner, chunk) for chunk in group]
    lengths = [8 + (0 if out is None else out.nbytes) for out in made] + [0] * (together.processes - len(group))
    found = []
    for data, out in zip(together.arrays(own, lengths), made, strict=False):
        if out is not None:
            out.reshape(-1).view(np.uint8)[:] = data[8:]
        found.append((float(data[:8].copy().view(np.float64)[0]), out))
    return found


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
