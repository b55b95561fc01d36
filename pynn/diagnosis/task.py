"""Check that loss, last layer, targets and metrics go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import metrics
from ..report.finding import Finding
from .trials import Batch

if TYPE_CHECKING:
    from ..model import Sequential


def of_the_task(model: Sequential, batch_size: int | None, sample: Batch | None) -> list[Finding]:
    """What no training can mend. `batch_size` and `sample`, rows of the data, are None where they are not known."""
    found = [_batch_of_one(model, batch_size), _no_logits(model), _single_unit(model)]
    found += [] if sample is None else [_improbable(model, sample), _misleading(model, sample)]
    return [finding for finding in found if finding]


def _batch_of_one(model: Sequential, batch_size: int | None) -> Finding | None:
    normalized = [layer.index for layer in model.layers if layer.spec.kind == "batch_normalization"]
    if not normalized or batch_size != 1:
        return None
    message = f"layer {normalized[0]} normalizes by batches of one row, which it takes to 0: no gradient passes it"
    remedy = "Take larger batches, or LayerNormalization."
    return Finding("batch_too_small", "warning", message, remedy, layer=normalized[0])


def _no_logits(model: Sequential) -> Finding | None:
    link, last = model.loss.row["link"], model.layers[-1]
    activation = getattr(last.spec, "activation", None)
    if link == "linear" or activation is None or activation.name == "linear":
        return None
    message = (
        f"the last layer applies {activation.name!r}, and the loss {model.loss.name!r}, which takes logits, its own "
        f"{link} to that"
    )
    remedy = "Leave the last layer's activation out."
    return Finding("loss_mismatch", "warning", message, remedy, layer=last.index)


def _single_unit(model: Sequential) -> Finding | None:
    if model.loss.row["link"] != "softmax" or model.outputs > 1:
        return None
    message = (
        f"the last layer has 1 unit under the loss {model.loss.name!r}: the softmax of one number is 1 whatever it is"
    )
    remedy = "Take sigmoid_cross_entropy, which tells two classes apart with one unit, or a unit for each class."
    return Finding("single_unit_softmax", "warning", message, remedy, layer=len(model.layers) - 1)


def _misleading(model: Sequential, sample: Batch) -> Finding | None:
    """A metric of classes for targets that are none."""
    counts = [metric.name for metric in model.metrics if isinstance(metric, (metrics.Accuracy, metrics.BinaryAccuracy))]
    y = sample.y.reshape(len(sample.y), -1)
    if not counts or y.shape[1] != model.outputs or model.loss.row["pairs"]:
        return None
    none, column = np.nonzero((y < (-1 if model.loss.row["signs"] else 0)) | (y > 1))
    if not len(none):
        return None
    row = int(sample.rows[none[0]])
    message = (
        f"the metric {counts[0]!r} takes y for 0 or 1, or rows of them, and row {row} has {y[none[0], column[0]]:.6g}"
    )
    remedy = "Take 'r2', 'mae' or 'mse' for numbers; for classes, labels under softmax_cross_entropy."
    return Finding("misleading_metric", "warning", message, remedy, rows=[row])


def _improbable(model: Sequential, sample: Batch) -> Finding | None:
    """Rows of y, under a loss that takes them for probabilities, that do not sum to 1."""
    if model.loss.row["link"] != "softmax" or model.outputs == 1 or sample.y.shape[1:] != (model.outputs,):
        return None
    sums = sample.y.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > 1e-3)
    if not len(off):
        return None
    message = (
        f"{len(off)} of the {len(sums)} rows of y looked at do not sum to 1, row {sample.rows[off[0]]} to "
        f"{sums[off[0]]:.3g}: {model.loss.name!r} takes them for probabilities of classes of which one is right"
    )
    remedy = "Take sigmoid_cross_entropy where several classes may be right, or divide each row of y by its sum."
    rows = [int(row) for row in sample.rows[off][:20]]
    return Finding("loss_mismatch", "warning", message, remedy, rows=rows, evidence={"n_rows": len(off)})
