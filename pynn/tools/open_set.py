"""`OpenSet`: classify rows, and reject those that belong to no class trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks, layers
from ..errors import DtypeError, NotReadyError
from ..model import Sequential
from ..names import public

__all__ = ["OpenSet"]

ROWS = 1024  # compared with the training rows at a time
RULES = ("neighbors", "energy", "softmax")


@public
class OpenSet:
    """Classify rows, and reject those that belong to no class trained on.

    A softmax shares 1 among the classes that it knows: it has no place for a row of another class, and is often sure
    of it. This wrapper gives every row a score of how much it is like the data, and rejects what scores lower than
    nearly all validation rows.

    Parameters
    ----------
    model : Sequential
        Trained with a loss of classes; it is left as it is.
    rule : "neighbors", "energy" or "softmax"
        What the score is.

        ``"neighbors"``: the cosine between what a hidden layer makes of the row and of the most similar training row
        of the class that the model gives it, in units of its deviation over validation rows; the mean over the first
        and the last hidden layer. After Sun et al., ICML 2022.

        ``"energy"``: log(sum(exp(logits))). Liu et al., NeurIPS 2020.

        ``"softmax"``: the largest probability. Hendrycks and Gimpel, ICLR 2017.
    keep : float in (0, 1)
        Share of the validation rows that is accepted.

    Attributes
    ----------
    threshold : float or None
        The score below which a row is rejected; None before `calibrate`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> random = np.random.default_rng(0)
    >>> y = random.integers(0, 2, 400)
    >>> X = np.where(y, 3.0, -3.0)[:, None] * [1, 0] + random.normal(size=(400, 2))
    >>> model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(2)], seed=0)
    >>> model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=0.01))
    >>> history = model.fit(X[:300], y[:300], epochs=10)
    >>> open_set = pynn.OpenSet(model, keep=0.95).calibrate(X[:300], X[300:])
    >>> open_set.classify([[3.0, 0.0], [-3.0, 0.0], [0.0, 30.0]])
    array([ 1,  0, -1])
    """

    def __init__(self, model: Sequential, rule: str = "neighbors", *, keep: float = 0.95) -> None:
        self.model = model
        self.rule = checks.choice("rule", rule, RULES)
        self.keep = checks.number("keep", keep, above=0, below=1)
        self.threshold: float | None = None
        self._features: list[tuple[Sequential | None, np.ndarray]] = []
        self._known = np.empty(0, np.int64)  # classes that the model gives the training rows
        self._scales: list[tuple[float, float]] = []

    def calibrate(self, X: Any, validation: Any) -> OpenSet:
        """Remember the training rows, and set the threshold that accepts the share `keep` of the validation rows.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
            Rows that the model was trained on. ``"neighbors"`` keeps what two layers make of them.
        validation : array-like of shape (rows, inputs)
            Rows of the same classes that it was not trained on: scores of training rows are too good.

        Returns
        -------
        OpenSet

        Raises
        ------
        NotReadyError
            The model was not compiled and trained.
        DtypeError
            Its loss is none of classes.
        ShapeError
            Rows with another number of columns.
        """
        link = None if self.model.loss is None else self.model.loss.row["link"]
        if link is None or not self.model._network.built:
            raise NotReadyError("expected a trained model; call compile and fit first")
        if link != "softmax":
            raise DtypeError(f"expected a loss of classes that exclude each other, such as softmax_cross_entropy; "
                             f"received loss={self.model.loss!r}")  # fmt: skip
        if self.rule == "neighbors":
            self._known = self._labels(X)
            self._features = [(part, _seen(part, X)) for part in _hidden(self.model)]
            self._scales = [(float(one.mean()), float(one.std()) or 1.0) for one in self._near(validation)]
        scores = self._score(validation)
        self.threshold = float(np.quantile(scores, 1 - self.keep, method="lower"))
        return self

    def score(self, X: Any) -> np.ndarray:
        """Return how much each row is like the data of the classes, an array (rows,); higher is more alike.

        Raises
        ------
        NotReadyError
            `calibrate` was not called.
        """
        if self.threshold is None:
            raise NotReadyError("expected a calibrated OpenSet; call calibrate(X, validation) first")
        return self._score(X)

    def classify(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each row, and -1 for rows that are rejected.

        Where y had names, classes are names and a rejected row is None.
        """
        rejected = self.score(X) < self.threshold
        labels = self.model.classify(X)
        if labels.dtype.kind not in "iu":
            labels = labels.astype(object)
            labels[rejected] = None
            return labels
        return np.where(rejected, -1, labels)

    def _score(self, X: Any) -> np.ndarray:
        return np.asarray(SCORES[self.rule](self, X))

    def _neighbors(self, X: Any) -> np.ndarray:
        near = zip(self._near(X), self._scales, strict=True)
        return np.asarray(np.mean([(one - mean) / std for one, (mean, std) in near], axis=0))

    def _near(self, X: Any) -> list[np.ndarray]:
        """Return the cosine of each row with the most similar training row of its class, for each layer."""
        labels = self._labels(X)
        return [_nearest(_seen(part, X), labels, known, self._known) for part, known in self._features]

    def _labels(self, X: Any) -> np.ndarray:
        return np.asarray(self.model.predict(X, raw=True).argmax(axis=1))

    def _energy(self, X: Any) -> np.ndarray:
        logits = self.model.predict(X, raw=True).astype(np.float64)
        largest = logits.max(axis=1, keepdims=True)
        return np.asarray(largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1)))

    def _softmax(self, X: Any) -> np.ndarray:
        return np.asarray(self.model.predict(X).max(axis=1).astype(np.float64))


SCORES: dict[str, Callable[[OpenSet, Any], np.ndarray]] = {
    "neighbors": OpenSet._neighbors, "energy": OpenSet._energy, "softmax": OpenSet._softmax,
}  # fmt: skip


def _hidden(model: Sequential) -> list[Sequential | None]:
    """Return the model up to its first and up to its last hidden layer; None, the inputs, where it has none."""
    specs = model._network.specs
    dense = [index for index, spec in enumerate(specs) if isinstance(spec, layers.Dense)]
    blocks = [(at - spec.layers, at) for at, spec in enumerate(specs) if isinstance(spec, layers.Add)]
    ends = [end for end in sorted({*dense[1:2], dense[-1]}) if not any(first < end <= at for first, at in blocks)]
    return [_part(model, end) if end > dense[0] else None for end in ends or [0]]


def _part(model: Sequential, end: int) -> Sequential:
    part = Sequential(model.layers[:end], seed=0, dtype=model._network.dtype)
    return part.build(model._network.inputs)


def _seen(part: Sequential | None, X: Any) -> np.ndarray:
    """Return what a part of a model makes of rows, each scaled to length 1; a row of zeros stays."""
    values = np.asarray(X, np.float64) if part is None else part.predict(X, raw=True)
    length = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1, keepdims=True))
    return np.asarray(values / np.maximum(length, 1e-300), np.float32)


def _nearest(rows: np.ndarray, labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray) -> np.ndarray:
    """Return the cosine of each row with the most similar known one of its label; -1 where there is none."""
    found = np.full(len(rows), -1.0)
    for label in np.unique(labels):
        at, alike = np.flatnonzero(labels == label), known[known_labels == label].T
        for first in range(0, len(at) if alike.size else 0, ROWS):
            part = at[first : first + ROWS]
            found[part] = (rows[part] @ alike).max(axis=1)
    return found
