"""Explain why a step failed: the fault, and its likely causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations, arrays, losses
from ..errors import NumericalError
from ..report.advice import RATELESS, Advice
from ..report.data_faults import bad_cells
from ..report.finding import Finding, Report
from ..report.wording import BEFORE, OF_THE_DATA, operation
from .rules import observed
from .suspects import causes
from .trials import batch, takes_steps

if TYPE_CHECKING:
    from ..model import Sequential


def explain(
    error: NumericalError, model: Sequential, data: dict[str, Any], order: Any, first: int, count: int, rows: Any = None
) -> NumericalError:
    """Return the error of a step that was refused, with what a replay of it shows in `report`.

    The step was on rows order[first : first+count] of `data`; `rows` are their numbers in the user's data, where
    `data` is a batch.
    """
    trainer = model.trainer(1)
    blame = trainer.blame(data["X"], data["y"], data["sample_weight"], order, first, count)
    name = OF_THE_DATA.get(blame["operation"] if blame else "")
    if name:
        cells = model.refused(name, data[name])
        if not len(cells):
            cells = arrays.find_nonfinite(data[name], float(np.finfo(model.dtype).max))
        if len(cells):
            return bad_cells(name, data[name], cells, rows)
    fault = _diverged(model, error) if blame is None else _blamed(model, blame, rows)
    guard = model._guard
    if blame is not None and guard.policy == "skip" and error.progress is not None:
        fault = fault.with_evidence(batches_in_a_row=guard.streak)
    error.layer, error.row = fault.layer, fault.rows[0] if fault.rows else None
    own = blame is not None and blame["operation"] in BEFORE
    sample = batch((data["X"], data["y"], data["sample_weight"]), order, first, count, rows)
    died = observed(model) if blame is None else []
    error.report = Report([fault] if own else [fault, *causes(model, sample, fault.rows), *died])
    return error


def _blamed(model: Sequential, blame: dict[str, Any], rows: Any) -> Finding:
    spoken, function = operation(blame["operation"]), _own_function(model, blame)
    rateless = not takes_steps(model)
    evidence = {name: value for name, value in blame.items() if name not in ("layer", "rows", "columns")}
    evidence |= {"dtype": model.dtype.name} | ({} if rateless else {"learning_rate": model.learning_rate})
    advice = RATELESS.get(spoken.advice, spoken.advice) if rateless else spoken.advice
    return Finding(
        spoken.code,
        "fault",
        layer=blame["layer"],
        step=model.trainer(1).steps,
        rows=sorted(int(row if rows is None else rows[row]) for row in blame["rows"]),
        columns=blame["columns"],
        evidence=evidence | function,
        advice=(Advice.CHECK_FUNCTION if function else advice,),
        text="operation",
    )


def _own_function(model: Sequential, blame: dict[str, Any]) -> dict[str, str]:
    """Return which function of the user's gave a value that is not finite; nothing for pynn's own."""
    if blame["operation"] == "loss":
        function: Any = model.loss
    elif blame["operation"] in ("activation", "forward", "dactivation", "dX") and blame["layer"] is not None:
        function = getattr(model.layers[blame["layer"]].spec, "activation", None)
    else:
        return {}
    if not isinstance(function, (losses.Custom, activations.Custom)):
        return {}
    part = "derivative" if blame["operation"] in ("dactivation", "dX") else "function"
    part = "function, or the gradient that it returns," if function.kind == "loss" else part
    return {"part": part, "function_kind": function.kind, "function": function.name}


def _diverged(model: Sequential, error: NumericalError) -> Finding:
    spoken, losses = operation("none"), model.trainer(1).losses()
    value = float(error.value if error.value is not None else np.nan)
    evidence = losses | {"value": value, "operation": "none", "learning_rate": model.learning_rate}
    return Finding(spoken.code, "fault", step=model.trainer(1).steps, evidence=evidence,
                   advice=(spoken.advice, Advice.BUILD_AGAIN), text="diverged")  # fmt: skip
