"""Bad cells: those that are missing or infinite. Where they are, how many, and what is put in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import arrays, runtime
from ..errors import NonfiniteDataError
from .sources import Rows, Source

__all__ = ["FILLS", "Tally", "bad_cell", "bad_cells", "fill", "fill_values", "without_gaps"]

FILLS = {"impute": "means", "median": "medians"}  # actions that fill cells in, and with what of their columns
BYTES = 1 << 26  # of numbers that are held for exact medians
HELD = 2048  # numbers of a column that are held for medians of more


def bad_cells(part: Any) -> np.ndarray:
    """Positions (row, column) in some rows, dense or sparse."""
    if part is None:
        return np.empty((0, 2), np.int64)
    return arrays.find_nonfinite(part if arrays.is_sparse(part) else np.asarray(part).reshape(len(part), -1))


class Tally:
    """Counts of bad cells and of the rows that they are in."""

    def __init__(self, action: str) -> None:
        self.action, self.rows, self.cells = action, 0, 0
        self.columns: dict[int, int] = {}

    def count(self, rows: Rows) -> np.ndarray:
        """Which of some rows are good; the others are counted."""
        cells = bad_cells(rows.x)
        good = np.ones(len(rows), bool)
        good[cells[:, 0]] = good[bad_cells(rows.targets)[:, 0]] = False
        self.rows += int((~good).sum())
        self.cells += len(cells)
        for column, times in zip(*np.unique(cells[:, 1], return_counts=True), strict=True):
            self.columns[int(column)] = self.columns.get(int(column), 0) + int(times)
        return good

    def result(self) -> dict[str, Any]:
        """For `DataLoader.bad_rows`."""
        columns = dict(sorted(self.columns.items()))
        return {"action": self.action, "rows": self.rows, "cells": self.cells, "columns": columns}


def fill_values(action: str, passes: Callable[[], Iterator[Rows]], rows: int, whole: bool, tally: Tally) -> np.ndarray:
    """The mean or median of each column's finite cells; bad cells are counted.

    They are rounded to the data's own dtype, so that cells are filled in alike wherever that happens. Medians are exact
    where the data are `whole` in memory, a block of columns in each pass, and where BYTES hold all numbers; else they
    are those of `Normalization` for data that come in parts.
    """
    columns = int(np.prod(np.shape(next(passes()).x)[1:]))
    held, width = 0, max(1, columns)
    if action == "median":
        held = max(2, rows) if whole or 8 * rows * columns <= BYTES else HELD
        width = max(1, BYTES // (8 * rows)) if whole else width
    values: list[float] = []
    dtype = np.dtype(np.float64)
    for first in range(0, columns, width):
        summary = runtime.summary(min(width, columns - first), held)
        for part in passes():
            if not first:
                tally.count(Rows(part.numbers, part.x))
                dtype = np.asarray(part.x).dtype
            summary.add(np.asarray(part.x).reshape(len(part), -1)[:, first : first + width])
        found = (summary.column(j) for j in range(min(width, columns - first)))
        values += [column["mean"] if action == "impute" else column["quartiles"][1] for column in found]
    if np.isnan(values).any():
        raise NonfiniteDataError(
            "expected columns with a finite cell, to impute from; received none in column "
            f"{int(np.argmax(np.isnan(values)))}"
        )
    return np.array(values).astype(dtype).astype(np.float64) if dtype.kind == "f" else np.array(values)


def fill(part: Any, cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A copy of some rows with their column's value in each of `cells`."""
    x = np.array(part, copy=True).reshape(len(part), -1)
    x[cells[:, 0], cells[:, 1]] = values[cells[:, 1]]
    return x.reshape(np.shape(part))


def without_gaps(rows: Rows) -> Rows:
    """Return the rows with 0 for missing targets, which are no class: for rows that are left out."""
    cells = bad_cells(rows.targets)
    if not len(cells):
        return rows
    targets = np.array(rows.targets)
    targets[cells[:, 0]] = 0
    return Rows(rows.numbers, rows.x, targets, rows.weights)


def bad_cell(source: Source, name: str, rows: Rows, bad: np.ndarray) -> NonfiniteDataError:
    """Return the error for the first of the bad cells of X or y."""
    at, column = (int(i) for i in bad[0])
    cells = rows.x if name == "X" else rows.targets
    cells = cells if arrays.is_sparse(cells) else np.asarray(cells).reshape(len(rows), -1)
    row, value = int(rows.numbers[at]), float(cells[at, column])  # type: ignore[index]
    label = getattr(source, "columns", None)
    where = f", column {label[column]!r}" if label and name == "X" else f", column {column}"
    file = f" of {source.name}" if hasattr(source, "name") else ""
    error = NonfiniteDataError(
        f"expected {name} of finite numbers; received {value} in row {row}{where}{file}. Leave such rows out, "
        + ("on_bad_rows='skip', or fill the cells in: on_bad_rows='impute' or 'median', Normalization(missing=...)"
           if name == "X" else "on_bad_rows='skip': what is to be learned cannot be filled in")
    )  # fmt: skip
    error.row, error.column, error.value = row, column, value
    return error
