"""Write each epoch to a CSV file."""

from __future__ import annotations

from typing import Any

from .base import Logs
from .logger import Logger


class CSVLogger(Logger):
    """Write each epoch as a line of a CSV file, flushed at once.

    Parameters
    ----------
    filename : str or path
        The file; it is opened with the first epoch. A resumed run continues where its checkpoint was written: lines of
        later epochs are dropped.
    separator : str
        Character between columns.
    append : bool
        Add to the file instead of replacing it; the header is written to an empty file only.

    Examples
    --------
    >>> import pynn
    >>> log = pynn.CSVLogger("log.csv")
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
