"""The base of callbacks that write a line for each epoch."""

from __future__ import annotations

import os
from typing import Any, TextIO

from .. import checks
from .base import Callback, Logs, State


class Logger(Callback):
    """Base of the callbacks that write each epoch as a line of a file, which is opened with the first line.

    Parameters
    ----------
    filename : str or path
        The file. A resumed run continues where its checkpoint was written: lines of later epochs are dropped.
    append : bool
        Add to the file instead of replacing it.
    """

    writes_files = True

    def __init__(self, filename: Any, append: bool = False) -> None:
        self.filename, self.append = checks.path("filename", filename), append
        self._file: TextIO | None = None
        self._size: int | None = None  # bytes of the file when the checkpoint of a resumed run was written

    def on_train_begin(self, logs: Logs) -> None:
        checks.folder("filename", self.filename)
        self._size = None

    def write(self, line: str) -> None:
        """Write a line and flush it."""
        file = self.open()
        file.write(line + "\n")
        file.flush()

    def open(self) -> TextIO:
        """Return the file, opened."""
        if self._file is None:
            keeps = self.append or self._size is not None
            self._file = open(self.filename, "a" if keeps else "w", encoding="utf-8", newline="\n")  # noqa: SIM115
            if self._size is not None and self._file.tell() > self._size:
                self._file.truncate(self._size)
                self._file.seek(self._size)
        return self._file

    def on_train_end(self, logs: Logs) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> State:
        if self._file is not None:
            return {"size": self._file.tell()}
        if self._size is None and self.append:  # bytes before the first line of this run
            return {"size": os.path.getsize(self.filename) if os.path.exists(self.filename) else 0}
        return {"size": self._size}

    def load_state_dict(self, state: State) -> None:
        self._size = state["size"]
