"""`diagnose`: why a network does not learn, found by trying."""

from __future__ import annotations

from typing import Any

from ..model import Sequential
from ..report import Report
from ..training.examine import examine, look
from ..training.repair import code_of

__all__ = ["diagnose"]


def diagnose(
    model: Sequential, X: Any, y: Any = None, *, epochs: int = 1, batch_size: int = 32, shuffle: bool = True,
    validation_data: Any = None, sample_weight: Any = None, class_weight: Any = None, callbacks: Any = (),
    mixup: float = 0.0, on_bad_rows: str | None = None, target: str | None = None, preflight: bool = False,
    budget: float | None = None,
) -> Report:  # fmt: skip
    """Find out why a network does not learn, by training copies with one thing changed.

    The run that `fit` would make with the same arguments is made on a part of the rows and judged on the others. The
    same network is trained with everything cured that is not as usual. Where that is better, each cure is tried alone;
    what closes the gap comes first in the report. A model that is trained or ruined starts from its seed; frozen
    layers, and tensors that were brought along or set by hand, are where trials start too. Model, data and callbacks
    are left as they are.

    Parameters
    ----------
    model : Sequential
        Compiled.
    X, y, epochs, batch_size, shuffle, sample_weight, class_weight, callbacks, mixup, on_bad_rows, target
        As for `Sequential.fit`.
    validation_data
        As for `Sequential.fit`; these rows judge.
    preflight : bool
        Look at task, data and specification only; train nothing.
    budget : float >= 0, optional
        Seconds of trials. They stand for a number of operations, so that the report is the same on every machine.
        None: three times the run, and at least 10.

    Returns
    -------
    Report
        ``report.findings``, most important first. Empty: a run as usual would be no better.

    Raises
    ------
    NotReadyError
        The model was not compiled.
    ShapeError, DtypeError, ArgumentValueError
        Data or arguments that `fit` would not take.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(400, 4))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(2)], seed=0)
    >>> model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=1e-6))
    >>> pynn.diagnose(model, X, y, epochs=20).findings[0].code
    'learning_rate_too_low'
    """
    arguments = {
        "epochs": epochs, "batch_size": batch_size, "shuffle": shuffle, "sample_weight": sample_weight,
        "class_weight": class_weight, "callbacks": callbacks, "mixup": mixup, "on_bad_rows": on_bad_rows,
        "validation_data": validation_data, "target": target,
    }  # fmt: skip
    if preflight:
        return look(Sequential, model._learner, X, y, arguments)
    search, report = examine(Sequential, model._learner, X, y, arguments, budget)
    if search is not None:
        report.record.code = code_of(search)
    return report
