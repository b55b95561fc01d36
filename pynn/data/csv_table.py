"""CSV files, plain or gzip, read in pieces of whole rows."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentValueError, FileFormatError, ShapeError
from . import arrow
from . import schema as schema_
from .schema import MISSING, Cells
from .table import PIECE, Table, require_same, stamp_of

__all__ = ["CsvTable"]

LONGEST = 1 << 26  # bytes of a row


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
        self._first, self._stamp = next(blocks, (0, b""))[1], stamp_of(path)
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
            require_same(self.path, self._stamp)
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
        pa, pacsv = arrow.module("pyarrow"), arrow.module("pyarrow.csv")
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
        return {name: arrow.cells(table.column(name), kinds[name]) for name in kinds}

    def _wrong_cell(self, block: bytes, kinds: dict[str, str], first: int, error: Any) -> Exception:
        """The error for a block that has a cell which is no number."""
        if "number" in kinds.values():
            texts = self._parse(block, {name: "category" for name, kind in kinds.items() if kind == "number"}, first)
            wrong = []
            for name, cells in texts.items():
                bad = [not arrow.is_number(text) for text in cells.texts]
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


def _row_end(block: bytes, first: bool) -> int:
    """Where the last (or first) whole row of a block ends; 0: there is none. Line ends in quotes do not count."""
    if b'"' not in block:
        return (block.find(b"\n") if first else block.rfind(b"\n")) + 1
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == 10)
    outside = ends[np.searchsorted(np.flatnonzero(characters == 34), ends) % 2 == 0]
    return int(outside[0 if first else -1]) + 1 if len(outside) else 0


def _at(error: Any, row: int) -> Any:
    error.row = row
    return error
