"""Compute the metrics of an epoch while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics.base import value_of
from ..network import precision
from . import checkpoint
from .learner import Learner

# steps, rows, mean loss, gradient norm of the last step, batches skipped, rows in them
Progressed = tuple[int, int, float, float, int, int]
State = dict[str, Any]

ROWS, BYTES = 4096, 8 << 20  # most predictions kept at a time


def rows_at_once(learner: Learner, most: int = ROWS) -> int:
    """Return the number of rows whose predictions are kept at a time."""
    return max(1, min(most, BYTES // (learner.network.outputs * learner.network.dtype.itemsize)))


class EpochMetrics:
    """Collect rows and update the metrics with blocks of them.

    Where a block ends depends on the rows alone, so that sums have the same bits however many steps a call of the core
    makes.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner, self.metrics = learner, learner.metrics
        self.outputs, self.dtype = learner.network.outputs, learner.network.dtype
        self.most = rows_at_once(learner)
        self.begin()

    def begin(self) -> None:
        """Start an epoch."""
        for metric in self.metrics:
            metric.reset()
        self.n, self.refused = 0, 0
        self.weighted = False  # whether a row counted
        self.out: Any = None  # predictions, and below targets and weights, of the rows of the current block
        self.y: Any = None
        self.weights: Any = None

    def room(self, batch_size: int) -> int:
        """Return the number of rows that the next call of the core may train on, in whole batches."""
        if not self.metrics:
            return max(1, (1 << 16) // batch_size) * batch_size
        most = max(batch_size, self.most)
        if most - self.n < batch_size:
            self.flush()
        return (most - self.n) // batch_size * batch_size

    def predictions(self, rows: int) -> Any:
        """Return memory for the predictions of the next rows, or None without metrics."""
        if not self.metrics:
            return None
        if self.out is None or len(self.out) < self.n + rows:
            grown = np.empty((max(self.n + rows, self.most), self.outputs), self.dtype)
            grown[: self.n] = self.out[: self.n] if self.n else 0
            self.out = grown
        return self.out[self.n : self.n + rows]

    def add(self, y: np.ndarray, weights: np.ndarray | None, done: Progressed) -> None:
        """Add the targets and weights of the rows that a call trained on; it has written their predictions."""
        self.weighted = self.weighted or weights is None or bool(weights.any())
        if not self.metrics or not len(y):
            return
        weights = None if weights is None else weights.reshape(len(weights), -1)
        if self.n and not (alike(self.y, y) and alike(self.weights, weights)):
            predictions = self.out[self.n : self.n + len(y)]
            self.flush()
            self.out[: len(y)] = predictions
        self.y, self.weights = self.append(self.y, y), self.append(self.weights, weights)
        self.n += len(y)
        self.refused += done[4]

    def append(self, waiting: Any, rows: np.ndarray | None) -> Any:
        """Return the array of the current block with these rows at its end; it grows to the size of the predictions."""
        if rows is None:
            return None
        if waiting is None or len(waiting) < self.n + len(rows):
            grown = np.empty((len(self.out), rows.shape[1]), rows.dtype)
            grown[: self.n] = waiting[: self.n] if self.n else 0
            waiting = grown
        waiting[self.n : self.n + len(rows)] = rows
        return waiting

    def flush(self) -> None:
        """Update the metrics with the current block; predictions of batches that were skipped are NaN."""
        if self.n:
            out, y = self.out[: self.n], self.y[: self.n]
            weights = None if self.weights is None else self.weights[: self.n]
            if self.refused:
                kept = ~np.isnan(out).any(axis=1)
                y, out, weights = y[kept], out[kept], None if weights is None else weights[kept]
            if len(y) and precision.scales_in_double(self.learner.network.core):  # the trainer wrote logits
                out = precision.unscaled(self.learner.network.core, out)
            by_output = weights is not None and weights.shape[1] > 1
            for metric in self.metrics if len(y) else ():
                metric.update(*(metric.by_output(y, out, weights) if by_output else (y, out, weights)))
        self.n, self.refused, self.y, self.weights = 0, 0, None, None

    def results(self) -> dict[str, float]:
        """Return the metrics of the epoch by name, and let go of its rows."""
        self.flush()
        found = {metric.name: value_of(metric) for metric in self.metrics}
        for metric in self.metrics:
            metric.reset()  # some keep an epoch's rows
        return found

    def state(self) -> State:
        """Return what a checkpoint in the middle of an epoch has to hold."""
        waiting = {name: getattr(self, name)[: self.n] for name in ("out", "y", "weights")
                   if self.n and getattr(self, name) is not None}  # fmt: skip
        metrics = [checkpoint.state_of(metric) for metric in self.metrics]
        return {"metrics": metrics, "n": self.n, "refused": self.refused, "weighted": self.weighted, "waiting": waiting}

    def restore(self, state: State) -> None:
        """Continue from what `state` returned."""
        for metric, kept in zip(self.metrics, state["metrics"], strict=True):
            checkpoint.restore(metric, kept)
        self.n, self.refused, self.weighted = state["n"], state["refused"], state.get("weighted", True)
        for name, array in state["waiting"].items():
            setattr(self, name, array)


def alike(rows: np.ndarray | None, more: np.ndarray | None) -> bool:
    """Return whether two arrays can be parts of one."""
    if rows is None or more is None:
        return rows is more
    return rows.dtype == more.dtype and rows.shape[1] == more.shape[1]
