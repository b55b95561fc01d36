"""Tables as sources of rows: what their columns mean is learned once, then rows are read by it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DtypeError,
    FileError,
    FileFormatError,
    MissingFileError,
    ShapeError,
    TrainingWarning,
)
from . import schema as schema_
from . import spelling
from .csv_table import CsvTable
from .frame_table import FrameTable
from .parquet_table import ParquetTable
from .schema import Cells, Column, Schema, is_frame
from .sources import Indexed, Rows, Source
from .table import Table

__all__ = ["TableSource", "learn", "open_table", "table_source"]

SEVERAL = 10  # different texts, the least of which one that is no number is taken for a mistake
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
    table: Table,
    target: str | Sequence[str] | None,
    categories: Iterable[str],
    exclude: Iterable[str],
    task: str | None,
    weight: str | None = None,
) -> Schema:
    """Learn what the columns mean, in one pass over the data where values have to be known.

    `task` "classification" codes a target of numbers as classes too. `weight` names a column of sample weights.
    """
    if task not in (None, "classification", "regression"):
        raise ArgumentValueError(f"expected task as 'classification', 'regression' or None; received task={task!r}")
    named = [categories] if isinstance(categories, str) else list(categories)
    targets = as_targets(target)
    names = schema_.choose(table.columns, targets, exclude, named, table.where, weight)
    kinds = _kinds(table, [*names, *targets], named)
    texts = {name for name, kind in kinds.items() if kind == "text"}
    coded = {name for name, kind in kinds.items() if kind != "number"}
    if len(targets) == 1 and task == "classification":
        coded.add(targets[0])
    values = _values(table, kinds, coded)
    for name in texts:
        is_target = name in targets
        if not (is_target and task == "classification") and _holds_numbers(name, values[name], table.where, is_target):
            coded.remove(name)
    columns = tuple(
        schema_.column(name, values[name], table.rows or 0, name in named, table.where)
        if name in coded
        else Column(name)
        for name in names
    )
    classes = _classes(targets, coded, values, table.where)
    return Schema(columns, target if isinstance(target, str) else targets or None, classes, weight=weight)


def as_targets(target: Any) -> tuple[str, ...]:
    """Return the names of the columns to predict."""
    if isinstance(target, (list, tuple)):
        return tuple(target)
    return () if target is None else (target,)


def _kinds(table: Table, names: list[str], categories: list[str]) -> dict[str, str]:
    """Return what each column holds; those in `categories` are categories, whatever they look like."""
    known = {name: "category" for name in categories if name in names}
    unread = {} if table.typed else known
    return table.kinds([name for name in names if name not in unread]) | known


def _values(table: Table, kinds: dict[str, str], coded: set[str]) -> dict[str, set[Any]]:
    """Return the distinct values of coded columns; a file that was not read before is read whole, and so checked."""
    as_read = {name: "number" if kind == "number" else "category" for name, kind in kinds.items()}
    values: dict[str, set[Any]] = {name: set() for name in coded}
    read = as_read if not table.complete else {name: kind for name, kind in as_read.items() if name in coded}
    for _, cells in table.read(read) if read else ():
        for name in coded:
            values[name] |= _distinct(cells[name])
    return values


def _holds_numbers(name: str, values: set[Any], where: str, is_target: bool) -> bool:
    """Tell whether a column of texts is one of numbers, and say so: their alphabetical order means nothing."""
    numeric = [value for value in values if schema_.is_number(value)]
    if not values or len(numeric) < 0.9 * len(values):
        return False
    advice = "" if is_target else f", or take them as categories: categories=[{name!r}]"
    if len(numeric) < len(values):
        other = next(value for value in sorted(values) if value not in numeric)
        if is_target or len(values) < SEVERAL:
            return False
        raise DtypeError(
            f"expected a number in each cell of column {name!r}{where}, as in most; received {other!r}. "
            f"Correct it{advice}"
        )
    warnings.warn(
        f"column {name!r}{where} holds numbers as text, such as {numeric[0]!r}: they are taken as numbers. "
        f"Convert them to silence this, with astype(float){advice}",
        TrainingWarning,
        stacklevel=2,
    )
    return True


def _classes(targets: tuple[str, ...], coded: set[str], values: dict[str, set[Any]], where: str) -> Any:
    """Return the classes of the target; None where it holds numbers."""
    named = [name for name in targets if name in coded]
    if not named:
        return None
    place = f"in column {named[0]!r}{where}"
    if len(targets) > 1:
        first = sorted(values[named[0]])[0]
        raise DtypeError(f"expected numbers in several target columns; received text, such as {first!r}, {place}")
    classes = schema_.column(named[0], values[named[0]], 0, True, "").values
    spelling.require_one_spelling(classes or (), place)
    return classes


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
        names = self.schema.targets
        if not names:
            return None
        pieces = self._table.read({name: self._kinds[name] for name in names})
        return np.concatenate([self.schema.labels(cells, first, self._table.where) for first, cells in pieces])

    def state(self) -> dict[str, Any]:
        return {"schema": self.schema.to_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        if "schema" in state:
            self.schema = Schema.from_dict(state["schema"])


def reading(schema: Schema) -> dict[str, str]:
    """As what each column of a file has to be read."""
    kinds = {str(c.name): "number" if c.values is None else "category" for c in schema.columns}
    texts = schema.classes and isinstance(schema.classes[0], str)
    kinds |= dict.fromkeys(schema.targets, "category" if texts else "number")
    return kinds if schema.weight is None else kinds | {schema.weight: "number"}


def rows_of(schema: Schema, cells: dict[str, Cells], first: int, dtype: Any, where: str) -> Rows:
    """A piece of a table as rows of numbers."""
    x = schema.inputs(cells, dtype)
    return Rows(np.arange(first, first + len(x)), x, schema.labels(cells, first, where), schema.weights(cells))


def table_source(table: Table, schema: Schema, dtype: Any) -> Source:
    """The source of a table's rows: a frame's are coded at once, a file's as they are read."""
    if schema.weight is not None and schema.weight not in table.columns:  # to evaluate on: rows count alike
        schema = replace(schema, weight=None)
    missing = [name for name in reading(schema) if name not in table.columns]
    if missing:
        near = (checks.nearest(name, [other for other in table.columns if other not in schema.names])
                for name in missing)  # fmt: skip
        raise ArgumentValueError(
            f"expected the columns {', '.join(map(repr, missing[:10]))}, as in the data trained on; received a table "
            f"without them:{table.where.removeprefix(' of')}{next(filter(None, near), '')}"
        )
    if not isinstance(table, FrameTable):
        return TableSource(table, schema, dtype)
    ((_, cells),) = table.read(reading(schema))
    rows = rows_of(schema, cells, 0, dtype, table.where)
    return FrameSource(rows.x, rows.targets, rows.weights, schema, table.where)


class FrameSource(Indexed):
    """Rows of a data frame as numbers."""

    def __init__(self, x: np.ndarray, y: Any, weights: Any, schema: Schema, where: str) -> None:
        super().__init__(x, y, weights)
        self.schema, self.columns, self._where = schema, schema.names, where
        self.name, self.fill = where.removeprefix(" of "), schema.fill

    def _with(self, x: Any, y: Any, weights: Any) -> FrameSource:
        return FrameSource(x, y, weights, self.schema, self._where)

    state = TableSource.state
    load_state = TableSource.load_state
