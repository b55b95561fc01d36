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
    mode : "auto", "min" or "max"
        Which way is better. "auto" asks the model: a loss is better when lower, a metric in its `direction`. A value
        whose direction is not known is refused before training: it needs "min" or "max".
    min_delta : float >= 0
        Smallest change that counts as an improvement.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise ArgumentTypeError(f"expected monitor as a key of the history; received monitor={monitor!r}")
        self.monitor, self.mode = monitor, checks.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = checks.number("min_delta", min_delta, 0)
        self._sign = -1 if mode == "max" else 1
        self.best = self._sign * math.inf

    def find_direction(self) -> None:
        """Decide which way is better for the model in training.

        Raises
        ------
        UnknownNameError
            With ``mode="auto"``, a value that is neither the loss nor a metric with a direction.
        """
        if self.mode != "auto":
            self._sign = -1 if self.mode == "max" else 1
            return
        name = self.monitor.removeprefix("val_")
        known = {"loss": "minimize"} | {metric.name: metric.direction for metric in self.model.metrics}
        if known.get(name) is None:
            raise UnknownNameError(self._unknown(name, known))
        self._sign = -1 if known[name] == "maximize" else 1

    def _unknown(self, name: str, known: dict[str, str | None]) -> str:
        if name in known:
            return (
                f"expected mode='min' or 'max' for monitor={self.monitor!r}, a metric that declares no direction; "
                f"received mode='auto': give {type(self).__name__} a mode, or the metric direction = 'maximize' or "
                "'minimize'"
            )
        names = ", ".join(map(repr, known))
        near = checks.nearest(self.monitor, [*known, *(f"val_{name}" for name in known)])
        return (
            f"expected monitor as one of {names}, or the same with 'val_'; received monitor={self.monitor!r}"
            f"{near}; what compile(metrics=[...]) names is there too, and what another callback "
            "adds needs mode='min' or 'max'"
        )

    def value(self, logs: Logs) -> float:
        """Return the value watched."""
        if self.monitor not in logs:
            validated = any(name.startswith("val_") for name in logs)
            hint = "; fit needs validation_data" if self.monitor.startswith("val_") and not validated else ""
            hint = hint or f"{checks.nearest(self.monitor, logs)}; what compile(metrics=[...]) names is there too"
            raise UnknownNameError(
                f"expected monitor as one of {', '.join(map(repr, logs))}; received monitor={self.monitor!r}{hint}"
            )
        return logs[self.monitor]

    def improves(self, value: float, best: float | None = None) -> bool:
        """Return whether `value` is better than `best`, by default the best so far, by more than `min_delta`.

        NaN, the loss of an epoch without a step, is never better.
        """
        best = self.best if best is None else best
        return self._sign * value < self._sign * best - self.min_delta
