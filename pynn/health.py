"""What guards a run and what is said when something went wrong: `Guard`, `Finding`, `Report`, causes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from .errors import (
    ArgumentTypeError,
    ArgumentValueError,
    LabelError,
    NonfiniteDataError,
    NumericalError,
    PynnError,
    UnknownNameError,
)
from .specs import list_arguments_of

__all__ = ["Finding", "Guard", "Report"]

POLICIES = ("raise", "skip", "rollback", "off")


@dataclass(frozen=True)
class Guard:
    """What `fit` does about a step that must not be taken: one that is not finite, or that follows a divergence.

    Such a step never changes the model, its optimizer or their counters. What was done instead is in
    ``history.ledger``, in the progress output and in ``history.report``.

    Parameters
    ----------
    policy : "raise", "skip", "rollback" or "off"
        ``"raise"`` a `NumericalError`; ``"skip"`` the batch, unless that happens `streak` times in a row;
        ``"rollback"``: restore a good state, lower the learning rate and go on (batches whose own numbers are not
        finite are skipped);
        ``"off"``: look at nothing.
    check_every : int >= 0
        Steps from one that takes statistics of the layers to the next; 0: none.
    streak : int >= 1
        Skipped batches in a row that end the run.
    max_rollbacks : int >= 0
        The next fault after so many raises.
    backoff : float in (0, 1)
        Factor of the learning rate at a rollback; the n-th with no good state in between takes ``backoff**n``.
    snapshot_every : int >= 1
        Steps between two good states that are kept; the last two are, under ``"rollback"`` alone.
    divergence : float > 1, or 0
        The loss may stay so many times worse than at first, or than with all logits 0, for less than three windows.
        0: it may do anything.
    window : int in 8 ... 256
        Steps whose median loss is judged.
    clip_z : float >= 0
        Gradients whose norm is more than so many standard deviations above its running mean are clipped (ZClip);
        0: none.
    clip_alpha : float in (0, 1)
        How much of that running mean a step leaves.
    """

    policy: str = "raise"
    check_every: int = 200
    streak: int = 3
    max_rollbacks: int = 10
    backoff: float = 0.3
    snapshot_every: int = 100
    divergence: float = 10.0
    window: int = 50
    clip_z: float = 0.0
    clip_alpha: float = 0.97

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            listed = ", ".join(map(repr, POLICIES))
            raise UnknownNameError(f"expected policy as one of {listed}; received policy={self.policy!r}")
        rules = {
            "check_every": (int, "an integer >= 0", lambda v: v >= 0),
            "streak": (int, "an integer >= 1", lambda v: v >= 1),
            "max_rollbacks": (int, "an integer >= 0", lambda v: v >= 0),
            "backoff": (float, "a number in (0, 1)", lambda v: 0 < v < 1),
            "snapshot_every": (int, "an integer >= 1", lambda v: v >= 1),
            "divergence": (float, "a finite number > 1, or 0", lambda v: v == 0 or 1 < v < float("inf")),
            "window": (int, "an integer in 8 ... 256", lambda v: 8 <= v <= 256),
            "clip_z": (float, "a finite number >= 0", lambda v: 0 <= v < float("inf")),
            "clip_alpha": (float, "a number in (0, 1)", lambda v: 0 < v < 1),
        }
        for name, (kind, rule, holds) in rules.items():
            value = getattr(self, name)
            accepted = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, accepted):
                raise ArgumentTypeError(f"expected {name} as {rule}; received {name}={value!r}")
            if not holds(value) or (kind is int and value >= 2**62):
                raise ArgumentValueError(f"expected {name} as {rule}; received {name}={value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Guard(**values)`` makes it again."""
        return asdict(self)


list_arguments_of(Guard)


def guard(value: Any) -> Guard:
    """A Guard, or one of the given policy."""
    if isinstance(value, Guard):
        return value
    if isinstance(value, str):
        return Guard(policy=value)
    raise ArgumentTypeError(f"expected guard as a policy or a pynn.Guard; received guard={value!r}")


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with the numbers that prove it and what to do about it.

    Attributes
    ----------
    code : str
        What it is, for programs: ``"unscaled_input"``, ``"exploding_activation"``, ...
    severity : "fault", "warning" or "info"
    message, remedy : str
        What was seen, and the change that helps.
    layer, step : int or None
        Index of the layer; steps applied before it was seen.
    rows, columns : list of int
        Up to 20 rows of the data as they were given, and columns of X or y or, with a layer, units of the layer.
    evidence : dict
        Numbers, for programs; ``n_rows`` and ``n_columns`` count all of them.
    """

    code: str
    severity: str
    message: str
    remedy: str = ""
    layer: int | None = None
    step: int | None = None
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """``step 4, layer 0, row 77, units 1, 2``: what is known of the place."""
        column = "column" if self.layer is None else "unit"
        parts = [f"{name} {at}" for name, at in (("step", self.step), ("layer", self.layer)) if at is not None]
        parts += [listed("row", self.rows, self.evidence.get("n_rows", 0))] if self.rows else []
        parts += [listed(column, self.columns, self.evidence.get("n_columns", 0))] if self.columns else []
        return ", ".join(parts)

    def __str__(self) -> str:
        head = f"{self.severity}: {self.code}" + (f" ({self.where})" if self.where else "")
        remedy = f"What to do: {self.remedy}" if self.remedy else ""
        return "\n".join([head, *(_indented(text) for text in (self.message, remedy) if text)])


def listed(name: str, numbers: list[int], count: int = 0, most: int = 5) -> str:
    """``row 3``, or ``rows 3, 8, 9 and 17 more``; `count` of them in all."""
    more = max(count, len(numbers)) - len(numbers[:most])
    tail = f" and {more} more" if more > 0 else ""
    return f"{name}{'s' if len(numbers) > 1 or more > 0 else ''} {', '.join(map(str, numbers[:most]))}{tail}"


def _indented(text: str, width: int = 100) -> str:
    return textwrap.fill(text[:1].upper() + text[1:] + ("" if text.endswith((".", "!")) else "."), width,
                         initial_indent="  ", subsequent_indent="  ", break_long_words=False)  # fmt: skip


@dataclass
class Report:
    """Findings of a run: the fault, if there was one, then its likely causes or what else was seen, the most telling
    first. Prints as text: what, where, why, what to do."""

    findings: list[Finding] = field(default_factory=list)
    looked: bool = True  # False: the guard was off

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        nothing = "nothing found" if self.looked else "the guard was off: nothing was looked at"
        faults = [str(finding) for finding in self.findings if finding.severity == "fault"]
        others = [finding for finding in self.findings if finding.severity != "fault"]
        title = ["Likely causes, the most telling first:"] if faults and others else []
        return "\n".join(faults + title + list(map(str, others))) or nothing


# ---- what an operation that went wrong is called, and what to do about it

SCALE = "Scale X, lower the learning rate, or start from smaller weights."
STEADY = "Scale X and y, or start from smaller weights."
SLOWER = "Lower the learning rate, or set global_clipnorm in the optimizer."
FILL_IN = (
    "Leave these rows out, on_bad_rows='skip', or fill the cells in: on_bad_rows='impute', or "
    "pynn.Normalization(missing='mean') as the first layer."
)
INFINITE = "Leave these rows out, on_bad_rows='skip', or fill the cells in: on_bad_rows='impute'."
LEAVE_OUT = "Leave these rows out: on_bad_rows='skip'."
BEYOND = "Correct or scale these numbers, or compute with dtype='float64'."
NOT_FINITE = "Put finite numbers in, or build the model anew."

# operations whose fault is its own cause, and what the array is called
OF_THE_DATA = {"input": "X", "target": "y", "sample_weight": "sample_weight"}
BEFORE = ("parameter", "layer_state", "optimizer_state")  # of what was there before the step


@dataclass(frozen=True)
class Operation:
    """How a report speaks of an operation whose result is not finite."""

    code: str
    name: str  # of the result, short
    message: str  # of the result, with {layer} and {value}
    remedy: str
    factors: tuple[str, ...] = ()  # what went in, as far as its size is known


OPERATIONS = {
    "input": Operation("nonfinite_input", "a cell of X", "a cell of X is {value}", FILL_IN),
    "target": Operation("nonfinite_target", "a cell of y", "a cell of y is {value}", LEAVE_OUT),
    "sample_weight": Operation(
        "nonfinite_input", "a sample weight", "a sample weight is {value}", "Give every row a finite weight."
    ),
    "parameter": Operation("poor_init", "a weight", "a weight of layer {layer} is {value}", NOT_FINITE),
    "layer_state": Operation(
        "poor_init",
        "a moving mean or variance",
        "a moving mean or variance of layer {layer} is {value}",
        "Put finite numbers in, variances >= 0, or build the model anew.",
    ),
    "optimizer_state": Operation(
        "nonfinite_gradient",
        "the optimizer's state",
        "the optimizer's state for layer {layer} is {value}",
        "Compile the model anew: the optimizer then starts from zero.",
    ),
    "gemm": Operation(
        "exploding_activation",
        "X·W",
        "the product of layer {layer}'s input and its kernel, X·W, is {value}",
        SCALE,
        ("that input", "the kernel"),
    ),
    "bias": Operation(
        "exploding_activation",
        "X·W + b",
        "layer {layer}'s X·W + b is {value}",
        SCALE,
        ("X·W", "the bias"),
    ),
    "activation": Operation(
        "exploding_activation",
        "the activation",
        "the activation of layer {layer} is {value}",
        SCALE,
        ("its input X·W + b",),
    ),
    "forward": Operation(
        "exploding_activation", "a value", "what layer {layer} computes is {value}", SCALE, ("its input",)
    ),
    "gradient": Operation(
        "nonfinite_gradient",
        "a gradient",
        "a gradient of layer {layer}'s parameters is {value}",
        SLOWER,
        ("its input",),
    ),
    "loss": Operation(
        "diverging_loss",
        "the loss",
        "the loss is {value}",
        "Scale X and y, or lower the learning rate.",
        ("the output of the last layer", "y"),
    ),
    "dactivation": Operation(
        "nonfinite_gradient",
        "the gradient behind the activation",
        "the gradient behind layer {layer}'s activation is {value}",
        SLOWER,
        ("the activation's input X·W + b",),
    ),
    "dW": Operation(
        "nonfinite_gradient",
        "the gradient of the kernel",
        "the gradient of layer {layer}'s kernel is {value}",
        SLOWER,
        ("the layer's input", "the gradient behind its activation"),
    ),
    "db": Operation(
        "nonfinite_gradient",
        "the gradient of the bias",
        "the gradient of layer {layer}'s bias is {value}",
        SLOWER,
        ("the gradient behind its activation",),
    ),
    "dX": Operation(
        "nonfinite_gradient",
        "the gradient passed down",
        "the gradient that layer {layer} passes down is {value}",
        SLOWER,
        ("the gradient behind its activation", "the kernel"),
    ),
    "clip": Operation(
        "exploding_gradient",
        "the gradient's norm",
        "the norm of the whole gradient is {value}",
        SLOWER,
        ("the gradient",),
    ),
    "update": Operation(
        "learning_rate_too_high",
        "an updated weight",
        "the update would have made a weight of layer {layer} {value}",
        SLOWER,
        ("the gradient", "the largest weight"),
    ),
    "none": Operation("diverging_loss", "the loss", "the loss has diverged, to {value}", SLOWER),
}
UNKNOWN = Operation("nonfinite_gradient", "a number", "a number of layer {layer} is {value}", SLOWER)


def operation(name: str, value: float | None = None) -> Operation:
    """How a report speaks of it. In data, a `value` that is finite was at fault for being beyond the dtype."""
    spoken = OPERATIONS.get(name, UNKNOWN)
    if name in OF_THE_DATA and value is not None and np.isfinite(value):
        return replace(spoken, message=f"{spoken.message}, beyond float32, which ends at 3.4e38", remedy=BEYOND)
    return spoken


def told(blame: dict[str, Any], dtype: str) -> str:
    """What a replay found, in a sentence or two."""
    spoken = operation(blame["operation"])
    message = spoken.message.format(layer=blame["layer"], value=f"{blame['value']:.3g}")
    sizes = zip(spoken.factors, (blame["largest_left"], blame["largest_right"]), strict=False)
    known = [f"{name} goes up to {size:.2g}" for name, size in sizes if size > 0]
    message += f": {' and '.join(known)}" if known else ""
    if blame["operation"] in (*OF_THE_DATA, *BEFORE):
        return message
    if dtype == "float32" and not blame["fails_in_float64"]:
        return f"{message}. In float64 the same step is finite; float32 ends at 3.4e38"
    return f"{message}. In float64 the same step fails too" if dtype == "float32" else message


# ---- data at fault


@contextmanager
def of_validation() -> Iterator[None]:
    """Errors that are raised in here are about validation data, and say so."""
    try:
        yield
    except PynnError as error:
        if "validation" not in str(error):
            error.args = (f"validation data: {error}",)
        for finding in error.report.findings if error.report else ():
            finding.evidence["data"] = "validation"
        raise


@contextmanager
def of_table(names: list[str] | None) -> Iterator[None]:
    """Errors that are raised in here about a cell of X name its column as the table does: ``X[528, 'Age']``."""
    try:
        yield
    except NonfiniteDataError as error:
        cell = f"X[{error.row}, {error.column}]"
        if names and error.report and error.column is not None and cell in str(error):
            named = f"X[{error.row}, {names[error.column]!r}]"
            error.args = (str(error).replace(cell, named),)
            error.report.findings = [
                replace(
                    finding,
                    message=finding.message.replace(cell, named),
                    evidence=finding.evidence | {"column_names": [names[column] for column in finding.columns]},
                )
                for finding in error.report.findings
            ]
        raise


def bad_cells(name: str, x: np.ndarray, cells: np.ndarray, rows: Any = None) -> NonfiniteDataError:
    """The error for cells (row, column) of X, y or sample_weight that are NaN or infinite, or beyond the dtype."""
    numbers = cells[:, 0] if rows is None else np.asarray(rows)[cells[:, 0]]
    order = np.lexsort((cells[:, 1], numbers))
    cells, bad_rows, bad_columns = cells[order], np.unique(numbers), np.unique(cells[:, 1])
    named, columns = [int(r) for r in bad_rows[:20]], [int(c) for c in bad_columns[:20]]
    row, column, value = named[0], int(cells[0, 1]), float(x[tuple(cells[0])])
    rule = "within float32, which ends at 3.4e38" if np.isfinite(value) else "of finite numbers"
    at = f"{row}, {column}" if name == "X" or x.shape[1] > 1 else f"{row}"
    message = f"expected {name} {rule}; received {name}[{at}]={value}" + (
        f", in all {len(cells)} such cells in {listed('row', named, len(bad_rows))}" if len(cells) > 1 else ""
    )
    spoken = operation(next(key for key, array in OF_THE_DATA.items() if array == name), value)
    code, remedy = spoken.code, _remedy(x, cells) if name == "X" and not np.isfinite(value) else spoken.remedy
    evidence = {"n_rows": len(bad_rows), "n_columns": len(bad_columns), "n_cells": len(cells), "array": name,
                "data": "training", "value": value}  # fmt: skip
    error = NonfiniteDataError(f"{message}. {remedy}")
    error.row, error.column, error.value = row, column, value
    error.report = Report([Finding(code, "fault", message, remedy, rows=named, columns=columns, evidence=evidence)])
    return error


def _remedy(x: Any, cells: np.ndarray) -> str:
    """What to do about cells of X that are NaN or infinite."""
    if not isinstance(x, np.ndarray):  # sparse: nothing fills in cells of it
        return LEAVE_OUT
    empty = np.flatnonzero(np.bincount(cells[:, 1], minlength=x.shape[1]) == x.shape[0]).tolist()
    if empty and x.shape[0] > 1:
        named = listed("column", empty)
        return (
            f"No row has a number in {named}: leave that out. Where it comes of a division by a deviation of 0, let "
            "pynn.Normalization() scale X: columns that never change become 0."
        )
    return INFINITE if np.isinf(np.asarray(x[tuple(cells[0])], float)) else FILL_IN


def bad_labels(y: np.ndarray, bad: np.ndarray, classes: int, rows: Any = None) -> LabelError:
    """The error for labels, at the positions `bad`, that are no class."""
    named = [int(r if rows is None else rows[r]) for r in bad[:20]]
    message = (
        f"expected labels in 0 ... {classes - 1}, as the last layer has units={classes}; "
        f"received y[{named[0]}]={y[bad[0]]}"
    )
    message += f", in all {len(bad)} such labels" if len(bad) > 1 else ""
    whole = bool(np.all(y == np.floor(y)))
    if whole and y.min() == 1 and y.max() == classes:
        remedy = "These labels count from 1: pass y - 1."
    elif whole and y.min() >= 0 and y.max() < 10_000 and len(bad) > 0.01 * len(y):
        remedy = (
            f"Give the last layer units={int(y.max()) + 1}, or number the classes: np.unique(y, return_inverse=True)."
        )
    else:
        remedy = "Correct these labels, or leave the rows out."
    evidence = {"n_rows": len(bad), "value": float(y[bad[0]]), "classes": classes}
    error = LabelError(f"{message}. {remedy}")
    error.row, error.column, error.value = named[0], 0, float(y[bad[0]])
    error.report = Report([Finding("label_out_of_range", "fault", message, remedy, rows=named, evidence=evidence)])
    return error


def bad_prediction(error: NumericalError, first: int, numbers: Any = None) -> NumericalError:
    """The error of a prediction or evaluation of rows from `first`, with its report; `numbers` are theirs for the
    caller."""
    spoken, row = operation(error.operation, error.value), None if error.row is None else error.row + first
    row = row if row is None or numbers is None else int(numbers[row])
    message = spoken.message.format(layer=error.layer, value=f"{error.value:.3g}")
    remedy = spoken.remedy
    if error.operation in ("gemm", "bias", "activation", "forward", "loss"):
        remedy = "Scale this row like those the model was trained on, or predict in float64."
    evidence = {"operation": error.operation, "value": error.value}
    rows, columns = ([] if at is None else [int(at)] for at in (row, error.column))
    finding = Finding(
        spoken.code, "fault", message, remedy, layer=error.layer, rows=rows, columns=columns, evidence=evidence
    )
    error.row, error.report = row, Report([finding])
    error.args = (f"{finding.where}{': ' if finding.where else ''}{message}. {remedy}",)
    return error


BY_HAND = {
    FILL_IN: "Leave these rows out, or take pynn.Normalization(missing='mean') as the model's first layer.",
    INFINITE: "Leave these rows out, or correct them.",
    LEAVE_OUT: "Leave these rows out, or correct them.",
}


@contextmanager
def by_hand() -> Iterator[None]:
    """Errors that are raised in here advise what can be done where there is no ``on_bad_rows``."""
    try:
        yield
    except NumericalError as error:
        for told, remedy in BY_HAND.items():
            error.args = (str(error).replace(told, remedy),)
        if error.report:
            error.report.findings = advised_by_hand(error.report.findings)
        raise


def advised_by_hand(findings: list[Finding]) -> list[Finding]:
    """The same with such advice."""
    return [replace(finding, remedy=BY_HAND.get(finding.remedy, finding.remedy)) for finding in findings]


# ---- the ledger of a run in words

DONE = {
    "refused": "refused the step and ended the run",
    "skipped": "left the batch out",
    "rolled_back": "went back to step {restored}, the learning rate is {new_learning_rate:.3g} now",
    "clipped": "clipped the gradient",
    "diverged": "it has diverged",
}


def say(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line: ``step 3, layer 1, row 17, unit 0: X·W is inf; left the batch out``."""
    names = {"step": "step", "layer": "layer", "row": "row", "column": "column" if entry["layer"] is None else "unit"}
    where = ", ".join(f"{name} {entry[key]}" for key, name in names.items() if entry[key] is not None)
    seen = f"{operation(entry['operation']).name} is {entry['value']:.3g}"
    return f"{where}: {seen}; {DONE[entry['kind']].format(**entry)}"


def findings(ledger: list[dict[str, Any]]) -> list[Finding]:
    """What a run's ledger amounts to: one finding for each kind of event and operation."""
    groups: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for entry in ledger:
        if entry["kind"] == "diverged":  # the next entry says what followed
            continue
        groups.setdefault((entry["kind"], entry["operation"], entry["layer"]), []).append(entry)
    found = []
    rates = [entry["new_learning_rate"] for entry in ledger if entry["kind"] == "rolled_back"]
    for (kind, name, layer), entries in groups.items():
        entries[0] = entries[0] | ({"new_learning_rate": rates[-1]} if rates else {})  # the one that counts now
        spoken = operation(name, entries[0]["value"])
        code, remedy = ("loss_spike", "") if kind == "clipped" else (spoken.code, spoken.remedy)
        times = f" ({len(entries)} times in all)" if len(entries) > 1 else ""
        rows = list(dict.fromkeys(entry["row"] for entry in entries if entry["row"] is not None))
        columns = list(dict.fromkeys(entry["column"] for entry in entries if entry["column"] is not None))
        evidence = {"times": len(entries), "n_rows": len(rows), "operation": name, "value": entries[0]["value"]}
        found.append(
            Finding(
                code, "info" if kind == "clipped" else "warning", f"{say(entries[0])}{times}", remedy, layer=layer,
                step=entries[0]["step"], rows=rows[:20], columns=columns[:20], evidence=evidence,
            )
        )  # fmt: skip
    return found
