"""Predictions of a network."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import arrays
from ..data import DataLoader, Schema, is_frame, known
from ..errors import DtypeError, NumericalError
from ..report import data_faults
from . import precision
from .network import Network

__all__ = ["classify", "predict", "table_loader"]

ROWS = 1 << 16  # predicted at a time, so that Ctrl-C is heard


def predict(network: Network, x: Any, raw: bool, guarded: bool) -> np.ndarray:
    """Return predictions, or logits if `raw`, for the rows of an array or a table."""
    core = network.core
    schema = network.schema
    if schema is not None and (table := table_loader(x, schema, target=False)) is not None:
        return np.concatenate([predict(network, block.x, raw, guarded) for block in table.blocks(0)])
    x = arrays.as_inputs(known.inputs(x, schema), core.inputs, empty=True)
    double = not raw and precision.scales_in_double(core)
    out = np.empty((x.shape[0], core.outputs), np.float64 if double else network.dtype)
    for first in range(0, x.shape[0], ROWS):
        part = slice(first, first + ROWS)
        try:
            precision.predict(core, known.filled(x[part], schema), out[part], raw, guarded)
        except NumericalError as error:
            raise data_faults.bad_prediction(error, first) from None
    return out


def classify(network: Network, x: Any) -> np.ndarray:
    """Return the likeliest class of every row: its name where y had names, else its label."""
    loss = network.loss
    link = None if loss is None else loss.row["link"]
    if link not in ("softmax", "sigmoid"):
        raise DtypeError(f"expected a loss of classes, such as softmax_cross_entropy; received loss={loss!r}")
    chosen = predict(network, x, False, True)
    several = link == "sigmoid" and network.outputs > 1
    labels = chosen.argmax(1) if link == "softmax" else (chosen > 0.5).astype(np.int64)
    labels = labels if several or link == "softmax" else labels[:, 0]
    classes = network.schema.classes if network.schema is not None else None
    return labels if classes is None or several else np.array(classes)[labels]


def table_loader(x: Any, schema: Schema | None, target: bool = True) -> DataLoader | None:
    """Return a loader of a table by the columns known; None for other data."""
    if schema is None or not schema.names:
        return None
    if not (isinstance(x, (str, os.PathLike)) or (is_frame(x) and schema.reads_tables)):
        return None
    schema = schema if target else schema.without_targets()
    bad = None if schema.fill is None else "impute"
    return DataLoader.from_table(x, schema=schema, dtype="float64", batch_size=1024, on_bad_rows=bad)
