"""Build an ONNX graph node by node; every value has a name, a type and a width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import checks

__all__ = ["Graph", "onnx_package"]


def onnx_package() -> Any:
    """Return the onnx package, which ONNX needs and nothing else."""
    return checks.package("onnx", "onnx", "to read and write ONNX")


class Graph:
    """An ONNX graph of values of shape (rows, width).

    Parameters
    ----------
    opset : int
    dtype : numpy dtype
        Of the layers' values, unless a node says otherwise.
    batch : int or None
        Rows of every value; None: any number.

    Attributes
    ----------
    scope : str
        What names of nodes and values begin with: a layer's name.
    """

    def __init__(self, opset: int, dtype: np.dtype, batch: int | None) -> None:
        self.onnx, self.opset, self.dtype, self.batch = onnx_package(), opset, np.dtype(dtype), batch
        self.scope = "input"
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.domains = {"": opset}
        self._values: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}  # dtype of what nodes give, and shape of a row
        self._infos: list[Any] = []
        self._scalars: dict[tuple[str, bytes], str] = {}
        self._taken: set[str] = set()

    # ---- names

    def reserve(self, names: Sequence[str]) -> None:
        """Keep names from being given to values of layers."""
        self._taken |= set(names)

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    # ---- values

    def width(self, value: str) -> int:
        """Return the number of columns of a value, or of its timesteps side by side."""
        return math.prod(self._values[value][1])

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a row: columns, or timesteps and features."""
        return self._values[value][1]

    def type_of(self, value: str) -> np.dtype:
        """Return the dtype of a value."""
        return self._values[value][0]

    def constant(self, name: str, array: Any, dtype: Any = None) -> str:
        """Add an initializer, and return its name."""
        name = self._name(name)
        values = np.ascontiguousarray(array, dtype or self.dtype).reshape(np.shape(array))
        self.initializers.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def local(self, name: str, array: Any, dtype: Any = None) -> str:
        """Add an initializer that is named after the scope."""
        return self.constant(f"{self.scope}.{name}", array, dtype)

    def scalar(self, value: float, dtype: Any = None) -> str:
        """Add a number, once for each value, and return its name."""
        array = np.array(value, dtype or self.dtype)
        key = array.dtype.str, array.tobytes()
        if key not in self._scalars:
            self._scalars[key] = self.constant(f"constants.{float(array):.9g}.{array.dtype.name}", array, array.dtype)
        return self._scalars[key]

    def input(self, name: str, dtype: Any, *shape: int) -> str:
        """Add an input of the graph, with the shape of a row; a dtype of str is text."""
        self.inputs.append(self._info(name, dtype, shape))
        self._values[name] = (np.dtype(dtype), shape)
        return name

    def node(
        self, op: str, *inputs: Any, width: int | None = None, dtype: Any = None, shape: Any = None, domain: str = "",
        **attributes: Any,
    ) -> str:  # fmt: skip
        """Add a node of one output, and return the output's name.

        Parameters
        ----------
        inputs : names or numbers
            Numbers become scalars of the first value's dtype.
        width : int, optional
            Columns of the output; the first value's by default.
        dtype : dtype, optional
            Of the output; the first value's by default.
        shape : sequence of int, optional
            Shape of a row of the output, where it has more dimensions than one.
        """
        first = next(value for value in inputs if value in self._values)
        of = self._values[first][0]
        names = [value if isinstance(value, str) else self.scalar(value, of) for value in inputs]
        name = self._name(f"{self.scope}.{op}")
        shape = tuple(shape) if shape is not None else self._values[first][1] if width is None else (width,)
        self.nodes.append(self.onnx.helper.make_node(op, names, [name], name=name, domain=domain, **attributes))
        self._values[name] = (np.dtype(dtype or of), shape)
        self._infos.append(self._info(name, dtype or of, shape))
        return name

    def several(
        self, op: str, inputs: Sequence[str], shapes: Sequence[Sequence[int | None]], **attributes: Any
    ) -> list[str]:
        """Add a recurrent node, and return the names of its outputs; None in a shape stands for the rows."""
        name = self._name(f"{self.scope}.{op}")
        outputs = [self._name(f"{name}.{index}") for index in range(len(shapes))]
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outputs, name=name, **attributes))
        for output, shape in zip(outputs, shapes, strict=True):
            self._values[output] = (self.dtype, ())
            self._infos.append(self._info(output, self.dtype, shape, rows_first=False))
        return outputs

    def turned(self, value: str, order: Sequence[int], sizes: Sequence[int | None]) -> str:
        """Exchange dimensions; None in the sizes of the output stands for the rows."""
        name = self._name(f"{self.scope}.Transpose")
        self.nodes.append(self.onnx.helper.make_node("Transpose", [value], [name], name=name, perm=list(order)))
        self._values[name] = (self.dtype, tuple(size for size in sizes if size is not None))
        self._infos.append(self._info(name, self.dtype, sizes, rows_first=False))
        return name

    def cast(self, value: str, dtype: Any) -> str:
        """Convert a value; the same one where it has the dtype."""
        if self.type_of(value) == np.dtype(dtype):
            return value
        return self.node("Cast", value, dtype=dtype, to=self._code(dtype))

    def output(self, name: str, value: str) -> None:
        """Make a value an output of the graph, by a name."""
        dtype, shape = self._values[value]
        name = self._name(name)
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(self._info(name, dtype, shape))

    def _code(self, dtype: Any) -> int:
        kind = np.dtype(dtype)
        return int(
            self.onnx.TensorProto.STRING if kind.kind == "U" else self.onnx.helper.np_dtype_to_tensor_dtype(kind)
        )

    def _info(self, name: str, dtype: Any, shape: Sequence[int | None], rows_first: bool = True) -> Any:
        rows: Any = "batch" if self.batch is None else self.batch
        sizes = [rows, *shape] if rows_first else [rows if size is None else size for size in shape]
        return self.onnx.helper.make_tensor_value_info(name, self._code(dtype), sizes)

    # ---- the whole

    def model(self, ir_version: int, producer: str, version: str, metadata: dict[str, str]) -> Any:
        """Return the graph as a ModelProto."""
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, producer, self.inputs, self.outputs, self.initializers, value_info=self._infos
        )
        model = helper.make_model(
            graph, ir_version=ir_version, producer_name=producer, producer_version=version,
            opset_imports=[helper.make_opsetid(domain, number) for domain, number in self.domains.items()],
        )  # fmt: skip
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value)
        return model
