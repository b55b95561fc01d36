"""Layers of Keras 3 as ours: one function for each class of Keras, from its config and its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import activations, constraints, initializers, regularizers
from .. import layers as layers_
from ..errors import PynnError, UnsupportedError
from ..layers import Layer
from ..network.network import Place

__all__ = ["CLASSES", "Built", "plain_name", "require", "snake"]

Config = Mapping[str, Any]
LEAST_DEVIATION = 1e-7  # what Keras divides the cells of a constant column by


@dataclass
class Built:
    """Layers made so far, their tensors, trainable parameters in Keras's order, and columns."""

    layers: list[Layer] = field(default_factory=list)
    tensors: dict[Place, np.ndarray] = field(default_factory=dict)
    order: list[Place] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)
    inputs: int | None = None
    columns: int | None = None
    flat: bool = True  # whether rows have one dimension by now
    dtypes: set[str] = field(default_factory=set)

    def add(self, layer: Layer, config: Config, tensors: Mapping[str, Any] | None = None) -> None:
        """Take a layer with its tensors by our names."""
        index = len(self.layers)
        self.layers.append(layer)
        if config.get("trainable") is False:
            self.frozen.append(index)
        for name, values in (tensors or {}).items():
            self.tensors[index, name] = np.asarray(values)
            if config.get("trainable") is not False and name in ("kernel", "bias", "gamma", "beta"):
                self.order.append((index, name))


def require(holds: bool, rule: str, received: Any) -> None:
    """Refuse what pynn does not compute; the caller names the layer."""
    if not holds:
        raise UnsupportedError(f"expected {rule}; received {received}")


def plain_name(value: Any) -> tuple[str, Config]:
    """Return the name in small letters and the arguments of what Keras writes as a name or as an object."""
    if isinstance(value, Mapping):
        arguments = value.get("config")
        name = value.get("class_name")
        if name == "function":
            return str(arguments), {}
        return snake(str(name)), arguments if isinstance(arguments, Mapping) else {}
    return str(value), {}


def snake(name: str) -> str:
    """``GlorotUniform`` -> ``glorot_uniform``."""
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


_ACTIVATIONS: dict[str, Any] = {name: name for name in (
    "linear", "relu", "relu6", "elu", "selu", "gelu", "silu", "mish", "softplus", "softsign", "sigmoid", "hard_sigmoid",
    "log_sigmoid", "tanh", "exponential", "softmax",
)} | {"swish": "silu", "celu": "elu", "leaky_relu": {"name": "leaky_relu", "negative_slope": 0.2}}  # fmt: skip


def _activation(value: Any) -> Any:
    name, _ = plain_name(value)
    name = "linear" if value is None else name
    require(name in _ACTIVATIONS, f"an activation among {', '.join(_ACTIVATIONS)}", f"activation={name!r}")
    return activations.get(_ACTIVATIONS[name])


def _apply(built: Built, config: Config, activation: Any) -> None:
    """An activation becomes that of the dense layer before it, or a layer of its own."""
    last: Any = built.layers[-1] if built.layers else None
    if isinstance(last, layers_.Dense) and last.activation.name == "linear":
        built.layers[-1] = replace(last, activation=activation)
    else:
        built.add(layers_.Activation(activation), config)


def _dense(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    require(config.get("lora_rank") is None and not config.get("quantization_config"), "plain weights", "others")
    use_bias = bool(config.get("use_bias", True))
    _count(tensors, 1 + use_bias)
    given: dict[str, Any] = {key: _choice(config.get(key), regularizers if key.endswith("regularizer") else constraints)
             for key in ("kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint")}  # fmt: skip
    given |= {"kernel_initializer": _initializer(config.get("kernel_initializer")),
              "bias_initializer": _initializer(config.get("bias_initializer")) or "zeros"}  # fmt: skip
    layer = layers_.Dense(config["units"], _activation(config.get("activation")), use_bias, **given)
    built.columns = layer.units
    built.add(layer, config, dict(zip(("kernel", "bias"), tensors, strict=False)))


def _choice(value: Any, module: Any) -> Any:
    if value is None:
        return None
    name, arguments = plain_name(value)
    name = {"l1_l2": "l1_l2", "l1l2": "l1_l2"}.get(name, name)
    known = {k: v for k, v in arguments.items() if k not in ("axis", "name")}
    require(arguments.get("axis", 0) in (0, None), "axis=0", arguments.get("axis"))
    require(module.table.knows(name), f"one of {', '.join(module.table.rows)}", name)
    return module.table.get({"name": name, **known})


def _initializer(value: Any) -> Any:
    """The initializer, where pynn has it: it matters only to those who build the model again."""
    name, arguments = plain_name(value)
    if not initializers.table.knows(name):
        return None
    row = initializers.table.rows[initializers.table.canonical(name)]
    fields = {rule["name"] for rule in row["fields"]}
    try:
        return initializers.table.get({"name": name, **{k: v for k, v in arguments.items() if k in fields}})
    except PynnError:
        return None


def _count(tensors: list[np.ndarray], expected: int) -> None:
    require(len(tensors) == expected, f"{expected} tensors", f"{len(tensors)}")


def _batch_normalization(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    _last_axis(config)
    require(not config.get("renorm"), "renorm=False", "True")
    center, scale = bool(config.get("center", True)), bool(config.get("scale", True))
    names = ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]
    _count(tensors, len(names))
    layer = layers_.BatchNormalization(config.get("momentum", 0.99), config.get("epsilon", 1e-3), center, scale)
    built.add(layer, config, dict(zip(names, tensors, strict=True)))


def _layer_normalization(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    _last_axis(config)
    require(not config.get("rms_scaling"), "rms_scaling=False", "True")
    center, scale = bool(config.get("center", True)), bool(config.get("scale", True))
    names = ["gamma"] * scale + ["beta"] * center
    _count(tensors, len(names))
    layer = layers_.LayerNormalization(config.get("epsilon", 1e-3), center, scale)
    built.add(layer, config, dict(zip(names, tensors, strict=True)))


def _last_axis(config: Config) -> None:
    axis = config.get("axis", -1)
    require(axis in (-1, 1, [-1], [1], (-1,), (1,)), "axis=-1", f"axis={axis}")
    for key in ("beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"):
        require(config.get(key) is None, f"no {key}", config.get(key))


def _normalization(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    axis = config.get("axis", -1)
    require(axis in (-1, 1, None, [-1], [1], (-1,), (1,)) and not config.get("invert"), "axis=-1, invert=False", axis)
    mean, variance = (
        (config["mean"], config["variance"]) if config.get("mean") is not None else tensors[:2]
    )  # arguments, or adapted
    spread = np.maximum(np.sqrt(np.asarray(variance, np.float64)), LEAST_DEVIATION)
    _scale(built, config, np.asarray(mean, np.float64), 1 / spread)


def _rescaling(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    scale, offset = np.asarray(config["scale"], np.float64), np.asarray(config.get("offset", 0.0), np.float64)
    require(bool(np.all(scale != 0)), "scales other than 0", scale)
    _scale(built, config, -offset / scale, scale)


def _scale(built: Built, config: Config, shift: np.ndarray, scale: np.ndarray) -> None:
    require(built.columns is not None, "a known number of columns", None)
    shift, scale = (np.broadcast_to(values.reshape(-1), (int(built.columns or 0),)) for values in (shift, scale))
    require(bool(np.isfinite(shift).all() and np.isfinite(scale).all()), "finite means and variances", "others")
    tensors = {"shift": shift, "scale": scale, "fill": shift, "rows": np.ones(1)}
    built.add(layers_.Normalization(), config, tensors)


def _input(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    require(isinstance(shape, (list, tuple)) and len(shape) >= 2, "an input with a shape", shape)
    sizes = shape[1:]  # type: ignore[index]
    require(all(isinstance(n, int) and n > 0 for n in sizes), "inputs of known sizes", shape)
    require(not config.get("sparse"), "dense inputs", "sparse=True")
    built.inputs = built.columns = math.prod(sizes)
    built.flat = len(sizes) == 1


def _flatten(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    built.flat = True


def _reshape(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    shape = config.get("target_shape")
    require(isinstance(shape, (list, tuple)) and len(shape) == 1, "target_shape of one dimension", shape)
    built.flat = True


def _relu(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    most, slope = config.get("max_value"), float(config.get("negative_slope") or 0)
    require(not config.get("threshold"), "threshold=0", f"threshold={config.get('threshold')}")
    require(most is None or (most == 6 and not slope), "max_value None, or 6 alone", f"max_value={most}")
    leaky = {"name": "leaky_relu", "negative_slope": slope}
    _apply(built, config, activations.get("relu6" if most else leaky if slope else "relu"))


def _leaky_relu(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    slope = config.get("negative_slope", config.get("alpha", 0.3))
    _apply(built, config, activations.get({"name": "leaky_relu", "negative_slope": float(slope)}))


def _elu(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    _apply(built, config, activations.get({"name": "elu", "alpha": float(config.get("alpha", 1.0))}))


def _softmax(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    require(config.get("axis", -1) in (-1, 1), "axis=-1", f"axis={config.get('axis')}")
    _apply(built, config, activations.get("softmax"))


def _activate(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    _apply(built, config, _activation(config.get("activation")))


def _dropout(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    require(config.get("noise_shape") is None, "noise_shape=None", config.get("noise_shape"))
    built.add(layers_.Dropout(config["rate"]), config)


def _noise(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    built.add(layers_.GaussianNoise(config["stddev"]), config)


def _nothing(built: Built, config: Config, tensors: list[np.ndarray]) -> None:
    """What changes no number."""


CLASSES: dict[str, Callable[[Built, Config, list[np.ndarray]], None]] = {
    "InputLayer": _input, "Dense": _dense, "Activation": _activate, "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization, "Normalization": _normalization, "Rescaling": _rescaling,
    "Dropout": _dropout, "GaussianNoise": _noise, "Flatten": _flatten, "Reshape": _reshape, "ReLU": _relu,
    "LeakyReLU": _leaky_relu, "ELU": _elu, "Softmax": _softmax, "Identity": _nothing,
}  # fmt: skip
