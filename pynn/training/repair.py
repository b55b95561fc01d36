"""Repair a run: choose the fewest changes that are as good as the best, and train with them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..diagnosis.components import Change, again
from ..diagnosis.recipe import Recipe
from ..diagnosis.search import Outcome, Search
from ..errors import ArgumentValueError, NonfiniteDataError, NumericalError, UnsupportedError
from ..layers.written import written
from ..names import public
from ..report import History, Report
from ..report.record import Record
from ..report.warn import warn
from .checkpoint import Checkpoint, checkpoint
from .examine import examine
from .inputs import brings_its_own
from .learner import Learner
from .prepare import Arguments, prepare
from .trials import Kind, build, copied, fit, materialized, recipe_of

AS_GIVEN = ("target", "categories", "exclude", "validation_split", "steps_per_epoch", "checkpoint", "resume")
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
        layers = "".join(f"    {written(layer)},\n" for layer in recipe.layers)
        dtype = f', dtype="{recipe.dtype}"' if recipe.dtype != "float32" else ""
        return "\n".join([
            f"model = pynn.Sequential([\n{layers}], seed={recipe.seed}{dtype})",
            f"model.compile({written(recipe.loss)}, {written(recipe.optimizer)}{scaling})",
            f"model.fit(X, y, epochs={recipe.epochs}, batch_size={recipe.batch_size}{weight})",
        ])  # fmt: skip

    def __str__(self) -> str:
        lines = [str(change) for change in self.changes] or ["nothing was changed"]
        return "\n".join(lines)


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
    kind: Kind, learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any], budget: float | None = None,
    recipe: Recipe | None = None,
) -> Repair:  # fmt: skip
    """Examine a run, and train it with the changes that its trials have proved.

    `recipe` describes the run where the learner has left its start.
    """
    given = recipe or recipe_of(learner, arguments, X)
    search, report = examine(kind, learner, X, y, arguments, budget, given)
    chosen, changes = (given, list[RepairChange]()) if search is None else choose(search)
    network = learner.network
    inputs = search.facts.inputs if search is not None else network.inputs if network.built else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(kind, chosen, inputs, learner.metrics)
        history = _train(model, chosen, given, X, y, arguments)
    made = Repair(model, changes, report, history, chosen)
    report.record = _of_repair(made)
    return made


def _of_repair(made: Repair) -> Record:
    """Return the record of a repair: what was tried and changed, and the run that was made of it."""
    before, run = made.report.record or Record(), made.history.report.record or Record()
    return replace(
        run, kind="repair", trials=before.trials, suspicions=before.suspicions, examples=before.examples,
        changes=[str(change) for change in made.changes], code=made.code(),
    )  # fmt: skip


def code_of(search: Search) -> str:
    """Return the lines that a script needs to train with the changes that trials have proved; empty without any."""
    recipe, changes = choose(search)
    return Repair(None, changes, Report(), History(), recipe).code() if changes else ""


def _train(model: Any, recipe: Recipe, given: Recipe, X: Any, y: Any, arguments: Mapping[str, Any]) -> History:
    """Train on all rows; data that bring their own batches are held as arrays where batches are to be others."""
    more = {name: arguments[name] for name in AS_GIVEN if arguments.get(name)}
    if arguments.get("validation_data") is not None:
        more["validation_data"] = arguments["validation_data"]
    if arguments.get("target") is not None or not brings_its_own(X, y):
        return fit(recipe, model, X, y, arguments.get("sample_weight"), **more)
    if all(getattr(recipe, name) == getattr(given, name) for name in ("batch_size", "shuffle", "class_weight")):
        history: History = model.fit(
            X, epochs=recipe.epochs, callbacks=copied(recipe.callbacks), mixup=recipe.mixup, **({"verbose": 0} | more)
        )
        return history
    X, y, weights = materialized(X, y)
    return fit(recipe.change(weighted=weights is not None), model, X, y, weights, **more)


def run_or_repair(kind: Kind, learner: Learner, arguments: Arguments) -> tuple[History, Repair | None]:
    """Run as the arguments say; repair a run that ends in a fault, with a warning.

    A checkpoint of the repaired run lies beside that of the run, under its name and ``.repaired``. A run that is
    resumed ends in the same fault, is examined alike, and continues the repaired run.
    """
    _require_rows(arguments)
    given = {field.name: getattr(arguments, field.name) for field in fields(arguments)}
    recipe = recipe_of(learner, given, arguments.x)  # before the run leaves where it starts
    run = prepare(learner, arguments)
    recipe = recipe.change(callbacks=tuple(copied(recipe.callbacks)))
    if arguments.checkpoint is not None:
        given["checkpoint"] = beside = _beside(arguments.checkpoint)
        if not arguments.resume and os.path.exists(beside.path):
            os.replace(beside.path, f"{beside.path}.1")
    try:
        return run.run(), None
    except NumericalError as error:
        if isinstance(error, NonfiniteDataError):
            raise
        result = repaired(kind, learner, arguments.x, arguments.y, given, recipe=recipe)
        if not result.changes:
            raise
    result.history.changes = [str(change) for change in result.changes]
    listed = "; ".join(result.history.changes)
    warn(f"the run ended in a fault and was repaired: {listed}. Write: {result.code()}")
    return result.history, result


def _require_rows(arguments: Arguments) -> None:
    """Refuse, before anything is trained, what cannot be trained again on a part of the rows."""
    if np.ndim(arguments.x) == 3:
        raise UnsupportedError("expected X of shape (rows, columns) with guard='repair'; received sequences")
    weights = arguments.sample_weight
    if np.ndim(weights) == 2 and np.shape(weights)[1] > 1:
        raise ArgumentValueError(
            "expected sample_weight with one weight for each row with guard='repair', which trains again on parts of "
            f"the rows; received shape {np.shape(weights)}"
        )


def _beside(where: Any) -> Checkpoint:
    """Return where the repaired run is kept."""
    settings = checkpoint(where)
    return replace(settings, path=f"{os.fsdecode(settings.path)}.repaired")
