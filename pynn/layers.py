"""Layers as frozen dataclasses: what a model is made of, without shapes or memory."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

from . import activations, constraints, initializers, regularizers
from .errors import ArgumentTypeError, ArgumentValueError, NotReadyError, UnknownNameError
from .specs import Spec, Table, check_number, list_arguments_of

__all__ = [
    "Activation", "Add", "BatchNormalization", "Categorical", "Dense", "Dropout", "GaussianNoise", "Layer",
    "LayerNormalization", "Normalization", "Residual", "flatten", "from_dict", "nest",
]  # fmt: skip

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

    def __repr__(self) -> str:
        """The arguments that make this layer, without those that may be left out."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        for f in fields(self):  # type: ignore[arg-type]
            others = {name: value for name, value in given.items() if name != f.name}
            if f.default is not MISSING and type(self)(**others) == self:
                given = others
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @property
    def core(self) -> dict[str, Any]:
        """What the compiled core takes: the kind with its numbers, and each choice that is a spec, as pairs."""
        numbers = {rule["name"]: float(getattr(self, rule["name"])) for rule in _rows[self.kind]["fields"]}
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        found: dict[str, Any] = {"kind": (self.kind, numbers)}
        found |= {k: v.core for k, v in values.items() if isinstance(v, Spec)}
        activation = values.get("activation")
        return found | ({"custom_activation": activation} if isinstance(activation, activations.Custom) else {})

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Layer:
        """The layer that `core` described."""
        custom = layer.get("custom_activation")
        choices = {k: v for k, v in layer.items() if k not in ("kind", "custom_activation") and v[0] != "none"}
        specs: dict[str, Any] = {key: {"name": name, **rest} for key, (name, rest) in choices.items()}
        return cls(**layer["kind"][1], **specs | ({} if custom is None else {"activation": custom}))

    def to_dict(self) -> dict[str, Any]:
        """``{"layer": kind, argument: value, ...}``, plain values for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"layer": self.kind, **{k: v.to_dict() if isinstance(v, Spec) else v for k, v in values.items()}}


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


def _integers(name: str, values: Any, least: int) -> tuple[int, ...]:
    """Distinct or not, integers >= `least` as a tuple."""
    try:
        found = [operator.index(value) for value in values]
    except TypeError:
        raise ArgumentTypeError(f"expected {name} as integers; received {name}={values!r}") from None
    if not found or min(found) < least:
        raise ArgumentValueError(f"expected {name} as integers >= {least}; received {name}={values!r}")
    return tuple(found)


def _columns(name: str, values: Any) -> tuple[int, ...]:
    found = _integers(name, values, 0)
    if len(set(found)) < len(found):
        raise ArgumentValueError(f"expected {name} as distinct numbers of columns; received {name}={values!r}")
    return found


def _choose(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise UnknownNameError(f"expected {name} as one of {listed}; received {name.split('.')[1]}={value!r}")


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


@dataclass(frozen=True, repr=False)
class Normalization(Layer):
    """Columns to comparable scales, by numbers taken from data: ``Y = (X - shift) * scale``, rounded once.

    As the first layer it reads X in float64 whatever the model's dtype, so that 1e9 + 1 and 1e9 differ. `fit` adapts it
    when nothing else has; `Sequential.adapt` does so in one pass over any data.

    =============  ==========  =============================================================================
    mode           shift       1 / scale
    =============  ==========  =============================================================================
    ``"standard"``   mean        standard deviation, over all rows
    ``"minmax"``     minimum     maximum - minimum
    ``"robust"``     median      third - first quartile; the standard deviation where they agree
    =============  ==========  =============================================================================

    A column that never changed gives exactly 0, and so does one without any number.

    Parameters
    ----------
    mode : "standard", "minmax" or "robust"
    missing : "error", "mean" or "median"
        NaN: refused, with its row and column, or replaced by what the column's mean or median was, in training and in
        prediction.
    clip : float > 0, optional
        Values beyond +-clip become +-clip, and infinite cells too, which are refused otherwise. Infinite cells have no
        part in the numbers that the layer adapts to.
    columns : sequence of int, optional
        Columns to normalize; the others pass as they are. None: all.

    Notes
    -----
    Quartiles are exact for data in memory. Of data that come in parts, 2048 numbers of a column are held at first; the
    rank of a quartile is then wrong by at most ``n * log2(n / 2048) / 2048`` of n rows (Munro and Paterson, "Selection
    and sorting with limited storage", 1980).

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.array([[1e9, 5.0], [1e9 + 2, 5.0]])
    >>> model = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)]).build(2)
    >>> model.adapt(X)
    >>> model.layers[0].shift.tolist()
    [1000000001.0, 5.0]
    """

    kind: ClassVar[str] = "normalization"
    MODES: ClassVar[tuple[str, ...]] = ("standard", "minmax", "robust")
    MISSING: ClassVar[tuple[str, ...]] = ("error", "mean", "median")

    mode: str = "standard"
    missing: str = "error"
    clip: float | None = None
    columns: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _choose("Normalization.mode", self.mode, self.MODES)
        _choose("Normalization.missing", self.missing, self.MISSING)
        if self.clip is not None:
            self._check("clip")
            if not self.clip:
                raise ArgumentValueError("expected Normalization.clip > 0, or None; received clip=0")
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(sorted(_columns("Normalization.columns", self.columns))))

    @property
    def needs_quartiles(self) -> bool:
        """Whether adaptation takes them."""
        return self.mode == "robust" or self.missing == "median"

    @property
    def core(self) -> dict[str, Any]:
        numbers = {
            "mode": self.MODES.index(self.mode), "missing": self.MISSING.index(self.missing), "clip": self.clip or 0
        }  # fmt: skip
        return {"kind": (self.kind, numbers)} | ({} if self.columns is None else {"columns": self.columns})

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Normalization:
        numbers = layer["kind"][1]
        mode, missing = cls.MODES[int(numbers["mode"])], cls.MISSING[int(numbers["missing"])]
        return cls(mode, missing, numbers["clip"] or None, layer.get("columns"))


@dataclass(frozen=True, repr=False)
class BatchNormalization(Layer):
    """Columns to mean 0 and variance 1, then to a learned scale and offset.

    ``Y = gamma (X - m) / sqrt(v + epsilon) + beta``. In training m and v (biased) are the batch's and moving means
    follow them, ``moving = momentum * moving + (1 - momentum) * batch``, once a step is applied; in prediction m and v
    are the moving ones, so a row's result does not depend on other rows. Sums are in float64. In a batch of one row Y
    is beta, and the moving variance stays.

    Parameters
    ----------
    momentum : float in [0, 1)
    epsilon : float >= 1e-30
    center, scale : bool
        Whether there is beta, gamma.

    References
    ----------
    Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.
    """

    kind: ClassVar[str] = "batch_normalization"

    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        for name in ("momentum", "epsilon", "center", "scale"):
            self._check(name)


@dataclass(frozen=True, repr=False)
class LayerNormalization(Layer):
    """Each row to mean 0 and variance 1, then each column to a learned scale and offset.

    ``Y = gamma (X - m) / sqrt(v + epsilon) + beta`` with m and v (biased) of the row, in float64.

    Parameters
    ----------
    epsilon : float >= 1e-30
    center, scale : bool
        Whether there is beta, gamma.

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", 2016.
    """

    kind: ClassVar[str] = "layer_normalization"

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        for name in ("epsilon", "center", "scale"):
            self._check(name)


@dataclass(frozen=True, repr=False)
class GaussianNoise(Layer):
    """While training, adds to each input a normal number of mean 0; in prediction nothing happens.

    Parameters
    ----------
    stddev : float >= 0
    """

    kind: ClassVar[str] = "gaussian_noise"

    stddev: float = 0.1

    def __post_init__(self) -> None:
        self._check("stddev")


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """``Y = X +`` the input of the layer so many layers below: what ends a `Residual` block of a built model.

    Parameters
    ----------
    layers : int
        Layers in the block.
    """

    kind: ClassVar[str] = "add"

    layers: int = 1

    def __post_init__(self) -> None:
        self._check("layers")


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """A block with a way around it: ``y = x + f(x)``, f the layers given. Blocks may stand in blocks.

    f must give as many columns as it takes. In a model the block's layers stand in a row and end in an `Add`.

    Parameters
    ----------
    layers : sequence of layers
        f.

    References
    ----------
    He et al., "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> import pynn
    >>> block = pynn.Residual([pynn.LayerNormalization(), pynn.Dense(64, activation="gelu"), pynn.Dense(16)])
    >>> model = pynn.Sequential([pynn.Dense(16), block, pynn.Dense(1)]).build(8)
    >>> len(model.layers)
    6
    """

    kind: ClassVar[str] = "residual"

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        given = (self.layers,) if isinstance(self.layers, Layer) else tuple(self.layers)
        layers = tuple(from_dict(layer) if isinstance(layer, Mapping) else layer for layer in given)
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ArgumentTypeError(f"expected layers in Residual such as pynn.Dense(10); received {layer!r}")
        if not layers:
            raise ArgumentValueError("expected Residual.layers with at least one layer; received none")
        object.__setattr__(self, "layers", layers)

    def to_dict(self) -> dict[str, Any]:
        return {"layer": self.kind, "layers": [layer.to_dict() for layer in self.layers]}


@dataclass(frozen=True, repr=False)
class Categorical(Layer):
    """Columns of codes 0, 1, 2, ... become columns to learn from; the other columns come first, as they are.

    Each code column has a slot for every code and slot 0 for what is unknown: codes beyond those of training, negative
    ones, NaN, anything that is no integer.

    Parameters
    ----------
    columns : sequence of int
        Which columns of the layer's input hold codes.
    dimension : int, optional
        None: one-hot, a column for each slot. Else each slot has so many numbers, learned (an embedding).
    sizes : sequence of int, optional
        How many codes each of `columns` has. None: `fit` and `adapt` take the largest code of the data + 1.
    embeddings_initializer : str or initializer
        What embeddings start from.
    vocabularies : sequence of sequences of str, optional
        Names of the codes of each column, code 0 first: kept in the model file, for those who code text.
    """

    kind: ClassVar[str] = "categorical"

    columns: tuple[int, ...]
    dimension: int | None = None
    sizes: tuple[int, ...] | None = None
    embeddings_initializer: Any = "random_uniform"
    vocabularies: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        columns = _columns("Categorical.columns", self.columns)
        order = sorted(range(len(columns)), key=columns.__getitem__)  # the library has them in ascending order
        names = self.vocabularies
        if names is not None:
            names = tuple(tuple(map(str, column)) for column in names)
        sizes = tuple(map(len, names)) if names is not None and self.sizes is None else self.sizes
        if sizes is not None:
            sizes = _integers("Categorical.sizes", sizes, 1)
        for name, given in (("sizes", sizes), ("vocabularies", names)):
            if given is not None and len(given) != len(columns):
                raise ArgumentValueError(
                    f"expected Categorical.{name} for each of {len(columns)} columns; received {name} for {len(given)}"
                )
        if names is not None and tuple(map(len, names)) != sizes:
            raise ArgumentValueError(
                f"expected Categorical.vocabularies of sizes {sizes}; received {tuple(map(len, names))} names"
            )
        if self.dimension is not None:
            self._check("dimension")
            if not self.dimension:
                raise ArgumentValueError("expected Categorical.dimension >= 1, or None; received dimension=0")
        object.__setattr__(self, "columns", tuple(columns[i] for i in order))
        object.__setattr__(self, "sizes", None if sizes is None else tuple(sizes[i] for i in order))
        object.__setattr__(self, "vocabularies", None if names is None else tuple(names[i] for i in order))
        initializer = initializers.get(self.embeddings_initializer, "embeddings_initializer")
        object.__setattr__(self, "embeddings_initializer", initializer)

    @property
    def core(self) -> dict[str, Any]:
        if self.sizes is None:
            raise NotReadyError("expected Categorical.sizes, or data to learn them from: call fit or adapt(X) first")
        return {
            "kind": (self.kind, {"dimension": self.dimension or 0}),
            "kernel_initializer": self.embeddings_initializer.core,
            "columns": self.columns,
            "sizes": self.sizes,
        }

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Categorical:
        name, numbers = layer["kernel_initializer"]
        dimension = int(layer["kind"][1]["dimension"]) or None
        return cls(layer["columns"], dimension, layer["sizes"], {"name": name, **numbers})


def flatten(layers: Iterable[Layer]) -> list[Layer]:
    """The layers in a row, residual blocks as their layers and an `Add`."""
    flat: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Residual):
            flat.append(layer)
            continue
        block = flatten(layer.layers)
        flat += [*block, Add(len(block))]
    return flat


def nest(layers: Iterable[Layer]) -> list[Layer]:
    """What `flatten` was given."""
    nested: list[tuple[Layer, int]] = []  # a layer and how many it is in a row
    for layer in layers:
        if not isinstance(layer, Add):
            nested.append((layer, 1))
            continue
        count, block = 0, list[Layer]()
        while count < layer.layers and nested:
            inner, n = nested.pop()
            block.insert(0, inner)
            count += n
        if count != layer.layers:
            raise ArgumentValueError(f"expected blocks one in another or after another; received {layer!r}")
        nested.append((Residual(tuple(block)), count + 1))
    return [layer for layer, _ in nested]


def tolerates(layers: Iterable[Layer], column: int) -> tuple[bool, bool]:
    """Whether a column of X may hold NaN, and infinities."""
    for layer in layers:
        if isinstance(layer, Normalization):
            if layer.columns is None or column in layer.columns:
                return layer.missing != "error", layer.clip is not None
        elif isinstance(layer, Categorical):
            return (True, True) if column in layer.columns else (False, False)
        elif not isinstance(layer, (Dropout, GaussianNoise)):
            break
    return False, False


for _cls in Layer.__subclasses__():
    list_arguments_of(_cls)


def _kinds() -> dict[str, type[Layer]]:
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


def check_names(layers: Iterable[Layer]) -> None:
    """Custom activations are told apart by their names, in files for instance."""
    named: dict[str, Any] = {}
    for layer in layers:
        activation = getattr(layer, "activation", None)
        if isinstance(activation, activations.Custom) and named.setdefault(activation.name, activation) != activation:
            raise ArgumentValueError(
                f"expected another name for each custom activation; received two with name={activation.name!r}"
            )


def with_functions(values: Mapping[str, Any], custom: Any) -> dict[str, Any]:
    """What `Layer.to_dict` gave, with activations from `custom` in place of the names of custom ones."""
    activation, inner = values.get("activation"), values.get("layers")
    found = dict(values)
    if isinstance(activation, Mapping) and activation.get("custom"):
        found["activation"] = activations.resolve(str(activation["name"]), custom)
    if isinstance(inner, (list, tuple)):
        found["layers"] = [with_functions(layer, custom) for layer in inner]
    return found


def from_core(layer: Mapping[str, Any]) -> Layer:
    """The layer that `Layer.core` described."""
    return _kinds()[layer["kind"][0]].from_core(layer)
