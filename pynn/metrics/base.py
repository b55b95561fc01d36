"""The base of all metrics, and what predictions and targets mean to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError, DtypeError, LabelError, ShapeError

State = dict[str, Any]
Weighed = tuple[np.ndarray, np.ndarray, np.ndarray]  # targets, predictions, weights
Rows = tuple[tuple[str, type, dict[str, Any], tuple[str, ...]], ...]  # name, class, arguments, aliases

MAXIMIZE, MINIMIZE = "maximize", "minimize"
RESERVED = ("loss", "learning_rate", "seconds", "epoch")  # what else a line of the history holds


class Metric:
    """A number that training is judged by: the mean over rows, weighted by sample weights, of what `values` returns.

    Derive from it and override `values`. A metric that is no mean over rows overrides `reset`, `update` and `result`;
    for one that needs all rows at once there is `Function`. `compile` copies metrics, so that models share none.

    Parameters
    ----------
    name : str, optional
        Key in the history; the class's `name` by default.

    Attributes
    ----------
    name : str
        Key in the history.
    direction : "maximize", "minimize" or None
        Which way is better. `EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` use it with ``mode="auto"`` and
        refuse to guess where it is None.

    Examples
    --------
    >>> import pynn
    >>> class Hits(pynn.Metric):
    ...     name, direction = "hits", "maximize"
    ...     def values(self, targets, predictions):
    ...         return predictions.argmax(axis=1) == targets[:, 0]
    >>> model = pynn.Sequential([pynn.Dense(2)])
    >>> model.compile("softmax_cross_entropy", metrics=[Hits()])
    """

    name: str = "metric"
    direction: str | None = None
    arguments: tuple[str, ...] = ()  # what the library's own are made with, beside the name
    _loss: Any = None

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.reset()

    def take_loss(self, loss: Any) -> None:
        """Learn from the loss of a model what predictions and targets mean. `compile` calls it on its copy.

        Parameters
        ----------
        loss : Loss
            ``loss.row["link"]`` is the activation that makes predictions of logits, for instance.
        """
        self._loss = loss

    def reset(self) -> None:
        """Forget all rows; an epoch and an evaluation begin with it."""
        self._sum = self._weight = 0.0

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add some rows.

        Parameters
        ----------
        targets : ndarray of shape (rows, 1) or (rows, outputs)
            Class labels as integers, or numbers.
        predictions : ndarray of shape (rows, outputs)
            What `Sequential.predict` returns.
        weights : ndarray of shape (rows,) or (rows, 1), optional
            Sample weights. A row of weight 0 counts for nothing, and its target may be NaN.

        Raises
        ------
        ShapeError, DtypeError
            `values` returned anything but one number for each row.
        """
        values = self._checked(self.values(targets, predictions), len(predictions))
        w = row_weights(weights, len(values))
        self._sum += float(np.sum(w * np.where(w > 0, values, 0)))
        self._weight += float(w.sum())

    def by_output(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Weighed:
        """Return targets, predictions and weights for `update`, of data whose outputs have weights of their own.

        A row weighs the mean of its outputs' weights; rows with a target that is unknown are left out. A metric that is
        a mean over outputs overrides it, and takes each output for a row.

        Parameters
        ----------
        targets, predictions, weights : ndarray of shape (rows, outputs)
            A target of weight 0 may be NaN.
        """
        known = np.isfinite(targets).all(axis=1)
        return targets[known], predictions[known], weights[known].mean(axis=1)

    def values(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return one number for each row.

        Parameters
        ----------
        targets, predictions : ndarray
            As `update` has them.

        Returns
        -------
        ndarray of shape (rows,)
            (rows, 1) means the same.
        """
        raise NotImplementedError(f"expected {type(self).__name__} to override values, or update and result")

    def result(self) -> float:
        """Return the metric over all rows since `reset`; NaN where none counted."""
        return self._sum / self._weight if self._weight else float("nan")

    def state_dict(self) -> State:
        """Return what a checkpoint in the middle of an epoch has to hold: plain values and arrays by name."""
        return {name: value for name, value in vars(self).items() if name not in ("_loss", "_middle")}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` returned."""
        vars(self).update(state)

    def _checked(self, found: Any, rows: int) -> np.ndarray:
        rule = f"expected values of the metric {self.name!r} as one number for each row, an array of shape ({rows},)"
        if found is None:
            raise ArgumentTypeError(f"{rule}; received None")
        try:
            values = np.asarray(found)
        except ValueError:
            raise ShapeError(f"{rule}; received rows of several lengths") from None
        if values.shape == (rows, 1):
            values = values[:, 0]
        if values.shape != (rows,):
            hint = ""
            if values.ndim == 0:
                hint = ": a number over all rows is a function f(y_true, y_pred) in metrics, see pynn.metrics.Function"
            elif values.ndim == 2 and len(values) == rows:
                hint = ": values.mean(axis=1) makes one of several outputs"
            raise ShapeError(f"{rule}; received shape {values.shape}{hint}")
        if values.dtype.kind not in "fiub":
            raise DtypeError(f"{rule}; received dtype {values.dtype}")
        return values.astype(np.float64)


class Summed(Metric):
    """A metric of sums over rows: subclasses `add` rows that count, and compute `result` from what they added."""

    def update(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add some rows; see `Metric.update`."""
        targets, predictions = np.asarray(targets), np.asarray(predictions)
        w = row_weights(weights, len(predictions))
        counts = w > 0
        if not counts.all():
            targets, predictions, w = targets[counts], predictions[counts], w[counts]
        if len(w):
            self.add(targets, predictions, w)

    def add(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Add rows whose weights, a float64 vector, are all above 0."""
        raise NotImplementedError


class Deciding(Metric):
    """A metric of classes: it knows from the loss, and the shapes, whether outputs exclude each other.

    One output is a yes or no. Several outputs are a yes or no each under a loss whose link is the sigmoid (and under
    hinge losses), and else one class each, of which the largest is predicted.
    """

    threshold: float | None = None
    _middle: float | None = None  # of the loss's predictions, once known

    def take_loss(self, loss: Any) -> None:
        """Learn from the loss what predictions and targets mean; see `Metric.take_loss`."""
        super().take_loss(loss)
        self._middle = None

    def decides(self, outputs: int) -> bool:
        """Return whether each output is a yes or no of its own."""
        row = None if self._loss is None else self._loss.row
        return outputs == 1 or (row is not None and (row["link"] == "sigmoid" or row["signs"]))

    def yes(self, predictions: np.ndarray) -> np.ndarray:
        """Return which predictions are a yes: those above the threshold, or on that side of the loss's middle."""
        if self.threshold is None and self._middle is None:
            self._middle = 0.5 if self._loss is None else self._loss.middle(predictions.shape[1])
        threshold = self._middle if self.threshold is None else self.threshold
        if threshold is None:
            raise ArgumentValueError(
                f"expected a threshold for the metric {self.name!r}, as the loss {self._loss.name!r} does not show "
                f"whether its predictions are logits; received threshold=None: pynn.metrics.{type(self).__name__}"
                "(threshold=0) is right for logits, threshold=0.5 for numbers from 0 to 1"
            )
        return predictions > threshold

    def classes(self, targets: np.ndarray, outputs: int) -> np.ndarray:
        """Return the class of each row, from labels or from rows with one column for each class."""
        if targets.shape[1] == 1:
            return targets[:, 0].astype(np.int64)
        require_columns(self.name, targets, outputs)
        if self._loss is None or self._loss.row["link"] != "softmax":
            self._require_one_class(targets)
        return targets.argmax(axis=1)

    def as_classes(self, targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and predictions as classes, or as 0 and 1 where outputs are a yes or no each."""
        if self.decides(predictions.shape[1]):
            return is_yes(targets).astype(np.int64), self.yes(predictions).astype(np.int64)
        return self.classes(targets, predictions.shape[1]), predictions.argmax(axis=1)

    def _require_one_class(self, targets: np.ndarray) -> None:
        """Refuse rows of 0 and 1 without exactly one 1, of which argmax would take the first."""
        if np.all((targets == 0) | (targets == 1)):
            ones = np.count_nonzero(targets, axis=1)
            if (ones != 1).any():
                raise LabelError(
                    f"expected rows of y with a single 1 for the metric {self.name!r} under a loss that tells no "
                    f"outputs apart; received a row with {int(ones[ones != 1][0])}: where each column is a yes or no, "
                    "take binary_accuracy, or train with sigmoid_cross_entropy"
                )


def is_yes(targets: np.ndarray) -> np.ndarray:
    """Return which targets are a yes; a no is 0, or -1 with losses of margins."""
    return targets > 0.5


def require_yes_or_no(name: str, targets: np.ndarray) -> None:
    """Refuse targets outside 0 ... 1 other than -1."""
    wrong = ~(((targets >= 0) & (targets <= 1)) | (targets == -1))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise LabelError(
            f"expected y of 0 and 1 for the metric {name!r}; received {targets[row, column]:.6g}: numbers have "
            "metrics such as 'r2', 'mae' and 'mse', and several classes a loss such as softmax_cross_entropy"
        )


def require_columns(name: str, targets: np.ndarray, outputs: int) -> None:
    """Refuse targets with other columns than predictions."""
    if targets.shape[1] != outputs:
        raise ShapeError(
            f"expected targets of {outputs} columns for the metric {name!r}, as predictions have; received "
            f"{targets.shape[1]}"
        )


def as_numbers(targets: np.ndarray, outputs: int) -> np.ndarray:
    """Return targets as (rows, outputs) float64; labels become one-hot rows."""
    if targets.shape[1] == 1 and outputs > 1:
        return (targets == np.arange(outputs)).astype(np.float64)
    return targets.astype(np.float64)


def row_weights(weights: np.ndarray | None, rows: int) -> np.ndarray:
    """Return sample weights as a float64 vector; 1 for each row without any."""
    return np.ones(rows) if weights is None else np.asarray(weights, np.float64).reshape(-1)


def ratio(numerator: Any, denominator: Any, undefined: float = 0.0) -> np.ndarray:
    """Return a quotient, with `undefined` where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), undefined)


def apart(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Weighed:
    """Return outputs as rows of one output each."""
    return targets.reshape(-1, 1), predictions.reshape(-1, 1), weights.reshape(-1)


def value_of(metric: Metric) -> float:
    """Return a metric's result as a float, or refuse anything but a number."""
    found: Any = metric.result()
    if np.ndim(found) == 0 and not isinstance(found, (str, bytes)):
        try:
            return float(found)
        except (TypeError, ValueError):
            pass
    raise ArgumentTypeError(f"expected the result of the metric {metric.name!r} as a number; received {found!r}")
