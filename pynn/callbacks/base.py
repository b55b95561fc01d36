"""The base of all callbacks."""

from __future__ import annotations

from typing import Any, Protocol

Logs = dict[str, float]
State = dict[str, Any]


class Trainee(Protocol):
    """What the library's own callbacks work on: a learner in training."""

    network: Any
    validated: State | None

    @property
    def trainer(self) -> Any: ...
    @property
    def steps(self) -> int: ...
    @property
    def has_trainer(self) -> bool: ...
    @property
    def averages(self) -> bool: ...
    def use_average(self, average: tuple[float, int, int] | None) -> None: ...
    def update_moments(self, x: Any = None) -> None: ...


class Callback:
    """Base of all callbacks, with Keras's hooks; a method that is not overridden does nothing.

    Attributes
    ----------
    model : Sequential
        The model in training. ``self.model.stop_training = True`` ends training after the current batch or epoch, and
        ``self.model.learning_rate = x`` sets the rate from the next step on.
    params : dict
        ``"epochs"``, the number of the last epoch plus 1.
    writes_files : bool
        Of the class. True: in a run of several processes the first one alone calls it; the others are called in every
        process, and must decide alike.

    Notes
    -----
    `logs` is a dict of floats. Values that a callback adds to it in `on_epoch_end` are seen by the callbacks after it
    and stay in the history. Batches are reported one by one only when a callback overrides one of their methods, since
    that means Python between the steps. ``on_batch_*`` are other names of ``on_train_batch_*``. Batches that the guard
    skipped are reported too, with a loss and a gradient norm of NaN. The loss of an epoch without an applied step is
    NaN as well.

    An exception in a callback ends training between two steps: the model keeps the last one, the history keeps the
    finished epochs, and every callback's `on_train_end` is called.

    Examples
    --------
    >>> import pynn
    >>> class Print(pynn.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, logs["loss"])
    """

    model: Any
    trainee: Trainee
    params: dict[str, Any]
    writes_files = False

    def on_train_begin(self, logs: Logs) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """Called when training ends, also by an exception."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after the validation of an epoch; `logs` are its line of the history."""

    def on_test_begin(self, logs: Logs) -> None:
        """Called before the validation at the end of an epoch."""

    def on_test_end(self, logs: Logs) -> None:
        """Called after the validation at the end of an epoch."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called by `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Called by `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before each batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each batch; `logs` has ``"loss"`` and ``"grad_norm"``."""
        self.on_batch_end(batch, logs)

    def state_dict(self) -> State:
        """Return what the callback remembers between epochs, for a checkpoint: plain values and arrays by name."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` returned. Called after `on_train_begin`, which resets the callback."""

    @property
    def uses_batches(self) -> bool:
        """Whether a batch method is overridden."""
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name)
            for name in ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
        )
