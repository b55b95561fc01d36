"""The network of an estimator: built from its arguments, and written as bytes for pickle."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import losses, optimizers, regularizers
from ..errors import ArgumentValueError
from ..layers import Dense, Dropout
from ..lbfgs import LBFGS
from ..model import Sequential
from ..report.finding import Finding, Report
from ..report.history import History

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}  # scikit-learn's: pynn's
FTOL = 2.220446049250313e-09  # of scipy's L-BFGS-B, which scikit-learn leaves as it is


@dataclass(frozen=True)
class Objective:
    """What a network is trained for.

    Attributes
    ----------
    loss : str or loss
        pynn's loss.
    outputs : int
        Units of the last layer.
    scale : float
        scikit-learn's gradient as a multiple of the one of pynn's loss.
    share : float
        scikit-learn's reported loss, without the penalty, as a multiple of the loss with `scale`.
    """

    loss: Any
    outputs: int
    scale: float = 1.0
    share: float = 1.0

    @property
    def link(self) -> str:
        """The activation that turns logits into predictions."""
        return str(losses.get(self.loss).row["link"])

    @property
    def takes_labels(self) -> bool:
        """Whether targets are integer labels and not a column for each output."""
        return bool(losses.get(self.loss).row["labels"]) and self.outputs > 1


def is_lbfgs(solver: Any) -> bool:
    """Whether all rows are one batch, and scipy chooses the points."""
    return isinstance(solver, LBFGS) or (isinstance(solver, str) and solver == "lbfgs")


def optimizer(estimator: Any) -> Any:
    """The optimizer that `solver` and the arguments beside it describe."""
    e = estimator
    if not isinstance(e.solver, str):
        return e.solver
    if e.solver == "lbfgs":
        return LBFGS(
            max_iter=int(e.max_iter), max_eval=int(e.max_fun), tolerance_grad=float(e.tol), tolerance_change=FTOL
        )
    rate = float(e.learning_rate_init)
    if e.solver == "adam":
        return optimizers.Adam(learning_rate=rate, beta_1=e.beta_1, beta_2=e.beta_2, epsilon=e.epsilon)
    if e.solver == "sgd":
        momentum = min(float(e.momentum), float(np.nextafter(1, 0)))  # 1 is allowed in scikit-learn
        return optimizers.SGD(learning_rate=rate, momentum=momentum, nesterov=bool(e.nesterovs_momentum))
    return type(optimizers.get(e.solver))(learning_rate=rate)


def build(
    estimator: Any, inputs: int, objective: Objective, l2: float, start: Any, seed: int, dtype: str
) -> Sequential:
    """A compiled network.

    Parameters
    ----------
    l2 : float
        Strength of the penalty on the kernels.
    start : (list of kernels, list of biases), optional
        Initial parameters. None: those of the activation's initializer.
    """
    sizes = hidden_sizes(estimator)
    activation = ACTIVATIONS[estimator.activation] if draws(estimator) else estimator.activation
    penalty = regularizers.L2(l2=l2) if l2 > 0 else None
    layers: list[Any] = []
    for units, rate in zip(sizes, dropout_rates(estimator, len(sizes)), strict=True):
        layers.append(Dense(units, activation=activation, kernel_regularizer=penalty))
        layers += [Dropout(rate)] if rate else []
    layers.append(Dense(objective.outputs, kernel_regularizer=penalty))
    network = Sequential(layers, seed=seed, dtype=dtype)
    network.compile(objective.loss, optimizer(estimator))
    network.build(inputs)
    if start is not None:
        fill(network, *start)
    return network


def draws(estimator: Any) -> bool:
    """Whether the initial parameters are scikit-learn's: those of its activations."""
    return isinstance(estimator.activation, str) and estimator.activation in ACTIVATIONS


def initial(
    estimator: Any, inputs: int, outputs: int, random: np.random.RandomState
) -> tuple[tuple[list[Any], list[Any]] | None, int]:
    """Initial parameters, None for those of pynn's initializers, and the network's seed, drawn where it is used."""
    start, sizes = None, hidden_sizes(estimator)
    if draws(estimator):
        start = glorot(random, [inputs, *sizes, outputs], 2.0 if estimator.activation == "logistic" else 6.0)
    random_layers = start is None or any(dropout_rates(estimator, len(sizes)))
    return start, int(random.randint(2**31)) if random_layers else 0


def hidden_sizes(estimator: Any) -> list[int]:
    """`hidden_layer_sizes` as a list of units."""
    sizes = estimator.hidden_layer_sizes
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def dropout_rates(estimator: Any, layers: int) -> list[float]:
    """`dropout` as one rate for each hidden layer."""
    rates = estimator.dropout
    rates = [float(rate) for rate in rates] if hasattr(rates, "__iter__") else [float(rates)] * layers
    if len(rates) != layers:
        raise ArgumentValueError(f"expected dropout with {layers} rates, one for each hidden layer; received {rates}")
    return rates


def glorot(random: np.random.RandomState, sizes: list[int], factor: float) -> tuple[list[Any], list[Any]]:
    """Kernels and biases, both uniform within +-sqrt(factor / (inputs + units)), drawn layer by layer."""
    kernels, biases = [], []
    for inputs, units in itertools.pairwise(sizes):
        bound = np.sqrt(factor / (inputs + units))
        kernels.append(random.uniform(-bound, bound, (inputs, units)))
        biases.append(random.uniform(-bound, bound, units))
    return kernels, biases


def dense_layers(network: Sequential) -> list[Any]:
    """Its layers with parameters, first to last."""
    return [layer for layer in network.layers if isinstance(layer.spec, Dense)]


def fill(network: Sequential, kernels: Any, biases: Any) -> None:
    """Write kernels and biases; ShapeError where they do not fit."""
    layers = dense_layers(network)
    for name, values in (("coefs_", kernels), ("intercepts_", biases)):
        if len(values) != len(layers):
            raise ArgumentValueError(f"expected {name} with {len(layers)} arrays; received {len(values)}")
    for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
        layer.kernel, layer.bias = kernel, bias


def with_state_of(network: Sequential, old: Sequential) -> Sequential:
    """`network`, with another penalty say, where `old` stands: its parameters, and its optimizer with its state."""
    kept, config = old.__getstate__(), network.to_dict()
    network.__setstate__(kept | {"config": config | {"optimizer": kept["config"]["optimizer"]}})
    return network


# ---- bytes

_DTYPES = {"float32": "F32", "float64": "F64"}
_LEFT_OUT = ("metrics", "history", "schema", "custom")  # objects; the history is written as plain values


def to_bytes(network: Sequential) -> bytes:
    """The network and its optimizer's state as a safetensors file: numbers and JSON, no code."""
    state = network.__getstate__()
    arrays, plain = {}, {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            arrays |= {f"{name}.{i}": part for i, part in enumerate(value)}
        elif name not in _LEFT_OUT:
            plain[name] = value
    plain["history"] = network.history and network.history.to_dict()
    header: dict[str, Any] = {"__metadata__": {"pynn.sklearn": json.dumps(plain, default=_plain)}}
    at = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": [array.size],
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def from_bytes(data: bytes, custom: dict[str, Any]) -> Sequential:
    """The network that `to_bytes` wrote; `custom` has its functions by name."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    state: dict[str, Any] = json.loads(header.pop("__metadata__")["pynn.sklearn"])
    history = state.pop("history")
    for name, about in header.items():
        first, last = (start + offset for offset in about["data_offsets"])
        dtype = np.dtype("<f4" if about["dtype"] == "F32" else "<f8")
        array = np.frombuffer(data[first:last], dtype).astype(dtype.newbyteorder("="))
        head, _, index = name.partition(".")
        if index:
            state.setdefault(head, []).append(array)
        else:
            state[head] = array
    network = Sequential.__new__(Sequential)
    network.__setstate__({**state, "metrics": [], "schema": None, "custom": custom, "history": _history(history)})
    return network


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)


def _history(values: dict[str, Any] | None) -> History | None:
    if values is None:
        return None
    report = values["report"]
    findings = [Finding.from_dict(finding) for finding in report["findings"]]
    return History(**{**values, "report": Report(findings, report["looked"])})
