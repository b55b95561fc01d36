"""Distances of predicted numbers from their targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from .base import MAXIMIZE, MINIMIZE, Metric, Rows, Summed, Weighed, apart, as_numbers, ratio, require_columns

_OF_OUTPUT = """

    Class labels become one column for each class.

    Parameters
    ----------
    output : int, optional
        The column of y that is judged. None: all of them.
    name : str, optional
        Key in the history; the column is in it by default, ``"{name}_0"``.
    """


class OfOutput(Metric):
    """A metric of one column of y, or of all."""

    arguments = ("output",)

    def __init__(self, output: int | None = None, name: str | None = None) -> None:
        self.output = None if output is None else checks.integer("output", output, 0)
        super().__init__(name or (f"{self.name}_{output}" if output is not None else None))

    def pair(self, targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and predictions of the columns that are judged, in float64."""
        outputs = predictions.shape[1]
        y, p = as_numbers(targets, outputs), predictions.astype(np.float64)
        require_columns(self.name, y, outputs)
        if self.output is None:
            return y, p
        column = checks.integer("output", self.output, 0, outputs - 1)
        return y[:, column : column + 1], p[:, column : column + 1]

    def by_output(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Weighed:
        """Return each output as a row, or the rows of the one that is judged; see `Metric.by_output`."""
        if self.output is None:
            return apart(targets, predictions, weights)
        column = checks.integer("output", self.output, 0, weights.shape[1] - 1)
        return targets, predictions, weights[:, column]


class MeanSquaredError(OfOutput):
    """Mean of (prediction - target)^2 over rows and outputs."""

    name, direction = "mse", MINIMIZE

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the mean over the outputs of each row."""
        y, p = self.pair(targets, predictions)
        return np.mean((p - y) ** 2, axis=1)


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of (prediction - target)^2 over rows and outputs, in the units of y. Keras's."""

    name = "rmse"

    def result(self) -> float:
        """Return the root over all rows since `reset`."""
        return math.sqrt(super().result())


class MeanAbsoluteError(OfOutput):
    """Mean of |prediction - target| over rows and outputs."""

    name, direction = "mae", MINIMIZE

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the mean over the outputs of each row."""
        y, p = self.pair(targets, predictions)
        return np.mean(np.abs(p - y), axis=1)


class MeanAbsolutePercentageError(OfOutput):
    """Mean of |prediction - target| / |target| over rows and outputs, as a share: 0.1 is 10 %. scikit-learn's.

    |target| is at least 2.2e-16, so a target of 0 that is missed makes the result huge."""

    name, direction = "mape", MINIMIZE

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the mean over the outputs of each row."""
        y, p = self.pair(targets, predictions)
        return np.mean(np.abs(p - y) / np.maximum(np.abs(y), np.finfo(np.float64).eps), axis=1)


class R2(Summed, OfOutput):
    """Coefficient of determination 1 - sum (y - p)^2 / sum (y - mean y)^2, averaged over outputs. 1 is best.

    Sums about the mean are merged chunk by chunk (Chan, Golub and LeVeque, 1983), so that a large mean costs no digits.
    A constant target gives 1 when it is met exactly and 0 otherwise, as in scikit-learn."""

    name, direction = "r2", MAXIMIZE

    def reset(self) -> None:
        """Forget all rows."""
        self._weight: Any = 0.0
        self._mean: Any = 0.0
        self._about: Any = 0.0
        self._error: Any = 0.0

    def by_output(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Weighed:
        """Return rows with a weight for each output; see `Metric.by_output`."""
        if self.output is None:
            return np.where(weights > 0, targets, 0), predictions, weights
        return super().by_output(targets, predictions, weights)

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add some rows; `weights` may also be those of outputs. See `Metric.update`."""
        if weights is None or np.ndim(weights) == 1 or np.shape(weights)[1] == 1:
            super().update(targets, predictions, weights)
        elif len(targets):
            self._add(*self.pair(targets, predictions), weights, weights.sum(axis=0, dtype=np.float64))

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows that count."""
        self._add(*self.pair(targets, predictions), weights[:, None], float(weights.sum()))

    def _add(self, y: np.ndarray, p: np.ndarray, w: np.ndarray, total: Any) -> None:
        mean = ratio((w * y).sum(axis=0), total)
        away, both = mean - self._mean, self._weight + total
        self._about = self._about + (w * (y - mean) ** 2).sum(axis=0) + away**2 * ratio(self._weight * total, both)
        self._mean = self._mean + away * ratio(total, both)
        self._weight = both
        self._error = self._error + (w * (y - p) ** 2).sum(axis=0)

    def result(self) -> float:
        """Return the mean over outputs; NaN where no row counted."""
        counts = np.broadcast_to(np.asarray(self._weight) > 0, np.shape(self._error))
        if not counts.any():
            return float("nan")
        exact = np.where(self._error == 0, 1.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.mean(np.where(self._about > 0, 1 - self._error / self._about, exact)[counts]))


for _metric in (MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, R2):
    _metric.__doc__ = f"{_metric.__doc__}{_OF_OUTPUT.format(name=_metric.name)}"

ROWS: Rows = (
    ("mse", MeanSquaredError, {}, ("mean_squared_error",)),
    ("rmse", RootMeanSquaredError, {}, ("root_mean_squared_error",)),
    ("mae", MeanAbsoluteError, {}, ("mean_absolute_error",)),
    ("mape", MeanAbsolutePercentageError, {}, ("mean_absolute_percentage_error",)),
    ("r2", R2, {}, ("r2_score",)),
)
