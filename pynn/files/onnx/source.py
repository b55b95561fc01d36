"""Read an ONNX file into plain nodes and arrays, believing nothing unchecked.

What other checkers pass is looked at here: lengths of data, names given twice, nodes before their inputs, data in other
files. Memory is bounded by the sizes of the files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import FileFormatError, UnsupportedError
from .graph import onnx_package

__all__ = ["Budget", "Node", "Source", "Tensor", "parse", "refuse"]

LEAST_OPSET = 7  # arithmetic broadcasts as in NumPy from here on
MOST_NODES = 20_000
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
SPARE = 16 << 20
NUMBERS = {1: np.float32, 11: np.float64, 7: np.int64, 6: np.int32, 9: np.bool_}  # TensorProto.DataType
FIELDS = {1: "float_data", 11: "double_data", 7: "int64_data", 6: "int32_data", 9: "int32_data"}
STRING = 8
FLOAT, INT, TEXT, TENSOR, FLOATS, INTS, TEXTS = 1, 2, 3, 4, 6, 7, 8  # AttributeProto.AttributeType


def refuse(node: Node, why: str) -> UnsupportedError:
    """Return the error for a node that no layer of pynn computes."""
    return UnsupportedError(
        f"expected a chain of layers that pynn has; received the node {node.name!r}, {node.op}: {why}"
    )


class Budget:
    """How many bytes arrays may take: a few times the files' sizes."""

    def __init__(self, size: int) -> None:
        self.left = 4 * size + SPARE

    def take(self, size: int) -> None:
        """Count bytes before they are allocated."""
        self.left -= size
        if self.left < 0:
            raise FileFormatError("expected arrays no larger than the file; received a graph that makes larger ones")

    def widen(self, size: int) -> None:
        """Count another file."""
        self.left += 4 * size


@dataclass(frozen=True)
class Node:
    """A node of the graph; names of inputs and outputs are empty where they are left out."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass
class Tensor:
    """A constant whose numbers are read when they are needed."""

    proto: Any
    source: Source
    _array: Any = None

    def array(self) -> np.ndarray:
        """Return the numbers, or an array of objects for text."""
        if self._array is None:
            self._array = self.source.decode(self.proto)
            self.proto = None
        found: np.ndarray = self._array
        return found


@dataclass
class Source:
    """What an ONNX file holds.

    Attributes
    ----------
    inputs : dict of str to (dtype, sizes)
        Sizes of each dimension, None where they are not known; None for all where the rank is not known.
    outputs : list of str
    """

    folder: str | None
    budget: Budget
    opset: int = 0
    producer: str = ""
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, tuple[Any, list[int | None] | None]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    _files: set[str] = field(default_factory=set)

    # ---- tensors

    def decode(self, proto: Any) -> np.ndarray:
        """Return the numbers of a TensorProto, whose sizes and lengths have to agree."""
        shape = tuple(int(n) for n in proto.dims)
        if any(n < 0 for n in shape):
            raise FileFormatError(f"expected sizes >= 0 of the tensor {proto.name!r}; received {shape}")
        count = math.prod(shape)
        if proto.HasField("segment"):
            raise FileFormatError(f"expected whole tensors; received a segment of {proto.name!r}")
        if proto.data_type == STRING:
            return self._texts(proto, count).reshape(shape)
        if proto.data_type not in NUMBERS:
            kind = onnx_package().TensorProto.DataType.Name(proto.data_type)
            raise UnsupportedError(f"expected tensors of float or double; received {proto.name!r} of {kind}")
        dtype = np.dtype(NUMBERS[proto.data_type])
        if proto.data_location == 1:
            return self._external(proto, count, dtype).reshape(shape)
        if proto.HasField("raw_data"):
            self.budget.take(len(proto.raw_data))
            raw = proto.raw_data
            if len(raw) != count * dtype.itemsize:
                raise self._length(proto, count * dtype.itemsize, len(raw), "bytes")
            return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape).astype(dtype, copy=False)
        values = getattr(proto, FIELDS[proto.data_type])
        if len(values) != count:
            raise self._length(proto, count, len(values), "numbers")
        self.budget.take(count * 8)
        return np.array(values, dtype).reshape(shape)

    @staticmethod
    def _length(proto: Any, expected: int, received: int, what: str) -> FileFormatError:
        return FileFormatError(
            f"expected {expected} {what} in the tensor {proto.name!r} of shape {tuple(proto.dims)}; received {received}"
        )

    def _texts(self, proto: Any, count: int) -> np.ndarray:
        if len(proto.string_data) != count:
            raise self._length(proto, count, len(proto.string_data), "texts")
        found = np.empty(count, object)
        found[:] = [text.decode() for text in proto.string_data]
        return found

    def _external(self, proto: Any, count: int, dtype: np.dtype) -> np.ndarray:
        """Read numbers that stand in another file of the same folder."""
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        path = self._confined(proto.name, location)
        wanted = count * dtype.itemsize
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or wanted)
        if length != wanted:
            raise self._length(proto, wanted, length, "bytes")
        if not os.path.isfile(path):
            raise FileFormatError(f"expected the file {location!r} beside the model; received none")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if path not in self._files:
                self._files.add(path)
                self.budget.widen(size)
            if offset < 0 or offset + wanted > size:
                raise FileFormatError(
                    f"expected bytes {offset} to {offset + wanted} in {location!r} for the tensor {proto.name!r}; "
                    f"received a file of {size} bytes"
                )
            self.budget.take(wanted)
            file.seek(offset)
            data = file.read(wanted)
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)

    def _confined(self, name: str, location: str) -> str:
        """Return the path of a file of tensors, which may not lead out of the model's folder."""
        if self.folder is None:
            raise FileFormatError(f"expected all tensors in the bytes; received {name!r} in the file {location!r}")
        folder = os.path.realpath(self.folder)
        path = os.path.realpath(os.path.join(folder, location))
        inside = os.path.commonpath([folder, path]) == folder and path != folder
        if not location or os.path.isabs(location) or "\0" in location or not inside:
            raise FileFormatError(f"expected files beside the model; received {location!r} for the tensor {name!r}")
        return path


def parse(data: bytes, folder: str | None) -> Source:
    """Read the bytes of a ModelProto.

    Parameters
    ----------
    data : bytes
    folder : str or None
        Where files of tensors may stand; None: nowhere.
    """
    onnx = onnx_package()
    model = onnx.ModelProto()
    from google.protobuf.message import DecodeError

    try:
        model.ParseFromString(data)
    except DecodeError:
        raise FileFormatError("expected an ONNX model; received bytes that are none, or cut short or changed") from None
    if not model.HasField("graph") or not model.opset_import:
        raise FileFormatError("expected an ONNX model; received bytes without a graph")
    source = Source(folder, Budget(len(data)), producer=model.producer_name)
    source.opset = _opset(model, onnx.defs.onnx_opset_version())
    for entry in model.metadata_props:
        if entry.key in source.metadata:
            raise FileFormatError(f"expected entries of the metadata once; received {entry.key!r} twice")
        source.metadata[entry.key] = entry.value
    if model.functions:
        raise UnsupportedError(
            f"expected a graph of operators; received functions of its own, such as {model.functions[0].name!r}: "
            "onnx.inliner.inline_local_functions(model) writes them out"
        )
    _take_graph(source, model.graph)
    return source


def _opset(model: Any, most: int) -> int:
    found = {opset.domain: opset.version for opset in model.opset_import}
    if len(found) < len(model.opset_import):
        raise FileFormatError("expected one version of each set of operators; received two")
    opset = int(found.get("", found.get("ai.onnx", 0)))
    if not LEAST_OPSET <= opset <= most:
        raise UnsupportedError(f"expected operators of opset {LEAST_OPSET} ... {most}; received opset {opset}")
    return opset


def _take_graph(source: Source, graph: Any) -> None:
    """Take tensors, inputs, nodes and outputs, each name once and before it is used."""
    if graph.sparse_initializer:
        raise UnsupportedError("expected dense tensors; received a sparse one")
    if len(graph.node) > MOST_NODES:
        raise UnsupportedError(f"expected at most {MOST_NODES} nodes; received {len(graph.node)}")
    known: set[str] = set()
    define = _definer(known)
    for proto in graph.initializer:
        define(proto.name, "a tensor")
        source.tensors[proto.name] = Tensor(proto, source)
    for value in graph.input:
        if value.name in source.tensors:  # a default, as old files have it
            continue
        define(value.name, "an input")
        source.inputs[value.name] = _input(value)
    for index, proto in enumerate(graph.node):
        node = _node(proto, index, source)
        for name in node.inputs:
            if name and name not in known:
                raise FileFormatError(
                    f"expected nodes behind those whose outputs they take; received the node {node.name!r} before "
                    f"{name!r}"
                )
        for name in filter(None, node.outputs):
            define(name, f"the node {node.name!r}")
        source.nodes.append(node)
    for value in graph.output:
        if value.name not in known:
            raise FileFormatError(f"expected outputs that a node gives; received {value.name!r}, which none does")
        source.outputs.append(value.name)
    if not source.outputs or len(set(source.outputs)) < len(source.outputs):
        raise FileFormatError("expected outputs of different names; received none, or one twice")


def _definer(known: set[str]) -> Callable[[str, str], None]:
    def define(name: str, what: str) -> None:
        if not name or name in known:
            raise FileFormatError(f"expected a name of its own for {what}; received {name!r}, which another has")
        known.add(name)

    return define


def _input(value: Any) -> tuple[Any, list[int | None] | None]:
    """Return the dtype and the sizes of an input; the dtype is None for anything but a tensor of numbers."""
    if not value.type.HasField("tensor_type"):
        return None, None
    tensor = value.type.tensor_type
    dtype = NUMBERS.get(tensor.elem_type)
    if not tensor.HasField("shape"):
        return dtype, None
    return dtype, [int(d.dim_value) if d.HasField("dim_value") else None for d in tensor.shape.dim]


def _node(proto: Any, index: int, source: Source) -> Node:
    name = proto.name or f"{proto.op_type}_{index}"
    attributes: dict[str, Any] = {}
    node = Node(name, proto.op_type, proto.domain, tuple(proto.input), tuple(proto.output), attributes)
    if node.domain not in DOMAINS:
        raise refuse(node, f"operators of {node.domain!r} are not known")
    for attribute in proto.attribute:
        if attribute.name in attributes:
            raise FileFormatError(f"expected attributes once; received {attribute.name!r} of {name!r} twice")
        attributes[attribute.name] = _attribute(node, attribute, source)
    return node


def _attribute(node: Node, proto: Any, source: Source) -> Any:
    kinds: dict[int, Callable[[], Any]] = {
        FLOAT: lambda: float(str(np.float32(proto.f))),  # the shortest number that float32 rounds to it: 0.2
        INT: lambda: int(proto.i),
        TEXT: lambda: proto.s.decode(),
        TENSOR: lambda: Tensor(proto.t, source),
        FLOATS: lambda: [float(str(np.float32(value))) for value in proto.floats],
        INTS: lambda: [int(value) for value in proto.ints],
        TEXTS: lambda: [value.decode() for value in proto.strings],
    }
    if proto.ref_attr_name or proto.type not in kinds:
        raise refuse(node, f"its attribute {proto.name!r} is of a kind that no layer has")
    return kinds[proto.type]()
