"""Tables as sources of rows: what their columns mean is learned once, then rows are read by it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError, FileError, FileFormatError, MissingFileError, ShapeError
from . import schema as schema_
from .csv_table import CsvTable
from .frame_table import FrameTable, is_frame
from .parquet_table import ParquetTable
from .schema import Cells, Column, Schema
from .sources import Indexed, Rows, Source
from .table import Table

__all__ = ["TableSource", "is_frame", "learn", "open_table", "table_source"]

NO_TABLES = {  # how files begin that are taken for tables
    b"PK\x03\x04": "a zip archive or an Excel file: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel file: save it as CSV",
    b"BZh": "packed by bzip2: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"\xfd7zX": "packed by xz: unpack it",
    b"\x93NUM": "an array: pynn.DataLoader(path, y)",
    b"\x89HDF": "an HDF5 file: read it as a data frame",
    b"ARRO": "an Arrow file: read it as a data frame",
}


def open_table(data: Any, delimiter: str | None = None, names: Iterable[str] | None = None) -> Table:
    """The table in a file or data frame."""
    if names is not None:
        names = [names] if isinstance(names, str) else list(names)
        if not names or not all(isinstance(name, str) for name in names):
            raise ArgumentTypeError(f"expected names of the columns, as strings; received names={names!r}")
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        try:
            with open(path, "rb") as file:
                magic = file.read(4)
        except FileNotFoundError:
            raise MissingFileError(f"expected a CSV or Parquet file; there is no {str(path)!r}") from None
        except OSError as error:
            raise FileError(f"expected a CSV or Parquet file; received {str(path)!r}: {error.strerror}") from None
        other = next((what for begin, what in NO_TABLES.items() if magic.startswith(begin)), None)
        if other:
            raise FileFormatError(f"expected a CSV or Parquet file; received {str(path)!r}, which is {other}")
        if not magic:
            raise ShapeError(f"expected a CSV or Parquet file; received {str(path)!r}, which is empty")
        if magic != b"PAR1":
            return CsvTable(path, delimiter, names)
        table: Table = ParquetTable(path)
    elif is_frame(data):
        table = FrameTable(data)
    else:
        raise ArgumentTypeError(
            f"expected a table, as a data frame or the path of a CSV or Parquet file; received {type(data).__name__}"
        )
    if names is not None:
        raise ArgumentTypeError(f"expected names only for a CSV file without a header; received them{table.where}")
    return table


def learn(
    table: Table, target: str | None, categories: Iterable[str], exclude: Iterable[str], task: str | None
) -> Schema:
    """What the columns mean; one pass over the data where values have to be known.

    `task` "classification" codes a target of numbers as classes too.
    """
    if task not in (None, "classification", "regression"):
        raise ArgumentValueError(f"expected task as 'classification', 'regression' or None; received task={task!r}")
    named = [categories] if isinstance(categories, str) else list(categories)
    names = schema_.choose(table.columns, target, exclude, named, table.where)
    asked = names + ([] if target is None else [target])
    texts = {} if table.typed else {name: "category" for name in named if name in asked}
    kinds = table.kinds([name for name in asked if name not in texts]) | texts
    wanted = {name: "category" if name in named else kinds[name] for name in asked}
    coded = {name for name, kind in wanted.items() if kind == "category"}
    if target is not None and task == "classification":
        coded.add(target)
    values: dict[str, set[Any]] = {name: set() for name in coded}
    read = wanted if not table.complete else {name: wanted[name] for name in wanted if name in coded}
    for _, cells in table.read(read) if read else ():
        for name in coded:
            values[name] |= _distinct(cells[name])
    columns = tuple(
        schema_.column(name, values[name], table.rows or 0, name in named, table.where)
        if name in coded
        else Column(name)
        for name in names
    )
    classes = schema_.column(target, values[target], 0, True, "").values if target in coded and target else None
    return Schema(columns, target, classes)


def _distinct(cells: Cells) -> set[Any]:
    if cells.numbers is None:
        return {cells.texts[code] for code in np.unique(cells.codes).tolist() if code >= 0}  # type: ignore[arg-type]
    return {schema_._plain(value) for value in np.unique(cells.numbers).tolist() if value == value}


class TableSource(Source):
    """Rows of a CSV or Parquet file as numbers."""

    def __init__(self, table: Table, schema: Schema, dtype: Any) -> None:
        self.schema, self._table, self._dtype = schema, table, np.dtype(dtype)
        self.name = table.where.removeprefix(" of ")
        self.columns = schema.names
        self._kinds = reading(schema)
        if not table.complete:
            for _ in table.read(self._kinds):
                pass
        self.rows, self.bounds = table.rows, table.bounds
        self.row_bytes = self._dtype.itemsize * len(self.columns)
        self.fill = schema.fill

    def chunk(self, index: int) -> Iterator[Rows]:
        for first, cells in self._table.read(self._kinds, index):
            yield rows_of(self.schema, cells, first, self._dtype, self._table.where)

    def labels(self) -> np.ndarray | None:
        name = self.schema.target
        if name is None:
            return None
        pieces = self._table.read({name: self._kinds[name]})
        return np.concatenate([self.schema.targets(cells[name], first, self._table.where) for first, cells in pieces])

    def state(self) -> dict[str, Any]:
        return {"schema": self.schema.to_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        if "schema" in state:
            self.schema = Schema.from_dict(state["schema"])


def reading(schema: Schema) -> dict[str, str]:
    """As what each column of a file has to be read."""
    kinds = {c.name: "number" if c.values is None else "category" for c in schema.columns}
    if schema.target is not None:
        texts = schema.classes and isinstance(schema.classes[0], str)
        kinds[schema.target] = "category" if texts else "number"
    return kinds


def rows_of(schema: Schema, cells: dict[str, Cells], first: int, dtype: Any, where: str) -> Rows:
    """A piece of a table as rows of numbers."""
    x = schema.inputs(cells, dtype)
    y = None if schema.target is None else schema.targets(cells[schema.target], first, where)
    return Rows(np.arange(first, first + len(x)), x, y)


def table_source(table: Table, schema: Schema, dtype: Any) -> Source:
    """The source of a table's rows: a frame's are coded at once, a file's as they are read."""
    missing = [name for name in reading(schema) if name not in table.columns]
    if missing:
        raise ArgumentValueError(
            f"expected the columns {', '.join(map(repr, missing[:10]))}, as in the data trained on; received a table "
            f"without them:{table.where.removeprefix(' of')}"
        )
    if not isinstance(table, FrameTable):
        return TableSource(table, schema, dtype)
    ((_, cells),) = table.read(reading(schema))
    rows = rows_of(schema, cells, 0, dtype, table.where)
    return FrameSource(rows.x, rows.targets, schema, table.where)


class FrameSource(Indexed):
    """Rows of a data frame as numbers."""

    def __init__(self, x: np.ndarray, y: Any, schema: Schema, where: str) -> None:
        super().__init__(x, y)
        self.schema, self.columns, self._where = schema, schema.names, where
        self.name, self.fill = where.removeprefix(" of "), schema.fill

    def _with(self, x: Any, y: Any, weights: Any) -> FrameSource:
        return FrameSource(x, y, self.schema, self._where)

    state = TableSource.state
    load_state = TableSource.load_state
