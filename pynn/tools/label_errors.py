"""`find_label_errors`: rows whose labels the rest of the data contradicts."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..diagnosis.label_errors import Suspicion
from ..diagnosis.recipe import kind_of
from ..errors import ArgumentValueError, NotReadyError
from ..model import Sequential
from ..training.label_errors import FEWEST, REPEATS, find
from ..training.trials import materialized, recipe_of

__all__ = ["find_label_errors"]


def find_label_errors(
    model: Sequential, X: Any, y: Any, *, epochs: int = 15, batch_size: int = 64, repeats: int = REPEATS
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
    recipe = recipe_of(model._learner, chosen)
    if kind_of(recipe, y) not in ("classes", "yes_no"):
        raise ArgumentValueError("expected y as labels of classes; received numbers")
    if len(X) < FEWEST:
        raise ArgumentValueError(f"expected at least {FEWEST} rows to compare labels; received {len(X)}")
    return find(Sequential, recipe, X, y, checks.integer("repeats", repeats, 1))
