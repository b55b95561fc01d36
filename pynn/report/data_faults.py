"""Errors about data: cells, labels and predictions at fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import LabelError, NonfiniteDataError, NumericalError, PynnError
from .finding import Finding, Report, listed
from .wording import FILL_IN, INFINITE, LEAVE_OUT, OF_THE_DATA, operation


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
