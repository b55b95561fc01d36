"""What all tables have in common: columns with names, read in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import FileFormatError, MissingFileError
from .schema import Cells

__all__ = ["PIECE", "Table", "require_same", "stamp_of"]

PIECE = 1 << 20  # bytes of a file, or of rows, read at a time


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
        """Return what each column holds: "number", "category", or "text", which may be either."""
        raise NotImplementedError

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        """Pieces of a chunk, or of all: the number of the first row and the cells of each column."""
        raise NotImplementedError


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def require_same(path: Path, stamp: tuple[int, int]) -> None:
    """That a file is what it was when its stamp was taken."""
    try:
        same = stamp_of(path) == stamp
    except FileNotFoundError:
        raise MissingFileError(f"expected the file read at first; {str(path)!r} is not there any more") from None
    if not same:
        raise FileFormatError(f"expected the file read at first; received one that changed since of {path}")
