"""What a component returns, and the numbers that it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..folds import Task
from ..recipe import Recipe

DATA, TASK, MODEL, PENALTY, TRAINING = range(5)  # ranks: a cause of lower rank makes the next look bad


@dataclass(frozen=True, eq=False)
class Facts:
    """Numbers of the data and of the run.

    Attributes
    ----------
    rows : int
        Rows that a run trains on.
    means, spreads, medians : array of shape (columns,)
        Of the finite cells of X; `spreads` are standard deviations.
    furthest : array of shape (columns,)
        Largest distance from the median, in widths of the middle half of the column.
    rate_left : float
        Mean learning rate of the run over its largest one.
    """

    task: Task
    rows: int
    means: np.ndarray
    spreads: np.ndarray
    medians: np.ndarray
    furthest: np.ndarray
    rate_left: float = 1.0

    @property
    def inputs(self) -> int:
        return len(self.means)

    @classmethod
    def of(cls, task: Task, rate_left: float = 1.0) -> Facts:
        seen = task.X[task.known].astype(np.float64)
        missing = ~np.isfinite(seen)
        holes = bool(missing.any())
        X = np.where(missing, np.nan, seen) if holes else seen
        mean, std, most = (np.nanmean, np.nanstd, np.nanmax) if holes else (np.mean, np.std, np.max)
        quantiles = np.nanpercentile if holes else np.percentile
        with np.errstate(all="ignore"):
            low, middle, high = np.nan_to_num(quantiles(np.ascontiguousarray(X.T), (25, 50, 75), axis=1))
            means, spreads = np.nan_to_num(mean(X, axis=0)), np.nan_to_num(std(X, axis=0))
            far = np.nan_to_num(most(np.abs(X - middle), axis=0))
            largest = np.nan_to_num(most(np.abs(X), axis=0))
        usual = float(np.median(largest[largest > 0])) if (largest > 0).any() else 1.0
        box = np.where(high > low, high - low, np.maximum(spreads, usual))  # a column that is mostly 0 has no width
        return cls(task, len(task.folds[0].train), means, spreads, middle, far / np.maximum(box, 1e-300), rate_left)


@dataclass(frozen=True)
class Change:
    """One change of a recipe, as the user would write it."""

    what: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, eq=False)
class Deviation:
    """A part of a recipe that is not as usual: how far in powers of ten, and the recipes without it.

    `text` names the sentence of `pynn.report` that tells it, from `evidence`.
    """

    code: str
    rank: int
    strength: float
    cures: tuple[Recipe, ...]
    change: Change
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)
    certain: bool = False  # a fault by itself, whatever a short run shows


def decades(value: float, usual: float) -> float:
    """Return the distance in powers of ten."""
    return abs(float(np.log10(max(abs(value), 1e-300) / usual)))
