"""What a finished run was trained on, as far as rules look at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..network.passes import Part
from .trials import Batch, taken_rows

ROWS, CELLS = 1000, 1 << 21  # most rows, and cells, of a sample


def spread_out(part: Part) -> Batch:
    """Return rows from all over some data, a bounded number."""
    rows = part.x.shape[0]
    count = max(8, min(ROWS, CELLS // part.x.shape[1]))
    return taken_rows(part, np.unique(np.linspace(0, rows - 1, count).astype(np.int64)))


@dataclass(frozen=True)
class Seen:
    """What a run was trained and validated on.

    Attributes
    ----------
    sample : Batch
        Rows from all over the training data.
    targets : array or None
        All targets in the order of the rows, where they are in memory.
    weights : array or None
        All sample weights, where they are in memory.
    batch_size : int or None
        Rows of a batch, where that is fixed.
    in_order : bool
        Whether each epoch takes the rows in their own order.
    categories : dict of int -> int
        Number of codes of the columns of X that were texts.
    validation : Batch or None
        Rows from all over the validation data.
    validation_targets : array or None
        All targets of the validation data.
    classes : list of int or None
        Classes of all training rows, where these were read in blocks.
    """

    sample: Batch
    targets: np.ndarray | None = None
    weights: np.ndarray | None = None
    batch_size: int | None = None
    in_order: bool = False
    categories: dict[int, int] | None = None
    validation: Batch | None = None
    validation_targets: np.ndarray | None = None
    classes: list[int] | None = None

    @cached_property
    def labels(self) -> np.ndarray | None:
        """All classes of the training rows, as integers; None where targets are numbers."""
        return self.sample_labels if self.targets is None else as_labels(self.targets)

    @cached_property
    def sample_labels(self) -> np.ndarray | None:
        """Classes of the rows of the sample, as integers; None where targets are numbers."""
        return as_labels(self.sample.y)


def as_labels(y: np.ndarray | None) -> np.ndarray | None:
    """Return targets as class labels; None where they are no classes."""
    if y is None:
        return None
    y = y.reshape(len(y), -1)
    if y.shape[1] > 1:  # one-hot rows
        hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        return y.argmax(axis=1) if hot else None
    y = y[:, 0]
    if y.dtype.kind in "iub":
        return y.astype(np.int64)
    whole = np.isfinite(y).all() and (y == np.floor(y)).all() and y.min() >= 0 and y.max() < 10_000
    return y.astype(np.int64) if whole else None
