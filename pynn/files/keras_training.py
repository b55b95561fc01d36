"""Loss, metrics and optimizer of Keras 3 as ours, and back, where they mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import layers as layers_
from .. import losses, optimizers, schedules
from ..errors import PynnError, UnsupportedError
from ..metrics import names as metrics_
from ..network.network import Place
from .keras_layers import Built, plain_name, require

__all__ = ["LOSSES", "RULES", "Rule", "training"]


@dataclass(frozen=True)
class Rule:
    """An optimizer of Keras: ours, arguments that have our names, state vectors.

    Attributes
    ----------
    cls : str
        Keras's name; ours is the same in small letters.
    arguments : tuple of str
    slots : tuple of tuple of int
        Our state vectors in Keras's order, those that stand beside each other for each parameter together.
    factors : mapping of int to int
        Sign of the state vectors that Keras multiplies by the learning rate.
    off : tuple of str
        Arguments that have to be off.
    """

    cls: str
    arguments: tuple[str, ...]
    slots: tuple[tuple[int, ...], ...]
    factors: Mapping[int, int]
    off: tuple[str, ...] = ()

    def used(self, momentum: float) -> tuple[tuple[int, ...], ...]:
        """Return the state vectors that there are: none for a momentum of 0."""
        return tuple(block for block in self.slots if momentum or not any(slot in self.factors for slot in block))


RULES = {
    "sgd": Rule("SGD", ("momentum", "nesterov"), ((0,),), {0: -1}),
    "rmsprop": Rule("RMSprop", ("rho", "momentum", "epsilon"), ((0,), (1,)), {1: 1}, ("centered",)),
    "adagrad": Rule("Adagrad", ("initial_accumulator_value", "epsilon"), ((0,),), {}),
    "adam": Rule("Adam", ("beta_1", "beta_2", "epsilon"), ((0, 1),), {}),
    "amsgrad": Rule("Adam", ("beta_1", "beta_2", "epsilon"), ((0, 1), (2,)), {}),
    "lion": Rule("Lion", ("beta_1", "beta_2"), ((0,),), {}),
    "adamw": Rule("AdamW", ("beta_1", "beta_2", "epsilon"), ((0, 1),), {}, ("amsgrad",)),
}
OFF = ("clipnorm", "clipvalue", "use_ema", "loss_scale_factor", "gradient_accumulation_steps")

# Keras's name of a loss: ours, the activation that it needs before it, arguments with their names here.
LOSSES: dict[str, tuple[str, str | None, Mapping[str, str]]] = {
    "mean_squared_error": ("mean_squared_error", None, {}),
    "mean_absolute_error": ("mean_absolute_error", None, {}),
    "huber": ("huber", None, {"delta": "delta"}),
    "log_cosh": ("log_cosh", None, {}),
    "hinge": ("hinge", None, {}),
    "squared_hinge": ("squared_hinge", None, {}),
    "sparse_categorical_crossentropy": ("softmax_cross_entropy", "softmax", {}),
    "categorical_crossentropy": ("softmax_cross_entropy", "softmax", {"label_smoothing": "label_smoothing"}),
    "binary_crossentropy": ("sigmoid_cross_entropy", "sigmoid", {"label_smoothing": "label_smoothing"}),
    "kl_divergence": ("kl_divergence", "softmax", {}),
}
_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "logcosh": "log_cosh", "kld": "kl_divergence"}
_METRICS = {"acc": "accuracy", "sparse_categorical_accuracy": "accuracy", "categorical_accuracy": "accuracy",
            "binary_accuracy": "accuracy"} | _ALIASES  # fmt: skip


def training(config: Any, built: Built, tensors: list[np.ndarray]) -> dict[str, Any]:
    """Return the fields of a Content that are about training; what pynn does otherwise is left out, and said."""
    if not config:
        return {}
    try:
        loss = _loss(config, built)
        optimizer = _optimizer(config["optimizer"])
        steps, slots = _state(optimizer, tensors, built.order)
    except UnsupportedError as error:
        return {"left_out": (f"the model is not compiled ({error})",)}
    metrics, missing = _metrics(config)
    return {"loss": loss, "optimizer": optimizer, "metrics": metrics, "steps": steps, "slots": slots,
            "left_out": missing}  # fmt: skip


def _loss(config: Mapping[str, Any], built: Built) -> Any:
    name, arguments = plain_name(config.get("loss"))
    name = _ALIASES.get(name, name)
    require(name in LOSSES, f"a loss among {', '.join(LOSSES)}", f"loss={name}")
    require(config.get("loss_weights") is None, "no loss_weights", config.get("loss_weights"))
    reduction = arguments.get("reduction", "sum_over_batch_size")
    require(reduction == "sum_over_batch_size", "the mean over rows", f"reduction={reduction}")
    require(arguments.get("ignore_class") is None, "no ignore_class", arguments.get("ignore_class"))
    ours, link, numbers = LOSSES[name]
    last: Any = built.layers[-1]
    activation = last.activation.name if isinstance(last, (layers_.Dense, layers_.Activation)) else "linear"
    if link is not None:
        expected = "linear" if arguments.get("from_logits") else link
        require(activation == expected, f"a last activation {expected!r}", f"{activation!r}")
    return losses.get({"name": ours, **{key: arguments[k] for k, key in numbers.items() if k in arguments}})


def _optimizer(value: Any) -> Any:
    name, arguments = plain_name(value)
    name = {"r_m_sprop": "rmsprop", "rm_sprop": "rmsprop", "s_g_d": "sgd", "adam_w": "adamw"}.get(name, name)
    name = "amsgrad" if name == "adam" and arguments.get("amsgrad") else name
    rule = RULES.get(name)
    require(rule is not None, f"an optimizer among {', '.join(r.cls for r in RULES.values())}", f"optimizer={name}")
    assert rule is not None
    for key in (*OFF, *rule.off):
        require(not arguments.get(key), f"{key} off", f"{key}={arguments.get(key)}")
    values = {key: arguments[key] for key in rule.arguments if key in arguments}
    if "epsilon" in values:
        values["early_epsilon"] = True
    return optimizers.get({
        "name": name, "learning_rate": _rate(arguments["learning_rate"]),
        "weight_decay": arguments.get("weight_decay") or 0.0, "global_clipnorm": arguments.get("global_clipnorm"),
        **values,
    })  # fmt: skip


def _rate(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    name, arguments = plain_name(value)
    try:
        return schedules.get({"name": name, **{k: v for k, v in arguments.items() if k != "name"}})
    except (PynnError, TypeError) as error:
        raise UnsupportedError(f"expected a schedule of pynn; received {name} ({error})") from None


def _state(optimizer: Any, tensors: list[np.ndarray], order: list[Place]) -> tuple[int, Any]:
    """Return steps and state vectors from the tensors of Keras's optimizer, in their order."""
    rule = RULES[optimizer.name]
    blocks = rule.used(getattr(optimizer, "momentum", 1.0))
    first = 1 if optimizer.schedule is not None else 2  # iteration, learning rate
    count = sum(map(len, blocks)) * len(order)
    if len(tensors) <= first or not count:
        return (int(tensors[0]) if tensors else 0), ()
    require(len(tensors) == first + count, f"{first + count} tensors of the optimizer", len(tensors))
    found: list[dict[Place, np.ndarray]] = [{} for _ in range(max(max(block) for block in rule.slots) + 1)]
    at = first
    for block in blocks:
        for place in order:
            for slot in block:
                found[slot][place] = _scaled(tensors[at], rule.factors.get(slot), optimizer)
                at += 1
    return int(tensors[0]), found


def _scaled(values: np.ndarray, sign: int | None, optimizer: Any) -> np.ndarray:
    """Return a state vector without Keras's learning rate in it."""
    if sign is None:
        return values
    require(optimizer.schedule is None, "a momentum under a fixed learning rate", "a schedule")
    return values * (sign / optimizer.learning_rate)


def _metrics(config: Mapping[str, Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Return the metrics that pynn has, and what to say about the others."""
    found, others = [], []
    for value in config.get("metrics") or ():
        name, _ = plain_name(value)
        name = _METRICS.get(name, name)
        try:
            found.append(metrics_.get(name))
        except PynnError:
            others.append(name)
    return found, (f"the metrics {', '.join(others)} are left out",) if others else ()
