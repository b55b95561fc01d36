"""Lower the learning rate when a monitored value has stopped improving."""

from __future__ import annotations

import math

from .. import checks
from .base import Logs, State
from .monitor import Monitor
from .rates import require_settable_rate


class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when a monitored value has stopped improving.

    For learning rates that are numbers: a schedule of the optimizer is refused.

    Parameters
    ----------
    monitor : str
        Key of the history, ``"val_loss"`` for instance.
    factor : float in (0, 1)
        The new rate is ``factor`` times the old one.
    patience : int >= 0
        Number of epochs without improvement after which the rate is lowered.
    mode : "auto", "min" or "max"
        Which way is better, as for `EarlyStopping`.
    min_delta : float >= 0
        Smallest change that counts as an improvement.
    cooldown : int >= 0
        Number of epochs after a reduction in which epochs without improvement are not counted.
    min_lr : float >= 0
        Lowest learning rate.

    Notes
    -----
    The rule is Keras's; C programs have it as ``pynn_plateau``.

    Examples
    --------
    >>> import pynn
    >>> plateau = pynn.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=3)
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
        self.find_direction()
        self.best = self._sign * math.inf
        self._waited = self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if self._cooling:
            self._cooling, self._waited = self._cooling - 1, 0
        if self.improves(value):
            self.best, self._waited = value, 0
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
