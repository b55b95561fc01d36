"""How each kind of layer becomes constants and a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import NotReadyError, UnsupportedError
from ...layers import Normalization
from ...network import precision
from .literals import double
from .quantize import quantize

__all__ = ["KINDS", "add", "inputs_need_double"]

_ERROR, _NONFINITE = (Normalization.MISSING.index(name) for name in ("error", "nonfinite"))


def inputs_need_double(program: Any) -> bool:
    """Tell whether the first layer normalizes numbers that float has no steps for."""
    if program.real == "double" or program.core.layers[0]["kind"][0] != Normalization.kind:
        return False
    tensors = program.tensors(0)
    scale, shift = tensors["scale"], tensors["shift"]
    own = scale > 0  # others are constant, or copied
    return bool(own.any()) and precision.needs_double(shift[own], 1 / scale[own])


def add(program: Any, index: int, spec: Any) -> None:
    """Add a layer to a header.

    Raises
    ------
    UnsupportedError
        A kind of layer or activation that cannot be exported.
    NotReadyError
        A normalization that was not adapted.
    """
    kind, numbers = spec["kind"]
    if kind not in KINDS:
        raise UnsupportedError(
            f"expected layers that can be exported; received layer {index}, {kind!r}: save the model and load it with "
            "the C library instead"
        )
    if "custom_activation" in spec:
        raise UnsupportedError(
            f"expected activations that can be exported; received layer {index} with {spec['custom_activation']}, "
            "whose code pynn does not have: load the saved model with the C library and give it the functions"
        )
    KINDS[kind](program, index, spec, numbers)


def _dense(program: Any, index: int, _spec: Any, _numbers: Any) -> None:
    tensors, function = program.tensors(index), "dense"
    kernel = tensors["kernel"]
    inputs, units = kernel.shape
    if program.int8:
        matrix, scales = quantize(kernel.astype(np.float64), np.ones(inputs))
        offset = next(place[0] for name, at, *place in program.core.tensors if at == index and name == "kernel")
        program.exact[offset : offset + kernel.size] = (matrix * scales).ravel()
        weights = program.constant("int8_t", f"kernel_{index}", matrix)
        weights += ", " + program.constant("float", f"scale_{index}", scales)
        function = "dense_int8"
    else:
        weights = program.constant(program.real, f"kernel_{index}", kernel)
    program.helpers.add(function)
    bias = program.optional(program.real, index, tensors, "bias")
    program.call(f"{program.prefix}{function}({{in}}, {inputs}, {units}, {weights}, {bias}, {{out}});", units)


def _passes(_program: Any, _index: int, _spec: Any, _numbers: Any) -> None:
    """A layer that only trains."""


def _normalization(program: Any, index: int, _spec: Any, numbers: Any) -> None:
    first = len(program.values) == 1 and program.input_type != program.real
    helper = "normalize_input" if first else "normalize"
    program.helpers.add(helper)
    tensors, n = program.tensors(index), program.values[-1].size
    if not tensors["rows"][0, 0] > 0:
        raise NotReadyError(f"expected a normalization that was adapted to data; received none in layer {index}")
    shift, scale = (program.constant("double", f"{name}_{index}", tensors[name]) for name in ("shift", "scale"))
    fills = numbers["missing"] != _ERROR
    fill = program.constant("double", f"fill_{index}", tensors["fill"]) if fills else "0"
    rest = f"{int(numbers['missing'] == _NONFINITE)}, {double(numbers['clip'])}"
    program.call(f"{program.prefix}{helper}({n}, {{in}}, {shift}, {scale}, {fill}, {rest}, {{out}});", n, in_place=True)


def _batch_normalization(program: Any, index: int, _spec: Any, numbers: Any) -> None:
    program.helpers.add("affine")
    tensors, n = program.tensors(index), program.values[-1].size
    shift = program.constant("double", f"mean_{index}", tensors["moving_mean"])
    inverse = 1 / np.sqrt(tensors["moving_variance"] + numbers["epsilon"])
    scale = program.constant("double", f"inverse_{index}", inverse)
    both = ", ".join(program.optional(program.real, index, tensors, name) for name in ("gamma", "beta"))
    program.call(f"{program.prefix}affine({n}, {{in}}, {shift}, {scale}, {both}, {{out}});", n, in_place=True)


def _layer_normalization(program: Any, index: int, _spec: Any, numbers: Any) -> None:
    program.helpers.add("layer_norm")
    tensors, n = program.tensors(index), program.values[-1].size
    both = ", ".join(program.optional(program.real, index, tensors, name) for name in ("gamma", "beta"))
    epsilon = double(numbers["epsilon"])
    program.call(f"{program.prefix}layer_norm({n}, {{in}}, {both}, {epsilon}, {{out}});", n, in_place=True)


def _add(program: Any, index: int, _spec: Any, numbers: Any) -> None:
    first = index - int(numbers["layers"])
    other = program.after[first - 1] if first > 0 else program.values[0]
    n = program.values[-1].size
    text = f"for (size_t i = 0; i < {n}; i++) {{out}}[i] = (P_real)({{in}}[i] + {{other}}[i]);"
    program.call(text, n, in_place=True, other=other)


def _categorical(program: Any, index: int, spec: Any, numbers: Any) -> None:
    program.helpers.add("categorical")
    columns, sizes = np.asarray(spec["columns"]), np.asarray(spec["sizes"])
    wide, inputs = int(numbers["dimension"]), program.values[-1].size
    coded = len(columns) * wide if wide else int((sizes + 1).sum())
    names = [program.constant("int32_t", f"{n}_{index}", v) for n, v in (("columns", columns), ("sizes", sizes))]
    table = program.optional(program.real, index, program.tensors(index), "embeddings")
    arguments = f"{inputs}, {{in}}, {len(columns)}, {', '.join(names)}, {wide}, {table}"
    program.call(f"{program.prefix}categorical({arguments}, {{out}});", inputs - len(columns) + coded)


SEQUENCES = (
    "masking", "simple_rnn", "lstm", "gru", "flatten", "global_average_pooling_1d", "global_max_pooling_1d",
)  # fmt: skip
"""Kinds that take rows of several timesteps, which headers do not have: C programs load the model, or stream it."""

KINDS: dict[str, Callable[[Any, int, Any, Any], None]] = {
    "dense": _dense,
    "activation": _passes,
    "dropout": _passes,
    "gaussian_noise": _passes,
    "normalization": _normalization,
    "batch_normalization": _batch_normalization,
    "layer_normalization": _layer_normalization,
    "add": _add,
    "categorical": _categorical,
}
