"""What a run of `fit` is to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..callbacks.base import Callback
from ..network.passes import Passes
from ..report.guard import Guard
from .batches import Batches
from .processes import Together
from .progress import Progress

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """A run of `fit`, prepared: its arguments are checked, and the network is built if the data say how.

    Attributes
    ----------
    model : object
        The user's model, for callbacks.
    batches : Batches
    validation : Passes or None
        Checked rows to evaluate on after each epoch.
    epochs : range
    callbacks : sequence of Callback
    progress : Progress
    guard : Guard
    mixup : float
    shards : int
        Parts of a batch that are summed; 0: batches are whole.
    together : Together or None
        The processes that share them out.
    base : int
        Epochs that the model had seen before.
    counts : bool
        Whether the epochs of this run count for the next one on arrays.
    optimizer : Optimizer
        With the learning rate that training started with.
    columns : list of str or None
        Names of the columns of X.
    passes : Passes or None
        Over the training data.
    """

    model: Any
    batches: Batches
    validation: Passes | None
    epochs: range
    callbacks: Sequence[Callback]
    progress: Progress
    guard: Guard
    mixup: float
    shards: int
    together: Together | None
    base: int
    counts: bool
    optimizer: Any
    columns: list[str] | None
    passes: Passes | None
