"""Reading ahead: a thread that makes the next items of an iterator while the caller works on the last."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..errors import ThreadError

__all__ = ["Prefetcher"]

_PATIENCE = 10.0  # seconds that closing waits for a read in progress


class _Channel:
    """What thread and caller share. The thread knows this alone, so that a dropped `Prefetcher` can end it."""

    def __init__(self, depth: int) -> None:
        self.items: deque[tuple[Any, BaseException | None]] = deque()
        self.ready, self.room = threading.Semaphore(0), threading.Semaphore(depth)
        self.closed = False


def _read(items: Iterator[Any], channel: _Channel) -> None:
    """Until the end, an error (both are passed on) or `close`."""
    error: BaseException | None = None
    while error is None:
        channel.room.acquire()
        if channel.closed:
            break
        item = None
        try:
            item = next(items)
        except BaseException as caught:
            error = caught
        channel.items.append((item, error))
        del item
        channel.ready.release()
    close = getattr(items, "close", None)
    if close is not None:
        close()


class Prefetcher(Iterator[Any]):
    """The same items from a thread that is at most `depth` ahead.

    An error of `items` is raised by the `next` that would have returned the item. `close` ends the thread; so do the
    end of the items, an error, dropping the object and the end of the interpreter. A child process made by fork
    starts over.
    """

    def __init__(self, items: Iterator[Any], depth: int) -> None:
        self._channel = _Channel(depth)
        self._process, self._ended = os.getpid(), False
        self._thread = threading.Thread(target=_read, args=(items, self._channel), name="pynn-data", daemon=True)
        self._thread.start()
        _live.add(self)

    def __next__(self) -> Any:
        if self._ended:
            raise StopIteration
        if os.getpid() != self._process:
            raise ThreadError(
                "expected the process that began this iteration; received a child of it: start a new iteration"
            )
        self._channel.ready.acquire()
        item, error = self._channel.items.popleft()
        if error is None:
            self._channel.room.release()
            return item
        self.close()
        raise error

    def close(self) -> None:
        """End the thread, after the read in progress."""
        if self._ended:
            return
        self._ended, self._channel.closed = True, True
        if os.getpid() == self._process and threading.current_thread() is not self._thread:
            self._channel.room.release()
            self._thread.join(_PATIENCE)
        self._channel.items.clear()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()


_live: weakref.WeakSet[Prefetcher] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for ahead in list(_live):
        ahead.close()
