"""A run as data: everything that decides it but the rows, and the rows with what is asked of them.

Trials change one thing in a `Recipe` and train again; nothing here trains or knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from .. import layers as layers_
from ..layers import Dense, Layer
from .start import SEEDED, Start

UPDATE = {"sgd": 40.0, "rmsprop": 70.0, "adagrad": 70.0, "adam": 100.0}  # operations that cost as much, a parameter


@dataclass(frozen=True, eq=False)
class Recipe:
    """What `Sequential`, `compile` and `fit` were told.

    `start` holds what training starts from where the seed does not decide it; frozen layers are never changed.
    """

    layers: tuple[Layer, ...]
    loss: Any
    optimizer: Any
    target_scaling: str | None
    dtype: str
    seed: int
    epochs: int
    batch_size: int
    shuffle: bool = True
    class_weight: Any = None
    weighted: bool = False  # rows are weighted by `sample_weight`
    start: Start = SEEDED
    callbacks: tuple[Any, ...] = ()
    mixup: float = 0.0
    on_bad_rows: str | None = None

    def change(self, **changes: Any) -> Recipe:
        return replace(self, **changes)

    @cached_property
    def denses(self) -> list[Dense]:
        return [layer for layer in layers_.flatten(self.layers) if isinstance(layer, Dense)]

    def is_frozen(self, dense: Dense) -> bool:
        """Whether training leaves a Dense as it is."""
        return self.start.freezes("dense", next(i for i, one in enumerate(self.denses) if one is dense))

    @property
    def output(self) -> Dense:
        """The last Dense."""
        return self.denses[-1]

    @property
    def output_activation(self) -> str:
        """The activation behind the last Dense, its own or that of a layer above it."""
        flat = layers_.flatten(self.layers)
        last = max(i for i, layer in enumerate(flat) if isinstance(layer, Dense))
        names = [layer.activation.name for layer in flat[last:] if hasattr(layer, "activation")]
        return next((name for name in reversed(names) if name != "linear"), "linear")

    def has(self, kind: type | tuple[type, ...]) -> bool:
        return any(isinstance(layer, kind) for layer in layers_.flatten(self.layers))

    def steps(self, rows: int) -> int:
        """Updates of the whole run."""
        return self.epochs * -(-rows // min(self.batch_size, rows))

    def cost(self, rows: int, inputs: int) -> float:
        """Operations of the whole run by a fixed model: three products a layer, an update and a constant for each step.

        An update reads and writes memory, so it counts for more than its operations, by the vectors that it keeps.
        """
        widths = [inputs, *(layer.units for layer in self.denses)]
        parameters = sum(a * b for a, b in pairwise(widths))
        update = UPDATE.get(self.optimizer.name, UPDATE["adam"])
        return self.epochs * rows * 6.0 * parameters + self.steps(rows) * (4e5 + update * parameters)

    def map(self, change: Callable[[Dense, bool], Dense]) -> Recipe:
        """`change(layer, is_last)` on every Dense that is trained, inside residual blocks too."""
        count = left = len(self.denses)

        def visit(layers: Iterable[Layer]) -> tuple[Layer, ...]:
            nonlocal left
            found: list[Layer] = []
            for layer in layers:
                if isinstance(layer, layers_.Residual):
                    layer = replace(layer, layers=visit(layer.layers))
                elif isinstance(layer, Dense):
                    left -= 1
                    if not self.start.freezes("dense", count - 1 - left):
                        layer = change(layer, left == 0)
                found.append(layer)
            return tuple(found)

        return self.change(layers=visit(self.layers))

    def without(self, kind: type | tuple[type, ...]) -> Recipe:
        """The same without layers of a kind, inside residual blocks too."""

        def visit(layers: Iterable[Layer]) -> tuple[Layer, ...]:
            kept = [layer for layer in layers if not isinstance(layer, kind)]
            return tuple(
                replace(layer, layers=visit(layer.layers)) if isinstance(layer, layers_.Residual) else layer
                for layer in kept
            )

        return self.change(layers=visit(self.layers))


def kind_of(recipe: Recipe, y: np.ndarray) -> str:
    """What the targets ask for, by themselves and by what the script made of them."""
    y = np.asarray(y).reshape(len(y), -1)
    link, last = recipe.loss.row["link"], recipe.output_activation
    whole = bool(np.isin(y, (0, 1)).all())
    if y.shape[1] > 1:
        if link == "softmax" or (whole and np.all(y.sum(axis=1) == 1) and y.shape[1] == recipe.output.units):
            return "classes"
        return "several" if whole and (link != "linear" or last in ("sigmoid", "softmax")) else "numbers"
    if link == "softmax" and recipe.output.units > 1:
        return "classes"
    yes_no = whole or (recipe.loss.row["signs"] and bool(np.isin(y, (-1, 1)).all()))
    if yes_no and (link in ("softmax", "sigmoid") or last in ("sigmoid", "softmax") or recipe.loss.row["signs"]):
        return "yes_no"
    return "numbers"
