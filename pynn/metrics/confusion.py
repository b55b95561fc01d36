"""Metrics of how often classes are predicted, occur, and meet: precision, recall, F1, kappa and others.

Per class three sums are kept, whatever the number of rows: weights of the rows where it is predicted, where it is the
target, and where both hold. Without sample weights they are counts.
"""

from __future__ import annotations

import numpy as np

from .. import checks
from ..errors import ArgumentValueError
from .base import MAXIMIZE, Deciding, Rows, Summed, is_yes, ratio, require_columns, require_yes_or_no

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


class Counted(Summed, Deciding):
    """A metric of counts by class, or by output where each output is a yes or no.

    A single output makes two classes, 0 and 1.
    """

    arguments: tuple[str, ...] = ("threshold",)

    def __init__(self, threshold: float | None = None, name: str | None = None) -> None:
        self.threshold = None if threshold is None else checks.number("threshold", threshold)
        super().__init__(name)

    def reset(self) -> None:
        """Forget all rows."""
        self._hits = self._chosen = self._actual = np.zeros(0)
        self._weight, self._separate = 0.0, False

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows that count."""
        outputs = predictions.shape[1]
        if self.decides(outputs):
            require_columns(self.name, targets, outputs)
            require_yes_or_no(self.name, targets)
            actual, chosen = is_yes(targets), self.yes(predictions)
            if outputs > 1:
                self._separate = True
                w = weights[:, None]
                hits, chosen, actual = ((w * part).sum(axis=0) for part in (actual & chosen, chosen, actual))
                self._take(hits, chosen, actual, float(weights.sum()))
                return
            actual, chosen, outputs = actual[:, 0].astype(np.int64), chosen[:, 0].astype(np.int64), 2
        else:
            actual, chosen = self.classes(targets, outputs), predictions.argmax(axis=1)
        self._count(actual, chosen, weights, outputs)

    def _count(self, actual: np.ndarray, chosen: np.ndarray, weights: np.ndarray, classes: int) -> None:
        """Add rows with a class each."""
        same = actual == chosen
        self._take(
            np.bincount(actual[same], weights[same], classes),
            np.bincount(chosen, weights, classes),
            np.bincount(actual, weights, classes),
            float(weights.sum()),
        )

    def _take(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray, weight: float) -> None:
        if not len(self._hits):
            self._hits = self._chosen = self._actual = np.zeros(len(hits))
        self._hits, self._chosen = self._hits + hits, self._chosen + chosen
        self._actual, self._weight = self._actual + actual, self._weight + weight


class Averaged(Counted):
    """A share of counts, averaged over classes."""

    arguments = ("average", "threshold")

    def __init__(self, average: str = "auto", threshold: float | None = None, name: str | None = None) -> None:
        self.average = checks.choice("average", average, AVERAGES)
        super().__init__(threshold, name or (None if average == "auto" else f"{self.name}_{average}"))

    def parts(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return numerator and denominator of the share."""
        raise NotImplementedError

    def result(self) -> float:
        """Return the average over classes; NaN where no row counted."""
        if not self._weight:
            return float("nan")
        two = len(self._hits) == 2 and not self._separate
        average = ("binary" if two else "macro") if self.average == "auto" else self.average
        if average == "binary" and not two:
            what = "outputs" if self._separate else "classes"
            raise ArgumentValueError(
                f"expected average as 'macro', 'micro' or 'weighted' for the metric {self.name!r} of {len(self._hits)} "
                f"{what}; received average='binary', which is of the class 1 of two"
            )
        if average == "micro":
            return float(ratio(*self.parts(self._hits.sum(), self._chosen.sum(), self._actual.sum())))
        shares = ratio(*self.parts(self._hits, self._chosen, self._actual))
        if average == "binary":
            return float(shares[1])
        if average == "weighted":
            return float(ratio((self._actual * shares).sum(), self._actual.sum()))
        there = np.full(len(shares), True) if self._separate else self._chosen + self._actual > 0
        return float(shares[there].mean())


class Precision(Averaged):
    """Share of the rows predicted as a class that are of it: TP / (TP + FP).

    Computed from all rows of an epoch, not averaged over batches. A share of nothing is 0, as in scikit-learn.

    Parameters
    ----------
    average : "auto", "binary", "macro", "micro" or "weighted"
        ``"binary"``: of the class 1 of two. ``"macro"``: the mean over classes that are a target or predicted, or over
        all outputs where each is a yes or no. ``"weighted"``: the mean weighted by the rows of each class.
        ``"micro"``: of the counts of all classes together. ``"auto"``: "binary" for two classes and else "macro".
    threshold : float, optional
        Predictions above it are a yes, where outputs are a yes or no. None: as with `Accuracy`.
    name : str, optional
        Key in the history; the average is in it where it is not "auto", ``"precision_macro"``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> precision = pynn.metrics.Precision()
    >>> precision.update(np.array([[0], [1], [1]]), np.array([[0.9], [0.8], [0.1]]))
    >>> precision.result()
    0.5
    """

    name, direction = "precision", MAXIMIZE

    def parts(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return hits and what was predicted."""
        return hits, chosen


class Recall(Averaged):
    """Share of the rows of a class that are predicted as it: TP / (TP + FN).

    Computed from all rows of an epoch, not averaged over batches. A share of nothing is 0, as in scikit-learn.

    Parameters
    ----------
    average, threshold, name
        As for `Precision`.
    """

    name, direction = "recall", MAXIMIZE

    def parts(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return hits and targets."""
        return hits, actual


class F1Score(Averaged):
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Computed from all rows of an epoch, not averaged over batches. A share of nothing is 0, as in scikit-learn.

    Parameters
    ----------
    average, threshold, name
        As for `Precision`.
    """

    name, direction = "f1", MAXIMIZE

    def parts(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return hits twice, and predicted plus targets."""
        return 2 * hits, chosen + actual


class Agreement(Counted):
    """A metric of the whole table of classes; the mean over outputs where each is a yes or no."""

    def result(self) -> float:
        """Return the metric over all rows since `reset`; NaN where no row counted."""
        if not self._weight:
            return float("nan")
        if not self._separate:
            return self.of_classes(self._hits, self._chosen, self._actual)
        n, found = self._weight, []
        for hit, chosen, actual in zip(self._hits, self._chosen, self._actual, strict=True):
            miss = n - chosen - actual + hit  # rows that are a no and predicted as such
            found.append(
                self.of_classes(np.array([miss, hit]), np.array([n - chosen, chosen]), np.array([n - actual, actual]))
            )
        return float(np.mean(found))

    def of_classes(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> float:
        """Return the metric for classes of which each row has one."""
        raise NotImplementedError


class BalancedAccuracy(Agreement):
    """Mean of the recall of the classes that occur: 0.5 for two classes and a constant prediction, however imbalanced.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes, where outputs are a yes or no. None: as with `Accuracy`.
    name : str, optional
        Key in the history.
    """

    name, direction = "balanced_accuracy", MAXIMIZE

    def of_classes(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> float:
        """Return the mean recall."""
        return float((hits[actual > 0] / actual[actual > 0]).mean())


class CohenKappa(Agreement):
    """Cohen's kappa: agreement of predictions and targets beyond chance, (p_o - p_e) / (1 - p_e).

    1 is perfect and 0 chance. NaN where chance alone agrees fully: one class, always predicted.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes, where outputs are a yes or no. None: as with `Accuracy`.
    name : str, optional
        Key in the history.

    References
    ----------
    Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.
    """

    name, direction = "cohen_kappa", MAXIMIZE

    def of_classes(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> float:
        """Return kappa."""
        n = actual.sum()
        seen, chance = hits.sum() / n, float((chosen / n) @ (actual / n))
        return float(ratio(seen - chance, 1 - chance, np.nan))


class MatthewsCorrelation(Agreement):
    """Matthews correlation coefficient of predictions and targets, for any number of classes.

    1 is perfect and 0 chance; 0 where only one class is predicted or occurs, as in scikit-learn.

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes, where outputs are a yes or no. None: as with `Accuracy`.
    name : str, optional
        Key in the history.

    References
    ----------
    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Computational Biology and
    Chemistry 28, 2004.
    """

    name, direction = "matthews", MAXIMIZE

    def of_classes(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> float:
        """Return the coefficient."""
        n = actual.sum()
        p, t = chosen / n, actual / n
        together = hits.sum() / n - p @ t
        return float(ratio(together, np.sqrt((1 - p @ p) * (1 - t @ t))))


class Cells(Counted):
    """One cell of the table of yes and no, summed over classes where there are more than two."""

    def cell(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the cell of each class against the others."""
        raise NotImplementedError

    def result(self) -> float:
        """Return the weight of the rows; 0 where none counted."""
        cells = self.cell(self._hits, self._chosen, self._actual)
        two = len(cells) == 2 and not self._separate
        return float(cells[1] if two else cells.sum())


_CELL = """

    Parameters
    ----------
    threshold : float, optional
        Predictions above it are a yes, where outputs are a yes or no. None: as with `Accuracy`.
    name : str, optional
        Key in the history.
    """


class TruePositives(Cells):
    """Number of rows that are of the class 1 and predicted so, or the sum of their weights.

    With more classes, or several outputs, the sum over them, each against the others."""

    name, direction = "true_positives", MAXIMIZE

    def cell(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the hits."""
        return hits


class FalsePositives(Cells):
    """Number of rows that are predicted as the class 1 and are not of it, or the sum of their weights.

    With more classes, or several outputs, the sum over them, each against the others."""

    name, direction = "false_positives", "minimize"

    def cell(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return what was predicted without being a hit."""
        return chosen - hits


class TrueNegatives(Cells):
    """Number of rows that are not of the class 1 and not predicted so, or the sum of their weights.

    With more classes, or several outputs, the sum over them, each against the others."""

    name, direction = "true_negatives", MAXIMIZE

    def cell(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the rows that are neither."""
        return self._weight - chosen - actual + hits


class FalseNegatives(Cells):
    """Number of rows that are of the class 1 and not predicted so, or the sum of their weights.

    With more classes, or several outputs, the sum over them, each against the others."""

    name, direction = "false_negatives", "minimize"

    def cell(self, hits: np.ndarray, chosen: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the targets that were not hit."""
        return actual - hits


for _metric in (TruePositives, FalsePositives, TrueNegatives, FalseNegatives):
    _metric.__doc__ = f"{_metric.__doc__}{_CELL}"

ROWS: Rows = (
    ("precision", Precision, {}, ("precision_score",)),
    ("recall", Recall, {}, ("recall_score",)),
    ("f1", F1Score, {}, ("f1_score",)),
    *(
        (f"{name}_{average}", cls, {"average": average}, ())
        for name, cls in (("precision", Precision), ("recall", Recall), ("f1", F1Score))
        for average in AVERAGES[2:]
    ),
    ("balanced_accuracy", BalancedAccuracy, {}, ("balanced_accuracy_score",)),
    ("cohen_kappa", CohenKappa, {}, ("kappa", "cohen_kappa_score")),
    ("matthews", MatthewsCorrelation, {}, ("mcc", "matthews_corrcoef")),
    ("true_positives", TruePositives, {}, ()),
    ("false_positives", FalsePositives, {}, ()),
    ("true_negatives", TrueNegatives, {}, ()),
    ("false_negatives", FalseNegatives, {}, ()),
)
