"""Train on a small batch from where training began, with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core, arrays
from ..errors import PynnError
from ..network.passes import Part
from ..report.finding import Finding
from ..training.learner import Learner

UNSCALED = 100.0  # largest |value| of a column of X, or of y under a loss that squares it
ALONE = 1e3  # times the largest of all other rows: an outlier
ROWS, STEPS = 64, 30  # of a trial
SCANNED = 1 << 25  # cells of X that are looked through for outliers
WORK = 2e10  # floating-point operations that looking for causes may take


def takes_steps(learner: Learner) -> bool:
    """Whether there is a learning rate: L-BFGS has none."""
    return bool(learner.optimizer.takes_steps)


@dataclass(frozen=True)
class Batch:
    """Rows of checked data, and their numbers in the user's data."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    rows: np.ndarray

    def take(self, at: np.ndarray) -> Batch:
        return Batch(self.x[at], self.y[at], None if self.weights is None else self.weights[at], self.rows[at])


def batch(part: Part, order: Any, first: int, count: int) -> Batch:
    """Return rows order[first : first+count] of `part` and outliers."""
    at = np.arange(first, first + count) if order is None else order[first : first + count]
    x, y, weights, _ = part
    if len(at) < x.shape[0] and x.size <= SCANNED and not arrays.is_sparse(x):
        # an outlier in an earlier batch may have made the weights explode
        at = np.concatenate([at, np.setdiff1d(lone_rows(x, y, weights), at)])
    return taken_rows(part, at)


def taken_rows(part: Part, at: np.ndarray) -> Batch:
    x, y, weights, numbers = part
    taken = x[at].toarray() if arrays.is_sparse(x) else x[at]
    rows = at if numbers is None else np.asarray(numbers)[at]
    return Batch(taken, y[at], None if weights is None else weights[at], rows)


@dataclass(frozen=True)
class Setup:
    """Everything that decides how training on a batch goes."""

    learner: Learner
    batch: Batch
    parameters: np.ndarray
    learning_rate: float
    layers: list[Any] | None = None  # None: those of the model

    def trainer(self, dtype: str | None = None, **guard: Any) -> tuple[np.ndarray, _core.Trainer]:
        """Return the parameters of a copy of the model, and a trainer for that copy."""
        learner = self.learner
        copy = learner.network.copy(dtype, layers=self.layers)
        parameters = copy.parameters
        parameters[...] = self.parameters
        name, numbers = learner.optimizer.core
        optimizer = (name, numbers | {"learning_rate": self.learning_rate})
        clip = learner.optimizer.global_clipnorm or 0.0
        guard = {"check_every": 0} | guard
        size, seed = len(self.batch.x), learner.network.seed
        return parameters, _core.Trainer(copy.core, optimizer, size, clip, seed, guard=guard)

    def losses(self, steps: int) -> list[float]:
        """Return the losses of steps on the whole batch; fewer than `steps` when one was refused."""
        _, trainer = self.trainer(window=8)
        b, n, found = self.batch, len(self.batch.x), []
        for _ in range(steps):
            try:
                found.append(float(trainer.train(b.x, b.y, b.weights, None, 0, n, n)[2]))
            except PynnError:
                break
        return found

    def goes_well(self, steps: int) -> bool:
        """Whether no step was refused and the loss ended below where it began."""
        losses = self.losses(steps)
        return len(losses) == steps and float(np.mean(losses[-steps // 4 :])) < losses[0]


def by_default(core: _core.Model) -> list[Any]:
    """Return the layers with the default initializers of their activations."""
    usual = {row["name"]: row["initializer"] for row in _core.table("activation")}
    return [
        layer | {"kernel_initializer": (usual[layer["activation"][0]], {})}
        if {"activation", "kernel_initializer"} <= layer.keys()
        else layer
        for layer in core.layers
    ]


@dataclass(frozen=True)
class Suspect:
    """A possible cause: how far from ordinary it is, in powers of ten, and the setup without it."""

    finding: Finding
    strength: float
    rank: int  # 0: the data, 1: the weights, 2: the learning rate; each can make the next look wrong
    cure: Callable[[Setup], Setup]


def magnitudes(x: np.ndarray) -> np.ndarray:
    return np.abs(np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0))


def lone(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each column's largest magnitude, its row, the largest of the other rows, and whether it stands alone."""
    sizes = magnitudes(x)
    alone, columns = sizes.argmax(axis=0), np.arange(x.shape[1])
    largest = sizes[alone, columns]
    sizes[alone, columns] = 0
    rest = sizes.max(axis=0)
    return largest, alone, rest, (largest > UNSCALED) & (largest > ALONE * np.maximum(rest, 1)) & (len(x) > 2)


def lone_rows(*data: np.ndarray | None) -> np.ndarray:
    """Return a few rows that stand out in a column of any of these."""
    found: list[int] = []
    for x in data:
        if x is not None and x.dtype.kind == "f":
            largest, alone, _, outlying = lone(x.reshape(len(x), -1))
            far = np.argsort(np.where(outlying, -largest, 0), kind="stable")[: min(8, int(outlying.sum()))]
            found += [int(row) for row in alone[far]]
    return np.unique(np.array(found, np.int64))
