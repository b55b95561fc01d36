"""Metrics of scores and probabilities: areas under curves and the log loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import ArgumentValueError
from .base import MAXIMIZE, MINIMIZE, Deciding, Rows, Summed, is_yes, require_columns, require_yes_or_no
from .kept import Kept


class AUC(Kept, Deciding):
    """Area under the ROC curve or under the precision-recall curve, over all rows of an epoch.

    Under the ROC curve: the share of pairs of a positive and a negative row in which the positive one has the larger
    prediction; 0.5 is chance. Under the precision-recall curve: the average precision of scikit-learn,
    sum (R_i - R_{i-1}) P_i without interpolation. With more than two classes, or several outputs, each class against
    the others, averaged. NaN where a class has no row, or all of them.

    Parameters
    ----------
    curve : "ROC" or "PR"
    average : "macro", "weighted" or "micro"
        Over classes: the plain mean, weighted by their positive rows, or of all classes' predictions together.
    bins : int >= 2, optional
        None: exact. All predictions of an epoch are kept, in the model's dtype, and for each row 8 bytes for its class
        (1 byte for each output that is a yes or no) and 8 bytes for a sample weight. A number: predictions, which must
        be probabilities then, are counted in `bins` bins of equal width, in memory that does not grow with the rows.
        Pairs that share a bin count one half: the area is off by at most half their share. Only with ``curve="ROC"``.
    name : str, optional
        Key in the history.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> auc = pynn.metrics.AUC()
    >>> auc.update(np.array([[0], [1], [0], [1]]), np.array([[0.1], [0.9], [0.4], [0.3]]))
    >>> auc.result()
    0.75
    """

    name, direction, arguments = "auc", MAXIMIZE, ("curve", "average", "bins")

    def __init__(
        self, curve: str = "ROC", average: str = "macro", bins: int | None = None, name: str | None = None
    ) -> None:
        self.curve = checks.choice("curve", curve, ("ROC", "PR"))
        self.average = checks.choice("average", average, ("macro", "weighted", "micro"))
        self.bins = None if bins is None else checks.integer("bins", bins, 2, 1 << 24)
        if bins is not None and curve == "PR":
            raise ArgumentValueError("expected bins only with curve='ROC'; received bins and curve='PR', kept exactly")
        super().__init__(name or ("auc_pr" if curve == "PR" else None))

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self._positive = self._negative = np.zeros((0, 0))

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows that count."""
        outputs = predictions.shape[1]
        if self.decides(outputs):
            require_columns(self.name, targets, outputs)
            require_yes_or_no(self.name, targets)
            positive: np.ndarray = is_yes(targets)
        else:
            positive = self.classes(targets, outputs)[:, None]
            if outputs == 2:  # the class 1 against the class 0
                predictions = predictions[:, 1:] if self._softmax else predictions[:, 1:] - predictions[:, :1]
                positive = positive == 1
        if self.bins is None:
            self.keep(positive, predictions, weights)
        else:
            self._count(positive, predictions, weights)

    @property
    def _softmax(self) -> bool:
        return self._loss is None or self._loss.row["link"] == "softmax"

    def _count(self, positive: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows to the bins."""
        columns, bins = predictions.shape[1], int(self.bins or 0)
        if not ((predictions >= 0) & (predictions <= 1)).all():
            raise ArgumentValueError(
                f"expected predictions in [0, 1] for the metric {self.name!r} with bins={self.bins}; received "
                f"{predictions.min():.6g} ... {predictions.max():.6g}: leave bins out"
            )
        if not len(self._positive):
            self._positive = self._negative = np.zeros((columns, bins))
        found = np.zeros((2, columns, bins))
        for column in range(columns):
            at = np.minimum((predictions[:, column].astype(np.float64) * bins).astype(np.int64), bins - 1)
            yes = one_against_others(positive, column, columns)
            found[0, column] = np.bincount(at[yes], weights[yes], bins)
            found[1, column] = np.bincount(at[~yes], weights[~yes], bins)
        self._positive, self._negative = self._positive + found[0], self._negative + found[1]

    def result(self) -> float:
        """Return the area; NaN where a class has no row, or all of them."""
        areas, support = [], []
        for positive, negative in self._tables():
            areas.append(_roc(positive, negative) if self.curve == "ROC" else _precision_recall(positive, negative))
            support.append(positive.sum())
        if not areas:
            return float("nan")
        return float(np.average(areas, weights=support if self.average == "weighted" and sum(support) else None))

    def _tables(self) -> Any:
        """Yield, for each class, the weights of its positive and negative rows by falling prediction."""
        if self.bins is not None:
            tables = list(zip(self._positive[:, ::-1], self._negative[:, ::-1], strict=True))
            yield from [tuple(np.sum(tables, axis=0))] if self.average == "micro" and tables else tables
            return
        positive, scores, weights = self.kept()
        if not len(scores):
            return
        columns = scores.shape[1]
        if self.average == "micro":
            yes = np.concatenate([one_against_others(positive, column, columns) for column in range(columns)])
            yield _by_score(scores.T.reshape(-1), yes, np.tile(weights, columns))
            return
        for column in range(columns):
            yield _by_score(scores[:, column], one_against_others(positive, column, columns), weights)


class LogLoss(Summed, Deciding):
    """Mean of -log of the probability that is predicted for the target; over rows, and outputs of a yes or no.

    The cross-entropy without label smoothing and penalties. Probabilities are clipped to epsilon ... 1 - epsilon, the
    machine epsilon of their dtype, as in scikit-learn.

    Parameters
    ----------
    name : str, optional
        Key in the history.
    """

    name, direction = "log_loss", MINIMIZE

    def take_loss(self, loss: Any) -> None:
        """Refuse a loss whose predictions are no probabilities."""
        if loss.row["link"] not in ("softmax", "sigmoid"):
            raise ArgumentValueError(
                f"expected the metric {self.name!r} with a loss that predicts probabilities, whose link is softmax or "
                f"sigmoid; received loss={loss.name!r}"
            )
        super().take_loss(loss)

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows that count."""
        epsilon = np.finfo(predictions.dtype).eps
        p = np.clip(predictions.astype(np.float64), epsilon, 1 - epsilon)
        if self.decides(p.shape[1]):
            require_columns(self.name, targets, p.shape[1])
            require_yes_or_no(self.name, targets)
            y = np.maximum(targets, 0.0)
            values = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=1)
        elif targets.shape[1] == 1:
            values = -np.log(np.take_along_axis(p, targets.astype(np.int64), 1)[:, 0])
        else:
            values = -(targets * np.log(p)).sum(axis=1)
        self._sum += float((weights * values).sum())
        self._weight += float(weights.sum())


def one_against_others(positive: np.ndarray, column: int, columns: int) -> np.ndarray:
    """Return which rows are of a class, from a column of classes or a column for each."""
    return positive[:, column] if positive.dtype == bool else positive[:, 0] == column


def _by_score(scores: np.ndarray, yes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of positive and negative rows by distinct score, the largest first."""
    counts = (weights == 1).all()  # their sums are exact in any order, and ties need none
    order = np.argsort(-scores, kind=None if counts else "stable")
    scores, yes, weights = scores[order], yes[order], weights[order]
    first = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
    return np.add.reduceat(weights * yes, first), np.add.reduceat(weights * ~yes, first)


def _roc(positive: np.ndarray, negative: np.ndarray) -> float:
    pairs = positive.sum() * negative.sum()
    above = np.cumsum(positive) - positive / 2
    return float((negative * above).sum() / pairs) if pairs > 0 else float("nan")


def _precision_recall(positive: np.ndarray, negative: np.ndarray) -> float:
    if not positive.sum() > 0 or not negative.sum() > 0:
        return float("nan")
    hits = np.cumsum(positive)
    chosen = hits + np.cumsum(negative)
    return float((positive * hits / chosen).sum() / hits[-1])


ROWS: Rows = (
    ("auc", AUC, {}, ("roc_auc", "auc_roc", "auroc")),
    ("auc_pr", AUC, {"curve": "PR"}, ("pr_auc", "average_precision")),
    ("log_loss", LogLoss, {}, ()),
)
