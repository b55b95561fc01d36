"""Layers of a model, as users see them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np

from .. import checks
from .. import layers as layers_
from ..errors import ArgumentTypeError
from . import adapt
from .network import Network

__all__ = ["BoundLayer", "bring_tensors"]


class BoundLayer:
    """A layer of a model: the arguments it was made with, and its parameters as views.

    Assigning to a parameter, ``model.layers[0].kernel = W``, writes it. In another model's list of layers it brings a
    copy of its parameters along; its `spec` starts fresh. ``model.layers[0].trainable = False`` freezes it.
    """

    _network: Network
    index: int

    def __init__(self, network: Network, index: int) -> None:
        vars(self).update(_network=network, index=index)

    @property
    def spec(self) -> layers_.Layer:
        """The layer on its own, without numbers: for another model that starts fresh."""
        return self._network.specs[self.index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._network.find(self.index, name)
        return getattr(self.spec, name) if found is None else found

    def __setattr__(self, name: str, value: Any) -> None:
        """Write a tensor, freeze the layer or train it again; refuse what would change nothing."""
        if name == "trainable":
            self._network.set_trainable(self.index, checks.boolean(name, value))
            return
        if self._network.find(self.index, name) is not None:
            self._network.assign({(self.index, name): value})
            return
        if name in self.tensors or name == "kernel" or name == "bias":
            self._network.view(self.index, name)  # refuses a network that is not built
        kind = type(self.spec).__name__
        if name in self.arguments:
            raise FrozenInstanceError(
                f"expected layer {self.index}, {kind}, to stay as it was made; received {name}={value!r}: make "
                f"another model with pynn.{kind}({name}={value!r}) in that place"
            )
        raise FrozenInstanceError(
            f"expected one of the tensors {', '.join(map(repr, self.tensors)) or '(none)'} of layer {self.index}, "
            f"{kind}; received {name}={value!r}"
        )

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments that the layer was made with."""
        return [f.name for f in fields(self.spec)]  # type: ignore[arg-type]

    @property
    def tensors(self) -> list[str]:
        """Names of the layer's parameters and state; none before the model is built."""
        if not self._network.built:
            return []
        return [name for layer, name in self._network.tensors if layer == self.index]

    def __repr__(self) -> str:
        return repr(self.spec)

    @property
    def kernel(self) -> np.ndarray:
        """W, a writable view of shape (inputs, units)."""
        return self._network.view(self.index, "kernel")

    @property
    def bias(self) -> np.ndarray | None:
        """b, a writable view of shape (units,); None with ``use_bias=False``."""
        return self._network.view(self.index, "bias") if getattr(self.spec, "use_bias", True) else None

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer; assign False to freeze it.

        Steps leave the parameters of a frozen layer as they are, whatever the optimizer; its regularizers and
        constraints do not act, and no gradient norm counts it. A frozen `BatchNormalization` uses its moving moments in
        training too, and keeps them; a frozen `Dropout` drops as before. Takes effect with the next step.
        """
        return self.index not in self._network.frozen

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


def bring_tensors(network: Network, given: list[Any]) -> None:
    """Let the layers of other models among those of a network start from copies of their tensors."""
    at = 0
    for layer in given:
        if isinstance(layer, BoundLayer):
            network.bring(at, layer._network, layer.index)
        at += 1 if isinstance(layer, BoundLayer) else len(layers_.flatten([layer]))
