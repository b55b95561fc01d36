"""One training step, for loops that are written by hand."""

from __future__ import annotations

from ..diagnosis.rules import observed
from ..errors import NumericalError
from ..network.passes import Part
from ..report.context import Context
from ..report.events import findings as findings_of
from ..report.history import StepResult
from ..report.warn import warn
from .batches import one_step
from .learner import Learner


def step(learner: Learner, part: Part) -> StepResult:
    """One step on checked arrays; a refused one is a result, with a warning."""
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
