"""`fit` with a communicator: every process prepares the same run, and is as good as one process alone."""

from __future__ import annotations

import os
import socket
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import runtime
from ..errors import TrainingWarning
from ..network.passes import ArrayPasses
from ..report.history import History
from . import checkpoint
from .batches import Loaded
from .learner import Learner
from .plan import Plan
from .prepare import Arguments, prepare
from .processes import SAME, Together, open_processes

__all__ = ["train"]

SAMPLED = 64  # rows of data that are compared


def train(learner: Learner, a: Arguments) -> History:
    """Prepare a run of `fit` and run it, in one process or several."""
    together = open_processes(a.communicator)
    if together is None:
        return prepare(learner, a).run()
    try:
        with _threads(together), _quiet(together):
            run = prepare(learner, a, together)
            together.require_same(_facts(learner, run.plan, run.kept))
            history = run.run()
        together.end()
        return history
    except BaseException as error:
        together.fail(error)
        raise
    finally:
        together.close()


@contextmanager
def _quiet(together: Together) -> Iterator[None]:
    """Leave warnings to the first process."""
    with warnings.catch_warnings():
        if together.process:
            warnings.simplefilter("ignore", TrainingWarning)
        yield


@contextmanager
def _threads(together: Together) -> Iterator[None]:
    """Share the processors of a machine among its processes, unless threads were chosen, or the launcher has bound each
    process to its own."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    mine = [zlib.crc32(socket.gethostname().encode()), zlib.crc32(repr(allowed).encode())]
    sharing = int((together.numbers(SAME, np.array(mine, np.int64)) == mine).all(axis=1).sum())
    before = runtime.get_num_threads()
    if before == len(allowed) and not os.environ.get("PYNN_NUM_THREADS"):
        runtime.set_num_threads(max(1, before // sharing))
    try:
        yield
    finally:
        runtime.set_num_threads(before)


def _facts(learner: Learner, plan: Plan, kept: Any) -> dict[str, Any]:
    """What must be the same in every process."""
    network, model = learner.network, learner.to_dict()
    state: Any = learner.state()
    weights = [np.array(network.parameters), np.array(network.core.state)] if network.built else []
    held = plan.validation
    validation = [_sample(part) for part in held.whole[:3]] if isinstance(held, ArrayPasses) else type(held).__name__
    known = runtime.provenance()
    return {
        "seed (give the model one)": model.pop("seed"),
        "model": model,
        "weights": b"".join(array.tobytes() for array in weights),
        "state of the optimizer": [state[name] for name in sorted(state) if name not in ("slots", "capacity")]
        + [zlib.crc32(slot.tobytes()) for slot in state.get("slots", ())],
        "epochs": plan.epochs,
        "batch size": plan.batches.batch_size,
        "shards": plan.shards,
        "guard": plan.guard.to_dict(),
        "mixup": plan.mixup,
        "callbacks": [checkpoint.choices(callback) for callback in plan.callbacks],
        "data": _data(plan),
        "validation data": validation,
        "checkpoint": None if kept is None else [kept[1][name] for name in ("base", "epoch", "batch", "within")],
        "version, processor kernels and BLAS of pynn": [known[name] for name in ("pynn", "kernels", "blas")],
    }


def _data(plan: Plan) -> Any:
    batches: Any = getattr(plan.batches, "batches", plan.batches)
    if not isinstance(batches, Loaded):
        return type(batches).__name__
    loader = batches.loader
    about = [loader.n_rows, loader.shuffle, loader.seed, loader.drop_last]
    return about + [_sample(part) for part in (batches.data or ())[:3]]


def _sample(array: Any) -> Any:
    """Shape, dtype and a checksum of some rows."""
    if array is None or not isinstance(array, np.ndarray):
        return None if array is None else [array.shape, array.dtype.str, array.nnz]
    rows = array[np.unique(np.linspace(0, len(array) - 1, SAMPLED).astype(np.int64))] if len(array) else array
    return [array.shape, array.dtype.str, zlib.crc32(np.ascontiguousarray(rows).tobytes())]
