"""`find_label_errors`: rows whose labels the rest of the data contradicts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import checks
from ..diagnosis.folds import as_labels, folds_of
from ..diagnosis.label_errors import Suspicion, suspicions, trusted
from ..diagnosis.recipe import Recipe, kind_of
from ..errors import ArgumentValueError, NotReadyError
from ..model import Sequential
from ..optimizers import get as optimizer
from ..training.trials import build, fit, materialized, recipe_of

__all__ = ["find_label_errors"]

PARTS = 5
MIXUP = 0.2


def find_label_errors(
    model: Sequential, X: Any, y: Any, *, epochs: int = 15, batch_size: int = 64, repeats: int = 2
) -> list[Suspicion]:
    """Find the rows whose labels the rest of the data contradicts.

    Copies of the network are trained on four fifths of the rows and asked for the others (cross-fitting), with mixup,
    so that they do not learn single labels by heart. A second round leaves out the rows that the first contradicts. How
    many labels are wrong is estimated from how sure the contradictions are; clean labels give none or nearly none.

    Parameters
    ----------
    model : Sequential
        Compiled with a loss of classes; left as it is. A few hundred units and some dropout find more.
    X : array-like of shape (rows, inputs)
    y : array-like of shape (rows,)
        Labels 0 ... classes - 1, or rows of probabilities.
    epochs, batch_size : int
        Of each copy.
    repeats : int
        Times that the second round is repeated, with other parts; their predictions are averaged.

    Returns
    -------
    list of Suspicion
        ``.row``, ``.given``, ``.likelier``, ``.score``; the surest first.

    Raises
    ------
    NotReadyError
        The model was not compiled.
    ArgumentValueError
        y has no classes, or fewer than 50 rows.

    References
    ----------
    Northcutt, Jiang and Chuang, "Confident learning", JAIR 2021, ranks by such predictions; Zhang et al., "mixup", ICLR
    2018.
    """
    if model.loss is None:
        raise NotReadyError("expected a compiled model; call compile(loss=..., optimizer=...) first")
    X, y, _ = materialized(X, y)
    chosen = {"epochs": checks.integer("epochs", epochs, 1), "batch_size": checks.integer("batch_size", batch_size, 1)}
    recipe = recipe_of(model._learner, chosen).change(mixup=MIXUP)
    if kind_of(recipe, y) not in ("classes", "yes_no"):
        raise ArgumentValueError("expected y as labels of classes; received numbers")
    if len(X) < 50:
        raise ArgumentValueError(f"expected at least 50 rows to compare labels; received {len(X)}")
    if recipe.optimizer.name == "lbfgs":
        recipe = recipe.change(optimizer=optimizer("adam"))
    labels = as_labels(y)
    first = _unseen(recipe, X, y, labels, np.ones(len(X), bool), 0)
    kept = trusted(first, labels)
    again = [_unseen(recipe, X, y, labels, kept, 1 + i) for i in range(checks.integer("repeats", repeats, 1))]
    return suspicions(np.mean(again, axis=0), labels)


def _unseen(
    recipe: Recipe, X: np.ndarray, y: np.ndarray, labels: np.ndarray, kept: np.ndarray, round_: int
) -> np.ndarray:
    """Return probabilities of classes for every row, by a network that was not trained on it."""
    found: np.ndarray | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, fold in enumerate(folds_of(len(X), labels, recipe.seed + round_, every=True)):
            copy = recipe.change(seed=(recipe.seed + PARTS * round_ + i) % 2**64)
            model = build(Sequential, copy, X.shape[1])
            train = fold.train[kept[fold.train]]
            fit(copy, model, X[train], y[train])
            p = np.asarray(model.predict(X[fold.held]), np.float64)
            p = np.column_stack([1 - p[:, 0], p[:, 0]]) if p.shape[1] == 1 else p
            found = np.zeros((len(X), p.shape[1])) if found is None else found
            found[fold.held] = p
    assert found is not None
    return found
