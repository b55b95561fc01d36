"""Explain why a step failed: the fault, and its likely causes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations, arrays, losses
from ..errors import NumericalError
from ..report.data_faults import bad_cells
from ..report.finding import Finding, Report
from ..report.wording import BEFORE, OF_THE_DATA, STEADY, operation, told
from .rules import observed
from .suspects import causes
from .trials import batch, takes_steps

if TYPE_CHECKING:
    from ..model import Sequential


def explain(
    error: NumericalError, model: Sequential, data: dict[str, Any], order: Any, first: int, count: int, rows: Any = None
) -> NumericalError:
    """The error of a step that was refused, with what a replay of it shows in `report`.

    The step was on rows order[first : first+count] of `data`; `rows` are their numbers in the caller's data, when
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
    ended = re.search(r"; (after \d+ rollbacks|\d+ batches in a row)", str(error))
    where = f"{fault.where}: " if fault.where else ""
    error.args = (f"{where}{fault.message}{ended[0] if ended else ''}. {fault.remedy}",)
    error.layer, error.row = fault.layer, fault.rows[0] if fault.rows else None
    own = blame is not None and blame["operation"] in BEFORE
    at_hand = batch((data["X"], data["y"], data["sample_weight"]), order, first, count, rows)
    died = observed(model) if blame is None else []
    error.report = Report([fault] if own else [fault, *causes(model, at_hand, fault.rows), *died])
    return error


def _blamed(model: Sequential, blame: dict[str, Any], rows: Any) -> Finding:
    spoken = operation(blame["operation"])
    evidence = {name: value for name, value in blame.items() if name not in ("layer", "rows", "columns")}
    rateless = not takes_steps(model)
    message, own = told(blame, model.dtype.name), _own_function(model, blame)
    if own and blame["operation"] == "loss":
        message = message.replace("the loss is", "the loss, or its gradient, is", 1)
    return Finding(
        spoken.code,
        "fault",
        message,
        own or (STEADY if rateless and "learning rate" in spoken.remedy else spoken.remedy),
        layer=blame["layer"],
        step=model.trainer(1).steps,
        rows=sorted(int(row if rows is None else rows[row]) for row in blame["rows"]),
        columns=blame["columns"],
        evidence=evidence | ({} if rateless else {"learning_rate": model.learning_rate}),
    )


def _own_function(model: Sequential, blame: dict[str, Any]) -> str | None:
    """What to do when a function of the caller's gave what is not finite."""
    if blame["operation"] == "loss":
        function: Any = model.loss
    elif blame["operation"] in ("activation", "forward", "dactivation", "dX") and blame["layer"] is not None:
        function = getattr(model.layers[blame["layer"]].spec, "activation", None)
    else:
        return None
    if not isinstance(function, (losses.Custom, activations.Custom)):
        return None
    part = "derivative" if blame["operation"] in ("dactivation", "dX") else "function"
    part = "function, or the gradient that it returns," if function.kind == "loss" else part
    return f"See what the {part} of your {function.kind} {function.name!r} makes of that row's numbers."


def _diverged(model: Sequential, error: NumericalError) -> Finding:
    spoken, losses = operation("none"), model.trainer(1).losses()
    value = float(error.value if error.value is not None else np.nan)
    known = f"it was {losses['first']:.3g} in the first step and would be {losses['nothing']:.3g} with all outputs 0"
    usual = max(losses["first"], losses["nothing"])
    if value > 10 * usual or value > max(usual, losses["worst"] / 2):
        message = f"{spoken.message.format(value=f'{value:.3g}')}: {known}"
    else:
        message = f"the loss went up to {losses['worst']:.3g} and came to rest at {value:.3g}: {known}"
    message += ". Every number is still finite, but this does not mend itself"
    remedy = f"{spoken.remedy} Start anew, with model.build(inputs): these weights are lost."
    evidence = losses | {"value": value, "operation": "none", "learning_rate": model.learning_rate}
    return Finding(spoken.code, "fault", message, remedy, step=model.trainer(1).steps, evidence=evidence)
