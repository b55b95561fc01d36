"""The metrics of an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics.base import value_of
from ..network import precision
from . import checkpoint
from .learner import Learner

# steps, rows, mean loss, gradient norm of the last step, batches left out, rows in them
Progressed = tuple[int, int, float, float, int, int]
State = dict[str, Any]

ROWS, BYTES = 4096, 8 << 20  # most predictions held at a time


def rows_at_once(learner: Learner, most: int = ROWS) -> int:
    """Rows whose predictions are held at a time."""
    return max(1, min(most, BYTES // (learner.network.outputs * learner.network.dtype.itemsize)))


class EpochMetrics:
    """The metrics of an epoch. They take in blocks of rows that no clock decides: so sums have the same bits however
    many steps the calls of the core make."""

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
        self.out: Any = None  # predictions, targets and weights of the rows that wait, one after the other
        self.y: Any = None
        self.weights: Any = None

    def room(self, batch_size: int) -> int:
        """Rows that the next call may train on: whole batches."""
        if not self.metrics:
            return max(1, (1 << 16) // batch_size) * batch_size
        most = max(batch_size, self.most)
        if most - self.n < batch_size:
            self.flush()
        return (most - self.n) // batch_size * batch_size

    def predictions(self, rows: int) -> Any:
        """Memory for those of the next rows; None: they are not wanted."""
        if not self.metrics:
            return None
        if self.out is None or len(self.out) < self.n + rows:
            grown = np.empty((max(self.n + rows, self.most), self.outputs), self.dtype)
            grown[: self.n] = self.out[: self.n] if self.n else 0
            self.out = grown
        return self.out[self.n : self.n + rows]

    def add(self, y: np.ndarray, weights: np.ndarray | None, done: Progressed) -> None:
        """The rows of a call: their targets, and whether steps were refused; predictions are there already."""
        self.weighted = self.weighted or weights is None or bool(weights.any())
        if not self.metrics or not len(y):
            return
        weights = None if weights is None else weights.reshape(-1, 1)
        if self.n and not (alike(self.y, y) and alike(self.weights, weights)):
            predictions = self.out[self.n : self.n + len(y)]
            self.flush()
            self.out[: len(y)] = predictions
        self.y, self.weights = self.append(self.y, y), self.append(self.weights, weights)
        self.n += len(y)
        self.refused += done[4]

    def append(self, waiting: Any, rows: np.ndarray | None) -> Any:
        """The memory of the rows that wait, with these after them; it grows to that of the predictions."""
        if rows is None:
            return None
        if waiting is None or len(waiting) < self.n + len(rows):
            grown = np.empty((len(self.out), rows.shape[1]), rows.dtype)
            grown[: self.n] = waiting[: self.n] if self.n else 0
            waiting = grown
        waiting[self.n : self.n + len(rows)] = rows
        return waiting

    def flush(self) -> None:
        """Take in the rows that wait; the predictions of batches left out are NaN."""
        if self.n:
            out, y = self.out[: self.n], self.y[: self.n]
            weights = None if self.weights is None else self.weights[: self.n]
            if self.refused:
                kept = ~np.isnan(out).any(axis=1)
                y, out, weights = y[kept], out[kept], None if weights is None else weights[kept]
            if len(y) and precision.scales_in_double(self.learner.network.core):  # the trainer wrote logits
                out = precision.unscaled(self.learner.network.core, out)
            for metric in self.metrics if len(y) else ():
                metric.update(y, out, weights)
        self.n, self.refused, self.y, self.weights = 0, 0, None, None

    def results(self) -> dict[str, float]:
        self.flush()
        found = {metric.name: value_of(metric) for metric in self.metrics}
        for metric in self.metrics:
            metric.reset()  # some keep an epoch's rows
        return found

    def state(self) -> State:
        waiting = {name: getattr(self, name)[: self.n] for name in ("out", "y", "weights")
                   if self.n and getattr(self, name) is not None}  # fmt: skip
        metrics = [checkpoint.state_of(metric) for metric in self.metrics]
        return {"metrics": metrics, "n": self.n, "refused": self.refused, "weighted": self.weighted, "waiting": waiting}

    def restore(self, state: State) -> None:
        for metric, kept in zip(self.metrics, state["metrics"], strict=True):
            checkpoint.restore(metric, kept)
        self.n, self.refused, self.weighted = state["n"], state["refused"], state.get("weighted", True)
        for name, array in state["waiting"].items():
            setattr(self, name, array)


def alike(rows: np.ndarray | None, more: np.ndarray | None) -> bool:
    """Whether rows can stand in one array with others."""
    if rows is None or more is None:
        return rows is more
    return rows.dtype == more.dtype and rows.shape[1] == more.shape[1]
