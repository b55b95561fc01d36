"""Products and arithmetic: matrices become dense layers, numbers for each column what scales it, the rest functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .chain import Affine, Dense, Fill, Skip
from .elementwise import BINARY, COMPARISONS, POINTS, UNARY, identify
from .source import Node, refuse
from .values import Constant, Expression, Missing, Stream, Value

__all__ = [
    "affine", "apply", "binary", "by_columns", "clip", "compare", "fused_gemm", "fused_matmul", "gemm", "matmul",
    "negative", "one_number", "skip", "unary", "where",
]  # fmt: skip

# ---- products


def _product(reader: Any, node: Node, left: int, right: int, turns: tuple[bool, bool], scale: float) -> Stream:
    """Return the product of a stream and a constant, in either order."""
    first, second = reader.given(node, left), reader.given(node, right)
    if isinstance(first, Constant) == isinstance(second, Constant):
        raise refuse(node, "one of its matrices has to be constant, the other not")
    kernel_index, stream_index = (left, right) if isinstance(first, Constant) else (right, left)
    kernel, stream = reader.numbers(node, kernel_index), reader.rows(node, stream_index)
    if kernel.ndim != 2 or not kernel.size:
        raise refuse(node, f"its constant of shape {kernel.shape} is no matrix")
    kernel = kernel.T if turns[kernel_index] else kernel
    turned = stream.turned != turns[stream_index]  # whether columns stand where rows are expected
    if turned != (kernel_index == left):
        raise refuse(node, "it multiplies over the rows of the batch")
    kernel = kernel.T if kernel_index == left else kernel
    reader.source.budget.take(kernel.nbytes if scale != 1 else 0)
    step = Dense(node.name, kernel if scale == 1 else (kernel * np.float64(scale)).astype(kernel.dtype))
    width = stream.sizes[0]
    if width is not None and kernel.shape[0] != width:
        raise refuse(node, f"its matrix has {kernel.shape[0]} inputs, where there are {width}")
    found: Stream = reader.add(node, stream, step, (kernel.shape[1],))
    return Stream(found.position, found.sizes, turned)


def matmul(reader: Any, node: Node) -> Value:
    return _product(reader, node, 0, 1, (False, False), 1.0)


def fused_matmul(reader: Any, node: Node) -> Value:
    a = node.attributes
    if a.get("transBatchA") or a.get("transBatchB"):
        raise refuse(node, "it turns batches of matrices")
    return _product(reader, node, 0, 1, (bool(a.get("transA")), bool(a.get("transB"))), a.get("alpha", 1.0))


def gemm(reader: Any, node: Node) -> Value:
    a = node.attributes
    found: Value = _product(reader, node, 0, 1, (bool(a.get("transA")), bool(a.get("transB"))), a.get("alpha", 1.0))
    if reader.value(node, 2) is not None and a.get("beta", 1.0) != 0:
        found = affine(reader, node, found, None, reader.numbers(node, 2) * np.float64(a.get("beta", 1.0)))
    return found


def fused_gemm(reader: Any, node: Node) -> Value:
    """Gemm with an activation behind it, as onnxruntime's optimizer writes it."""
    op = node.attributes.get("activation", "")
    if op not in UNARY:
        raise refuse(node, f"its activation {op!r} is not known")
    numbers = {name: node.attributes[f"activation_{name}"] for name in ("alpha", "beta", "gamma")
               if f"activation_{name}" in node.attributes}  # fmt: skip
    return apply(reader, node, gemm(reader, node), lambda x: UNARY[op](x, numbers))


def affine(reader: Any, node: Node, value: Value, scale: np.ndarray | None, shift: np.ndarray | None) -> Stream:
    """Return a stream times numbers, plus numbers, one for each column or one for all."""
    stream: Stream = reader.settled(node, value)
    vectors = [by_columns(node, stream, number) for number in (scale, shift)]
    one, none = np.ones(1), np.zeros(1)
    step = Affine(node.name, one if scale is None else vectors[0], none if shift is None else vectors[1])
    found: Stream = reader.add(node, stream, step)
    return found


def by_columns(node: Node, stream: Stream, numbers: np.ndarray | None) -> np.ndarray:
    """Return numbers as a vector, one for each column, from the shape in which they are broadcast."""
    if numbers is None:
        return np.ones(1)
    if numbers.size == 1:
        return numbers.astype(np.float64).reshape(1)
    shape = (numbers.size, 1) if stream.turned else (1, numbers.size)
    if len(stream.sizes) != 1 or (1,) * (2 - numbers.ndim) + numbers.shape != shape:
        raise refuse(node, f"its constant of shape {numbers.shape} is none of one number for each column")
    if stream.sizes[0] not in (None, numbers.size):
        raise refuse(node, f"its constant has {numbers.size} numbers, where there are {stream.sizes[0]} columns")
    return numbers.astype(np.float64).reshape(-1)


# ---- functions of one number


def unary(op: str) -> Callable[[Any, Node], Value]:
    def function(reader: Any, node: Node) -> Value:
        value = reader.given(node, 0)
        if isinstance(value, Constant):
            return _folded(reader, lambda x: UNARY[op](x, node.attributes), reader.numbers(node, 0))
        return apply(reader, node, value, lambda x: UNARY[op](x, node.attributes))

    return function


def apply(reader: Any, node: Node, value: Value, function: Callable[[np.ndarray], np.ndarray]) -> Expression:
    expression = reader.expression(value, node)
    if reader.eager and (expression.line is not None or identify(expression.values) is not None):
        expression = reader.expression(reader.settled(node, expression), node)
    return Expression(expression.stream, function(expression.values))


def _folded(reader: Any, function: Callable[..., np.ndarray], *arrays: np.ndarray) -> Constant:
    """Return what a function makes of constants."""
    size = np.broadcast(*arrays).size if len(arrays) > 1 else arrays[0].size
    reader.source.budget.take(8 * size)
    return Constant(np.asarray(function(*arrays)).astype(arrays[0].dtype, copy=False))


def negative(reader: Any, node: Node) -> Value:
    found = unary("Neg")(reader, node)
    before = reader.given(node, 0)
    if isinstance(found, Expression):
        line = reader.expression(before, node).line
        found.line = None if line is None else (-line[0], -line[1])
    return found


def clip(reader: Any, node: Node) -> Value:
    least, most = node.attributes.get("min"), node.attributes.get("max")
    if reader.value(node, 1) is not None:
        least = one_number(node, reader.constant(node, 1))
    if reader.value(node, 2) is not None:
        most = one_number(node, reader.constant(node, 2))
    least, most = -np.inf if least is None else least, np.inf if most is None else most
    value = reader.given(node, 0)
    if 0 < most < np.inf and least == -most:  # no activation of ours, but what a normalization does
        return Expression(reader.settled(node, value), np.clip(POINTS, -most, most), cut=most)
    before = reader.expression(value, node)
    return Expression(before.stream, np.minimum(np.maximum(before.values, least), most))


def one_number(node: Node, array: np.ndarray) -> float:
    if array.size != 1:
        raise refuse(node, f"its constant of shape {array.shape} is not one number")
    return float(array.reshape(-1)[0])


def binary(op: str) -> Callable[[Any, Node], Value]:
    def function(reader: Any, node: Node) -> Value:
        found = reader.given(node, 0)
        for index in range(1, len(node.inputs)):
            found = _both(reader, node, op, found, reader.given(node, index))
        if isinstance(found, Constant) and len(node.inputs) == 1:
            raise refuse(node, "it has one input")
        return found

    return function


def _both(reader: Any, node: Node, op: str, left: Value, right: Value) -> Value:
    """Return what an operator of arithmetic makes of two values."""
    if isinstance(left, Constant) and isinstance(right, Constant):
        if left.array.dtype.kind != "f" or right.array.dtype != left.array.dtype:
            raise refuse(node, "its constants are not numbers of one type, float or double")
        return _folded(reader, BINARY[op], left.array, right.array)
    if isinstance(left, Constant) or isinstance(right, Constant):
        constant, value = (left, right) if isinstance(left, Constant) else (right, left)
        assert isinstance(constant, Constant)
        array = constant.array
        if array.dtype.kind != "f" or np.isnan(array).any():
            raise refuse(node, "its constant is not numbers of float or double")
        if array.size == 1 and not _is_bias(reader, op, value, array):
            return _with_number(reader, node, op, value, float(array.reshape(-1)[0]), isinstance(left, Constant))
        return _with_vector(reader, node, op, value, array, isinstance(left, Constant))
    one, other = reader.expression(left, node), reader.expression(right, node)
    if one.stream.position == other.stream.position:
        line = _sum_of_lines(op, one.line, other.line)
        return Expression(one.stream, BINARY[op](one.values, other.values), line)
    if op not in ("Add", "Sum"):
        raise refuse(node, "its inputs come from different places")
    return skip(reader, node, left, right)


def _is_bias(reader: Any, op: str, value: Value, array: np.ndarray) -> bool:
    """Tell whether one number is the bias of one unit, not part of a function."""
    steps = reader.chain.steps
    if op != "Add" or not isinstance(value, Stream) or value.sizes != (1,) or array.ndim == 0:
        return False
    return value.position == len(steps) and isinstance(steps[-1], Dense)


def _sum_of_lines(op: str, one: Any, other: Any) -> tuple[float, float] | None:
    sign = {"Add": 1, "Sum": 1, "Sub": -1}.get(op)
    if sign is None or one is None or other is None:
        return None
    return one[0] + sign * other[0], one[1] + sign * other[1]


def _with_number(reader: Any, node: Node, op: str, value: Value, number: float, first: bool) -> Expression:
    """Return a function of a value and a number, which is the first operand or the second."""
    before = reader.expression(value, node)
    pair = (number, before.values) if first else (before.values, number)
    found = Expression(before.stream, np.asarray(BINARY[op](*pair)))
    found.line = None if before.line is None else _line(op, before.line, number, first)
    return found


def _line(op: str, line: tuple[float, float], number: float, first: bool) -> tuple[float, float] | None:
    a, b = line
    if op in ("Add", "Sum"):
        return a, b + number
    if op == "Sub":
        return (-a, number - b) if first else (a, b - number)
    if op == "Mul":
        return a * number, b * number
    if op == "Div" and not first and number != 0:
        return a / number, b / number
    return None


def _with_vector(reader: Any, node: Node, op: str, value: Value, array: np.ndarray, first: bool) -> Value:
    """Return a value with a number for each column added, or multiplied."""
    if not np.isfinite(array).all():
        raise refuse(node, "its constant is not finite")
    numbers = array.astype(np.float64)
    minus = -np.ones(1)
    if op in ("Add", "Sum"):
        return affine(reader, node, value, None, numbers)
    if op == "Sub":
        return affine(reader, node, value, minus, numbers) if first else affine(reader, node, value, None, -numbers)
    if op == "Mul":
        return affine(reader, node, value, numbers, None)
    if op == "Div" and not first and (numbers != 0).all():
        return affine(reader, node, value, 1 / numbers, None)
    raise refuse(node, "it is no sum or product with a number for each column")


def skip(reader: Any, node: Node, left: Value, right: Value) -> Stream:
    """Return the sum of two streams: one of them ends the chain, the other is what a block began with."""
    one, other = reader.settled(node, left), reader.settled(node, right)
    tip, before = (one, other) if one.position > other.position else (other, one)
    if tip.turned != before.turned or tip.position == before.position:
        raise refuse(node, "its inputs do not begin and end a block")
    if tip.sizes != before.sizes and None not in before.sizes:
        raise refuse(node, f"it adds {tip.sizes} columns to {before.sizes}")
    found: Stream = reader.add(node, tip, Skip(node.name, before.position))
    return found


def compare(op: str) -> Callable[[Any, Node], Value]:
    def function(reader: Any, node: Node) -> Value:
        values = [reader.given(node, index) for index in (0, 1)]
        streams = [reader.expression(value, node) for value in values if not isinstance(value, Constant)]
        if not streams or len({expression.stream.position for expression in streams}) > 1:
            raise refuse(node, "its inputs come from different places")
        sides = [_side(reader, node, value) for value in values]
        return Expression(streams[0].stream, COMPARISONS[op](*sides))

    return function


def _side(reader: Any, node: Node, value: Value) -> Any:
    """Return a constant number, or the values of a function."""
    return one_number(node, value.array) if isinstance(value, Constant) else reader.expression(value, node).values


def where(reader: Any, node: Node) -> Value:
    condition = reader.given(node, 0)
    if isinstance(condition, Missing):
        return _fill(reader, node, condition)
    if not isinstance(condition, Expression) or condition.values.dtype != bool:
        raise refuse(node, "its condition is no comparison of the data with a number")
    sides = []
    for value in (reader.given(node, 1), reader.given(node, 2)):
        if isinstance(value, Constant):
            sides.append(one_number(node, value.array))
            continue
        side = reader.expression(value, node)
        if side.stream.position != condition.stream.position:
            raise refuse(node, "its inputs come from different places")
        sides.append(side.values)
    return Expression(condition.stream, np.where(condition.values, *sides))


def _fill(reader: Any, node: Node, condition: Missing) -> Value:
    stream = reader.stream(node, 2)
    if not condition.nan or stream.position != condition.stream.position:
        raise refuse(node, "it does not fill the missing cells of what it tests")
    values = by_columns(node, stream, reader.numbers(node, 1))
    return reader.add(node, stream, Fill(node.name, values, condition.infinite))
