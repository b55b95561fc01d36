"""The parts of a recipe that may be at fault, a function each: how far one is from usual, and what cures it.

A component looks at a recipe and at numbers of the data (`Facts`). It returns a `Deviation` when its part is not as a
healthy run would have it. Whether that is a cause, trials decide. A new component is one function here and its text in
`pynn.report`.
"""

from __future__ import annotations

from collections.abc import Callable

from ... import optimizers
from ..recipe import Recipe
from .base import Change, Deviation, Facts
from .data import inputs, outlying_inputs, outlying_targets, targets
from .model import batch_statistics, hidden_activations, initial_weights, width
from .penalties import dropout, penalties
from .task import balance, order, output, row_weights
from .training import clipping, constants, directed, enough_steps, learning_rate, rate_setters, schedule

__all__ = ["COMPONENTS", "Change", "Deviation", "Facts", "again", "directed", "healthy"]

COMPONENTS: tuple[Callable[[Recipe, Facts], Deviation | None], ...] = (
    inputs, outlying_inputs, targets, outlying_targets,
    output, row_weights, balance, order,
    hidden_activations, initial_weights, width, batch_statistics,
    penalties, dropout,
    schedule, clipping, constants, learning_rate, enough_steps,
)  # fmt: skip
MILD = 0.7  # powers of ten that a healthy run may be from usual
RATES = (2e-3, 1e-2, 5e-4)


def again(deviation: Deviation, recipe: Recipe, facts: Facts) -> Deviation | None:
    """Return the same component's view of another recipe."""
    found = (component(recipe, facts) for component in COMPONENTS)
    return next((one for one in found if one is not None and one.change.what == deviation.change.what), None)


def healthy(recipe: Recipe, facts: Facts) -> list[Recipe]:
    """Return the same network as a careful person would train it, at a few learning rates of Adam, and with its own."""
    cured = recipe
    for component in COMPONENTS:
        if component in (balance, schedule, clipping, constants, learning_rate):
            continue
        deviation = component(cured, facts)
        mild = component in (inputs, hidden_activations) and deviation is not None and deviation.strength < MILD
        mild |= component is inputs and recipe.start.freezes("dense", 0)  # which knows its inputs as they are
        if deviation is not None and not mild:
            cured = deviation.cures[-1]
    setters = rate_setters(recipe)
    cured = cured.change(callbacks=tuple(one for one in recipe.callbacks if one not in setters))
    adams = [optimizers.get({"name": "adam", "learning_rate": rate}) for rate in RATES]
    return [cured.change(optimizer=optimizer) for optimizer in (*adams, recipe.optimizer)]
