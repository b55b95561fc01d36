"""Save the model during training."""

from __future__ import annotations

import math
from typing import Any

from .. import checks
from ..errors import UnknownNameError
from .base import Logs, State
from .monitor import Monitor
from .weights import as_validated


class ModelCheckpoint(Monitor):
    """Save the model after epochs: each of them, or only those better than all before.

    Parameters
    ----------
    filepath : str or path
        May have fields: ``"model-{epoch:02d}-{val_loss:.3f}.safetensors"``; `epoch` counts from 1. Without fields the
        file always holds the last, or the best, epoch.
    monitor : str
        Key of the history that says which is better.
    save_best_only : bool
        Save only when `monitor` is better than ever before, also than in earlier calls of `fit`.
    mode : "auto", "min" or "max"
        Which way is better, as for `EarlyStopping`.
    save_freq : "epoch" or int
        Save after each epoch, or after every `save_freq` batches; `logs` are those of the batch then.
    initial_value_threshold : float, optional
        Value that the first epoch has to beat.

    Attributes
    ----------
    best : float or None
        Best value so far; None before the first `fit`.

    Examples
    --------
    >>> import pynn
    >>> best = pynn.ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True)
    """

    writes_files = True

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.save_best_only = checks.path("filepath", filepath), save_best_only
        self.save_freq = save_freq if save_freq == "epoch" else checks.integer("save_freq", save_freq, 1)
        start = initial_value_threshold
        self.threshold = None if start is None else checks.number("initial_value_threshold", start)
        self._batches = self._epoch = 0
        self.best: Any = self.threshold

    @property
    def uses_batches(self) -> bool:
        return self.save_freq != "epoch" or super().uses_batches

    def on_train_begin(self, logs: Logs) -> None:
        checks.folder("filepath", self.filepath)
        if self.save_best_only:
            self.find_direction()
            self.best = self._sign * math.inf if self.best is None else self.best

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_freq == "epoch":
            self._save(logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(logs)

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.improves(value):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except (KeyError, IndexError) as error:
            raise UnknownNameError(
                f"expected fields of filepath among 'epoch', {', '.join(map(repr, logs))}; received "
                f"filepath={self.filepath!r} ({error})"
            ) from None
        with as_validated(self.trainee):
            self.model.save(path)

    def state_dict(self) -> State:
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state: State) -> None:
        self.best, self._batches = state["best"], state["batches"]
