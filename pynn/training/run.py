"""The loop: `fit` runs epochs, an epoch runs calls of the core, a call runs as many steps as fit into a moment.

Between calls Python has its turn: metrics, callbacks, progress, Ctrl-C.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from .. import runtime
from ..callbacks.averaging import Average
from ..callbacks.base import Callback
from ..diagnosis import suspects, trials
from ..diagnosis.review import review
from ..errors import NumericalError, ShapeError, TrainingWarning
from ..report import events as events_
from ..report import texts, wording
from ..report.context import Context
from ..report.finding import Finding, Report
from ..report.guard import Guard
from ..report.history import History
from . import checkpoint
from .batches import Batches, Loaded, State
from .evaluate import evaluate
from .interrupts import Interrupts
from .metrics import Measure
from .progress import Progress
from .seen import named_columns, seen_by

if TYPE_CHECKING:
    from ..model import Sequential


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
            self.keep_report(error)
            raise
        except BaseException:  # a callback's own, for instance
            self.history.report = Report(events_.findings(self.history.ledger))
            raise
        finally:
            self.progress.close()
            if self.saver:
                self.saver.close()
            self.end(logs)
        looked = self.guard.policy != "off"
        size = self.batches.batch_size if isinstance(self.batches, Loaded) else None
        found = events_.findings(self.history.ledger) + self.causes
        found += review(self.model, seen_by(self.batches, self.validation), size, looked)
        found = [named_columns(self.batches).completed(finding) for finding in found]
        self.history.report = Report(found + self.batches.findings() + self.findings(), looked)
        faults = [finding for finding in self.history.report.findings if finding.severity != "info"]
        if faults:
            more = (
                f" history.ledger has all {len(self.history.ledger)} entries." if len(self.history.ledger) > 1 else ""
            )
            warnings.warn(f"{faults[0].told(placed=True)}{more}", TrainingWarning, stacklevel=4)
        if self.saver:
            self.saver.finish()
        return self.history

    def run_epochs(self) -> dict[str, float]:
        """All epochs that are left; the values of the last."""
        logs: dict[str, float] = {}
        while self.epoch < self.epochs.stop and not self.model.stop_training:
            logs = self.run_epoch(self.epoch)
        return logs

    def keep_report(self, error: NumericalError) -> None:
        """Keep the report of a fault, with the number of rollbacks that could not prevent it."""
        report = self.history.report = error.report or Report()
        if self.guard.policy == "rollback" and error.progress is not None and report.findings:
            tried = sum(entry["kind"] == "rolled_back" for entry in self.history.ledger)
            report.findings[0] = report.findings[0].with_evidence(rollbacks=tried)

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
            "causes": [finding.to_dict() for finding in self.causes],
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
        self.causes = [Finding.from_dict(finding) for finding in state["causes"]]
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
                and event["operation"] not in wording.OF_THE_DATA
                and not self.causes
            ):
                data, order = self.batches.at_hand
                batch = trials.batch(data, order, event["first"], event["rows"], numbers)
                self.causes = suspects.causes(self.model, batch, [])
            if numbers is not None and event["row"] is not None:
                event["row"] = int(numbers[event["row"]])
            del event["first"], event["rows"]
            self.history.ledger.append({"epoch": epoch} | event)
            self.progress.note(texts.event(event))
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
            with Context(data="validation"):
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
        counted = model.built and self.measure.weighted
        return {"loss": model.trainer(1).epoch_loss if counted else math.nan} | self.measure.results()

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
