"""What each operator is to the reader: one row each.

To add an operator, write a function of the reader and the node that returns the value of its output, or a list of
values, and add its row to OPERATORS. Recurrent operators (LSTM, GRU, RNN) have none yet, and are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import activations, layers
from .arithmetic import (
    affine,
    apply,
    binary,
    by_columns,
    clip,
    compare,
    fused_gemm,
    fused_matmul,
    gemm,
    matmul,
    negative,
    one_number,
    skip,
    unary,
    where,
)  # fmt: skip
from .chain import Activate, Fill, Layer
from .elementwise import ATTRIBUTES, BINARY, COMPARISONS, UNARY
from .shapes import SHAPES
from .source import Node, refuse
from .values import Expression, Labels, Missing, Pair, Stream, Value

__all__ = ["OPERATORS", "Operator"]

CONTRIB, LEARN = "com.microsoft", "ai.onnx.ml"
FUSED = {"activation", "activation_alpha", "activation_beta", "activation_gamma"}


@dataclass(frozen=True)
class Operator:
    """A row of the table: the function, the least and most inputs, the attributes that are known."""

    function: Callable[[Any, Node], Any]
    least: int = 1
    most: int = 1
    attributes: frozenset[str] | set[str] = frozenset()


# ---- missing cells


def _is_nan(reader: Any, node: Node) -> Value:
    return Missing(reader.stream(node, 0))


def _is_infinite(reader: Any, node: Node) -> Value:
    if not (node.attributes.get("detect_negative", 1) and node.attributes.get("detect_positive", 1)):
        raise refuse(node, "it tells infinities of one sign apart")
    return Missing(reader.stream(node, 0), True, False)


def _or(reader: Any, node: Node) -> Value:
    one, other = reader.given(node, 0), reader.given(node, 1)
    if not isinstance(one, Missing) or not isinstance(other, Missing) or one.stream.position != other.stream.position:
        raise refuse(node, "it does not join tests for missing cells")
    return Missing(one.stream, one.infinite or other.infinite, one.nan or other.nan)


def _imputer(reader: Any, node: Node) -> Value:
    replaced = node.attributes.get("replaced_value_float", 0.0)
    if replaced == replaced or "imputed_value_floats" not in node.attributes:
        raise refuse(node, "it replaces other cells than those that are NaN")
    stream = reader.rows(node, 0)
    values = by_columns(node, stream, np.array(node.attributes["imputed_value_floats"]))
    return reader.add(node, stream, Fill(node.name, values, False))


def _scaler(reader: Any, node: Node) -> Value:
    """(X - offset) scale"""
    stream = reader.rows(node, 0)
    offset, scale = (
        np.array(node.attributes.get(name, [default])) for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    return affine(reader, node, affine(reader, node, stream, None, -offset), scale, None)


# ---- layers


def _batch_normalization(reader: Any, node: Node) -> Value:
    if (
        node.attributes.get("training_mode")
        or node.attributes.get("is_test") == 0
        or not node.attributes.get("spatial", 1)
    ):
        raise refuse(node, "it is in training mode, or not by columns")
    stream = reader.rows(node, 0)
    gamma, beta, mean, variance = (_vector(reader, node, index) for index in range(1, 5))
    epsilon = node.attributes.get("epsilon", 1e-5)
    if (variance < 0).any() or epsilon < 1e-30:
        raise refuse(node, "its variances or its epsilon are negative or 0")
    spec = layers.BatchNormalization(momentum=_momentum(node), epsilon=epsilon)
    tensors = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
    return reader.add(node, _not_turned(node, stream), Layer(node.name, spec, tensors))


def _momentum(node: Node) -> float:
    momentum = node.attributes.get("momentum", 0.9)
    return momentum if 0 <= momentum < 1 else 0.9


def _vector(reader: Any, node: Node, index: int) -> np.ndarray:
    found: np.ndarray = reader.numbers(node, index)
    if found.ndim != 1:
        raise refuse(node, f"its input {index} of shape {found.shape} is not one number for each column")
    return found


def _not_turned(node: Node, stream: Stream) -> Stream:
    if stream.turned:
        raise refuse(node, "it works on columns in place of rows")
    return stream


def _layer_normalization(reader: Any, node: Node) -> Value:
    stream = _not_turned(node, reader.rows(node, 0))
    return _normalized(reader, node, stream, 1, 2)


def _normalized(reader: Any, node: Node, stream: Stream, scale: int, shift: int) -> Stream:
    epsilon = node.attributes.get("epsilon", 1e-5)
    if node.attributes.get("axis", -1) not in (-1, 1) or epsilon < 1e-30:
        raise refuse(node, "it normalizes along another dimension than the columns")
    tensors = {"gamma": _vector(reader, node, scale)}
    if reader.value(node, shift) is not None:
        tensors["beta"] = _vector(reader, node, shift)
    spec = layers.LayerNormalization(epsilon=epsilon, center="beta" in tensors)
    found: Stream = reader.add(node, stream, Layer(node.name, spec, tensors))
    return found


def _skip_layer_normalization(reader: Any, node: Node) -> Value:
    """LayerNormalization of the sum of two streams and, perhaps, a bias, as onnxruntime's optimizer writes it."""
    total: Value = skip(reader, node, reader.given(node, 0), reader.given(node, 1))
    if reader.value(node, 4) is not None:
        total = affine(reader, node, total, None, reader.numbers(node, 4))
    stream = _not_turned(node, reader.settled(node, total))
    found = _normalized(reader, node, stream, 2, 3)
    return found if len(node.outputs) < 4 else [found, None, None, stream]  # type: ignore[return-value]


def _bias_gelu(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    if reader.value(node, 1) is not None:
        value = affine(reader, node, value, None, reader.numbers(node, 1))
    op = "FastGelu" if node.op == "FastGelu" else "Gelu"
    return apply(reader, node, value, lambda x: UNARY[op](x, {}))


def _softmax(reader: Any, node: Node) -> Value:
    stream = _not_turned(node, reader.rows(node, 0))
    if node.attributes.get("axis", -1 if reader.source.opset >= 13 else 1) not in (-1, 1):
        raise refuse(node, "it is not over the columns of a row")
    if node.op == "Softmax":
        return reader.add(node, stream, Activate(node.name, activations.get("softmax")))
    reader.log_softmax = reader.add(node, stream, Activate(node.name, activations.get("softmax")))
    return reader.log_softmax


def _dropout(reader: Any, node: Node) -> Value:
    if reader.value(node, 2) is not None and reader.constant(node, 2).any():
        raise refuse(node, "it is in training mode")
    rate = node.attributes.get("ratio", 0.5)
    if reader.value(node, 1) is not None:
        rate = float(str(np.float32(one_number(node, reader.constant(node, 1)))))
    value = reader.given(node, 0)
    if not 0 < rate < 1:
        return value
    return reader.add(node, reader.settled(node, value), Layer(node.name, layers.Dropout(rate), {}))


# ---- classes


def _labels(_reader: Any, _node: Node) -> Value:
    return Labels()


def _arg_max(reader: Any, node: Node) -> Value:
    value = reader.given(node, 0)
    if not isinstance(value, (Stream, Expression, Pair)) or node.attributes.get("axis", 0) not in (-1, 1):
        raise refuse(node, "it is not over the columns of a row")
    return Labels()


def _extract_classes(reader: Any, node: Node) -> Value:
    if not isinstance(reader.given(node, 1), Labels):
        raise refuse(node, "it takes columns out of the data")
    reader.take_classes(node, reader.constant(node, 0).reshape(-1))
    return Labels()


def _zip_map(reader: Any, node: Node) -> Value:
    classes = node.attributes.get("classlabels_strings") or node.attributes.get("classlabels_int64s") or ()
    reader.take_classes(node, classes)
    return reader.given(node, 0)


def _row(function: Callable[[Any, Node], Any], least: int = 1, most: int = 1, *attributes: str) -> Operator:
    return Operator(function, least, most, set(attributes))


OPERATORS: dict[tuple[str, str], Operator] = {
    ("", "MatMul"): _row(matmul, 2, 2),
    ("", "Gemm"): _row(gemm, 2, 3, "alpha", "beta", "transA", "transB"),
    (CONTRIB, "FusedMatMul"): _row(fused_matmul, 2, 2, "alpha", "transA", "transB", "transBatchA", "transBatchB"),
    (CONTRIB, "FusedGemm"): _row(fused_gemm, 2, 3, "alpha", "beta", "transA", "transB", *FUSED),
    **{("", op): Operator(unary(op), 1, 1, ATTRIBUTES.get(op, set())) for op in UNARY},
    **{("", op): _row(binary(op), 2, 2) for op in BINARY},
    **{("", op): _row(binary(op), 1, 8) for op in ("Max", "Min", "Sum")},
    **{("", op): _row(compare(op), 2, 2) for op in COMPARISONS},
    ("", "Neg"): _row(negative),
    ("", "Clip"): _row(clip, 1, 3, "min", "max"),
    ("", "Where"): _row(where, 3, 3),
    ("", "IsNaN"): _row(_is_nan),
    ("", "IsInf"): _row(_is_infinite, 1, 1, "detect_negative", "detect_positive"),
    ("", "Or"): _row(_or, 2, 2),
    ("", "BatchNormalization"): _row(
        _batch_normalization, 5, 5, "epsilon", "momentum", "training_mode", "spatial", "is_test"
    ),
    ("", "LayerNormalization"): _row(_layer_normalization, 2, 3, "axis", "epsilon", "stash_type"),
    (CONTRIB, "SkipLayerNormalization"): _row(_skip_layer_normalization, 3, 5, "epsilon"),
    (CONTRIB, "Gelu"): _row(_bias_gelu),
    (CONTRIB, "BiasGelu"): _row(_bias_gelu, 2, 2),
    (CONTRIB, "FastGelu"): _row(_bias_gelu, 1, 2),
    (CONTRIB, "QuickGelu"): Operator(unary("QuickGelu"), 1, 1, {"alpha"}),
    ("", "Softmax"): _row(_softmax, 1, 1, "axis"),
    ("", "LogSoftmax"): _row(_softmax, 1, 1, "axis"),
    ("", "Dropout"): _row(_dropout, 1, 3, "ratio", "seed"),
    ("", "ArgMax"): _row(_arg_max, 1, 1, "axis", "keepdims", "select_last_index"),
    (LEARN, "Imputer"): _row(
        _imputer, 1, 1, "imputed_value_floats", "replaced_value_float", "imputed_value_int64s", "replaced_value_int64"
    ),
    (LEARN, "Scaler"): _row(_scaler, 1, 1, "offset", "scale"),
    (LEARN, "ArrayFeatureExtractor"): _row(_extract_classes, 2, 2),
    (LEARN, "ZipMap"): _row(_zip_map, 1, 1, "classlabels_strings", "classlabels_int64s"),
    **{("", op): Operator(*row) for op, row in SHAPES.items()},
}
