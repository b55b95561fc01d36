"""Functions of one number as ONNX graphs spell them, known by their values.

Programs write the same activation in many ways: GELU as one operator, or as five with Erf. A function is therefore
carried as its values at fixed points; the activation of pynn that has the same values is taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ... import activations

__all__ = ["BINARY", "COMPARISONS", "POINTS", "UNARY", "identify"]

NEAR = 50.0  # within, values have to be finite; beyond, what overflows is not compared
_FAR = np.array([1e2, 1e3, 1e4, 1e6])
_HALF = np.concatenate([np.arange(0.25, 12.01, 0.25), [1e-3, 1e-2, 0.1, 14, 17, 20.5, 30, 40, 50], _FAR])
POINTS = np.concatenate([[0.0], _HALF, -_HALF])
TOLERANCE = 1e-6

Array = np.ndarray
Attributes = Mapping[str, Any]


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + _erf(x * math.sqrt(0.5)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _mish(x: Array) -> Array:
    return x * np.tanh(_softplus(x))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


# Operators: function of the values and the attributes. Defaults are those of the standard.
UNARY: dict[str, Callable[[Array, Attributes], Array]] = {
    "Abs": lambda x, a: np.abs(x),
    "Celu": lambda x, a: np.maximum(x, 0) + np.minimum(0, a.get("alpha", 1.0) * np.expm1(x / a.get("alpha", 1.0))),
    "Elu": lambda x, a: _elu(x, a.get("alpha", 1.0)),
    "Erf": lambda x, a: _erf(x),
    "Exp": lambda x, a: np.exp(x),
    "FastGelu": lambda x, a: _gelu_tanh(x),
    "Gelu": lambda x, a: _gelu_tanh(x) if a.get("approximate") == "tanh" else _gelu(x),
    "HardSigmoid": lambda x, a: _hard_sigmoid(x, a.get("alpha", 0.2), a.get("beta", 0.5)),
    "HardSwish": lambda x, a: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "LeakyRelu": lambda x, a: np.where(x > 0, x, a.get("alpha", 0.01) * x),
    "Log": lambda x, a: np.log(x),
    "Mish": lambda x, a: _mish(x),
    "Neg": lambda x, a: -x,
    "QuickGelu": lambda x, a: x * _sigmoid(a.get("alpha", 1.702) * x),
    "Reciprocal": lambda x, a: 1 / x,
    "Relu": lambda x, a: np.maximum(x, 0),
    "Selu": lambda x, a: a.get("gamma", 1.0507009873554805) * _elu(x, a.get("alpha", 1.6732632423543772)),
    "Sigmoid": lambda x, a: _sigmoid(x),
    "Softplus": lambda x, a: _softplus(x),
    "Softsign": lambda x, a: x / (1 + np.abs(x)),
    "Sqrt": lambda x, a: np.sqrt(x),
    "Swish": lambda x, a: x * _sigmoid(a.get("alpha", 1.0) * x),
    "Tanh": lambda x, a: np.tanh(x),
    "ThresholdedRelu": lambda x, a: np.where(x > a.get("alpha", 1.0), x, 0),
}
ATTRIBUTES = {
    "Celu": {"alpha"}, "Elu": {"alpha"}, "Gelu": {"approximate"}, "HardSigmoid": {"alpha", "beta"},
    "LeakyRelu": {"alpha"}, "QuickGelu": {"alpha"}, "Selu": {"alpha", "gamma"}, "Swish": {"alpha"},
    "ThresholdedRelu": {"alpha"},
}  # fmt: skip
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.true_divide, "Max": np.maximum, "Min": np.minimum,
    "Pow": np.power, "Sum": np.add,
}  # fmt: skip
COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less, "LessOrEqual": np.less_equal,
}  # fmt: skip

# The activations of pynn that are functions of one number, by name; those with a number of their own are below.
REFERENCES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554804934 * _elu(x, 1.6732632423543772848),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * _sigmoid(x),
    "mish": _mish,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: _hard_sigmoid(x, 1 / 6, 0.5),
    "tanh": np.tanh,
    "exponential": np.exp,
}


def identify(values: Array) -> Any:
    """Return the activation that has these values at POINTS, or None."""
    with np.errstate(all="ignore"):
        for name in REFERENCES:
            if _same(values, _reference(name)):
                return activations.get(name)
        slope = -float(values[POINTS == -1.0][0])
        if math.isfinite(slope) and slope >= 0 and _same(values, np.where(POINTS > 0, POINTS, slope * POINTS)):
            return activations.get({"name": "leaky_relu", "negative_slope": slope})
        alpha = -float(values[POINTS == -NEAR][0])
        if math.isfinite(alpha) and alpha >= 0 and _same(values, _elu(POINTS, alpha)):
            return activations.get({"name": "elu", "alpha": alpha})
    return None


@cache
def _reference(name: str) -> Array:
    return REFERENCES[name](POINTS)


def _same(values: Array, reference: Array) -> bool:
    """Tell whether values agree; far from 0 those that overflowed are left out."""
    overflowed = ~np.isfinite(values) & (np.abs(POINTS) > NEAR)
    close = np.abs(values - reference) <= TOLERANCE * np.maximum(1, np.abs(reference))
    return bool((close | overflowed | (values == reference)).all())
