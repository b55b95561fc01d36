"""Activations as nodes of an ONNX graph.

Runtimes have kernels of most activations for float32 alone, and attributes are float32: in float64 only operators
without attributes are written. Attributes are always written, as onnxruntime does not know the defaults of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from ...errors import UnsupportedError
from .graph import Graph

__all__ = ["ACTIVATIONS", "activate"]

SELU_ALPHA, SELU_GAMMA = 1.6732632423543772848, 1.0507009873554804934
CUBIC = 0.044715  # of GELU's approximation by tanh

Function = Callable[[Graph, str, list[float]], str]


def activate(graph: Graph, name: str, numbers: list[float], x: str) -> str:
    """Add the nodes of an activation, and return its value."""
    if name not in ACTIVATIONS:
        raise UnsupportedError(f"expected an activation that ONNX can hold; received {name!r}")
    return ACTIVATIONS[name](graph, x, numbers)


def _double(graph: Graph, x: str) -> bool:
    return graph.type_of(x) == np.float64


def _single(op: str) -> Function:
    """Write an operator that every runtime has in both precisions."""
    return lambda graph, x, _numbers: graph.node(op, x)


def _linear(_graph: Graph, x: str, _numbers: list[float]) -> str:
    return x


def _relu6(graph: Graph, x: str, _numbers: list[float]) -> str:
    return graph.node("Clip", x, 0.0, 6.0)


def _leaky_relu(graph: Graph, x: str, numbers: list[float]) -> str:
    if not _double(graph, x):
        return graph.node("LeakyRelu", x, alpha=numbers[0])
    return _where_positive(graph, x, x, graph.node("Mul", x, numbers[0]))


def _elu(graph: Graph, x: str, numbers: list[float]) -> str:
    if not _double(graph, x):
        return graph.node("Elu", x, alpha=numbers[0])
    return _where_positive(graph, x, x, graph.node("Mul", _exp_less_one(graph, x), numbers[0]))


def _selu(graph: Graph, x: str, _numbers: list[float]) -> str:
    if not _double(graph, x):
        return graph.node("Selu", x, alpha=SELU_ALPHA, gamma=SELU_GAMMA)
    below = graph.node("Mul", _exp_less_one(graph, x), SELU_ALPHA * SELU_GAMMA)
    return _where_positive(graph, x, graph.node("Mul", x, SELU_GAMMA), below)


def _where_positive(graph: Graph, x: str, above: str, below: str) -> str:
    return graph.node("Where", graph.node("Greater", x, 0.0, dtype=bool), above, below, dtype=graph.type_of(x))


def _exp_less_one(graph: Graph, x: str) -> str:
    return graph.node("Sub", graph.node("Exp", graph.node("Min", x, 0.0)), 1.0)


def _softplus(graph: Graph, x: str, _numbers: list[float]) -> str:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)"""
    if not _double(graph, x):
        return graph.node("Softplus", x)
    tail = graph.node("Log", graph.node("Add", graph.node("Exp", graph.node("Neg", graph.node("Abs", x))), 1.0))
    return graph.node("Add", graph.node("Relu", x), tail)


def _log_sigmoid(graph: Graph, x: str, numbers: list[float]) -> str:
    return graph.node("Neg", _softplus(graph, graph.node("Neg", x), numbers))


def _softsign(graph: Graph, x: str, _numbers: list[float]) -> str:
    if not _double(graph, x):
        return graph.node("Softsign", x)
    return graph.node("Div", x, graph.node("Add", graph.node("Abs", x), 1.0))


def _hard_sigmoid(graph: Graph, x: str, _numbers: list[float]) -> str:
    if not _double(graph, x):
        return graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    return graph.node("Div", graph.node("Clip", graph.node("Add", x, 3.0), 0.0, 6.0), 6.0)


def _silu(graph: Graph, x: str, _numbers: list[float]) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def _mish(graph: Graph, x: str, numbers: list[float]) -> str:
    return graph.node("Mul", x, graph.node("Tanh", _softplus(graph, x, numbers)))


def _gelu_tanh(graph: Graph, x: str, _numbers: list[float]) -> str:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in plain operators: some runtimes ignore ``approximate``."""
    cube = graph.node("Mul", graph.node("Mul", x, x), x)
    inner = graph.node("Mul", graph.node("Add", x, graph.node("Mul", cube, CUBIC)), math.sqrt(2 / math.pi))
    return graph.node("Mul", graph.node("Mul", x, 0.5), graph.node("Add", graph.node("Tanh", inner), 1.0))


def _gelu(graph: Graph, x: str, _numbers: list[float]) -> str:
    if _double(graph, x):
        return graph.node("Mul", x, _normal_distribution(graph, x))
    if graph.opset >= 20:
        return graph.node("Gelu", x, approximate="none")
    erf = graph.node("Erf", graph.node("Mul", x, math.sqrt(0.5)))
    return graph.node("Mul", graph.node("Mul", x, 0.5), graph.node("Add", erf, 1.0))


def _normal_distribution(graph: Graph, x: str) -> str:
    """Phi(x) in float64, where onnxruntime has no Erf: e^(-x^2/2) q/2 for x < 0, 1 minus that for others.

    q = e^(u^2) erfc(u), u = |x| / sqrt(2), is a polynomial of t = 1 - 2c/(u + c), from -1 at 0 to 1 at infinity.
    """
    c, powers = _scaled_complement()
    u = graph.node("Mul", graph.node("Abs", x), math.sqrt(0.5))
    # 1 - 2c/(u + c) and u^2 without infinity - infinity
    t = graph.node("Sub", 1.0, graph.node("Div", 2 * c, graph.node("Add", u, c)))
    q = graph.node("Add", graph.node("Mul", t, powers[-1]), powers[-2])
    for power in powers[-3::-1]:
        q = graph.node("Add", graph.node("Mul", q, t), power)
    tail = graph.node("Mul", graph.node("Mul", graph.node("Exp", graph.node("Neg", graph.node("Mul", u, u))), q), 0.5)
    return _where_positive(graph, x, graph.node("Sub", 1.0, tail), tail)


@cache
def _scaled_complement() -> tuple[float, list[float]]:
    """Return c and the polynomial of `_normal_distribution`, lowest power first; right to 1e-15."""
    from scipy.special import erfcx

    c = 3.75
    found = np.polynomial.Chebyshev.interpolate(
        lambda t: np.where(t < 1, erfcx(c * (1 + t) / np.maximum(1 - t, 1e-300)), 0.0), 26
    )
    return c, [float(p) for p in found.convert(kind=np.polynomial.Polynomial).coef]


def _softmax(graph: Graph, x: str, _numbers: list[float]) -> str:
    return graph.node("Softmax", x, axis=-1)


ACTIVATIONS: dict[str, Function] = {
    "linear": _linear,
    "relu": _single("Relu"),
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "log_sigmoid": _log_sigmoid,
    "softsign": _softsign,
    "sigmoid": _single("Sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "tanh": _single("Tanh"),
    "exponential": _single("Exp"),
    "softmax": _softmax,
}
