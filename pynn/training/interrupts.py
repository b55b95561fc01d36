"""Ctrl-C during a run."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interrupts:
    """Ctrl-C while a run is kept: it is raised at once where nothing is half done, else when `hear` is called. A second
    one is raised at once anywhere. In the main thread only, and where nobody else handles it."""

    def __init__(self, waits: bool) -> None:
        self.waits = waits  # raise while data are waited for, too
        self.safe, self.pending = True, False

    def __enter__(self) -> None:
        self.handler = None
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self.handler = signal.signal(signal.SIGINT, self.handle)

    def __exit__(self, *error: Any) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)

    def handle(self, number: int, frame: Any) -> None:
        if self.pending or (self.safe and self.waits):
            raise KeyboardInterrupt
        self.pending = True

    def hear(self) -> None:
        if self.pending:
            raise KeyboardInterrupt
