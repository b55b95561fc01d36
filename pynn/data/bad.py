"""Bad cells: those that are missing or infinite. Where they are, how many, and what is put in their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import arrays
from ..errors import NonfiniteDataError
from .sources import Rows

__all__ = ["Tally", "bad_cells", "fill", "means"]


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


def means(pieces: Iterable[Rows], tally: Tally) -> np.ndarray:
    """The mean of each column's finite cells; bad ones are counted.

    Sums are in float64, about the first finite cell of each column, so that a large mean costs no digits.
    """
    origin: Any = None
    sums: Any = 0.0
    counts: Any = 0
    for rows in pieces:
        tally.count(Rows(rows.numbers, rows.x))
        x = np.asarray(rows.x, np.float64).reshape(len(rows), -1)
        finite = np.isfinite(x)
        if origin is None:
            origin = np.full(x.shape[1], np.nan)
        new = np.isnan(origin) & finite.any(0)
        origin[new] = x[finite.argmax(0)[new], np.flatnonzero(new)]
        sums = sums + np.where(finite, x - np.nan_to_num(origin), 0).sum(0)
        counts = counts + finite.sum(0)
    if not np.all(counts):
        raise NonfiniteDataError(
            f"expected columns with a finite cell, to impute from; received none in column {int(np.argmin(counts))}"
        )
    return origin + sums / counts


def fill(part: Any, cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A copy of some rows with their column's value in each of `cells`."""
    x = np.array(part, copy=True).reshape(len(part), -1)
    x[cells[:, 0], cells[:, 1]] = values[cells[:, 1]]
    return x.reshape(np.shape(part))
