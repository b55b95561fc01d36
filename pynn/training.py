"""The loop: `fit` runs epochs, an epoch runs calls of the core, a call runs as many steps as fit into a moment.

Between calls Python has its turn: metrics, callbacks, progress, Ctrl-C.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arrays, causes, health, runtime
from .callbacks import Callback
from .errors import ArgumentTypeError, ArgumentValueError, NumericalError, ShapeError, TrainingWarning
from .health import Finding, Guard, Report
from .history import History, StepResult
from .metrics import Metric
from .progress import Progress

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["Batches", "Blocks", "Held", "Limited", "Loaded", "Streamed", "Training", "evaluate"]

# steps, rows, mean loss, gradient norm of the last step, batches left out, rows in them
Progressed = tuple[int, int, float, float, int, int]
Begin = Callable[[], None] | None  # called before each batch; None: batches need not be told apart

SECONDS = 0.05  # of steps between two turns of Python
OF_THE_DATA = ("input", "target", "sample_weight")  # operations whose fault is its own cause
ROWS, BYTES = 4096, 8 << 20  # most predictions held at a time


def rows_at_once(model: Sequential, most: int = ROWS) -> int:
    """Rows whose predictions are held at a time."""
    return max(1, min(most, BYTES // (model.outputs * model.dtype.itemsize)))


class Batches:
    """Data to train on. `run` trains one epoch and yields after each call of the core."""

    inputs: int | None = None  # None: the first batch decides
    rows: int | None = None  # in an epoch, when that is known
    numbers: Any = None  # of the rows of the batch at hand in the caller's data, where they differ
    at_hand: Any = None  # (X, y, weights), and the order, of the last call of the core

    def run(self, model: Sequential, metrics: Sequence[Metric], begin: Begin) -> Iterator[Progressed]:
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

    def findings(self) -> list[Finding]:
        bad = self.loader.bad_rows
        if not bad.get("rows"):
            return []
        done = "left out" if bad["action"] == "skip" else "filled in with the means of their columns"
        what = "rows with missing or infinite cells were" if bad["action"] == "skip" else "rows had missing cells"
        message = f"{bad['rows']} {what} {done}, {bad['cells']} cells of X in {len(bad['columns'])} columns"
        columns = sorted(bad["columns"], key=lambda column: -bad["columns"][column])[:20]
        evidence = {"n_rows": bad["rows"], "n_cells": bad["cells"], "action": bad["action"]}
        return [Finding("nonfinite_input", "info", message, columns=columns, evidence=evidence)]

    def run(self, model: Sequential, metrics: Sequence[Metric], begin: Begin) -> Iterator[Progressed]:
        loader = self.loader
        epoch, seen = loader.begin()
        if self.data is not None:
            order = None if loader.ordered else loader.order(epoch)
            yield from self.steps(
                model, metrics, begin, self.data, order, seen * loader.batch_size, self.rows, epoch, 0
            )
            return
        for block in loader.blocks(epoch, seen):
            data = model.check_batch(block.x, block.targets, block.weights)
            self.numbers = block.numbers
            yield from self.steps(model, metrics, begin, data, None, 0, len(block), epoch, seen)
            seen += -(-len(block) // loader.batch_size)

    def steps(
        self, model: Sequential, metrics: Sequence[Metric], begin: Begin, data: tuple[Any, Any, Any], order: Any,
        first: int, last: int | None, epoch: int, before: int,
    ) -> Iterator[Progressed]:  # fmt: skip
        """Steps over rows order[first : last] of checked arrays, which follow `before` batches of the epoch."""
        x, y, weights = data
        self.at_hand = data, order
        last = x.shape[0] if last is None else last
        batch_size = min(self.loader.batch_size, last)
        trainer = model.trainer(batch_size)
        most = batch_size if begin else rows_at_once(model) if metrics else 1 << 16
        most = max(1, most // batch_size) * batch_size
        out: Any = np.empty((min(most, last), model.outputs), model.dtype) if metrics else None
        while first < last:
            if begin:
                begin()
            count = min(most, last - first)
            try:
                done = trainer.train(x, y, weights, order, first, count, batch_size, SECONDS, out)
            except NumericalError as error:
                at = first + error.progress[1] + error.progress[5]
                named = {"X": x, "y": y, "sample_weight": weights}
                raise causes.explain(error, model, named, order, at, min(batch_size, last - at), self.numbers) from None
            passed = done[1] + done[5]
            rows: Any = slice(first, first + passed) if order is None else order[first : first + passed]
            if metrics:
                update(metrics, y[rows], out[:passed], None if weights is None else weights[rows], done)
            first += passed
            self.loader.seen(epoch, before + -(-first // batch_size))
            yield done


class Streamed(Batches):
    """Anything that yields ``(xb, yb)`` or ``(xb, yb, wb)`` each time it is iterated."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def run(self, model: Sequential, metrics: Sequence[Metric], begin: Begin) -> Iterator[Progressed]:
        for batch in self.batches:
            x, y, weights = checked(model, batch)
            out: Any = np.empty((len(x), model.outputs), model.dtype) if metrics else None
            if begin:
                begin()
            self.numbers, self.at_hand = getattr(batch[0], "rows", None), ((x, y, weights), None)
            done = one_step(model, x, y, weights, out, self.numbers)
            if metrics:
                update(metrics, y, out, weights, done)
            yield done


class Limited(Batches):
    """The next so many batches of others in each epoch, which begin anew when they end, and not before."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.most, self.inputs = batches, steps, batches.inputs
        self.calls: Iterator[Progressed] | None = None

    @property
    def numbers(self) -> Any:
        return self.batches.numbers

    @property
    def at_hand(self) -> Any:
        return self.batches.at_hand

    def findings(self) -> list[Finding]:
        return self.batches.findings()

    def run(self, model: Sequential, metrics: Sequence[Metric], begin: Begin) -> Iterator[Progressed]:
        steps, at_once = 0, begin or (lambda: None)
        while steps < self.most:
            fresh = self.calls is None
            self.calls = self.calls or self.batches.run(model, metrics, at_once)
            done = next(self.calls, None)
            if done is not None:
                steps += done[0] + done[4]
                yield done
                continue
            self.calls = None
            if fresh:
                raise ArgumentValueError("expected batches for steps_per_epoch; received an iterable that has run out")


def update(metrics: Sequence[Metric], y: np.ndarray, out: np.ndarray, weights: Any, done: Progressed) -> None:
    """Metrics of the rows that steps were taken on; the predictions of batches left out are NaN."""
    if done[4]:
        kept = ~np.isnan(out).any(axis=1)
        y, out, weights = y[kept], out[kept], None if weights is None else weights[kept]
    for metric in metrics if len(y) else ():
        metric.update(y, out, weights)


class Training:
    """One run of `fit`."""

    def __init__(
        self,
        model: Sequential,
        batches: Batches,
        validation: Iterable[tuple[Any, Any, Any]] | None,
        epochs: range,
        callbacks: Sequence[Callback],
        progress: Progress,
        guard: Guard,
    ) -> None:
        self.guard = guard
        self.model, self.batches, self.validation, self.epochs = model, batches, validation, epochs
        self.callbacks, self.progress = callbacks, progress
        self.one_by_one = any(callback.uses_batches for callback in callbacks)
        self.history = model.history = History(provenance=runtime.provenance())
        self.causes: list[Finding] = []  # of the first step that was refused, when the run went on
        model.stop_training = False

    def run(self) -> History:
        """All epochs. Ctrl-C ends them between two steps and keeps the model and the history."""
        for callback in self.callbacks:
            callback.model = self.model
            callback.params = {"epochs": self.epochs.stop}
        logs: dict[str, float] = {}
        try:
            self.call("on_train_begin", logs)
            self.model.use_guard(self.guard)
            for epoch in self.epochs:
                logs = self.run_epoch(epoch)
                if self.model.stop_training:
                    break
        except KeyboardInterrupt:
            self.history.interrupted = True
            print(f"interrupted in epoch {len(self.history) + 1}; the model keeps its last step", file=sys.stderr)
        except NumericalError as error:
            self.keep_ledger(self.epochs.start + len(self.history))
            self.history.report = error.report or Report()
            raise
        except BaseException:  # a callback's own, for instance
            self.history.report = Report(health.findings(self.history.ledger))
            raise
        finally:
            self.progress.close()
            self.end(logs)
        found = health.findings(self.history.ledger) + self.causes + causes.observed(self.model)
        self.history.report = Report(found + self.batches.findings())
        faults = [finding for finding in self.history.report.findings if finding.severity != "info"]
        if faults:
            more = (
                f"; history.ledger has all {len(self.history.ledger)} entries" if len(self.history.ledger) > 1 else ""
            )
            warnings.warn(f"{faults[0].message}. {faults[0].remedy}{more}", TrainingWarning, stacklevel=3)
        return self.history

    def keep_ledger(self, epoch: int) -> None:
        """What the guard did, into the history and the progress output; the learning rate it left is the model's."""
        trainer, numbers = self.model.trainer(1), self.batches.numbers
        events, lost = trainer.events()
        for event in events:
            if (
                event["kind"] in ("rolled_back", "skipped")
                and event["operation"] not in OF_THE_DATA
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
        """One epoch and its validation; its values are added to the history."""
        model, begin = self.model, time.perf_counter()
        self.call("on_epoch_begin", epoch, {})
        self.progress.begin(epoch, self.epochs.stop, self.batches.rows)
        logs = self.train(epoch)
        if self.validation is not None:
            self.call("on_test_begin", {})
            found = evaluate(model, self.validation, guarded=self.guard.policy != "off", data="validation")
            self.call("on_test_end", found)
            logs |= {f"val_{name}": value for name, value in found.items()}
        logs |= {"learning_rate": model.learning_rate, "seconds": time.perf_counter() - begin}
        self.progress.end(logs)
        self.history.epochs.append(logs)
        self.call("on_epoch_end", epoch, logs)
        return logs

    def train(self, epoch: int) -> dict[str, float]:
        """The steps of one epoch: the mean loss and the metrics, of each batch before its update."""
        model, metrics = self.model, self.model.metrics
        for metric in metrics:
            metric.reset()
        loss, rows, batch = 0.0, 0, 0
        begin = (lambda: self.call("on_train_batch_begin", batch, {})) if self.one_by_one else None
        calls = self.batches.run(model, metrics, begin)
        if model.built:
            model.trainer(1).begin_epoch()
        while not model.stop_training:
            try:
                steps, count, mean, norm, _, _ = next(calls)
            except StopIteration:
                break
            self.keep_ledger(epoch)
            loss, rows, batch = loss + mean * count, rows + count, batch + steps
            self.progress.advance(count, {"loss": loss / max(rows, 1)})
            if self.one_by_one:
                self.call("on_train_batch_end", batch - 1, {"loss": mean, "grad_norm": norm})
        return {"loss": loss / max(rows, 1)} | {metric.name: metric.result() for metric in metrics}

    def call(self, name: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*arguments)

    def end(self, logs: dict[str, float]) -> None:
        """Every callback's `on_train_end`, also when one of them fails."""
        failures = []
        for callback in self.callbacks:
            try:
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
    """Checked batches of any iterable, each time it is iterated: to evaluate on."""

    def __init__(self, model: Sequential, batches: Iterable[Any]) -> None:
        self.model, self.batches = model, batches

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        return (checked(self.model, batch) for batch in self.batches)


class Blocks:
    """Checked rows of a loader, (X, y, weights) after (X, y, weights), each time it is iterated: to evaluate on."""

    def __init__(self, model: Sequential, loader: Any) -> None:
        self.model, self.loader = model, loader

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        for block in self.loader.blocks(0):
            yield self.model.check_batch(block.x, block.targets, block.weights)


def evaluate(
    model: Sequential, parts: Iterable[tuple[Any, Any, Any]], *, guarded: bool = True, data: str | None = None
) -> dict[str, float]:
    """Loss and metrics over parts (X, y, weights) of checked arrays, in chunks; `data` is what findings call them."""
    metrics = model.metrics
    for metric in metrics:
        metric.reset()
    most, loss, before = rows_at_once(model), 0.0, 0
    for x, y, weights in parts:
        n = x.shape[0]
        out: Any = np.empty((min(most, n), model.outputs), model.dtype) if metrics else None
        for first in range(0, n, most):
            rows = slice(first, min(first + most, n))
            w = None if weights is None else weights[rows]
            try:
                loss += model.core.evaluate(x[rows], y[rows], w, out, guarded) * (rows.stop - first)
            except NumericalError as error:
                raise health.bad_prediction(error, before + first, data) from None
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
        return model.trainer(len(x)).train(x, y, weights, None, 0, len(x), len(x), 0, out)
    except NumericalError as error:
        raise causes.explain(error, model, {"X": x, "y": y, "sample_weight": weights}, None, 0, len(x), rows) from None


def step(model: Sequential, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, rows: Any) -> StepResult:
    """One step on checked arrays; a refused one is a result, with a warning."""
    trainer = model.trainer(len(x))
    try:
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
    found = health.findings(events)
    if not applied:
        warnings.warn(f"a step was refused: {found[0].message}. {found[0].remedy}", TrainingWarning, stacklevel=3)
        return StepResult(float("nan"), float("nan"), False, found)
    if trainer.statistics(0)["step"] == trainer.steps:
        found += causes.observed(model)
    return StepResult(loss, norm, True, found)


def require_finite(data: dict[str, np.ndarray], of: str = "training") -> None:
    """Refuse data with cells that are NaN or infinite before any step; memory-mapped data are left to the steps."""
    for name, x in data.items():
        if x.base is not None and type(x.base).__name__ in ("mmap", "memmap"):
            continue
        cells = arrays.find_nonfinite(x)
        if len(cells):
            raise health.bad_cells(name, x, cells, data=of)
