"""Errors about data: cells, labels and predictions at fault."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LabelError, NonfiniteDataError, NumericalError
from .advice import Advice
from .finding import Finding, Report
from .wording import OF_THE_DATA, operation


def bad_cells(name: str, x: np.ndarray, cells: np.ndarray, rows: Any = None) -> NonfiniteDataError:
    """Return the error for cells (row, column) of X, y or sample_weight that are NaN, infinite or beyond the dtype.

    `rows` are the numbers of the rows in the user's data, where they differ.
    """
    numbers = cells[:, 0] if rows is None else np.asarray(rows)[cells[:, 0]]
    order = np.lexsort((cells[:, 1], numbers))
    cells, bad_rows, bad_columns = cells[order], np.unique(numbers), np.unique(cells[:, 1])
    named, columns = [int(r) for r in bad_rows[:20]], [int(c) for c in bad_columns[:20]]
    row, column, value = named[0], int(cells[0, 1]), float(x[tuple(cells[0])])
    spoken = operation(next(key for key, array in OF_THE_DATA.items() if array == name), value)
    evidence = {
        "n_rows": len(bad_rows), "n_columns": len(bad_columns), "n_cells": len(cells), "array": name,
        "data": "training", "value": value, "cell": [column] if name == "X" or x.shape[1] > 1 else [],
    }  # fmt: skip
    advice = spoken.advice
    if name == "X" and not np.isfinite(value):
        empty = _empty_columns(x, cells)
        evidence |= {"empty_columns": empty} if empty else {}
        advice = _advice(x, cells, empty)
    error = NonfiniteDataError()
    error.row, error.column, error.value = row, column, value
    finding = Finding(spoken.code, "fault", rows=named, columns=columns, evidence=evidence, advice=(advice,),
                      text="bad_cell")  # fmt: skip
    error.report = Report([finding])
    return error


def _empty_columns(x: Any, cells: np.ndarray) -> list[int]:
    """Columns of X without a finite number, of more than one row."""
    if not isinstance(x, np.ndarray) or x.shape[0] == 1:
        return []
    return [int(c) for c in np.flatnonzero(np.bincount(cells[:, 1], minlength=x.shape[1]) == x.shape[0])]


def _advice(x: Any, cells: np.ndarray, empty: list[int]) -> Advice:
    """What to do about cells of X that are NaN or infinite."""
    if not isinstance(x, np.ndarray):  # sparse: nothing fills in its cells
        return Advice.LEAVE_OUT
    if empty:
        return Advice.DROP_EMPTY_COLUMNS
    return Advice.SKIP_OR_IMPUTE if np.isinf(np.asarray(x[tuple(cells[0])], float)) else Advice.FILL_IN


def bad_labels(y: np.ndarray, bad: np.ndarray, classes: int, rows: Any = None) -> LabelError:
    """Return the error for the labels at the positions `bad`, which are no class."""
    named = [int(r if rows is None else rows[r]) for r in bad[:20]]
    evidence = {"n_rows": len(bad), "value": float(y[bad[0]]), "classes": classes}
    whole = bool(np.all(y == np.floor(y)))
    if whole and y.min() == 1 and y.max() == classes:
        advice = Advice.COUNT_FROM_ZERO
    elif whole and y.min() >= 0 and y.max() < 10_000 and len(bad) > 0.01 * len(y):
        advice = Advice.MORE_UNITS
        evidence["units_needed"] = int(y.max()) + 1
    else:
        advice = Advice.CORRECT_LABELS
    error = LabelError()
    error.row, error.column, error.value = named[0], 0, float(y[bad[0]])
    finding = Finding("label_out_of_range", "fault", rows=named, evidence=evidence, advice=(advice,), text="bad_label")
    error.report = Report([finding])
    return error


def bad_prediction(error: NumericalError, first: int, numbers: Any = None) -> NumericalError:
    """Return the error of a prediction or evaluation of rows from `first`, with its report.

    `numbers` are the numbers of the rows in the user's data, where they differ.
    """
    spoken, row = operation(error.operation, error.value), None if error.row is None else error.row + first
    row = row if row is None or numbers is None else int(numbers[row])
    advice = spoken.advice
    if error.operation in ("gemm", "bias", "activation", "forward", "loss"):
        advice = Advice.SCALE_ROW
    evidence = {"operation": error.operation, "value": error.value, "predicted": True}
    rows, columns = ([] if at is None else [int(at)] for at in (row, error.column))
    finding = Finding(spoken.code, "fault", layer=error.layer, rows=rows, columns=columns, evidence=evidence,
                      advice=(advice,), text="operation")  # fmt: skip
    error.row, error.report = row, Report([finding])
    return error
