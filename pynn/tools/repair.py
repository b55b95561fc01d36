"""`repair`: the network trained, with the changes that trials have proved."""

from __future__ import annotations

import inspect
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError
from ..model import Sequential
from ..training.repair import Repair, repaired
from .diagnose import diagnose

__all__ = ["repair"]

ARGUMENTS = [
    name
    for name, one in inspect.signature(diagnose).parameters.items()
    if one.kind is one.KEYWORD_ONLY and name not in ("preflight", "budget")
]


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
    ArgumentTypeError
        An argument that `diagnose` does not have.
    NotReadyError, ShapeError, DtypeError, ArgumentValueError
        As for `diagnose`.
    """
    if unknown := [name for name in arguments if name not in ARGUMENTS]:
        listed = ", ".join(map(repr, ARGUMENTS))
        raise ArgumentTypeError(
            f"expected arguments of pynn.diagnose: {listed}; received {unknown[0]}={arguments[unknown[0]]!r}"
            f"{checks.nearest(unknown[0], ARGUMENTS)}"
        )
    return repaired(Sequential, model._learner, X, y, arguments, budget)
