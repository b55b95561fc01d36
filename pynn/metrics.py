"""Metrics: what training is judged by, accumulated chunk by chunk in float64.

Predictions are those of `Sequential.predict`, (rows, outputs); targets are class labels, (rows, 1), or (rows, outputs)
numbers. With sample weights, a metric is the weighted mean.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from . import checks
from .errors import ArgumentTypeError, UnknownNameError

__all__ = ["R2", "Accuracy", "BinaryAccuracy", "MeanAbsoluteError", "MeanSquaredError", "Metric", "TopKAccuracy", "get"]


class Metric:
    """Base: a weighted mean of one number for each row, given by `values`. Others override `update` and `result`.

    Attributes
    ----------
    name : str
        Key in the history.
    """

    name = "metric"

    def __init__(self) -> None:
        self.reset()

    def take_loss(self, loss: Any) -> None:
        """Learn from the loss of a model what predictions and targets mean; `Sequential.compile` calls it."""

    def reset(self) -> None:
        """Forget everything."""
        self._sum = self._weight = 0.0

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Take in some rows.

        Parameters
        ----------
        targets : ndarray of shape (rows, 1) or (rows, outputs)
        predictions : ndarray of shape (rows, outputs)
        weights : ndarray of shape (rows,) or (rows, 1), optional
        """
        values = np.asarray(self.values(targets, predictions), np.float64)
        w = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
        self._sum += float(np.sum(w * np.where(w > 0, values, 0)))
        self._weight += float(w.sum())

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """One number for each row."""
        raise NotImplementedError

    def result(self) -> float:
        """The metric over all rows since `reset`; NaN when there were none."""
        return self._sum / self._weight if self._weight else float("nan")


def _classes(targets: np.ndarray) -> np.ndarray:
    return targets[:, 0] if targets.shape[1] == 1 else targets.argmax(1)


def _numbers(targets: np.ndarray, outputs: int) -> np.ndarray:
    """Targets as (rows, outputs) float64; labels become one-hot rows."""
    if targets.shape[1] == 1 and outputs > 1:
        return (targets == np.arange(outputs)).astype(np.float64)
    return targets.astype(np.float64)


class _Decision(Metric):
    """A metric of a yes or no: of predictions and targets above a number, the middle of the loss's two classes."""

    middle = 0.5
    threshold: float | None = None  # of predictions, where it is not the middle

    def take_loss(self, loss: Any) -> None:
        self.middle = 0.0 if loss.row["signs"] else 0.5

    def right(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Which predictions are on the target's side."""
        threshold = self.middle if self.threshold is None else self.threshold
        return (predictions > threshold) == (targets > self.middle)


class Accuracy(_Decision):
    """Share of rows whose largest prediction is at the target's class; with one output, of predictions on the target's
    side of 0.5, or of 0 with the losses `Hinge` and `SquaredHinge`, whose predictions are margins."""

    name = "accuracy"

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        if predictions.shape[1] == 1:
            return self.right(targets[:, 0], predictions[:, 0])
        return predictions.argmax(1) == _classes(targets)


class BinaryAccuracy(_Decision):
    """Share of outputs, each a yes or no of its own, that are on the target's side.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes. None: 0.5, or 0 with the losses `Hinge` and `SquaredHinge`. A loss of your own
        whose predictions are logits needs ``threshold=0``.
    """

    name = "binary_accuracy"

    def __init__(self, threshold: float | None = None) -> None:
        super().__init__()
        self.threshold = threshold

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        return self.right(_numbers(targets, predictions.shape[1]), predictions).mean(1)


class TopKAccuracy(Metric):
    """Share of rows whose target's class is among the `k` largest predictions; ties count for the lower class."""

    name = "top_k_accuracy"

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = checks.integer("k", k, 1)

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        labels = _classes(targets).astype(np.int64)[:, None]
        own = np.take_along_axis(predictions, labels, 1)
        earlier = np.arange(predictions.shape[1]) < labels
        return ((predictions > own) | ((predictions == own) & earlier)).sum(1) < self.k


class MeanSquaredError(Metric):
    """Mean of (prediction - target)^2 over rows and outputs."""

    name = "mse"

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        return np.mean((predictions.astype(np.float64) - _numbers(targets, predictions.shape[1])) ** 2, 1)


class MeanAbsoluteError(Metric):
    """Mean of |prediction - target| over rows and outputs."""

    name = "mae"

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        return np.mean(np.abs(predictions.astype(np.float64) - _numbers(targets, predictions.shape[1])), 1)


class R2(Metric):
    """Coefficient of determination 1 - sum (y - p)^2 / sum (y - mean y)^2, averaged over outputs.

    Sums about the mean are merged chunk by chunk (Chan, Golub and LeVeque, 1983), so that a large mean costs no digits.
    A constant target gives 1 when it is met exactly and 0 otherwise, as in scikit-learn.
    """

    name = "r2"

    def reset(self) -> None:
        self._weight: Any = 0.0
        self._mean: Any = 0.0
        self._about: Any = 0.0
        self._error: Any = 0.0

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> None:
        y = _numbers(targets, predictions.shape[1])
        w = np.ones((len(y), 1)) if weights is None else np.asarray(weights, np.float64).reshape(-1, 1)
        total, there = float(w.sum()), w[:, 0] > 0
        if total == 0:
            return
        if not there.all():  # what a row of weight 0 holds may be NaN
            y, predictions, w = y[there], predictions[there], w[there]
        mean = (w * y).sum(0) / total
        apart, both = mean - self._mean, self._weight + total
        self._about = self._about + (w * (y - mean) ** 2).sum(0) + apart**2 * (self._weight * total / both)
        self._mean = self._mean + apart * (total / both)
        self._weight = both
        self._error = self._error + (w * (y - predictions) ** 2).sum(0)

    def result(self) -> float:
        if not self._weight:
            return float("nan")
        exact = np.where(self._error == 0, 1.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.mean(np.where(self._about > 0, 1 - self._error / self._about, exact)))


_NAMES: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "top_k_accuracy": TopKAccuracy,
    "top_k_categorical_accuracy": TopKAccuracy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "r2": R2,
    "r2_score": R2,
}


def get(metric: Any) -> Metric:
    """The metric for a name, or `metric` itself when it is one.

    Examples
    --------
    >>> import pynn
    >>> pynn.metrics.get("acc").name
    'accuracy'
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in _NAMES:
            raise UnknownNameError(f"expected a metric among {', '.join(map(repr, _NAMES))}; received {metric!r}")
        return _NAMES[metric]()
    raise ArgumentTypeError(f"expected a metric as a name or a pynn.metrics.Metric; received {metric!r}")


def of_loss(metric: Any, loss: Any) -> Metric:
    """A metric of a model's own, for its loss: what `get` finds, copied."""
    own = copy.deepcopy(get(metric))
    own.take_loss(loss)
    return own
