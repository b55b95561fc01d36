"""Lower the learning rate when a monitored value has stopped improving."""

from __future__ import annotations

import math

from .. import checks
from .base import Logs, State
from .monitor import Monitor
from .rates import require_settable_rate


class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when a value has not become better for some epochs. For rates that follow no schedule.

    Parameters
    ----------
    monitor : str
        Key of the history.
    factor : float in (0, 1)
        The new rate is ``factor`` times the old one.
    patience : int >= 0
        Epochs without improvement that are waited for.
    mode : "auto", "min" or "max"
        As for `EarlyStopping`.
    min_delta : float >= 0
        What counts as better: a change of more than this.
    cooldown : int >= 0
        Epochs after a change in which none is counted.
    min_lr : float >= 0
        The rate does not fall below it.

    Notes
    -----
    The rule is Keras's; C programs have it as ``pynn_plateau``.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = checks.number("factor", factor, above=0, below=1)
        self.patience = checks.integer("patience", patience, 0)
        self.cooldown = checks.integer("cooldown", cooldown, 0)
        self.min_lr = checks.number("min_lr", min_lr, 0)

    def on_train_begin(self, logs: Logs) -> None:
        require_settable_rate(self.model, "ReduceLROnPlateau")
        self.best = self._sign * math.inf
        self._waited = self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, 0
        if self.improves(value):
            self._waited = 0
        elif not self._cooling:
            self._waited += 1
            if self._waited >= self.patience:
                self._waited = 0
                self._lower()

    def _lower(self) -> None:
        if self.model.learning_rate > self.min_lr:
            self.model.learning_rate = max(self.model.learning_rate * self.factor, self.min_lr)
            self._cooling = self.cooldown

    def state_dict(self) -> State:
        return {"best": self.best, "waited": self._waited, "cooling": self._cooling}

    def load_state_dict(self, state: State) -> None:
        self.best, self._waited, self._cooling = state["best"], state["waited"], state["cooling"]
