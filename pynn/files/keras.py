"""Read models of Keras 3 without Keras: ``.keras`` files, and weights in ``.weights.h5``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data import Schema
from ..errors import FileFormatError, PynnError, UnsupportedError
from ..layers import Add
from ..network.network import Description
from .content import BROKEN, Content
from .keras_file import Store, group_names, open_weights, read_archive
from .keras_layers import CLASSES, Built
from .keras_training import training
from .keras_write import write

__all__ = ["read", "read_weights", "write"]


def read(path: Any, custom: Mapping[str, Any] | None = None) -> Content:
    """Read a ``.keras`` file: layers, numbers, loss, optimizer with its state, metrics.

    Raises
    ------
    FileFormatError
        The file is broken.
    UnsupportedError
        A layer or an argument that pynn does not compute; the message names the layer.
    """
    config, store, notes = read_archive(path)
    try:
        built = _layers(config, store)
        schema = Schema.from_dict(notes["schema"]) if notes.get("schema") else None
        dtype = "float64" if "float64" in built.dtypes else "float32"
        if built.inputs is None:
            raise UnsupportedError("expected a model with an Input, or one that was built; received neither")
        description = Description(tuple(built.layers), 0, dtype, built.inputs, built.tensors)
        chosen = training(config.get("compile_config"), built, store.groups.get("optimizer", []))
        if not chosen and notes.get("loss"):  # what pynn was trained for, where Keras would go on otherwise
            chosen = {"loss": notes["loss"], "optimizer": notes.get("optimizer")}
    except PynnError:
        raise
    except BROKEN as error:
        raise FileFormatError(f"expected a model of Keras; received {path!r} ({error})") from None
    return Content(description, "Keras", schema=schema, frozen=built.frozen, **chosen)


def _layers(config: Mapping[str, Any], store: Store) -> Built:
    """Make the layers of a Sequential or Functional model whose layers follow one another, but for sums."""
    kind, inner = config.get("class_name"), config["config"]
    if kind not in ("Sequential", "Functional"):
        raise UnsupportedError(
            f"expected a Sequential or Functional model of Keras; received {kind}, whose call is a program: make the "
            "model of pynn's layers, then load_weights of what model.save_weights('model.weights.h5') wrote"
        )
    layers = inner["layers"]
    built, reached = Built(), dict[str, int]()
    groups = group_names(layer["class_name"] for layer in layers if kind == "Functional" or not _is_input(layer))
    names = iter(groups)
    if kind == "Sequential" and not (layers and _is_input(layers[0])):
        shape = inner.get("build_input_shape") or config.get("build_config", {}).get("input_shape")
        CLASSES["InputLayer"](built, {"batch_shape": shape}, [])
    previous = None
    for layer in layers:
        name = str(layer["config"].get("name"))
        group = next(names) if kind == "Functional" or not _is_input(layer) else ""
        try:
            if kind == "Functional" and not _is_input(layer):
                _connect(built, layer, previous, reached)
            _make(built, layer, store.groups.get(group, []))
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}, in layer {name!r} ({layer['class_name']})") from None
        previous, reached[name] = name, len(built.layers)
    return built


def _is_input(layer: Mapping[str, Any]) -> bool:
    return bool(layer["class_name"] == "InputLayer")


def _make(built: Built, layer: Mapping[str, Any], tensors: list[np.ndarray]) -> None:
    cls, config = layer["class_name"], layer["config"]
    if layer.get("registered_name") not in (None, cls) or (cls not in CLASSES and cls != "Add"):
        raise UnsupportedError(f"expected layers among Add, {', '.join(CLASSES)}; received another")
    policy = config.get("dtype")
    name = policy["config"]["name"] if isinstance(policy, Mapping) else policy
    built.dtypes.add(str(name))
    if not built.flat and cls not in ("Flatten", "Reshape", "Rescaling", "Identity"):
        raise UnsupportedError("expected rows of one dimension, or a Flatten first; received rows of several")
    if cls != "Add":
        CLASSES[cls](built, config, tensors)


def _connect(built: Built, layer: Mapping[str, Any], previous: str | None, reached: Mapping[str, int]) -> None:
    """Require that a layer takes what the one before it gives; a sum takes an earlier one too."""
    nodes = layer["inbound_nodes"]
    arguments = nodes[0]["args"][0] if len(nodes) == 1 else []
    several = arguments if isinstance(arguments, list) else [arguments]
    sources = [node["config"]["keras_history"][0] for node in several]
    if layer["class_name"] != "Add":
        if sources != [previous]:
            raise UnsupportedError("expected layers that follow one another; received a branch")
        return
    others = [name for name in sources if name != previous]
    seen = list(reached)
    known = [name for name in others if name in reached]  # and whose values no later activation has changed
    known = [name for name in known if seen[-1] == name or reached[seen[seen.index(name) + 1]] != reached[name]]
    if len(sources) != 2 or len(others) != 1 or not known:
        raise UnsupportedError("expected the sum of the layer before and an earlier one; received another")
    built.add(Add(len(built.layers) - reached[others[0]]), layer["config"])


def read_weights(path: Any) -> dict[str, np.ndarray]:
    """Return the tensors of a ``.weights.h5`` file by names such as ``dense_1/kernel``."""
    found = {}
    for group, tensors in open_weights(path).groups.items():
        if not tensors or group.startswith("optimizer") or "seed_generator" in group:
            continue
        name = group if re.search(r"_\d+$", group) else f"{group}_0"
        for part, values in _parts(group, tensors).items():
            found[f"{name}/{part}"] = values
    return found


def _parts(group: str, tensors: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of a layer by our names, told apart by their number and shapes."""
    if len(tensors) == 3 and tensors[2].ndim == 0:
        built = Built(columns=tensors[0].size)
        CLASSES["Normalization"](built, {}, tensors)
        return {("scaling" if name == "scale" else name): values for (_, name), values in built.tensors.items()}
    names: dict[tuple[int, ...], list[str]] = {
        (2,): ["kernel"], (2, 1): ["kernel", "bias"], (1, 1): ["gamma", "beta"], (1,): ["gamma"],
        (1, 1, 1, 1): ["gamma", "beta", "moving_mean", "moving_variance"],
        (1, 1, 1): ["beta", "moving_mean", "moving_variance"],
    }  # fmt: skip
    shape = tuple(values.ndim for values in tensors)
    if shape not in names:
        shapes = ", ".join(str(values.shape) for values in tensors)
        raise UnsupportedError(f"expected tensors of a dense or normalizing layer; received {group} with {shapes}")
    return dict(zip(names[shape], tensors, strict=True))
