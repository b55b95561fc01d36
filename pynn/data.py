"""Batches: the data loader, the arrays it hands out, and the protocol that sources of rows follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from . import arrays
from .errors import ArgumentTypeError, ArgumentValueError, DtypeError, NonfiniteDataError, ShapeError

__all__ = ["Batch", "DataLoader", "Source"]


@runtime_checkable
class Source(Protocol):
    """Rows that can be asked for by number: what `DataLoader` takes beside arrays and data frames.

    ``len(source)`` is the number of rows; ``read_rows(rows)`` returns these rows as an array of numbers, in this order.
    It may read them from anywhere, and is called with an int64 array of valid row numbers, once for each batch.
    """

    def __len__(self) -> int: ...

    def read_rows(self, rows: np.ndarray) -> np.ndarray: ...


class Batch(np.ndarray):
    """An ndarray that remembers which rows of the user's data it holds.

    Attributes
    ----------
    rows : ndarray of int64, or None
        ``batch[i]`` is row ``rows[i]`` of the data set. Elementwise arithmetic, ``astype`` and selecting rows keep
        them; whatever could break the correspondence (transposing, reshaping, sums) gives None.
    """

    rows: np.ndarray | None

    def __array_finalize__(self, obj: Any) -> None:
        self.rows = None

    def __getitem__(self, index: Any) -> Any:
        result = super().__getitem__(index)
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
        selects = isinstance(first, slice) or (isinstance(first, (list, np.ndarray)) and np.asarray(first).ndim == 1)
        in_place = sum(not isinstance(i, slice) for i in rest) < 2  # more could move the rows to another axis
        if self.rows is not None and selects and in_place and isinstance(result, Batch):
            rows = self.rows[first]
            if rows.shape == result.shape[:1]:
                result.rows = rows
        return result

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if out is not None:
            options["out"] = tuple(np.asarray(o) if isinstance(o, Batch) else o for o in out)
        result = getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Batch) else x for x in inputs), **options)
        if out is not None:
            return out[0] if len(out) == 1 else out
        if method != "__call__" or ufunc.signature is not None or not isinstance(result, np.ndarray):
            return result
        batches = [x for x in inputs if isinstance(x, Batch)]
        if any(x.shape[:1] != result.shape[:1] or x.ndim != result.ndim for x in batches):
            return result
        rows = batches[0].rows
        same = all(x.rows is rows or np.array_equal(x.rows, rows) for x in batches)  # type: ignore[arg-type]
        return _batch(result, rows if same else None)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """As ``ndarray.astype``; the rows stay known."""
        return _batch(np.asarray(self).astype(dtype, *args, **options), self.rows)


def _batch(array: np.ndarray, rows: np.ndarray | None) -> Batch:
    batch = array.view(Batch)
    batch.rows = rows
    return batch


class DataLoader:
    """Iterate over data in batches, in order or shuffled anew in each epoch.

    Rows are gathered batch by batch, without a copy of the whole: a memory-mapped file larger than memory is as good as
    an array. The order depends on ``(seed, epoch, number of rows)`` alone: not on the threads, the kind of source or
    what was iterated before.

    Parameters
    ----------
    X : array, memmap, data frame or `Source`, one entry of the first axis for each row
        Any numeric dtype, memory order and strides, read-only too. Batches keep the dtype.
    y : the same, optional
        Targets or integer labels.
    sample_weight : array of shape (rows,) or (rows, 1), optional
        What each row's loss is multiplied by: finite, >= 0.
    batch_size : int, at least 1
    shuffle : bool
        A new permutation in each epoch.
    drop_last : bool
        Leave out a last batch of fewer than `batch_size` rows.
    seed : int in 0 ... 2**64 - 1

    Yields
    ------
    xb, ``(xb, yb)`` or ``(xb, yb, wb)``
        `Batch` arrays, which are ndarrays with ``.rows``; the caller owns them. With weights but without targets,
        ``yb`` is None.

    Attributes
    ----------
    epoch : int
        Number of the epoch that the next iteration runs; it counts up when an iteration starts.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> loader = pynn.DataLoader(np.arange(10.0).reshape(5, 2), [0, 1, 0, 1, 1], batch_size=2)
    >>> for xb, yb in loader:
    ...     print(xb.shape, yb.tolist(), xb.rows.tolist())
    (2, 2) [0, 1] [0, 1]
    (2, 2) [0, 1] [2, 3]
    (1, 2) [1] [4]
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.batch_size = _integer("batch_size", batch_size, 1, 2**63 - 1)
        self.shuffle = _boolean("shuffle", shuffle)
        self.drop_last = _boolean("drop_last", drop_last)
        self.seed = _integer("seed", seed, 0, 2**64 - 1)
        self._x = _source("X", X)
        self._y = None if y is None else _source("y", y)
        self.n_rows = len(self._x)
        if self.n_rows == 0:
            raise ShapeError("expected X with at least one row; received X with 0 rows")
        if self._y is not None and len(self._y) != self.n_rows:
            raise ShapeError(
                f"expected y with {self.n_rows} rows, one for each row of X; received y with {len(self._y)} rows"
            )
        arrays.as_weights(sample_weight, self.n_rows)  # refuses what is no weight
        self._w = None if sample_weight is None else _ArraySource(np.asarray(sample_weight))
        if self.drop_last and self.batch_size > self.n_rows:
            raise ArgumentValueError(
                f"expected batch_size of at most {self.n_rows}, the rows of X, since drop_last=True would leave no "
                f"batch; received batch_size={self.batch_size}"
            )
        self.epoch = 0
        self._started: tuple[int, int] | None = None  # epoch being iterated, batches handed out
        self._iteration: object = None  # the newest iteration; only it moves the position
        self._first = 0  # batches that the next iteration leaves out: they were seen before a resume

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.n_rows // self.batch_size if self.drop_last else -(-self.n_rows // self.batch_size)

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.n_rows} rows, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"drop_last={self.drop_last}, seed={self.seed}, epoch={self.epoch})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration run this epoch from its first batch."""
        self.epoch = _integer("epoch", epoch, 0, 2**63 - 1)
        self._started, self._iteration, self._first = None, None, 0

    def order(self, epoch: int) -> np.ndarray:
        """Row numbers in the order in which an epoch visits them: an int64 permutation of 0 ... rows-1."""
        epoch = _integer("epoch", epoch, 0, 2**63 - 1)
        return arrays.shuffle(self.seed, epoch, self.n_rows) if self.shuffle else np.arange(self.n_rows, dtype=np.int64)

    def __iter__(self) -> Iterator[Any]:
        epoch, first = self.epoch, self._first
        self.epoch, self._first = epoch + 1, 0
        self._started = (epoch, first)
        self._iteration = token = object()
        return self._batches(epoch, first, token)

    def _batches(self, epoch: int, first: int, token: object) -> Iterator[Any]:
        order = self.order(epoch)
        for index in range(first, len(self)):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            batch = self._take(rows)
            if self._iteration is token:
                self._started = (epoch, index + 1)
            yield batch

    def _take(self, rows: np.ndarray) -> Any:
        x = _batch(_taken("X", self._x, rows), rows)
        if self._y is None and self._w is None:
            return x
        y = None if self._y is None else _batch(_taken("y", self._y, rows), rows)
        return (x, y) if self._w is None else (x, y, _batch(_taken("sample_weight", self._w, rows), rows))

    def state_dict(self) -> dict[str, Any]:
        """Where iteration stands: a small dict of plain values, for JSON or a checkpoint.

        Taken inside a ``for`` loop, the batch that the loop body holds counts as seen.
        """
        epoch, batch = self._started or (self.epoch, self._first)
        if batch >= len(self):
            epoch, batch = epoch + 1, 0
        return {"epoch": epoch, "batch": batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken: same order, next batch.

        The loader must have been made with the same number of rows, batch size, shuffling, `drop_last` and seed.
        """
        if not isinstance(state, dict):
            raise ArgumentTypeError(f"expected a dict from DataLoader.state_dict(); received state={state!r}")
        for name, mine in self._identity().items():
            if name not in state or state[name] != mine:
                raise ArgumentValueError(
                    f"expected the state of a DataLoader with {name}={mine!r}; received {name}={state.get(name)!r}"
                )
        epoch = _integer("state['epoch']", state.get("epoch"), 0, 2**63 - 1)
        first = _integer("state['batch']", state.get("batch"), 0, len(self) - 1)
        self.set_epoch(epoch)
        self._first = first

    def _identity(self) -> dict[str, Any]:
        return {
            "rows": self.n_rows,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": self.seed,
        }


class _ArraySource:
    """Rows of an array of any rank, gathered in C where the array can be seen as a matrix without a copy."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self._native = array.dtype.newbyteorder("=")
        matrix = array[:, np.newaxis] if array.ndim == 1 else array
        if matrix.ndim > 2 and matrix.flags.c_contiguous and matrix.size:
            matrix = matrix.reshape(len(matrix), -1)
        self._matrix = matrix if matrix.ndim == 2 and matrix.size and matrix.dtype.isnative else None

    def __len__(self) -> int:
        return len(self._array)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        if self._matrix is None:
            return np.take(self._array, rows, axis=0).astype(self._native, copy=False)
        return arrays.gather(self._matrix, rows).reshape(len(rows), *self._array.shape[1:])


class _FrameSource:
    """Rows of a data frame or series: pandas (`iloc`), or polars and others that take an array of row numbers."""

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


def _missing(row: np.ndarray) -> bool:
    return any(value is None or type(value).__name__ == "NAType" or value != value for value in row.tolist())


_NATIVE = frozenset(np.dtype(c) for c in ("f4", "f8", "f2", "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"))


def _source(name: str, data: Any) -> Source:
    if isinstance(data, Source):
        return data
    if hasattr(data, "to_numpy") and hasattr(data, "__getitem__"):
        return _FrameSource(name, data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ArgumentValueError(
            f"expected {name} as an array with rows; received {name} that is none: {error}"
        ) from error
    if array.ndim == 0:
        raise ArgumentTypeError(f"expected {name} as an array with rows; received {name}={data!r}")
    _numeric(name, array.dtype, data)
    return _ArraySource(array)


def _numeric(name: str, dtype: np.dtype, data: Any) -> np.dtype:
    if dtype.newbyteorder("=") not in _NATIVE:
        columns = ""
        if hasattr(data, "columns") and hasattr(data, "dtypes"):
            kinds = zip(data.columns, data.dtypes, strict=True)
            odd = [repr(c) for c, kind in kinds if not str(kind).lower().startswith(("int", "uint", "float", "bool"))]
            columns = f" (columns {', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''})" if odd else ""
        raise DtypeError(
            f"expected {name} of real or integer numbers, at most 64 bits each; received {name}.dtype={dtype}{columns}"
        )
    return dtype.newbyteorder("=")


def _taken(name: str, source: Source, rows: np.ndarray) -> np.ndarray:
    array = np.asarray(source.read_rows(rows))
    if array.ndim == 0 or len(array) != len(rows):
        raise ShapeError(f"expected {len(rows)} rows from {name}.read_rows; received an array of shape {array.shape}")
    return array


def _integer(name: str, value: Any, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(f"expected an integer {name}; received {name}={value!r}")
    if not minimum <= value <= maximum:
        raise ArgumentValueError(f"expected {name} in {minimum} ... {maximum}; received {name}={value!r}")
    return int(value)


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"expected {name} as True or False; received {name}={value!r}")
    return bool(value)
