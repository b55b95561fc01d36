"""Activations: what follows a dense layer, as classes such as ``LeakyReLU(negative_slope=0.2)``.

``dir(pynn.activations)`` lists them; a layer takes the name as well as the object.
"""

from __future__ import annotations

from typing import Any

from .specs import Table

table = Table(
    "activation",
    texts={
        "linear": "f(z) = z.",
        "relu": "f(z) = max(z, 0); the derivative at 0 is 0. Nair and Hinton, ICML 2010.",
        "relu6": "f(z) = min(max(z, 0), 6); the derivative at both ends is 0. Krizhevsky, 2010.",
        "leaky_relu": "f(z) = z for z > 0, negative_slope z otherwise. Maas, Hannun and Ng, ICML 2013.",
        "elu": "f(z) = z for z > 0, alpha (e^z - 1) otherwise. Clevert, Unterthiner and Hochreiter, ICLR 2016.",
        "selu": "f(z) = s z for z > 0, s a (e^z - 1) otherwise; s and a are such that mean 0 and variance 1 stay. "
        "Klambauer et al., NeurIPS 2017.",
        "gelu": "f(z) = z Phi(z) with the normal distribution's Phi. Hendrycks and Gimpel, 2016.",
        "gelu_tanh": "f(z) = z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), an approximation of GELU.",
        "silu": "f(z) = z sigmoid(z). Elfwing, Uchibe and Doya, 2018.",
        "mish": "f(z) = z tanh(log(1 + e^z)). Misra, 2019.",
        "sigmoid": "f(z) = 1 / (1 + e^-z).",
        "hard_sigmoid": "f(z) = z/6 + 1/2, kept within 0 and 1.",
        "tanh": "f(z) = tanh(z).",
        "softplus": "f(z) = log(1 + e^z).",
        "log_sigmoid": "f(z) = log(sigmoid(z)) = -log(1 + e^-z).",
        "softsign": "f(z) = z / (1 + |z|).",
        "exponential": "f(z) = e^z.",
        "softmax": "f(z)_i = e^z_i / sum_j e^z_j over the units of a row.",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def get(activation: Any) -> Any:
    """The activation for a name, an object, or None for linear.

    Examples
    --------
    >>> import pynn
    >>> pynn.activations.get("swish")
    SiLU()
    """
    return table.get("linear" if activation is None else activation, "activation")
