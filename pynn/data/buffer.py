"""A buffer of rows from a stream, filled piece by piece and left in another order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ShapeError
from .sources import Rows

__all__ = ["Buffer"]


class Buffer:
    """Room for `count` rows. Row ``places[i]`` of those that come in is the i-th that goes out; None: as they come.

    Rows are written to their place at once, so that the order costs no second copy. When fewer than ``len(places)``
    come, the rest keep the order that `places` gives them.
    """

    def __init__(self, count: int, places: np.ndarray | None) -> None:
        self._count, self._size = count, 0
        self._places = places
        self._parts: list[Any] = [None] * 4
        if places is not None:
            self._to = np.empty(len(places), np.int64)
            self._to[places] = np.arange(len(places))

    def fill(self, left: Rows | None, pieces: Iterator[Rows]) -> Rows | None:
        """Take in `left` and pieces until the buffer is full or there are no more; returns what is left of the last."""
        while self._size < self._count:
            piece = left if left is not None else next(pieces, None)
            if piece is None:
                break
            takes = min(len(piece), self._count - self._size)
            self._add(piece[:takes] if takes < len(piece) else piece)
            left = piece[takes:] if takes < len(piece) else None
        return left

    def _add(self, piece: Rows) -> None:
        span = slice(self._size, self._size + len(piece))
        to = span if self._places is None else self._to[span]
        for index, part in enumerate((piece.numbers, piece.x, piece.targets, piece.weights)):
            if part is not None:
                self._parts[index] = self._room(self._parts[index], part)
                self._parts[index][to] = part
            elif self._parts[index] is not None:
                raise ShapeError("expected targets and weights in all rows of the stream; received some without")
        self._size += len(piece)

    def _room(self, held: Any, part: np.ndarray) -> Any:
        """An array that `part` fits into, with what was held."""
        if held is None:
            if self._size:
                raise ShapeError("expected targets and weights in all rows of the stream or in none; received some")
            rows = self._count if self._places is None else len(self._places)
            return np.empty((rows, *part.shape[1:]), part.dtype)
        if held.shape[1:] != part.shape[1:]:
            raise ShapeError(f"expected rows of shape {held.shape[1:]}; received one of shape {part.shape[1:]}")
        return held.astype(np.result_type(held, part), copy=False)

    def take(self) -> Rows | None:
        """The rows in their new order; None when none came."""
        if not self._size:
            return None
        chosen: Any = slice(self._size)
        if self._places is not None and self._size < len(self._places):
            chosen = self._places < self._size
        parts: list[Any] = [None if part is None else part[chosen] for part in self._parts]
        return Rows(*parts)
