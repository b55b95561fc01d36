"""Explain why training stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, layers, losses
from ..report.advice import Advice
from ..report.finding import Finding
from .still import SMALL, dropped, too_slow
from .suspects import _inputs, _kernels, _targets
from .trials import Batch

if TYPE_CHECKING:
    from ..model import Sequential

PATIENCE = 40  # steps that a loss is given to fall
STUCK = 0.95  # times the first loss, of a run that has not moved
FLAT = 1e-6  # largest range of a column of X with which all rows look alike to the layers


def stands_still(losses: dict[str, float]) -> bool:
    """Whether the loss is no better than with all outputs 0, or with the same output for all rows of a batch."""
    nothing, constant = losses["nothing"], losses["constant"]
    return losses["recent"] > nothing - 0.1 * abs(nothing) or losses["sampled"] > constant - 0.02 * abs(constant)


def _scales(model: Sequential) -> bool:
    """Whether the first layer scales X."""
    return model.core.layers[0]["kind"][0] in ("normalization", "batch_normalization", "categorical")


def flat(model: Sequential, sample: Batch) -> list[Finding]:
    """Find an X that is the same in all rows, or nearly the same."""
    spread = float(np.nan_to_num(np.ptp(sample.x.astype(np.float64), axis=0)).max())
    if len(sample.x) < 2 or spread > (0 if _scales(model) else FLAT):
        return []
    evidence = {"spread": spread, "n_rows": len(sample.x)}
    if spread > 0:
        return [Finding("unscaled_input", "warning", evidence=evidence, advice=(Advice.NORMALIZE,),
                        text="nearly_constant")]  # fmt: skip
    return [Finding("constant_feature", "warning", evidence=evidence, advice=(Advice.CHECK_CASTS,),
                    text="all_rows_equal")]  # fmt: skip


def _misses_the_mean(model: Sequential, sample: Batch, loss: float) -> bool:
    """Whether a regression's loss is no better than predicting the mean of y for every row."""
    row = model.loss.row
    if row["link"] != "linear" or row["pairs"] or model.core.target_scaling or isinstance(model.loss, losses.Custom):
        return False
    copy = _core.Model(model.core.context, 1, [layers.Dense(model.outputs).core], "float64", 0)
    model.loss.apply(copy)
    targets = sample.y.reshape(len(sample.y), -1)
    np.asarray(copy.parameters)[...] = np.append(np.zeros(model.outputs), targets.mean(axis=0, dtype=np.float64))
    return loss > float(copy.evaluate(np.zeros((len(targets), 1)), targets))


def unscaled(model: Sequential, sample: Batch) -> list[Finding]:
    """Find columns of X and y that are out of scale."""
    scales = _scales(model)
    suspects = [] if scales else _inputs(sample)
    if not model.core.target_scaling:
        suspects += _targets(model, sample)
    return [suspect.finding for suspect in sorted(suspects, key=lambda suspect: -suspect.strength)]


def observed(model: Sequential, sample: Batch | None = None) -> list[Finding]:
    """Return why a run stands still, by the statistics of the layers and by `sample`, rows of the data."""
    trainer = model.trainer(1)
    known = trainer.losses()
    if not stands_still(known):
        return [] if sample is None or trainer.steps < PATIENCE else _moving(model, sample, known)
    rules = RULES if trainer.steps >= PATIENCE else [rule for rule in RULES if rule.at_once]
    if sample and (same := flat(model, sample)):
        return same  # everything else follows from it
    taken = [(index, of | {"gradient_last": trainer.health(index)[3]}) for index, of in _statistics(model)]
    if sample:
        taken = [(index, of | _dead(model, index, of, sample)) for index, of in taken]
    found = [finding for rule in rules if (finding := rule.look(model, taken))]
    if found:
        found[1:1] = [suspect.finding for suspect in _kernels(model)]
    if sample and trainer.steps >= PATIENCE:
        found = dropped(model, sample) + found + too_slow(model, sample, [of for _, of in taken])
        found += unscaled(model, sample)
    return found


def _statistics(model: Sequential) -> list[tuple[int, dict[str, float]]]:
    """Return what the last step that took statistics saw, by layer."""
    layers = [layer.index for layer in model.layers if hasattr(layer.spec, "units")]
    return [(layer, of) for layer in layers if (of := model.statistics(layer))]


def _moving(model: Sequential, sample: Batch, known: dict[str, float]) -> list[Finding]:
    """Return what there is to say of a run that knows something, though it may learn too slowly."""
    found = unscaled(model, sample)
    if not found or not _misses_the_mean(model, sample, known["recent"]):
        found = [replace(finding, severity="info") for finding in found]
    learns = known["recent"] < STUCK * known["first"] or model.trainer(1).steps < 5 * PATIENCE
    return found if learns else [*too_slow(model, sample, [of for _, of in _statistics(model)], SMALL / 10), *found]


def _dead(model: Sequential, layer: int, of: dict[str, float], sample: Batch) -> dict[str, float]:
    """Count dead units over the sample, without dropout: the few rows of a batch are no proof."""
    if not (of["dead"] > 0.5 and of["zeros"] > 0.5):
        return {}
    core = model.core
    below = _core.Model(core.context, core.inputs, core.layers[: layer + 1], core.dtype, core.seed)
    for to, source in ((below.parameters, core.parameters), (below.state, core.state)):
        np.asarray(to)[...] = np.asarray(source)[: len(to)]
    out = below.predict(sample.x, np.empty((len(sample.x), below.outputs), model.dtype), True, False)
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

    def look(self, model: Sequential, taken: list[tuple[int, dict[str, float]]]) -> Finding | None:
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
        Advice.SCALE_BOTH_OR_FLOAT64,
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
