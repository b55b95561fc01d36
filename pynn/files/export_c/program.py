"""The pieces of a header: constants, the functions needed, and the calls that make a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import _core, losses
from ...data import Schema
from ...errors import ArgumentTypeError, ArgumentValueError, UnsupportedError
from ...network import fills, precision
from ...network.network import Network, assemble
from . import amalgamate, layers
from .literals import literal, real, wrapped
from .values import Value, place

__all__ = ["Program"]

SIZES = {"int8_t": 1, "int32_t": 4, "float": 4, "double": 8}
CLASSES = ("softmax", "sigmoid")  # links whose predictions are probabilities of classes


class Program:
    """A model as C, layer by layer.

    Parameters
    ----------
    trained : Network
    prefix : str
        Of every name in the header, without its underscore.
    weights : "float32", "float64" or "int8"
        What the header keeps weights as; it computes in double for "float64", in float for the others.

    Attributes
    ----------
    real, input_type, output_type : "float" or "double"
        What the header computes in, takes and gives: the last two are doubles where the data need them.
    """

    def __init__(self, trained: Network, prefix: str, weights: str) -> None:
        self.schema: Schema | None = trained.schema
        fill = None if self.schema is None else self.schema.fill
        self.core = trained.core if fill is None else fills.with_fills(trained.core, fill)[0]
        self.prefix, self.int8, self.name = f"{prefix}_", weights == "int8", prefix
        self.inputs, self.outputs = trained.inputs, self.core.outputs
        self.real = "double" if weights == "float64" else "float"
        self.dtype = np.dtype(np.float64 if weights == "float64" else np.float32)
        self.parameters = np.array(trained.parameters, self.dtype)
        self.state = np.array(self.core.state, np.float64)
        if not np.isfinite(self.parameters).all():
            raise ArgumentValueError("expected a model with finite parameters; received NaN or infinity among them")
        self.exact = self.parameters.copy()  # what the header's weights stand for: int8 ones differ
        self.constants: list[str] = []
        self.flash_bytes, self.scratch = 0, 0
        self.scalars: list[str] = []  # functions from the library's kernels
        self.helpers: set[str] = set()  # names of HELPERS
        self.values = [Value(self.inputs, -1, -1, "x")]
        self.calls: list[tuple[str, list[Value], Value]] = []  # text, what it reads, what it writes
        self.after: list[Value] = []  # for each layer so far, the value behind it
        self.labels: list[str] = []
        self.link: str | None = None
        self.ending: list[str] = []  # of predict, after raw
        self.input_type = "double" if layers.inputs_need_double(self) else self.real
        self.output_type = "double" if self._scales_in_double() else self.real

    # ---- constants

    def constant(self, kind: str, name: str, values: np.ndarray) -> str:
        """Add an array of int8_t, int32_t, float or double, and return its name."""
        full = f"{self.prefix}{name}"
        flat = np.asarray(values).ravel()
        body = wrapped([literal(kind, v) for v in flat], 24 if kind == "int8_t" else 8)
        self.constants.append(f"{self.macro('CONSTANT')} {kind} {full}[{flat.size}] = {{\n  {body}}};\n")
        self.flash_bytes += SIZES[kind] * flat.size
        return full

    def macro(self, name: str) -> str:
        """Return the name of a macro of the header."""
        return f"{self.prefix}{name}".upper()

    def optional(self, kind: str, index: int, tensors: dict[str, np.ndarray], name: str) -> str:
        """Add a tensor that a layer may have, and return its name or 0."""
        return self.constant(kind, f"{name}_{index}", tensors[name]) if name in tensors else "0"

    def tensors(self, layer: int) -> dict[str, np.ndarray]:
        """Return the parameters and the state of a layer by name."""
        return {
            name: vector[offset : offset + rows * columns].reshape(rows, columns)
            for vector, places in ((self.parameters, self.core.tensors), (self.state, self.core.states))
            for name, index, offset, rows, columns in places
            if index == layer
        }

    # ---- calls

    def add_layers(self) -> None:
        """Add every layer, then what follows the last."""
        specs: list[Any] = list(self.core.layers)
        loss = self.core.loss
        self.link = None if loss is None else str(losses.get({"name": loss[0], **loss[1]}).row["link"])
        for index, spec in enumerate(specs):
            layers.add(self, index, spec)
            activation = spec.get("activation")
            is_link = index == len(specs) - 1 and spec["kind"][0] == "dense" and activation
            if activation is not None and not (is_link and activation[0] == self.link):
                self._activate(activation)
            self.after.append(self.values[-1])
        if len(self.values) == 1:
            self.call(f"for (size_t i = 0; i < {self.inputs}; i++) {{out}}[i] = (P_real){{in}}[i];", self.inputs)
        self.scratch = place(self.values)
        if self.link not in (None, "linear"):
            self._need_activation(str(self.link))
            self.ending.append(self._activation_call(str(self.link), []))
        self._add_target_scaling()

    def call(self, text: str, size: int, *, in_place: bool = False, other: Value | None = None) -> None:
        """Add a call from the last value ({in}, and {other}) to a new one ({out}) of `size` numbers.

        The new one may be the same memory when `in_place`.
        """
        source, now = self.values[-1], len(self.calls)
        reads = [source] if other is None else [source, other]
        for value in reads:
            value.last_use = now
        made = Value(size, now, now)
        if in_place and source.where != "x":
            made.shares = source
        self.values.append(made)
        self.calls.append((text, reads, made))

    def statements(self) -> list[str]:
        """Return the calls, with their places."""
        out = []
        for text, reads, made in self.calls:
            places = {"{in}": reads[0], "{other}": reads[-1], "{out}": made}
            for mark, value in places.items():
                text = text.replace(mark, value.root().where)
            out.append(text)
        return out

    def _scales_in_double(self) -> bool:
        """Tell whether scaled targets need double where the header computes in float."""
        if not self.core.target_scaling or self.real == "double":
            return False
        tensors = self.tensors(-1)
        return precision.needs_double(tensors["target_shift"], tensors["target_spread"])

    def _add_target_scaling(self) -> None:
        if not self.core.target_scaling:
            return
        tensors = self.tensors(-1)
        shift, spread = (self.constant("double", name, tensors[name]) for name in ("target_shift", "target_spread"))
        source = "z" if self.output_type != self.real else "y"
        self.ending.append(
            f"for (size_t i = 0; i < {self.outputs}; i++) "
            f"y[i] = (P_output)((double){source}[i] * {spread}[i] + {shift}[i]);"
        )

    # ---- activations

    def _need_activation(self, name: str) -> None:
        scalar = f"{name}_value"
        if amalgamate.has_function(scalar, self.real):
            self.scalars.append(scalar)
        elif name == "softmax":
            self.scalars.append("row_exp")
            self.helpers.add("softmax")
        elif name != "linear":
            raise UnsupportedError(f"expected an activation that can be exported; received {name!r}")

    def _activate(self, activation: tuple[str, Any]) -> None:
        name, numbers = activation
        self._need_activation(name)
        if name != "linear":
            n = self.values[-1].size
            self.call(self._activation_call(name, list(numbers.values()), "{in}", "{out}", n), n, in_place=True)

    def _activation_call(self, name: str, numbers: list[float], x: str = "y", y: str = "y", n: int = 0) -> str:
        n = n or self.outputs
        if name == "softmax":
            return f"{self.prefix}softmax({n}, {x}, {y});"
        a = (real(numbers[0]) if self.real == "float" else repr(float(numbers[0]))) if numbers else "0"
        return f"for (size_t i = 0; i < {n}; i++) {y}[i] = {self.prefix}{name}_value({x}[i], {a});"

    # ---- classes

    @property
    def several(self) -> bool:
        """Whether each output is a yes or no of its own."""
        last = self.core.layers[-1].get("activation", ("linear",))[0]
        return self.outputs > 1 and (self.link == "sigmoid" or (self.link is None and last == "sigmoid"))

    @property
    def classes(self) -> int:
        """Number of names that outputs can have."""
        return self.outputs if self.outputs > 1 else 2

    @property
    def classifies(self) -> bool:
        """Whether the header says which class a row is of."""
        return bool(self.labels) or self.link in CLASSES or (self.link is None and self.outputs > 1)

    def add_labels(self, labels: Sequence[str] | None) -> None:
        """Name the classes: as the caller does, or as the targets trained on did."""
        known = None if self.schema is None else self.schema.classes
        if labels is None:
            fits = known is not None and not self.several and len(known) == self.classes
            self.labels = list(map(str, known)) if known is not None and fits and self.classifies else []
            return
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
            raise ArgumentTypeError(f"expected labels as a sequence of strings; received labels={labels!r}")
        if len(labels) != self.classes:
            raise ArgumentValueError(f"expected {self.classes} labels, one for each class; received {len(labels)}")
        self.labels = list(labels)

    # ---- the same model in the library

    def reference(self) -> _core.Model:
        """Return a model with the weights as the header holds them."""
        context = _core.Context(cpu="baseline", threads=1)
        core = assemble(self.inputs, self.core.layers, self.dtype.name, 0, self.core.target_scaling, context)
        np.asarray(core.parameters)[...] = self.exact
        if self.state.size:
            np.asarray(core.state)[...] = self.state
        if self.core.loss is not None:
            core.set_loss(self.core.loss)
        return core

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return what the header predicts, as the library computes it."""
        given = x.astype(np.float64 if self.input_type == "double" else np.float32)
        out = np.empty((len(x), self.outputs), np.float64 if self.output_type == "double" else np.float32)
        precision.predict(self.reference(), given, out)
        return out
