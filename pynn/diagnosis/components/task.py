"""The last layer and the loss against what is asked, weights of rows, and their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import layers as layers_
from ... import losses
from ...layers import Dense
from ..recipe import Recipe
from .base import TASK, Change, Deviation, Facts, decades

LINKS = {"classes": "softmax", "yes_no": "sigmoid", "several": "sigmoid", "numbers": "linear"}
LOSSES = {"softmax": "softmax_cross_entropy", "sigmoid": "sigmoid_cross_entropy", "linear": "mean_squared_error"}
RANGES = {
    "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0), "relu": (0.0, np.inf), "relu6": (0.0, 6.0), "exponential": (0.0, np.inf),
    "softplus": (0.0, np.inf),
}  # fmt: skip


def output(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find a last activation or a loss that does not go with the task."""
    task, last, loss = facts.task, recipe.output_activation, recipe.loss
    link, wanted, units = loss.row["link"], LINKS[task.kind], _units(recipe, facts)
    custom = isinstance(loss, losses.Custom)
    fits = not custom and (link == wanted or (task.kind == "numbers" and link == "exponential"))
    fused = link if link in ("softmax", "sigmoid") else "linear"
    if fits and last in ("linear", fused) and recipe.output.units >= units:
        return None
    low, high = RANGES.get(last, (-np.inf, np.inf))
    y = task.numbers[task.known]
    single = last == "softmax" and recipe.output.units == 1
    scaled = recipe.target_scaling == "standard"  # then y goes to both sides of 0
    beyond = task.kind == "numbers" and bool(low >= -1 if scaled else y.min() < low or y.max() > high)
    code = "single_unit_softmax" if single else "output_range_mismatch" if beyond else "loss_mismatch"
    cure = linear_output(recipe, units)
    cure = cure if fits else cure.change(loss=losses.get(LOSSES[wanted]))
    odd = last not in ("linear", "sigmoid", "softmax")
    return Deviation(
        code, TASK, 3.0 if single or beyond else 2.5 if odd else 1.0, (cure,),
        Change("last activation and loss", f"{last}, {loss.name}", f"None, {cure.loss.name}"), f"cause:{code}",
        {"activation": last, "loss": loss.name, "better": cure.loss.name, "low": low, "high": high,
         "y_min": float(y.min()), "y_max": float(y.max())},
        certain=single or (odd and task.kind != "numbers"),
    )  # fmt: skip


def _units(recipe: Recipe, facts: Facts) -> int:
    """Return the outputs that the task asks for."""
    outputs = facts.task.numbers.shape[1]
    if facts.task.kind == "classes":
        return max(outputs, recipe.output.units if recipe.output.units > 1 else int(facts.task.labels.max()) + 1)
    return 1 if facts.task.kind == "yes_no" else outputs


def linear_output(recipe: Recipe, units: int) -> Recipe:
    """Return the recipe with a linear last layer of `units` outputs."""
    if isinstance(recipe.layers[-1], layers_.Activation):
        recipe = recipe.change(layers=recipe.layers[:-1])

    def change(layer: Dense, last: bool) -> Dense:
        if not last or (layer.activation.name == "linear" and layer.units == units):
            return layer
        return replace(layer, units=units, activation=None, kernel_initializer=None)

    return recipe.map(change)


def row_weights(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find weights that silence some rows, or shrink all."""
    if not recipe.weighted and recipe.class_weight is None:
        return None
    size = 1.0 if facts.task.weights is None else float(np.mean(facts.task.weights[facts.task.known]))
    strength = decades(size, 1.0) if size > 0 else 3.0
    if isinstance(recipe.class_weight, dict) and len(recipe.class_weight) > 1:
        values = [float(value) for value in recipe.class_weight.values()]
        strength = max(strength, 3.0 if min(values) == 0 else decades(min(values), max(values)))
    by_class = recipe.class_weight is not None
    named = "class_weight" if by_class else "sample_weight"
    return Deviation(
        "class_imbalance" if by_class else "loss_scale", TASK, strength,
        (recipe.change(weighted=False, class_weight=None),), Change(named, "as given", None), "cause:row_weights",
        {"name": named, "mean_weight": size},
    )  # fmt: skip


def balance(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find classes of very different sizes, all weighted alike."""
    if not facts.task.imbalanced or recipe.class_weight is not None:
        return None
    ratio = float(facts.task.counts.max() / facts.task.counts.min())
    return Deviation(
        "class_imbalance", TASK, float(np.log10(ratio)), (recipe.change(class_weight="balanced"),),
        Change("class_weight", None, "balanced"), "cause:class_sizes", {"ratio": ratio},
    )  # fmt: skip


def order(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Suspect the order of rows that are not shuffled."""
    if recipe.shuffle:
        return None
    return Deviation(
        "unordered_rows", TASK, 1.5, (recipe.change(shuffle=True),), Change("shuffle", False, True), "cause:row_order"
    )
