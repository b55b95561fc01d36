"""What a report keeps of a run beside its findings, for the page: plain data, no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .health import LayerHealth

__all__ = ["CELLS", "DataSeen", "Record"]

CELLS = 1 << 17  # of X that are kept


@dataclass(eq=False)
class DataSeen:
    """Rows from all over some data.

    Attributes
    ----------
    X, y : array
        The rows kept, as the network was given them.
    rows : array of int
        Their indices in the user's data.
    n_rows : int
        Rows of the whole data; 0: not known.
    names, classes : list or None
        Of the columns of X, and of the labels.
    held : DataSeen or None
        The validation data.
    whole : bool
        Whether `X` is all of the data.
    """

    X: np.ndarray
    y: np.ndarray | None = None
    rows: np.ndarray | None = None
    n_rows: int = 0
    names: list[str] | None = None
    classes: list[Any] | None = None
    held: DataSeen | None = None
    whole: bool = False


@dataclass(eq=False)
class Record:
    """A run as the page shows it.

    Attributes
    ----------
    kind : "fit", "diagnose" or "repair"
    epochs, ledger : list of dict
        Those of the history.
    health : LayerHealth or None
    setup : dict
        Loss, optimizer, seed, dtype, numbers of rows and parameters, by the name that the page shows.
    optimizer : str
        Name of its class.
    layers : list of dict
        ``units``, ``parameters`` and ``frozen`` of each layer; its name is the health's.
    weights : list of (layer, name, array)
        Some numbers of each tensor at the end of the run.
    provenance : dict
    data : DataSeen or None
    trials : list of (change, share of the gap that it closed)
        What `diagnose` tried.
    changes : list of str
        What `repair` changed.
    code : str
        Lines to write instead.
    suspicions : list of (row, label, likelier label, score)
        Labels that the rest of the data contradicts.
    examples : dict of int to array
        Rows of X that findings name, by their index in the user's data.
    trace : Trace or None
    interrupted : bool
    """

    kind: str = "fit"
    epochs: list[dict[str, float]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    health: LayerHealth | None = None
    setup: dict[str, Any] = field(default_factory=dict)
    optimizer: str = ""
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: list[tuple[int, str, np.ndarray]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    data: DataSeen | None = None
    trials: list[tuple[str, float]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    code: str = ""
    suspicions: list[tuple[int, int, int, float]] = field(default_factory=list)
    examples: dict[int, np.ndarray] = field(default_factory=dict)
    trace: Any = None
    interrupted: bool = False

    def name(self, layer: int) -> str:
        """Return the name of a layer: ``0 Dense(64, relu)``."""
        names = self.health.names if self.health is not None else []
        return f"{layer} {names[layer]}" if 0 <= layer < len(names) else "targets" if layer < 0 else f"{layer}"
