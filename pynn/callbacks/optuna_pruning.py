"""End a trial of Optuna that falls behind."""

from __future__ import annotations

from typing import Any

from .. import checks
from .base import Logs
from .monitor import Monitor


class OptunaPruning(Monitor):
    """Report each epoch to a trial of Optuna, and end it where the study's pruner says so.

    `fit` then raises ``optuna.TrialPruned``, which the study counts as pruned. Needs ``pip install
    'pynn-dense[optuna]'``. A trial whose numbers run away ends in a `pynn.NumericalError`:
    ``study.optimize(objective, catch=pynn.NumericalError)`` goes on with the next one.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : str
        Key of the history. The study's direction must be its: "minimize" for a loss.
    mode : "auto", "min" or "max"
        Which way is better. "auto" asks the model, as `EarlyStopping` does.

    Raises
    ------
    ArgumentValueError
        When training begins: the study's direction is not that of the value.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss", mode: str = "auto") -> None:
        super().__init__(monitor, mode)
        self.trial = trial

    def on_train_begin(self, logs: Logs) -> None:
        checks.package("optuna", "optuna", "to prune trials")
        self.find_direction()
        wanted = "minimize" if self._sign > 0 else "maximize"
        direction = self.trial.study.direction.name.lower()
        checks.require(
            direction in (wanted, "not_set"), f"a study that is to {wanted} {self.monitor!r}", direction=direction
        )

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.trial.report(self.value(logs), epoch)
        if self.trial.should_prune():
            optuna = checks.package("optuna", "optuna", "to prune trials")
            raise optuna.TrialPruned(f"pruned after epoch {epoch + 1}: {self.monitor}={logs[self.monitor]:.6g}")
