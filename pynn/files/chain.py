"""A network as writers of other formats need it: layers, tensors, and what stands behind the logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .. import activations
from ..errors import UnsupportedError
from ..layers import Activation, Categorical, Dense, Layer
from ..network.fills import with_fills
from ..network.network import Network, Place

__all__ = ["Chain", "chain"]


@dataclass(frozen=True)
class Chain:
    """Layers that end in logits, and the rest.

    Attributes
    ----------
    layers : tuple of Layer
        Flat. A last activation that is the loss's link is left out, as in the compiled core.
    tensors : mapping from (layer, name) to array
        Targets have layer -1: predictions are ``logits * target_spread + target_shift``.
    link : str
        Activation that makes predictions of logits.
    inputs : int
    dtype : str
    widths : tuple of int
        Columns that each layer gives.
    """

    layers: tuple[Layer, ...]
    tensors: Mapping[Place, np.ndarray]
    link: str
    inputs: int
    dtype: str
    widths: tuple[int, ...]


def chain(network: Network, keep_link: bool = False) -> Chain:
    """Return a network's layers; values for bad cells are those of a `Normalization` in front.

    Parameters
    ----------
    network : Network
    keep_link : bool
        Keep a last activation that is the loss's link.

    Raises
    ------
    NotReadyError
        The network is not built.
    UnsupportedError
        An activation in Python or C code of the user.
    """
    core, filled = network.core, network
    if network.schema is not None and network.schema.fill is not None:
        filled = Network.of_core(with_fills(core, network.schema.fill)[0])
    layers = list(filled.specs)
    for index, layer in enumerate(layers):
        if isinstance(getattr(layer, "activation", None), activations.Custom):
            raise UnsupportedError(f"expected activations of pynn; received the custom one of layer {index}, {layer!r}")
    link = "linear" if network.loss is None else network.loss.row["link"]
    last = layers[-1]
    if not keep_link and link != "linear" and isinstance(last, (Dense, Activation)) and last.activation.name == link:
        layers[-1] = replace(last, activation=None)
    tensors = filled.tensors | {place: view for place, view in network.tensors.items() if place[0] < 0}
    return Chain(tuple(layers), tensors, link, network.inputs, network.dtype.name, _widths(network.inputs, layers))


def _widths(columns: int, layers: list[Layer]) -> tuple[int, ...]:
    found = []
    for layer in layers:
        if isinstance(layer, Dense):
            columns = layer.units
        elif isinstance(layer, Categorical):
            sizes = layer.sizes or ()
            columns -= len(sizes)
            columns += sum(size + 1 for size in sizes) if layer.dimension is None else len(sizes) * layer.dimension
        found.append(columns)
    return tuple(found)
