"""What holds a run back: too much dropout, a learning rate too low. Each is tried before it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..layers import Dropout
from ..report.advice import Advice
from ..report.finding import Finding
from ..training.learner import Learner
from .suspects import sampled
from .trials import STEPS, Batch, Setup, takes_steps

HIGH = 0.7  # a dropout rate that may be the cause
LEFT = 0.15  # of the values of all dropout layers in a row, which may be the cause too
SMALL = 1e-4  # updates against weights, of a learning rate that may be too low
HIGHER = (10.0, 100.0, 1e3, 1e4, 1e5)  # times the learning rate that are tried
BETTER = 0.9  # times the loss, of a trial that helps


def dropped(learner: Learner, sample: Batch) -> list[Finding]:
    """Return the finding of dropout without which training on some rows goes clearly better."""
    with np.errstate(all="ignore"):
        return _dropout(learner, sampled(learner, sample, []))


def too_slow(learner: Learner, sample: Batch, taken: list[dict[str, float]], small: float = SMALL) -> list[Finding]:
    """Return the finding of a learning rate with a multiple of which training on some rows goes clearly better.

    `small`: the largest update, against the weights, that may be too small.
    """
    with np.errstate(all="ignore"):
        return _slow(learner, sampled(learner, sample, []), taken, small)


def _end(setup: Setup) -> float:
    """The loss at the end of a trial; infinite when a step was refused."""
    losses = setup.losses(STEPS)
    return float(np.mean(losses[-STEPS // 4 :])) if len(losses) == STEPS else float("inf")


def _dropout(learner: Learner, batch: Batch) -> list[Finding]:
    rates = {i: float(spec.rate) for i, spec in enumerate(learner.network.specs) if isinstance(spec, Dropout)}
    if not rates or (max(rates.values()) <= HIGH and float(np.prod([1 - rate for rate in rates.values()])) > LEFT):
        return []
    start = learner.network.drawn()[0].astype(np.float64)
    setup = Setup(learner, batch, start, float(learner.learning_rate) if takes_steps(learner) else 0.01)
    without, usual = _end(without_dropout(setup)), _end(setup)
    if not without < BETTER * usual:
        return []
    worst = max(rates, key=lambda layer: rates[layer])
    evidence = {
        "rate": rates[worst], "layers": sorted(rates), "after": without, "with_dropout": usual, "trial_steps": STEPS,
        "suggested_rate": min(0.5, 1 - rates[worst]),
    }  # fmt: skip
    return [Finding("dropout_too_high", "warning", layer=worst, evidence=evidence, advice=(Advice.LOWER_DROPOUT,))]


def without_dropout(setup: Setup) -> Setup:
    """Return the setup with nothing dropped."""
    layers = [layer | {"kind": ("dropout", {"rate": 0.0})} if layer["kind"][0] == "dropout" else layer
              for layer in setup.learner.network.core.layers]  # fmt: skip
    return replace(setup, layers=layers)


def _slow(learner: Learner, batch: Batch, taken: list[dict[str, float]], small: float) -> list[Finding]:
    ratio = max((of["update_ratio"] for of in taken), default=1.0)
    if not takes_steps(learner) or not ratio < small:
        return []
    rate, trainer = float(learner.learning_rate), learner.trainer
    known = trainer.losses()
    setup = Setup(learner, batch, np.asarray(learner.network.parameters, np.float64), rate)
    before = setup.losses(1)
    usual = _end(setup)
    if not before or not np.isfinite(usual):
        return []
    tried: list[tuple[float, float]] = [(_end(replace(setup, learning_rate=rate * times)), rate * times)
                                        for times in HIGHER if ratio * times < 0.1]  # fmt: skip
    after, best = min(tried, default=(usual, rate))
    if not after < usual - (1 - BETTER) * abs(usual):
        return []
    evidence: dict[str, Any] = {
        "learning_rate": rate, "update_ratio": ratio, "first": known["first"],
        "recent": known["recent"], "steps": trainer.steps,
        "suggested_learning_rate": best, "before": before[0], "after": after, "trial_steps": STEPS,
    }  # fmt: skip
    return [Finding("learning_rate_too_low", "warning", evidence=evidence, advice=(Advice.RAISE_RATE,))]
