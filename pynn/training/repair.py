"""Repair a run: choose the fewest changes that are as good as the best, and train with them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..diagnosis.components import Change, again
from ..diagnosis.recipe import Recipe
from ..diagnosis.search import Outcome, Search
from ..errors import ArgumentValueError, NonfiniteDataError, NumericalError
from ..names import public
from ..report import History, Report
from ..report.warn import warn
from .examine import examine
from .learner import Learner
from .prepare import Arguments, prepare
from .trials import Kind, build, fit, recipe_of

LEVEL = 0.02  # share of what could be known, within which two runs are as good


@public
@dataclass(frozen=True)
class RepairChange:
    """A change that was made.

    Attributes
    ----------
    what, before, after : str
    why : str
        Code of the finding that it cures.
    closed : float
        Share of the gap to a healthy run that the trial closed, up to this change.
    """

    what: str
    before: str
    after: str
    why: str
    closed: float

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after} ({self.why}; closes {self.closed:.0%} of the gap)"


@public
@dataclass
class Repair:
    """What `repair` returns.

    Attributes
    ----------
    model : Sequential
        Trained; takes the same X and returns the same units as the one given.
    changes : list of RepairChange
        Empty where nothing helped, or nothing was wrong.
    report : Report
        What `diagnose` found.
    history : History
        Of the training of `model`.
    """

    model: Any
    changes: list[RepairChange]
    report: Report
    history: History
    recipe: Recipe = field(repr=False)

    def code(self) -> str:
        """Return the lines that a script needs to train like this."""
        recipe = self.recipe
        scaling = f", target_scaling={recipe.target_scaling!r}" if recipe.target_scaling else ""
        weight = f", class_weight={recipe.class_weight!r}" if recipe.class_weight is not None else ""
        return "\n".join([
            f"model = pynn.Sequential({_shown(recipe.layers)}, seed={recipe.seed})",
            f"model.compile({recipe.loss.name!r}, pynn.{recipe.optimizer!r}{scaling})",
            f"model.fit(X, y, epochs={recipe.epochs}, batch_size={recipe.batch_size}{weight})",
        ])  # fmt: skip

    def __str__(self) -> str:
        lines = [str(change) for change in self.changes] or ["nothing was changed"]
        return "\n".join(lines)


def _shown(layers: Any) -> str:
    return "[" + ", ".join(f"pynn.{layer!r}" for layer in layers) + "]"


def choose(search: Search) -> tuple[Recipe, list[RepairChange]]:
    """Return the recipe with the fewest changes that is as good as the best, and these changes."""
    user = search.user
    runs: list[tuple[int, Outcome, list[RepairChange]]] = [(0, user, [])]
    runs += [(1, trial.outcome, [_change(trial.deviation.change, trial.deviation.code, trial.closed)])
             for trial in search.trials]  # fmt: skip
    chain: list[RepairChange] = []
    for trial in sorted(search.together, key=lambda trial: trial.closed):
        chain = [*chain, _change(trial.deviation.change, trial.deviation.code, trial.closed)]
        runs.append((len(chain), trial.outcome, chain))
    runs.append((99, search.best, _all_changes(search)))
    best = min((outcome for _, outcome, _ in runs), key=lambda outcome: float(outcome.errors.mean()))
    good = [run for run in runs if search.gap(run[1], best) <= LEVEL]
    if not search.at_fault and (0, user, []) in runs[:1]:
        return user.recipe, []
    _, outcome, changes = min(good, key=lambda run: run[0])
    return outcome.recipe, changes


def _change(change: Change, code: str, closed: float) -> RepairChange:
    return RepairChange(change.what, str(change.before), str(change.after), code, min(max(closed, 0.0), 1.0))


def _all_changes(search: Search) -> list[RepairChange]:
    """Return how the healthy recipe differs from the user's."""
    before, after, found = search.user.recipe, search.best.recipe, []
    for deviation in search.deviations():
        left = again(deviation, after, search.facts)
        if left is None or left.change.before != deviation.change.before:
            now = deviation.change.after if left is None else left.change.before
            found.append(_change(Change(deviation.change.what, deviation.change.before, now), deviation.code, 1.0))
    if before.optimizer != after.optimizer and not any(change.what == "learning_rate" for change in found):
        found.append(_change(Change("optimizer", repr(before.optimizer), repr(after.optimizer)), "optimizer", 1.0))
    return found


def repaired(
    kind: Kind, learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any], budget: float | None = None
) -> Repair:
    """Examine a run, and train it with the changes that its trials have proved."""
    search, report = examine(kind, learner, X, y, arguments, budget)
    recipe, changes = recipe_of(learner, arguments), list[RepairChange]()
    if search is not None:
        recipe, changes = choose(search)
    network = learner.network
    more = {name: arguments[name] for name in ("validation_data", "target") if arguments.get(name) is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(kind, recipe, network.inputs if network.built else 0, learner.metrics)
        history = fit(recipe, model, X, y, arguments.get("sample_weight"), **more)
    return Repair(model, changes, report, history, recipe)


def run_or_repair(kind: Kind, learner: Learner, arguments: Arguments) -> tuple[History, Repair | None]:
    """Run as the arguments say; repair a run that ends in a fault, with a warning."""
    if arguments.checkpoint is not None:
        raise ArgumentValueError(
            "expected guard='repair' without checkpoint; received both: repair first, then keep the run"
        )
    if learner.network.frozen:
        raise ArgumentValueError(
            f"expected guard='repair' with layers that are all trained; received trainable=False for layers "
            f"{sorted(learner.network.frozen)}: use another guard, such as 'rollback'"
        )
    try:
        return prepare(learner, arguments).run(), None
    except NumericalError as error:
        if isinstance(error, NonfiniteDataError):
            raise
        given = {field.name: getattr(arguments, field.name) for field in fields(arguments)}
        result = repaired(kind, learner, arguments.x, arguments.y, given)
        if not result.changes:
            raise
    result.history.changes = [str(change) for change in result.changes]
    listed = "; ".join(result.history.changes)
    warn(f"the run ended in a fault and was repaired: {listed}. Write: {result.code()}")
    return result.history, result
