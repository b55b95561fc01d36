"""Train by L-BFGS: each iteration is an epoch, the gradient that of all data."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..callbacks.averaging import Average
from ..diagnosis import suspects, trials
from ..diagnosis.explain import explain
from ..errors import ArgumentTypeError, ArgumentValueError, NumericalError
from ..report.advice import Advice
from ..report.finding import Finding, Report
from .batches import Loaded
from .evaluate import evaluate
from .learner import Learner
from .plan import Plan
from .run import Run

ROWS = 1024  # of a part of the data


class FullBatch(Run):
    """A run of `fit` in which scipy chooses the points and each of its iterations is an epoch."""

    def __init__(self, learner: Learner, plan: Plan) -> None:
        batches, epochs = plan.batches, len(plan.epochs)
        if not isinstance(batches, Loaded) or batches.data is None or not batches.loader.plain:
            raise ArgumentTypeError(
                f"expected arrays for LBFGS, which takes all rows at once; received {type(batches).__name__.lower()} "
                "data: train with Adam, or pass X and y"
            )
        super().__init__(learner, plan)
        if epochs != 1:
            raise ArgumentValueError(
                f"expected epochs=1 with LBFGS, whose max_iter limits it; received epochs={epochs}"
            )
        for index, spec in enumerate(learner.network.specs):
            for name in ("kernel_constraint", "bias_constraint"):
                if getattr(spec, name, None) is not None:
                    raise ArgumentValueError(
                        f"expected layers without constraints with LBFGS, which takes no steps to follow them with; "
                        f"received layer {index} with {name}={getattr(spec, name)!r}"
                    )
        if any(isinstance(callback, Average) for callback in self.callbacks):
            raise ArgumentValueError("expected no EMA or SWA with LBFGS, which takes no steps to average; received one")
        self.data = batches.data
        self.odd = 0  # points that were not finite
        self.ended = time.perf_counter()  # an iteration, or the preparations
        self.first_odd: np.ndarray | None = None

    def run_epochs(self) -> dict[str, float]:
        learner, parameters = self.learner, self.learner.network.parameters
        if self.saver:
            raise ArgumentValueError("expected no checkpoint with LBFGS, whose state is scipy's; received checkpoint")
        self.trainer = learner.trainer_for(min(ROWS, self.data.x.shape[0]))
        self.point, self.loss = np.array(parameters, np.float64), float("nan")
        self.logs: dict[str, float] = {}
        self.loss, gradient = self.evaluate(self.point)
        if not (np.isfinite(self.loss) and np.isfinite(gradient).all()):
            raise self.fault(self.point, gradient)
        try:
            last = self.search()
        except BaseException:
            parameters[...] = self.point
            raise
        if self.first_odd is not None and not len(self.history):
            raise self.fault(self.first_odd if np.isfinite(self.first_odd).all() else self.point, gradient)
        parameters[...] = last
        return self.logs

    def search(self) -> np.ndarray:
        """The best point that scipy finds."""
        from scipy.optimize import minimize

        options = self.learner.optimizer
        most = options.max_eval or max(2, options.max_iter * 5 // 4)
        found = minimize(
            self.objective, self.point, jac=True, method="L-BFGS-B", callback=self.iterated,
            options={"maxiter": options.max_iter, "maxfun": most, "gtol": options.tolerance_grad,
                     "ftol": options.tolerance_change, "maxcor": options.history_size},
        )  # fmt: skip
        self.history.converged = bool(found.success)
        return np.asarray(found.x) if np.isfinite(found.fun) and found.fun <= self.loss else self.point

    def fault(self, point: np.ndarray, gradient: np.ndarray) -> NumericalError:
        """The error for a point that is not finite, with what a replay of the first rows at fault shows; the model is
        at the last good one. A point that is no point comes of the `gradient` at the start."""
        learner, parameters = self.learner, self.learner.network.parameters
        x, y, weights, _ = self.data
        parameters[...] = point
        for first in range(0, x.shape[0], ROWS):
            count = min(ROWS, x.shape[0] - first)
            blame = self.trainer.blame(x, y, weights, None, first, count)
            if blame is not None and blame["operation"] not in ("clip", "update"):  # those are of steps
                error = explain(NumericalError(), learner, self.data, None, first, count)
                parameters[...] = self.point
                return error
        parameters[...] = self.point
        finding = Finding("exploding_gradient", "fault", evidence={"largest_gradient": float(np.abs(gradient).max())},
                          advice=(Advice.SCALE_OR_SMALLER,), text="line_search_failed")  # fmt: skip
        error = NumericalError()
        first_rows = trials.batch(self.data, None, 0, min(ROWS, x.shape[0]))
        error.report = Report([finding, *suspects.causes(learner, first_rows, [])])
        return error

    def evaluate(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient there."""
        gradient = np.empty(len(point))
        with np.errstate(over="ignore"):
            self.learner.network.parameters[...] = point
        loss = self.trainer.full_gradient(*self.data[:3], min(ROWS, self.data.x.shape[0]), gradient)
        return loss, gradient

    def objective(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The same, but for points that are not finite: a parabola, steep enough to turn the line search round."""
        loss, gradient = self.evaluate(point)
        if np.isfinite(loss) and np.isfinite(gradient).all():
            return loss, gradient
        self.odd += 1
        self.first_odd = point.copy() if self.first_odd is None else self.first_odd
        away = point - self.point
        steepness = 1e3 * (1 + abs(self.loss)) / max(float(away @ away), 1e-300)
        return self.loss + 0.5 * steepness * float(away @ away), steepness * away

    def iterated(self, intermediate_result: Any) -> None:
        """scipy has finished an iteration: an epoch."""
        self.point, self.loss = np.array(intermediate_result.x), float(intermediate_result.fun)
        self.learner.network.parameters[...] = self.point
        self.logs = self.run_epoch(len(self.history))
        self.ended = time.perf_counter()
        if self.learner.stop_training:
            raise StopIteration

    def begin_clock(self) -> float:
        return self.ended

    def train(self, epoch: int) -> dict[str, float]:
        """What the iteration came to: the loss, and the metrics there."""
        metrics = evaluate(self.learner, [self.data], guarded=False) if self.learner.metrics else {}
        return metrics | {"loss": self.loss}

    def findings(self) -> list[Finding]:
        if not self.odd:
            return []
        return [Finding("nonfinite_gradient", "info", evidence={"n_points": float(self.odd)},
                        text="line_search_stepped_back")]  # fmt: skip
