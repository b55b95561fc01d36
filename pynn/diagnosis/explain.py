"""Explain why a step failed: the fault, and its likely causes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activations, arrays, losses
from ..errors import NumericalError
from ..network.passes import Part
from ..report.advice import RATELESS, Advice
from ..report.data_faults import bad_cells
from ..report.finding import Finding, Report
from ..report.wording import BEFORE, OF_THE_DATA, operation
from ..training.learner import Learner
from .rules import observed
from .suspects import causes
from .trials import batch, takes_steps


def explain(error: NumericalError, learner: Learner, part: Part, order: Any, first: int, count: int) -> NumericalError:
    """Return the error of a step that was refused, with what a replay of it shows in `report`.

    The step was on rows order[first : first+count] of `part`.
    """
    data, rows = dict(zip(("X", "y", "sample_weight"), part[:3], strict=True)), part.rows
    blame = learner.trainer.blame(*part[:3], order, first, count)
    name = OF_THE_DATA.get(blame["operation"] if blame else "")
    if name:
        cells = learner.network.bad_cells(name, data[name])
        if not len(cells):
            cells = arrays.find_nonfinite(data[name], float(np.finfo(learner.network.dtype).max))
        if len(cells):
            return bad_cells(name, data[name], cells, rows)
    fault = _diverged(learner, error) if blame is None else _blamed(learner, blame, rows)
    guard = learner.guard
    if blame is not None and guard.policy == "skip" and error.progress is not None:
        fault = fault.with_evidence(batches_in_a_row=guard.streak)
    error.layer, error.row = fault.layer, fault.rows[0] if fault.rows else None
    own = blame is not None and blame["operation"] in BEFORE
    sample = batch(part, order, first, count)
    died = observed(learner) if blame is None else []
    error.report = Report([fault] if own else [fault, *causes(learner, sample, fault.rows), *died])
    return error


def _blamed(learner: Learner, blame: dict[str, Any], rows: Any) -> Finding:
    spoken, function = operation(blame["operation"]), _own_function(learner, blame)
    rateless = not takes_steps(learner)
    evidence = {name: value for name, value in blame.items() if name not in ("layer", "rows", "columns")}
    evidence |= {"dtype": learner.network.dtype.name} | ({} if rateless else {"learning_rate": learner.learning_rate})
    advice = RATELESS.get(spoken.advice, spoken.advice) if rateless else spoken.advice
    return Finding(
        spoken.code,
        "fault",
        layer=blame["layer"],
        step=learner.trainer.steps,
        rows=sorted(int(row if rows is None else rows[row]) for row in blame["rows"]),
        columns=blame["columns"],
        evidence=evidence | function,
        advice=(Advice.CHECK_FUNCTION if function else advice,),
        text="operation",
    )


def _own_function(learner: Learner, blame: dict[str, Any]) -> dict[str, str]:
    """Return which function of the user's gave a value that is not finite; nothing for pynn's own."""
    if blame["operation"] == "loss":
        function: Any = learner.loss
    elif blame["operation"] in ("activation", "forward", "dactivation", "dX") and blame["layer"] is not None:
        function = getattr(learner.network.specs[blame["layer"]], "activation", None)
    else:
        return {}
    if not isinstance(function, (losses.Custom, activations.Custom)):
        return {}
    part = "derivative" if blame["operation"] in ("dactivation", "dX") else "function"
    part = "function, or the gradient that it returns," if function.kind == "loss" else part
    return {"part": part, "function_kind": function.kind, "function": function.name}


def _diverged(learner: Learner, error: NumericalError) -> Finding:
    spoken, losses = operation("none"), learner.trainer.losses()
    value = float(error.value if error.value is not None else np.nan)
    evidence = losses | {"value": value, "operation": "none", "learning_rate": learner.learning_rate}
    return Finding(spoken.code, "fault", step=learner.trainer.steps, evidence=evidence,
                   advice=(spoken.advice, Advice.BUILD_AGAIN), text="diverged")  # fmt: skip
