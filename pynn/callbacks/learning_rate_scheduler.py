"""Set the learning rate of each epoch."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ArgumentTypeError
from .base import Callback, Logs
from .rates import left_by_rollbacks, require_settable_rate


class LearningRateScheduler(Callback):
    """The learning rate of each epoch from a function ``f(epoch, learning_rate)``; see `pynn.schedules` for steps.

    With ``guard="rollback"`` it is multiplied by what the rollbacks of the run have left, as rates of `pynn.schedules`
    are; the function gets the rate without that factor.

    Parameters
    ----------
    schedule : callable
        ``f(epoch, learning_rate)``, of the epoch's number and the rate of the epoch before, returns the rate.
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise ArgumentTypeError(f"expected schedule as a function; received schedule={schedule!r}")
        if hasattr(schedule, "core_schedule"):
            raise ArgumentTypeError(
                f"expected schedule as a function f(epoch, learning_rate); received {type(schedule).__name__}, which "
                "counts steps: give it to the optimizer as its learning_rate"
            )
        self.schedule = schedule

    def on_train_begin(self, logs: Logs) -> None:
        require_settable_rate(self.model, "LearningRateScheduler")

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        left = left_by_rollbacks(self.model)
        self.model.learning_rate = self.schedule(epoch, self.model.learning_rate / left) * left
