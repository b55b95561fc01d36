"""Predictions of a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data import DataLoader, Schema, is_frame, known
from ..errors import DtypeError, NumericalError, ShapeError
from ..report import data_faults
from . import precision
from .network import Network
from .passes import is_batches

__all__ = ["classify", "labels_of", "predict", "predict_blocks", "table_loader"]

ROWS = 1 << 16  # predicted at a time, so that Ctrl-C is heard


def predict(network: Network, x: Any, raw: bool, guarded: bool) -> np.ndarray:
    """Return predictions, or logits if `raw`, for the rows of an array, a table, a loader or batches."""
    schema = network.schema
    network.core  # noqa: B018  refuses a network that is not built
    if schema is not None and (table := table_loader(x, schema, target=False)) is not None:
        x = table
    if isinstance(x, DataLoader):
        return np.concatenate([rows for _, rows in predict_blocks(network, x, raw, guarded)])
    if is_batches(x) and not is_frame(x):
        return _predict_batches(network, x, raw, guarded)
    return _predict_rows(network, known.inputs(x, schema), raw, guarded, 0)


def predict_blocks(network: Network, loader: DataLoader, raw: bool, guarded: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index of the first row and the predictions of the rows of a loader, in the order of its source."""
    first = 0
    for rows in known.loaded(loader, network.schema).parts():
        yield first, _predict_rows(network, rows.x, raw, guarded, first)
        first += len(rows)


def _predict_batches(network: Network, batches: Any, raw: bool, guarded: bool) -> np.ndarray:
    """Return predictions for batches ``xb``, ``(xb, yb)`` or ``(xb, yb, wb)``."""
    found: list[np.ndarray] = []
    first = 0
    for batch in batches:
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        found.append(_predict_rows(network, known.inputs(x, network.schema), raw, guarded, first))
        first += len(found[-1])
    if not found:
        raise ShapeError("expected at least one batch to predict; received none")
    return np.concatenate(found)


def _predict_rows(network: Network, x: Any, raw: bool, guarded: bool, before: int) -> np.ndarray:
    """Return predictions for rows of a matrix, of which `before` others come before in the user's data."""
    core = network.core
    x = network.as_rows(x, empty=True)
    double = not raw and precision.scales_in_double(core)
    out = np.empty((x.shape[0], core.outputs), np.float64 if double else network.dtype)
    for first in range(0, x.shape[0], ROWS):
        part = slice(first, first + ROWS)
        try:
            precision.predict(core, known.filled(x[part], network.schema), out[part], raw, guarded)
        except NumericalError as error:
            raise data_faults.bad_prediction(error, before + first) from None
    return out


def classify(network: Network, x: Any) -> np.ndarray:
    """Return the likeliest class of every row: its name where y had names, else its label."""
    _require_classes(network)
    return labels_of(network, predict(network, x, False, True))


def labels_of(network: Network, chosen: np.ndarray) -> np.ndarray:
    """Return the likeliest class for each row of predictions."""
    link = _require_classes(network)
    several = link == "sigmoid" and network.outputs > 1
    labels = chosen.argmax(1) if link == "softmax" else (chosen > 0.5).astype(np.int64)
    labels = labels if several or link == "softmax" else labels[:, 0]
    classes = network.schema.classes if network.schema is not None else None
    return labels if classes is None or several else np.array(classes)[labels]


def _require_classes(network: Network) -> str:
    """Return the link of a loss of classes; refuse any other loss."""
    loss = network.loss
    link = None if loss is None else str(loss.row["link"])
    if link not in ("softmax", "sigmoid"):
        raise DtypeError(f"expected a loss of classes, such as softmax_cross_entropy; received loss={loss!r}")
    return link


def table_loader(x: Any, schema: Schema | None, target: bool = True) -> DataLoader | None:
    """Return a loader of a table by the columns known; None for other data."""
    if schema is None or not schema.names:
        return None
    if not (isinstance(x, (str, os.PathLike)) or (is_frame(x) and schema.reads_tables)):
        return None
    schema = schema if target else schema.without_targets()
    bad = None if schema.fill is None else "impute"
    return DataLoader.from_table(x, schema=schema, dtype="float64", batch_size=1024, on_bad_rows=bad)
