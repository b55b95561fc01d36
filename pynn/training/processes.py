"""Processes that train one model together: what they exchange, and how one that fails ends the run of all.

All processes make the same calls in the same order. Each exchange begins with a meeting, where every process says what
it is about to do: one that has failed says so there, and all end. A thread watches for processes that have died.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError, ProcessError, PynnError

__all__ = ["Together", "open_processes"]

FAILED, INTERRUPTED, STEP, ROWS, ANY, SAME, WAIT, END = range(1, 9)  # what a process comes to a meeting for
TEXT = 2048  # bytes of the reason that a process gives
PATIENCE = 2.0  # seconds of waiting before the others are looked at
TIMEOUT = 1800.0  # seconds of waiting that end the run; PYNN_MPI_TIMEOUT


def open_processes(communicator: Any) -> Together | None:
    """Return the processes of an MPI communicator; None for no communicator and for one process."""
    if communicator is None:
        return None
    if not all(hasattr(communicator, name) for name in ("Dup", "Allgatherv", "Alltoallv", "Get_size")):
        raise ArgumentTypeError(
            f"expected communicator as mpi4py's, MPI.COMM_WORLD for instance; received communicator={communicator!r}"
        )
    return Together(communicator) if communicator.Get_size() > 1 else None


class Together:
    """The processes of a run.

    Attributes
    ----------
    process, processes : int
        Which this is, and of how many.
    """

    def __init__(self, communicator: Any) -> None:
        self.communicator = communicator.Dup()  # our messages do not meet the user's
        self.process, self.processes = int(communicator.Get_rank()), int(communicator.Get_size())
        self.own, self.all = np.zeros(1, np.int64), np.zeros(self.processes, np.int64)
        self.exchanged = False  # the gradient's parts; their sums follow without a meeting
        self.over = False  # all processes know how the run ended
        self.cuts: dict[Any, Any] = {}
        self.since: float | None = None  # when this process began to wait for others
        self.watch = Watch(self)

    # ---- meetings

    def meet(self, what: int, reason: str = "") -> None:
        """Wait for all processes; raise in all of them if one has failed or does something else."""
        self.own[0], self.since = what, time.monotonic()
        self.communicator.Allgather(self.own, self.all)
        self.since = None
        if what <= INTERRUPTED or (self.all != what).any():
            self.part(what, reason)

    def part(self, what: int, reason: str) -> None:
        """End the run in all processes: raise what the first one that failed says, but in those that failed."""
        self.over = True
        whats, text = self.all.copy(), np.zeros(TEXT, np.uint8)
        said = reason.encode()[:TEXT]
        text[: len(said)] = np.frombuffer(said, np.uint8)
        texts = np.zeros((self.processes, TEXT), np.uint8)
        self.communicator.Allgather(text, texts)
        if what <= INTERRUPTED:
            return
        failed = np.flatnonzero(whats <= INTERRUPTED)
        if not len(failed):
            raise ProcessError("expected the same calls in every process; received different ones: callbacks and data "
                               "must decide alike everywhere")  # fmt: skip
        first = int(failed[0])
        if whats[first] == INTERRUPTED:
            raise KeyboardInterrupt
        told = texts[first].tobytes().rstrip(b"\0").decode(errors="replace")
        raise ProcessError(f"process {first} of {self.processes} ended the run: {told}")

    def fail(self, error: BaseException) -> None:
        """Tell the others that this process ends with an error, which they may have met too."""
        if not self.over:
            interrupted = isinstance(error, KeyboardInterrupt)
            self.meet(INTERRUPTED if interrupted else FAILED, f"{type(error).__name__}: {error}")

    def end(self) -> None:
        """Wait until all are through."""
        self.meet(END)
        self.over = True

    def close(self) -> None:
        """Release what the run took."""
        self.watch.close()
        self.communicator.Free()

    # ---- what the core exchanges in a step: see pynn_shards

    def gather(self, own: Any, part: int, everything: Any) -> None:
        """everything <- the parts of all processes."""
        if not self.exchanged:
            self.meet(STEP)
        self.exchanged, self.since = False, time.monotonic()
        if part * self.processes == len(everything):
            self.communicator.Allgather(own, everything)
        else:
            self.communicator.Allgatherv(own, [everything, self.cut(part, len(everything))])
        self.since = None

    def exchange(self, everything: Any, part: int, received: Any) -> None:
        """received <- this process's part of everybody's."""
        counts, starts = self.cut(part, len(everything))
        mine = [counts[self.process]] * self.processes
        self.exchanged, self.since = True, time.monotonic()
        self.communicator.Alltoallv(
            [everything, (counts, starts)], [received, (mine, [mine[0] * i for i in range(self.processes)])]
        )
        self.since = None

    def cut(self, part: int, size: int) -> tuple[list[int], list[int]]:
        """Sizes and places of the parts of `size` bytes."""
        if (part, size) not in self.cuts:
            starts = [min(part * i, size) for i in range(self.processes)]
            self.cuts[part, size] = [min(part, size - start) for start in starts], starts
        return self.cuts[part, size]

    # ---- what Python exchanges

    def numbers(self, what: int, own: np.ndarray) -> np.ndarray:
        """Return the arrays of all processes, one in each row."""
        self.meet(what)
        everything = np.empty((self.processes, *own.shape), own.dtype)
        self.since = time.monotonic()
        self.communicator.Allgather(np.ascontiguousarray(own), everything)
        self.since = None
        return everything

    def arrays(self, own: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
        """Return the bytes of all processes, of which each knows the lengths."""
        self.meet(ROWS)
        starts = [sum(lengths[:i]) for i in range(self.processes)]
        everything = np.empty(sum(lengths), np.uint8)
        self.since = time.monotonic()
        self.communicator.Allgatherv(np.ascontiguousarray(own), [everything, (lengths, starts)])
        self.since = None
        return [everything[start : start + length] for start, length in zip(starts, lengths, strict=True)]

    def any(self, value: bool) -> bool:
        """Whether it holds in some process."""
        return bool(self.numbers(ANY, np.array([value], np.int64)).any())

    def wait(self) -> None:
        """Wait until all are here."""
        self.meet(WAIT)

    def require_same(self, facts: Mapping[str, Any], refusal: type[PynnError] = ArgumentValueError) -> None:
        """Refuse, in every process, facts that differ between processes."""
        texts = [fact if isinstance(fact, bytes) else repr(fact).encode() for fact in facts.values()]
        own = np.array([zlib.crc32(text) for text in texts])
        everything = self.numbers(SAME, own.astype(np.int64))
        for name, column in zip(facts, everything.T, strict=True):
            others = np.flatnonzero(column != column[0])
            if len(others):
                self.over = True
                raise refusal(
                    f"expected the same {name} in every process; received another in process {others[0]} of "
                    f"{self.processes} than in process 0"
                )

    # ---- rows

    def places(self, rows: int, batch_size: int, shards: int) -> list[np.ndarray]:
        """Return for each process the rows that it computes, of `rows` in batches."""
        key = rows, batch_size, shards
        if key not in self.cuts:
            full, rest = divmod(rows, batch_size)
            whole, last = self.bounds(batch_size, shards), self.bounds(rest, shards)
            starts = np.arange(full)[:, None] * batch_size
            self.cuts[key] = [
                np.concatenate([(starts + np.arange(*whole[p : p + 2])).ravel(),
                                full * batch_size + np.arange(*last[p : p + 2])])
                for p in range(self.processes)
            ]  # fmt: skip
        return self.cuts[key]

    def bounds(self, rows: int, shards: int) -> list[int]:
        """Return where the rows of each process begin in a batch; then where the last ends."""
        each, more = divmod(rows, shards)
        first = [shards // self.processes * p for p in range(self.processes + 1)]
        return [k * each + min(k, more) for k in first]

    def complete(self, out: np.ndarray, batch_size: int, shards: int) -> None:
        """Fill in the rows that other processes have computed."""
        places = self.places(len(out), batch_size, shards)
        width = out.shape[1] * out.itemsize
        own = np.ascontiguousarray(out[places[self.process]]).view(np.uint8).reshape(-1)
        for rows, data in zip(places, self.arrays(own, [len(rows) * width for rows in places]), strict=True):
            out[rows] = data.view(out.dtype).reshape(len(rows), out.shape[1])


class Watch:
    """A thread that ends this process, and with it the run, when one that it waits for has died or waits too long."""

    def __init__(self, together: Together) -> None:
        self.together = together
        self.timeout = float(os.environ.get("PYNN_MPI_TIMEOUT", TIMEOUT))
        mine = np.array([zlib.crc32(socket.gethostname().encode()), os.getpid(), _born(os.getpid())], np.int64)
        everything = np.empty((together.processes, 3), np.int64)
        together.communicator.Allgather(mine, everything)
        self.here = [  # those whose process can be seen from here
            (number, int(pid), int(born))
            for number, (host, pid, born) in enumerate(everything)
            if host == mine[0] and number != together.process and born and _born(int(pid)) == born
        ]
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.run, name="pynn-processes", daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.closed.wait(PATIENCE / 2):
            since = self.together.since
            waited = 0.0 if since is None else time.monotonic() - since
            if waited < PATIENCE:
                continue
            dead = [(number, pid) for number, pid, born in self.here if _born(pid) != born]
            if dead:
                self.abort(f"process {dead[0][0]} of {self.together.processes} (pid {dead[0][1]}) died")
            if waited > self.timeout:
                self.abort(f"the other processes did not answer within {self.timeout:g} seconds (PYNN_MPI_TIMEOUT)")

    def abort(self, reason: str) -> None:
        print(f"pynn: {reason}; training ends in every process", file=sys.stderr, flush=True)
        self.together.communicator.Abort(1)

    def close(self) -> None:
        self.closed.set()
        self.thread.join()


def _born(pid: int) -> int:
    """When a process of this machine was started, in ticks; 0: it is not there, or has ended, or none can tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
