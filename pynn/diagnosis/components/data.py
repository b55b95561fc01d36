"""Scale and outliers of X and y."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import layers as layers_
from ... import losses
from ..recipe import Recipe
from .base import DATA, Change, Deviation, Facts, decades

FAR = 30.0  # widths of the middle half of a column, from its median
FAR_TARGET = 10.0
SCALING = (layers_.Normalization, layers_.BatchNormalization, layers_.Categorical)


def inputs(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find columns that are not of size 1 around 0, where no first layer brings them there."""
    sizes = np.sqrt(facts.means**2 + facts.spreads**2)
    largest = float(sizes.max(initial=0.0))
    if isinstance(recipe.layers[0], SCALING) or largest == 0:
        return None
    at, known = int(sizes.argmax()), facts.spreads > 0
    offset = float((np.abs(facts.means[known]) / facts.spreads[known]).max(initial=1.0))
    strength = max(decades(largest, 1.0) - 0.3, 0.5 * float(np.log10(max(offset, 1.0))), 0.0)
    return Deviation(
        "unscaled_input", DATA, strength, (recipe.change(layers=(layers_.Normalization(), *recipe.layers)),),
        Change("first layer", "none that scales X", "pynn.Normalization()"), "cause:scale_of_inputs",
        {"column": at, "mean": float(facts.means[at]), "std": float(facts.spreads[at])},
    )  # fmt: skip


def outlying_inputs(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find cells far from all others, which decide the scale of their column; one value repeated is a mark."""
    first = recipe.layers[0]
    if isinstance(first, layers_.Normalization) and first.clip is not None:
        return None
    known = facts.task.known
    candidates = np.argsort(-facts.furthest, kind="stable")[:20]
    seen = [(at, *_far(facts.task.X[known, at], facts.medians[at])) for at in candidates if facts.furthest[at] >= FAR]
    seen = [one for one in seen if len(one[1])]
    if not seen:
        return None
    at, far, widths, marked = max(seen, key=lambda one: one[2])
    scaled = isinstance(first, layers_.Normalization)
    cure = (layers_.Normalization(mode="robust", clip=5.0), *(recipe.layers[1:] if scaled else recipe.layers))
    return Deviation(
        "missing_marker" if marked else "outlier", DATA, min(float(np.log10(widths)), 6.0),
        (recipe.change(layers=cure),),
        Change("first layer", repr(first) if scaled else "none that scales X", repr(cure[0])),
        "cause:mark_for_missing" if marked else "cause:outlying_cells",
        {"column": int(at), "value": float(facts.task.X[known[far[0]], at]), "n_rows": len(far), "widths": widths,
         "far": facts.task.named_rows(known[far[:20]])},
    )  # fmt: skip


def _far(column: np.ndarray, median: float) -> tuple[np.ndarray, float, bool]:
    """Return the rows that lie far out, how many times as far as the others, and whether all have one value."""
    column = np.asarray(column, np.float64)
    distance = np.nan_to_num(np.abs(column - median))
    farthest = column[distance.argmax()]
    marks = column == farthest
    others = distance[~marks].max(initial=0.0)
    usual = float(np.quantile(distance[~marks], 0.98)) if (~marks).any() else 0.0
    if marks.sum() >= 3 and distance.max() > 5 * others > 0:
        return np.flatnonzero(marks), float(distance.max() / max(usual, others / 5)), True
    if usual > 0 and distance.max() > FAR * usual:
        return np.flatnonzero(distance > FAR * usual / 2), float(distance.max() / usual), False
    return np.empty(0, np.int64), 0.0, False


def targets(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find targets that are not of size 1 around 0, under a loss of numbers."""
    if facts.task.kind != "numbers" or recipe.target_scaling is not None or not is_of_numbers(recipe.loss):
        return None
    y = facts.task.numbers[facts.task.known]
    size, spread = float(np.sqrt((y**2).mean(axis=0)).max()), float(y.std(axis=0).max())
    strength = max(decades(size, 1.0), decades(spread, 1.0)) - 0.3 if spread > 0 else 0.0
    if strength <= 0:
        return None
    return Deviation(
        "unscaled_target", DATA, strength, (recipe.change(target_scaling="standard"),),
        Change("target_scaling", None, "standard"), "cause:scale_of_targets", {"size": size, "std": spread},
    )  # fmt: skip


def outlying_targets(recipe: Recipe, facts: Facts) -> Deviation | None:
    """Find targets far from all others, under a loss that squares the distance."""
    if facts.task.kind != "numbers" or recipe.loss.name != "mean_squared_error":
        return None
    y = facts.task.numbers[facts.task.known]
    low, middle, high = np.percentile(y, (25, 50, 75), axis=0)
    distance = (np.abs(y - middle) / np.maximum(high - low, 1e-300)).max(axis=1)
    far = np.flatnonzero(distance > FAR_TARGET)
    if not len(far) or not (high > low).all():
        return None
    rows = facts.task.named_rows(facts.task.known[far[:20]])
    return Deviation(
        "outlier", DATA, float(np.log10(distance.max())),
        (recipe.change(loss=losses.get("huber"), target_scaling="standard"),),
        Change("loss", recipe.loss.name, "huber, with target_scaling='standard'"), "cause:outlying_targets",
        {"array": "y", "n_rows": len(far), "widths": float(distance.max()), "far": rows},
    )  # fmt: skip


def is_of_numbers(loss: Any) -> bool:
    """Whether predictions under this loss are its logits."""
    return bool(loss.row["link"] == "linear" and not (loss.row["pairs"] or loss.row["signs"]))
