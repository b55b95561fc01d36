"""Lists of layers, with residual blocks: flat and nested, to and from plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import activations, checks
from ..errors import ArgumentTypeError, ArgumentValueError, UnknownNameError
from .base import Layer
from .categorical import Categorical
from .normalization import Normalization


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """``Y = X +`` the input of the layer `layers` below: what ends a `Residual` block of a built model.

    Parameters
    ----------
    layers : int
        Layers in the block.
    """

    kind: ClassVar[str] = "add"

    layers: int = 1

    def __post_init__(self) -> None:
        self._check("layers")


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """A block with a way around it: ``y = x + f(x)``, f the layers given. Blocks may stand in blocks.

    f must give as many columns as it takes. In a model the block's layers stand in a row and end in an `Add`.

    Parameters
    ----------
    layers : sequence of layers
        f.

    References
    ----------
    He et al., "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> import pynn
    >>> block = pynn.Residual([pynn.LayerNormalization(), pynn.Dense(64, activation="gelu"), pynn.Dense(16)])
    >>> model = pynn.Sequential([pynn.Dense(16), block, pynn.Dense(1)]).build(8)
    >>> len(model.layers)
    6
    """

    kind: ClassVar[str] = "residual"

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        given = (self.layers,) if isinstance(self.layers, Layer) else tuple(self.layers)
        layers = tuple(from_dict(layer) if isinstance(layer, Mapping) else layer for layer in given)
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ArgumentTypeError(f"expected layers in Residual such as pynn.Dense(10); received {layer!r}")
        if not layers:
            raise ArgumentValueError("expected Residual.layers with at least one layer; received none")
        object.__setattr__(self, "layers", layers)

    def to_dict(self) -> dict[str, Any]:
        return {"layer": self.kind, "layers": [layer.to_dict() for layer in self.layers]}


def flatten(layers: Iterable[Layer]) -> list[Layer]:
    """The layers in a row, residual blocks as their layers and an `Add`."""
    flat: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Residual):
            flat.append(layer)
            continue
        block = flatten(layer.layers)
        flat += [*block, Add(len(block))]
    return flat


def nest(layers: Iterable[Layer]) -> list[Layer]:
    """What `flatten` was given."""
    nested: list[tuple[Layer, int]] = []  # a layer and how many it is in a row
    for layer in layers:
        if not isinstance(layer, Add):
            nested.append((layer, 1))
            continue
        count, block = 0, list[Layer]()
        while count < layer.layers and nested:
            inner, n = nested.pop()
            block.insert(0, inner)
            count += n
        if count != layer.layers:
            raise ArgumentValueError(f"expected blocks one in another or after another; received {layer!r}")
        nested.append((Residual(tuple(block)), count + 1))
    return [layer for layer, _ in nested]


def tolerates(layers: Iterable[Layer], column: int) -> tuple[bool, bool]:
    """Whether a column of X may hold NaN, and infinities."""
    for layer in layers:
        if isinstance(layer, Normalization):
            if layer.columns is None or column in layer.columns:
                return layer.missing != "error", layer.clip is not None or layer.missing == "nonfinite"
        elif isinstance(layer, Categorical):
            return (True, True) if column in layer.columns else (False, False)
        elif not layer.only_trains:
            break
    return False, False


def _kinds() -> dict[str, type[Layer]]:
    return {cls.kind: cls for cls in Layer.__subclasses__()}


def from_dict(values: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.to_dict` described."""
    kinds = _kinds()
    kind = values.get("layer")
    if kind not in kinds:
        names = ", ".join(map(repr, kinds))
        raise UnknownNameError(
            f"expected layer as one of {names}; received layer={kind!r}{checks.nearest(kind, kinds)}"
        )
    try:
        arguments = {k: v for k, v in values.items() if k != "layer"}
        if "of" in arguments:  # the layer of a wrapper
            arguments["layer"] = arguments.pop("of")
        return kinds[kind](**arguments)
    except TypeError as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise UnknownNameError(
            f"expected arguments of {kinds[kind].__name__}; received {dict(values)} ({error})"
        ) from None


def checked(layers: Iterable[Any]) -> list[Layer]:
    """The layers of a network in a row, residual blocks as their layers and an `Add`; refuses anything else."""
    given = list(layers)
    for i, layer in enumerate(given):
        if not isinstance(layer, Layer):
            raise ArgumentTypeError(f"expected layers such as pynn.Dense(10); received layers[{i}]={layer!r}")
    specs = flatten(given)
    check_names(specs)
    return specs


def require_dense(layers: Iterable[Layer]) -> None:
    """Refuse layers without a `Dense`, which make no network."""
    if not any(layer.kind == "dense" for layer in layers):
        raise ArgumentValueError("expected layers with at least one pynn.Dense; received none")


def check_names(layers: Iterable[Layer]) -> None:
    """Custom activations are told apart by their names, in files for instance."""
    named: dict[str, Any] = {}
    for layer in layers:
        activation = getattr(layer, "activation", None)
        if isinstance(activation, activations.Custom) and named.setdefault(activation.name, activation) != activation:
            raise ArgumentValueError(
                f"expected another name for each custom activation; received two with name={activation.name!r}"
            )


def with_functions(values: Mapping[str, Any], custom: Any) -> dict[str, Any]:
    """What `Layer.to_dict` gave, with activations from `custom` in place of the names of custom ones."""
    activation, inner = values.get("activation"), values.get("layers")
    found = dict(values)
    if isinstance(activation, Mapping) and activation.get("custom"):
        found["activation"] = activations.resolve(str(activation["name"]), custom)
    if isinstance(inner, (list, tuple)):
        found["layers"] = [with_functions(layer, custom) for layer in inner]
    return found


def from_core(layer: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.core` described."""
    return _kinds()[layer["kind"][0]].from_core(layer)
