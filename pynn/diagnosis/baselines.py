"""What can be known without tuning: the nearest row, a linear model, and both after y was permuted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .folds import Fold, Task, as_labels

ROWS = 2000  # that are known to a baseline
CLIP = 5.0  # standard deviations: one wild cell must not decide which rows are near
PERMUTATIONS = 5
RIDGE = 1e-2  # of the number of rows
BLOCK = 1024  # rows whose distances are held
SURE = 3.0  # standard errors


@dataclass(frozen=True, eq=False)
class Baselines:
    """Errors of the judging rows, and the mean of those after permutations of y."""

    nothing: np.ndarray
    nearest: np.ndarray
    nearest_permuted: np.ndarray
    linear: np.ndarray
    linear_permuted: np.ndarray

    def known(self, errors: np.ndarray) -> float:
        """Return the share of what there is to know beyond the mean or the most frequent class."""
        return round(float(1 - errors.mean() / max(float(self.nothing.mean()), 1e-12)), 3)

    def depends(self, least: float) -> bool:
        """Whether y depends on X: a baseline errs less than after permutations, by more than chance and `least`."""
        pairs = ((self.nearest, self.nearest_permuted), (self.linear, self.linear_permuted))
        return any(gained(permuted, errors, self.nothing, least) for errors, permuted in pairs)

    @property
    def evidence(self) -> dict[str, float]:
        return {"nearest": self.known(self.nearest), "nearest_permuted": self.known(self.nearest_permuted),
                "linear": self.known(self.linear), "linear_permuted": self.known(self.linear_permuted)}  # fmt: skip


def gained(worse: np.ndarray, better: np.ndarray, nothing: np.ndarray, least: float) -> bool:
    """Whether errors are smaller by more than a share of those of knowing nothing, and by more than chance."""
    gain = (worse - better) / max(float(nothing.mean()), 1e-12)
    return bool(gain.mean() > max(least, SURE * float(gain.std()) / np.sqrt(len(gain))))


def baselines(task: Task, seed: int) -> Baselines:
    """Measure them on the folds of a task."""
    random = np.random.default_rng(seed)
    nearest, linear = list[np.ndarray](), list[np.ndarray]()
    permuted: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in range(PERMUTATIONS)]
    for fold in task.folds:
        rows = np.sort(random.permutation(fold.train)[:ROWS])
        known, held = _standard(task, fold, rows)
        y = _targets(task)[rows]
        at, solve = _neighbours(known, held, random), _linear(known, held)
        nearest.append(y[at])
        linear.append(solve(y))
        for of_nearest, of_linear in permuted:
            other = random.permutation(y)
            of_nearest.append(other[at])
            of_linear.append(solve(other))

    def errors(parts: list[np.ndarray]) -> np.ndarray:
        return task.errors(np.concatenate(parts))

    return Baselines(
        task.errors(None), errors(nearest), np.mean([errors(one) for one, _ in permuted], axis=0),
        errors(linear), np.mean([errors(one) for _, one in permuted], axis=0),
    )  # fmt: skip


def _targets(task: Task) -> np.ndarray:
    """Return y as predictions of a perfect model."""
    if task.kind != "classes":
        return task.numbers if task.kind != "yes_no" else as_labels(task.y)[:, None].astype(np.float64)
    labels = as_labels(task.y)
    return np.eye(int(labels.max()) + 1)[labels]


def _standard(task: Task, fold: Fold, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to know and rows to judge, of mean 0 and deviation 1, without far cells."""
    x, held = (np.nan_to_num(np.asarray(task.X[at], np.float64)) for at in (rows, fold.held))
    with np.errstate(all="ignore"):
        middle, spread = x.mean(axis=0), x.std(axis=0)
        spread[~(spread > 0)] = np.inf
        known, judged = (np.clip((part - middle) / spread, -CLIP, CLIP) for part in (x, held))
    return known, judged


def _neighbours(known: np.ndarray, held: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the nearest known row of each row, one of them by chance where several are."""
    size, found = (known**2).sum(axis=1), list[np.ndarray]()
    for first in range(0, len(held), BLOCK):
        part = held[first : first + BLOCK]
        distance = size - 2 * part @ known.T
        distance += 1e-9 * (1 + np.abs(distance).max()) * random.random(distance.shape)
        found.append(distance.argmin(axis=1))
    return np.concatenate(found)


def _linear(known: np.ndarray, held: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what fits a ridge regression to targets of the known rows and predicts the others."""
    if known.shape[1] <= len(known):
        whole = np.linalg.solve(known.T @ known + RIDGE * len(known) * np.eye(known.shape[1]), known.T)
        weights = held @ whole
    else:
        weights = np.linalg.solve(known @ known.T + RIDGE * len(known) * np.eye(len(known)), known @ held.T).T
    return lambda y: weights @ (y - y.mean(axis=0)) + y.mean(axis=0)
