"""Recurrent layers: rows of timesteps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import activations, initializers
from ..errors import ArgumentTypeError, ArgumentValueError
from .base import Layer


class Recurrent:
    """What the recurrent layers share; X is (rows, timesteps, features)."""

    kind: ClassVar[str]
    own: ClassVar[tuple[str, ...]] = ()  # numbers beside those that all of them have
    takes_sequences: ClassVar[bool] = True
    bidirectional: ClassVar[bool] = False

    def _choose(self) -> None:
        layer: Any = self
        for name in ("units", "use_bias", "return_sequences", "go_backwards", *self.own):
            layer._check(name)
        for name in ("activation", "recurrent_activation"):
            if hasattr(layer, name):
                chosen = activations.get(getattr(layer, name))
                if chosen.name not in ACTIVATIONS:
                    raise ArgumentValueError(
                        f"expected {type(self).__name__}.{name} as one of {', '.join(map(repr, ACTIVATIONS))}; "
                        f"received {name}={chosen.name!r}"
                    )
                object.__setattr__(self, name, chosen)
        for name in ("kernel_initializer", "recurrent_initializer", "bias_initializer"):
            object.__setattr__(self, name, initializers.get(getattr(layer, name), name))
        layer._choose_limits()

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Any:
        """The layer that `core` described; one of two directions is a `Bidirectional`."""
        _, numbers = layer["kind"]
        alone = {name: number for name, number in numbers.items() if name != "bidirectional"}
        choices = {name: {"name": c[0], **c[1]} for name, c in layer.items() if name != "kind" and c[0] != "none"}
        made = cls(**alone, **choices)
        return Bidirectional(made) if numbers["bidirectional"] else made


ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear", "hard_sigmoid")
"""Activations whose slope follows from their value: recurrent layers keep nothing else."""


@dataclass(frozen=True, repr=False)
class SimpleRNN(Recurrent, Layer):
    """A recurrent layer: ``h_t = f(x_t W + h_{t-1} U + b)``, h_0 = 0.

    Parameters
    ----------
    units : int
        Numbers in h.
    activation : str or activation
        f: tanh, sigmoid, relu, linear or hard_sigmoid.
    use_bias : bool
        False leaves b out.
    kernel_initializer, recurrent_initializer, bias_initializer : str or initializer
        What W, U and b start from.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or regularizer, optional
        A penalty on W, on U, on b; see `pynn.regularizers`.
    kernel_constraint, recurrent_constraint, bias_constraint : str or constraint, optional
        What each unit's weights, and b, are made to keep after each update; see `pynn.constraints`.
    return_sequences : bool
        Give h of every timestep, (rows, timesteps, units), not of the last alone.
    go_backwards : bool
        Visit the timesteps from last to first. Sequences are given in that order.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(100, 20, 3))
    >>> model = pynn.Sequential([pynn.SimpleRNN(8), pynn.Dense(1)], seed=0)
    >>> model.compile(loss="mse", optimizer="adam")
    >>> history = model.fit(X, X.mean(axis=(1, 2)), epochs=2, verbose=0)
    >>> model.predict(X).shape
    (100, 1)
    """

    kind: ClassVar[str] = "simple_rnn"

    units: int
    activation: Any = "tanh"
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    recurrent_constraint: Any = None
    bias_constraint: Any = None
    return_sequences: bool = False
    go_backwards: bool = False

    def __post_init__(self) -> None:
        self._choose()


@dataclass(frozen=True, repr=False)
class LSTM(Recurrent, Layer):
    """Long short-term memory: ``c_t = f c_{t-1} + i g``, ``h_t = o tanh(c_t)``, h_0 = c_0 = 0.

    The gates i, f and o, and the candidate g, are ``x_t W + h_{t-1} U + b`` through `recurrent_activation` and
    `activation`. Kernels have their columns in the order i, f, g, o, as Keras has.

    Parameters
    ----------
    units : int
        Numbers in h and c.
    activation : str or activation
        Of g, and of c in h: tanh, sigmoid, relu, linear or hard_sigmoid.
    recurrent_activation : str or activation
        Of the gates.
    use_bias : bool
        False leaves b out.
    kernel_initializer, recurrent_initializer, bias_initializer : str or initializer
        What W, U and b start from.
    unit_forget_bias : bool
        Start the forget gate's biases from 1, so that c is kept at first (Jozefowicz et al., ICML 2015).
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or regularizer, optional
        A penalty on W, on U, on b; see `pynn.regularizers`.
    kernel_constraint, recurrent_constraint, bias_constraint : str or constraint, optional
        What each column of W and U, and b, are made to keep after each update; see `pynn.constraints`.
    return_sequences : bool
        Give h of every timestep, (rows, timesteps, units), not of the last alone.
    go_backwards : bool
        Visit the timesteps from last to first. Sequences are given in that order.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; Gers, Schmidhuber and Cummins,
    "Learning to forget", Neural Computation 12, 2000.

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.LSTM(64, return_sequences=True), pynn.LSTM(32), pynn.Dense(2)])
    """

    kind: ClassVar[str] = "lstm"
    own: ClassVar[tuple[str, ...]] = ("unit_forget_bias",)

    units: int
    activation: Any = "tanh"
    recurrent_activation: Any = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    recurrent_constraint: Any = None
    bias_constraint: Any = None
    return_sequences: bool = False
    go_backwards: bool = False

    def __post_init__(self) -> None:
        self._choose()


@dataclass(frozen=True, repr=False)
class GRU(Recurrent, Layer):
    """Gated recurrent unit: ``h_t = z h_{t-1} + (1 - z) g``, h_0 = 0.

    The gates z and r are ``x_t W + h_{t-1} U + b`` through `recurrent_activation`. The candidate g is
    ``f(x_t W_g + b + r (h_{t-1} U_g + b'))`` with `reset_after`, as in Keras and PyTorch, and
    ``f(x_t W_g + (r h_{t-1}) U_g + b)`` without, as first published. Kernels have their columns in the order z, r, g.

    Parameters
    ----------
    units : int
        Numbers in h.
    activation : str or activation
        f: tanh, sigmoid, relu, linear or hard_sigmoid.
    recurrent_activation : str or activation
        Of the gates.
    use_bias : bool
        False leaves the biases out.
    kernel_initializer, recurrent_initializer, bias_initializer : str or initializer
        What W, U and b start from.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or regularizer, optional
        A penalty on W, on U, on b; see `pynn.regularizers`.
    kernel_constraint, recurrent_constraint, bias_constraint : str or constraint, optional
        What each column of W and U, and b, are made to keep after each update; see `pynn.constraints`.
    return_sequences : bool
        Give h of every timestep, (rows, timesteps, units), not of the last alone.
    go_backwards : bool
        Visit the timesteps from last to first. Sequences are given in that order.
    reset_after : bool
        Let the reset gate act after the recurrent product; the bias then has two rows.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP
    2014.

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.GRU(32), pynn.Dense(1)])
    """

    kind: ClassVar[str] = "gru"
    own: ClassVar[tuple[str, ...]] = ("reset_after",)

    units: int
    activation: Any = "tanh"
    recurrent_activation: Any = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    recurrent_initializer: Any = "orthogonal"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    recurrent_constraint: Any = None
    bias_constraint: Any = None
    return_sequences: bool = False
    go_backwards: bool = False
    reset_after: bool = True

    def __post_init__(self) -> None:
        self._choose()


@dataclass(frozen=True, repr=False)
class Masking(Layer):
    """Timesteps that are padding: those whose features all are `mask_value`.

    Recurrent layers above pass over them: h stays as it was, and with `return_sequences` is given again. Pooling leaves
    them out. A row then has the same bits with padding and without. The state of a row that is all padding is 0.

    Parameters
    ----------
    mask_value : float
        What fills the features of padding.

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.Masking(0.0), pynn.LSTM(64), pynn.Dense(2)])
    """

    kind: ClassVar[str] = "masking"
    takes_sequences: ClassVar[bool] = True

    mask_value: float = 0.0

    def __post_init__(self) -> None:
        self._check("mask_value")


@dataclass(frozen=True, repr=False)
class Bidirectional(Layer):
    """Two copies of a recurrent layer, one of which visits the timesteps from last to first, side by side.

    Parameters
    ----------
    layer : SimpleRNN, LSTM or GRU
        The layer to copy. With `return_sequences` both directions are in the order of X.

    References
    ----------
    Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997.

    Examples
    --------
    >>> import pynn
    >>> pynn.Bidirectional(pynn.LSTM(32)).units
    64
    """

    kind: ClassVar[str] = "bidirectional"
    takes_sequences: ClassVar[bool] = True

    layer: Any

    def __post_init__(self) -> None:
        if isinstance(self.layer, Mapping):
            kinds = {cls.kind: cls for cls in Recurrent.__subclasses__()}
            given = {name: value for name, value in self.layer.items() if name != "layer"}
            object.__setattr__(self, "layer", kinds[self.layer["layer"]](**given))
        if not isinstance(self.layer, Recurrent):
            raise ArgumentTypeError(
                f"expected Bidirectional.layer as pynn.LSTM, GRU or SimpleRNN; received {self.layer!r}"
            )

    @property
    def units(self) -> int:
        """Columns of a timestep: those of both directions."""
        return 2 * int(self.layer.units)

    @property
    def return_sequences(self) -> bool:
        """Whether every timestep is given, or the last alone."""
        return bool(self.layer.return_sequences)

    @property
    def core(self) -> dict[str, Any]:
        inner: Any = self.layer
        kind, numbers = inner.core["kind"]
        return inner.core | {"kind": (kind, numbers | {"bidirectional": 1.0})}

    def to_dict(self) -> dict[str, Any]:
        inner: Any = self.layer
        return {"layer": self.kind, "of": inner.to_dict()}
