"""What scikit-learn's scorers ask: an estimator, here one that has predicted already."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from .base import Deciding


class _Predicted(BaseEstimator):
    """Answers for rows 0, 1, 2, ... of an epoch; X is their numbers."""

    def __init__(self, targets: Any = None, predictions: Any = None) -> None:
        self.targets, self.predictions = targets, predictions

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.predictions[np.asarray(x)[:, 0]]


class _Regressor(RegressorMixin, _Predicted):
    pass


class _Classifier(ClassifierMixin, _Predicted):
    def __init__(self, targets: Any = None, predictions: Any = None, scores: Any = None) -> None:
        super().__init__(targets, predictions)
        self.scores = scores
        several = np.ndim(predictions) == 2
        width = 0 if scores is None else max(2, np.shape(scores)[1])
        self.classes_ = [np.arange(2)] * width if several else np.arange(width)


class _Probable(_Classifier):
    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        found = self.scores[np.asarray(x)[:, 0]]
        return np.column_stack([1 - found, found]) if found.shape[1] == 1 else found


class _Marginal(_Classifier):
    def decision_function(self, x: np.ndarray) -> np.ndarray:
        found = self.scores[np.asarray(x)[:, 0]]
        return found[:, 0] if found.shape[1] == 1 else found


def predicted(metric: Deciding, targets: np.ndarray, predictions: np.ndarray) -> Any:
    """Return an estimator whose predictions these are: a classifier where the loss or the targets have classes."""
    loss, outputs = metric._loss, predictions.shape[1]
    link = None if loss is None else loss.row["link"]
    probable = link in ("softmax", "sigmoid")
    labels = targets.shape[1] == 1 and outputs > 1
    if not (probable or labels or (loss is not None and loss.row["signs"])):
        y, p = (part[:, 0] if part.shape[1] == 1 else part for part in (targets, predictions))
        return _Regressor(y, p)
    y, chosen = metric.as_classes(targets, predictions)
    if y.ndim == 2 and y.shape[1] == 1:
        y, chosen = y[:, 0], chosen[:, 0]
    scores = predictions.astype(np.float64)
    if link == "softmax":
        scores /= scores.sum(axis=1, keepdims=True)
    return (_Probable if probable else _Marginal)(y, chosen, scores)
