"""Passes over data: rows that can be iterated any number of times, part by part, whatever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import arrays
from ..errors import ArgumentTypeError

__all__ = ["ArrayPasses", "BatchPasses", "LoaderPasses", "Part", "Passes", "is_batches", "part_of", "passes", "rows_of"]

ROWS = 1 << 14  # of an array that are taken at a time


class Part(NamedTuple):
    """Some rows; `rows` are their indices in the user's data, None if they are 0, 1, 2, ... from the first part on."""

    x: Any
    y: Any = None
    weights: Any = None
    rows: Any = None


class Passes(Protocol):
    """Rows to pass over: each iteration is a pass over all of them."""

    def __iter__(self) -> Iterator[Part]: ...


class ArrayPasses:
    """Arrays in memory, in parts of at most `step` rows; all in one part without."""

    def __init__(self, x: Any, y: Any = None, weights: Any = None, rows: Any = None, step: int | None = None) -> None:
        self.whole = Part(x, y, weights, rows)
        self.step = step

    def __iter__(self) -> Iterator[Part]:
        n = self.whole.x.shape[0]
        step = self.step or n
        if step >= n:
            yield self.whole
            return
        for first in range(0, n, step):
            yield Part(*(None if part is None else part[first : first + step] for part in self.whole))


class LoaderPasses:
    """The rows of a `DataLoader`: in the order of its source, or as an `epoch` has them."""

    def __init__(self, loader: Any, epoch: int | None = None) -> None:
        self.loader, self.epoch = loader, epoch

    def __iter__(self) -> Iterator[Part]:
        for rows in self.loader.parts() if self.epoch is None else self.loader.blocks(self.epoch):
            yield Part(rows.x, rows.targets, rows.weights, rows.numbers)


class BatchPasses:
    """Any iterable of arrays, or of batches ``(x, y)`` and ``(x, y, weights)``; of batches alone if `labelled`."""

    def __init__(self, batches: Any, labelled: bool = False) -> None:
        self.batches, self.labelled = batches, labelled

    def __iter__(self) -> Iterator[Part]:
        for batch in self.batches:
            yield part_of(batch) if self.labelled or isinstance(batch, (tuple, list)) else Part(batch)


def part_of(batch: Any) -> Part:
    """Return a batch ``(x, y)`` or ``(x, y, weights)`` as a part."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ArgumentTypeError(f"expected batches (xb, yb) or (xb, yb, wb); received {type(batch).__name__}")
    return Part(batch[0], batch[1], batch[2] if len(batch) == 3 else None, rows_of(batch[0]))


def passes(data: Any) -> Passes:
    """Return passes over an array, a `DataLoader`, or an iterable of arrays or of batches."""
    if hasattr(data, "parts"):
        return LoaderPasses(data)
    if arrays.is_sparse(data) or not is_batches(data):
        return ArrayPasses(arrays.as_inputs(data), step=ROWS)
    if hasattr(data, "__next__"):
        raise ArgumentTypeError(
            "expected data that can be passed over more than once, to adapt to before training; received an iterator, "
            "which runs out: call adapt(X) with an array or a loader first"
        )
    return BatchPasses(data)


def rows_of(x: Any) -> np.ndarray | None:
    """Return the rows of the user's data that an array remembers, as a `Batch` does; None if it does not."""
    rows = getattr(x, "rows", None)
    return rows if isinstance(rows, np.ndarray) else None


def is_batches(x: Any) -> bool:
    """Whether `x` is an iterable of batches: no array, and of lists only those of ``(xb, yb)`` or ``(xb, yb, wb)``."""
    if isinstance(x, (list, tuple)):
        return bool(x) and all(_is_batch(item) for item in x)
    if hasattr(x, "__array__") or arrays.is_sparse(x) or isinstance(x, (str, bytes)):
        return False
    try:
        memoryview(x)
    except TypeError:
        return hasattr(x, "__iter__")
    return False  # an array of another kind


def _is_batch(item: Any) -> bool:
    """Whether an item of a list is ``(xb, yb)`` or ``(xb, yb, wb)``, xb an array of rows."""
    return isinstance(item, (list, tuple)) and len(item) in (2, 3) and len(getattr(item[0], "shape", ())) == 2
