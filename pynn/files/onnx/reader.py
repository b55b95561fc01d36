"""Walk an ONNX graph from its input to its output, and collect the steps of the chain."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ...activations import get
from ...errors import UnsupportedError
from .chain import Activate, Affine, Chain, Clip, Dense
from .elementwise import POINTS, identify
from .operators import OPERATORS
from .source import Node, Source, refuse
from .values import Columns, Constant, Expression, Labels, Pair, Stream, Value

__all__ = ["Reader"]


class Reader:
    """The values of a graph, by name, and the steps that they took.

    Attributes
    ----------
    chain : Chain
    classes : tuple or None
        Names of the classes, where the graph has them.
    columns : tuple of str
        Names of the inputs that are columns of the whole.
    notes : list of str
        What the model does otherwise than the graph.
    """

    def __init__(self, source: Source, output: str | None = None, eager: bool = False) -> None:
        self.source, self.chain, self.eager = source, Chain(), eager
        self.classes: tuple[Any, ...] | None = None
        self.columns: tuple[str, ...] = ()
        self.notes: list[str] = []
        self.log_softmax: Stream | None = None
        self.batch: int | None = None
        self.inputs: int | None = None
        self._values: dict[str, Value] = {}
        self._missing: dict[str, Node] = {}  # outputs that nodes have, and no layer gives
        self._outputs = self._wanted(output)
        needed = self._needed()
        self._take_inputs(needed)
        for node in source.nodes:
            if needed.intersection(node.outputs):
                self._compute(node)
        self.end = self._end()

    # ---- what is wanted

    def _wanted(self, output: str | None) -> list[str]:
        if output is None:
            return self.source.outputs
        known = {*self.source.outputs, *(name for node in self.source.nodes for name in node.outputs if name)}
        if output not in known:
            listed = ", ".join(map(repr, self.source.outputs))
            raise UnsupportedError(f"expected output as one of {listed}, or another value; received output={output!r}")
        return [output]

    def _needed(self) -> set[str]:
        """Return the names that outputs depend on."""
        needed = set(self._outputs)
        for node in reversed(self.source.nodes):
            if needed.intersection(node.outputs):
                needed.update(filter(None, node.inputs))
        return needed

    def _take_inputs(self, needed: set[str]) -> None:
        names = [name for name in self.source.inputs if name in needed]
        if not names:
            raise UnsupportedError("expected a graph whose outputs depend on an input; received none that do")
        for name in names:
            dtype, sizes = self.source.inputs[name]
            if dtype is None:
                raise UnsupportedError(f"expected inputs of numbers; received {name!r}, which is none")
            if sizes is not None and len(sizes) < 2:
                raise UnsupportedError(f"expected inputs of rows and columns; received {name!r} of shape {sizes}")
            sizes = [None, None] if sizes is None else [size or None for size in sizes]
            self.batch = sizes[0]
            whole = Stream(0, tuple(sizes[1:]))
            self._values[name] = whole if len(names) == 1 else Columns([name], whole.width or 1)
        if len(names) == 1:
            self.inputs = whole.width

    def _end(self) -> Stream:
        """Return the stream that the graph ends in."""
        found = {name: self._value(name) for name in self._outputs}
        found = {name: value for name, value in found.items() if not isinstance(value, Labels)}
        if len(found) != 1:
            raise UnsupportedError(
                f"expected one output; received {', '.join(map(repr, found)) or 'labels alone'}: choose one of them "
                "with pynn.from_onnx(..., output=...)"
            )
        ((name, value),) = found.items()
        end = Node(name, "output", "", (name,), (), {})
        stream = self.settled(end, value)
        if self.log_softmax is not None and self.log_softmax.position != stream.position:
            raise refuse(end, "something follows a LogSoftmax")
        if stream.turned or len(stream.sizes) > 1 or stream.position != len(self.chain.steps):
            raise refuse(end, "it is not rows of numbers that the last layer gives")
        return stream

    # ---- values

    def _value(self, name: str) -> Value:
        if name in self._missing:
            raise refuse(self._missing[name], f"its output {name!r} is none that layers give")
        if name not in self._values:
            self._values[name] = Constant(self.source.tensors[name].array())
        return self._values[name]

    def value(self, node: Node, index: int) -> Value | None:
        """Return an input of a node; None where it is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        return self._value(node.inputs[index])

    def given(self, node: Node, index: int) -> Value:
        """Return an input of a node that has to be there."""
        found = self.value(node, index)
        if found is None:
            raise refuse(node, f"its input {index} is missing")
        return found

    def constant(self, node: Node, index: int) -> np.ndarray:
        """Return an input of a node that has to be constant."""
        found = self.given(node, index)
        if not isinstance(found, Constant):
            raise refuse(node, f"its input {index} depends on the data")
        return found.array

    def numbers(self, node: Node, index: int) -> np.ndarray:
        """Return an input of a node that has to be constant finite floats."""
        found = self.constant(node, index)
        if found.dtype.kind != "f" or not np.isfinite(found).all():
            raise refuse(node, f"its input {index} is not finite numbers of float or double")
        return found

    def stream(self, node: Node, index: int) -> Stream:
        """Return an input of a node that has to depend on the data."""
        return self.settled(node, self.given(node, index))

    def settled(self, node: Node, value: Value) -> Stream:
        """Return the stream of a value; what was a function of numbers becomes a step.

        Raises
        ------
        UnsupportedError
            A function that is no activation of pynn.
        """
        if isinstance(value, Stream):
            return value
        if isinstance(value, Pair):
            return self._paired(node, value)
        if isinstance(value, Columns):
            raise refuse(node, f"it takes {value.names[0]!r}, one of several inputs that no Concat joins as columns")
        if not isinstance(value, Expression):
            raise refuse(node, "its input is not rows of numbers")
        if value.settled is None:
            value.settled = self._settle(node, value)
        return value.settled

    def _settle(self, node: Node, value: Expression) -> Stream:
        if value.line == (1.0, 0.0):
            return value.stream
        if value.line is not None:
            scale, shift = (np.array([number]) for number in value.line)
            return self.add(node, value.stream, Affine(node.name, scale, shift))
        activation = identify(value.values)
        if activation is not None:
            return self.add(node, value.stream, Activate(node.name, activation))
        if value.cut is not None:
            return self.add(node, value.stream, Clip(node.name, value.cut))
        raise refuse(value.node or node, "what it gives is no activation that pynn has")

    def _paired(self, node: Node, value: Pair) -> Stream:
        """Return softmax(0, z), which is 1 - sigmoid(z) and sigmoid(z)."""
        if value.settled is None:
            two = Dense(node.name, np.array([[0, 1]], np.float32))
            stream = self.add(node, value.stream, two, (2,))
            value.settled = self.add(node, stream, Activate(node.name, get("softmax")))
        return value.settled

    # ---- steps

    def add(self, node: Node, stream: Stream, step: Any, sizes: tuple[int | None, ...] | None = None) -> Stream:
        """Add a step behind a stream, which has to be the end of the chain."""
        if stream.position != len(self.chain.steps):
            raise refuse(node, "its input is used by other nodes too, which is no residual block")
        return Stream(self.chain.add(step), stream.sizes if sizes is None else sizes, stream.turned)

    def expression(self, value: Value, node: Node) -> Expression:
        """Return a stream as a function of its numbers."""
        if isinstance(value, Expression) and value.settled is None:
            return value
        return Expression(self.settled(node, value), POINTS.copy(), (1.0, 0.0))

    def rows(self, node: Node, index: int) -> Stream:
        """Return an input of a node that has to be rows of columns, and the end of the chain."""
        found = self.stream(node, index)
        if len(found.sizes) != 1:
            raise refuse(node, f"its input has {len(found.sizes) + 1} dimensions, not rows and columns")
        return found

    def take_classes(self, node: Node, classes: Sequence[Any]) -> None:
        """Keep the names of the classes, which all nodes have to give alike."""
        found = tuple(value.item() if hasattr(value, "item") else value for value in classes)
        if self.classes is not None and self.classes != found:
            raise refuse(node, "it names other classes than another node")
        self.classes = found

    def _compute(self, node: Node) -> None:
        domain = "" if node.domain == "ai.onnx" else node.domain
        row = OPERATORS.get((domain, node.op))
        if row is None:
            raise refuse(node, "no layer computes this operator")
        unknown = set(node.attributes) - row.attributes
        if unknown:
            raise refuse(node, f"its attribute {min(unknown)!r} is not known")
        if not row.least <= len(node.inputs) <= row.most:
            raise refuse(node, f"it has {len(node.inputs)} inputs")
        with np.errstate(all="ignore"):
            found = row.function(self, node)
        values = found if isinstance(found, list) else [found]
        for name, value in zip_longest(node.outputs, values[: len(node.outputs)]):
            if value is None:
                self._missing[name] = node
            else:
                self._values[name] = value
                if isinstance(value, Expression) and value.node is None:
                    value.node = node
