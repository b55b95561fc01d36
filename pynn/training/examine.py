"""Examine a run: train it, and what it could be, within a budget, and report what makes the difference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import checks
from ..diagnosis.components import COMPONENTS, Facts
from ..diagnosis.recipe import Recipe
from ..diagnosis.search import Budget, Search
from ..errors import LabelError, NotReadyError, NumericalError
from ..report import Finding, Report
from .label_errors import FEWEST, LabelErrors
from .learner import Learner
from .recorded import of_search
from .trials import Kind, Trainer, build, fit, materialized, recipe_of, task_of

NOMINAL = 2e10  # operations that stand for a second of budget
LEAST, TIMES = 10.0, 3.0  # seconds, and times the training it is asked about
OVERRUN = 5.0  # times the seconds of a budget, after which trials are cut off
LOOKED_AT = 2000  # rows, without training
TRIALS = 14  # that a budget should be enough for
CERTAIN = 2.0  # powers of ten: a deviation that preflight warns of without a trial
AT_ONCE = ("nonfinite_input", "nonfinite_target", "label_out_of_range")


def examine(
    kind: Kind, learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any], budget: float | None,
    recipe: Recipe | None = None,
) -> tuple[Search | None, Report]:  # fmt: skip
    """Return the search and its report; no search where the data themselves end the run.

    `recipe` describes the run where the learner has left its start.
    """
    if budget is not None:
        budget = checks.number("budget", budget, 0.0, 1e6)
    recipe, X, y, weights = _given(learner, X, y, arguments, recipe)
    if refused := _refused(kind, recipe, X, y, weights):
        return None, Report(refused)
    whole = recipe.cost(len(X), X.shape[1])
    operations = max(TIMES * whole, LEAST * NOMINAL) if budget is None else budget * NOMINAL
    share = min(1.0, operations / max(TRIALS * whole, 1.0))
    task = task_of(recipe, X, y, weights, arguments.get("validation_data"), max(200, int(share * len(X))))
    seconds = max(LEAST, OVERRUN * operations / NOMINAL)
    allowed = Budget(operations, sum(len(fold.train) for fold in task.folds), X.shape[1], seconds)
    train = Trainer(kind, task)
    allowed.left -= allowed.cost(recipe)  # the run itself
    user = train(recipe)
    search = Search(train, Facts.of(task, user.rate_left), user, allowed, Trainer(kind, task, permuted=True))
    search.run()
    report = Report(search.findings() + _seen(search))
    if task.kind in ("classes", "yes_no") and len(X) >= FEWEST:
        report.suspect_labels = LabelErrors(kind, search.best.recipe, X, y)
        report.findings = [_with_rows(finding, report, search, len(X)) for finding in report.findings]
    report.incomplete = allowed.ended_by
    report.record = of_search(search, report, X)
    return search, report


def _with_rows(finding: Finding, report: Report, search: Search, rows: int) -> Finding:
    """Return a finding of noisy labels with the rows that all others contradict, where the budget is enough."""
    allowed = search.budget
    if finding.code != "label_noise" or not allowed.take(LabelErrors.cost(search.best.recipe, rows, allowed.inputs)):
        return finding
    found = report.label_errors()
    search.suspicions = found
    named = {"n_rows": len(found)} if found else {}
    return replace(finding, rows=[one.row for one in found[:20]] or finding.rows, evidence=finding.evidence | named)


def _given(
    learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any], recipe: Recipe | None = None
) -> tuple[Recipe, Any, Any, Any]:
    if learner.loss is None:
        raise NotReadyError("expected a compiled model; call compile(loss=..., optimizer=...) first")
    recipe = recipe or recipe_of(learner, arguments, X)
    X, y, weights = materialized(X, y, arguments.get("target"), arguments.get("sample_weight"), arguments)
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


def _is_refused_perhaps(recipe: Recipe, X: np.ndarray, y: np.ndarray) -> bool:
    """Whether cells are not finite, or labels no classes of the last layer."""
    if not (np.isfinite(X).all() and (y.dtype.kind not in "fc" or np.isfinite(y).all())):
        return True
    labels = recipe.loss.row["link"] == "softmax" and y.dtype.kind in "iu" and y.size == len(y)
    return bool(labels and (y.min() < 0 or y.max() >= recipe.output.units))


def look(kind: Kind, learner: Learner, X: Any, y: Any, arguments: Mapping[str, Any]) -> Report:
    """Return what is not as usual, without training: a warning where it is far off."""
    recipe, X, y, weights = _given(learner, X, y, arguments)
    if _is_refused_perhaps(recipe, X, y) and (refused := _refused(kind, recipe, X, y, weights)):
        return Report(refused)
    task = task_of(recipe, X, y, weights, None, LOOKED_AT)
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
