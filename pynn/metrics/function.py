"""Functions and scikit-learn's scorers as metrics over a whole epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, ShapeError
from .base import MAXIMIZE, MINIMIZE, Deciding, State
from .kept import Kept


class Function(Kept, Deciding):
    """A function of all targets and predictions of an epoch: ``f(y_true, y_pred)``, or a scikit-learn scorer.

    ``compile(metrics=[f])`` is ``compile(metrics=[pynn.metrics.Function(f)])``. The function is called once at the end
    of an epoch and of an evaluation, with all rows: targets and predictions are kept until then. It gets what y was,
    and what `Sequential.predict` returns, one column as (rows,); rows of sample weight 0 are left out. A scorer such as
    ``sklearn.metrics.get_scorer("roc_auc")``, or any ``scorer(estimator, X, y)``, gets an estimator that predicts what
    the model did; its direction is "maximize".

    Parameters
    ----------
    function : callable
        ``f(y_true, y_pred)`` that returns a number. With sample weights it is given ``sample_weight``, and has to take
        it.
    name : str, optional
        Key in the history; the function's own name by default.
    direction : "maximize", "minimize" or None
        Which way is better; by default the function's attribute of this name, if it has one.
    classes : bool
        Give it classes instead of predictions: the largest of several, and 0 or 1 where an output is a yes or no. That
        is what ``sklearn.metrics.f1_score`` and others of labels take.
    weighted : bool
        False: leave sample weights out, and give it the rows whose weight is not 0.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> def worst(y_true, y_pred):
    ...     return abs(y_true - y_pred).max()
    >>> model = pynn.Sequential([pynn.Dense(1)], seed=0)
    >>> model.compile("mse", metrics=[pynn.metrics.Function(worst, direction="minimize")])
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> model.fit(X, X).history["worst"][0] > 0
    True
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        direction: str | None = None,
        classes: bool = False,
        weighted: bool = True,
    ) -> None:
        if isinstance(function, type) or not callable(function):
            raise ArgumentTypeError(f"expected function as a callable; received function={function!r}")
        self.function = function
        self.scores = _is_scorer(function)
        self._require_arguments()
        self.direction = direction or (MAXIMIZE if self.scores else getattr(function, "direction", None))
        if self.direction is not None:
            checks.choice("direction", self.direction, (MAXIMIZE, MINIMIZE))
        self.asks_classes, self.weighted = checks.boolean("classes", classes), checks.boolean("weighted", weighted)
        super().__init__(name or _name(function))

    def _require_arguments(self) -> None:
        """Refuse a function that cannot take two arguments, or three where it is a scorer."""
        count = 3 if self.scores else 2
        try:
            inspect.signature(self.function).bind(*range(count))
        except TypeError:
            raise ArgumentTypeError(
                f"expected a metric as a function f(y_true, y_pred); received {self.function!r}, which takes other "
                "arguments"
            ) from None
        except ValueError:  # a builtin does not say
            pass

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows that count."""
        if self._blocks and self._blocks[0][0].shape[1] != targets.shape[1]:
            raise ShapeError(
                f"expected targets in one form for the metric {self.name!r}, which takes them all at once; received "
                f"{self._blocks[0][0].shape[1]} columns, then {targets.shape[1]}"
            )
        self.keep(targets, predictions, weights)

    def result(self) -> float:
        """Return what the function does for all rows since `reset`; NaN where no row counted."""
        targets, predictions, weights = self.kept()
        if not len(predictions):
            return float("nan")
        given = self._given_weights(weights)
        try:
            if self.scores:
                from .scorers import predicted

                estimator = predicted(self, targets, predictions)
                found: Any = self.function(estimator, np.arange(len(targets))[:, None], estimator.targets, **given)
            else:
                y, p = targets, predictions
                if self.asks_classes:
                    y, p = self.as_classes(targets, predictions)
                found = self.function(_vector(y), _vector(p), **given)
        except Exception as error:
            hint = "" if self.asks_classes or self.scores else "; classes=True gives it classes instead of predictions"
            error.add_note(f"raised by the metric {self.name!r} of pynn, for {len(predictions)} rows{hint}")
            raise
        return found

    def state_dict(self) -> State:
        """Return what a checkpoint in the middle of an epoch has to hold."""
        state = super().state_dict()
        del state["function"]
        return state

    def _given_weights(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return sample weights as the function's argument; weights that are all alike need none."""
        if not self.weighted or (weights == weights[0]).all():
            return {}
        if not _takes_weights(self.function):
            raise ArgumentValueError(
                f"expected the function of the metric {self.name!r} with an argument sample_weight, as rows have "
                f"weights; received {self.function!r}: add it, or leave the weights out with "
                "pynn.metrics.Function(f, weighted=False)"
            )
        return {"sample_weight": weights}


def _is_scorer(function: Any) -> bool:
    """Return whether a callable takes an estimator and X first, as scorers of scikit-learn do."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
    return names[:2] in (["estimator", "X"], ["clf", "X"], ["est", "X"])


def _takes_weights(function: Any) -> bool:
    inner = getattr(function, "_score_func", function)  # of a scorer, which itself takes any
    try:
        names = inspect.signature(inner).parameters
    except (TypeError, ValueError):
        return False
    return "sample_weight" in names


def _name(function: Any) -> str:
    inner = getattr(function, "_score_func", function)
    inner = getattr(inner, "func", inner)  # of functools.partial
    name = getattr(inner, "__name__", type(inner).__name__)
    if not name.isidentifier():
        raise ArgumentValueError(
            f"expected a function with a name; received {name}: pynn.metrics.Function(f, name='...') gives it one"
        )
    return f"neg_{name}" if getattr(function, "_sign", 1) < 0 else name


def _vector(array: np.ndarray) -> np.ndarray:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
