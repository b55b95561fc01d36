"""Penalties, constraints, dropout and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import layers as layers_
from ..recipe import Recipe
from .base import PENALTY, Change, Deviation, Facts, decades

USUAL_PENALTY, USUAL_DECAY, USUAL_NOISE = 1e-4, 4e-3, 0.3


def penalties(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find penalties, decay and constraints that may hold the weights near 0."""
    sizes = [0.0]
    for layer in recipe.denses:
        for penalty in (layer.kernel_regularizer, layer.bias_regularizer):
            numbers = {} if penalty is None else penalty.to_dict()
            sizes += [value for value in numbers.values() if isinstance(value, float)]
        sizes += [1e-2] if layer.kernel_constraint is not None or layer.bias_constraint is not None else []
    decay, largest = getattr(recipe.optimizer, "weight_decay", 0.0), max(sizes)
    if largest == 0 and decay <= USUAL_DECAY:
        return None
    cure = recipe.map(
        lambda layer, last: replace(
            layer, kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None
        )
    )
    if decay > USUAL_DECAY:
        cure = cure.change(optimizer=replace(recipe.optimizer, weight_decay=0.0))
    strength = max(np.log10(max(largest, 1e-30) / USUAL_PENALTY), np.log10(max(decay, 1e-30) / USUAL_DECAY), 0.0)
    return Deviation(
        "over_regularised", PENALTY, float(strength), (cure,),
        Change("penalties on weights", max(largest, decay), None), "cause:penalties", {"largest": max(largest, decay)},
    )  # fmt: skip


def dropout(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find dropout and noise that may leave nothing to learn from."""
    flat = layers_.flatten(recipe.layers)
    rate = max((layer.rate for layer in flat if isinstance(layer, layers_.Dropout)), default=0.0)
    noise = max((layer.stddev for layer in flat if isinstance(layer, layers_.GaussianNoise)), default=0.0)
    if rate == 0 and noise == 0:
        return None
    loud = noise > 0.5 and rate <= 0.5
    cures = [recipe.without((layers_.Dropout, layers_.GaussianNoise))]
    strength = 1 + float(np.log10(0.5 / (1 - rate))) if rate > 0.5 else 0.2 * rate
    strength = max(strength, decades(noise, USUAL_NOISE) if noise > USUAL_NOISE else 0.0)
    what, value = ("GaussianNoise", noise) if loud else ("Dropout", rate)
    return Deviation(
        "over_regularised" if loud else "dropout_too_high", PENALTY, strength, tuple(cures), Change(what, value, None),
        "cause:noise" if loud else "cause:dropout", {"rate": rate, "stddev": noise},
    )  # fmt: skip
