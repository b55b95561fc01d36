"""The optimizer: its rate, schedule, clipping and constants, and the number of its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import optimizers
from ...callbacks import LearningRateScheduler, ReduceLROnPlateau
from ..recipe import Recipe
from .base import TRAINING, Change, Deviation, Facts, decades

STEPS = 300  # updates below which a small network has hardly begun
BATCH, SMALLEST = 32, 8
RATES = {"sgd": 0.05, "rmsprop": 1e-3, "adam": 2e-3, "adamw": 2e-3, "adagrad": 0.03, "amsgrad": 2e-3, "nadam": 2e-3,
         "lion": 3e-4}  # fmt: skip
FACTORS = (0.1, 10.0, 0.01, 100.0)


def rate_setters(recipe: Recipe) -> list[Any]:
    """Return the callbacks that set the learning rate."""
    return [one for one in recipe.callbacks if isinstance(one, (LearningRateScheduler, ReduceLROnPlateau))]


def schedule(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Suspect a schedule or callback that takes the learning rate away too soon, or never raises it."""
    followed, setters = getattr(recipe.optimizer, "schedule", None), rate_setters(recipe)
    if followed is None and not setters:
        return None
    peak = None if followed is None else peak_rate(followed, recipe.steps(facts.rows))
    optimizer = recipe.optimizer if peak is None else replace(recipe.optimizer, learning_rate=peak)
    kept = tuple(one for one in recipe.callbacks if one not in setters)
    named = type(followed if followed is not None else setters[0]).__name__
    return Deviation(
        "schedule_mismatch", TRAINING, min(decades(facts.rate_left, 1.0), 4.0),
        (recipe.change(optimizer=optimizer, callbacks=kept),),
        Change("learning_rate", named, "constant" if peak is None else peak), "cause:schedule",
        {"schedule": named, "rate_left": facts.rate_left, "steps": recipe.steps(facts.rows)},
    )  # fmt: skip


def peak_rate(followed: Any, steps: int) -> float:
    """Return the largest rate of a schedule, over a run or among its numbers."""
    numbers = [v for k, v in followed.to_dict().items() if isinstance(v, float) and "rate" in k and "decay" not in k]
    return max([*numbers, *(float(followed(step)) for step in np.linspace(0, steps, 20).astype(int)), 1e-12])


def clipping(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Suspect clipping that makes all steps small."""
    norm = recipe.optimizer.global_clipnorm
    if norm is None or norm >= 10:
        return None
    return Deviation(
        "learning_rate_too_low", TRAINING, 0.3 + max(float(np.log10(1.0 / norm)), 0.0),
        (recipe.change(optimizer=replace(recipe.optimizer, global_clipnorm=None)),),
        Change("global_clipnorm", norm, None), "cause:clipping", {"global_clipnorm": norm},
    )  # fmt: skip


def constants(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find epsilon, momentum and the like far from their defaults."""
    row = optimizers.table.rows.get(recipe.optimizer.name)
    found: list[tuple[float, str, float, float]] = []
    for rule in row["fields"] if row else ():
        name, usual = rule["name"], rule["default"]
        value = getattr(recipe.optimizer, name)
        if name in ("epsilon", "initial_accumulator_value") and not 1e-3 * usual <= value <= 1e3 * usual:
            found.append((min(decades(max(value, 1e-6 * usual), usual), 6.0), name, value, usual))
        if name in ("momentum", "beta_1", "beta_2", "rho") and (value > max(0.99, usual) or value < min(0.5, usual)):
            found.append((2.0 if value > 0.99 else 1.0, name, value, min(usual, 0.9) if usual else 0.9))
    if not found:
        return None
    strength, name, value, usual = max(found)
    cure = replace(recipe.optimizer, **{one[1]: one[3] for one in found})
    momentum = name not in ("epsilon", "initial_accumulator_value")
    return Deviation(
        "oscillating_loss" if momentum else "optimizer_epsilon", TRAINING, strength, (recipe.change(optimizer=cure),),
        Change(name, value, usual), "cause:momentum" if momentum else "cause:epsilon",
        {"name": name, "value": value, "usual": usual, "optimizer": recipe.optimizer.name},
    )  # fmt: skip


def learning_rate(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Suspect the learning rate; trials say which way it is off."""
    optimizer = recipe.optimizer
    if not hasattr(optimizer, "learning_rate") or optimizer.schedule is not None:
        return None
    value, usual = float(optimizer.learning_rate), RATES.get(optimizer.name, 1e-3)
    usual *= 1 - min(getattr(optimizer, "momentum", 0.0), 0.99)
    if optimizer.name == "sgd":  # small batches are noisy, and nothing but the rate averages that
        usual *= min(1.0, recipe.batch_size / BATCH) ** 0.5
    near = usual / value
    tried = [*FACTORS, *(f for f in (1e-3, 1e3, 1e-4, 1e4, 1e-5, 1e5, 1e-6, 1e6) if 0.03 < f / near < 30)]
    tried.sort(key=lambda factor: abs(float(np.log10(factor / near))))
    cures = tuple(recipe.change(optimizer=replace(optimizer, learning_rate=min(value * f, 1e30))) for f in tried)
    return Deviation(
        "learning_rate_too_high" if value > usual else "learning_rate_too_low", TRAINING, decades(value, usual), cures,
        Change("learning_rate", value, usual), "cause:learning_rate",
        {"learning_rate": value, "direction": "high" if value > usual else "low"},
    )  # fmt: skip


def directed(deviation: Deviation, before: Recipe, after: Recipe) -> Deviation:
    """Say which way a learning rate was off, once a trial has shown it."""
    if deviation.text != "cause:learning_rate":
        return deviation
    old, new = before.optimizer.learning_rate, after.optimizer.learning_rate
    return replace(
        deviation, code="learning_rate_too_high" if new < old else "learning_rate_too_low",
        change=Change("learning_rate", old, new),
        evidence={"learning_rate": old, "better": new, "direction": "high" if new < old else "low"},
    )  # fmt: skip


def enough_steps(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find runs of too few updates for any network to learn; smaller batches come before more epochs."""
    steps = recipe.steps(facts.rows)
    if steps >= STEPS and recipe.batch_size <= max(256, facts.rows // 8):
        return None
    batch = int(np.clip(facts.rows * recipe.epochs // STEPS, SMALLEST, BATCH))
    batch = min(batch, recipe.batch_size, max(1, facts.rows))
    epochs = max(recipe.epochs, -(-STEPS // -(-facts.rows // batch)))
    cures = [recipe.change(batch_size=batch)] if batch < recipe.batch_size else []
    cures += [recipe.change(batch_size=batch, epochs=epochs)] if epochs > recipe.epochs else []
    if not cures:
        return None
    after = f"{batch} and {epochs}"
    return Deviation(
        "underfitting", TRAINING, decades(min(steps, STEPS), STEPS) + 0.3, tuple(cures),
        Change("batch_size and epochs", f"{recipe.batch_size} and {recipe.epochs}", after), "cause:few_steps",
        {"steps": steps, "batch_size": recipe.batch_size},
    )  # fmt: skip
