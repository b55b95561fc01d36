"""Write each epoch as a line of JSON."""

from __future__ import annotations

import json
import math

from .base import Logs
from .logger import Logger


class JSONLogger(Logger):
    """Write each epoch as a line of JSON, flushed at once: ``{"epoch": 0, "loss": ...}``.

    Values that are not finite are null.

    Parameters
    ----------
    filename : str or path
        The file; it is opened with the first epoch. A resumed run continues where its checkpoint was written: lines of
        later epochs are dropped.
    append : bool
        Add to the file instead of replacing it.

    Examples
    --------
    >>> import pynn
    >>> log = pynn.JSONLogger("log.jsonl")
    """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        finite = {name: float(value) if math.isfinite(value) else None for name, value in logs.items()}
        self.write(json.dumps({"epoch": epoch} | finite))
