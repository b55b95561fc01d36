"""Watch a value of the epoch and tell when it has improved."""

from __future__ import annotations

import math

from .. import checks
from ..errors import ArgumentTypeError, UnknownNameError
from .base import Callback, Logs


class Monitor(Callback):
    """A callback that watches a value of the history.

    Parameters
    ----------
    monitor : str
        Key of the history, ``"val_loss"`` for instance.
    min_delta : float >= 0
        What counts as better: a change of more than this.
    mode : "auto", "min" or "max"
        Which way is better; "auto": up for names with ``acc``, ``auc``, ``f1``, ``precision``, ``recall`` or ``r2`` in
        them, else down.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise UnknownNameError(f"expected mode as one of 'auto', 'min', 'max'; received mode={mode!r}")
        if not isinstance(monitor, str):
            raise ArgumentTypeError(f"expected monitor as a key of the history; received monitor={monitor!r}")
        min_delta = checks.number("min_delta", min_delta, 0)
        words = ("acc", "auc", "f1", "precision", "recall", "r2")
        up = mode == "max" or (mode == "auto" and any(word in monitor for word in words))
        self.monitor, self.min_delta, self.mode = monitor, min_delta, mode
        self._sign = -1 if up else 1
        self.best = self._sign * math.inf

    def value(self, logs: Logs) -> float:
        """The value watched."""
        if self.monitor not in logs:
            validated = any(name.startswith("val_") for name in logs)
            hint = "; fit needs validation_data" if self.monitor.startswith("val_") and not validated else ""
            hint = hint or "; what compile(metrics=[...]) names is there too"
            raise UnknownNameError(
                f"expected monitor as one of {', '.join(map(repr, logs))}; received monitor={self.monitor!r}{hint}"
            )
        return logs[self.monitor]

    def improves(self, value: float) -> bool:
        """Whether `value` is the best so far; it is remembered then. NaN, of an epoch without a step, never is."""
        better = self._sign * value < self._sign * self.best - self.min_delta
        if better:
            self.best = value
        return better
