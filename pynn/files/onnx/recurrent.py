"""Layers of sequences as nodes of an ONNX graph: values of shape (rows, timesteps, features).

Timesteps are fixed and no lengths are written, as OpenVINO drops lengths where sizes are dynamic; rows stand second, as
it drops ``layout`` too. Gates of ONNX are i, o, f, c in LSTM and z, r, h in GRU; ours i, f, g, o and z, r, g.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import UnsupportedError

__all__ = ["flatten", "parameters", "pooling", "recurrent"]

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
ORDERS = {"lstm": (0, 3, 1, 2), "gru": (0, 1, 2), "simple_rnn": (0,)}
FUNCTIONS: dict[str, tuple[str, list[float], list[float]]] = {  # operator, its alpha and its beta
    "tanh": ("Tanh", [], []), "sigmoid": ("Sigmoid", [], []), "relu": ("Relu", [], []),
    "linear": ("Affine", [1.0], [0.0]), "hard_sigmoid": ("HardSigmoid", [1 / 6], [0.5]),
}  # fmt: skip
PREFIXES = ("", "backward_")


def flatten(writer: Any, _index: int, _spec: Any, x: str) -> str:
    """The timesteps of a row side by side."""
    graph, width = writer.graph, writer.graph.width(x)
    return graph.node("Reshape", x, graph.local("shape", np.array([0, width]), np.int64), width=width)


def pooling(op: str) -> Any:
    """Return the function of a layer that reduces the timesteps of a row to one."""

    def function(writer: Any, _index: int, _spec: Any, x: str) -> str:
        graph, features = writer.graph, writer.graph.shape(x)[-1]
        if len(graph.shape(x)) == 1:
            return x
        return graph.node(op, x, graph.local("axes", np.array([1]), np.int64), width=features, keepdims=0)

    return function


def recurrent(writer: Any, index: int, spec: Any, x: str) -> str:
    """LSTM, GRU or RNN in one direction or in both."""
    graph, layer = writer.graph, getattr(spec, "layer", spec)
    if graph.dtype != np.float32:
        raise UnsupportedError(
            f"expected recurrent layers in float32, as runtimes have them; received layer {index} in {graph.dtype}"
        )
    steps, features = graph.shape(x) if len(graph.shape(x)) == 2 else (1, graph.width(x))
    if len(graph.shape(x)) == 1:
        x = graph.node("Reshape", x, graph.local("sequence", np.array([0, 1, features]), np.int64), shape=(1, features))
    directions, units = 2 if layer is not spec else 1, layer.units
    x = graph.turned(x, (1, 0, 2), (steps, None, features))
    weights = _weights(writer, index, layer, directions)
    names = graph.several(
        OPERATORS[layer.kind], [x, *weights], [(steps, directions, None, units), (directions, None, units)],
        hidden_size=units, direction=_direction(layer, directions), **_functions(layer, directions),
    )  # fmt: skip
    swaps = directions == 2 and layer.go_backwards  # then the first copy is the one that ONNX has second
    if not layer.return_sequences:
        h = _ordered(graph, graph.turned(names[1], (1, 0, 2), (None, directions, units)), swaps, 1)
        last = graph.local("last", np.array([0, directions * units]), np.int64)
        return graph.node("Reshape", h, last, width=directions * units)
    h = graph.turned(names[0], (2, 0, 1, 3), (None, steps, directions, units))
    h = _ordered(graph, h, swaps, 2)
    every = graph.local("every", np.array([0, steps, directions * units]), np.int64)
    h = graph.node("Reshape", h, every, shape=(steps, directions * units))
    return _ordered(graph, h, layer.go_backwards, 1, steps)


def _ordered(graph: Any, x: str, backwards: bool, axis: int, size: int = 2) -> str:
    """Reverse the order along a dimension, if it is to be."""
    if not backwards:
        return x
    return graph.node("Gather", x, graph.local("backwards", np.arange(size)[::-1], np.int64), axis=axis)


def _direction(layer: Any, directions: int) -> str:
    return "bidirectional" if directions == 2 else "reverse" if layer.go_backwards else "forward"


def _functions(layer: Any, directions: int) -> dict[str, Any]:
    """Return the attributes that name activations, with alpha and beta of those that have them."""
    own = layer.activation.name
    names = [own] if layer.kind == "simple_rnn" else [layer.recurrent_activation.name, own]
    names += [own] if layer.kind == "lstm" else []
    found = [FUNCTIONS[name] for name in names * directions]
    values = {
        "activations": [op for op, _, _ in found],
        "activation_alpha": [number for _, alpha, _ in found for number in alpha],
        "activation_beta": [number for _, _, beta in found for number in beta],
    }
    if layer.kind == "gru":
        values["linear_before_reset"] = int(layer.reset_after)
    return {name: value for name, value in values.items() if value != []}


def _weights(writer: Any, index: int, layer: Any, directions: int) -> list[str]:
    """Add W, R and B, those of both directions one after the other."""
    graph, order = writer.graph, ORDERS[layer.kind]
    W, R, B = [], [], []
    for prefix in _prefixes(layer, directions):
        kernel, product = writer.tensors(index, f"{prefix}kernel", f"{prefix}recurrent_kernel")
        W.append(_packed(kernel, order).T)
        R.append(_packed(product, order).T)
        bias = np.zeros((1, kernel.shape[1]))
        if layer.use_bias:
            bias = writer.tensors(index, f"{prefix}bias")[0].reshape(-1, kernel.shape[1])
        second = bias[1:] if len(bias) == 2 else np.zeros_like(bias)
        B.append(np.concatenate([_packed(bias[:1], order)[0], _packed(second, order)[0]]))
    name = f"layers.{writer.own_index(index)}"
    return [graph.constant(f"{name}.{part}", np.stack(values)) for part, values in (("W", W), ("R", R), ("B", B))]


def _prefixes(layer: Any, directions: int) -> tuple[str, ...]:
    """Return what names of tensors begin with, in ONNX's order of the directions: forward, reverse."""
    found = PREFIXES[:directions]
    return found[::-1] if layer.go_backwards else found


def _packed(matrix: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the columns of a matrix with their gates in another order."""
    gates = matrix.reshape(len(matrix), len(order), -1)
    return gates[:, list(order)].reshape(matrix.shape)


def parameters(spec: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the parameters of a recurrent layer, flat, from the W, R and B that `recurrent` wrote."""
    layer, found = getattr(spec, "layer", spec), {}
    order = tuple(np.argsort(ORDERS[layer.kind]))
    prefixes = _prefixes(layer, len(arrays["W"]))
    for prefix, W, R, B in zip(prefixes, arrays["W"], arrays["R"], arrays["B"], strict=True):
        found[f"{prefix}kernel"], found[f"{prefix}recurrent_kernel"] = _packed(W.T, order), _packed(R.T, order)
        if layer.use_bias:
            rows = 2 if getattr(layer, "reset_after", False) else 1
            found[f"{prefix}bias"] = _packed(B.reshape(2, -1)[:rows], order)
    return found
