"""The loop: `fit` runs epochs, an epoch runs calls of the core, a call runs as many steps as fit into a moment.

Between calls Python has its turn: metrics, callbacks, progress, Ctrl-C.
"""

from __future__ import annotations

import math
import sys
import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from .. import runtime
from ..callbacks.averaging import Average
from ..diagnosis import suspects, trials
from ..diagnosis.review import review
from ..errors import NumericalError, ProcessError, ShapeError
from ..report import events as events_
from ..report import texts, wording
from ..report.context import Context
from ..report.finding import Finding, Report
from ..report.health import LayerHealth
from ..report.history import History
from ..report.warn import warn
from . import checkpoint
from .batches import Loaded, State
from .evaluate import evaluate
from .interrupts import Interrupts
from .learner import Learner
from .metrics import EpochMetrics
from .plan import Plan
from .processes import Together
from .recorded import recorded
from .seen import named_columns, seen_by


class Run:
    """One run of `fit`: the epochs of a plan."""

    def __init__(self, learner: Learner, plan: Plan) -> None:
        self.learner, self.plan = learner, plan
        self.batches, self.callbacks, self.progress = plan.batches, plan.callbacks, plan.progress
        self.saver: checkpoint.Saver | None = None
        self.kept: tuple[Any, State] | None = None  # the checkpoint to resume from: the core's, and this run's state
        self.base = plan.base
        self.kept_at: tuple[int, int] | None = None  # the last checkpoint, if between two epochs
        self.epoch, self.batch = plan.epochs.start, 0  # that run next
        self.in_epoch, self.started = False, False  # `started`: the epoch's first batch is done
        self.metrics = EpochMetrics(learner)
        self.interrupts = Interrupts(plan.batches.waits and plan.together is None)
        self.together = plan.together
        self.is_first = plan.together is None or not plan.together.process  # speaks for all, and writes files
        self.called = plan.callbacks if self.is_first else [one for one in plan.callbacks if not one.writes_files]
        self.per_batch = any(callback.uses_batches for callback in plan.callbacks)
        self.health = LayerHealth(learner.network.specs)
        self.history = learner.history = History(provenance=runtime.provenance(), health=self.health)
        self.causes: list[Finding] = []  # of the first step that was refused, when the run went on
        learner.stop_training = False

    def run(self) -> History:
        """Run all epochs, or those that are left of the run that it resumes. Ctrl-C ends them between two steps:
        the model keeps the last one, the history what there is, and KeyboardInterrupt is raised."""
        learner, plan = self.learner, self.plan
        learner.passes = plan.passes
        try:
            learner.use_mixup(plan.mixup)
            if plan.shards:
                learner.use_shards(plan.shards, plan.together)
            with Context(names=plan.columns):
                return self.run_through()
        finally:  # the epochs finished count, however the run ended
            learner.passes = learner.validated = None
            learner.chosen = plan.optimizer, learner.optimizer
            learner.use_mixup(0.0)
            if plan.shards:
                learner.use_shards(0)
            learner.use_series(None)
            if plan.counts:
                learner.epoch = self.base + len(self.history)

    def run_through(self) -> History:
        """Run the epochs, then report; only then is Ctrl-C passed on."""
        stopped: KeyboardInterrupt | None = None
        for callback in self.callbacks:
            callback.model, callback.trainee = self.plan.model, self.learner
            callback.params = {"epochs": self.plan.epochs.stop}
        logs: dict[str, float] = {}
        try:
            self.call("on_train_begin", logs)
            self.learner.use_guard(self.plan.guard)
            self.learner.use_series(self.health)
            if self.kept is not None:
                logs = self.resume(*self.kept)
            with self.interrupts if self.saver or self.together else nullcontext():
                logs = self.run_epochs() or logs
                if self.saver and self.learner.network.built and (self.kept_at != self.place or self.saver.failed):
                    self.keep()
        except KeyboardInterrupt as interrupt:
            stopped = interrupt
            self.interrupted()
        except NumericalError as error:
            if error.progress is not None and self.learner.has_trainer:  # a step was refused
                self.health.end(self.learner.trainer)
            self.keep_ledger(self.plan.epochs.start + len(self.history))
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
        self.report()
        if self.saver:
            self.saver.finish()
        if stopped is not None:
            raise stopped
        return self.history

    def interrupted(self) -> None:
        """Keep what there is after Ctrl-C."""
        self.history.interrupted = True
        if self.is_first:
            print(f"interrupted in epoch {len(self.history) + 1}; the model keeps its last step", file=sys.stderr)
        if self.saver and self.interrupts.safe and self.learner.network.built and self.is_resumable:
            self.keep()

    def report(self) -> None:
        """Look at the data and the layers once more: what was found goes into the history, and into one warning."""
        learner, batches, history = self.learner, self.batches, self.history
        looked = self.plan.guard.policy != "off"
        size = batches.batch_size if isinstance(batches, Loaded) else None
        found = events_.findings(history.ledger) + self.causes
        seen = seen_by(batches, self.plan.validation)
        found += review(learner, seen, size, looked)
        if found:
            names = named_columns(batches)
            found = [names.completed(finding) for finding in found]
        history.report = Report(found + batches.findings() + self.findings(), looked)
        history.report.record = recorded(learner, self.plan, history, seen)
        faults = [finding for finding in history.report.findings if finding.severity != "info"]
        if faults:
            more = f" history.ledger has all {len(history.ledger)} entries." if len(history.ledger) > 1 else ""
            warn(f"{faults[0].told(placed=True)}{more}")

    def keep_report(self, error: NumericalError) -> None:
        """Keep the report of a fault, with the number of rollbacks that could not prevent it."""
        report = self.history.report = error.report or Report()
        seen = seen_by(self.batches, self.plan.validation)
        report.record = recorded(self.learner, self.plan, self.history, seen)
        if self.plan.guard.policy == "rollback" and error.progress is not None and report.findings:
            tried = sum(entry["kind"] == "rolled_back" for entry in self.history.ledger)
            report.findings[0] = report.findings[0].with_evidence(rollbacks=tried)

    def run_epochs(self) -> dict[str, float]:
        """All epochs that are left; the values of the last."""
        logs: dict[str, float] = {}
        while self.epoch < self.plan.epochs.stop and not self.learner.stop_training:
            logs = self.run_epoch(self.epoch)
        return logs

    def findings(self) -> list[Finding]:
        """What else the run has to say."""
        return []

    @property
    def is_resumable(self) -> bool:
        """Whether `state` would tell all: not if an epoch's last step was taken and what ends it was not."""
        return self.batches.is_resumable and not (self.in_epoch and self.started and self.batches.ended)

    @property
    def place(self) -> tuple[int, int]:
        """The epoch and step of a checkpoint between two epochs."""
        return self.epoch, self.learner.steps

    def keep(self) -> None:
        """Make a checkpoint."""
        assert self.saver is not None
        self.kept_at = None if self.in_epoch else self.place
        self.saver.save(self.state(), self.learner.steps)

    def state(self) -> State:
        """All that the rest of the run depends on and that the core does not keep."""
        history = self.history
        return {
            "base": self.base, "epoch": self.epoch, "batch": self.batch, "within": self.in_epoch,
            "begun": self.started,
            "stopped": self.learner.stop_training, "frozen": sorted(self.learner.network.frozen),
            "history": {"epochs": history.epochs, "ledger": history.ledger, "lost": history.ledger_lost,
                        "health": self.health.state()},
            "data": self.batches.state(not (self.in_epoch and self.started)),
            "measure": self.metrics.state() if self.in_epoch else None,
            "causes": [finding.to_dict() for finding in self.causes],
            "callbacks": [checkpoint.state_of(callback) for callback in self.callbacks],
        }  # fmt: skip

    def resume(self, core: Any, state: State) -> dict[str, float]:
        """Go back to where `state` was taken; returns the logs of the last epoch."""
        if not self.learner.network.built:
            self.learner.build(core.inputs, core.timesteps)
        core.restore(self.learner.trainer_for(self.batches.batch_size))
        for index in range(len(self.learner.network.specs)):  # a callback may have changed it
            self.learner.network.set_trainable(index, index not in state.get("frozen", ()))
        self.learner.keep_learning_rate()
        self.base, self.epoch, self.batch = state["base"], state["epoch"], state["batch"]
        self.in_epoch, self.started = state["within"], state["begun"]
        history = self.history
        history.epochs, history.ledger = state["history"]["epochs"], state["history"]["ledger"]
        history.ledger_lost = state["history"]["lost"]
        if "health" in state["history"]:
            self.health = history.health = LayerHealth.restored(state["history"]["health"])
            self.learner.use_series(self.health)
        self.causes = [Finding.from_dict(finding) for finding in state["causes"]]
        self.batches.restore(state["data"])
        if self.in_epoch:
            self.metrics.restore(state["measure"])
        for callback, kept in zip(self.callbacks, state["callbacks"], strict=True):
            checkpoint.restore(callback, kept)
        self.learner.stop_training = state["stopped"]
        self.kept_at = None if self.in_epoch else self.place
        return history[-1] if len(history) else {}

    def pause(self) -> None:
        """Between two steps or two epochs: Ctrl-C is heard, a checkpoint made when it is time."""
        self.interrupts.safe = True
        if self.together and self.together.any(self.interrupts.pending):
            raise KeyboardInterrupt  # in all processes, after the same step
        if self.saver:
            self.interrupts.hear()
        if self.saver and self.is_resumable and self.saver.due(self.learner.steps):
            self.keep()

    def before_steps(self) -> int:
        """From here to the next `pause` things change; the most steps that may be taken until then."""
        self.interrupts.safe = False
        left = self.saver.steps_left(self.learner.steps) if self.saver else None
        return 1 << 40 if left is None else left

    def keep_ledger(self, epoch: int) -> None:
        """What the guard did, into the history and the progress output; the learning rate it left is the model's."""
        if not self.learner.has_trainer:
            return
        events, lost = self.learner.trainer.events()
        rows = self.batches.current[0].rows if events and self.batches.current else None
        for event in events:
            if (
                event["kind"] in ("rolled_back", "skipped")
                and event["operation"] not in wording.OF_THE_DATA
                and not self.causes
            ):
                part, order = self.batches.current
                batch = trials.batch(part, order, event["first"], event["rows"])
                self.causes = suspects.causes(self.learner, batch, [])
            if rows is not None and event["row"] is not None:
                event["row"] = int(rows[event["row"]])
            del event["first"], event["rows"]
            self.history.ledger.append({"epoch": epoch} | event)
            self.progress.note(texts.event(event), event["kind"])
        if lost:
            self.progress.note(f"and {lost} more before these")
            self.history.ledger_lost += lost
        self.learner.keep_learning_rate()

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """One epoch, or what is left of it, and its validation; its values are added to the history."""
        learner, begin = self.learner, self.begin_clock()
        if not self.in_epoch:
            self.interrupts.safe = False
            self.call("on_epoch_begin", epoch, {})
            self.begin_epoch()
        self.progress.begin(epoch, self.plan.epochs.stop, self.batches.rows)
        logs = self.train(epoch)
        self.interrupts.safe = False
        if self.plan.validation is not None:
            self.call("on_test_begin", {})
            with Context(data="validation"):
                guarded = self.plan.guard.policy != "off"
                found = evaluate(learner, self.plan.validation, guarded=guarded, together=self.together)
            self.call("on_test_end", found)
            logs |= {f"val_{name}": value for name, value in found.items()}
        logs |= {"learning_rate": learner.learning_rate, "seconds": time.perf_counter() - begin}
        self.progress.end(logs)
        self.history.epochs.append(logs)
        self.call("on_epoch_end", epoch, logs)
        if self.together:
            self.agree(self.together)
        self.epoch, self.in_epoch = epoch + 1, False
        self.pause()
        return logs

    def begin_clock(self) -> float:
        """When the epoch that is to run began."""
        return time.perf_counter()

    def begin_epoch(self) -> None:
        self.metrics.begin()
        if self.learner.has_trainer:
            self.learner.trainer.begin_epoch()
        self.batch, self.in_epoch, self.started = 0, True, False
        self.interrupts.safe = True

    def train(self, epoch: int) -> dict[str, float]:
        """The steps of one epoch: the mean loss and the metrics, of each batch before its update."""
        learner = self.learner
        begin = (lambda: self.call("on_train_batch_begin", self.batch, {})) if self.per_batch else None
        calls = self.batches.run(learner, self.metrics, begin, self.before_steps)
        trainer: Any = None
        while not learner.stop_training:
            try:
                steps, count, mean, norm, refused, _ = next(calls)
            except StopIteration:
                if not self.started:
                    raise ShapeError("expected batches to train on; received an iterable that ended at once") from None
                break
            self.started, trainer = True, learner.trainer
            self.keep_ledger(epoch)
            self.batch += steps + refused
            self.progress.advance(count, {"loss": trainer.epoch_loss})
            if self.per_batch:
                self.call("on_train_batch_end", self.batch - 1, {"loss": mean, "grad_norm": norm})
                if self.together:
                    learner.stop_training = self.together.any(learner.stop_training)
            if not learner.stop_training:
                self.pause()
        trainer = trainer or learner.trainer
        return {"loss": trainer.epoch_loss if self.metrics.weighted else math.nan} | self.metrics.results()

    def agree(self, together: Together) -> None:
        """Between two epochs: end if one process wants to; refuse to go on with models that differ."""
        learner = self.learner
        learner.stop_training = together.any(learner.stop_training)
        weights = np.array(learner.network.parameters).tobytes()
        alike = {"weights": weights, "steps": learner.steps, "learning rate": learner.learning_rate}
        together.require_same(alike, ProcessError)

    def call(self, name: str, *arguments: Any) -> None:
        for callback in self.called:
            getattr(callback, name)(*arguments)

    def end(self, logs: dict[str, float]) -> None:
        """Every callback's `on_train_end`, also when one of them fails."""
        failures = []
        for callback in sorted(self.called, key=lambda callback: not isinstance(callback, Average)):
            try:  # averages are put in place before others restore or save what they keep
                callback.on_train_end(logs)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]
