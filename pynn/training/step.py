"""One training step, for loops that are written by hand."""

from __future__ import annotations

from typing import Any

from ..data import known
from ..diagnosis.rules import observed
from ..errors import ArgumentValueError, NumericalError
from ..network.passes import Part, rows_of
from ..report.context import Context
from ..report.events import findings as findings_of
from ..report.guard import as_guard
from ..report.history import StepResult
from ..report.warn import warn
from .batches import one_step
from .learner import Learner


def step(learner: Learner, x: Any, y: Any, sample_weight: Any, guard: Any) -> StepResult:
    """Check the arguments of `Sequential.train_step` and take the step."""
    learner.require_compiled()
    if not learner.optimizer.takes_steps:
        raise ArgumentValueError("expected an optimizer that takes steps for train_step; received LBFGS: use fit")
    guard = as_guard(guard)
    if guard != learner.guard:
        learner.use_guard(guard)
    rows = rows_of(x)
    x, y = known.inputs(x, learner.known), known.encode(y, learner.known)
    return _step(learner, learner.check_batch(x, y, sample_weight, rows))


def _step(learner: Learner, part: Part) -> StepResult:
    """Take a step on checked arrays; a refused one is a result, with a warning."""
    trainer, rows, call = learner.trainer_for(part.x.shape[0]), part.rows, Context(on_bad_rows=False)
    try:
        with call:
            applied, _, loss, norm, _, _ = one_step(learner, part)
    except NumericalError as error:
        findings = error.report.findings if error.report else []
        warn(f"a step was refused and changed nothing: {error}")
        return StepResult(float("nan"), float("nan"), False, findings)
    finally:
        events = trainer.events()[0]
    learner.keep_learning_rate()
    for event in events:
        if rows is not None and event["row"] is not None:
            event["row"] = int(rows[event["row"]])
    found = [call.completed(finding) for finding in findings_of(events)]
    if not applied:
        warn(f"a step was refused: {found[0].told(placed=True)}")
        return StepResult(float("nan"), float("nan"), False, found)
    if trainer.statistics(0)["step"] == trainer.steps:
        found += observed(learner)
    return StepResult(loss, norm, True, found)
