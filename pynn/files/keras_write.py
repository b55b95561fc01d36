"""Write models as ``.keras`` files that Keras 3 loads, without Keras."""

from __future__ import annotations

import datetime
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks, losses
from ..errors import FileError, UnsupportedError
from ..layers import Add, Layer
from ..training.learner import Learner
from .chain import Chain, chain
from .keras_file import NOTES, group_names
from .keras_training import LOSSES, RULES

__all__ = ["write"]

VERSION = "3.0.0"  # of the format that is written
Tensors = list[np.ndarray]
Entry = tuple[str, dict[str, Any], Tensors]  # class, config, tensors


def write(learner: Learner, path: Any) -> None:
    """Write a ``.keras`` file: layers, numbers, and where they mean the same loss, optimizer and its state.

    Raises
    ------
    UnsupportedError
        A layer that Keras has not; the message names it.
    FileError
        What the system says.
    """
    h5py = checks.package("h5py", "keras", "to write files of Keras")
    network = chain(learner.network, keep_link=True)
    entries = _entries(network)
    functional = any(cls == "Add" for cls, _, _ in entries)
    compiled, state = _training(learner, network)
    config = _functional(entries) if functional else _sequential(entries)
    config["compile_config"] = compiled
    listed = entries if functional else entries[1:]
    groups = dict(zip(group_names(cls for cls, _, _ in listed), (tensors for _, _, tensors in listed), strict=True))
    if state:
        groups["optimizer"] = state
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, tensors in groups.items():
            for index, values in enumerate(tensors):
                file.create_dataset(f"{name}/vars/{index}", data=values)
            file.require_group(f"{name}/vars")
    schema = learner.network.schema
    members = {
        "metadata.json": json.dumps({"keras_version": VERSION, "date_saved": _now()}).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": weights.getvalue(),
        NOTES: json.dumps({"schema": None if schema is None else schema.to_dict(), **_compiled(learner)}).encode(),
    }
    _save(checks.path("path", path), members)


def _now() -> str:
    return datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")


def _save(path: str, members: Mapping[str, bytes]) -> None:
    """Write an archive beside the file and rename it: an older file is replaced at once or stays."""
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or ".", delete=False) as file:
            try:
                with zipfile.ZipFile(file, "w") as archive:
                    for name, data in members.items():
                        archive.writestr(name, data)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o666 & ~_umask())
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise FileError(f"expected {path!r} to be written; received {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---- layers


def _entries(network: Chain) -> list[Entry]:
    """Return classes, configs and tensors of Keras, the input first; an activation without a name is a layer."""
    entries: list[Entry] = [("InputLayer", {"batch_shape": [None, network.inputs]}, [])]
    ends = {-1: 0}  # index of the entry that gives what each of our layers gives
    for index, layer in enumerate(network.layers):
        own = {name: np.asarray(values) for (at, name), values in network.tensors.items() if at == index}
        try:
            entries += _of_layer(layer, own)
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}, layer {index}: Keras has none that computes it") from None
        ends[index] = len(entries) - 1
        if isinstance(layer, Add):
            entries[-1][1]["from"] = ends[index - 1 - layer.layers]
    if (-1, "target_shift") in network.tensors:
        shift, spread = network.tensors[-1, "target_shift"], network.tensors[-1, "target_spread"]
        entries.append(("Rescaling", {"scale": spread.tolist(), "offset": shift.tolist()}, []))
    for index, (_, config, _) in enumerate(entries):
        config |= {"name": f"layer_{index}", "dtype": network.dtype}
    return entries


def _of_layer(layer: Any, own: Mapping[str, np.ndarray]) -> list[Entry]:
    if layer.kind not in _LAYERS:
        raise UnsupportedError(f"expected layers among {', '.join(_LAYERS)}; received {layer!r}")
    found = [_LAYERS[layer.kind](layer, own)]
    if layer.kind == "dense" and not _has_name(layer.activation):
        found.append(_activate(layer, own))
    return found


def _dense(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    config: dict[str, Any] = {"units": layer.units, "use_bias": layer.use_bias}
    config["activation"] = layer.activation.name if _has_name(layer.activation) else "linear"
    for key in ("kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint"):
        spec = getattr(layer, key)
        if spec is not None:
            cls = {"l1": "L1", "l2": "L2", "l1_l2": "L1L2"}.get(spec.name, type(spec).__name__)
            arguments = {k: v for k, v in spec.to_dict().items() if k != "name"}
            config[key] = {"module": f"keras.{key.split('_')[1]}s", "class_name": cls, "config": arguments}
    return "Dense", config, [own["kernel"], *([own["bias"]] if layer.use_bias else [])]


def _has_name(activation: Any) -> bool:
    """Whether Keras computes an activation by its name alone."""
    numbers = {"leaky_relu": ("negative_slope", 0.2), "elu": ("alpha", 1.0)}
    if activation.name == "gelu_tanh":
        raise UnsupportedError(f"expected an activation that Keras has a name for; received {activation!r}")
    key, value = numbers.get(activation.name, ("name", activation.name))
    return bool(getattr(activation, key) == value)


def _activate(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    activation = layer.activation
    if _has_name(activation):
        return "Activation", {"activation": activation.name}, []
    if activation.name == "leaky_relu":
        return "LeakyReLU", {"negative_slope": activation.negative_slope}, []
    return "ELU", {"alpha": activation.alpha}, []


def _batch_normalization(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    names = ["gamma"] * layer.scale + ["beta"] * layer.center + ["moving_mean", "moving_variance"]
    config = {"momentum": layer.momentum, "epsilon": layer.epsilon, "center": layer.center, "scale": layer.scale}
    return "BatchNormalization", config, [own[name] for name in names]


def _layer_normalization(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    names = ["gamma"] * layer.scale + ["beta"] * layer.center
    config = {"epsilon": layer.epsilon, "center": layer.center, "scale": layer.scale}
    return "LayerNormalization", config, [own[name] for name in names]


def _normalization(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    """Means and variances; a column of scale 0 gets an infinite variance, one that passes 0 and 1."""
    if layer.missing != "error" or layer.clip is not None:
        raise UnsupportedError("expected a Normalization without filling in or clipping; received one that does")
    if not own["rows"][0]:
        raise UnsupportedError("expected a Normalization that was adapted; received one that was not")
    passes = np.isnan(own["scale"])
    with np.errstate(divide="ignore"):
        variance = np.where(passes, 1.0, 1.0 / np.square(own["scale"]))
    return "Normalization", {"axis": -1}, [np.where(passes, 0.0, own["shift"]), variance, np.asarray(0, np.int32)]


def _add(layer: Any, own: Mapping[str, np.ndarray]) -> Entry:
    return "Add", {}, []


_LAYERS: dict[str, Any] = {
    "dense": _dense, "activation": _activate, "batch_normalization": _batch_normalization,
    "layer_normalization": _layer_normalization, "normalization": _normalization, "add": _add,
    "dropout": lambda layer, own: ("Dropout", {"rate": layer.rate}, []),
    "gaussian_noise": lambda layer, own: ("GaussianNoise", {"stddev": layer.stddev}, []),
}  # fmt: skip


def _object(cls: str, config: Mapping[str, Any], module: str = "keras.layers") -> dict[str, Any]:
    return {"module": module, "class_name": cls, "config": dict(config), "registered_name": None}


def _sequential(entries: list[Entry]) -> dict[str, Any]:
    shape = entries[0][1]["batch_shape"]
    inner = {"name": "sequential", "layers": [_object(cls, config) for cls, config, _ in entries]}
    return _object("Sequential", inner, "keras") | {"build_config": {"input_shape": shape}}


def _functional(entries: list[Entry]) -> dict[str, Any]:
    """Layers one after another, a sum also of what stands some layers earlier."""
    layers = []
    for index, (cls, config, _) in enumerate(entries):
        sources = [index - 1]
        arguments = dict(config)
        if cls == "Add":
            sources = [index - 1, arguments.pop("from")]
        tensors = [
            {"class_name": "__keras_tensor__",
             "config": {"shape": [None, None], "dtype": config["dtype"], "keras_history": [f"layer_{at}", 0, 0]}}
            for at in sources
        ]  # fmt: skip
        nodes = [{"args": [tensors if cls == "Add" else tensors[0]], "kwargs": {}}] if index else []
        layers.append(_object(cls, arguments) | {"name": config["name"], "inbound_nodes": nodes})
    ends = {"input_layers": [["layer_0", 0, 0]], "output_layers": [[f"layer_{len(entries) - 1}", 0, 0]]}
    return _object(
        "Functional", {"name": "functional", "trainable": True, "layers": layers, **ends}, "keras.src.models.functional"
    )


# ---- training


def _compiled(learner: Learner) -> dict[str, Any]:
    """Return loss and optimizer as pynn has them, which Keras may take otherwise."""
    loss, optimizer = learner.loss, learner.optimizer
    if loss is None or loss.name not in losses.table.rows or learner.network.target_scaling is not None:
        return {}
    return {"loss": loss.to_dict(), "optimizer": optimizer.to_dict()}


def _training(learner: Learner, network: Chain) -> tuple[dict[str, Any] | None, Tensors]:
    """Return Keras's compile_config and the tensors of its optimizer; None where something means another thing."""
    loss, optimizer = learner.loss, learner.optimizer
    if loss is None or network.tensors.get((-1, "target_shift")) is not None:
        return None, []
    chosen = _loss(loss, network.layers[-1])
    rule = RULES.get(optimizer.name)
    if chosen is None or rule is None or not getattr(optimizer, "early_epsilon", True) or optimizer.schedule:
        return None, []
    arguments = {key: getattr(optimizer, key) for key in rule.arguments} | (
        {"amsgrad": True} if optimizer.name == "amsgrad" else {}
    )
    arguments |= {"learning_rate": learner.learning_rate, "weight_decay": optimizer.weight_decay or None,
                  "global_clipnorm": optimizer.global_clipnorm}  # fmt: skip
    metrics = [metric.name for metric in learner.metrics if metric.name == "accuracy"]
    config = {"optimizer": _object(rule.cls, arguments, "keras.optimizers"), "loss": chosen, "metrics": metrics}
    return config, _state(learner, network)


def _loss(loss: Any, last: Layer) -> Any:
    link = getattr(getattr(last, "activation", None), "name", "linear")
    for name, (ours, needs, numbers) in LOSSES.items():
        if ours != loss.name or (needs is not None and link not in ("linear", needs)):
            continue
        arguments = {theirs: getattr(loss, mine) for theirs, mine in numbers.items()}
        if needs is not None:
            arguments["from_logits"] = link == "linear"
        cls = "".join(word.capitalize() for word in name.split("_"))
        cls = {"KlDivergence": "KLDivergence"}.get(cls, cls)
        if any(arguments.get(key) for key in ("label_smoothing",)) or name != "categorical_crossentropy":
            return _object(cls, arguments, "keras.losses")
    return None


def _state(learner: Learner, network: Chain) -> Tensors:
    """Return steps, learning rate and state vectors in Keras's order; nothing before the first step."""
    rule, optimizer = RULES[learner.optimizer.name], learner.optimizer
    slots = learner.slots()
    if not learner.steps or len(network.layers) != len(learner.network.specs):
        return []
    rate = learner.learning_rate
    order = [place for place in sorted(slots[0], key=lambda p: p[0]) if place[0] not in learner.network.frozen]
    found: list[Any] = [np.int64(learner.steps), np.asarray(rate, network.dtype)]
    for block in rule.used(getattr(optimizer, "momentum", 1.0)):
        for place in order:
            found += [_scaled(slots[slot][place], rule.factors.get(slot), rate) for slot in block]
    return found


def _scaled(values: np.ndarray, sign: int | None, rate: float) -> np.ndarray:
    return values if sign is None else values * (sign * rate)
