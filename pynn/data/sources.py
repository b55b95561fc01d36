"""Where rows come from: arrays, data frames, files, sparse matrices, data sets, streams, behind one small protocol."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from .. import arrays
from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DtypeError,
    FileError,
    FileFormatError,
    MissingFileError,
    NonfiniteDataError,
    ShapeError,
)
from .schema import schema_of_frame

__all__ = ["Indexed", "Items", "Rows", "Source", "Span", "Stream", "open_source"]


@dataclass(slots=True)
class Rows:
    """Some rows, whole: what sources hand over.

    `numbers` says which rows of the source they are. `targets` and `weights` are None where the source has none.
    """

    numbers: np.ndarray
    x: Any
    targets: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Rows:
        parts = (None if part is None else part[rows] for part in (self.x, self.targets, self.weights))
        return Rows(self.numbers[rows], *parts)


class Source:
    """What a `DataLoader` reads from. Derive from it to bring rows of your own.

    Everything is a function of row or chunk numbers, so a source has no position to save: the loader's is enough.

    Attributes
    ----------
    rows : int or None
        How many there are; None: as many as come until the end.
    bounds : ndarray of int64, or None
        None: rows can be asked for by number, and `gather` is called. Else chunk i holds the rows
        ``bounds[i] ... bounds[i+1]-1`` and `chunk` is called: for files that can be entered at some rows, in order from
        there. A stream that can only be read from its beginning is one chunk, ``[0, rows]``, or ``[0]`` when `rows` is
        None.
    row_bytes : int
        About the size of a row in memory; 0: not known. Buffers are sized by it.
    fill : sequence of float or None
        What stands for missing cells of each column, where that is known before the data are read.
    schema : Schema or None
        What the columns and labels mean, as far as that is known.
    """

    rows: int | None = None
    bounds: np.ndarray | None = None
    row_bytes = 0
    fill: Any = None
    schema: Any = None

    def gather(self, rows: np.ndarray) -> Rows:
        """These rows, in this order. It may be called from another thread, by one at a time."""
        raise NotImplementedError

    def chunk(self, index: int) -> Iterator[Rows]:
        """The rows of a chunk in order, in pieces of any length."""
        raise NotImplementedError

    def labels(self) -> np.ndarray | None:
        """Targets of all rows, when they are in memory: for samplers and balanced weights."""
        return None

    def split(self, row: int) -> tuple[Source, Source]:
        """The rows before this one, and those from it on."""
        return Span(self, 0, row), Span(self, row, int(self.rows or 0))

    def state(self) -> dict[str, Any]:
        """What was learned from the data and belongs into a saved state (vocabularies): plain values for JSON."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """What `state` returned."""


class Span(Source):
    """Rows first ... last - 1 of another source, which keep their numbers."""

    def __init__(self, source: Source, first: int, last: int) -> None:
        self._source, self._first, self._last = source, first, last
        self.rows, self.row_bytes, self.fill = last - first, source.row_bytes, source.fill
        for name in ("schema", "columns", "name"):
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))
        if source.bounds is not None:
            inside = (source.bounds > first) & (source.bounds < last)
            self.bounds = np.concatenate([[first], source.bounds[inside], [last]])
            self._chunk = int(np.searchsorted(source.bounds, first, side="right")) - 1

    def gather(self, rows: np.ndarray) -> Rows:
        return self._source.gather(rows + self._first)

    def chunk(self, index: int) -> Iterator[Rows]:
        for rows in self._source.chunk(self._chunk + index):
            if rows.numbers[0] >= self._last:
                return
            inside = (rows.numbers >= self._first) & (rows.numbers < self._last)
            if inside.all():
                yield rows
            elif inside.any():
                yield rows[inside]

    def labels(self) -> np.ndarray | None:
        labels = self._source.labels()
        return None if labels is None else labels[self._first : self._last]

    def state(self) -> dict[str, Any]:
        return self._source.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self._source.load_state(state)


# ---- parts: one array of rows each


class ArrayPart:
    """Rows of an array of any rank, gathered in C where the array can be seen as a matrix without a copy."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self._native = array.dtype.newbyteorder("=")
        matrix = array[:, np.newaxis] if array.ndim == 1 else array
        if matrix.ndim > 2 and matrix.flags.c_contiguous and matrix.size:
            matrix = matrix.reshape(len(matrix), -1)
        self._matrix = matrix if matrix.ndim == 2 and matrix.size and matrix.dtype.isnative else None
        self.row_bytes = array.itemsize * int(np.prod(array.shape[1:]))
        try:
            self._file: FileRows | None = FileRows(array)
        except (ValueError, OSError):
            self._file = None
        self.mapped = self._file is not None

    def __len__(self) -> int:
        return len(self.array)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        if self._file is not None:
            return self._file.read(rows)
        if self._matrix is None:
            return np.take(self.array, rows, axis=0).astype(self._native, copy=False)
        return arrays.gather(self._matrix, rows).reshape(len(rows), *self.array.shape[1:])


class FileRows:
    """Rows of a mapped array, read from its file: pages of a mapping stay in this process, what is read does not.

    Raises
    ------
    ValueError
        Rows do not lie one after another in a file that can be read, or the file's name is another's by now.
    """

    def __init__(self, array: np.ndarray) -> None:
        base: Any = array
        whole: Any = None
        while isinstance(base, np.ndarray):
            if isinstance(base, np.memmap) and base.mode != "c":  # a private mapping may hold changes
                whole = base
            base = base.base
        if whole is None or whole.filename is None or not isinstance(base, mmap.mmap) or not hasattr(os, "preadv"):
            raise ValueError("not to be read from a file")
        if array.ndim < 1 or not len(array) or not array[:1].flags.c_contiguous:
            raise ValueError("rows do not lie one after another")
        self._dtype, self._shape, self._step = array.dtype, array.shape[1:], array.strides[0]
        self._bytes = array.itemsize * int(np.prod(self._shape))
        self._offset = whole.offset + array.ctypes.data - whole.ctypes.data
        self._file = open(whole.filename, "rb")  # noqa: SIM115
        ends = np.array([0, len(array) - 1])
        if self.read(ends).tobytes() != np.ascontiguousarray(array[ends]).tobytes():
            raise ValueError("another file")

    def read(self, rows: np.ndarray) -> np.ndarray:
        """These rows."""
        out = np.empty((len(rows), *self._shape), self._dtype)
        lost = None
        if out.size:
            lost = arrays.read_rows(self._file.fileno(), self._offset, self._step, self._bytes, rows, out)
        if lost is not None:
            raise FileFormatError(f"expected row {lost} in {self._file.name!r}; received a file that ends before")
        return out.astype(self._dtype.newbyteorder("="), copy=False)


class FramePart:
    """Rows of a data frame or series: pandas (`iloc`), or polars and others that take an array of row numbers."""

    row_bytes = 0

    def __init__(self, name: str, frame: Any) -> None:
        self._name = name
        self._rows = len(frame)
        self._frame = frame.iloc if hasattr(frame, "iloc") else frame
        self._dtype = _numeric(name, self._frame[np.arange(min(1, self._rows))].to_numpy().dtype, frame)

    def __len__(self) -> int:
        return self._rows

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        values = self._frame[rows].to_numpy()
        if values.dtype != self._dtype and not np.can_cast(values.dtype, self._dtype, "same_kind"):
            missing = [int(r) for r, row in zip(rows, values.reshape(len(rows), -1), strict=True) if _missing(row)]
            raise NonfiniteDataError(
                f"expected {self._name} without missing values; received missing ones in rows {missing[:20]}"
            )
        return np.ascontiguousarray(values, dtype=self._dtype)


class SparsePart:
    """Rows of a scipy.sparse matrix, as CSR; they stay sparse."""

    def __init__(self, name: str, matrix: Any) -> None:
        self.matrix = arrays.as_csr(matrix, name)
        self.row_bytes = 1 + self.matrix.data.nbytes // max(1, self.matrix.shape[0])

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def read_rows(self, rows: np.ndarray) -> Any:
        return self.matrix[rows]


def _missing(row: np.ndarray) -> bool:
    return any(value is None or type(value).__name__ == "NAType" or value != value for value in row.tolist())


_NATIVE = frozenset(np.dtype(c) for c in ("f4", "f8", "f2", "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"))


def _numeric(name: str, dtype: np.dtype, data: Any) -> np.dtype:
    if dtype.newbyteorder("=") not in _NATIVE:
        columns = ""
        if hasattr(data, "columns") and hasattr(data, "dtypes"):
            kinds = zip(data.columns, data.dtypes, strict=True)
            odd = [repr(c) for c, kind in kinds if not str(kind).lower().startswith(("int", "uint", "float", "bool"))]
            columns = f" (columns {', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''})" if odd else ""
            columns += "; DataLoader.from_table codes columns of text" if odd else ""
        raise DtypeError(
            f"expected {name} of real or integer numbers, at most 64 bits each; received {name}.dtype={dtype}{columns}"
        )
    return dtype.newbyteorder("=")


def part(name: str, data: Any) -> Any:
    """Rows of one thing that has them: an object with ``len`` and ``read_rows(rows)``."""
    if hasattr(data, "read_rows") and hasattr(data, "__len__"):
        return data
    if isinstance(data, (str, os.PathLike)):
        return ArrayPart(_file(name, Path(data)))
    if hasattr(data, "nnz") and hasattr(data, "tocsr"):
        return SparsePart(name, data)
    if hasattr(data, "combine_chunks") or hasattr(data, "to_pylist"):  # pyarrow
        columns = data.columns if hasattr(data, "columns") else [data]
        data = [np.asarray(column.to_numpy(zero_copy_only=False)) for column in columns]
        data = np.column_stack(data) if len(data) > 1 else data[0]
    elif hasattr(data, "to_numpy") and hasattr(data, "__getitem__"):
        return FramePart(name, data)
    try:
        array = np.asarray(data) if not isinstance(data, np.ndarray) or type(data) is not np.memmap else data
    except ValueError as error:
        raise ArgumentValueError(
            f"expected {name} as an array with rows; received {name} that is none: {error}"
        ) from error
    if array.ndim == 0:
        raise ArgumentTypeError(f"expected {name} as an array with rows; received {name}={data!r}")
    _numeric(name, array.dtype, data)
    return ArrayPart(array)


def _file(name: str, path: Path) -> np.ndarray:
    """The array in an .npy file (mapped, not read) or an IDX file, plain or gzip; each entry of IDX as one row."""
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
    except FileNotFoundError:
        raise MissingFileError(
            f"expected {name} as data or a file; received {str(path)!r}, which does not exist"
        ) from None
    except OSError as error:
        raise FileError(f"expected {name} as data or a file; received {str(path)!r}: {error.strerror}") from None
    if magic.startswith(b"\x93NUMPY"):
        try:
            return np.load(path, mmap_mode="r")
        except (ValueError, TypeError, SyntaxError, EOFError, OverflowError, TokenError) as error:
            raise FileFormatError(
                f"expected an intact .npy file of numbers; received {str(path)!r} ({error})"
            ) from None
    if magic[:2] in (b"\0\0", b"\x1f\x8b"):
        from ..datasets import idx

        array = idx.read(path)
        return array.reshape(len(array), -1) if array.ndim > 1 else array
    raise FileFormatError(
        f"expected {name} as an .npy or IDX file; received {str(path)!r}: for CSV and Parquet, "
        "DataLoader.from_table(path, target=...)"
    )


# ---- sources


class Indexed(Source):
    """X, targets and weights, each of them rows that can be asked for by number."""

    def __init__(self, x: Any, y: Any = None, weights: Any = None) -> None:
        self.x, self.y, self.weights = part("X", x), None if y is None else part("y", y), weights
        self.rows: int = len(self.x)
        self.first = 0  # number of the first row
        if self.rows == 0:
            raise ShapeError("expected X with at least one row; received X with 0 rows")
        if self.y is not None and len(self.y) != self.rows:
            raise ShapeError(
                f"expected y with {self.rows} rows, one for each row of X; received y with {len(self.y)} rows"
            )
        self.schema = schema_of_frame(x)
        arrays.as_weights(weights, self.rows, outputs=None)  # refuses values that cannot be weights
        self._w = None if weights is None else ArrayPart(np.asarray(weights))
        self.row_bytes = getattr(self.x, "row_bytes", 0)

    def gather(self, rows: np.ndarray) -> Rows:
        parts = (("X", self.x), ("y", self.y), ("sample_weight", self._w))
        taken = (None if part is None else _taken(name, part, rows) for name, part in parts)
        return Rows(rows + self.first if self.first else rows, *taken)

    def labels(self) -> np.ndarray | None:
        return None if self.y is None else _taken("y", self.y, np.arange(self.rows))

    def split(self, row: int) -> tuple[Source, Source]:
        """Arrays that share memory with these, where all parts are arrays."""
        parts = [self.x, self.y, self._w]
        if not all(part is None or isinstance(part, (ArrayPart, SparsePart)) for part in parts):
            return super().split(row)
        whole = [None if p is None else p.array if isinstance(p, ArrayPart) else p.matrix for p in parts]
        first, last = ([None if p is None else p[side] for p in whole] for side in (slice(row), slice(row, None)))
        pair = self._with(*first), self._with(*last)
        for other, start in zip(pair, (self.first, self.first + row), strict=True):
            other.first, other.schema, other.fill = start, self.schema, self.fill
        return pair

    def _with(self, x: Any, y: Any, weights: Any) -> Indexed:
        return Indexed(x, y, weights)

    @cached_property
    def arrays(self) -> tuple[Any, Any, Any] | None:
        """X, y and weights where all of them are matrices in memory; None for other parts and for mapped files."""
        found: list[Any] = []
        for rows in (self.x, self.y, self._w):
            if isinstance(rows, SparsePart):
                found.append(rows.matrix)
            elif isinstance(rows, ArrayPart) and not rows.mapped:
                found.append(rows.array)
            elif rows is None:
                found.append(None)
            else:
                return None
        return found[0], found[1], found[2]


def _taken(name: str, source: Any, rows: np.ndarray) -> Any:
    taken = source.read_rows(rows)
    array = taken if hasattr(taken, "nnz") else np.asarray(taken)
    if array.ndim == 0 or array.shape[0] != len(rows):
        raise ShapeError(f"expected {len(rows)} rows from {name}.read_rows; received an array of shape {array.shape}")
    return array


def _stack(items: Sequence[Any], numbers: np.ndarray) -> Rows:
    """Items of a data set, each ``x`` or a tuple ``(x, y)`` or ``(x, y, weight)``, as rows."""
    tuples = [item if isinstance(item, tuple) else (item,) for item in items]
    width = len(tuples[0])
    columns = []
    for at in range(width):
        name = ("X", "y", "sample_weight")[at] if width <= 3 else "item"
        cells: list[np.ndarray] = []
        for number, item in zip(numbers.tolist(), tuples, strict=True):
            cell = np.asarray(item[at]) if len(item) == width <= 3 else None
            if cell is None or (cells and cell.shape != cells[0].shape):
                shapes = f"{np.shape(item[at])} after {cells[0].shape}" if cell is not None else f"{len(item)} parts"
                raise _at(ShapeError(f"expected items x, (x, y) or (x, y, weight) of one shape; received {name} "
                                     f"of row {number}: {shapes}"), number)  # fmt: skip
            cells.append(cell)
        column = np.stack(cells)
        _numeric(name, column.dtype, None)
        columns.append(column)
    return Rows(numbers, *columns)


def _at(error: Any, row: int) -> Any:
    error.row = row
    return error


class Items(Source):
    """A data set of PyTorch's map style: ``len(data)`` rows, ``data[i]`` is ``x``, ``(x, y)`` or ``(x, y, weight)``."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.rows: int = len(data)
        if self.rows == 0:
            raise ShapeError("expected X with at least one row; received X with 0 rows")

    def gather(self, rows: np.ndarray) -> Rows:
        items = []
        for row in rows.tolist():
            try:
                items.append(self._data[row])
            except Exception as error:
                error.add_note(f"while reading row {row} of the {type(self._data).__name__}")
                raise
        return _stack(items, rows)

    def labels(self) -> np.ndarray | None:
        pieces = [self.gather(np.arange(i, min(i + 1024, self.rows))).targets for i in range(0, self.rows, 1024)]
        return None if pieces[0] is None else np.concatenate(pieces)  # type: ignore[arg-type]


class Stream(Source):
    """Any iterable of rows: ``x``, ``(x, y)`` or ``(x, y, weight)`` each, started over in each epoch."""

    bounds = np.zeros(1, np.int64)
    PIECE = 256

    def __init__(self, items: Any) -> None:
        self._items, self._ended = items, False

    def chunk(self, index: int) -> Iterator[Rows]:
        if self._ended and hasattr(self._items, "__next__"):
            raise ArgumentValueError(
                "expected rows that can be iterated once an epoch; received an iterator, which has run out: pass an "
                "object whose __iter__ starts over"
            )
        iterator, number, ended = iter(self._items), 0, False
        self._ended = True
        while not ended:
            items: list[Any] = []
            while len(items) < self.PIECE and not ended:
                try:
                    items.append(next(iterator))
                except StopIteration:
                    ended = True
                except Exception as error:
                    error.add_note(f"while reading row {number + len(items)} of the {type(self._items).__name__}")
                    raise
            if items:
                yield _stack(items, np.arange(number, number + len(items)))
            number += len(items)
        if not number:
            raise ShapeError("expected X with at least one row; received a stream that ended at once")


_AT_ONCE = (np.ndarray, list, tuple, str, bytes, os.PathLike)
_BY_NUMBER = ("__array__", "read_rows", "to_numpy", "combine_chunks", "tocsr")  # rows can be asked for


def open_source(x: Any, y: Any = None, weights: Any = None) -> Source:
    """The source for what a user calls data."""
    if isinstance(x, Source):
        kind = "a Source"
    elif isinstance(x, Mapping):
        raise ArgumentTypeError(f"expected X as an array with rows; received a {type(x).__name__}")
    elif isinstance(x, _AT_ONCE) or any(hasattr(x, name) for name in _BY_NUMBER):
        return Indexed(x, y, weights)
    elif hasattr(x, "__len__") and hasattr(x, "__getitem__"):
        kind = f"the data set {type(x).__name__}"
    elif hasattr(x, "__iter__"):
        kind = f"the stream {type(x).__name__}"
    else:
        return Indexed(x, y, weights)
    for name, given in (("y", y), ("sample_weight", weights)):
        if given is not None:
            raise ArgumentTypeError(f"expected {name} within the rows of {kind}, as (x, y, weight); received {name}")
    return x if isinstance(x, Source) else Items(x) if kind.startswith("the data set") else Stream(x)
