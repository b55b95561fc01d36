"""Stop training when a monitored value has stopped improving."""

from __future__ import annotations

import math

import numpy as np

from .. import checks
from .base import Logs, State
from .monitor import Monitor
from .weights import restore, weights


class EarlyStopping(Monitor):
    """Stop when a value has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        Key of the history, ``"val_loss"`` for instance.
    min_delta : float >= 0
        What counts as better: a change of more than this.
    patience : int >= 0
        Epochs to wait for it.
    mode : "auto", "min" or "max"
        Which way is better; "auto": up for accuracies and other scores by their names, else down.
    baseline : float, optional
        What has to be beaten, to begin with.
    restore_best_weights : bool
        Give the model the parameters of the best epoch when training ends, however it ends.
    start_from_epoch : int >= 0
        Epochs before this one are not looked at.

    Attributes
    ----------
    best : float
        The best value; `best_epoch` is its epoch and `stopped_epoch` the one that training stopped after, or None.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = checks.integer("patience", patience, 0)
        self.baseline = None if baseline is None else checks.number("baseline", baseline)
        self.start_from_epoch = checks.integer("start_from_epoch", start_from_epoch, 0)
        self.restore_best_weights = restore_best_weights
        self._weights: State | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.best = self._sign * math.inf if self.baseline is None else self.baseline
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights = None
        self._waited = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.improves(value):
            self.best_epoch, self._waited = epoch, 0
            if self.restore_best_weights:
                self._weights = weights(self.model)
            return
        self._waited += 1
        if self._waited >= max(1, self.patience):
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self._weights is not None:
            restore(self.model, self._weights)

    def state_dict(self) -> State:
        state = {"best": self.best, "best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch,
                 "waited": self._waited}  # fmt: skip
        return state | {f"weights.{name}": value for name, value in (self._weights or {}).items()}

    def load_state_dict(self, state: State) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.stopped_epoch, self._waited = state["stopped_epoch"], state["waited"]
        kept = {name[8:]: np.array(value) for name, value in state.items() if name.startswith("weights.")}
        self._weights = kept or None
