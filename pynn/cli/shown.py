"""What commands about tables show on stderr: warnings as one line, progress where a person watches."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..training.progress import is_watched

__all__ = ["Rows", "warnings_as_lines"]


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show each warning once as a line, without file and source."""

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        print(f"pynn: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


class Rows:
    """Counts rows on a line of the terminal; nothing where nobody watches."""

    def __init__(self, total: int | None) -> None:
        self.total, self.watched = total, is_watched()
        self.begin = self.shown = time.monotonic()

    def done(self, rows: int) -> None:
        """Show the number of rows done, a few times a second."""
        now = time.monotonic()
        if self.watched and now - self.shown > 0.2:
            of = "" if self.total is None else f" of {self.total:,}"
            print(f"\r{rows:,}{of} rows, {rows / (now - self.begin):,.0f} per second", end="", file=sys.stderr)
            self.shown = now

    def close(self) -> None:
        """End the line."""
        if self.watched and self.shown > self.begin:
            print(file=sys.stderr)
