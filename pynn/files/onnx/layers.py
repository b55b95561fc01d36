"""How each kind of layer becomes nodes of an ONNX graph.

To add a kind, write its function and add its row to KINDS. The function takes the writer, the layer's index and spec
and the name of its input, and returns the name of its output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import NotReadyError, UnsupportedError
from .recurrent import flatten, pooling, recurrent

__all__ = ["KINDS", "add_layer"]

FAR = 4.0  # mean / deviation beyond which BatchNormalization, which computes x scale - mean scale, loses digits


def add_layer(writer: Any, index: int, spec: Any, x: str) -> str:
    """Add the nodes of a layer but for its activation.

    Raises
    ------
    UnsupportedError
        A kind of layer that ONNX cannot hold.
    NotReadyError
        A normalization that was not adapted.
    """
    if spec.kind not in KINDS:
        raise UnsupportedError(
            f"expected layers that can be exported; received layer {index}, {spec!r}: save the model and load it with "
            "pynn instead"
        )
    return KINDS[spec.kind](writer, index, spec, x)


def _dense(writer: Any, index: int, spec: Any, x: str) -> str:
    graph, kernel = writer.graph, writer.parameter(index, "kernel")
    bias = [writer.parameter(index, "bias")] if spec.use_bias else []
    if writer.gemm:
        return graph.node("Gemm", x, kernel, *bias, width=spec.units, alpha=1.0, beta=1.0, transA=0, transB=0)
    product = graph.node("MatMul", x, kernel, width=spec.units)
    return graph.node("Add", product, bias[0]) if bias else product


def _passes(_writer: Any, _index: int, _spec: Any, x: str) -> str:
    """Add nothing for a layer that only trains, or that is an activation."""
    return x


def _normalization(writer: Any, index: int, spec: Any, x: str) -> str:
    graph, (shift, scale, fill, rows) = writer.graph, writer.tensors(index, "shift", "scale", "fill", "rows")
    if not rows[0] > 0:
        raise NotReadyError(f"expected a normalization that was adapted to data; received none in layer {index}")
    own = ~np.isnan(scale)
    x = _filled(graph, spec.missing, fill, own, x)
    if (shift[own] != 0).any() or (scale[own] != 1).any():
        x = _shifted(graph, np.where(own, shift, 0), x)
        x = graph.cast(
            graph.node("Mul", x, graph.local("scale", np.where(own, scale, 1), graph.type_of(x))), graph.dtype
        )
    x = graph.cast(x, graph.dtype)
    return x if spec.clip is None else _clipped(graph, spec.clip, own, x)


def _filled(graph: Any, missing: str, fill: np.ndarray, own: np.ndarray, x: str) -> str:
    """Put what data decided in place of missing cells; columns that are not the layer's stay."""
    if missing == "error":
        return x
    bad = graph.node("IsNaN", x, dtype=bool)
    if missing == "nonfinite":
        infinite = graph.node("IsInf", x, dtype=bool)
        if not own.all():
            infinite = graph.node("And", infinite, graph.local("own", own[None], bool))
        bad = graph.node("Or", bad, infinite)
    dtype = graph.type_of(x)
    values = graph.local("fill", np.where(own, fill, np.nan)[None], dtype)
    return graph.node("Where", bad, values, x, dtype=dtype)


def _shifted(graph: Any, shift: np.ndarray, x: str) -> str:
    """Subtract; in float32 in two steps, as a shift far from 0 has digits that float32 cuts off."""
    dtype = graph.type_of(x)
    high = shift.astype(dtype)
    x = graph.node("Sub", x, graph.local("shift", high, dtype))
    low = (shift - high).astype(dtype)
    return graph.node("Sub", x, graph.local("shift_low", low, dtype)) if low.any() else x


def _clipped(graph: Any, clip: float, own: np.ndarray, x: str) -> str:
    if own.all():
        return graph.node("Clip", x, -clip, clip)
    most = np.where(own, clip, np.inf)
    return graph.node("Max", graph.node("Min", x, graph.local("most", most)), graph.local("least", -most))


def _batch_normalization(writer: Any, index: int, spec: Any, x: str) -> str:
    graph, (mean, variance) = writer.graph, writer.tensors(index, "moving_mean", "moving_variance")
    deviation = np.sqrt(variance + spec.epsilon)
    gamma = writer.parameter(index, "gamma") if spec.scale else graph.local("gamma", np.ones(len(mean)))
    beta = writer.parameter(index, "beta") if spec.center else graph.local("beta", np.zeros(len(mean)))
    if graph.dtype == np.float32 and (np.abs(mean) <= FAR * deviation).all():
        moments = graph.local("moving_mean", mean), graph.local("moving_variance", variance)
        return graph.node("BatchNormalization", x, gamma, beta, *moments, epsilon=spec.epsilon, momentum=spec.momentum)
    x = graph.node("Mul", _shifted(graph, mean, x), graph.local("inverse_deviation", 1 / deviation))
    return graph.node("Add", graph.node("Mul", x, gamma), beta)


def _layer_normalization(writer: Any, index: int, spec: Any, x: str) -> str:
    graph, width = writer.graph, writer.graph.width(x)
    gamma = writer.parameter(index, "gamma") if spec.scale else graph.local("gamma", np.ones(width))
    beta = writer.parameter(index, "beta") if spec.center else graph.local("beta", np.zeros(width))
    if graph.dtype == np.float32:
        return graph.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=spec.epsilon, stash_type=1)
    axes = graph.local("axes", np.array([1]), np.int64)
    away = graph.node("Sub", x, graph.node("ReduceMean", x, axes, width=1, keepdims=1))
    variance = graph.node("ReduceMean", graph.node("Mul", away, away), axes, width=1, keepdims=1)
    deviation = graph.node("Sqrt", graph.node("Add", variance, spec.epsilon))
    return graph.node("Add", graph.node("Mul", graph.node("Div", away, deviation), gamma), beta)


def _add(writer: Any, index: int, spec: Any, x: str) -> str:
    return writer.graph.node("Add", writer.graph.cast(writer.taken[index - spec.layers], writer.graph.dtype), x)


def _categorical(writer: Any, index: int, spec: Any, x: str) -> str:
    """The other columns, then for each code column what its slot stands for (0: unknown, else 1 + code)."""
    graph, width = writer.graph, writer.graph.width(x)
    columns, slots = np.array(spec.columns), np.array(spec.sizes) + 1
    others = np.setdiff1d(np.arange(width), columns)
    codes = _gather(graph, "columns", columns, x)
    whole = graph.node("Equal", graph.node("Floor", codes), codes, dtype=bool)
    above = graph.node("GreaterOrEqual", codes, 0.0, dtype=bool)
    below = graph.node("Less", codes, graph.local("sizes", slots - 1.0), dtype=bool)
    known = graph.node("And", graph.node("And", whole, above), below)
    slot = graph.node("Where", known, graph.node("Add", codes, 1.0), graph.scalar(0.0), dtype=graph.dtype)
    coded = _embedded(writer, index, spec, slots, slot) if spec.dimension else _one_hot(graph, slots, slot)
    if not len(others):
        return coded
    return graph.node(
        "Concat", _gather(graph, "others", others, x), coded, width=len(others) + graph.width(coded), axis=1
    )


def _gather(graph: Any, name: str, columns: np.ndarray, x: str) -> str:
    return graph.node("Gather", x, graph.local(name, columns, np.int64), width=len(columns), axis=1)


def _one_hot(graph: Any, slots: np.ndarray, slot: str) -> str:
    """One column for each slot: 1 where it is the row's."""
    which = _gather(graph, "column_of_slot", np.repeat(np.arange(len(slots)), slots), slot)
    number = np.concatenate([np.arange(count) for count in slots])
    return graph.cast(graph.node("Equal", which, graph.local("slot", number), dtype=bool), graph.dtype)


def _embedded(writer: Any, index: int, spec: Any, slots: np.ndarray, slot: str) -> str:
    """The slots' rows of the table, in which the columns' slots stand one after another."""
    graph, wide = writer.graph, len(slots) * spec.dimension
    first = graph.local("first_slot", np.cumsum(slots) - slots, np.int64)
    rows = graph.node("Add", graph.cast(slot, np.int64), first)
    table, shape = writer.parameter(index, "embeddings"), [len(slots), spec.dimension]
    found = graph.node("Gather", table, rows, dtype=graph.dtype, shape=shape, axis=0)
    return graph.node("Reshape", found, graph.local("shape", np.array([0, wide]), np.int64), width=wide)


KINDS: dict[str, Callable[[Any, int, Any, str], str]] = {
    "dense": _dense,
    "activation": _passes,
    "dropout": _passes,
    "gaussian_noise": _passes,
    "normalization": _normalization,
    "batch_normalization": _batch_normalization,
    "layer_normalization": _layer_normalization,
    "add": _add,
    "categorical": _categorical,
    "lstm": recurrent,
    "gru": recurrent,
    "simple_rnn": recurrent,
    "bidirectional": recurrent,
    "flatten": flatten,
    "global_average_pooling_1d": pooling("ReduceMean"),
    "global_max_pooling_1d": pooling("ReduceMax"),
}
