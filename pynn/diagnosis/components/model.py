"""Hidden layers: activations, initial weights, widths, statistics of batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import layers as layers_
from ...layers import Dense, Layer
from ..recipe import Recipe
from .base import MODEL, Change, Deviation, Facts, decades

SQUASHING = ("sigmoid", "tanh", "softmax", "hard_sigmoid", "softsign", "log_sigmoid", "exponential")
USUAL = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "orthogonal")
DEEP = 4  # hidden layers
NARROW, WIDE = 8, 32  # units
BATCH = 32


def hidden_activations(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find hidden activations that pass no gradient through many layers, or none at all."""
    names = [_behind(recipe, layer) for layer in recipe.denses[:-1] if not recipe.is_frozen(layer)]
    squashing = [name for name in names if name in SQUASHING]
    if not names:
        return None
    if all(name == "linear" for name in names):
        code, strength, text = "missing_nonlinearity", 1.5, "cause:no_activation"
    elif "softmax" in names or "exponential" in names:
        code, strength, text = "vanishing_activation", 2.0, "cause:hidden_softmax"
    elif squashing:
        code, strength, text = "vanishing_gradient", 0.25 * len(squashing), "cause:squashing_layers"
    elif len(names) > DEEP:
        code, strength, text = "vanishing_gradient", 0.1 * len(names), "cause:deep_layers"
    else:
        return None
    apart = recipe.without(layers_.Activation) if recipe.has(layers_.Activation) else recipe
    relu = apart.map(lambda layer, last: layer if last else _with_relu(layer))
    deep = len(names) > DEEP and not recipe.start.frozen
    cures = (relu, normalized(relu), residual(relu)) if deep else (relu,)
    evidence = {"hidden": len(names), "n_squashing": len(squashing), "activation": (squashing or names)[0]}
    change = Change("hidden activations", ", ".join(dict.fromkeys(names)), "relu")
    return Deviation(code, MODEL, strength, cures, change, text, evidence)


def _behind(recipe: Recipe, dense: Dense) -> str:
    """Return the activation behind a Dense: its own, or that of an Activation layer before the next Dense."""
    if dense.activation.name != "linear":
        return str(dense.activation.name)
    flat = layers_.flatten(recipe.layers)
    at = next(i for i, layer in enumerate(flat) if layer is dense)
    for layer in flat[at + 1 :]:
        if isinstance(layer, layers_.Activation):
            return str(layer.activation.name)
        if isinstance(layer, Dense):
            break
    return "linear"


def _with_relu(layer: Dense) -> Dense:
    return replace(layer, activation="relu", kernel_initializer=None)


def normalized(recipe: Recipe) -> Recipe:
    """Put LayerNormalization behind each hidden Dense."""
    hidden, found = recipe.denses[:-1], list[Layer]()
    for layer in recipe.layers:
        found += [layer, layers_.LayerNormalization()] if any(layer is one for one in hidden) else [layer]
    return recipe.change(layers=tuple(found))


def residual(recipe: Recipe) -> Recipe:
    """Make residual blocks of hidden layers as wide as the one before."""
    found: list[Layer] = []
    width: int | None = None
    for layer in recipe.layers:
        if isinstance(layer, Dense) and layer is not recipe.output:
            same, width = layer.units == width, layer.units
            layer = layers_.Residual((layers_.LayerNormalization(), layer)) if same else layer
        found.append(layer)
    return recipe.change(layers=tuple(found))


def initial_weights(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find initial weights of a size far from what the layers need, equal ones, or ones set by hand."""
    found: list[tuple[float, str, bool]] = []
    width = facts.inputs
    for layer in recipe.denses:
        kernel, bias = layer.kernel_initializer, layer.bias_initializer
        if recipe.is_frozen(layer):
            width = layer.units
            continue
        if kernel.name not in USUAL:
            std = initial_std(kernel)
            found.append((3.0 if std == 0 else decades(std, float(np.sqrt(2.0 / width))), repr(kernel), std == 0))
        size = initial_size(bias)
        if size > 0.5:
            found.append((1.0 + decades(size, 1.0), repr(bias), False))
        width = layer.units
    if recipe.start.by_hand:
        found.append((1.5, "parameters set by hand", False))
    if not found:
        return None
    strength, named, equal = max(found)
    alike = any(initial_std(one.kernel_initializer) == 0 and one.kernel_initializer.name not in USUAL
                for one in recipe.denses[:-1] if not recipe.is_frozen(one))  # fmt: skip
    cure = recipe.change(start=recipe.start.from_seed()).map(
        lambda layer, last: replace(layer, kernel_initializer=None, bias_initializer="zeros")
    )
    return Deviation(
        "symmetric_init" if equal else "poor_init", MODEL, strength, (cure,),
        Change("initial weights", named, "the default initializers"),
        "cause:equal_weights" if equal else "cause:initial_size",
        {"initializer": named, "factor": 10.0 ** min(strength, 9)}, certain=equal and alike,
    )  # fmt: skip


def initial_std(initializer: Any) -> float:
    """Return the size of the weights that an initializer gives; 0 for equal ones."""
    numbers = initializer.to_dict()
    if "stddev" in numbers:
        return float(np.hypot(numbers["stddev"], numbers["mean"])) if numbers["stddev"] else 0.0
    if "minval" in numbers:
        low, high = numbers["minval"], numbers["maxval"]
        return float(np.hypot((high - low) / np.sqrt(12), (high + low) / 2)) if high > low else 0.0
    return 0.0


def initial_size(initializer: Any) -> float:
    numbers = [abs(float(value)) for value in initializer.to_dict().values() if isinstance(value, (int, float))]
    return max(numbers, default=1.0 if initializer.name == "ones" else 0.0)


def width(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find hidden layers too narrow for anything to pass."""
    narrow = min((one.units for one in recipe.denses[:-1] if not recipe.is_frozen(one)), default=NARROW)
    if narrow >= NARROW:
        return None
    cure = recipe.map(lambda layer, last: layer if last or layer.units >= NARROW else replace(layer, units=WIDE))
    return Deviation(
        "underfitting", MODEL, 1.5 - 0.15 * narrow, (cure,), Change("units of hidden layers", narrow, WIDE),
        "cause:narrow_layer", {"units": narrow, "wide": WIDE},
    )  # fmt: skip


def batch_statistics(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find normalization by batches too small to have statistics."""
    if not recipe.has(layers_.BatchNormalization) or recipe.batch_size > 4:
        return None
    return Deviation(
        "batch_too_small", MODEL, 2.0 if recipe.batch_size == 1 else 1.0, (recipe.change(batch_size=BATCH),),
        Change("batch_size", recipe.batch_size, BATCH), "cause:batch_statistics", {"batch_size": recipe.batch_size},
        certain=recipe.batch_size == 1,
    )  # fmt: skip
