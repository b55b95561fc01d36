"""A learner as plain values and arrays, and from them, for pickles; those of version 0.1.0 are read too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import activations, losses
from ..metrics import names as metrics_
from .learner import Learner

__all__ = ["compile_as", "restore", "state"]


def compile_as(compile: Callable[..., None], values: dict[str, Any], custom: dict[str, Any] | None) -> list[str]:
    """Call `compile` with what `Learner.to_dict` described; return the names of metrics that `custom` lacks."""
    loss = values.get("loss")
    if not loss:
        return []
    if loss.get("custom"):
        loss = losses.resolve(loss["name"], loss["link"], custom)
    metrics, missing = metrics_.from_dicts(values.get("metrics") or (), custom)
    compile(loss, values.get("optimizer") or "adam", metrics, target_scaling=values.get("target_scaling"))
    return missing


def state(learner: Learner) -> dict[str, Any]:
    """Return copies of all that a learner and its network hold."""
    network = learner.network
    found: dict[str, Any] = {
        "config": learner.to_dict(),
        "metrics": learner.metrics,
        "history": learner.history,
        "epoch": learner.epoch,
        "schema": network.schema,
    }
    functions = [network.loss, *(getattr(spec, "activation", None) for spec in network.specs)]
    found["custom"] = {f.name: f for f in functions if isinstance(f, (losses.Custom, activations.Custom))}
    if network.initial:
        found["initial"] = network.initial
    if network.built:
        found |= {
            "inputs": network.inputs,
            "timesteps": network.timesteps,
            "parameters": network.parameters.copy(),
            "state": network.state.copy(),
        }
    return found | learner.state()


def restore(learner: Learner, kept: dict[str, Any]) -> None:
    """Put a learner that was made from the state's config where `state` was taken."""
    network = learner.network
    network.initial = kept.get("initial", {})
    if "inputs" in kept:
        network.build(kept["inputs"], kept.get("timesteps"))
        network.parameters[...], network.state[...] = kept["parameters"], kept["state"]
    if "steps" in kept:
        learner.restore(kept)
    learner.metrics, learner.history, learner.epoch = kept["metrics"], kept["history"], kept["epoch"]
    for metric in learner.metrics:
        metric.take_loss(network.loss)
    network.schema = kept["schema"]
