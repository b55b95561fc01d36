"""Set the learning rate of each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError
from .base import Callback, Logs
from .rates import left_by_rollbacks, require_settable_rate


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch to what a function returns. Schedules of steps are in `pynn.schedules`.

    Parameters
    ----------
    schedule : callable
        ``f(epoch)`` or ``f(epoch, learning_rate)`` with the number of the epoch, from 0, and the rate of the epoch
        before; it returns the new rate.

    Notes
    -----
    With ``guard="rollback"`` the rate is multiplied by what the rollbacks of the run have left, as rates of
    `pynn.schedules` are; the function gets the rate without that factor.

    Examples
    --------
    >>> import pynn
    >>> halves = pynn.LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise ArgumentTypeError(f"expected schedule as a function; received schedule={schedule!r}")
        if hasattr(schedule, "core_schedule"):
            raise ArgumentTypeError(
                f"expected schedule as a function f(epoch, learning_rate); received {type(schedule).__name__}, which "
                "counts steps: give it to the optimizer as its learning_rate"
            )
        self.schedule = schedule
        self._takes_rate = _takes(schedule, 2)
        if not self._takes_rate and not _takes(schedule, 1):
            raise ArgumentTypeError(
                f"expected schedule as a function f(epoch) or f(epoch, learning_rate); received schedule={schedule!r}, "
                "which takes other arguments"
            )

    def on_train_begin(self, logs: Logs) -> None:
        require_settable_rate(self.model, "LearningRateScheduler")

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        left = left_by_rollbacks(self.model)
        rate = (self.model.learning_rate / left,) if self._takes_rate else ()
        found = checks.number(f"schedule({epoch})", self.schedule(epoch, *rate), above=0)
        self.model.learning_rate = found * left


def _takes(function: Any, count: int) -> bool:
    """Return whether a function can be called with `count` arguments by place; one that does not say takes one."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return count == 1
    return True
