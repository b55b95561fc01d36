"""What a file of any format holds: a network, and what is known of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Schema
from ..network.network import Description, Network, Place

__all__ = ["BROKEN", "Content", "Slots"]

BROKEN = (ValueError, TypeError, AttributeError, LookupError, OverflowError)  # raised by values that nobody wrote

Slots = Sequence[Mapping[Place, np.ndarray]]  # for each state vector of the optimizer: its parts by layer and name


@dataclass(frozen=True)
class Content:
    """What readers of all formats return; `pynn.load` makes a model of it.

    Attributes
    ----------
    network : Description or Network
    program : str
        Which program wrote the file, for messages.
    loss, optimizer : any argument of `compile`
        None: the file says nothing about training, and the model is not compiled.
    metrics : sequence of any argument of `compile`
    target_scaling : str or None
    missing : sequence of str
        Names of metrics that the file names and cannot hold.
    left_out : sequence of str
        What of the file is not in the model, for a warning.
    frozen : sequence of int
        Indices of the layers that are not trained.
    schema : Schema or None
        What the columns and classes mean; None: as the network has it.
    steps : int
        Steps that the optimizer has applied.
    slots : sequence of mappings from (layer, name) to array
        State vectors of the optimizer; empty: they start from zero.
    """

    network: Description | Network
    program: str = "pynn"
    loss: Any = None
    optimizer: Any = None
    metrics: Sequence[Any] = ()
    target_scaling: str | None = None
    missing: Sequence[str] = ()
    left_out: Sequence[str] = ()
    frozen: Sequence[int] = ()
    schema: Schema | None = None
    steps: int = 0
    slots: Slots = ()
