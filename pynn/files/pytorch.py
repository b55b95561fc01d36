"""Make networks of PyTorch's modules and modules of networks; take the state of its optimizers.

PyTorch itself is imported only to make modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import activations, checks, optimizers
from .. import layers as layers_
from ..errors import ArgumentValueError, FileFormatError, ShapeError, UnsupportedError
from ..layers import Layer
from ..network.network import Description, Network, Place
from ..training.learner import Learner
from . import pytorch_file, weights
from .chain import chain
from .content import Slots
from .pytorch_file import read_weights

__all__ = ["describe", "module_of", "optimizer_of", "read_weights", "resume", "slots_of", "write"]


@dataclass
class _Built:
    """Layers made so far, their tensors, and the parameters in PyTorch's order."""

    layers: list[Layer] = field(default_factory=list)
    tensors: dict[Place, np.ndarray] = field(default_factory=dict)
    order: list[Place] = field(default_factory=list)
    inputs: int | None = None
    width: int | None = None  # columns that the next layer gets, where it is known

    def add(self, layer: Layer, module: Any = None, names: Mapping[str, str] | None = None) -> None:
        for theirs, ours in (names or {}).items():
            tensor = getattr(module, theirs, None)
            if tensor is None:
                continue
            place = len(self.layers), ours
            values = weights.to_numpy(tensor)
            self.tensors[place] = values.T if ours == "kernel" else values
            if not ours.startswith("moving"):
                self.order.append(place)
        self.layers.append(layer)


def describe(module: Any, seed: int = 0) -> tuple[Description, list[Place]]:
    """Describe a module, and list its parameters in the order of ``module.parameters()``.

    Raises
    ------
    UnsupportedError
        A module that is no chain of layers that pynn computes; the message names the module at fault.
    """
    built = _Built()
    _walk(built, module, "module")
    if built.inputs is None:
        raise UnsupportedError(f"expected a module with at least one nn.Linear; received {type(module).__name__}")
    kinds = {built.tensors[place].dtype for place in built.order}
    dtype = "float64" if np.dtype(np.float64) in kinds else "float32"
    return Description(tuple(built.layers), seed, dtype, built.inputs, built.tensors), built.order


def _walk(built: _Built, module: Any, name: str) -> None:
    kind = type(module)
    ours = kind.__module__ == f"{__package__}.torch_modules"
    if not ours and not kind.__module__.startswith("torch.nn.modules."):
        raise UnsupportedError(
            f"expected nn.Sequential of PyTorch's own layers; received {kind.__name__} as {name}, whose forward is a "
            "program: make the model of pynn's layers, then pynn.from_torch(module.state_dict(), like=model)"
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise UnsupportedError(f"expected modules without hooks; received {kind.__name__} with some as {name}")
    if kind.__name__ in ("Sequential", "Residual"):
        first = len(built.layers)
        for key, inner in module._modules.items():
            _walk(built, inner, f"{name}[{key}]")
        if ours:
            built.add(layers_.Add(len(built.layers) - first))
        return
    make = (_OURS if ours else _MODULES).get(kind.__name__)
    if make is None:
        known = ", ".join(_MODULES)
        raise UnsupportedError(f"expected layers among {known}; received nn.{kind.__name__} as {name}")
    try:
        make(built, module)
    except UnsupportedError as error:
        raise UnsupportedError(f"{error}, nn.{kind.__name__} as {name}") from None


def _require(holds: bool, rule: str, received: Any) -> None:
    if not holds:
        raise UnsupportedError(f"expected {rule}; received {received}")


def _linear(built: _Built, module: Any) -> None:
    _require(built.width in (None, module.in_features), f"{built.width} inputs", f"in_features={module.in_features}")
    built.inputs = built.inputs or module.in_features
    built.width = module.out_features
    dense = layers_.Dense(module.out_features, use_bias=module.bias is not None)
    built.add(dense, module, {"weight": "kernel", "bias": "bias"})


def _activation(make: Callable[[Any], Any]) -> Callable[[_Built, Any], None]:
    """What an activation does: it becomes that of the dense layer before it, or a layer of its own."""

    def add(built: _Built, module: Any) -> None:
        chosen = make(module)
        last: Any = built.layers[-1] if built.layers else None
        if isinstance(last, layers_.Dense) and last.activation.name == "linear":
            built.layers[-1] = replace(last, activation=chosen)
        else:
            built.add(layers_.Activation(chosen))

    return add


def _named(name: str, **numbers: str) -> Callable[[_Built, Any], None]:
    """An activation of this name, its numbers from attributes of the module."""
    return _activation(
        lambda module: activations.get({"name": name, **{k: getattr(module, v) for k, v in numbers.items()}})
    )


def _gelu(module: Any) -> Any:
    return activations.get("gelu_tanh" if module.approximate == "tanh" else "gelu")


def _softplus(module: Any) -> Any:
    _require(module.beta == 1, "beta=1", f"beta={module.beta}")
    _require(module.threshold >= 20, "threshold >= 20", f"threshold={module.threshold}")
    return activations.get("softplus")


def _softmax(module: Any) -> Any:
    _require(module.dim in (1, -1), "dim=1 or -1", f"dim={module.dim}")
    return activations.get("softmax")


def _celu(module: Any) -> Any:
    _require(module.alpha == 1, "alpha=1", f"alpha={module.alpha}")
    return activations.get("elu")


def _log_softmax(module: Any) -> Any:
    raise UnsupportedError(
        "expected logits at the end, since softmax_cross_entropy is LogSoftmax with NLLLoss: leave it out; received it"
    )


def _dropout(built: _Built, module: Any) -> None:
    built.add(layers_.Dropout(module.p))


def _nothing(built: _Built, module: Any) -> None:
    """Rows are flat already."""
    start = getattr(module, "start_dim", 1)
    _require(start == 1, "start_dim=1", f"start_dim={start}")


_NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _batch_norm(built: _Built, module: Any) -> None:
    _require(module.track_running_stats, "track_running_stats=True", "False")
    _require(module.momentum is not None, "momentum as a number", "momentum=None")
    spec = layers_.BatchNormalization(1 - module.momentum, module.eps, module.affine, module.affine)
    _columns(built, module.num_features)
    built.add(spec, module, _NORMALIZATION)


def _layer_norm(built: _Built, module: Any) -> None:
    _require(len(module.normalized_shape) == 1, "one dimension", f"normalized_shape={module.normalized_shape}")
    spec = layers_.LayerNormalization(module.eps, module.bias is not None, module.weight is not None)
    _columns(built, module.normalized_shape[0])
    built.add(spec, module, _NORMALIZATION)


def _columns(built: _Built, columns: int) -> None:
    _require(built.width in (None, columns), f"{built.width} columns", columns)
    built.inputs, built.width = built.inputs or columns, columns


_MODULES: dict[str, Callable[[_Built, Any], None]] = {
    "Linear": _linear, "BatchNorm1d": _batch_norm, "LayerNorm": _layer_norm, "Dropout": _dropout,
    "Identity": _nothing, "Flatten": _nothing,
    "ReLU": _named("relu"), "ReLU6": _named("relu6"),
    "LeakyReLU": _named("leaky_relu", negative_slope="negative_slope"),
    "ELU": _named("elu", alpha="alpha"), "CELU": _activation(_celu), "SELU": _named("selu"),
    "GELU": _activation(_gelu), "SiLU": _named("silu"), "Mish": _named("mish"), "Softplus": _activation(_softplus),
    "LogSigmoid": _named("log_sigmoid"), "Softsign": _named("softsign"), "Sigmoid": _named("sigmoid"),
    "Hardsigmoid": _named("hard_sigmoid"), "Tanh": _named("tanh"), "Softmax": _activation(_softmax),
    "LogSoftmax": _activation(_log_softmax),
}  # fmt: skip


def _scale(built: _Built, module: Any) -> None:
    """A `Normalization` as `module_of` writes it."""
    numbers = {name: weights.to_numpy(getattr(module, name)) for name in ("shift", "scale", "fill")}
    _columns(built, len(numbers["shift"]))
    columns = (
        None if np.isfinite(numbers["scale"]).all() else tuple(np.flatnonzero(~np.isnan(numbers["scale"])).tolist())
    )
    spec = layers_.Normalization(missing=module.missing, clip=module.clip, columns=columns)
    built.tensors |= {(len(built.layers), name): values for name, values in (numbers | {"rows": np.ones(1)}).items()}
    built.add(spec)


_OURS: dict[str, Callable[[_Built, Any], None]] = {
    "Scale": _scale, "Exponential": _named("exponential"),
    "GaussianNoise": lambda built, module: built.add(layers_.GaussianNoise(module.stddev)),
}  # fmt: skip


# ---- optimizers


@dataclass(frozen=True)
class _Rule:
    """An optimizer of PyTorch: what its groups are known by, ours, arguments, state vectors, what has to be off."""

    known_by: str
    name: str
    arguments: Mapping[str, str]
    slots: tuple[str, ...]
    off: tuple[str, ...] = ()


_RULES = (
    _Rule("momentum_decay", "nadam", {"lr": "learning_rate", "eps": "epsilon", "momentum_decay": "momentum_decay"},
          ("exp_avg", "exp_avg_sq")),
    _Rule("amsgrad", "adam", {"lr": "learning_rate", "eps": "epsilon"}, ("exp_avg", "exp_avg_sq")),
    _Rule("dampening", "sgd", {"lr": "learning_rate", "momentum": "momentum", "nesterov": "nesterov"},
          ("momentum_buffer",), ("dampening",)),
    _Rule("centered", "rmsprop", {"lr": "learning_rate", "alpha": "rho", "momentum": "momentum", "eps": "epsilon"},
          ("square_avg", "momentum_buffer"), ("centered",)),
    _Rule("initial_accumulator_value", "adagrad",
          {"lr": "learning_rate", "eps": "epsilon", "initial_accumulator_value": "initial_accumulator_value"},
          ("sum",), ("lr_decay",)),
)  # fmt: skip


def _rule(state: Mapping[str, Any]) -> tuple[_Rule, dict[str, Any]]:
    """Return the rule of an optimizer's state dict, and the arguments that all its groups share."""
    groups = [{k: v for k, v in group.items() if k != "params"} for group in state.get("param_groups") or ()]
    rule = next((rule for rule in _RULES if groups and rule.known_by in groups[0]), None)
    if rule is None:
        raise UnsupportedError("expected the state dict of torch.optim.Adam, AdamW, SGD, RMSprop or Adagrad; received "
                               f"one with {', '.join(map(str, groups[0] if groups else state))}")  # fmt: skip
    if rule.name == "adam" and groups[0]["amsgrad"]:
        rule = replace(rule, name="amsgrad", slots=(*rule.slots, "max_exp_avg_sq"))
    if any(group != groups[0] for group in groups):
        raise UnsupportedError("expected the same arguments in all of an optimizer's groups; received several")
    for name in (*rule.off, "maximize"):
        _require(not groups[0].get(name), f"an optimizer without {name}", f"{name}={groups[0].get(name)}")
    return rule, groups[0]


def optimizer_of(state: Mapping[str, Any]) -> Any:
    """Return the optimizer of pynn that continues one of PyTorch, from its state dict."""
    rule, group = _rule(state)
    values = {ours: _plain(group[theirs]) for theirs, ours in rule.arguments.items()}
    name, decay = rule.name, _plain(group.get("weight_decay") or 0.0)
    if "betas" in group:
        values["beta_1"], values["beta_2"] = map(_plain, group["betas"])
    decoupled = bool(group.get("decoupled_weight_decay"))
    name = "adamw" if decoupled and name == "adam" else name
    if decay and not decoupled:
        raise UnsupportedError(
            f"expected weight_decay=0, or AdamW; received weight_decay={decay} of {rule.name}, which PyTorch adds to "
            f"the gradient: in pynn that is kernel_regularizer=pynn.regularizers.L2({decay / 2}) in each layer"
        )
    return optimizers.get({"name": name, **values, "weight_decay": decay})


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def slots_of(
    state: Mapping[str, Any], order: list[Place], shapes: Mapping[Place, tuple[int, ...]]
) -> tuple[int, Slots]:
    """Return the steps applied and the state vectors of an optimizer's state dict.

    Parameters
    ----------
    state : mapping
    order : list of (layer, name)
        The parameters as the optimizer got them.
    shapes : mapping from (layer, name) to shape
    """
    rule, _ = _rule(state)
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    if len(numbers) != len(order):
        raise ShapeError(f"expected an optimizer of {len(order)} parameters; received one of {len(numbers)}")
    kept = state.get("state") or {}
    if not kept:
        return 0, ()
    if set(kept) != set(numbers):
        raise UnsupportedError("expected the state of all parameters or of none; received that of some")
    found: list[dict[Place, np.ndarray]] = [{} for _ in rule.slots]
    steps = set()
    for number, place in zip(numbers, order, strict=True):
        entry = kept[number]
        steps.add(int(_plain(entry.get("step", 1))))
        for slot, name in zip(found, rule.slots, strict=True):
            if entry.get(name) is None:  # without momentum
                continue
            values = np.asarray(weights.to_numpy(entry[name]) if hasattr(entry[name], "detach") else entry[name])
            slot[place] = values.T if place[1] == "kernel" else values
            if slot[place].shape != shapes[place]:
                raise ShapeError(f"expected {name} of {place[1]} of layer {place[0]} with shape {shapes[place]}; "
                                 f"received {slot[place].shape}")  # fmt: skip
    if len(steps) > 1:
        raise ArgumentValueError(f"expected the same number of steps for all parameters; received {sorted(steps)}")
    return steps.pop(), found


def resume(learner: Learner, path: Any, names: Mapping[str, int] | None = None) -> None:
    """Take the weights and the optimizer of a checkpoint of PyTorch."""
    state, optimizer = pytorch_file.split(pytorch_file.read(path), path)
    if optimizer is None:
        raise FileFormatError(f"expected a checkpoint with the state of an optimizer; received {path!r} without one")
    take(learner, state, optimizer, names)


def take(learner: Learner, state: Mapping[str, Any], optimizer: Any, names: Mapping[str, int] | None) -> None:
    """Take tensors by name, and an optimizer's state dict if it is not None: all of it, or nothing."""
    network = learner.network
    if optimizer is not None:
        learner.require_compiled()
        chosen = optimizer_of(optimizer)
        places = {name: place for place, name in weights.match(network, weights.numbers(state), names).items()}
        order = [places[name] for name in state if name in places and not places[name][1].startswith("moving")]
        steps, slots = slots_of(optimizer, order, {place: view.shape for place, view in network.tensors.items()})
    weights.assign(network, state, names)
    if optimizer is not None:
        learner.set_optimizer(chosen)
        learner.take_slots(steps, slots)


# ---- modules


def module_of(network: Network, link: bool) -> Any:
    """Return the module of PyTorch that computes what a network does."""
    checks.package("torch", "torch", "to make its modules")
    from . import torch_modules

    return torch_modules.module_of(chain(network), link)


def write(learner: Learner, path: Any) -> None:
    """Write the state dict of a network's module with ``torch.save``."""
    torch = checks.package("torch", "torch", "to write its files")
    torch.save(module_of(learner.network, False).state_dict(), path)
