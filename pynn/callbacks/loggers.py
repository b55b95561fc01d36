"""Write each epoch to a file."""

from __future__ import annotations

import json
import math
import os
from typing import Any, TextIO

from .. import checks
from .base import Callback, Logs, State


class Logger(Callback):
    """A file that gets a line for each epoch, flushed at once, and is opened with the first one.

    A resumed run goes on where its checkpoint was made: lines of later epochs are dropped.
    """

    def __init__(self, filename: Any, append: bool = False) -> None:
        self.filename, self.append = checks.path("filename", filename), append
        self._file: TextIO | None = None
        self._size: int | None = None  # of the file when a resumed run goes on

    def on_train_begin(self, logs: Logs) -> None:
        checks.folder("filename", self.filename)
        self._size = None

    def write(self, line: str) -> None:
        file = self.open()
        file.write(line + "\n")
        file.flush()

    def open(self) -> TextIO:
        """The file, opened."""
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
        if self._size is None and self.append:  # what was there before the first line of this run
            return {"size": os.path.getsize(self.filename) if os.path.exists(self.filename) else 0}
        return {"size": self._size}

    def load_state_dict(self, state: State) -> None:
        self._size = state["size"]


class CSVLogger(Logger):
    """Write each epoch as a line of a CSV file, flushed at once.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Add to the file instead of starting anew; the header is written to an empty file only.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__(filename, append)
        self.separator = separator

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._names: list[str] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._names is None:
            self._names = list(logs)
            if self.open().tell() == 0:
                self.write(self.separator.join(["epoch", *self._names]))
        values = [str(epoch), *(repr(float(logs[name])) if name in logs else "" for name in self._names)]
        self.write(self.separator.join(values))


class JSONLogger(Logger):
    """Write each epoch as a line of JSON, flushed at once: ``{"epoch": 0, "loss": ...}``; null where it is not finite.

    Parameters
    ----------
    filename : str or path
    append : bool
        Add to the file instead of starting anew.
    """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        finite = {name: float(value) if math.isfinite(value) else None for name, value in logs.items()}
        self.write(json.dumps({"epoch": epoch} | finite))
