"""`repair`: the network trained, with the changes that trials have proved."""

from __future__ import annotations

from typing import Any

from ..model import Sequential
from ..training.repair import Repair, repaired

__all__ = ["repair"]


def repair(model: Sequential, X: Any, y: Any = None, *, budget: float | None = None, **arguments: Any) -> Repair:
    """Train a network with the changes that make it learn.

    `diagnose` is run first. Of the runs that it tried, the one with the fewest changes that is as good as the best is
    taken, and trained on all rows. Where no change helps, the model is trained as it was given.

    Parameters
    ----------
    model : Sequential
        Compiled; left as it is.
    X, y
        As for `Sequential.fit`.
    budget : float >= 0, optional
        As for `diagnose`.
    **arguments
        Those of `diagnose`: ``epochs``, ``batch_size``, ``validation_data``, ``sample_weight``, ...

    Returns
    -------
    Repair
        ``.model``, ``.changes``, ``.report``, ``.history``; ``print(result.code())`` is what to write.

    Raises
    ------
    NumericalError
        The data have cells that are not finite, and `on_bad_rows` does not say what to do about them.
    NotReadyError, ShapeError, DtypeError, ArgumentValueError
        As for `diagnose`.
    """
    return repaired(Sequential, model._learner, X, y, arguments, budget)
