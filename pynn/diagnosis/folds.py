"""The rows of a task: which train, which judge, what is asked of them, and the error of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

IMBALANCED = 10.0  # times as many rows of the most frequent class as of the rarest


@dataclass(frozen=True)
class Fold:
    """Rows to train on and rows that judge."""

    train: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """The rows, how they are divided into those to train on and those that judge, and what is asked.

    `kind` is "classes", "yes_no", "several" yes-or-no outputs, or "numbers". With validation data these stand behind
    the training rows, and the only fold holds them out.
    """

    kind: str
    X: np.ndarray
    y: np.ndarray
    folds: tuple[Fold, ...]
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None  # of the user's data, where these are a part of them

    def named_rows(self, at: np.ndarray) -> list[int]:
        """Return rows of the user's data."""
        return [int(row) for row in (at if self.rows is None else self.rows[at[at < len(self.rows)]])]

    @cached_property
    def known(self) -> np.ndarray:
        """Rows that some fold trains on."""
        return np.unique(np.concatenate([fold.train for fold in self.folds]))

    @property
    def judges_itself(self) -> bool:
        """Whether there are too few rows to hold any out."""
        return np.array_equal(self.folds[0].train, self.folds[0].held)

    @cached_property
    def held(self) -> np.ndarray:
        """The judging rows of all folds, one fold after the other."""
        return np.concatenate([fold.held for fold in self.folds])

    @cached_property
    def labels(self) -> np.ndarray:
        """The class of each row that is trained on; of numbers, none."""
        named = self.kind in ("classes", "yes_no")
        return as_labels(self.y[self.known]) if named else np.zeros(len(self.known), np.int64)

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each class that has any."""
        return np.unique(self.labels, return_counts=True)[1]

    @property
    def imbalanced(self) -> bool:
        named = self.kind in ("classes", "yes_no")
        return named and len(self.counts) > 1 and bool(self.counts.max() > IMBALANCED * self.counts.min())

    @cached_property
    def numbers(self) -> np.ndarray:
        return self.y.astype(np.float64).reshape(len(self.y), -1)

    @cached_property
    def spread(self) -> np.ndarray:
        """The variance of each column of y without its tails."""
        y = self.numbers[self.known]
        low, high = np.percentile(y, (25, 75), axis=0)
        middle = ((high - low) / 1.349) ** 2
        variance = y.var(axis=0)
        return np.maximum(np.where(middle > 0, np.minimum(variance, 3 * middle), variance), 1e-300)

    def errors(self, predictions: np.ndarray | None) -> np.ndarray:
        """The error of each judging row: wrong or right, or the squared distance in units of the variance of y.

        Rows of rare classes count for more when the classes are imbalanced. None: knowing nothing.
        """
        y = self.y[self.held]
        if self.kind == "numbers":
            held = self.numbers[self.held]
            guess = np.broadcast_to(np.median(self.numbers[self.known], axis=0), held.shape)
            guess = guess if predictions is None else predictions[:, : held.shape[1]]
            with np.errstate(all="ignore"):
                off = ((np.asarray(guess, np.float64) - held) ** 2 / self.spread).mean(axis=1)
            return np.minimum(np.nan_to_num(off, nan=CAP, posinf=CAP), CAP)
        if self.kind == "several":
            held = y > 0.5
            likely = self.y[self.known].mean(axis=0) > 0.5
            guess = np.broadcast_to(likely, held.shape) if predictions is None else predictions > 0.5
            return (guess != held).mean(axis=1)
        truth = as_labels(y)
        wrong = (self.named(predictions) != truth).astype(np.float64)
        if self.imbalanced:
            found, at, counts = np.unique(truth, return_inverse=True, return_counts=True)
            wrong *= (len(truth) / (len(found) * counts))[at]
        return wrong

    def named(self, predictions: np.ndarray | None) -> np.ndarray:
        """The class that predictions of the judging rows name; None: the most frequent."""
        if predictions is None:
            return np.full(len(self.held), np.bincount(self.labels).argmax())
        if predictions.shape[1] == 1:
            return (predictions[:, 0] > 0.5).astype(np.int64)
        return np.nan_to_num(predictions, nan=-np.inf).argmax(axis=1)


CAP = 9.0  # no row is further off: one wild row must not decide


def as_labels(y: np.ndarray) -> np.ndarray:
    """Classes of labels, of (n, 1) labels, and of rows of probabilities."""
    y = np.asarray(y).reshape(len(y), -1)
    return y.argmax(axis=1) if y.shape[1] > 1 else np.rint(y[:, 0]).astype(np.int64)


def folds_of(rows: int, labels: np.ndarray | None, seed: int, every: bool = False) -> tuple[Fold, ...]:
    """Hold out one part in five; of few rows, or with `every`, each part in turn; of a handful none."""
    if rows < 20:
        everything = np.arange(rows)
        return (Fold(everything, everything),)
    order = np.random.default_rng(seed).permutation(rows)
    if labels is not None:  # every part has its share of each class
        order = order[np.argsort(labels[order], kind="stable")]
    parts = [np.sort(order[i::5]) for i in range(5)]
    count = 5 if every or rows < 500 else 2 if rows < 1500 else 1
    return tuple(Fold(np.setdiff1d(np.arange(rows), part), part) for part in parts[:count])
