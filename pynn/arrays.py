"""From anything like an array to what the compiled core reads, without a copy where none is needed.

Any memory order, strides and numeric dtype pass as they are, read-only and memory-mapped arrays too; data frames,
lists, byte-swapped and extended numbers are converted. Everything else is refused with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import ArgumentTypeError, ArgumentValueError, DtypeError, LabelError, ShapeError
from .report.data_faults import bad_cells, bad_labels

__all__ = [
    "as_csr", "as_inputs", "as_matrix", "as_sequences", "as_targets", "as_weights", "find_nonfinite", "gather",
    "is_sparse", "read_rows",
    "require_finite", "shuffle",
]  # fmt: skip

_CHARS = frozenset("efd?bBhHiIlLqQ")  # what the core reads in place
LABELS = "labels as text: classes, y = np.unique(y, return_inverse=True)"
_SCAN_ROWS = 1 << 20  # numbers looked at at a time


def shuffle(seed: int, epoch: int, n: int) -> np.ndarray:
    """A permutation of 0 ... n-1 as int64 that depends on (seed, epoch, n) alone.

    Examples
    --------
    >>> from pynn.arrays import shuffle
    >>> sorted(shuffle(0, 0, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return _core.shuffle(seed, epoch, np.empty(n, np.int64))


def gather(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rows ``x[order]`` of a matrix or vector as a new contiguous array of the same dtype.

    Parameters
    ----------
    x : ndarray of shape (rows,) or (rows, columns)
    order : ndarray of int64
        Row numbers in 0 ... rows-1; unlike NumPy's, negative ones are refused.
    """
    order = np.ascontiguousarray(order, np.int64)
    return _core.gather(x, order, np.empty((len(order), *x.shape[1:]), x.dtype))


def read_rows(file: int, offset: int, step: int, size: int, rows: np.ndarray, out: np.ndarray) -> int | None:
    """Rows of `size` bytes into the contiguous array `out`, from an open file that has them `step` bytes apart.

    They are read in the order of the file, neighbours at once, and other threads run meanwhile. Returns the first row
    that could not be read, None as a rule.
    """
    order = np.argsort(rows)
    ascending = np.ascontiguousarray(rows[order], np.int64)
    done = int(_core.read_rows(file, offset, step, size, ascending, order, out.reshape(-1).view(np.uint8)))
    return int(ascending[done]) if done < len(rows) else None


def as_inputs(x: Any, columns: int | None = None, empty: bool = False, sequences: bool = False) -> Any:
    """X as the core reads it: `as_matrix`, or `as_csr` for scipy's sparse matrices, which stay sparse. With `sequences`
    arrays (rows, timesteps, features) stay as they are."""
    sparse = type(x) is not np.ndarray and is_sparse(x)
    if sequences and not sparse and (np.ndim(x[:1]) if isinstance(x, (list, tuple)) else getattr(x, "ndim", 0)) > 2:
        return _numbers(x, "X")
    return as_csr(x, "X", columns, empty) if sparse else as_matrix(x, "X", columns, empty)


def is_sparse(x: Any) -> bool:
    """Whether `x` is a matrix of scipy.sparse."""
    return hasattr(x, "nnz") and hasattr(x, "tocsr")


def as_matrix(x: Any, name: str = "X", columns: int | None = None, empty: bool = False) -> np.ndarray:
    """`x` as a (rows, columns) array that the core can read; one dimension is one column.

    Raises
    ------
    ShapeError
        No rows (but for `empty`), no columns, other than `columns` of them, ragged, or not one or two dimensions.
    DtypeError
        Strings, objects, complex numbers, dates, records.
    """
    if type(x) is not np.ndarray or x.dtype.char not in _CHARS or not x.dtype.isnative:
        x = _as_numeric(x, name)
    if x.ndim == 1:
        x = x[:, None]
    elif x.ndim != 2:
        hint = f"; {name}.reshape(len({name}), -1) makes one row of each" if x.ndim > 2 else ""
        raise ShapeError(f"expected {name} of shape (rows, columns); received {name} of shape {x.shape}{hint}")
    if x.shape[1] == 0 or (x.shape[0] == 0 and not empty):
        raise ShapeError(f"expected {name} with at least one row and column; received {name} of shape {x.shape}")
    if columns is not None and x.shape[1] != columns:
        hint = f"; one row is {name}[None, :]" if x.shape == (columns, 1) else ""
        raise ShapeError(
            f"expected {name} with {columns} columns, the model's inputs; received {name} of shape {x.shape}{hint}"
        )
    return x


def as_sequences(x: Any, shape: tuple[int, int] | None = None, empty: bool = False) -> np.ndarray:
    """X (rows, timesteps, features) as rows of both, side by side. With `shape`, the timesteps and features that are
    expected, such rows pass as they are.

    Raises
    ------
    ShapeError
        Another rank, no rows (but for `empty`), or not this shape.
    """
    x = _numbers(x, "X")
    wanted = "(rows, timesteps, features)" if shape is None else f"(rows, {shape[0]}, {shape[1]})"
    if shape is not None and x.ndim == 2 and x.shape[1] == shape[0] * shape[1]:
        return x
    if x.ndim != 3 or x.size == 0 < x.size + (not empty) or (shape is not None and x.shape[1:] != shape):
        hint = "; X[:, :, None] makes sequences of one feature" if x.ndim == 2 else ""
        raise ShapeError(
            f"expected X of shape {wanted}, sequences for layers such as LSTM; received X of shape {x.shape}{hint}"
        )
    return x.reshape(len(x), -1) if len(x) else x.reshape(0, x.shape[1] * x.shape[2])


def _numbers(x: Any, name: str) -> np.ndarray:
    """An array of numbers that the core reads in place, of any rank."""
    if type(x) is not np.ndarray or x.dtype.char not in _CHARS or not x.dtype.isnative:
        x = _as_numeric(x, name)
    return x


def _as_numeric(x: Any, name: str) -> np.ndarray:
    if hasattr(x, "to_numpy"):
        return _from_frame(x, name)
    if is_sparse(x):
        raise ArgumentTypeError(
            f"expected {name} as a dense array; received a sparse {type(x).__name__}: {name}.toarray()"
        )
    if type(x).__name__ == "MaskedArray" and np.any(x.mask):
        raise DtypeError(
            f"expected {name} without masked values; received {int(np.sum(x.mask))} of them: "
            f"{name}.filled(np.nan) makes them missing"
        )
    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        if _is_ragged(x):
            raise ShapeError(f"expected {name} with rows of one length; received rows of several") from None
        raise ArgumentTypeError(
            f"expected {name} as an array of numbers; received {type(x).__name__} ({error})"
        ) from None
    return _native(array, name, "")


def _is_ragged(x: Any) -> bool:
    """Whether a list has rows of several lengths."""
    rows = x if isinstance(x, (list, tuple)) else ()
    return len({len(row) if hasattr(row, "__len__") else None for row in rows}) > 1


def _native(array: np.ndarray, name: str, where: str) -> np.ndarray:
    kind = array.dtype.kind
    if array.ndim == 0:
        raise ShapeError(f"expected {name} as an array with rows; received the single value {name}={array[()]!r}")
    if kind not in "fiub":
        hints = {
            "U": f"; {LABELS}",
            "S": f"; {LABELS}",
            "O": f"; an array of objects may hold text, None or rows of unequal length: if all are numbers, "
            f"np.asarray({name}, dtype=float)",
            "c": "; stack real and imaginary parts as columns",
        }
        raise DtypeError(f"expected {name} of numbers; received {name}.dtype={array.dtype}{where}{hints.get(kind, '')}")
    if array.dtype.char not in _CHARS or not array.dtype.isnative:
        array = array.astype(np.float64 if kind == "f" and array.itemsize > 8 else array.dtype.newbyteorder("="))
    return array if type(array) is np.ndarray else array.view(np.ndarray)


def _from_frame(frame: Any, name: str) -> np.ndarray:
    """pandas, polars and their like: `to_numpy`; columns of several dtypes meet in float64, missing values as NaN."""
    array = np.asarray(frame.to_numpy())
    if array.dtype.kind != "O":
        return _native(array, name, "")
    labels = getattr(frame, "columns", None)
    pairs = [(name, frame.dtype)] if labels is None else list(zip(labels, frame.dtypes, strict=True))
    text = [str(c) for c, kind in pairs if not str(kind).lower().startswith(("int", "uint", "float", "bool"))]
    if text:
        where = "" if labels is None else f" in columns {', '.join(text[:5])}{', ...' if len(text) > 5 else ''}"
        hint = LABELS if name == "y" else "text becomes codes with fit(frame, target=...) or pynn.DataLoader.from_table"
        raise DtypeError(f"expected {name} of numbers; received {name}.dtype={array.dtype}{where}; {hint}")
    number = np.vectorize(lambda v: np.nan if v is None or type(v).__name__ == "NAType" else float(v), otypes=[float])
    return number(array)


def as_targets(y: Any, rows: int, outputs: int, loss: Any, numbers: Any = None) -> np.ndarray:
    """Targets as the core reads them: (rows, 1) integer labels, or (rows, outputs) numbers.

    `numbers` are the rows' numbers for the caller, where they are not 0, 1, 2, ... and `y` is no `Batch`.

    Raises
    ------
    ShapeError, DtypeError
        As `as_matrix`; or the shape does not fit the model's outputs.
    LabelError
        A label is not an integer in 0 ... outputs-1, or a target is outside what the loss takes; the row is
        named.
    """
    rows_of = getattr(y, "rows", None) if numbers is None else numbers
    y = as_matrix(y, "y")
    if len(y) != rows:
        raise ShapeError(f"expected y with {rows} rows, one for each row of X; received y with {len(y)} rows")
    takes_labels = (
        loss.row["labels"]
        and y.shape[1] == 1
        and (outputs > 1 or (y.dtype.kind in "iu" and loss.row["link"] == "softmax"))
    )
    columns = outputs // 2 if loss.row["pairs"] else outputs
    if not takes_labels and y.shape[1] != columns:
        wanted = f"1 column of class labels or {outputs} columns" if loss.row["labels"] else f"{columns} columns"
        hint = "; one column for each class: numpy.eye(n)[y]" if y.shape[1] == 1 and y.dtype.kind in "iub" else ""
        raise ShapeError(
            f"expected y with {wanted}, as the last layer has units={outputs}; received y of shape {y.shape}{hint}"
        )
    if takes_labels:
        return _as_labels(y, outputs, rows_of)
    if loss.row["probabilities"] and y.dtype.kind != "b" and not (y.min() >= 0 and y.max() <= 1):
        _require_none(y, (y < 0) | (y > 1), "y in [0, 1]", rows_of, loss)
    if loss.row["nonnegative"] and not y.min() >= 0:
        _require_none(y, y < 0, "y >= 0", rows_of, loss)
    if loss.row["signs"]:
        _require_signs(y, rows_of, loss)
    return y


def _as_labels(y: np.ndarray, classes: int, rows: Any) -> np.ndarray:
    if y.dtype.kind == "b":
        y = y.view(np.uint8)
    if y.dtype.kind == "f":
        require_finite(y, "y", rows)
    bad = (y < 0) | (y >= classes)
    if y.dtype.kind == "f":
        bad |= y != np.floor(y)
    if bad.any():
        raise bad_labels(y[:, 0], np.flatnonzero(bad), classes, rows)
    return y.astype(np.int64) if y.dtype.kind == "f" else y


def _require_signs(y: np.ndarray, rows_of: Any, loss: Any) -> None:
    """Refuse labels other than 0 and 1, or -1 and 1: all above 0 would count as 1. Numbers that are no labels count by
    their sign, and are found after training."""
    if y.dtype.kind == "f" and (y != np.floor(y))[np.isfinite(y)].any():
        return
    no, yes = y == 0, y == 1
    rule = "y of 0 and 1, or of -1 and 1,"
    advice = ": y == c tells a class c from the others; for more than two classes, take softmax_cross_entropy"
    bad = ~(no | yes | (y == -1) | np.isnan(y) if y.dtype.kind == "f" else no | yes | (y == -1))
    _require_none(y, bad, rule, rows_of, loss, advice)
    if no.any():
        _require_none(y, y == -1, f"{rule} not of all three", rows_of, loss, advice)


def _require_none(y: np.ndarray, bad: np.ndarray, rule: str, rows_of: Any, loss: Any, advice: str = "") -> None:
    """Refuse targets that break a rule; NaN, whose row may have no weight, breaks none."""
    if not bad.any():
        return
    at = row, column = tuple(int(i) for i in np.argwhere(bad)[0])
    row = row if rows_of is None else int(rows_of[row])
    message = f"expected {rule} with the loss {loss.name!r}; received y[{row}, {column}]={y[at]}{advice}"
    raise _located(LabelError(message), row, column, y[at])


def _located(error: Any, row: int, column: int, value: Any) -> Any:
    error.row, error.column, error.value = row, column, float(value)
    return error


def as_weights(weights: Any, rows: int, numbers: Any = None, outputs: int | None = 1) -> np.ndarray | None:
    """Sample weights as a (rows, 1) array of finite numbers >= 0, or (rows, outputs) with a weight for each output;
    None stays None. `numbers` as in `as_targets`; `outputs` None: any number of them."""
    if weights is None:
        return None
    rows_of = getattr(weights, "rows", None) if numbers is None else numbers
    weights = as_matrix(weights, "sample_weight")
    if len(weights) != rows or not (weights.shape[1] == 1 or outputs is None or weights.shape[1] == outputs):
        each = f" or ({rows}, {outputs})" if outputs is not None and outputs > 1 else ""
        raise ShapeError(f"expected sample_weight of shape ({rows},){each}; received shape {np.shape(weights)}")
    require_finite(weights, "sample_weight", rows_of)
    if weights.min() < 0:
        at, column = divmod(int(np.argmin(weights)), weights.shape[1])
        row = at if rows_of is None else int(rows_of[at])
        where = f"[{row}]" if weights.shape[1] == 1 else f"[{row}, {column}]"
        message = f"expected sample_weight >= 0; received sample_weight{where}={weights[at, column]}"
        raise _located(ArgumentValueError(message), row, column, weights[at, column])
    return weights


def there(y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Targets without those that are not finite and have weight 0: rows left out, or cells that are NaN."""
    if weights is None or np.isfinite(y).all():
        return y
    if weights.shape[1] > 1:
        return np.where(weights > 0, y, np.nan)
    return y[np.isfinite(y).all(axis=1) | (weights[:, 0] > 0)]


def find_nonfinite(x: np.ndarray, largest: float = np.inf) -> np.ndarray:
    """Positions (row, column) of cells that are NaN, infinite or beyond `largest`, (n, 2); memory is bounded however
    large `x` is."""
    if type(x) is not np.ndarray and is_sparse(x):
        sparse: Any = x
        at = np.flatnonzero(~_within(sparse.data, largest)) if x.dtype.kind == "f" else np.empty(0, np.int64)
        rows = np.searchsorted(sparse.indptr, at, side="right") - 1
        return np.column_stack([rows, sparse.indices[at]]).astype(np.int64)
    if x.dtype.kind != "f":
        return np.empty((0, 2), np.int64)
    step = max(1, _SCAN_ROWS // max(1, x.shape[1]))
    found = []
    for first in range(0, len(x), step):
        finite = _within(x[first : first + step], largest)
        if not finite.all():
            found.append(np.argwhere(~finite) + np.array([first, 0]))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _within(x: np.ndarray, largest: float) -> np.ndarray:
    return np.isfinite(x) if largest == np.inf else np.abs(x) <= largest


def require_finite(x: np.ndarray, name: str, rows: Any = None) -> None:
    """Raise `NonfiniteDataError` for cells that are NaN or infinite; `rows` are the rows' numbers for the caller."""
    cells = find_nonfinite(x)
    if len(cells):
        raise bad_cells(name, x, cells, rows)


def as_csr(x: Any, name: str = "X", columns: int | None = None, empty: bool = False) -> Any:
    """A scipy.sparse matrix as CSR with sorted, unique indices and numbers that the core reads.

    Raises
    ------
    ShapeError, DtypeError
        As `as_matrix`.
    """
    x = x.tocsr()
    if x.ndim != 2 or x.shape[1] == 0 or (x.shape[0] == 0 and not empty):
        raise ShapeError(f"expected {name} with at least one row and column; received {name} of shape {x.shape}")
    if columns is not None and x.shape[1] != columns:
        raise ShapeError(
            f"expected {name} with {columns} columns, the model's inputs; received {name} of shape {x.shape}"
        )
    if x.data.dtype.char not in _CHARS:
        raise DtypeError(f"expected {name} of numbers; received {name}.dtype={x.data.dtype}")
    if not _is_intact(x):
        raise ArgumentValueError(f"expected {name} as an intact sparse matrix; received offsets or indices beyond it")
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    return x


def _is_intact(x: Any) -> bool:
    """Whether what scipy and the core follow leads nowhere else."""
    offsets = x.indptr
    if offsets[0] or offsets[-1] > min(len(x.indices), len(x.data)) or (offsets[1:] < offsets[:-1]).any():
        return False
    indices = x.indices[: offsets[-1]]
    return not len(indices) or bool(indices.min() >= 0 and indices.max() < x.shape[1])
