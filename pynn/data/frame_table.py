"""Data frames in memory: pandas, polars and pyarrow."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, DtypeError, ShapeError
from . import arrow
from . import schema as schema_
from .schema import MISSING, Cells
from .table import Table

__all__ = ["FrameTable"]


class FrameTable(Table):
    """A data frame in memory: pandas, polars or a pyarrow table."""

    complete = True

    def __init__(self, frame: Any) -> None:
        if not hasattr(frame, "__len__"):
            raise ArgumentTypeError(f"expected a data frame; received a {type(frame).__name__}: collect() it first")
        self.where = f" of the {type(frame).__name__}"
        if type(frame).__name__ == "RecordBatch":
            frame = arrow.module("pyarrow").Table.from_batches([frame])
        self._frame = frame
        names = frame.columns
        if hasattr(frame, "column_names"):  # pyarrow
            names = [name for name in frame.column_names if name not in arrow.index_of(frame.schema)]
        self.columns = [str(name) for name in names]
        self._keys = dict(zip(self.columns, names, strict=True))
        self.rows = frame.num_rows if hasattr(frame, "num_rows") else len(frame)
        self.bounds = np.array([0, self.rows], np.int64)
        if not self.rows:
            raise ShapeError(f"expected at least one row{self.where}; received none")

    def kinds(self, names: list[str]) -> dict[str, str]:
        return {name: _frame_kind(name, self._column(name), self.where) for name in names}

    def _column(self, name: str) -> Any:
        frame = self._frame
        return frame.column(name) if hasattr(frame, "num_rows") else frame[self._keys[name]]

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        yield 0, {name: self._read(name, kind) for name, kind in kinds.items()}

    def _read(self, name: str, kind: str) -> Cells:
        column = self._column(name)
        if hasattr(column, "combine_chunks"):
            return arrow.cells(column, kind)
        if kind == "category":
            return Cells.of(_scalars(name, column.to_list(), self.where))
        values = np.asarray(column.to_numpy())
        if values.dtype.kind not in "fiub":  # nullable columns, and numbers as text
            try:
                values = np.array([np.nan if _absent(v) else float(v) for v in values.tolist()])
            except (TypeError, ValueError) as error:
                raise DtypeError(f"expected numbers in column {name!r}{self.where}; received {error}") from None
        return Cells(values if values.dtype.kind == "f" else values.astype(np.float64))


def _absent(value: Any) -> bool:
    missing_text = isinstance(value, str) and value.strip() in MISSING
    return value is None or missing_text or type(value).__name__ in ("NAType", "NaTType")


def _scalars(name: str, values: list[Any], where: str) -> list[Any]:
    """The values, none of which holds others."""
    for row, value in enumerate(values):
        if isinstance(value, (list, tuple, dict, set, np.ndarray)):
            raise DtypeError(
                f"expected numbers, booleans or texts in column {name!r}{where}; received a {type(value).__name__} in "
                f"row {row}. Leave it out: exclude=[{name!r}]"
            )
    return values


def _kind_of_objects(values: list[Any]) -> str:
    """Return what objects are: numbers and missing ones are numbers, whatever they are kept as."""
    return "number" if all(_absent(value) or isinstance(value, numbers.Number) for value in values) else "text"


def _frame_kind(name: str, column: Any, where: str) -> str:
    if hasattr(column, "combine_chunks"):
        return arrow.kind(name, column.type, where)
    kind = str(column.dtype).lower().removeprefix("sparse[")
    if kind == "null":  # all missing
        return "number"
    if kind == "object":
        return _kind_of_objects(column.to_list())
    if kind.startswith(("int", "uint", "float", "bool", "decimal", "double", "boolean")):
        return "number"
    if kind.startswith(("datetime", "date", "time", "duration", "period")):
        raise schema_.dates(name, where, column[0] if not hasattr(column, "iloc") else column.iloc[0])
    if kind.startswith(("category", "categorical", "enum")):
        return "category"
    if kind.startswith(("str", "utf8", "large_string")):
        return "text"
    raise DtypeError(
        f"expected numbers, booleans or texts; received column {name!r}{where} of {kind}. "
        f"Leave it out: exclude=[{name!r}]"
    )
