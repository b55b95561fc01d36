"""Rows of an epoch that are kept until its end, for metrics that need all of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import State, Summed


class Kept(Summed):
    """A metric that keeps targets, predictions and weights of the rows it takes; weights only where one is not 1."""

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []

    def keep(self, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> None:
        """Keep copies of rows."""
        self._blocks.append((targets.copy(), predictions.copy(), None if (weights == 1).all() else weights.copy()))

    def kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return targets, predictions and weights of all rows kept."""
        if not self._blocks:
            return np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0)
        targets, predictions, weights = zip(*self._blocks, strict=True)
        filled = [np.ones(len(y)) if w is None else w for y, w in zip(targets, weights, strict=True)]
        return np.concatenate(targets), np.concatenate(predictions), np.concatenate(filled)

    def state_dict(self) -> State:
        """Return what a checkpoint in the middle of an epoch has to hold."""
        state = super().state_dict()
        blocks: Any = state.pop("_blocks")
        if not blocks:
            return state | {"kept": []}
        targets, predictions, weights = self.kept()
        boolean = targets.dtype == bool
        return state | {"kept": [targets.view(np.uint8) if boolean else targets, predictions, weights], "bool": boolean}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` returned."""
        state = dict(state)
        kept, boolean = state.pop("kept"), state.pop("bool", False)
        super().load_state_dict(state)
        self._blocks = []
        if kept:
            targets, predictions, weights = (np.asarray(part) for part in kept)
            self._blocks = [(targets.astype(bool) if boolean else targets, predictions, weights)]
