"""Tables: CSV and Parquet files, read in pieces, and data frames; their columns become rows of numbers."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import numbers
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
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
    PynnError,
    ShapeError,
)
from . import schema as schema_
from .schema import MISSING, Cells, Column, Schema
from .sources import Indexed, Rows, Source

__all__ = ["CsvTable", "FrameTable", "ParquetTable", "TableSource", "learn", "open_table"]

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
PIECE = 1 << 20  # bytes of a file, or of rows, read at a time
LONGEST = 1 << 26  # bytes of a row


@cache
def _arrow(module: str) -> Any:
    """A module of pyarrow."""
    return checks.package(module, "data", "to read CSV and Parquet files")


class Table:
    """A table that can be read in pieces.

    Attributes
    ----------
    where : str
        " of <file>", for messages.
    columns : list of str
    rows : int or None
        None: known after `read` has been through.
    bounds : ndarray or None
        Row numbers at which `read` can begin: see `Source.bounds`.
    """

    where: str
    columns: list[str]
    rows: int | None
    bounds: np.ndarray | None
    typed = True  # columns have types, not only texts
    complete = False  # a pass over the data has been made, or none is needed to know rows and bounds

    def kinds(self, names: list[str]) -> dict[str, str]:
        """What each column holds: "number" or "category"."""
        raise NotImplementedError

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        """Pieces of a chunk, or of all: the number of the first row and the cells of each column."""
        raise NotImplementedError


# ---- CSV


class CsvTable(Table):
    """A CSV file, plain or gzip. Its first line names the columns, unless `names` does. A chunk is a megabyte."""

    typed = False

    def __init__(self, path: Path, delimiter: str | None = None, names: list[str] | None = None) -> None:
        self.path, self.where, self._header = path, f" of {path}", names is None
        self._lines = True  # so far each row is one line
        with open(path, "rb") as file:
            self._gzip = file.read(2) == b"\x1f\x8b"
        blocks = self._blocks()
        header = next(blocks, (0, b""))[1] if self._header else b""
        self._first, self._stamp = next(blocks, (0, b""))[1], _stamp(path)
        line = self._decoded(header if self._header else self._first[: _row_end(self._first, first=True) or None])
        self.delimiter = delimiter or max(",\t;|", key=line.count)
        if "\r" in line and '"' not in line:
            raise FileFormatError(f"expected lines that end in \\n or \\r\\n; received \\r alone{self.where}")
        try:
            cells = next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error as error:
            raise FileFormatError(f"expected a header; received {line[:80]!r}{self.where} ({error})") from None
        self._check_header(line, cells, names)
        self.columns = cells if names is None else names
        self.rows, self.bounds, self._offsets = None, None, [len(header)]
        if not self._first:
            raise ShapeError(f"expected at least one row below the header{self.where}; received none")

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise self._not_utf8() from None

    def _not_utf8(self, row: int | None = None) -> FileFormatError:
        at = "" if row is None else f" near row {row}"
        return FileFormatError(f"expected a CSV file in UTF-8{self.where}; received another encoding{at}: save it so")

    def _check_header(self, line: str, cells: list[str], names: list[str] | None) -> None:
        """That the first line names columns just when `names` does not."""
        if cells == names:
            raise ArgumentValueError(
                f"expected names for a file without a header; received names={names!r}, the first line{self.where}"
            )
        if names is None and not line.strip():
            raise ShapeError(f"expected a header with the columns' names; received an empty first line{self.where}")
        if names is None and _is_data(cells):
            raise FileFormatError(
                f"expected a header with the columns' names; received {line[:80]!r}{self.where}, which looks like "
                "data. Name the columns: DataLoader.from_table(path, names=[...])"
            )

    def _place(self, row: int) -> str:
        return f"row {row} (line {row + 1 + self._header})" if self._lines else f"row {row}"

    def _open(self) -> Any:
        return gzip.open(self.path) if self._gzip else open(self.path, "rb")

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """The header, if there is one, then blocks of whole rows, with the offset of each."""
        offset, left, header = 0, b"", self._header
        with self._open() as file:
            while True:
                try:
                    more = file.read(PIECE)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise FileFormatError(
                        f"expected an intact gzip file; received {str(self.path)!r}, damaged or cut short after "
                        f"{offset + len(left)} bytes of text ({error})"
                    ) from None
                block = left + more
                end = _row_end(block, first=header) if more else len(block)
                if not end and len(block) > LONGEST:
                    raise FileFormatError(
                        f"expected rows of at most {LONGEST >> 20} MB; received a longer one{self.where}, or a "
                        f"quotation mark without its pair, after byte {offset}"
                    )
                while header and end:
                    yield offset, block[:end]
                    offset, block, header = offset + end, block[end:], False
                    end = _row_end(block, first=False) if more else len(block)
                if end:
                    yield offset, block[:end]
                    offset += end
                left = block[end:]
                if not more:
                    if block.count(b'"') % 2:
                        raise FileFormatError(f"expected quotation marks in pairs; received one without{self.where}")
                    return

    def kinds(self, names: list[str]) -> dict[str, str]:
        table = self._parse(self._first, dict.fromkeys(names, "category"), 0)
        return {name: schema_.kind_of_texts(name, table[name], self.where) for name in names}

    @cached_property
    def _flags(self) -> set[str]:
        """Columns of True and False, which are read as 1 and 0."""
        table = self._parse(self._first, dict.fromkeys(self.columns, "category"), 0)
        return {name for name, cells in table.items() if cells.texts and schema_.FLAGS.issuperset(cells.texts)}

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        if chunk is not None and not self._gzip:
            assert self.bounds is not None
            _require_same(self.path, self._stamp)
            with self._open() as file:
                file.seek(self._offsets[chunk])
                block = file.read(self._offsets[chunk + 1] - self._offsets[chunk])
            yield int(self.bounds[chunk]), self._parse(block, kinds, int(self.bounds[chunk]))
            return
        bounds, offsets = [0], list(self._offsets[:1])
        for offset, block in itertools.islice(self._blocks(), int(self._header), None):
            cells = self._parse(block, kinds, bounds[-1])
            yield bounds[-1], cells
            bounds.append(bounds[-1] + len(next(iter(cells.values()))))
            offsets.append(offset + len(block))
        self.rows, self.complete, self._offsets = bounds[-1], True, offsets
        self.bounds = np.array([0, bounds[-1]] if self._gzip else bounds, np.int64)
        if not self.rows:
            raise ShapeError(f"expected at least one row below the header{self.where}; received none")

    def _parse(self, block: bytes, kinds: dict[str, str], first: int) -> dict[str, Cells]:
        """The cells of a block of whole rows, the first of which has this number."""
        self._lines &= not (b'"' in block or b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\r", b"\n"))
        try:
            self.complete or block.decode()
        except UnicodeDecodeError as error:
            raise self._not_utf8(first + block.count(b"\n", 0, error.start)) from None
        pa, pacsv = _arrow("pyarrow"), _arrow("pyarrow.csv")
        types = {"number": pa.float64(), "flag": pa.bool_(), "category": pa.dictionary(pa.int32(), pa.string())}
        flags = self._flags if "number" in kinds.values() else set()
        read = {name: "flag" if kind == "number" and name in flags else kind for name, kind in kinds.items()}
        ragged = []

        def note(row: Any) -> str:
            ragged.append(row)
            return "error"

        try:
            table = pacsv.read_csv(
                io.BytesIO(block),
                pacsv.ReadOptions(column_names=self.columns, use_threads=False, block_size=len(block) + 1),
                pacsv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=b'"' in block, invalid_row_handler=note),
                pacsv.ConvertOptions(
                    column_types={name: types[kind] for name, kind in read.items()}, include_columns=list(kinds),
                    null_values=list(MISSING), strings_can_be_null=True,
                ),
            )  # fmt: skip
        except pa.ArrowInvalid as error:
            if ragged:
                row = first + (ragged[0].number or 1) - 1
                raise _at(FileFormatError(
                    f"expected {ragged[0].expected_columns} cells in each row{self.where}; received "
                    f"{ragged[0].actual_columns} in {self._place(row)}: {ragged[0].text[:80]!r}"), row
                ) from None  # fmt: skip
            raise self._wrong_cell(block, kinds, first, error) from None
        return {name: _cells(table.column(name), kinds[name]) for name in kinds}

    def _wrong_cell(self, block: bytes, kinds: dict[str, str], first: int, error: Any) -> Exception:
        """The error for a block that has a cell which is no number."""
        if "number" in kinds.values() and "conversion error" in str(error):
            texts = self._parse(block, {name: "category" for name, kind in kinds.items() if kind == "number"}, first)
            wrong = []
            for name, cells in texts.items():
                bad = [not is_arrow_number(text) for text in cells.texts]
                rows = np.flatnonzero(np.array([*bad, False])[cells.codes])
                wrong += [(int(rows[0]), name, cells.texts[cells.codes[rows[0]]])] if len(rows) else []  # type: ignore
            if wrong:
                row, name, text = min(wrong)
                return _at(FileFormatError(
                    f"expected a number in column {name!r}{self.where}, as in most rows; received {text!r} in "
                    f"{self._place(first + row)}. Correct it, or take the column as categories: categories=[{name!r}]"),
                    first + row)  # fmt: skip
        return FileFormatError(f"expected a CSV file; received {str(self.path)!r}, near row {first}: {error}")


def _is_data(cells: list[str]) -> bool:
    """Whether what should be names of columns are numbers; those of some tables are 0, 1, 2, ..."""
    values = [cell for cell in cells if schema_.is_number(cell) and any(map(str.isdigit, cell))]
    return any(not cell.strip().isdigit() for cell in values) or len(set(values)) < len(values)


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _require_same(path: Path, stamp: tuple[int, int]) -> None:
    """That a file is what it was when its stamp was taken."""
    try:
        same = _stamp(path) == stamp
    except FileNotFoundError:
        raise MissingFileError(f"expected the file read at first; {str(path)!r} is not there any more") from None
    if not same:
        raise FileFormatError(f"expected the file read at first; received one that changed since of {path}")


def is_arrow_number(text: str) -> bool:
    """Whether pyarrow reads a text as a number."""
    pa = _arrow("pyarrow")
    try:
        pa.array([text]).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _row_end(block: bytes, first: bool) -> int:
    """Where the last (or first) whole row of a block ends; 0: there is none. Line ends in quotes do not count."""
    if b'"' not in block:
        return (block.find(b"\n") if first else block.rfind(b"\n")) + 1
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == 10)
    outside = ends[np.searchsorted(np.flatnonzero(characters == 34), ends) % 2 == 0]
    return int(outside[0 if first else -1]) + 1 if len(outside) else 0


# ---- Parquet


class ParquetTable(Table):
    """A Parquet file. Each row group is a chunk."""

    complete = True

    def __init__(self, path: Path) -> None:
        pa, self._parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
        self.path, self.where, self._stamp = path, f" of {path}", _stamp(path)
        try:
            with self._parquet.ParquetFile(path) as file:
                schema, index = file.schema_arrow, _index_of(file.schema_arrow)
                self._types = dict(zip(schema.names, schema.types, strict=True))
                self.columns = [name for name in schema.names if name not in index]
                groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"expected a Parquet file; received {str(path)!r}: {error}") from None
        self.bounds = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self.rows = int(self.bounds[-1])
        if not self.rows:
            raise ShapeError(f"expected at least one row{self.where}; received none")

    def kinds(self, names: list[str]) -> dict[str, str]:
        return {name: _arrow_kind(name, self._types[name], self.where) for name in names}

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        pa = _arrow("pyarrow")
        groups = range(len(self.bounds) - 1) if chunk is None else [chunk]  # type: ignore[arg-type]
        number = 0 if chunk is None else int(self.bounds[chunk])  # type: ignore[index]
        at_once = max(256, 4 * PIECE // (4 * len(kinds)))
        _require_same(self.path, self._stamp)
        ahead = min(max(16 * PIECE // len(kinds), 4096), PIECE)  # bytes of each column in the reader's hands
        try:
            with self._parquet.ParquetFile(self.path, buffer_size=ahead, pre_buffer=False) as file:
                for batch in file.iter_batches(at_once, groups, list(kinds), use_threads=False):
                    yield number, {name: _cells(batch.column(name), kind) for name, kind in kinds.items()}
                    number += batch.num_rows
        except PynnError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"expected an intact Parquet file; received {str(self.path)!r}, damaged near row {number}: {error}"
            ) from None


def _index_of(schema: Any) -> set[str]:
    """Columns that hold the index of a pandas frame, which is none of its columns."""
    return {name for name in (schema.pandas_metadata or {}).get("index_columns", ()) if isinstance(name, str)}


def _arrow_kind(name: str, kind: Any, where: str) -> str:
    types = _arrow("pyarrow").types
    if types.is_dictionary(kind):
        plain = types.is_integer(kind.value_type) or types.is_floating(kind.value_type)
        return "category" if plain else _arrow_kind(name, kind.value_type, where)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return "number"
    if types.is_null(kind):  # all missing
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "category"
    if types.is_temporal(kind):
        raise schema_.dates(name, where, kind)
    raise DtypeError(
        f"expected numbers, booleans or texts; received column {name!r}{where} of {kind}. "
        f"Leave it out: exclude=[{name!r}]"
    )


@cache
def _plain_numbers() -> frozenset[Any]:
    """Types whose numbers are taken where they lie."""
    pa = _arrow("pyarrow")
    return frozenset((pa.float32(), pa.float64()))


def _cells(column: Any, kind: str) -> Cells:
    """A column of pyarrow's as cells."""
    pa = _arrow("pyarrow")
    if kind == "number":
        if not column.null_count and column.type in _plain_numbers():
            return Cells(column.to_numpy())
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        if not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
            column = column.cast(pa.float64(), safe=False)
        values = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
        return Cells(values if values.dtype.kind == "f" else values.astype(np.float64))
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts = [schema_.text_of(value) for value in column.dictionary.to_pylist()]
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Cells(codes=codes, texts=texts)


# ---- data frames


class FrameTable(Table):
    """A data frame in memory: pandas, polars or a pyarrow table."""

    complete = True

    def __init__(self, frame: Any) -> None:
        if not hasattr(frame, "__len__"):
            raise ArgumentTypeError(f"expected a data frame; received a {type(frame).__name__}: collect() it first")
        self.where = f" of the {type(frame).__name__}"
        if type(frame).__name__ == "RecordBatch":
            frame = _arrow("pyarrow").Table.from_batches([frame])
        self._frame = frame
        names = frame.columns
        if hasattr(frame, "column_names"):  # pyarrow
            names = [name for name in frame.column_names if name not in _index_of(frame.schema)]
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
            return _cells(column, kind)
        if kind == "category":
            return Cells.of(_scalars(name, column.to_list(), self.where))
        values = np.asarray(column.to_numpy())
        if values.dtype.kind not in "fiub":  # nullable columns, and texts where numbers were before
            try:
                values = np.array([np.nan if _absent(v) else float(v) for v in values.tolist()])
            except (TypeError, ValueError) as error:
                raise DtypeError(f"expected numbers in column {name!r}{self.where}; received {error}") from None
        return Cells(values if values.dtype.kind == "f" else values.astype(np.float64))


def _absent(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


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
    """Numbers and missing ones are numbers, whatever they are kept as."""
    return "number" if all(_absent(value) or isinstance(value, numbers.Number) for value in values) else "category"


def _frame_kind(name: str, column: Any, where: str) -> str:
    if hasattr(column, "combine_chunks"):
        return _arrow_kind(name, column.type, where)
    kind = str(column.dtype).lower().removeprefix("sparse[")
    if kind == "null":  # all missing
        return "number"
    if kind == "object":
        return _kind_of_objects(column.to_list())
    if kind.startswith(("int", "uint", "float", "bool", "decimal", "double", "boolean")):
        return "number"
    if kind.startswith(("datetime", "date", "time", "duration", "period")):
        raise schema_.dates(name, where, column[0] if not hasattr(column, "iloc") else column.iloc[0])
    if kind in ("str", "string", "utf8", "category", "large_string") or kind.startswith(
        ("string", "category", "categorical", "enum")
    ):
        return "category"
    raise DtypeError(
        f"expected numbers, booleans or texts; received column {name!r}{where} of {kind}. "
        f"Leave it out: exclude=[{name!r}]"
    )


# ---- learning a schema, and reading by it


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


def is_frame(data: Any) -> bool:
    """Whether an object is a data frame or table with named columns."""
    named = hasattr(type(data), "columns") or "columns" in getattr(data, "__dict__", ())  # without asking for them
    return hasattr(data, "column_names") or (named and hasattr(data, "__getitem__"))


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


def _at(error: Any, row: int) -> Any:
    error.row = row
    return error
