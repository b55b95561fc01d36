"""The base of all callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model import Sequential

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
