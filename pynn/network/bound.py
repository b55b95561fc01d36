"""Layers of a model, as users see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import layers as layers_
from ..errors import ArgumentTypeError
from . import adapt
from .network import Network

__all__ = ["BoundLayer"]


class BoundLayer:
    """A layer of a model: the arguments it was made with, and its parameters as views."""

    def __init__(self, network: Network, index: int) -> None:
        self._network, self.index = network, index

    @property
    def spec(self) -> layers_.Layer:
        """The layer on its own, without numbers: for another model that starts fresh."""
        return self._network.specs[self.index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._network.find(self.index, name)
        return getattr(self.spec, name) if found is None else found

    def __repr__(self) -> str:
        return repr(self.spec)

    @property
    def kernel(self) -> np.ndarray:
        """W, a writable view of shape (inputs, units)."""
        return self._network.view(self.index, "kernel")

    @kernel.setter
    def kernel(self, value: Any) -> None:
        self._network.assign({(self.index, "kernel"): value})

    @property
    def bias(self) -> np.ndarray | None:
        """b, a writable view of shape (units,); None with ``use_bias=False``."""
        return self._network.view(self.index, "bias") if getattr(self.spec, "use_bias", True) else None

    @bias.setter
    def bias(self, value: Any) -> None:
        self._network.assign({(self.index, "bias"): value})

    def adapt(self, x: Any) -> None:
        """Adapt this normalization alone; see `Sequential.adapt`.

        Parameters
        ----------
        x : array-like, memory map, DataLoader or iterable of 2-D arrays
            Inputs of the model, of shape (rows, inputs).

        Raises
        ------
        ArgumentTypeError
            This layer is no `Normalization`.
        """
        if not isinstance(self.spec, layers_.Normalization):
            raise ArgumentTypeError(f"expected a pynn.Normalization to adapt; received {self.spec!r}")
        adapt.adapt(self._network, x, self.index)
