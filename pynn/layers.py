"""Layers as frozen dataclasses: what a model is made of, without shapes or memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from . import activations, constraints, initializers, regularizers
from .errors import ArgumentTypeError, UnknownNameError
from .specs import Spec, Table, check_number

__all__ = ["Dense", "Dropout", "Layer", "from_dict"]

_rows = Table("layer").rows


class Layer:
    """Base of all layers. Immutable; equal to another with the same arguments."""

    kind: ClassVar[str]

    def _check(self, name: str) -> None:
        """Replace argument `name` by its number, checked against the library's rule."""
        rule = next(rule for rule in _rows[self.kind]["fields"] if rule["name"] == name)
        object.__setattr__(self, name, check_number(f"{type(self).__name__}.{name}", getattr(self, name), rule))

    def _choose_limits(self) -> None:
        """Replace regularisers and constraints by their specs."""
        for module, kind in ((regularizers, "regularizer"), (constraints, "constraint")):
            for tensor in ("kernel", "bias"):
                name = f"{tensor}_{kind}"
                value = getattr(self, name)
                chosen = None if value in (None, "none") else module.table.get(value, name)
                object.__setattr__(self, name, chosen)

    @property
    def core(self) -> dict[str, Any]:
        """What the compiled core takes: the kind with its numbers, and each choice that is a spec, as pairs."""
        numbers = {rule["name"]: float(getattr(self, rule["name"])) for rule in _rows[self.kind]["fields"]}
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"kind": (self.kind, numbers)} | {k: v.core for k, v in values.items() if isinstance(v, Spec)}

    def to_dict(self) -> dict[str, Any]:
        """``{"layer": kind, argument: value, ...}``, plain values for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"layer": self.kind, **{k: v.to_dict() if isinstance(v, Spec) else v for k, v in values.items()}}


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, each input is 0 with probability `rate`, else divided by 1-rate; in prediction nothing happens.

    Parameters
    ----------
    rate : float in [0, 1)

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    kind: ClassVar[str] = "dropout"

    rate: float = 0.5

    def __post_init__(self) -> None:
        self._check("rate")


def _kinds() -> dict[str, type]:
    return {cls.kind: cls for cls in Layer.__subclasses__()}


def from_dict(values: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.to_dict` described."""
    kinds = _kinds()
    kind = values.get("layer")
    if kind not in kinds:
        raise UnknownNameError(f"expected layer as one of {', '.join(map(repr, kinds))}; received layer={kind!r}")
    try:
        return kinds[kind](**{k: v for k, v in values.items() if k != "layer"})
    except TypeError as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise UnknownNameError(
            f"expected arguments of {kinds[kind].__name__}; received {dict(values)} ({error})"
        ) from None


def from_core(layer: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.core` described."""
    kind, numbers = layer["kind"]
    specs = {key: {"name": name, **rest} for key, (name, rest) in layer.items() if key != "kind" and name != "none"}
    return _kinds()[kind](**numbers, **specs)
