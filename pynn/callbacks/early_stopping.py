"""Stop training when a monitored value has stopped improving."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .. import checks
from ..errors import TrainingWarning
from .base import Logs, State
from .monitor import Monitor
from .weights import restore, weights


class EarlyStopping(Monitor):
    """Stop training when a monitored value has stopped improving.

    Parameters
    ----------
    monitor : str
        Key of the history, ``"val_loss"`` for instance.
    min_delta : float >= 0
        Smallest change that counts as an improvement.
    patience : int >= 0
        Number of epochs without improvement after which training is stopped; 0 means 1.
    mode : "auto", "min" or "max"
        Which way is better. "auto" asks the model: a loss is better when lower, a metric in its `direction`. A value
        whose direction is not known is refused before training: it needs "min" or "max".
    baseline : float, optional
        Value to beat: epochs that do not beat it count as epochs without improvement.
    restore_best_weights : bool
        Give the model the weights of the best epoch when training ends, whatever ends it; see Notes.
    start_from_epoch : int >= 0
        Number of epochs before the first that is watched.

    Attributes
    ----------
    best : float
        Value of the best epoch watched.
    best_epoch : int or None
        Number of that epoch; None when none was watched.
    stopped_epoch : int or None
        Number of the epoch after which this callback stopped training.

    Notes
    -----
    The best epoch is the last one, among those watched, that improved on the best before it by more than `min_delta`.
    It depends neither on `baseline` nor on what ended training: this callback, another one, the last epoch, Ctrl-C or
    an error. NaN is never an improvement; when all values are NaN, the first epoch watched is the best, and a
    `TrainingWarning` says so. When training ends before `start_from_epoch`, the model keeps its last weights.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> model = pynn.Sequential([pynn.Dense(1)], seed=0)
    >>> model.compile("mse", pynn.SGD(learning_rate=0.1))
    >>> stop = pynn.EarlyStopping(patience=3, restore_best_weights=True)
    >>> history = model.fit(X, 2 * X, epochs=5, validation_data=(X, 2 * X), callbacks=[stop])
    >>> stop.best_epoch
    4
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
        self.find_direction()
        self.best = self._sign * math.inf
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights = None
        self._waited = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        better = self.improves(value)
        if better or self.best_epoch is None:
            self.best, self.best_epoch = value if better else self.best, epoch
            if self.restore_best_weights:
                self._weights = weights(self.trainee)
        if better and (self.baseline is None or self.improves(value, self.baseline)):
            self._waited = 0
            return
        self._waited += 1
        if self._waited >= max(1, self.patience):
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self._weights is None:
            return
        restore(self.trainee, self._weights)
        if self.best == self._sign * math.inf:
            warnings.warn(
                f"{self.monitor!r} was never a finite number: the model has the weights of epoch "
                f"{(self.best_epoch or 0) + 1}, the first that was watched",
                TrainingWarning,
                stacklevel=3,
            )

    def state_dict(self) -> State:
        state = {"best": self.best, "best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch,
                 "waited": self._waited}  # fmt: skip
        return state | {f"weights.{name}": value for name, value in (self._weights or {}).items()}

    def load_state_dict(self, state: State) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.stopped_epoch, self._waited = state["stopped_epoch"], state["waited"]
        kept = {name[8:]: np.array(value) for name, value in state.items() if name.startswith("weights.")}
        self._weights = kept or None
