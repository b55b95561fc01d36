"""Put tensors of other programs into a network, by their names and shapes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, DtypeError, MissingFileError, ShapeError
from ..network.network import Description, Network, Place
from .formats import format_of

__all__ = ["assign", "match", "natural", "numbers", "oriented", "read", "set_weights", "state_dict", "to_numpy"]

# What the last part of a name means: the name of our tensor for a matrix, and for a vector.
ROLES = {
    "kernel": ("kernel", None),
    "weight": ("kernel", "gamma"),  # a matrix of shape (units, inputs), as PyTorch has it
    "bias": (None, "bias"),
    "gamma": (None, "gamma"),
    "scale": (None, "gamma"),
    "beta": (None, "bias"),
    "moving_mean": (None, "moving_mean"),
    "running_mean": (None, "moving_mean"),
    "mean": (None, "moving_mean"),
    "moving_variance": (None, "moving_variance"),
    "running_var": (None, "moving_variance"),
    "var": (None, "moving_variance"),
    "embeddings": ("embeddings", None),
    "shift": (None, "shift"),
    "scaling": (None, "scale"),
    "fill": (None, "fill"),
    "rows": (None, "rows"),
}
COUNTS = ("num_batches_tracked", "seed_generator_state")  # say nothing about predictions
OWN = ("shift", "scale", "fill", "rows")  # of a Normalization: left as they are where a file has none

Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of a layer's tensors, by name
Group = dict[str, tuple[str, tuple[int, ...]]]  # tensors of a layer by our names: their own names, shapes


def state_dict(network: Network) -> dict[str, np.ndarray]:
    """Return copies of all tensors by name, layer by layer; those of scaled targets are the last."""
    return {_name(place): view.copy() for place, view in _ordered(network).items()}


def _name(place: Place) -> str:
    return f"{place[0]}.{place[1]}" if place[0] >= 0 else place[1]


def _ordered(network: Network) -> dict[Place, np.ndarray]:
    found = network.tensors
    return {place: found[place] for place in sorted(found, key=lambda place: (place[0] < 0, place[0]))}


def read(path: Any) -> dict[str, np.ndarray]:
    """Return the tensors of a file of weights, or of a model file."""
    if not os.path.exists(path):
        raise MissingFileError(f"expected a file of weights; received path={os.fspath(path)!r}, which does not exist")
    found = format_of(path)
    if not found.reads or found.weighs:
        return found.read_weights(path)
    network = found.read(path).network
    return state_dict(Network.of(network) if isinstance(network, Description) else network)


def set_weights(network: Network, values: Sequence[Any]) -> None:
    """Write arrays in the order of `state_dict`."""
    places = list(_ordered(network))
    given = list(values)
    if len(given) != len(places):
        raise ShapeError(f"expected {len(places)} arrays, as get_weights returns them; received {len(given)}")
    network.assign(dict(zip(places, given, strict=True)))


def assign(network: Network, state: Mapping[str, Any], names: Mapping[str, int] | None = None) -> None:
    """Write tensors of any program, all or none of them."""
    arrays = numbers(state)
    chosen = match(network, arrays, names)
    network.assign({place: oriented(name, place, arrays[name]) for place, name in chosen.items()})


def oriented(name: str, place: Place, values: np.ndarray) -> np.ndarray:
    """Return a tensor with the shape that ours has: PyTorch's matrices are (units, inputs)."""
    return values.T if place[1] == "kernel" and _role(name)[1] == "weight" else values


def match(
    network: Network, arrays: Mapping[str, np.ndarray], names: Mapping[str, int] | None = None
) -> dict[Place, str]:
    """Return the name of the tensor that goes to each place.

    Layers are told apart by the shapes of their tensors. Those of equal shapes are taken in the order of the numbers in
    their names, and refused where the names differ in more than a number: the order of use is not in a file.

    Raises
    ------
    ShapeError
        Tensors that do not go with the network's; the message lists what did not match on either side.
    """
    own = {_name(place): place for place in network.tensors}
    if set(arrays) == set(own):
        return {own[name]: name for name in arrays}
    groups, unknown = _groups(arrays)
    layers = _layers(network, any("shift" in parts for parts in groups.values()))
    chosen = _named(groups, layers, names or {})
    for shapes in dict.fromkeys(layers.values()):
        at = [layer for layer, known in layers.items() if known == shapes and layer not in chosen]
        fitting = [name for name, parts in groups.items() if _shapes(parts) == shapes and name not in chosen.values()]
        if len(at) == len(fitting):
            _require_numbered(fitting)
            chosen |= dict(zip(at, sorted(fitting, key=natural), strict=True))
    _require_all(layers, groups, chosen, unknown)
    return {(layer, part): found for layer, name in chosen.items() for part, (found, _) in groups[name].items()}


def numbers(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return tensors of any program as arrays."""
    return {name: _numbers(name, value) for name, value in state.items()}


def to_numpy(tensor: Any) -> np.ndarray:
    """Return the numbers of a tensor of PyTorch; those of 16 bits as float32."""
    tensor = tensor.detach().cpu()
    return np.array((tensor.float() if tensor.is_floating_point() and tensor.itemsize == 2 else tensor).numpy())


def _numbers(name: Any, value: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise ArgumentTypeError(f"expected names of tensors as text; received {name!r}")
    found = to_numpy(value) if hasattr(value, "detach") else np.asarray(value)
    if found.dtype.kind not in "fiu":
        raise DtypeError(f"expected {name!r} as numbers; received dtype {found.dtype}")
    return found


def _role(name: str) -> tuple[str, str]:
    """Return a name without its last part, and that."""
    prefix, _, role = name.replace("/", ".").rpartition(".")
    return prefix, role


def _groups(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Group], list[str]]:
    """Return the tensors of each layer of the other program, under our names, and the names that mean nothing to us."""
    found: dict[str, Group] = {}
    unknown = []
    for name, values in arrays.items():
        prefix, role = _role(name)
        if role in COUNTS:
            continue
        part = ROLES[role][0 if values.ndim == 2 else 1] if role in ROLES and values.ndim in (1, 2) else None
        if part is None or part in found.get(prefix, ()):
            unknown.append(name)
            continue
        found.setdefault(prefix, {})[part] = name, oriented(name, (0, part), values).shape
    for parts in found.values():
        if "bias" in parts and "kernel" not in parts:
            parts["beta"] = parts.pop("bias")
    return found, unknown


def _layers(network: Network, adapted: bool) -> dict[int, Shapes]:
    """Return the shapes of the tensors of each layer, with `adapted` also those that normalizations take from data."""
    found: dict[int, Group] = {}
    for (layer, name), view in _ordered(network).items():
        if layer >= 0 and (adapted or name not in OWN):
            found.setdefault(layer, {})[name] = "", view.shape
    return {layer: _shapes(parts) for layer, parts in found.items()}


def _shapes(parts: Group) -> Shapes:
    return tuple(sorted((name, shape) for name, (_, shape) in parts.items()))


def natural(name: str) -> list[Any]:
    """Return the key that sorts dense_2 before dense_10."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name) if part]


def _named(groups: Mapping[str, Group], layers: Mapping[int, Shapes], names: Mapping[str, int]) -> dict[int, str]:
    """Return the name chosen by the user for each layer."""
    chosen = {}
    for name, layer in names.items():
        known = name.replace("/", ".")
        if known not in groups:
            raise ArgumentValueError(f"expected names among {', '.join(map(repr, groups))}; received {name!r}"
                                     f"{checks.nearest(known, groups)}")  # fmt: skip
        if layer not in layers:
            raise ArgumentValueError(
                f"expected the index of a layer with parameters, {', '.join(map(str, layers))}; received "
                f"names[{name!r}]={layer!r}"
            )
        if _shapes(groups[known]) != layers[layer]:
            raise ShapeError(
                f"expected tensors of layer {layer}, {_told(layers[layer])}; received {name!r} with "
                f"{_told(_shapes(groups[known]))}"
            )
        chosen[layer] = known
    return chosen


def _require_numbered(names: Sequence[str]) -> None:
    """Refuse layers of equal shapes whose names do not tell their order."""
    if len({re.sub(r"_?\d+", "", name) for name in names}) > 1:
        given = ", ".join(f"{name!r}: ..." for name in names)
        raise ArgumentValueError(
            f"expected names that tell the order of layers of equal shapes; received {', '.join(map(repr, names))}: "
            f"say which layer each belongs to, names={{{given}}}"
        )


def _require_all(
    layers: Mapping[int, Shapes], groups: Mapping[str, Group], chosen: Mapping[int, str], unknown: Sequence[str]
) -> None:
    """Refuse anything that is left over, on either side."""
    lines = [
        f"  layer {layer}, {_told(shapes)}: nothing fits" for layer, shapes in layers.items() if layer not in chosen
    ]
    for name in sorted(set(groups) - set(chosen.values()), key=natural):
        lines.append(f"  {name!r} with {_told(_shapes(groups[name]))}: fits no layer that is left")
    lines += [f"  {name!r}: not a tensor that pynn has" for name in unknown]
    if lines:
        raise ShapeError("expected the tensors of the model, all of them; received others:\n" + "\n".join(lines))


def _told(shapes: Shapes) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes)
