"""Which labels does the rest of the data contradict? Judged by predictions of rows that a network has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..names import public

SUSPECT = 1.0  # natural logarithms by which another class must be likelier for a row to be left out of the second round
SURE, VERY_SURE = 3.0, 5.0
SURE_IF_CLEAN, VERY_SURE_IF_CLEAN = 0.2, 0.03  # shares of the clean rows that are contradicted
SURE_IF_WRONG = 0.78, 0.97  # share of the wrong ones: of classes that are alike, and of any
VERY_PER_SURE, VERY_AT_0 = 2.69, 1.80  # of wrong rows, the share above 0.03 that is very sure: 2.69 s - 1.80
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

    A network errs on clean rows too, and is seldom sure of it; of wrong labels it is sure as a rule, less so where the
    classes exchanged are alike. With a clean rows contradicted and b wrong ones, a + b are contradicted, 0.2 a + s b
    surely and 0.03 a + v b very surely, where v follows from s. That gives b.
    """
    contradicted, sure, very = (int((score > level).sum()) for level in (0.0, SURE, VERY_SURE))
    more = sure - SURE_IF_CLEAN * contradicted
    ratio = (very - VERY_SURE_IF_CLEAN * contradicted) / more if more > 0 else 0.0
    share = (VERY_AT_0 - SURE_IF_CLEAN * ratio) / (VERY_PER_SURE - ratio) if ratio < 0.9 * VERY_PER_SURE else 1.0
    above = float(np.clip(share, *SURE_IF_WRONG)) - SURE_IF_CLEAN
    chance = 2.0 * np.sqrt(max(contradicted, 1) * SURE_IF_CLEAN * (1 - SURE_IF_CLEAN)) / above
    return 0 if more / above < max(chance, FEWEST) else round(more / above)


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
