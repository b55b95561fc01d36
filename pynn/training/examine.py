"""Examine a run: train it, and what it could be, within a budget, and report what makes the difference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import checks
from ..diagnosis.components import COMPONENTS, Facts
from ..diagnosis.recipe import Recipe
from ..diagnosis.search import Budget, Search
from ..errors import LabelError, NotReadyError, NumericalError
from ..report import Finding, Report
from .learner import Learner
from .trials import Kind, Trainer, build, fit, materialized, recipe_of, task_of

NOMINAL = 2e10  # operations that stand for a second of budget
LEAST, TIMES = 10.0, 3.0  # seconds, and times the training it is asked about
TRIALS = 14  # that a budget should be enough for
CERTAIN = 2.0  # powers of ten: a deviation that preflight warns of without a trial
AT_ONCE = ("nonfinite_input", "nonfinite_target", "label_out_of_range")


def examine(
    kind: Kind, learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any], budget: float | None
) -> tuple[Search | None, Report]:
    """Return the search and its report; no search where the data themselves end the run."""
    if budget is not None:
        budget = checks.number("budget", budget, 0.0, 1e6)
    recipe, X, y, weights = _given(learner, X, y, arguments)
    if refused := _refused(kind, recipe, X, y, weights):
        return None, Report(refused)
    whole = recipe.cost(len(X), X.shape[1])
    operations = max(TIMES * whole, LEAST * NOMINAL) if budget is None else budget * NOMINAL
    share = min(1.0, operations / max(TRIALS * whole, 1.0))
    task = task_of(recipe, X, y, weights, arguments.get("validation_data"), max(200, int(share * len(X))))
    train = Trainer(kind, task)
    user = train(recipe)
    rows = sum(len(fold.train) for fold in task.folds)
    search = Search(train, Facts.of(task, user.rate_left), user, Budget(operations, rows, X.shape[1]))
    search.run()
    return search, Report(search.findings() + _seen(search), complete=search.complete)


def _given(learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any]) -> tuple[Recipe, Any, Any, Any]:
    if learner.loss is None:
        raise NotReadyError("expected a compiled model; call compile(loss=..., optimizer=...) first")
    recipe = recipe_of(learner, arguments)
    X, y, weights = materialized(X, y, arguments.get("target"), arguments.get("sample_weight"))
    return recipe, X, y, weights


def _refused(kind: Kind, recipe: Recipe, X: Any, y: Any, weights: Any) -> list[Finding]:
    """Return what `fit` finds in the data before any training."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = recipe.change(epochs=1, callbacks=())
            fit(first, build(kind, first, X.shape[1]), X, y, weights, steps_per_epoch=1)
    except (NumericalError, LabelError) as error:
        findings = error.report.findings if error.report else []
        return list(findings) if any(finding.code in AT_ONCE for finding in findings) else []
    return []


def _seen(search: Search) -> list[Finding]:
    """Return what the run itself reported: a warning where something is at fault, else for information."""
    known = {finding.code for finding in search.findings()}
    found = [finding for finding in search.user.findings if finding.code not in known]
    if search.at_fault or search.user.stopped:
        return found
    return [replace(finding, severity="info") if finding.severity == "warning" else finding for finding in found]


def look(learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any]) -> Report:
    """Return what is not as usual, without training: a warning where it is far off."""
    recipe, X, y, weights = _given(learner, X, y, arguments)
    task = task_of(recipe, X, y, weights, None, 4000)
    facts = Facts.of(task)
    found = [one for component in COMPONENTS if (one := component(recipe, facts)) is not None and one.strength > 0.5]
    found.sort(key=lambda one: (not one.certain, -one.strength, one.rank))
    return Report([
        Finding(
            one.code, "warning" if one.certain or one.strength >= CERTAIN else "info",
            rows=one.evidence.get("far", []), columns=[one.evidence["column"]] if "column" in one.evidence else [],
            evidence={k: v for k, v in one.evidence.items() if k not in ("far", "column")} | {"cure": str(one.change)},
            text=one.text,
        )
        for one in found
    ])  # fmt: skip
