"""Compare the learning rate with the curvature of the loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..report.advice import Advice
from ..report.finding import Finding
from .trials import WORK, Setup, Suspect

JUMP = 0.5  # first update to weights, by norm, of a learning rate that is too high


def learning_rate(setup: Setup) -> list[Suspect]:
    """Suspect a learning rate above 2 / curvature or, for other optimizers than SGD, a large first update."""
    rate = setup.learning_rate
    name, numbers = setup.learner.optimizer.core
    if name == "sgd":
        curvature = largest_curvature(setup)
        momentum = numbers["momentum"]
        room = (1 + momentum) / (1 + 2 * momentum if numbers["nesterov"] else 1)
        limit = 2 * room / curvature if curvature > 0 else np.inf
        if rate > limit > 0:
            evidence = {"learning_rate": rate, "limit": float(limit), "curvature": curvature, "momentum": momentum,
                        "room": 2 * room}  # fmt: skip
            return [_slower("rate_against_curvature", limit / 2, float(np.log10(rate / limit)), evidence)]
    ratio = _first_update(setup)
    if not ratio > JUMP:
        return []
    evidence = {"update_ratio": ratio, "learning_rate": rate}
    return [_slower("rate_against_weights", rate * 0.005 / ratio, float(np.log10(ratio / JUMP)), evidence)]


def _slower(text: str, rate: float, strength: float, evidence: dict[str, Any]) -> Suspect:
    evidence = evidence | {"suggested_learning_rate": float(rate)}
    finding = Finding("learning_rate_too_high", "warning", evidence=evidence, advice=(Advice.LOWER_RATE,), text=text)
    return Suspect(finding, strength, 2, lambda setup: replace(setup, learning_rate=rate))


def _first_update(setup: Setup) -> float:
    """Return the norm of the first update divided by that of the weights; NaN when it is not finite."""
    parameters, trainer = setup.trainer("float64", policy="off")
    before, b, n = parameters.copy(), setup.batch, len(setup.batch.x)
    trainer.train(b.x, b.y, b.weights, None, 0, n, n)
    ratio = float(np.linalg.norm(parameters - before) / np.linalg.norm(before))
    return ratio if np.isfinite(ratio) else float("nan")


def largest_curvature(setup: Setup, turns: int = 30) -> float:
    """Return the largest eigenvalue of the loss's Hessian on the batch, by power iteration; NaN when out of range.

    Products with the Hessian are differences of gradients, in float64 on a copy of the model. If the eigenvalue of
    largest magnitude is negative, the iteration continues with the Hessian shifted by it. The work is bounded: for a
    large model the value may be too low, never too high.
    """
    start = setup.parameters
    parameters, trainer = replace(setup, learning_rate=1e-300).trainer("float64", policy="off", divergence=0)
    b, n = setup.batch, len(setup.batch.x)
    step = 1e-6 * max(1.0, float(np.linalg.norm(start)))

    def gradient(at: np.ndarray) -> np.ndarray:
        parameters[...] = at
        trainer.steps = 0  # the same dropout masks each time
        trainer.train(b.x, b.y, b.weights, None, 0, n, n)
        return np.array(trainer.gradient)

    def power(shift: float) -> float:
        direction, value = seed.copy(), 0.0
        for _ in range(turns):
            direction /= np.linalg.norm(direction)
            product = (gradient(start + step * direction) - gradient(start - step * direction)) / (2 * step)
            product -= shift * direction
            before, value = value, float(direction @ product)
            size = float(np.linalg.norm(product))
            if not np.isfinite(size):
                return float("nan")
            if size == 0 or abs(value - before) < 1e-4 * abs(value):
                break
            direction = product
        return value + shift

    turns = int(max(4, min(turns, WORK / (60.0 * len(start) * (n + 16)))))
    slope = gradient(start)  # the curvature along it is usually large
    seed = np.random.default_rng(0).normal(size=start.shape) / np.sqrt(len(start))
    if np.linalg.norm(slope) > 0:
        seed = 0.1 * seed + slope / np.linalg.norm(slope)
    value = power(0.0)
    return value if not value < 0 else power(value)
