"""Read the tensors of safetensors files that other programs wrote.

A file is the length of a header in 8 bytes, the header in JSON, ``{name: {dtype, shape, data_offsets}}``, and the
numbers without gaps. It says nothing about layers.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from ..errors import FileFormatError, UnsupportedError

__all__ = ["read_weights"]

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
LONGEST = 100_000_000  # bytes of a header, as in the format's own library


def read_weights(path: Any) -> dict[str, np.ndarray]:
    """Return the tensors by name."""
    with open(path, "rb") as file:
        data = file.read()
    header, numbers = _header(path, data)
    spans = []
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _entry(path, name, entry)
        if end > len(numbers):
            raise _bad(path, f"tensor {name!r} ends at {end} of {len(numbers)} bytes")
        spans.append((begin, end))
        found[name] = widen(dtype, np.frombuffer(numbers[begin:end], DTYPES[dtype])).reshape(shape)
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise _bad(path, f"its tensors overlap or leave gaps at {begin}")
        reached = end
    if reached != len(numbers):
        raise _bad(path, f"its tensors end at {reached} of {len(numbers)} bytes")
    return found


def widen(dtype: str, values: np.ndarray) -> np.ndarray:
    """Return bfloat16, given by its bits, as float32; other numbers as they are."""
    return (values.astype("<u4") << 16).view("<f4") if dtype == "BF16" else values


def _header(path: Any, data: bytes) -> tuple[dict[str, Any], memoryview]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, LONGEST):
        raise _bad(path, f"a header of {size} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + size].decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _bad(path, str(error)) from None
    if not isinstance(header, dict):
        raise _bad(path, "a header that lists no tensors")
    return header, memoryview(data)[8 + size :]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands there twice")
    return found


def _entry(path: Any, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape and place of a tensor."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        right = all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, begin, end)) and len(shape) <= 8
    except (TypeError, ValueError, LookupError):
        right, dtype, shape, begin, end = False, "", (), 0, 0
    if not right or not isinstance(dtype, str):
        raise _bad(path, f"a tensor {name!r} without dtype, shape and offsets")
    if dtype not in DTYPES:
        raise UnsupportedError(f"expected tensors of {', '.join(DTYPES)}; received {name!r} of {dtype}")
    if math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != end - begin:
        raise _bad(path, f"tensor {name!r} of shape {shape} and dtype {dtype} in {end - begin} bytes")
    return dtype, shape, begin, end


def _bad(path: Any, what: str) -> FileFormatError:
    return FileFormatError(f"expected a safetensors file; received {os.fspath(path)!r} with {what}")
