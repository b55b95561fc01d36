"""Some rows of a source, by their indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .sources import Rows, Source

__all__ = ["Subset"]


class Subset(Source):
    """Rows of another source; in findings they keep their indices there."""

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        self._source, self._indices = source, np.asarray(indices, np.int64)
        self.rows = len(self._indices)
        self.schema, self.fill, self.row_bytes = source.schema, source.fill, source.row_bytes

    def gather(self, rows: np.ndarray) -> Rows:
        return self._source.gather(self._indices[rows])

    def labels(self) -> np.ndarray | None:
        labels = self._source.labels()
        return None if labels is None else labels[self._indices]

    def state(self) -> dict[str, Any]:
        return self._source.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self._source.load_state(state)
