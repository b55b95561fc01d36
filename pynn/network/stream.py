"""Predictions of sequences that come one timestep after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..errors import NotReadyError, ShapeError
from . import precision
from .network import Network

__all__ = ["Stream"]


class Stream:
    """Sequences that come one timestep after the other; made by `Sequential.stream`.

    Each `step` gives what `predict` gives for the timesteps so far, to the last bit.

    Attributes
    ----------
    rows : int
        Sequences that go side by side.
    """

    def __init__(self, network: Network, rows: int = 1) -> None:
        core = network.core
        if network.timesteps is None or not network.sequential:
            raise NotReadyError("expected a model with layers that take sequences, such as pynn.LSTM; received none")
        self.rows = checks.integer("rows", rows, 1, 2**31)
        self._core = network.open_stream(self.rows)
        self._features = int(core.shape(-1)[1])
        double = precision.scales_in_double(core)
        self._out = np.empty((self.rows, network.outputs), np.float64 if double else network.dtype)

    def step(self, x: Any) -> np.ndarray:
        """Take one timestep and return the predictions for the timesteps so far.

        Parameters
        ----------
        x : array-like of shape (features,) or (rows, features)

        Returns
        -------
        ndarray of shape (outputs,) or (rows, outputs)

        Raises
        ------
        ShapeError
        NumericalError
            A number that is not finite; the stream stays where it was if it is one of `x`.
        """
        x = np.asarray(x)
        alone = x.ndim == 1
        if x.shape != ((self._features,) if alone else (self.rows, self._features)) or (alone and self.rows > 1):
            raise ShapeError(
                f"expected x of shape ({self.rows}, {self._features}), one timestep of each sequence; received x of "
                f"shape {x.shape}"
            )
        out = self._core.step(x[None] if alone else x, np.empty_like(self._out))
        return out[0] if alone else out

    def reset(self) -> None:
        """Start again from the first timestep."""
        self._core.reset()

    @property
    def state(self) -> np.ndarray:
        """What the timesteps so far have come to, as a vector; assign a copy of it to go back there."""
        return np.array(self._core.state)

    @state.setter
    def state(self, value: Any) -> None:
        held = np.asarray(self._core.state)
        value = np.asarray(value)
        if value.shape != held.shape:
            raise ShapeError(f"expected state of shape {held.shape}; received state of shape {value.shape}")
        held[...] = value
