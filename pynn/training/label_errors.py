"""Predict every row by networks that were not trained on it, and name the labels that this contradicts."""

from __future__ import annotations

import warnings

import numpy as np

from ..diagnosis.folds import as_labels, folds_of
from ..diagnosis.label_errors import Suspicion, suspicions, trusted
from ..diagnosis.recipe import Recipe
from ..optimizers import get as optimizer
from .trials import Kind, build, fit

PARTS = 5
MIXUP = 0.2
REPEATS = 2  # of the second round
FEWEST = 50  # rows


class LabelErrors:
    """The rows of a report whose labels the other rows contradict, found when they are first asked for."""

    def __init__(self, kind: Kind, recipe: Recipe, X: np.ndarray, y: np.ndarray) -> None:
        self.kind, self.recipe, self.X, self.y = kind, recipe, X, y
        self.found: list[Suspicion] | None = None

    def __call__(self) -> list[Suspicion]:
        if self.found is None:
            self.found = find(self.kind, self.recipe, self.X, self.y)
        return list(self.found)

    @staticmethod
    def cost(recipe: Recipe, rows: int, inputs: int) -> float:
        """Operations, by the model of costs of trials."""
        return PARTS * (1 + REPEATS) * recipe.cost(rows * (PARTS - 1) // PARTS, inputs)


def find(kind: Kind, recipe: Recipe, X: np.ndarray, y: np.ndarray, repeats: int = REPEATS) -> list[Suspicion]:
    """Return the rows with contradicted labels, the surest first."""
    return suspicions(probabilities(kind, recipe, X, y, repeats), as_labels(y))


def probabilities(kind: Kind, recipe: Recipe, X: np.ndarray, y: np.ndarray, repeats: int = REPEATS) -> np.ndarray:
    """Return probabilities of classes for every row, by networks that were not trained on it.

    Each round trains copies on four fifths of the rows and asks them about the others. The second round leaves out the
    rows that the first contradicts; it is repeated with other parts, and predictions are averaged.
    """
    recipe = recipe.change(mixup=MIXUP)
    if recipe.optimizer.name == "lbfgs":
        recipe = recipe.change(optimizer=optimizer("adam"))
    labels = as_labels(y)
    first = _unseen(kind, recipe, X, y, labels, np.ones(len(X), bool), 0)
    kept = trusted(first, labels)
    again = [_unseen(kind, recipe, X, y, labels, kept, 1 + i) for i in range(repeats)]
    return np.asarray(np.mean(again, axis=0))


def _unseen(
    kind: Kind, recipe: Recipe, X: np.ndarray, y: np.ndarray, labels: np.ndarray, kept: np.ndarray, round_: int
) -> np.ndarray:
    """Return probabilities of classes for every row, by a network that was not trained on it."""
    found: np.ndarray | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, fold in enumerate(folds_of(len(X), labels, recipe.seed + round_, every=True)):
            copy = recipe.change(seed=(recipe.seed + PARTS * round_ + i) % 2**64)
            model = build(kind, copy, X.shape[1])
            train = fold.train[kept[fold.train]]
            fit(copy, model, X[train], y[train])
            p = np.asarray(model.predict(X[fold.held]), np.float64)
            p = np.column_stack([1 - p[:, 0], p[:, 0]]) if p.shape[1] == 1 else p
            found = np.zeros((len(X), p.shape[1])) if found is None else found
            found[fold.held] = p
    assert found is not None
    return found
