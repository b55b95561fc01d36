"""Which labels does the rest of the data contradict? Judged by predictions of rows that a network has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..names import public

SUSPECT = 1.0  # natural logarithms by which another class must be likelier for a row to be left out of the second round
SURE = 3.0
SURE_IF_CLEAN, SURE_IF_WRONG = 0.2, 0.87  # of the contradicted rows, those that are contradicted surely
FEWEST = 3


@public
@dataclass(frozen=True)
class Suspicion:
    """A row whose label is contradicted.

    Attributes
    ----------
    row : int
        Row of the data as they were given.
    given, likelier : int
        Its label, and the class that the rest of the data speaks for.
    score : float
        Natural logarithm of how much likelier that class is.
    """

    row: int
    given: int
    likelier: int
    score: float


def scores(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much likelier another class is than the given one, as a logarithm, and which."""
    p = np.log(np.maximum(probabilities, 1e-9))
    at = np.arange(len(p))
    given = p[at, labels].copy()
    p[at, labels] = -np.inf
    return p.max(axis=1) - given, p.argmax(axis=1)


def trusted(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which rows to train the second round on: those that the first does not contradict."""
    return scores(probabilities, labels)[0] < SUSPECT


def expected(score: np.ndarray) -> int:
    """Return the number of wrong labels.

    A network errs on clean rows too, and is seldom sure of it; of wrong labels it is sure as a rule. The share of sure
    contradictions among all tells the two apart. With b wrong labels, contradictions are a + b, sure ones
    0.2 a + 0.87 b.
    """
    contradicted, sure = int((score > 0).sum()), int((score > SURE).sum())
    wrong = (sure - SURE_IF_CLEAN * contradicted) / (SURE_IF_WRONG - SURE_IF_CLEAN)
    chance = 2.0 * np.sqrt(max(contradicted, 1) * SURE_IF_CLEAN * (1 - SURE_IF_CLEAN)) / (SURE_IF_WRONG - SURE_IF_CLEAN)
    return 0 if wrong < max(chance, FEWEST) else round(wrong)


def suspicions(probabilities: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None) -> list[Suspicion]:
    """Return the rows with contradicted labels, the surest first: as many as labels are wrong."""
    score, likelier = scores(probabilities, labels)
    order = np.argsort(-score, kind="stable")[: expected(score)]
    named = order if rows is None else rows[order]
    return [
        Suspicion(int(row), int(labels[at]), int(likelier[at]), float(score[at]))
        for row, at in zip(named, order, strict=True)
        if score[at] > 0
    ]
