"""Callbacks: what is called while `fit` runs. A method that is not overridden does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .errors import ArgumentTypeError, ArgumentValueError, UnknownNameError

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "LambdaCallback"]

Logs = dict[str, float]


class Callback:
    """Base of all callbacks.

    ``self.model`` is the model in training; ``self.model.stop_training = True`` ends training after the batch or epoch
    at hand, and ``self.model.learning_rate = x`` holds from the next step on.
    `logs` is a dict of floats. Batches are reported one by one only when a callback overrides `on_batch_begin` or
    `on_batch_end`, since that means Python between the steps.
    """

    model: Sequential

    def on_train_begin(self, logs: Logs) -> None: ...
    def on_train_end(self, logs: Logs) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...
    def on_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_batch_end(self, batch: int, logs: Logs) -> None: ...

    @property
    def uses_batches(self) -> bool:
        """Whether a batch method is overridden."""
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name)
            for name in ("on_batch_begin", "on_batch_end")
        )


class EarlyStopping(Callback):
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
        Which way is better; "auto": up for names with ``accuracy``, ``acc`` or ``r2`` in them, else down.
    restore_best_weights : bool
        Give the model the parameters of the best epoch when training ends, however it ends.

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
        restore_best_weights: bool = False,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise UnknownNameError(f"expected mode as one of 'auto', 'min', 'max'; received mode={mode!r}")
        if not min_delta >= 0 or not patience >= 0:
            raise ArgumentValueError(
                f"expected min_delta >= 0 and patience >= 0; received min_delta={min_delta!r}, patience={patience!r}"
            )
        up = mode == "max" or (mode == "auto" and any(word in monitor for word in ("acc", "r2")))
        self.monitor, self.min_delta, self.patience = monitor, min_delta, patience
        self.restore_best_weights = restore_best_weights
        self._sign = -1 if up else 1
        self._parameters: np.ndarray | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.best = self._sign * float("inf")
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._parameters = None
        self._waited = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs:
            hint = "; fit needs validation_data" if self.monitor.startswith("val_") else ""
            raise UnknownNameError(
                f"expected monitor as one of {', '.join(map(repr, logs))}; received monitor={self.monitor!r}{hint}"
            )
        value = logs[self.monitor]
        if self._sign * value < self._sign * self.best - self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            if self.restore_best_weights:
                self._parameters = self.model.parameters.copy()
            return
        self._waited += 1
        if self._waited >= max(1, self.patience):
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self._parameters is not None:
            self.model.parameters[:] = self._parameters


class LambdaCallback(Callback):
    """A callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))``."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        names = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in functions.items():
            if name not in names:
                raise UnknownNameError(f"expected {', '.join(names)}; received {name!r}")
            if not callable(function):
                raise ArgumentTypeError(f"expected {name} as a function; received {name}={function!r}")
            setattr(self, name, function)


class CSVLogger(Callback):
    """Write each epoch as a line of a CSV file, flushed at once.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Add to the file instead of starting anew; the header is written to an empty file only.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = filename, separator, append
        self._file: TextIO | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self._file = open(self.filename, "a" if self.append else "w", encoding="utf-8")  # noqa: SIM115
        self._names: list[str] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        assert self._file is not None
        if self._names is None:
            self._names = list(logs)
            if self._file.tell() == 0:
                self._file.write(self.separator.join(["epoch", *self._names]) + "\n")
        values = [str(epoch), *(repr(float(logs[name])) if name in logs else "" for name in self._names)]
        self._file.write(self.separator.join(values) + "\n")
        self._file.flush()

    def on_train_end(self, logs: Logs) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
