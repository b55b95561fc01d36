"""A learner: a network with a loss, an optimizer and all that its training has come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from threading import get_ident
from typing import Any

import numpy as np

from .. import _core, arrays, losses, optimizers
from .. import layers as layers_
from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    NotReadyError,
    ShapeError,
    UnknownNameError,
)
from ..lbfgs import LBFGS, get_lbfgs
from ..metrics import names as metrics_
from ..network import adapt, precision
from ..network.network import Network, Place
from ..network.passes import ArrayPasses, Part, Passes, passes
from ..report.guard import Guard
from ..report.health import LayerHealth
from ..report.history import History

__all__ = ["Learner"]

SCALINGS = (None, "standard", "minmax")


class Learner:
    """A network in training.

    Attributes
    ----------
    network : Network
    optimizer, metrics
        Chosen by `compile`; the loss is the network's.
    guard : Guard
    history : History or None
        Epochs of the last run.
    stop_training : bool
        True ends the run after the current batch or epoch.
    epoch : int
        Number of the epoch that the next run on arrays starts with.
    passes : Passes or None
        Over the data of the current run.
    validated : dict of arrays, or None
        Parameters and state that were validated in this epoch, if they are not the network's: an average.
    together : Together or None
        The processes that a run trains with.
    chosen : tuple
        The optimizer that the last run started with, and the one that it ended with.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.optimizer: Any = None
        self.metrics: list[Any] = []
        self.history: History | None = None
        self.stop_training = False
        self.guard = Guard()
        self.passes: Passes | None = None
        self.validated: dict[str, np.ndarray] | None = None
        self._average: tuple[float, int, int] | None = None
        self._mixup = 0.0
        self._shards = 0
        self.together: Any = None
        self._series: LayerHealth | None = None
        self._running: dict[int, list[int]] = {}  # the thread in `fit`, by process: a child of fork has none
        self._forget()

    def _forget(self) -> None:
        """Drop what training has come to, but for the parameters."""
        self._trainer: _core.Trainer | None = None
        self._capacity = 0
        self.epoch = 0
        self.chosen: tuple[Any, Any] = (None, None)

    @property
    def known(self) -> Any:
        """What the network knows of its data, once it was built; None before."""
        return self.network.schema if self.network.built else None

    # ---- choosing

    @property
    def loss(self) -> Any:
        """The network's loss."""
        return self.network.loss

    def compile(self, loss: Any, optimizer: Any, metrics: Iterable[Any], target_scaling: str | None) -> None:
        """Choose loss, optimizer and metrics; parameters stay, the optimizer's state starts from zero."""
        loss, optimizer = _in_order(loss, optimizer)
        loss, optimizer = losses.get(loss), get_lbfgs(optimizer) or optimizers.get(optimizer)
        chosen = metrics_.of_model(metrics, loss)
        self._check_pairs(loss, chosen)
        if target_scaling not in SCALINGS:
            raise UnknownNameError(
                f"expected target_scaling as 'standard', 'minmax' or None; received target_scaling={target_scaling!r}"
            )
        of_numbers = loss.row["link"] == "linear" and not (loss.row["pairs"] or loss.row["signs"])
        if target_scaling is not None and not of_numbers:
            raise ArgumentValueError(
                f"expected target_scaling with a loss whose predictions are its logits, in the units of y; "
                f"received loss={loss.name!r}"
            )
        self.network.set_loss(loss, target_scaling)
        self.optimizer, self.metrics = optimizer, chosen
        self._forget()

    def set_optimizer(self, optimizer: Any) -> None:
        """Go on with another optimizer, whose state starts from zero; parameters and the count of epochs stay."""
        self.require_compiled()
        self.optimizer = get_lbfgs(optimizer) or optimizers.get(optimizer)
        self._trainer, self._capacity, self.chosen = None, 0, (None, None)

    def set_metrics(self, metrics: Any) -> None:
        """Measure other metrics from now on."""
        chosen = metrics_.of_model(metrics, self.require_compiled().loss)
        self._check_pairs(self.loss, chosen)
        self.metrics = chosen

    def _check_pairs(self, loss: Any, metrics: list[Any]) -> None:
        """Require an even number of outputs for a loss of pairs, and no metrics, which cannot read them."""
        if not loss.row["pairs"]:
            return
        units = self.network.outputs
        if units % 2:
            raise ShapeError(
                f"expected a last layer with an even number of units for the loss {loss.name!r}, one mean and one "
                f"log-variance for each target; received units={units}"
            )
        if metrics:
            raise ArgumentValueError(
                f"expected no metrics with the loss {loss.name!r}, whose predictions are means and log-variances; "
                f"received metrics={[metric.name for metric in metrics]}"
            )

    def require_compiled(self) -> Learner:
        """Return this learner; refuse one without a loss."""
        if self.network.loss is None:
            raise NotReadyError("expected a compiled model; call compile(loss=..., optimizer=...) first")
        return self

    def build(self, inputs: int, timesteps: int | None = None) -> None:
        """Build the network from scratch; what training has come to is dropped."""
        self.network.build(inputs, timesteps)
        self._forget()

    # ---- the trainer

    @property
    def has_trainer(self) -> bool:
        """Whether a step was prepared for since `build` and `compile`."""
        return self._trainer is not None

    @property
    def trainer(self) -> _core.Trainer:
        """The trainer; one for batches of a row if no run or step has made it yet."""
        return self._trainer or self.trainer_for(1)

    def trainer_for(self, batch_size: int) -> _core.Trainer:
        """Return the trainer, with room for batches of `batch_size` rows. A larger one takes over the state."""
        if self._trainer is None or self._capacity < batch_size:
            optimizer, core = self.require_compiled().optimizer, self.network.core
            new = _core.Trainer(
                core, optimizer.core, batch_size, optimizer.global_clipnorm or 0.0, self.network.seed,
                guard=self.guard.core,
            )  # fmt: skip
            if optimizer.schedule is not None:
                new.set_schedule(optimizer.schedule.core_schedule)
            if self._average is not None:
                new.set_average(self._average)
            if self._mixup:
                new.set_mixup(self._mixup)
            if self._shards:
                new.set_shards(self._shards, self.together)
            if self._series is not None:
                self._series.attach(new)
            if precision.scales_in_double(core):
                new.set_raw_predictions(True)
            if self._trainer is not None:
                _core.Checkpoint(self._trainer).restore(new)
            self._trainer, self._capacity = new, batch_size
        return self._trainer

    @property
    def steps(self) -> int:
        """Steps applied so far."""
        return 0 if self._trainer is None else int(self._trainer.steps)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        optimizer = self.require_compiled().optimizer
        if optimizer.schedule is None:
            return float(optimizer.learning_rate)
        return float(self._trainer.learning_rate if self._trainer is not None else optimizer.schedule(0))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        optimizer = self.require_compiled().optimizer
        if not optimizer.takes_steps:
            raise ArgumentValueError("expected an optimizer with a learning rate; received LBFGS, which has none")
        if optimizer.schedule is not None:
            raise ArgumentValueError(
                f"expected an optimizer whose learning rate is a number; received one that follows "
                f"{optimizer.schedule!r}: compile with a number to set it by hand"
            )
        optimizer = replace(optimizer, learning_rate=value)
        if self._trainer is not None:
            self._trainer.learning_rate = optimizer.learning_rate
        self.optimizer = optimizer

    def keep_learning_rate(self) -> None:
        """Make what rollbacks have left of a constant learning rate the optimizer's."""
        if self._trainer is None or self.optimizer.schedule is not None:
            return
        rate = self._trainer.learning_rate
        if rate != self.optimizer.learning_rate:
            self.optimizer = replace(self.optimizer, learning_rate=rate)

    @property
    def averages(self) -> bool:
        """Whether an average of the parameters is kept."""
        return self._average is not None

    def use_average(self, average: tuple[float, int, int] | None) -> None:
        """Average the parameters from now on: (decay, start, every); None: no longer. See `EMA`, `SWA`."""
        if self._trainer is not None:
            self._trainer.set_average(average)
        self._average = average

    def use_mixup(self, alpha: float) -> None:
        """Mix the rows of batches from now on; 0: not."""
        if self._trainer is not None and alpha != self._mixup:
            self._trainer.set_mixup(alpha)
        self._mixup = alpha

    def use_shards(self, shards: int, together: Any = None) -> None:
        """Sum steps over this many parts of a batch from now on, shared out to processes; 0: batches are whole."""
        if self._trainer is not None and (shards, together) != (self._shards, self.together):
            self._trainer.set_shards(shards, together)
        self._shards, self.together = shards, together

    def complete(self, predictions: Any, batch_size: int) -> None:
        """Fill in the predictions of rows that other processes have trained on; None without any."""
        if self.together is not None and predictions is not None and len(predictions):
            self.together.complete(predictions, batch_size, self._shards)

    def use_series(self, health: LayerHealth | None) -> None:
        """Write what steps see in the layers from now on; None: no longer."""
        self._series = health
        if self._trainer is not None:
            self._trainer.set_series(None, None, None) if health is None else health.attach(self._trainer)

    def use_guard(self, guard: Guard) -> None:
        """Guard steps like this from now on, by a guard that has seen nothing yet."""
        self.guard = guard
        if self._trainer is not None:
            self._trainer.set_guard(guard.core)

    def statistics(self, layer: int) -> dict[str, float]:
        """What the last step that took statistics saw in a layer; empty if none did yet."""
        found = {} if self._trainer is None else self._trainer.statistics(layer)
        return found if found.get("step") else {}

    # ---- data

    def check(self, x: Any, y: Any, weights: Any = None, rows: Any = None, inputs: int | None = None) -> Part:
        """Return X, y and weights as the core reads them; `rows` are their indices in the user's data."""
        network = self.require_compiled().network
        if network.sequential:
            x = network.as_rows(x, inputs)
        else:
            x = arrays.as_inputs(x, network.inputs if network.built else inputs)
        if y is None:
            raise ArgumentTypeError("expected y, the targets; received y=None")
        y = arrays.as_targets(y, x.shape[0], network.outputs, network.loss, rows)
        return Part(x, y, None if weights is None else arrays.as_weights(weights, x.shape[0], rows, y.shape[1]), rows)

    def check_batch(self, x: Any, y: Any = None, weights: Any = None, rows: Any = None) -> Part:
        """The same for a batch; the first one decides the number of inputs."""
        part = self.check(x, y, weights, rows)
        if not self.network.built:
            self.build(part.x.shape[1])
        return part

    def adapt(self, x: Any) -> None:
        """Let data decide what layers take from them: sizes of categories, and all normalizations from scratch."""
        data = passes(x)
        self.network.learn_sizes(adapt.learn_sizes(self.network, data))
        if not self.network.built:
            self.build(_columns(self.network, data))
        for index, spec in enumerate(self.network.specs):
            if spec.kind == "normalization":
                adapt.adapt(self.network, data, index)

    def adapt_to(self, data: Any, whole: Part | None, inputs: int | None) -> None:
        """Let those of a run decide what still waits for data; `whole` if they lie in memory."""
        if not adapt.needed(self.network):
            return
        seen = passes(data)
        self.network.learn_sizes(adapt.learn_sizes(self.network, seen))
        if not self.network.built:
            self.build(inputs or _columns(self.network, seen))
        adapt.adapt(self.network, seen if whole is None else whole.x)
        if self.network.target_scaling is not None and not adapt.targets_ready(self.network):
            adapt.adapt_targets(self.network, seen if whole is None else ArrayPasses(*whole))

    def update_moments(self, x: Any = None) -> None:
        """Take moving means and variances of batch normalizations from a pass over data, by default the run's."""
        data = self.passes if x is None else passes(x)
        if data is None:
            raise NotReadyError("expected x, data to take moments from; received none, and no fit on data that can be "
                                "passed over again is running")  # fmt: skip
        adapt.update_moments(self.network, data)

    # ---- keeping

    def to_dict(self) -> dict[str, Any]:
        """Describe layers, seed, dtype and what `compile` chose as plain values."""
        network = self.network
        return {
            "layers": [layer.to_dict() for layer in layers_.nest(network.specs)],
            "seed": network.seed,
            "dtype": network.dtype.name,
            "loss": self.loss and self.loss.to_dict(),
            "optimizer": self.optimizer and self.optimizer.to_dict(),
            "metrics": [metrics_.to_dict(metric) for metric in self.metrics],
            "target_scaling": network.target_scaling,
        } | self._frozen()

    def notes(self) -> dict[str, Any]:
        """What a file keeps beside the layers' numbers and the loss, as plain values."""
        network = self.network
        named = {str(i): spec.vocabularies for i, spec in enumerate(network.specs) if spec.kind == "categorical"}  # type: ignore[attr-defined]
        return {
            "link": getattr(self.loss, "link", None),
            "optimizer": self.optimizer and self.optimizer.to_dict(),
            "metrics": [metrics_.to_dict(metric) for metric in self.metrics],
            "schema": network.schema and network.schema.to_dict(),
            "target_scaling": network.target_scaling,
            "vocabularies": {index: names for index, names in named.items() if names},
        } | self._frozen()

    def _frozen(self) -> dict[str, Any]:
        """The layers that are not trained, by index, if there are any."""
        return {"frozen": sorted(self.network.frozen)} if self.network.frozen else {}

    def state(self) -> dict[str, Any]:
        """Return copies of the trainer's state, for pickles; empty if there is no trainer."""
        trainer = self._trainer
        if trainer is None:
            return {}
        slots = [np.array(slot) for slot in trainer.slots]
        return {"steps": trainer.steps, "slots": slots, "capacity": self._capacity, "rate_factor": trainer.rate_factor}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        trainer = self.trainer_for(state["capacity"])
        trainer.steps, trainer.rate_factor = state["steps"], state["rate_factor"]
        for to, source in zip(trainer.slots, state["slots"], strict=True):
            np.asarray(to)[...] = source

    def slots(self) -> list[dict[Place, np.ndarray]]:
        """Return the optimizer's state vectors in parts by layer and name, as views; empty without a trainer."""
        if self._trainer is None:
            return []
        return [self.network.parts(np.asarray(slot)) for slot in self._trainer.slots]

    def take_slots(self, steps: int, slots: Sequence[Mapping[Place, np.ndarray]]) -> None:
        """Go on from the optimizer's state of another program: steps applied, state vectors in parts."""
        trainer = self.trainer
        trainer.steps = steps
        for views, parts in zip(self.slots(), slots or (), strict=bool(slots)):
            for place, values in parts.items():
                views[place][...] = values

    # ---- one run at a time

    def __enter__(self) -> Learner:
        mine = [get_ident()]
        running = self._running.setdefault(os.getpid(), mine)  # one thread gets its own back, whatever their number
        if running is not mine:
            where = "within, from a callback" if running == mine else "from another thread: train a copy there"
            raise ArgumentValueError(f"expected fit after the one that is running; received it {where}")
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.pop(os.getpid(), None)


def _in_order(loss: Any, optimizer: Any) -> tuple[Any, Any]:
    """Return loss and optimizer, which Keras takes the other way round."""
    if not _is_optimizer(loss):
        return loss, optimizer
    if losses.is_loss(optimizer):
        return optimizer, loss
    raise ArgumentTypeError(
        f"expected loss, what to train for; received the optimizer loss={loss!r}: "
        f"compile(loss='mse', optimizer={loss!r})"
    )


def takes_optimizer_first(compile: Callable[..., None]) -> Callable[..., None]:
    """Return the method `compile`, which then understands ``compile("adam", loss="mse")`` too."""

    @wraps(compile)
    def ordered(self: Any, *choices: Any, **named: Any) -> None:
        if choices and "loss" in named and "optimizer" not in named and _is_optimizer(choices[0]):
            loss = named.pop("loss")
            choices = (loss, *choices)
        compile(self, *choices, **named)

    return ordered


def _is_optimizer(value: Any) -> bool:
    return optimizers.is_optimizer(value) or isinstance(value, LBFGS) or bool(get_lbfgs(value))


def _columns(network: Network, data: Passes) -> int:
    """Columns of X in the first part."""
    for part in data:
        return int(network.as_rows(part.x).shape[1])
    raise ArgumentValueError("expected data with at least one row to adapt to; received none")
