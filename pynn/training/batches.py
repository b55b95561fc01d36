"""Batches to train on: from a loader, from any iterable, or a fixed number of them per epoch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..diagnosis.explain import explain
from ..errors import ArgumentValueError, NumericalError
from ..network.passes import Part, part_of
from ..report.finding import Finding
from . import checkpoint
from .learner import Learner
from .metrics import EpochMetrics, Progressed, State

Begin = Callable[[], None] | None  # called before each batch; None: batches need not be told apart
Steps = Callable[[], int]  # called right before each call of the core: the most steps it may make
SECONDS = 0.05  # of steps between two turns of Python


class Batches:
    """Data to train on. `run` trains one epoch and yields after each call of the core."""

    inputs: int | None = None  # None: the first batch decides
    rows: int | None = None  # in an epoch, when that is known
    current: Any = None  # (part, order) of the last call of the core
    waits = True  # whether what waits for data may be interrupted
    batch_size = 1  # rows, as far as that is known

    def run(self, learner: Learner, metrics: EpochMetrics, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        raise NotImplementedError

    def describe(self) -> State:
        """What must be the same in a run that is resumed."""
        return {}

    @property
    def ended(self) -> bool:
        """Whether it is known that nothing of the epoch is left."""
        return False

    @property
    def is_resumable(self) -> bool:
        """Whether `state` knows where the data stand: not where an epoch may have ended or not."""
        return True

    def state(self, between: bool) -> State:
        """Where the data stand, for `restore`; `between` two epochs or within one."""
        raise NotImplementedError

    def restore(self, state: State) -> None:
        """Let the next `run` go on from there."""
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        """What was done about the data on their way."""
        return []


class Loaded(Batches):
    """A `DataLoader`. Arrays in memory go to C as they are, else blocks of rows as the loader reads them."""

    def __init__(self, loader: Any, data: Part | None) -> None:
        self.loader, self.data = loader, data
        self.classes: list[int] | None = None  # of all rows of an epoch, where they are read in blocks
        self.inputs = None if data is None else data.x.shape[1]
        if loader.n_rows is not None:
            self.rows = min(len(loader) * loader.batch_size, loader.n_rows)
        self.epoch, self.batch_size = loader.epoch, loader.batch_size
        if self.rows is not None:
            self.batch_size = min(self.batch_size, self.rows)

    def describe(self) -> State:
        loader = self.loader
        names = ("n_rows", "batch_size", "shuffle", "drop_last", "seed", "on_bad_rows", "class_weight")
        about = {name: getattr(loader, name) for name in names}
        if self.data is None:
            return {"loader": about | {"source": type(loader.source).__name__}}
        parts = zip(("X", "y", "sample_weight"), self.data[:3], strict=True)
        return {"loader": about} | {name: checkpoint.fingerprint(part) for name, part in parts}

    @property
    def ended(self) -> bool:
        return bool(self.loader.state_dict()["epoch"] > self.epoch)

    def state(self, between: bool) -> State:
        return dict(self.loader.state_dict())

    def restore(self, state: State) -> None:
        self.loader.load_state_dict(state)

    def findings(self) -> list[Finding]:
        bad, weights = self.loader.bad_rows, self.loader.class_weight
        found = [_passed_over(bad)] if bad.get("rows") else []
        return found if weights is None or weights[1].ndim == 1 else [*found, _weighed(*weights)]

    def run(self, learner: Learner, metrics: EpochMetrics, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        loader = self.loader
        epoch, seen = loader.begin()
        self.epoch = epoch
        if self.data is not None:
            order = None if loader.ordered else loader.order(epoch)
            yield from self.steps(
                learner, metrics, begin, steps, self.data, order, seen * loader.batch_size, self.rows, epoch, 0
            )
            return
        whole, classes = not seen, set[int]()
        for block in loader.blocks(epoch, seen):
            data = learner.check_batch(block.x, block.targets, block.weights, block.numbers)
            yield from self.steps(learner, metrics, begin, steps, data, None, 0, len(block), epoch, seen)
            seen += -(-len(block) // loader.batch_size)
            classes.update(np.unique(data.y).tolist() if data.y.dtype.kind in "iu" and data.y.shape[1] == 1 else ())
        self.classes = sorted(classes) if whole else None

    def steps(
        self, learner: Learner, metrics: EpochMetrics, begin: Begin, steps: Steps, data: Part, order: Any,
        first: int, last: int | None, epoch: int, before: int,
    ) -> Iterator[Progressed]:  # fmt: skip
        """Steps over rows order[first : last] of checked arrays, which follow `before` batches of the epoch."""
        x, y, weights, _ = data
        self.current = data, order
        last = x.shape[0] if last is None else last
        batch_size = min(self.loader.batch_size, last)
        trainer = learner.trainer_for(batch_size)
        while first < last:
            if begin:
                begin()
            count = min(batch_size if begin else min(metrics.room(batch_size), steps() * batch_size), last - first)
            out = metrics.predictions(count)
            try:
                done = trainer.train(x, y, weights, order, first, count, batch_size, SECONDS, out)
            except NumericalError as error:
                at = first + error.progress[1] + error.progress[5]
                raise explain(error, learner, data, order, at, min(batch_size, last - at)) from None
            passed = done[1] + done[5]
            if learner.together is not None:
                learner.complete(out if out is None else out[:passed], batch_size)
            taken: Any = slice(first, first + passed) if order is None else order[first : first + passed]
            metrics.add(y[taken], None if weights is None else weights[taken], done)
            first += passed
            self.loader.seen(epoch, before + -(-first // batch_size))
            yield done


class Streamed(Batches):
    """Anything that yields ``(xb, yb)`` or ``(xb, yb, wb)`` each time it is iterated."""

    def __init__(self, batches: Any) -> None:
        self.batches, self.seen, self.skipped, self.exhausted = batches, 0, 0, True
        self.waits = not self._has_state()

    def _has_state(self) -> bool:
        return hasattr(self.batches, "state_dict") and hasattr(self.batches, "load_state_dict")

    def describe(self) -> State:
        return {"batches": type(self.batches).__name__}

    def state(self, between: bool) -> State:
        own = self.batches.state_dict() if self._has_state() else None
        return {"seen": 0 if between else self.seen, "own": own}

    @property
    def is_resumable(self) -> bool:
        length = len(self.batches) if hasattr(self.batches, "__len__") else 0
        return not self._has_state() or self.exhausted or self.seen < length

    def restore(self, state: State) -> None:
        self.seen = state["seen"]
        if state["own"] is not None:
            self.batches.load_state_dict(state["own"])
        else:
            self.skipped = self.seen

    def run(self, learner: Learner, metrics: EpochMetrics, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        skipped, self.skipped = self.skipped, 0
        if not skipped:
            self.seen = 0
        for batch in itertools.islice(self.batches, skipped, None):
            part = learner.check_batch(*part_of(batch))
            if begin:
                begin()
            self.current, self.exhausted = (part, None), False
            count = part.x.shape[0]
            metrics.room(count)
            steps()
            out = metrics.predictions(count)
            done = one_step(learner, part, out)
            learner.complete(out, count)
            metrics.add(part.y, part.weights, done)
            self.seen += 1
            yield done
        self.exhausted = True


class Limited(Batches):
    """A fixed number of batches of others in each epoch; those start over only when they end."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.most, self.inputs = batches, steps, batches.inputs
        self.waits, self.batch_size = batches.waits, batches.batch_size
        self.taken, self.resumed = 0, False
        self.calls: Iterator[Progressed] | None = None

    def describe(self) -> State:
        return self.batches.describe() | {"steps_per_epoch": self.most}

    @property
    def ended(self) -> bool:
        return self.taken >= self.most

    @property
    def is_resumable(self) -> bool:
        return self.batches.is_resumable

    def state(self, between: bool) -> State:
        return {"taken": 0 if between else self.taken, "batches": self.batches.state(self.calls is None)}

    def restore(self, state: State) -> None:
        self.taken, self.resumed = state["taken"], True
        self.batches.restore(state["batches"])

    @property
    def current(self) -> Any:
        return self.batches.current

    def findings(self) -> list[Finding]:
        return self.batches.findings()

    def run(self, learner: Learner, metrics: EpochMetrics, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        at_once = begin or (lambda: None)
        if self.ended:
            self.taken = 0
        while not self.ended:
            fresh, self.resumed = self.calls is None and not self.resumed, False
            self.calls = self.calls or self.batches.run(learner, metrics, at_once, steps)
            done = next(self.calls, None)
            if done is not None:
                self.taken += done[0] + done[4]
                yield done
                continue
            self.calls = None
            if fresh:
                raise ArgumentValueError("expected batches for steps_per_epoch; received an iterable that has run out")


def _passed_over(bad: dict[str, Any]) -> Finding:
    """Say which cells were filled, or their rows left out."""
    columns = sorted(bad["columns"], key=lambda column: -bad["columns"][column])[:20]
    evidence = {"n_rows": bad["rows"], "n_cells": bad["cells"], "n_columns": len(bad["columns"]), "array": "X",
                "action": bad["action"]}  # fmt: skip
    return Finding("nonfinite_input", "info", columns=columns, evidence=evidence, text="passed_over")


def _weighed(classes: np.ndarray, weights: np.ndarray) -> Finding:
    """Say that class weights go by the answers of each output: weights by output could have been meant."""
    evidence = {"n_outputs": weights.shape[1], "label": float(classes[-1]), "largest": float(weights[-1].max())}
    return Finding("class_imbalance", "info", evidence=evidence, text="weighed_by_output")


def one_step(learner: Learner, part: Part, out: Any = None) -> Progressed:
    """Take one step on all rows of checked arrays."""
    x, y, weights, _ = part
    count = x.shape[0]
    try:
        return learner.trainer_for(count).train(x, y, weights, None, 0, count, count, 0, out)
    except NumericalError as error:
        raise explain(error, learner, part, None, 0, count) from None
