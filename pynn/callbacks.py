"""Callbacks: what is called while `fit` runs. A method that is not overridden does nothing."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .errors import (
    ArgumentTypeError,
    ArgumentValueError,
    MissingFileError,
    NotReadyError,
    TrainingWarning,
    UnknownNameError,
)

if TYPE_CHECKING:
    from .model import Sequential

__all__ = [
    "EMA", "SWA", "CSVLogger", "Callback", "EarlyStopping", "JSONLogger", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard",
]  # fmt: skip

Logs = dict[str, float]
State = dict[str, Any]


class Callback:
    """Base of all callbacks, with Keras's hooks.

    ``self.model`` is the model in training; ``self.model.stop_training = True`` ends training after the batch or epoch
    at hand, and ``self.model.learning_rate = x`` holds from the next step on. ``self.params`` has ``"epochs"``.
    `logs` is a dict of floats. Batches are reported one by one only when a callback overrides one of their methods,
    since that means Python between the steps; ``on_batch_*`` are other names of ``on_train_batch_*``. They are numbered
    as they come. One that the guard passed over is among them, with a loss and a gradient norm of NaN; so is the loss
    of an epoch in which none was applied.
    An exception ends training between two steps: the model keeps the last one, the history the epochs that were
    finished, and every callback's `on_train_end` is called.
    """

    model: Sequential
    params: dict[str, Any]

    def on_train_begin(self, logs: Logs) -> None: ...
    def on_train_end(self, logs: Logs) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...
    def on_test_begin(self, logs: Logs) -> None:
        """Before the validation at the end of an epoch."""

    def on_test_end(self, logs: Logs) -> None:
        """After it."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None: ...
    def on_batch_end(self, batch: int, logs: Logs) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self.on_batch_end(batch, logs)

    def state_dict(self) -> State:
        """What the callback remembers between epochs: plain values and arrays by name, for a checkpoint."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` gave; called after `on_train_begin`, which starts anew."""

    @property
    def uses_batches(self) -> bool:
        """Whether a batch method is overridden."""
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name)
            for name in ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
        )


class Monitor(Callback):
    """A callback that watches a value of the history.

    Parameters
    ----------
    monitor : str
        Key of the history, ``"val_loss"`` for instance.
    min_delta : float >= 0
        What counts as better: a change of more than this.
    mode : "auto", "min" or "max"
        Which way is better; "auto": up for names with ``acc``, ``auc``, ``f1``, ``precision``, ``recall`` or ``r2`` in
        them, else down.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise UnknownNameError(f"expected mode as one of 'auto', 'min', 'max'; received mode={mode!r}")
        if not isinstance(monitor, str):
            raise ArgumentTypeError(f"expected monitor as a key of the history; received monitor={monitor!r}")
        numbers(min_delta=min_delta)
        require(min_delta >= 0, "min_delta >= 0", min_delta=min_delta)
        words = ("acc", "auc", "f1", "precision", "recall", "r2")
        up = mode == "max" or (mode == "auto" and any(word in monitor for word in words))
        self.monitor, self.min_delta, self.mode = monitor, min_delta, mode
        self._sign = -1 if up else 1
        self.best = self._sign * math.inf

    def value(self, logs: Logs) -> float:
        """The value watched."""
        if self.monitor not in logs:
            validated = any(name.startswith("val_") for name in logs)
            hint = "; fit needs validation_data" if self.monitor.startswith("val_") and not validated else ""
            hint = hint or "; what compile(metrics=[...]) names is there too"
            raise UnknownNameError(
                f"expected monitor as one of {', '.join(map(repr, logs))}; received monitor={self.monitor!r}{hint}"
            )
        return logs[self.monitor]

    def improves(self, value: float) -> bool:
        """Whether `value` is the best so far; it is remembered then. NaN, of an epoch without a step, never is."""
        better = self._sign * value < self._sign * self.best - self.min_delta
        if better:
            self.best = value
        return better


def require(holds: bool, rule: str, **received: Any) -> None:
    """Refuse arguments that break a rule."""
    if not holds:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ArgumentValueError(f"expected {rule}; received {values}")


def numbers(whole: bool = False, **received: Any) -> None:
    """Refuse what are no finite numbers, or no whole ones."""
    for name, value in received.items():
        right = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not right or not math.isfinite(value):
            noun = "an integer" if whole else "a finite number"
            raise ArgumentTypeError(f"expected {name} as {noun}; received {name}={value!r}")


def file_path(name: str, path: Any) -> str:
    """`path` as a string."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(f"expected {name} as a string or path; received {name}={path!r}") from None


def require_folder(name: str, path: str) -> None:
    """Refuse a file in a folder that is not there before anything is trained; names with fields are made later."""
    folder = os.path.dirname(path)
    if folder and "{" not in folder and not os.path.isdir(folder):
        raise MissingFileError(f"expected {name} in a folder that exists; received {name}={path!r}")


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
        numbers(whole=True, patience=patience, start_from_epoch=start_from_epoch)
        numbers(baseline=0.0 if baseline is None else baseline)
        require(patience >= 0, "patience >= 0", patience=patience)
        require(start_from_epoch >= 0, "start_from_epoch >= 0", start_from_epoch=start_from_epoch)
        self.patience, self.baseline = patience, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
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


def weights(model: Sequential) -> State:
    """Copies of what training changes in a model; of what was validated in this epoch, when that is an average."""
    return model.validated or own_weights(model)


def own_weights(model: Sequential) -> State:
    return {"parameters": model.parameters.copy(), "state": np.array(model.core.state)}


def restore(model: Sequential, kept: State) -> None:
    """Back to what `weights` gave."""
    model.parameters[...] = kept["parameters"]
    np.asarray(model.core.state)[...] = kept["state"]


@contextmanager
def as_validated(model: Sequential) -> Iterator[None]:
    """The model as it was validated in this epoch."""
    if model.validated is None:
        yield
        return
    own = own_weights(model)
    restore(model, model.validated)
    try:
        yield
    finally:
        restore(model, own)


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
    mode : "auto", "min" or "max"
        As for `EarlyStopping`.
    save_freq : "epoch" or int
        After each epoch, or after each so many batches; `logs` are those of the batch then.
    initial_value_threshold : float, optional
        What has to be beaten, to begin with.
    """

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
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq >= 1
        require(save_freq == "epoch" or whole, "save_freq as 'epoch' or an integer >= 1", save_freq=save_freq)
        self.filepath = file_path("filepath", filepath)
        self.save_best_only, self.save_freq = save_best_only, save_freq
        numbers(initial_value_threshold=0.0 if initial_value_threshold is None else initial_value_threshold)
        self.threshold, self._batches = initial_value_threshold, 0
        self.best = self._sign * math.inf if self.threshold is None else self.threshold
        self._epoch = 0

    @property
    def uses_batches(self) -> bool:
        return self.save_freq != "epoch" or super().uses_batches

    def on_train_begin(self, logs: Logs) -> None:
        require_folder("filepath", self.filepath)

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
        if self.save_best_only and not self.improves(self.value(logs)):
            return
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except (KeyError, IndexError) as error:
            raise UnknownNameError(
                f"expected fields of filepath among 'epoch', {', '.join(map(repr, logs))}; received "
                f"filepath={self.filepath!r} ({error})"
            ) from None
        with as_validated(self.model):
            self.model.save(path)

    def state_dict(self) -> State:
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state: State) -> None:
        self.best, self._batches = state["best"], state["batches"]


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
        numbers(factor=factor, min_lr=min_lr)
        numbers(whole=True, patience=patience, cooldown=cooldown)
        require(0 < factor < 1, "factor in (0, 1)", factor=factor)
        require(patience >= 0 and cooldown >= 0 and min_lr >= 0, "patience, cooldown and min_lr >= 0",
                patience=patience, cooldown=cooldown, min_lr=min_lr)  # fmt: skip
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr

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


def require_settable_rate(model: Sequential, who: str) -> None:
    """Refuse, before training, a model whose learning rate would not let itself be set."""
    optimizer = model.optimizer
    if optimizer.schedule is not None:
        raise ArgumentValueError(
            f"expected an optimizer whose learning rate is a number, for {who} to set; received one that follows "
            f"{type(optimizer.schedule).__name__}: leave one of the two out"
        )
    model.learning_rate = model.learning_rate  # an optimizer without one says so


class Average(Callback):
    """A callback that averages the parameters over the steps of a run; the compiled core does it."""

    def __init__(self, decay: float, start: int, every: int, validate: bool, swap: bool) -> None:
        numbers(whole=True, start=start, every=every)
        require(start >= 0 and every >= 1, "start >= 0 and every >= 1", start=start, every=every)
        self.average, self.validate, self.swap = (float(decay), int(start), int(every)), validate, swap
        self.parameters: np.ndarray | None = None
        self._own: State | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.parameters = self._own = None
        self._told = False
        if self.model.averages:
            raise ArgumentValueError("expected one EMA or SWA in callbacks; received two")
        self.model.use_average(self.average)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self.model.validated = None

    def on_test_begin(self, logs: Logs) -> None:
        if self.validate and self.model.trainer(1).n_averaged:
            self._own = own_weights(self.model)
            self._put()

    def on_test_end(self, logs: Logs) -> None:
        if self._own is not None:
            self.model.validated = own_weights(self.model)
            restore(self.model, self._own)
            self._own = None

    def on_train_end(self, logs: Logs) -> None:
        self.on_test_end(logs)  # a validation that failed did not come to its end
        trainer = self.model.trainer(1) if self.model.built else None
        if trainer is not None and trainer.n_averaged:
            self.parameters = np.array(trainer.average)
            if self.swap:
                self._put()
        elif trainer is not None and 0 < trainer.steps < self.average[1]:
            warnings.warn(
                f"nothing was averaged, and the model keeps its last weights: the run ended after {trainer.steps} "
                f"steps, before start={self.average[1]}",
                TrainingWarning,
                stacklevel=3,
            )
        self.model.use_average(None)

    def _put(self) -> None:
        """The average into the model, with moments of batch normalizations that belong to it."""
        self.model.trainer(1).use_average()
        if not any(layer.spec.kind == "batch_normalization" for layer in self.model.layers):
            return
        try:
            self.model.update_moments()
        except (NotReadyError, ArgumentTypeError, ArgumentValueError):
            if not self._told:
                warnings.warn(
                    "moving moments of BatchNormalization are those of the last steps, not of the averaged weights, as "
                    "the data cannot be passed over again: call model.update_moments(X)",
                    TrainingWarning,
                    stacklevel=3,
                )
            self._told = True


class EMA(Average):
    """An exponential moving average of the parameters: a <- decay a + (1 - decay) w after each step, from a = w.

    Averaged, not the last, parameters are validated and left in the model when training ends. The sum is in float64, is
    the same on any number of threads and goes on where it was from a checkpoint.

    Parameters
    ----------
    decay : float in (0, 1)
        About the last 1 / (1 - decay) steps count.
    start, every : int
        The first step (counted in applied steps) and the distance of those that are taken in.
    validate : bool
        Validate with the average.
    swap : bool
        Leave the average in the model when training ends; else it is only in `parameters`.

    Attributes
    ----------
    parameters : ndarray of float64, or None
        The average, once training has ended.

    Notes
    -----
    Moving moments of a `BatchNormalization` belong to the weights they were taken with. So wherever the average is put
    into the model, they are taken anew from a pass over the training data, see `Sequential.update_moments`: a forward
    pass for each such layer and validation. For data that can't be passed over again, streams say, a warning tells that
    they were not. `EarlyStopping` and `ModelCheckpoint` keep the averaged model when that was validated.

    References
    ----------
    Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; PyTorch's ``AveragedModel`` with ``get_ema_multi_avg_fn``.

    Examples
    --------
    >>> import pynn
    >>> (X, y), (Xt, yt) = pynn.datasets.digits()
    >>> model = pynn.Sequential([pynn.Dense(10)], seed=0)
    >>> model.compile(loss="softmax_cross_entropy", optimizer=pynn.SGD(learning_rate=0.1))
    >>> history = model.fit(X[:600], y[:600], epochs=3, callbacks=[pynn.EMA(0.9)])
    """

    def __init__(
        self, decay: float = 0.999, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True
    ) -> None:
        numbers(decay=decay)
        require(0 < decay < 1, "decay in (0, 1)", decay=decay)
        super().__init__(decay, start, every, validate, swap)


class SWA(Average):
    """The plain mean of the parameters after the steps start, start + every, ...: stochastic weight averaging.

    For the state after each epoch, `every` is the number of steps in one. Otherwise as `EMA`.

    Parameters
    ----------
    start : int >= 0
        Steps applied before the first that counts.
    every : int >= 1
    validate, swap : bool

    References
    ----------
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def __init__(self, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True) -> None:
        super().__init__(0.0, start, every, validate, swap)


def left_by_rollbacks(model: Sequential) -> float:
    """The share of the learning rate that the rollbacks of the run at hand have left."""
    ledger = model.history.ledger if model.history else []
    rolled_back = [event for event in ledger if event["kind"] == "rolled_back"]
    return math.prod(event["new_learning_rate"] / event["learning_rate"] for event in rolled_back)


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


class Logger(Callback):
    """A file that gets a line for each epoch, flushed at once, and is opened with the first one.

    A resumed run goes on where its checkpoint was made: lines of later epochs are dropped.
    """

    def __init__(self, filename: Any, append: bool = False) -> None:
        self.filename, self.append = file_path("filename", filename), append
        self._file: TextIO | None = None
        self._size: int | None = None  # of the file when a resumed run goes on

    def on_train_begin(self, logs: Logs) -> None:
        require_folder("filename", self.filename)
        self._size = None

    def write(self, line: str) -> None:
        file = self.open()
        file.write(line + "\n")
        file.flush()

    def open(self) -> TextIO:
        """The file, opened."""
        if self._file is None:
            keeps = self.append or self._size is not None
            self._file = open(self.filename, "a" if keeps else "w", encoding="utf-8", newline="\n")  # noqa: SIM115
            if self._size is not None and self._file.tell() > self._size:
                self._file.truncate(self._size)
                self._file.seek(self._size)
        return self._file

    def on_train_end(self, logs: Logs) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> State:
        if self._file is not None:
            return {"size": self._file.tell()}
        if self._size is None and self.append:  # what was there before the first line of this run
            return {"size": os.path.getsize(self.filename) if os.path.exists(self.filename) else 0}
        return {"size": self._size}

    def load_state_dict(self, state: State) -> None:
        self._size = state["size"]


class CSVLogger(Logger):
    """Write each epoch as a line of a CSV file, flushed at once.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Add to the file instead of starting anew; the header is written to an empty file only.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__(filename, append)
        self.separator = separator

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._names: list[str] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._names is None:
            self._names = list(logs)
            if self.open().tell() == 0:
                self.write(self.separator.join(["epoch", *self._names]))
        values = [str(epoch), *(repr(float(logs[name])) if name in logs else "" for name in self._names)]
        self.write(self.separator.join(values))


class JSONLogger(Logger):
    """Write each epoch as a line of JSON, flushed at once: ``{"epoch": 0, "loss": ...}``; null where it is not finite.

    Parameters
    ----------
    filename : str or path
    append : bool
        Add to the file instead of starting anew.
    """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        finite = {name: float(value) if math.isfinite(value) else None for name, value in logs.items()}
        self.write(json.dumps({"epoch": epoch} | finite))


class TensorBoard(Callback):
    """Write each epoch's values for TensorBoard. Needs ``pip install 'pynn-dense[tensorboard]'``.

    Parameters
    ----------
    log_dir : str or path
    histograms : bool
        Of every kernel and bias too.
    """

    def __init__(self, log_dir: Any = "logs", histograms: bool = False) -> None:
        self.log_dir, self.histograms = log_dir, histograms
        self._writer: Any = None

    def on_train_begin(self, logs: Logs) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "expected tensorboardX; install it with: pip install 'pynn-dense[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(os.fspath(self.log_dir))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(name, value, epoch)
        for name, layer, offset, rows, columns in self.model.core.tensors if self.histograms else ():
            values = self.model.parameters[offset : offset + rows * columns]
            self._writer.add_histogram(f"{layer}.{name}", values, epoch)
        self._writer.flush()

    def on_train_end(self, logs: Logs) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
