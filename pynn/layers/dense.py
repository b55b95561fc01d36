"""Fully connected layers and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import activations, initializers
from .base import Layer


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """A densely connected layer: ``Y = f(X W + b)``, X (rows, inputs), W (inputs, units), b (units,).

    Parameters
    ----------
    units : int
        Number of outputs, at least 1.
    activation : str or activation, optional
        f; None is linear.
    use_bias : bool
        False leaves b out.
    kernel_initializer : str or initializer, optional
        What W starts from. None: what suits the activation, He's normal for ReLU and its kin, LeCun's normal for SELU,
        Glorot's uniform for the others.
    bias_initializer : str or initializer
        What b starts from.
    kernel_regularizer, bias_regularizer : str or regularizer, optional
        A penalty on W, on b; see `pynn.regularizers`.
    kernel_constraint, bias_constraint : str or constraint, optional
        What each unit's weights, and b, are made to keep after each update; see `pynn.constraints`.

    Examples
    --------
    >>> import pynn
    >>> pynn.Dense(10, activation="relu").activation
    ReLU()
    """

    kind: ClassVar[str] = "dense"

    units: int
    activation: Any = None
    use_bias: bool = True
    kernel_initializer: Any = None
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    bias_constraint: Any = None

    def __post_init__(self) -> None:
        self._check("units")
        self._check("use_bias")
        activation = activations.get(self.activation)
        kernel = activation.row["initializer"] if self.kernel_initializer is None else self.kernel_initializer
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "kernel_initializer", initializers.get(kernel, "kernel_initializer"))
        object.__setattr__(self, "bias_initializer", initializers.get(self.bias_initializer, "bias_initializer"))
        self._choose_limits()


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """An activation on its own: ``Y = f(X)``.

    Parameters
    ----------
    activation : str or activation
        f.

    Examples
    --------
    >>> import pynn
    >>> block = [pynn.Dense(32), pynn.BatchNormalization(), pynn.Activation("relu")]
    """

    kind: ClassVar[str] = "activation"

    activation: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", activations.get(self.activation))
