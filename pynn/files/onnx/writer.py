"""Write a network as an ONNX graph: its inputs, its layers, and what follows the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...activations import Custom
from ...data import Schema
from ...data.schema import is_number
from ...errors import ArgumentValueError, UnsupportedError
from ...network import fills, precision
from ...network.network import Network
from .activations import activate
from .graph import Graph
from .layers import add_layer

__all__ = ["Writer", "category_numbers"]

ENCODERS = "ai.onnx.ml"  # the domain of LabelEncoder


def category_numbers(values: Sequence[Any]) -> list[float] | None:
    """Return categories as numbers; None where any is text that is not written as numbers are: "00501" is none."""
    numbers = [float(value) for value in values if not isinstance(value, str) or is_number(value)]
    plain = [str(int(number)) if number.is_integer() else str(number) for number in numbers]
    same = [str(value) in (text, str(number)) or not isinstance(value, str)
            for value, text, number in zip(values, plain, numbers, strict=False)]  # fmt: skip
    return numbers if len(numbers) == len(values) and all(same) else None


class Writer:
    """A network as nodes of a graph.

    Parameters
    ----------
    trained : Network
    opset : int
    batch : int or None
    gemm : bool
        False: a matrix product and an addition in place of Gemm.
    logits : bool
        True: what the last layer gives, without the link and the scaling of targets.

    Attributes
    ----------
    network : Network
        What is written: a layer may have been added, that fills cells in.
    by_column : bool
        Whether each column of a table is an input of its own.
    taken : list of str
        What each layer so far takes.
    """

    def __init__(self, trained: Network, opset: int, batch: int | None, gemm: bool, logits: bool) -> None:
        self.trained, self.gemm, self.logits = trained, gemm, logits
        self.schema: Schema | None = trained.schema
        core, self._added = trained.core, None
        if self.schema is not None and self.schema.fill is not None:
            core, changed = fills.with_fills(core, self.schema.fill)
            self._added = changed["at"]
        self.network = Network.of_core(core)
        self._refuse_custom()
        self._tensors = self.network.tensors
        self.graph = Graph(opset, trained.dtype, batch)
        self.by_column = self.schema is not None and self.schema.reads_tables and bool(self.schema.names)
        first = self.network.specs[0].kind == "normalization"
        double = precision.reads_in_double(core) or (self.by_column and first)
        self.input_dtype = np.dtype(np.float64) if double else trained.dtype
        self.taken: list[str] = []

    def _refuse_custom(self) -> None:
        for index, spec in enumerate(self.trained.specs):
            activation = getattr(spec, "activation", None)
            if isinstance(activation, Custom):
                raise UnsupportedError(
                    f"expected activations that ONNX can hold; received layer {index} with the custom activation "
                    f"{activation.name!r}: its code cannot be written into a file"
                )
        if not np.isfinite(self.trained.parameters).all():
            raise ArgumentValueError("expected a model with finite parameters; received NaN or infinity among them")

    # ---- tensors

    def tensors(self, index: int, *names: str) -> list[np.ndarray]:
        """Return tensors of a layer."""
        return [self._tensors[index, name] for name in names]

    def parameter(self, index: int, name: str) -> str:
        """Add a layer's parameter, under the index that the layer has in the user's model."""
        return self.graph.constant(f"layers.{self.own_index(index)}.{name}", self._tensors[index, name])

    def own_index(self, index: int) -> int:
        """Return the index that a layer has in the user's model."""
        return index - (self._added is not None and index > self._added)

    # ---- the graph

    def write(self) -> Graph:
        """Add all nodes."""
        value = self._inputs()
        for index, spec in enumerate(self.network.specs):
            added = index == self._added
            self.graph.scope = f"{'fills' if added else f'layers.{self.own_index(index)}'}.{spec.kind}"
            if spec.kind != "normalization":
                value = self.graph.cast(value, self.graph.dtype)
            self.taken.append(value)
            value = self._activated(index, spec, add_layer(self, index, spec, value))
        self.graph.scope = "output"
        self.graph.output(*self._ending(self.graph.cast(value, self.graph.dtype)))
        return self.graph

    @property
    def link(self) -> str:
        """The activation between the last layer and predictions."""
        loss = self.trained.loss
        return "linear" if loss is None else str(loss.row["link"])

    def _activated(self, index: int, spec: Any, value: str) -> str:
        activation = getattr(spec, "activation", None) if spec.kind in ("dense", "activation") else None
        last = index == len(self.network.specs) - 1
        if activation is None or (last and activation.name == self.link):
            return value  # the link stands in its place
        return activate(self.graph, activation.name, list(activation.core[1].values()), value)

    def _ending(self, value: str) -> tuple[str, str]:
        """Return the name of the output, and its value."""
        if self.logits:
            return "logits", value
        value = activate(self.graph, self.link, [], value)
        core = self.trained.core
        if core.target_scaling:
            shift, spread = self.tensors(-1, "target_shift", "target_spread")
            if precision.scales_in_double(core):
                value = self.graph.cast(value, np.float64)
            dtype = self.graph.type_of(value)
            value = self.graph.node("Mul", value, self.graph.local("target_spread", spread, dtype))
            value = self.graph.node("Add", value, self.graph.local("target_shift", shift, dtype))
        return "predictions", value

    # ---- inputs

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Columns of X, or timesteps and features."""
        shape = getattr(self.trained, "row_shape", self.trained.inputs)
        return shape if isinstance(shape, tuple) else (shape,)

    def _inputs(self) -> str:
        if not self.by_column:
            return self.graph.input("X", self.input_dtype, *self.row_shape)
        assert self.schema is not None
        names = [column.name or f"column_{index}" for index, column in enumerate(self.schema.columns)]
        self.graph.reserve(names)
        values = [self._column(name, column.values) for name, column in zip(names, self.schema.columns, strict=True)]
        return self.graph.node("Concat", *values, width=len(values), axis=1)

    def _column(self, name: str, values: tuple[Any, ...] | None) -> str:
        """Add the input for a column: numbers, or categories that become codes 1, 2, ..., and 0 for all others."""
        graph = self.graph
        if values is None:
            return graph.input(name, self.input_dtype, 1)
        numbers = category_numbers(values)
        if numbers is None:
            graph.domains[ENCODERS] = 3
            texts = [value if isinstance(value, str) else str(value) for value in values]
            text = graph.input(name, str, 1)
            codes = graph.node(
                "LabelEncoder", text, dtype=np.float32, domain=ENCODERS, keys_strings=texts, default_float=0.0,
                values_floats=[float(code) for code in range(1, len(texts) + 1)],
            )  # fmt: skip
            return graph.cast(codes, self.input_dtype)
        number = graph.input(name, np.float64, 1)
        known = np.array(numbers, np.float64)
        ordered = np.arange(1, len(known) + 1)[:, None]
        graph.scope = f"input.{name}"
        same = graph.node("Equal", number, graph.local("values", known, np.float64), width=len(known), dtype=bool)
        code = graph.node(
            "MatMul",
            graph.cast(same, self.input_dtype),
            graph.local("codes", ordered, self.input_dtype),
            width=1,
        )
        graph.scope = "input"
        return code
