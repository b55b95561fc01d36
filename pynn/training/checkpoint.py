"""Checkpoints of a run: what `fit` keeps in a file so that a killed run ends with the bits of one never stopped.

`Checkpoint` says where and how often. `Saver` does it: it copies the state between two steps and lets a thread write
the copy while steps go on. `describe` says what a run is of, and `Saver.load` refuses to go on with another.
"""

from __future__ import annotations

import inspect
import json
import mmap
import os
import threading
import time
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core, checks, runtime
from ..errors import (
    ArgumentTypeError,
    ArgumentValueError,
    FileError,
    FileFormatError,
    NumericalError,
    PynnError,
    TrainingWarning,
)
from ..names import public
from .learner import Learner

__all__ = ["Checkpoint", "Saver", "describe", "fingerprint"]

VERSION = 2
WHOLE = 1 << 28  # bytes of an array in memory that a fingerprint looks at, in about a quarter of a second
MAPPED = 64  # rows of a file, which may lie on a slow disk
BLOCK = 1 << 22  # bytes summed at a time


@public
@dataclass(frozen=True)
class Checkpoint:
    """Where `fit` keeps its run, and how often.

    The file is replaced at once or not at all: it is a whole checkpoint at any moment, whatever kills the program. A
    last one is written when training ends, and at Ctrl-C. A state that is not finite, or that the guard suspects, is
    not written over a good one. `pynn.load` reads the model in it.

    Parameters
    ----------
    path : str or path
    every_steps : int >= 1, optional
        Steps from one checkpoint to the next.
    every_seconds : float >= 0, optional
        Or seconds; the default, without `every_steps`, is 60. 0: as often as the disk keeps up with. With both,
        whichever comes first. When a write is not done by then, the next waits for it, training does not.
    keep : int >= 1
        Checkpoints of a run kept in all: `path`, and the ones before it as ``path.1``, ``path.2``, ... They move up
        once the new one is written: a state that is refused, or a disk that is full, costs none of them. ``path.0`` is
        `path` while another is written.
    """

    path: Any
    every_steps: int | None = None
    every_seconds: float | None = None
    keep: int = 1

    def __post_init__(self) -> None:
        checks.path("path", self.path)
        checks.integer("keep", self.keep, 1)
        if self.every_steps is not None:
            checks.integer("every_steps", self.every_steps, 1)
        if self.every_seconds is not None:
            checks.number("every_seconds", self.every_seconds, 0, finite=False)
        elif self.every_steps is None:
            object.__setattr__(self, "every_seconds", 60.0)


def checkpoint(value: Any) -> Checkpoint:
    """A Checkpoint, or one at the given path."""
    return value if isinstance(value, Checkpoint) else Checkpoint(value)


# ---- what a run is of


def fingerprint(array: Any) -> list[Any] | None:
    """Shape, dtype and a checksum: of all that lies in memory up to `WHOLE` bytes, of evenly spaced rows beyond, and of
    `MAPPED` rows of a mapped file."""
    if array is None:
        return None
    parts = [array] if isinstance(array, np.ndarray) else [array.data, array.indices, array.indptr]
    total = 0
    for part in parts:
        total = _checksum(_looked_at(part), total)
    return [list(array.shape), array.dtype.str, f"{total:08x}"]


def _looked_at(array: np.ndarray) -> np.ndarray:
    if _is_mapped(array):
        n = len(array)
        return array[np.unique(np.linspace(0, n - 1, min(n, MAPPED)).astype(np.int64))] if n else array
    return array[:: max(1, -(-array.nbytes // WHOLE))]


def _is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, (np.memmap, mmap.mmap))


def _checksum(array: np.ndarray, total: int) -> int:
    rows = max(1, BLOCK * len(array) // max(1, array.nbytes))
    for first in range(0, len(array), rows):
        total = zlib.crc32(np.ascontiguousarray(array[first : first + rows]).data, total)
    return total


PLACES = ("filename", "filepath", "log_dir")  # where callbacks write may move with the run


def choices(callback: Any) -> dict[str, Any]:
    """A callback's type; with the library's own, the arguments that are numbers and texts: a user's may change in a
    run, and only its author knows."""
    described = {"type": type(callback).__name__}
    if type(callback).__module__ != "pynn.callbacks":
        return described
    arguments = inspect.signature(type(callback)).parameters
    kept = {key: vars(callback)[key] for key in arguments if key in vars(callback) and key not in PLACES}
    plain = (int, float, str, type(None))
    return described | {key: value for key, value in kept.items() if isinstance(value, plain)}


def describe(model: Mapping[str, Any], optimizer: Any, run: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same in the run that goes on, as plain values; `model` and `run` are what the
    model and `fit` know of themselves."""
    description = dict(model) | {"optimizer": optimizer.to_dict()} | dict(run)
    return json.loads(json.dumps(description, default=str))


def difference(kept: Any, given: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Where two descriptions first differ: the place by name, and what stands there in both."""
    if isinstance(kept, dict) and isinstance(given, dict):
        for key in [*given, *(key for key in kept if key not in given)]:
            found = difference(kept.get(key), given.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return None
    if isinstance(kept, list) and isinstance(given, list) and len(kept) == len(given):
        for i, (a, b) in enumerate(zip(kept, given, strict=True)):
            found = difference(a, b, f"{name}[{i}]")
            if found:
                return found
        return None
    return None if kept == given else (name, kept, given)


# ---- states as texts and arrays


def pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """`value` for JSON, its arrays moved (as copies) to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array.{len(arrays)}"
        arrays[name] = np.array(value).reshape(-1)
        if arrays[name].dtype.hasobject:
            raise ArgumentTypeError(f"expected states of numbers; received an array of dtype {value.dtype}")
        return {"__array__": name, "shape": list(value.shape)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentTypeError(
                    f"expected states whose keys are texts, as JSON's are; received the key {key!r} of type "
                    f"{type(key).__name__}: give a list of pairs, or str(key) and turn it back in load_state_dict()"
                )
        return {key: pack(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(part, arrays) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentTypeError(
        f"expected states of numbers, texts, lists, dicts and arrays; received {type(value).__name__} {value!r}: "
        "give the callback or metric a state_dict() and load_state_dict() of such"
    )


def unpack(value: Any, read: Any) -> Any:
    """What `pack` was given; `read` returns the array of a name."""
    if isinstance(value, dict) and "__array__" in value:
        return read(value["__array__"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: unpack(part, read) for key, part in value.items()}
    return [unpack(part, read) for part in value] if isinstance(value, list) else value


def state_of(thing: Any) -> Any:
    """The state of a callback or a metric: what its `state_dict` says, else all that it holds."""
    return thing.state_dict() if hasattr(thing, "state_dict") else dict(vars(thing))


def restore(thing: Any, state: Any) -> None:
    if hasattr(thing, "load_state_dict"):
        thing.load_state_dict(state)
    else:
        vars(thing).update(state)


# ---- reading and writing


class Saver:
    """Keeps a run in a file. `save` returns when the state is copied; a thread writes it.

    Of several processes the first one `writes`.
    """

    def __init__(
        self, settings: Checkpoint, learner: Learner, description: dict[str, Any], writes: bool = True
    ) -> None:
        self.settings, self.learner, self.description, self.writes = settings, learner, description, writes
        self.path = os.fsencode(settings.path)
        self.error: PynnError | None = None  # of the last write that failed, not yet said
        self.saved_steps = -1  # of the last checkpoint that was begun, and when that was
        self._time = time.monotonic()
        self._copy: _core.Checkpoint | None = None
        self._earlier = False  # the file is that of an earlier run, until this one has written
        self._thread: threading.Thread | None = None
        if writes:
            self._check_place()

    def _check_place(self) -> None:
        """Refuse before training what could never be written."""
        folder = os.path.dirname(self.path) or b"."
        what = os.fsdecode(self.path)
        if b"\0" in self.path or not self.path:
            raise ArgumentValueError(f"expected checkpoint as a path; received checkpoint={what!r}")
        if not os.path.isdir(folder):
            raise FileError(f"expected checkpoint in a folder that exists; received checkpoint={what!r}")
        if os.path.isdir(self.path):
            raise FileError(f"expected checkpoint as the path of a file; received checkpoint={what!r}, a folder")
        if not os.access(os.path.dirname(os.path.realpath(self.path)), os.W_OK):
            raise FileError(f"expected checkpoint in a folder that can be written; received checkpoint={what!r}")

    # ---- when

    def steps_left(self, steps: int) -> int | None:
        """Steps that may be taken before the next checkpoint is due by their number."""
        every = self.settings.every_steps
        return None if every is None else every - steps % every

    def due(self, steps: int) -> bool:
        """Whether a checkpoint is due after `steps`. Warns of what went wrong in the last one."""
        self._say()
        if self._thread is not None and self._thread.is_alive():
            return False
        every, seconds = self.settings.every_steps, self.settings.every_seconds
        by_steps = every is not None and steps // every > max(self.saved_steps, 0) // every
        return steps != self.saved_steps and (
            by_steps or (seconds is not None and time.monotonic() - self._time >= seconds)
        )

    # ---- writing

    def save(self, state: dict[str, Any], steps: int) -> None:
        """Copy everything now and have it written."""
        if not self.writes:
            self.saved_steps = steps
            return
        self._join()
        arrays: dict[str, np.ndarray] = {}
        packed = pack(state, arrays)
        trainer = self.learner.trainer
        if self._copy is None:
            self._copy = _core.Checkpoint(trainer)
        else:
            self._copy.take(trainer)
        texts = {
            "python": json.dumps(self.learner.notes()),
            "run": json.dumps({"version": VERSION, "description": self.description, "state": packed}),
        }
        self.saved_steps, self._time = steps, time.monotonic()
        self._thread = threading.Thread(target=self._write, args=(self._copy, texts, arrays), name="pynn-checkpoint")
        self._thread.start()

    def _write(self, copy: _core.Checkpoint, texts: dict[str, str], arrays: dict[str, np.ndarray]) -> None:
        try:
            self._settle()
            self._hold()
            try:
                copy.write(self.path, texts, arrays)
                self._earlier = False
            finally:
                self._settle()
        except NumericalError:
            pass  # not a state to keep; the next one may be
        except PynnError as error:
            self.error = error
        except OSError as error:
            what = os.fsdecode(self.path)
            self.error = FileError(f"expected to keep the checkpoints before {what!r}; received '{error.strerror}'")

    def _name(self, number: int) -> bytes:
        return self.path + b".%d" % number

    def _hold(self) -> None:
        """Give `path` a second name, path.0, before another file takes the first."""
        if (self.settings.keep > 1 or self._earlier) and os.path.exists(self.path):
            os.link(os.path.realpath(self.path), self._name(0))

    def _settle(self) -> None:
        """What path.0 holds becomes path.1, path.1 becomes path.2, and so on, once `path` is another file.

        Each step leaves every file that is kept under some name, and goes on from where a killed one stopped: the
        files move up to the first number that is free.
        """
        held = self._name(0)
        if not os.path.lexists(held):
            return
        if os.path.exists(self.path) and os.path.samefile(self.path, held):
            os.unlink(held)  # nothing was written
            return
        last = max(self.settings.keep - 1, 1)
        free = next((n for n in range(1, last) if not os.path.exists(self._name(n))), last)
        for number in range(free, 0, -1):
            os.replace(self._name(number - 1), self._name(number))

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _say(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            warnings.warn(f"no checkpoint was written, training goes on: {error}", TrainingWarning, stacklevel=2)

    def close(self) -> None:
        """Wait for the write in progress."""
        self._join()

    @property
    def failed(self) -> bool:
        """Whether the last write did; waits for it."""
        self._join()
        return self.error is not None

    def finish(self) -> None:
        """Wait for the last write; raise what it failed with."""
        self._join()
        if self.error is not None:
            raise self.error

    # ---- reading

    def start(self) -> None:
        """Start a new run: keep an existing checkpoint as path.1; refuse to overwrite any other file."""
        if not self.writes or not os.path.exists(self.path):
            return
        try:
            _core.load_checkpoint(runtime.context(), self.path)
        except PynnError as error:
            raise FileFormatError(
                f"expected checkpoint as a new file or one that fit wrote; received {os.fsdecode(self.path)!r}, which "
                f"is none: choose another name, or delete it ({error})"
            ) from None
        self._earlier = True

    def load(self) -> tuple[_core.Checkpoint, dict[str, Any]] | None:
        """What is in the file, if there is one: the core's checkpoint and the state that `save` was given."""
        with suppress(OSError):  # the next write says it
            if self.writes:
                self._settle()
        if not os.path.exists(self.path):
            return None
        kept = _core.load_checkpoint(runtime.context(), self.path)
        name = os.fsdecode(self.path)
        try:
            run = json.loads(kept.text("run") or "{}")
            if run.get("version") != VERSION:
                raise ValueError(f"version {run.get('version')!r}")
            state = unpack(run["state"], lambda name: _array(kept, name))
            description = run["description"]
        except (ValueError, KeyError, TypeError, AttributeError, PynnError) as error:
            raise FileFormatError(f"expected a checkpoint of fit; received {name!r} ({error})") from None
        found = difference(description, self.description)
        if found:
            what, there, here = found
            raise ArgumentValueError(
                f"expected to go on with the run in {name!r}, which has {what}={_short(there)}; received "
                f"{what}={_short(here)}. Give that run's model, data and settings, another checkpoint, or resume=False"
            )
        return kept, state


def _array(kept: _core.Checkpoint, name: str) -> np.ndarray:
    dtype, data = kept.array(name)
    return np.frombuffer(data, dtype).copy()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:110]} ..."
