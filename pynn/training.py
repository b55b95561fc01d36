"""The loop: `fit` runs epochs, an epoch runs calls of the core, a call runs as many steps as fit into a moment.

Between calls Python has its turn: metrics, callbacks, progress, Ctrl-C.
"""

from __future__ import annotations

import copy
import itertools
import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from . import causes, checkpoint, health, runtime
from .callbacks import Average, Callback
from .data import sampling
from .data.bad import FILLS
from .errors import ArgumentTypeError, ArgumentValueError, NumericalError, ShapeError, TrainingWarning
from .health import Finding, Guard, Report
from .history import History, StepResult
from .progress import Progress

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["Batches", "Blocks", "Held", "Limited", "Loaded", "Streamed", "Training", "evaluate"]

# steps, rows, mean loss, gradient norm of the last step, batches left out, rows in them
Progressed = tuple[int, int, float, float, int, int]
Begin = Callable[[], None] | None  # called before each batch; None: batches need not be told apart
Steps = Callable[[], int]  # called right before each call of the core: the most steps it may make
State = dict[str, Any]

SECONDS = 0.05  # of steps between two turns of Python
ROWS, BYTES = 4096, 8 << 20  # most predictions held at a time


def rows_at_once(model: Sequential, most: int = ROWS) -> int:
    """Rows whose predictions are held at a time."""
    return max(1, min(most, BYTES // (model.outputs * model.dtype.itemsize)))


class Measure:
    """The metrics of an epoch. They take in blocks of rows that no clock decides: so sums have the same bits however
    many steps the calls of the core make."""

    def __init__(self, model: Sequential) -> None:
        self.model, self.metrics = model, model.metrics
        self.begin()

    def begin(self) -> None:
        """Of an epoch."""
        for metric in self.metrics:
            metric.reset()
        self.n, self.refused = 0, 0
        self.out: Any = None  # predictions, targets and weights of the rows that wait, one after the other
        self.y: Any = None
        self.weights: Any = None

    def room(self, batch_size: int) -> int:
        """Rows that the next call may train on: whole batches."""
        if not self.metrics:
            return max(1, (1 << 16) // batch_size) * batch_size
        most = max(batch_size, rows_at_once(self.model))
        if most - self.n < batch_size:
            self.flush()
        return (most - self.n) // batch_size * batch_size

    def predictions(self, rows: int) -> Any:
        """Memory for those of the next rows; None: they are not wanted."""
        if not self.metrics:
            return None
        if self.out is None or len(self.out) < self.n + rows:
            grown = np.empty((max(self.n + rows, rows_at_once(self.model)), self.model.outputs), self.model.dtype)
            grown[: self.n] = self.out[: self.n] if self.n else 0
            self.out = grown
        return self.out[self.n : self.n + rows]

    def add(self, y: np.ndarray, weights: np.ndarray | None, done: Progressed) -> None:
        """The rows of a call: their targets, and whether steps were refused; predictions are there already."""
        if not self.metrics or not len(y):
            return
        weights = None if weights is None else weights.reshape(-1, 1)
        if self.n and not (alike(self.y, y) and alike(self.weights, weights)):
            predictions = self.out[self.n : self.n + len(y)]
            self.flush()
            self.out[: len(y)] = predictions
        self.y, self.weights = self.append(self.y, y), self.append(self.weights, weights)
        self.n += len(y)
        self.refused += done[4]

    def append(self, waiting: Any, rows: np.ndarray | None) -> Any:
        """The memory of the rows that wait, with these after them; it grows to that of the predictions."""
        if rows is None:
            return None
        if waiting is None or len(waiting) < self.n + len(rows):
            grown = np.empty((len(self.out), rows.shape[1]), rows.dtype)
            grown[: self.n] = waiting[: self.n] if self.n else 0
            waiting = grown
        waiting[self.n : self.n + len(rows)] = rows
        return waiting

    def flush(self) -> None:
        """Take in the rows that wait; the predictions of batches left out are NaN."""
        if self.n:
            out, y = self.out[: self.n], self.y[: self.n]
            weights = None if self.weights is None else self.weights[: self.n]
            if self.refused:
                kept = ~np.isnan(out).any(axis=1)
                y, out, weights = y[kept], out[kept], None if weights is None else weights[kept]
            for metric in self.metrics if len(y) else ():
                metric.update(y, out, weights)
        self.n, self.refused, self.y, self.weights = 0, 0, None, None

    def results(self) -> dict[str, float]:
        self.flush()
        return {metric.name: metric.result() for metric in self.metrics}

    def state(self) -> State:
        waiting = {name: getattr(self, name)[: self.n] for name in ("out", "y", "weights")
                   if self.n and getattr(self, name) is not None}  # fmt: skip
        metrics = [checkpoint.state_of(metric) for metric in self.metrics]
        return {"metrics": metrics, "n": self.n, "refused": self.refused, "waiting": waiting}

    def restore(self, state: State) -> None:
        for metric, kept in zip(self.metrics, state["metrics"], strict=True):
            checkpoint.restore(metric, kept)
        self.n, self.refused = state["n"], state["refused"]
        for name, array in state["waiting"].items():
            setattr(self, name, array)


def alike(rows: np.ndarray | None, more: np.ndarray | None) -> bool:
    """Whether rows can stand in one array with others."""
    if rows is None or more is None:
        return rows is more
    return rows.dtype == more.dtype and rows.shape[1] == more.shape[1]


class Batches:
    """Data to train on. `run` trains one epoch and yields after each call of the core."""

    inputs: int | None = None  # None: the first batch decides
    rows: int | None = None  # in an epoch, when that is known
    numbers: Any = None  # of the rows of the batch at hand in the caller's data, where they differ
    at_hand: Any = None  # (X, y, weights), and the order, of the last call of the core
    waits = True  # whether what waits for data may be interrupted
    batch_size = 1  # rows, as far as that is known

    def run(self, model: Sequential, measure: Measure, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        raise NotImplementedError

    def describe(self) -> State:
        """What must be the same in a run that is resumed."""
        return {}

    @property
    def ended(self) -> bool:
        """Whether it is known that nothing of the epoch is left."""
        return False

    @property
    def unclear(self) -> bool:
        """Whether the epoch may be over or not, and `state` could not tell."""
        return False

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

    def __init__(self, loader: Any, data: tuple[Any, Any, Any] | None) -> None:
        self.loader, self.data = loader, data
        self.inputs = None if data is None else data[0].shape[1]
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
        parts = zip(("X", "y", "sample_weight"), self.data, strict=True)
        return {"loader": about} | {name: checkpoint.fingerprint(part) for name, part in parts}

    @property
    def ended(self) -> bool:
        return bool(self.loader.state_dict()["epoch"] > self.epoch)

    def state(self, between: bool) -> State:
        return dict(self.loader.state_dict())

    def restore(self, state: State) -> None:
        self.loader.load_state_dict(state)

    def findings(self) -> list[Finding]:
        bad = self.loader.bad_rows
        if not bad.get("rows"):
            return []
        done = "left out" if bad["action"] == "skip" else f"filled in with the {FILLS[bad['action']]} of their columns"
        what = "had missing cells" if bad["action"] != "skip" else "with missing or infinite cells or targets were"
        message = f"{counted(bad['rows'], 'row')} {what} {done}"
        if bad["cells"]:
            message += f", {counted(bad['cells'], 'cell')} of X in {counted(len(bad['columns']), 'column')}"
        columns = sorted(bad["columns"], key=lambda column: -bad["columns"][column])[:20]
        evidence = {"n_rows": bad["rows"], "n_cells": bad["cells"], "action": bad["action"]}
        return [Finding("nonfinite_input", "info", message, columns=columns, evidence=evidence)]

    def run(self, model: Sequential, measure: Measure, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        loader = self.loader
        epoch, seen = loader.begin()
        self.epoch = epoch
        if self.data is not None:
            order = None if loader.ordered else loader.order(epoch)
            yield from self.steps(
                model, measure, begin, steps, self.data, order, seen * loader.batch_size, self.rows, epoch, 0
            )
            return
        for block in loader.blocks(epoch, seen):
            data = model.check_batch(block.x, block.targets, block.weights, block.numbers)
            self.numbers = block.numbers
            yield from self.steps(model, measure, begin, steps, data, None, 0, len(block), epoch, seen)
            seen += -(-len(block) // loader.batch_size)

    def steps(
        self, model: Sequential, measure: Measure, begin: Begin, steps: Steps, data: tuple[Any, Any, Any], order: Any,
        first: int, last: int | None, epoch: int, before: int,
    ) -> Iterator[Progressed]:  # fmt: skip
        """Steps over rows order[first : last] of checked arrays, which follow `before` batches of the epoch."""
        x, y, weights = data
        self.at_hand = data, order
        last = x.shape[0] if last is None else last
        batch_size = min(self.loader.batch_size, last)
        trainer = model.trainer(batch_size)
        while first < last:
            if begin:
                begin()
            count = min(batch_size if begin else min(measure.room(batch_size), steps() * batch_size), last - first)
            out = measure.predictions(count)
            try:
                done = trainer.train(x, y, weights, order, first, count, batch_size, SECONDS, out)
            except NumericalError as error:
                at = first + error.progress[1] + error.progress[5]
                named = {"X": x, "y": y, "sample_weight": weights}
                raise causes.explain(error, model, named, order, at, min(batch_size, last - at), self.numbers) from None
            passed = done[1] + done[5]
            rows: Any = slice(first, first + passed) if order is None else order[first : first + passed]
            measure.add(y[rows], None if weights is None else weights[rows], done)
            first += passed
            self.loader.seen(epoch, before + -(-first // batch_size))
            yield done


def counted(n: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


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
    def unclear(self) -> bool:
        length = len(self.batches) if hasattr(self.batches, "__len__") else 0
        return self._has_state() and not self.exhausted and self.seen >= length

    def restore(self, state: State) -> None:
        self.seen = state["seen"]
        if state["own"] is not None:
            self.batches.load_state_dict(state["own"])
        else:
            self.skipped = self.seen

    def run(self, model: Sequential, measure: Measure, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        skipped, self.skipped = self.skipped, 0
        if not skipped:
            self.seen = 0
        for batch in itertools.islice(self.batches, skipped, None):
            x, y, weights = checked(model, batch)
            if begin:
                begin()
            self.numbers, self.at_hand = getattr(batch[0], "rows", None), ((x, y, weights), None)
            self.exhausted = False
            measure.room(x.shape[0])
            steps()
            done = one_step(model, x, y, weights, measure.predictions(x.shape[0]), self.numbers)
            measure.add(y, weights, done)
            self.seen += 1
            yield done
        self.exhausted = True


class Limited(Batches):
    """The next so many batches of others in each epoch, which begin anew when they end, and not before."""

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
    def unclear(self) -> bool:
        return self.batches.unclear

    def state(self, between: bool) -> State:
        return {"taken": 0 if between else self.taken, "batches": self.batches.state(self.calls is None)}

    def restore(self, state: State) -> None:
        self.taken, self.resumed = state["taken"], True
        self.batches.restore(state["batches"])

    @property
    def numbers(self) -> Any:
        return self.batches.numbers

    @property
    def at_hand(self) -> Any:
        return self.batches.at_hand

    def findings(self) -> list[Finding]:
        return self.batches.findings()

    def run(self, model: Sequential, measure: Measure, begin: Begin, steps: Steps) -> Iterator[Progressed]:
        at_once = begin or (lambda: None)
        if self.ended:
            self.taken = 0
        while not self.ended:
            fresh, self.resumed = self.calls is None and not self.resumed, False
            self.calls = self.calls or self.batches.run(model, measure, at_once, steps)
            done = next(self.calls, None)
            if done is not None:
                self.taken += done[0] + done[4]
                yield done
                continue
            self.calls = None
            if fresh:
                raise ArgumentValueError("expected batches for steps_per_epoch; received an iterable that has run out")


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


class Training:
    """One run of `fit`."""

    def __init__(
        self,
        model: Sequential,
        batches: Batches,
        validation: Iterable[tuple[Any, Any, Any, Any]] | None,
        epochs: range,
        callbacks: Sequence[Callback],
        progress: Progress,
        guard: Guard,
        base: int = 0,
    ) -> None:
        self.guard = guard
        self.base = base  # epochs that the model had seen before
        self.saver: checkpoint.Saver | None = None
        self.kept_at: tuple[int, int] | None = None  # the last checkpoint, if between two epochs
        self.epoch, self.batch = epochs.start, 0  # that run next
        self.within, self.begun = False, False  # an epoch; its first batch is done
        self.measure = Measure(model)
        self.interrupts = Interrupts(batches.waits)
        self.model, self.batches, self.validation, self.epochs = model, batches, validation, epochs
        self.callbacks, self.progress = callbacks, progress
        self.one_by_one = any(callback.uses_batches for callback in callbacks)
        self.history = model.history = History(provenance=runtime.provenance())
        self.causes: list[Finding] = []  # of the first step that was refused, when the run went on
        model.stop_training = False

    def run(self, kept: tuple[Any, State] | None = None) -> History:
        """All epochs, or those that are left of a run that was `kept`. Ctrl-C ends them between two steps and keeps the
        model and the history."""
        for callback in self.callbacks:
            callback.model = self.model
            callback.params = {"epochs": self.epochs.stop}
        logs: dict[str, float] = {}
        try:
            self.call("on_train_begin", logs)
            self.model.use_guard(self.guard)
            if kept is not None:
                logs = self.go_on(*kept)
            with self.interrupts if self.saver else nullcontext():
                logs = self.run_epochs() or logs
                if self.saver and self.model.built and (self.kept_at != self.place or self.saver.failed):
                    self.keep()
        except KeyboardInterrupt:
            self.history.interrupted = True
            print(f"interrupted in epoch {len(self.history) + 1}; the model keeps its last step", file=sys.stderr)
            if self.saver and self.interrupts.safe and self.model.built and self.tells_all:
                self.keep()
        except NumericalError as error:
            self.keep_ledger(self.epochs.start + len(self.history))
            self.history.report = error.report or Report()
            raise
        except BaseException:  # a callback's own, for instance
            self.history.report = Report(health.findings(self.history.ledger))
            raise
        finally:
            self.progress.close()
            if self.saver:
                self.saver.close()
            self.end(logs)
        data = self.batches.at_hand and self.batches.at_hand[0]
        size = self.batches.batch_size if isinstance(self.batches, Loaded) else None
        sample = data and causes.spread_out(data, self.batches.numbers)
        seen = causes.of_the_task(self.model, size, sample)
        if self.model.built and all(finding.layer is None for finding in seen):  # or that explains what else is seen
            seen += causes.observed(self.model, sample)
        found = health.findings(self.history.ledger) + self.causes + seen
        looked = self.guard.policy != "off"
        self.history.report = Report(found + self.batches.findings() + self.findings(), looked)
        faults = [finding for finding in self.history.report.findings if finding.severity != "info"]
        if faults:
            more = (
                f" history.ledger has all {len(self.history.ledger)} entries." if len(self.history.ledger) > 1 else ""
            )
            warnings.warn(f"{faults[0].message}. {faults[0].remedy}{more}", TrainingWarning, stacklevel=4)
        if self.saver:
            self.saver.finish()
        return self.history

    def run_epochs(self) -> dict[str, float]:
        """All epochs that are left; the values of the last."""
        logs: dict[str, float] = {}
        while self.epoch < self.epochs.stop and not self.model.stop_training:
            logs = self.run_epoch(self.epoch)
        return logs

    def findings(self) -> list[Finding]:
        """What else the run has to say."""
        return []

    @property
    def tells_all(self) -> bool:
        """Whether `state` would: not when an epoch's last step was taken and what ends it was not."""
        return not self.batches.unclear and not (self.within and self.begun and self.batches.ended)

    @property
    def place(self) -> tuple[int, int]:
        """Of a checkpoint between two epochs."""
        return self.epoch, self.steps()

    def keep(self) -> None:
        """Make a checkpoint."""
        assert self.saver is not None
        self.kept_at = None if self.within else self.place
        self.saver.save(self.state(), self.steps())

    def steps(self) -> int:
        return int(self.model.trainer(1).steps)

    def state(self) -> State:
        """All that the rest of the run depends on and that the core does not keep."""
        history = self.history
        return {
            "base": self.base, "epoch": self.epoch, "batch": self.batch, "within": self.within, "begun": self.begun,
            "stopped": self.model.stop_training,
            "history": {"epochs": history.epochs, "ledger": history.ledger, "lost": history.ledger_lost},
            "data": self.batches.state(not (self.within and self.begun)),
            "measure": self.measure.state() if self.within else None,
            "causes": [asdict(finding) for finding in self.causes],
            "callbacks": [checkpoint.state_of(callback) for callback in self.callbacks],
        }  # fmt: skip

    def go_on(self, core: Any, state: State) -> dict[str, float]:
        """Be where `state` was taken; returns the logs of the last epoch."""
        if not self.model.built:
            self.model.build(core.inputs)
        core.restore(self.model.trainer(self.batches.batch_size))
        self.model.keep_learning_rate()
        self.base, self.epoch, self.batch = state["base"], state["epoch"], state["batch"]
        self.within, self.begun = state["within"], state["begun"]
        history = self.history
        history.epochs, history.ledger = state["history"]["epochs"], state["history"]["ledger"]
        history.ledger_lost = state["history"]["lost"]
        self.causes = [Finding(**finding) for finding in state["causes"]]
        self.batches.restore(state["data"])
        if self.within:
            self.measure.restore(state["measure"])
        for callback, kept in zip(self.callbacks, state["callbacks"], strict=True):
            checkpoint.restore(callback, kept)
        self.model.stop_training = state["stopped"]
        self.kept_at = None if self.within else self.place
        return history[-1] if len(history) else {}

    def pause(self) -> None:
        """Between two steps or two epochs: Ctrl-C is heard, a checkpoint made when it is time."""
        self.interrupts.safe = True
        if self.saver:
            self.interrupts.hear()
            if self.tells_all and self.saver.due(self.steps()):
                self.keep()

    def before_steps(self) -> int:
        """From here to the next `pause` things change; the most steps that may be taken until then."""
        self.interrupts.safe = False
        left = self.saver.steps_left(self.steps()) if self.saver and self.model.built else None
        return 1 << 40 if left is None else left

    def keep_ledger(self, epoch: int) -> None:
        """What the guard did, into the history and the progress output; the learning rate it left is the model's."""
        if not self.model.built:
            return
        trainer, numbers = self.model.trainer(1), self.batches.numbers
        events, lost = trainer.events()
        for event in events:
            if (
                event["kind"] in ("rolled_back", "skipped")
                and event["operation"] not in health.OF_THE_DATA
                and not self.causes
            ):
                data, order = self.batches.at_hand
                batch = causes.batch(data, order, event["first"], event["rows"], numbers)
                self.causes = causes.causes(self.model, batch, [])
            if numbers is not None and event["row"] is not None:
                event["row"] = int(numbers[event["row"]])
            del event["first"], event["rows"]
            self.history.ledger.append({"epoch": epoch} | event)
            self.progress.note(health.say(event))
        if lost:
            self.progress.note(f"and {lost} more before these")
            self.history.ledger_lost += lost
        self.model.keep_learning_rate()

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """One epoch, or what is left of it, and its validation; its values are added to the history."""
        model, begin = self.model, self.begin_clock()
        if not self.within:
            self.interrupts.safe = False
            self.call("on_epoch_begin", epoch, {})
            self.begin_epoch()
        self.progress.begin(epoch, self.epochs.stop, self.batches.rows)
        logs = self.train(epoch)
        self.interrupts.safe = False
        if self.validation is not None:
            self.call("on_test_begin", {})
            with health.of_validation():
                found = evaluate(model, self.validation, guarded=self.guard.policy != "off")
            self.call("on_test_end", found)
            logs |= {f"val_{name}": value for name, value in found.items()}
        logs |= {"learning_rate": model.learning_rate, "seconds": time.perf_counter() - begin}
        self.progress.end(logs)
        self.history.epochs.append(logs)
        self.call("on_epoch_end", epoch, logs)
        self.epoch, self.within = epoch + 1, False
        self.pause()
        return logs

    def begin_clock(self) -> float:
        """When the epoch that is to run began."""
        return time.perf_counter()

    def begin_epoch(self) -> None:
        self.measure.begin()
        if self.model.built:
            self.model.trainer(1).begin_epoch()
        self.batch, self.within, self.begun = 0, True, False
        self.interrupts.safe = True

    def train(self, epoch: int) -> dict[str, float]:
        """The steps of one epoch: the mean loss and the metrics, of each batch before its update."""
        model = self.model
        begin = (lambda: self.call("on_train_batch_begin", self.batch, {})) if self.one_by_one else None
        calls = self.batches.run(model, self.measure, begin, self.before_steps)
        while not model.stop_training:
            try:
                steps, count, mean, norm, refused, _ = next(calls)
            except StopIteration:
                if not self.begun:
                    raise ShapeError("expected batches to train on; received an iterable that ended at once") from None
                break
            self.begun = True
            self.keep_ledger(epoch)
            self.batch += steps + refused
            self.progress.advance(count, {"loss": model.trainer(1).epoch_loss})
            if self.one_by_one:
                self.call("on_train_batch_end", self.batch - 1, {"loss": mean, "grad_norm": norm})
            if not model.stop_training:
                self.pause()
        return {"loss": model.trainer(1).epoch_loss if model.built else math.nan} | self.measure.results()

    def call(self, name: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*arguments)

    def end(self, logs: dict[str, float]) -> None:
        """Every callback's `on_train_end`, also when one of them fails."""
        failures = []
        for callback in sorted(self.callbacks, key=lambda callback: not isinstance(callback, Average)):
            try:  # averages are put in place before others restore or save what they keep
                callback.on_train_end(logs)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]


def checked(model: Sequential, batch: Any) -> tuple[Any, Any, Any]:
    """A batch that somebody's iterable yielded, as the core reads it."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ArgumentTypeError(f"expected batches (xb, yb) or (xb, yb, wb); received {type(batch).__name__}")
    return model.check_batch(*batch)


class Held:
    """Checked batches of any iterable, as `Blocks` has them: to evaluate on, weighted by class (classes, weights)."""

    def __init__(self, model: Sequential, batches: Iterable[Any], class_weight: Any = None) -> None:
        self.model, self.batches, self.class_weight = model, batches, class_weight

    def __iter__(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        for batch in self.batches:
            x, y, weights = checked(self.model, batch)
            if self.class_weight is not None:
                by_class = sampling.row_weights(self.class_weight, sampling.as_labels(y, "class_weight"))[:, None]
                weights = by_class if weights is None else weights * by_class
            yield x, y, weights, getattr(batch[0], "rows", None)


class Blocks:
    """Checked rows of a loader, (X, y, weights, rows' numbers) after (X, ...), each time it is iterated: to evaluate
    on."""

    def __init__(self, model: Sequential, loader: Any) -> None:
        self.model, self.loader = model, loader

    def __iter__(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        for block in self.loader.blocks(0):
            yield *self.model.check_batch(block.x, block.targets, block.weights, block.numbers), block.numbers


def evaluate(
    model: Sequential, parts: Iterable[tuple[Any, Any, Any, Any]], *, guarded: bool = True
) -> dict[str, float]:
    """Loss and metrics over parts (X, y, weights, rows' numbers or None) of checked arrays, in chunks. The metrics are
    copies: those of the model may be at work for an epoch, or for another thread."""
    metrics = copy.deepcopy(model.metrics)
    for metric in metrics:
        metric.reset()
    most, loss, before = rows_at_once(model), 0.0, 0
    for x, y, weights, numbers in parts:
        n = x.shape[0]
        out: Any = np.empty((min(most, n), model.outputs), model.dtype) if metrics else None
        for first in range(0, n, most):
            rows = slice(first, min(first + most, n))
            w = None if weights is None else weights[rows]
            try:
                loss += model.core.evaluate(x[rows], y[rows], w, out, guarded) * (rows.stop - first)
            except NumericalError as error:
                raise health.bad_prediction(error, first if numbers is not None else before + first, numbers) from None
            for metric in metrics:
                metric.update(y[rows], out[: rows.stop - first], w)
        before += n
    if not before:
        raise ShapeError("expected at least one row to evaluate; received none")
    return {"loss": loss / before} | {metric.name: metric.result() for metric in metrics}


def one_step(
    model: Sequential, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, out: Any = None, rows: Any = None
) -> Progressed:
    """One step on all rows of checked arrays; `rows` are their numbers in the caller's data."""
    try:
        return model.trainer(x.shape[0]).train(x, y, weights, None, 0, x.shape[0], x.shape[0], 0, out)
    except NumericalError as error:
        raise causes.explain(
            error, model, {"X": x, "y": y, "sample_weight": weights}, None, 0, x.shape[0], rows
        ) from None


def step(model: Sequential, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, rows: Any) -> StepResult:
    """One step on checked arrays; a refused one is a result, with a warning."""
    trainer = model.trainer(x.shape[0])
    try:
        with health.by_hand():
            applied, _, loss, norm, _, _ = one_step(model, x, y, weights, None, rows)
    except NumericalError as error:
        findings = error.report.findings if error.report else []
        warnings.warn(f"a step was refused and changed nothing: {error}", TrainingWarning, stacklevel=3)
        return StepResult(float("nan"), float("nan"), False, findings)
    finally:
        events = trainer.events()[0]
    model.keep_learning_rate()
    for event in events:
        if rows is not None and event["row"] is not None:
            event["row"] = int(rows[event["row"]])
    found = health.advised_by_hand(health.findings(events))
    if not applied:
        warnings.warn(f"a step was refused: {found[0].message}. {found[0].remedy}", TrainingWarning, stacklevel=3)
        return StepResult(float("nan"), float("nan"), False, found)
    if trainer.statistics(0)["step"] == trainer.steps:
        found += causes.observed(model)
    return StepResult(loss, norm, True, found)


def require_finite(model: Sequential, data: tuple[Any, Any, Any], numbers: Any = None) -> None:
    """Refuse X, y and weights with cells that are NaN or infinite before any step, but not the y of rows of weight 0;
    memory-mapped data are left to the steps. `numbers` are the rows' for the caller."""
    for name, x in zip(("X", "y", "sample_weight"), data, strict=True):
        if x is None:
            continue
        if getattr(x, "base", None) is not None and type(x.base).__name__ in ("mmap", "memmap"):
            continue
        cells = model.refused(name, x)
        if name == "y" and data[2] is not None:
            cells = cells[data[2][cells[:, 0], 0] != 0]
        if len(cells):
            raise health.bad_cells(name, x, cells, numbers)
