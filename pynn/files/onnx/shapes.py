"""Operators that change shapes and types, not numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import identify
from .source import Node, Tensor, refuse
from .values import Columns, Constant, Expression, Labels, Missing, Pair, Sizes, Stream, Value

__all__ = ["SHAPES", "joined"]

FLOATS = (1, 11)  # TensorProto.FLOAT, DOUBLE
DTYPES = {1: np.float32, 11: np.float64, 7: np.int64, 6: np.int32, 9: np.bool_}


def _identity(reader: Any, node: Node) -> Value:
    found: Value = reader.given(node, 0)
    return found


def _cast(reader: Any, node: Node) -> Value:
    value, to = reader.given(node, 0), node.attributes.get("to")
    if isinstance(value, (Labels, Sizes)):
        return value
    if isinstance(value, Constant):
        if to not in DTYPES or value.array.dtype.kind == "O":
            raise refuse(node, "it makes something else of a constant than numbers")
        reader.source.budget.take(8 * value.array.size)
        return Constant(value.array.astype(DTYPES[to]))
    if to not in FLOATS or isinstance(value, Missing):
        raise refuse(node, "it makes something else of the data than float or double")
    if isinstance(value, Expression) and value.values.dtype == bool:
        return Expression(value.stream, value.values.astype(np.float64))
    return value


def _constant(reader: Any, node: Node) -> Value:
    if len(node.attributes) != 1:
        raise refuse(node, "it has not one value")
    ((name, value),) = node.attributes.items()
    if name == "value":
        if not isinstance(value, Tensor):
            raise refuse(node, "its value is no tensor")
        return Constant(value.array())
    dtype = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}[name]
    return Constant(np.array(value, dtype))


def _shape(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    if isinstance(value, Constant):
        return Sizes(list(value.array.shape))
    stream = value.stream if isinstance(value, Expression) else reader.settled(node, value)
    if stream.turned or node.attributes.get("start", 0) or "end" in node.attributes or None in stream.sizes:
        raise refuse(node, "it takes sizes that are not known")
    return Sizes([None, *stream.sizes])


def _gather(reader: Any, node: Node) -> Value:
    value, index = reader.given(node, 0), reader.constant(node, 1)
    if isinstance(value, Sizes) and node.attributes.get("axis", 0) == 0 and index.dtype.kind == "i":
        known = len(value.sizes)
        if index.size <= known and all(-known <= int(i) < known for i in index.flat):
            return Sizes([value.sizes[int(i)] for i in index.flat])
    raise refuse(node, "it takes columns out of the data")


def _slice(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    if not isinstance(value, Sizes):
        raise refuse(node, "it takes columns out of the data")
    if "starts" in node.attributes:
        numbers = [node.attributes["starts"], node.attributes.get("ends", [])]
    else:
        numbers = [reader.constant(node, index).tolist() for index in (1, 2)]
    if any(len(part) != 1 for part in numbers) or any(reader.value(node, index) is not None for index in (4,)):
        raise refuse(node, "it takes more than one range")
    return Sizes(value.sizes[int(numbers[0][0]) : int(numbers[1][0])])


def _axes(reader: Any, node: Node) -> list[int] | None:
    if "axes" in node.attributes:
        return list(node.attributes["axes"])
    return None if reader.value(node, 1) is None else [int(i) for i in reader.constant(node, 1).flat]


def _squeeze(reader: Any, node: Node) -> Value:
    value, axes = reader.given(node, 0), _axes(reader, node)
    if isinstance(value, (Sizes, Labels)):
        return value
    if isinstance(value, Constant):
        shape = value.array.shape
        if axes is not None and any(not -len(shape) <= axis < len(shape) or shape[axis] != 1 for axis in axes):
            raise refuse(node, "it removes a dimension that is not 1")
        return Constant(np.squeeze(value.array, None if axes is None else tuple(axes)))
    stream = reader.settled(node, value)
    if stream.turned or stream.sizes != (1,) or axes not in ([1], [-1]):
        raise refuse(node, "it removes another dimension than that of one column")
    return Stream(stream.position, ())


def _unsqueeze(reader: Any, node: Node) -> Value:
    value, axes = reader.given(node, 0), _axes(reader, node)
    if isinstance(value, (Sizes, Labels)):
        return value
    if isinstance(value, Constant) and axes is not None and len(axes) < 8:
        rank = value.array.ndim + len(axes)
        if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
            raise refuse(node, "it adds dimensions where there can be none")
        return Constant(np.expand_dims(value.array, tuple(axes)))
    if isinstance(value, Stream) and value.sizes == () and axes in ([1], [-1]):
        return Stream(value.position, (1,))
    raise refuse(node, "it adds a dimension to the data")


def _flatten(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    axis = node.attributes.get("axis", 1)
    if isinstance(value, Constant):
        shape = value.array.shape
        if not -len(shape) <= axis <= len(shape):
            raise refuse(node, "its axis is none of the constant's")
        axis += len(shape) if axis < 0 else 0
        return Constant(value.array.reshape(math.prod(shape[:axis]), math.prod(shape[axis:])))
    stream = reader.settled(node, value)
    if axis not in (1, -len(stream.sizes)) or stream.turned or (axis != 1 and not stream.sizes):
        raise refuse(node, "it joins the rows of a batch")
    return Stream(stream.position, (stream.width,) if stream.sizes else (1,))


def _reshape(reader: Any, node: Node) -> Value:
    value, shape = reader.given(node, 0), reader.given(node, 1)
    if isinstance(value, Labels):
        return value
    if isinstance(value, Sizes):
        return value
    sizes: list[int | None] = (
        shape.sizes if isinstance(shape, Sizes) else [int(n) for n in reader.constant(node, 1).flat]
    )
    if isinstance(value, Constant):
        return _reshaped(node, value, sizes)
    stream = reader.settled(node, value)
    width = stream.width
    rest = _rest(reader, node, sizes, width)
    if stream.turned or rest is None:
        raise refuse(node, "it joins the rows of a batch, or sizes that are not known")
    return Stream(stream.position, tuple(rest))


def _rest(reader: Any, node: Node, sizes: list[int | None], width: int | None) -> list[int | None] | None:
    """Return the sizes behind the rows; None where the rows are not kept."""
    if not sizes or len(sizes) > 8 or (node.attributes.get("allowzero") and 0 in sizes):
        return None
    first, rest = sizes[0], sizes[1:]
    keeps = first in (None, 0) or (first == reader.batch and first is not None and first > 0)
    if first == -1:  # rows, if the rest takes a whole row
        keeps = width is not None and all(n is not None and n > 0 for n in rest) and math.prod(rest) == width  # type: ignore[arg-type]
    if not keeps or any(n is None or n == 0 or n < -1 for n in rest) or rest.count(-1) > 1:
        return None
    known = math.prod(n for n in rest if n != -1)  # type: ignore[misc]
    if -1 in rest:
        if width is None:
            return [None] if len(rest) == 1 else None
        if width % known:
            return None
        return [width // known if n == -1 else n for n in rest]
    return rest if width is None or known == width else None


def _reshaped(node: Node, value: Constant, sizes: list[int | None]) -> Constant:
    shape = [value.array.shape[i] if n == 0 and i < value.array.ndim else n for i, n in enumerate(sizes)]
    known = math.prod(n for n in shape if n is not None and n != -1)
    left = (
        None not in shape and shape.count(-1) < 2 and len(shape) <= 8 and all(n >= -1 for n in shape if n is not None)
    )
    if not left or (known == 0 and value.array.size) or (value.array.size % known if -1 in shape and known else
                                                         known != value.array.size):  # fmt: skip
        raise refuse(node, f"its constant of shape {value.array.shape} has no shape {sizes}")
    return Constant(value.array.reshape([int(n) for n in shape if n is not None]))


def _transpose(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    order = node.attributes.get("perm")
    if isinstance(value, Constant):
        if order is not None and sorted(order) != list(range(value.array.ndim)):
            raise refuse(node, "its order is none of the constant's dimensions")
        return Constant(np.transpose(value.array, order))
    stream = reader.settled(node, value)
    if len(stream.sizes) != 1 or order not in (None, [1, 0], [0, 1]):
        raise refuse(node, "it turns more than rows and columns")
    return Stream(stream.position, stream.sizes, stream.turned != (order != [0, 1]))


# ---- joined


def joined(reader: Any, node: Node) -> Value:
    """Return what Concat makes: the columns of a table, both probabilities of a sigmoid, sizes, or a constant."""
    values = [reader.given(node, index) for index in range(len(node.inputs))]
    axis = node.attributes.get("axis")
    if all(isinstance(value, Columns) for value in values):
        return _columns(reader, node, values, axis)
    if all(isinstance(value, (Sizes, Constant)) for value in values) and any(isinstance(v, Sizes) for v in values):
        sizes: list[int | None] = []
        for value in values:
            sizes += value.sizes if isinstance(value, Sizes) else [int(n) for n in value.array.flat][:8]
        return Sizes(sizes[:64])
    if all(isinstance(value, Constant) for value in values):
        arrays = [value.array for value in values]
        same = {(array.ndim, array.dtype) for array in arrays}
        rank = arrays[0].ndim
        if len(same) > 1 or not isinstance(axis, int) or not -rank <= axis < rank:
            raise refuse(node, "its constants do not go together")
        reader.source.budget.take(sum(array.nbytes for array in arrays))
        if len({tuple(n for i, n in enumerate(array.shape) if i != axis % rank) for array in arrays}) > 1:
            raise refuse(node, "its constants do not go together")
        return Constant(np.concatenate(arrays, axis))
    return _probabilities(reader, node, values, axis)


def _columns(reader: Any, node: Node, values: list[Any], axis: Any) -> Stream:
    names = tuple(name for value in values for name in value.names)
    if axis not in (1, -1) or reader.columns or len(set(names)) < len(names):
        raise refuse(node, "it does not join the graph's inputs as columns, each once")
    reader.columns, width = names, sum(value.width for value in values)
    if any(value.width != 1 for value in values):
        reader.columns = ()
    reader.inputs = width
    return Stream(0, (width,))


def _probabilities(reader: Any, node: Node, values: list[Any], axis: Any) -> Value:
    """The columns 1 - p and p of one sigmoid, as scikit-learn's classifiers of two classes have them."""
    if len(values) == 2 and axis in (1, -1) and all(isinstance(v, (Expression, Stream)) for v in values):
        less, p = (reader.expression(value, node) for value in values)
        same = less.stream.position == p.stream.position and less.stream.sizes == (1,) and not p.stream.turned
        found = identify(p.values)
        if same and found is not None and found.name == "sigmoid" and np.allclose(less.values, 1 - p.values, 0, 1e-12):
            return Pair(p.stream)
    raise refuse(node, "it joins columns of the data")


SHAPES: dict[str, tuple[Callable[[Any, Node], Any], int, int, set[str]]] = {
    "Identity": (_identity, 1, 1, set()),
    "Cast": (_cast, 1, 1, {"to", "saturate", "round_mode"}),
    "Constant": (_constant, 0, 0, {"value", "value_float", "value_floats", "value_int", "value_ints"}),
    "Shape": (_shape, 1, 1, {"start", "end"}),
    "Gather": (_gather, 2, 2, {"axis"}),
    "Slice": (_slice, 1, 5, {"starts", "ends", "axes"}),
    "Squeeze": (_squeeze, 1, 2, {"axes"}),
    "Unsqueeze": (_unsqueeze, 1, 2, {"axes"}),
    "Flatten": (_flatten, 1, 1, {"axis"}),
    "Reshape": (_reshape, 2, 2, {"allowzero"}),
    "Transpose": (_transpose, 1, 1, {"perm"}),
    "Concat": (joined, 1, 256, {"axis"}),
}
