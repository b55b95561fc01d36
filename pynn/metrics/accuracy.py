"""Shares of predictions that are right."""

from __future__ import annotations

import numpy as np

from .. import checks
from ..errors import ShapeError
from .base import MAXIMIZE, Deciding, Rows, Weighed, apart, as_numbers, is_yes


class Accuracy(Deciding):
    """Share of predictions that are right.

    With several classes, the share of rows whose largest prediction is at the target's class. Where outputs are a yes
    or no each, the share of outputs, as in Keras: three sigmoids of which two are right count 2/3. (scikit-learn's
    subset accuracy is the share of rows in which all outputs are right.) A yes is a prediction above 0.5; above 0 with
    the losses `Hinge` and `SquaredHinge`, whose predictions are margins, and with a loss of your own that takes logits.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes. None: as above.
    name : str, optional
        Key in the history.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> accuracy = pynn.metrics.Accuracy()
    >>> accuracy.update(np.array([[0], [1]]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    >>> accuracy.result()
    0.5
    """

    name, direction, arguments = "accuracy", MAXIMIZE, ("threshold",)

    def __init__(self, threshold: float | None = None, name: str | None = None) -> None:
        self.threshold = None if threshold is None else checks.number("threshold", threshold)
        super().__init__(name)

    def by_output(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Weighed:
        """Return each output as a row where outputs are a yes or no each; see `Metric.by_output`."""
        if self.decides(predictions.shape[1]):
            return apart(targets, predictions, weights)
        return super().by_output(targets, predictions, weights)

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the share of right predictions in each row."""
        if self.decides(predictions.shape[1]):
            return (self.yes(predictions) == is_yes(targets)).mean(axis=1)
        return predictions.argmax(axis=1) == self.classes(targets, predictions.shape[1])


class BinaryAccuracy(Accuracy):
    """Share of outputs that are right, each a yes or no of its own whatever the loss.

    Class labels become one column for each class.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes. None: as with `Accuracy`.
    name : str, optional
        Key in the history.
    """

    name = "binary_accuracy"

    def decides(self, outputs: int) -> bool:
        """Return True: each output is a yes or no of its own."""
        return True

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the share of right outputs in each row."""
        return (self.yes(predictions) == is_yes(as_numbers(targets, predictions.shape[1]))).mean(axis=1)


class TopKAccuracy(Deciding):
    """Share of rows whose target's class is among the `k` largest predictions; ties count for the lower class.

    Parameters
    ----------
    k : int >= 1
        Predictions looked at.
    name : str, optional
        Key in the history.
    """

    name, direction, arguments = "top_k_accuracy", MAXIMIZE, ("k",)

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        self.k = checks.integer("k", k, 1)
        super().__init__(name)

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return 1 for the rows with the class among the `k` largest, else 0."""
        outputs = predictions.shape[1]
        if outputs == 1:
            raise ShapeError(f"expected several classes for the metric {self.name!r}; received predictions of 1 column")
        labels = self.classes(targets, outputs)[:, None]
        own = np.take_along_axis(predictions, labels, 1)
        earlier = np.arange(outputs) < labels
        return ((predictions > own) | ((predictions == own) & earlier)).sum(axis=1) < self.k


ROWS: Rows = (
    ("accuracy", Accuracy, {}, ("acc", "categorical_accuracy", "sparse_categorical_accuracy")),
    ("binary_accuracy", BinaryAccuracy, {}, ()),
    ("top_k_accuracy", TopKAccuracy, {}, ("top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy")),
)
