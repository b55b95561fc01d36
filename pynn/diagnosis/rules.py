"""Explain why training stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import layers, losses
from ..network.network import Network
from ..report.advice import Advice
from ..report.finding import Finding
from ..training.learner import Learner
from .still import SMALL, dropped, too_slow
from .suspects import _inputs, _kernels, _targets
from .trials import Batch

PATIENCE = 40  # steps that a loss is given to fall
STUCK = 0.95  # times the first loss, of a run that has not moved
FLAT = 1e-6  # largest range of a column of X with which all rows look alike to the layers


def stands_still(losses: dict[str, float]) -> bool:
    """Whether the loss is no better than with all outputs 0, or with the same output for all rows of a batch."""
    nothing, constant = losses["nothing"], losses["constant"]
    return losses["recent"] > nothing - 0.1 * abs(nothing) or losses["sampled"] > constant - 0.02 * abs(constant)


def _scales(learner: Learner) -> bool:
    """Whether the first layer scales X."""
    return learner.network.core.layers[0]["kind"][0] in ("normalization", "batch_normalization", "categorical")


def flat(learner: Learner, sample: Batch) -> list[Finding]:
    """Find an X that is the same in all rows, or nearly the same."""
    spread = float(np.nan_to_num(np.ptp(sample.x.astype(np.float64), axis=0)).max())
    if len(sample.x) < 2 or spread > FLAT or (spread > 0 and _scales(learner)):
        return []
    evidence = {"spread": spread, "n_rows": len(sample.x)}
    if spread > 0:
        return [Finding("unscaled_input", "warning", evidence=evidence, advice=(Advice.NORMALIZE,),
                        text="nearly_constant")]  # fmt: skip
    return [Finding("constant_feature", "warning", evidence=evidence, advice=(Advice.CHECK_CASTS,),
                    text="all_rows_equal")]  # fmt: skip


def _misses_the_mean(learner: Learner, sample: Batch, loss: float) -> bool:
    """Whether a regression's loss is no better than predicting the mean of y for every row."""
    row, scaled = learner.loss.row, learner.network.target_scaling
    if row["link"] != "linear" or row["pairs"] or scaled or isinstance(learner.loss, losses.Custom):
        return False
    constant = Network([layers.Dense(learner.network.outputs)], dtype="float64").build(1)
    constant.set_loss(learner.loss)
    targets = sample.y.reshape(len(sample.y), -1)
    constant.view(0, "kernel")[...], constant.view(0, "bias")[...] = 0, targets.mean(axis=0, dtype=np.float64)
    return loss > float(constant.core.evaluate(np.zeros((len(targets), 1)), targets))


def unscaled(learner: Learner, sample: Batch) -> list[Finding]:
    """Find columns of X and y that are out of scale."""
    scales = _scales(learner)
    suspects = [] if scales else _inputs(sample)
    if not learner.network.core.target_scaling:
        suspects += _targets(learner, sample)
    return [suspect.finding for suspect in sorted(suspects, key=lambda suspect: -suspect.strength)]


def observed(learner: Learner, sample: Batch | None = None) -> list[Finding]:
    """Return why a run stands still, by the statistics of the layers and by `sample`, rows of the data."""
    if not learner.has_trainer:
        return []
    trainer = learner.trainer
    known = trainer.losses()
    if not stands_still(known):
        return [] if sample is None or trainer.steps < PATIENCE else _moving(learner, sample, known)
    rules = RULES if trainer.steps >= PATIENCE else [rule for rule in RULES if rule.at_once]
    if sample and (same := flat(learner, sample)):
        return same  # everything else follows from it
    taken = []
    for index, of in _statistics(learner):
        of = of | {"gradient_last": trainer.health(index)[3]}
        taken.append((index, of | _dead(learner, index, of, sample) if sample else of))
    found = [finding for rule in rules if (finding := rule.look(learner, taken))]
    kernels = [suspect.finding for suspect in _kernels(learner)] if found else []
    data = unscaled(learner, sample) if sample and trainer.steps >= PATIENCE else []
    if found and taken and found[0].layer == taken[0][0] and not kernels:  # its inputs are those of the data
        found = [one for one in data if one.evidence.get("array") == "X"] + found
    found[1:1] = kernels
    if sample and trainer.steps >= PATIENCE:
        found = dropped(learner, sample) + found + too_slow(learner, sample, [of for _, of in taken])
    return found + [one for one in data if one not in found] if data else found


def _statistics(learner: Learner) -> list[tuple[int, dict[str, float]]]:
    """Return what the last step that took statistics saw, by layer that is trained."""
    found = []
    for index, spec in enumerate(learner.network.specs):
        trained = hasattr(spec, "units") and index not in learner.network.frozen
        if trained and (of := learner.statistics(index)):
            found.append((index, of))
    return found


def _moving(learner: Learner, sample: Batch, known: dict[str, float]) -> list[Finding]:
    """Return what there is to say of a run that knows something, though it may learn too slowly."""
    found = unscaled(learner, sample)
    if not found or not _misses_the_mean(learner, sample, known["recent"]):
        found = [replace(finding, severity="info") for finding in found]
    learns = known["recent"] < STUCK * known["first"] or learner.trainer.steps < 5 * PATIENCE
    return found if learns else [*too_slow(learner, sample, [of for _, of in _statistics(learner)], SMALL / 10), *found]


def _dead(learner: Learner, layer: int, of: dict[str, float], sample: Batch) -> dict[str, float]:
    """Count dead units over the sample, without dropout: the few rows of a batch are no proof."""
    if not (of["dead"] > 0.5 and of["zeros"] > 0.5):
        return {}
    below = learner.network.cut(layer + 1)
    out = below.predict(sample.x, np.empty((len(sample.x), below.outputs), learner.network.dtype), True, False)
    return {"dead": float((out == 0).all(axis=0).mean())}


@dataclass(frozen=True)
class Rule:
    """A layer statistic that explains why training stands still."""

    code: str
    holds: Callable[[dict[str, float]], bool]
    advice: Advice
    by: str  # the statistic that ranks layers
    hidden: bool = True  # not for the last layer
    at_once: bool = False  # exact, so without waiting for PATIENCE

    def look(self, learner: Learner, taken: list[tuple[int, dict[str, float]]]) -> Finding | None:
        considered = taken[:-1] if self.hidden else taken
        bad = [(statistics[self.by], index) for index, statistics in considered if self.holds(statistics)]
        if not bad:
            return None
        _, worst = max(bad)
        statistics = dict(taken)[worst]
        evidence: dict[str, Any] = {name: value for name, value in statistics.items() if name != "step"}
        evidence |= {"layers": sorted(index for _, index in bad)}
        return Finding(
            self.code,
            "warning",
            layer=worst,
            step=int(statistics["step"]),
            evidence=evidence,
            advice=(self.advice,),
        )


RULES = (
    Rule(
        "saturated_activation",
        lambda s: s["saturated"] > 0.5,
        Advice.SMALLER_WEIGHTS,
        by="saturated",
    ),
    Rule(
        "dead_relu",
        lambda s: s["dead"] > 0.5 and s["zeros"] > 0.5,
        Advice.FRESH_UNITS,
        by="dead",
    ),
    Rule(
        "zero_gradient",
        lambda s: s["gradient_rms"] == 0 and s["gradient_last"] == 0,
        Advice.FRESH_UNITS,
        by="zeros",
        hidden=False,
        at_once=True,
    ),
    Rule(
        "underflow",
        lambda s: s["gradient_tiny"] + s["gradient_zeros"] > 0.5 and s["gradient_tiny"] > 0.1,
        Advice.LET_GRADIENTS_PASS,
        by="gradient_tiny",
        hidden=False,
    ),
    Rule(
        "stalled_updates",
        lambda s: s["updates_lost"] > 0.5,
        Advice.RAISE_RATE_OR_FLOAT64,
        by="updates_lost",
        hidden=False,
    ),
)  # fmt: skip
