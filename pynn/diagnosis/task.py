"""Check that loss, last layer, targets and metrics go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import metrics
from ..report.advice import Advice
from ..report.finding import Finding
from .trials import Batch

if TYPE_CHECKING:
    from ..model import Sequential

ONLY_TRAIN = ("dropout", "gaussian_noise")  # kinds of layers that leave predictions alone


def of_the_task(model: Sequential, batch_size: int | None, sample: Batch | None) -> list[Finding]:
    """Find what no training can repair. `batch_size` and `sample`, rows of the data, are None where unknown."""
    found = [_batch_of_one(model, batch_size), _no_logits(model), _single_unit(model)]
    found += (
        []
        if sample is None
        else [_improbable(model, sample), _misleading(model, sample), _numbers_as_signs(model, sample)]
    )
    return [finding for finding in found if finding]


def _batch_of_one(model: Sequential, batch_size: int | None) -> Finding | None:
    normalized = [layer.index for layer in model.layers if layer.spec.kind == "batch_normalization"]
    if not normalized or batch_size != 1:
        return None
    return Finding("batch_too_small", "warning", layer=normalized[0], advice=(Advice.LARGER_BATCHES,))


def _no_logits(model: Sequential) -> Finding | None:
    """Find an activation before a loss that takes logits; the loss's own link is fused, and right."""
    link, layers = model.loss.row["link"], [layer for layer in model.layers if layer.spec.kind not in ONLY_TRAIN]
    last = layers[-1]
    activation = getattr(last.spec, "activation", None)
    if link == "linear" or activation is None or activation.name == "linear":
        return None
    if activation.name == link and last is model.layers[-1]:
        return None
    evidence = {"activation": activation.name, "loss": model.loss.name, "link": link}
    return Finding("loss_mismatch", "warning", layer=last.index, evidence=evidence, advice=(Advice.DROP_ACTIVATION,),
                   text="second_activation")  # fmt: skip


def _single_unit(model: Sequential) -> Finding | None:
    if model.loss.row["link"] != "softmax" or model.outputs > 1:
        return None
    return Finding("single_unit_softmax", "warning", layer=len(model.layers) - 1, evidence={"loss": model.loss.name},
                   advice=(Advice.SIGMOID_LOSS_OR_UNITS,))  # fmt: skip


def _misleading(model: Sequential, sample: Batch) -> Finding | None:
    """Find a metric for classes with targets that are no classes."""
    counts = [metric.name for metric in model.metrics if isinstance(metric, (metrics.Accuracy, metrics.BinaryAccuracy))]
    y = sample.y.reshape(len(sample.y), -1)
    if not counts or y.shape[1] != model.outputs or model.loss.row["pairs"]:
        return None
    lowest = -1 if model.loss.middle(model.outputs) == 0 else 0  # of margins and logits
    none, column = np.nonzero((y < lowest) | (y > 1))
    if not len(none):
        return None
    row = int(sample.rows[none[0]])
    evidence = {"metric": counts[0], "row": row, "value": float(y[none[0], column[0]])}
    return Finding("misleading_metric", "warning", rows=[row], evidence=evidence, advice=(Advice.NUMBER_METRICS,))


def _numbers_as_signs(model: Sequential, sample: Batch) -> Finding | None:
    """Targets that are no labels under a loss that takes only their sign."""
    if not model.loss.row["signs"]:
        return None
    y = sample.y.reshape(len(sample.y), -1)
    row, column = np.nonzero(np.isfinite(y) & (np.abs(y) != 1) & (y != 0))
    if not len(row):
        return None
    first = int(sample.rows[row[0]])
    evidence = {"loss": model.loss.name, "row": first, "value": float(y[row[0], column[0]])}
    return Finding("loss_mismatch", "warning", rows=[first], evidence=evidence, advice=(Advice.TWO_SIGNS_OR_NUMBERS,),
                   text="numbers_as_signs")  # fmt: skip


def _improbable(model: Sequential, sample: Batch) -> Finding | None:
    """Find rows of y that do not sum to 1, where the loss takes them as probabilities."""
    if model.loss.row["link"] != "softmax" or model.outputs == 1 or sample.y.shape[1:] != (model.outputs,):
        return None
    sums = sample.y.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > 1e-3)
    if not len(off):
        return None
    rows = [int(row) for row in sample.rows[off][:20]]
    evidence = {"n_rows": len(off), "n_checked": len(sums), "sum": float(sums[off[0]]), "loss": model.loss.name}
    return Finding("loss_mismatch", "warning", rows=rows, evidence=evidence, advice=(Advice.SIGMOID_LOSS_OR_DIVIDE,),
                   text="improbable_targets")  # fmt: skip
