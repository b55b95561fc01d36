"""Check that loss, last layer, targets and metrics go together."""

from __future__ import annotations

import numpy as np

from .. import metrics
from ..report.advice import Advice
from ..report.finding import Finding
from ..training.learner import Learner
from .trials import Batch

ONLY_TRAIN = ("dropout", "gaussian_noise")  # kinds of layers that leave predictions alone


def of_the_task(learner: Learner, batch_size: int | None, sample: Batch | None) -> list[Finding]:
    """Find what no training can repair. `batch_size` and `sample`, rows of the data, are None where unknown."""
    found = [_batch_of_one(learner, batch_size), _no_logits(learner), _single_unit(learner)]
    found += (
        []
        if sample is None
        else [_improbable(learner, sample), _misleading(learner, sample), _numbers_as_signs(learner, sample)]
    )
    return [finding for finding in found if finding]


def _batch_of_one(learner: Learner, batch_size: int | None) -> Finding | None:
    if batch_size != 1:
        return None
    normalized = [index for index, spec in enumerate(learner.network.specs) if spec.kind == "batch_normalization"]
    if not normalized:
        return None
    return Finding("batch_too_small", "warning", layer=normalized[0], advice=(Advice.LARGER_BATCHES,))


def _no_logits(learner: Learner) -> Finding | None:
    """Find an activation before a loss that takes logits; the loss's own link is fused, and right."""
    link, layers = learner.network.loss.row["link"], learner.network.specs
    last = [index for index, spec in enumerate(layers) if spec.kind not in ONLY_TRAIN][-1]
    activation = getattr(layers[last], "activation", None)
    if link == "linear" or activation is None or activation.name == "linear":
        return None
    if activation.name == link and last == len(layers) - 1:
        return None
    evidence = {"activation": activation.name, "loss": learner.network.loss.name, "link": link}
    return Finding("loss_mismatch", "warning", layer=last, evidence=evidence, advice=(Advice.DROP_ACTIVATION,),
                   text="second_activation")  # fmt: skip


def _single_unit(learner: Learner) -> Finding | None:
    if learner.network.loss.row["link"] != "softmax" or learner.network.outputs > 1:
        return None
    return Finding("single_unit_softmax", "warning", layer=len(learner.network.specs) - 1,
                   evidence={"loss": learner.network.loss.name}, advice=(Advice.SIGMOID_LOSS_OR_UNITS,))  # fmt: skip


def _misleading(learner: Learner, sample: Batch) -> Finding | None:
    """Find a metric for classes with targets that are no classes."""
    classes = metrics.Accuracy, metrics.BinaryAccuracy
    counts = [metric.name for metric in learner.metrics if isinstance(metric, classes)]
    y = sample.y.reshape(len(sample.y), -1)
    if not counts or y.shape[1] != learner.network.outputs or learner.network.loss.row["pairs"]:
        return None
    lowest = -1 if learner.network.loss.middle(learner.network.outputs) == 0 else 0  # of margins and logits
    none, column = np.nonzero((y < lowest) | (y > 1))
    if not len(none):
        return None
    row = int(sample.rows[none[0]])
    evidence = {"metric": counts[0], "row": row, "value": float(y[none[0], column[0]])}
    return Finding("misleading_metric", "warning", rows=[row], evidence=evidence, advice=(Advice.NUMBER_METRICS,))


def _numbers_as_signs(learner: Learner, sample: Batch) -> Finding | None:
    """Targets that are no labels under a loss that takes only their sign."""
    if not learner.network.loss.row["signs"]:
        return None
    y = sample.y.reshape(len(sample.y), -1)
    row, column = np.nonzero(np.isfinite(y) & (np.abs(y) != 1) & (y != 0))
    if not len(row):
        return None
    first = int(sample.rows[row[0]])
    evidence = {"loss": learner.network.loss.name, "row": first, "value": float(y[row[0], column[0]])}
    return Finding("loss_mismatch", "warning", rows=[first], evidence=evidence, advice=(Advice.TWO_SIGNS_OR_NUMBERS,),
                   text="numbers_as_signs")  # fmt: skip


def _improbable(learner: Learner, sample: Batch) -> Finding | None:
    """Find rows of y that do not sum to 1, where the loss takes them as probabilities."""
    outputs = learner.network.outputs
    if learner.network.loss.row["link"] != "softmax" or outputs == 1 or sample.y.shape[1:] != (outputs,):
        return None
    sums = sample.y.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > 1e-3)
    if not len(off):
        return None
    rows = [int(row) for row in sample.rows[off][:20]]
    evidence = {"n_rows": len(off), "n_checked": len(sums), "sum": float(sums[off[0]])}
    evidence["loss"] = learner.network.loss.name
    return Finding("loss_mismatch", "warning", rows=rows, evidence=evidence, advice=(Advice.SIGMOID_LOSS_OR_DIVIDE,),
                   text="improbable_targets")  # fmt: skip
