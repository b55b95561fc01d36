"""Make models of ONNX graphs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError, MissingFileError
from ..model import Sequential
from ..names import public
from .load import model_of
from .onnx.read import file_bytes, read_bytes

__all__ = ["from_onnx"]


@public
def from_onnx(
    source: Any, *, output: str | None = None, as_graph: bool = False, custom: Mapping[str, Any] | None = None
) -> Sequential:
    """Make a model of an ONNX graph that is a chain of layers: of PyTorch, Keras, scikit-learn, pynn; see docs/onnx.md.

    The model predicts what the graph does, and can be trained on after `compile`. Nothing in the file is executed or
    believed unchecked. Needs the package onnx, ``pynn-dense[onnx]``.

    Parameters
    ----------
    source : str, path or bytes
        The file, or what it holds. Tensors in other files are read from the file's folder alone.
    output : str, optional
        Name of the output, or of any other value, that is the model's; needed where a graph has several. Labels are
        left out: `Sequential.classify` gives them.
    as_graph : bool
        True: read the graph of an export of pynn as one of another program, without what pynn keeps beside it: after
        onnxruntime's optimizer has written it again, for instance.
    custom : dict of name -> function, optional
        As for `load`.

    Returns
    -------
    Sequential
        Compiled only if pynn exported it so.

    Raises
    ------
    UnsupportedError
        The graph is no chain of layers that pynn has; the message names the node.
    FileFormatError
        The bytes are no valid ONNX model, or an export of pynn that was changed.
    MissingFileError, MissingDependencyError
    """
    as_graph = checks.boolean("as_graph", as_graph)
    if output is not None and not isinstance(output, str):
        raise ArgumentTypeError(f"expected output as a name; received output={output!r}")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return model_of(read_bytes(bytes(source), None, custom, output, as_graph), "bytes")
    path = checks.path("source", source)
    if not os.path.exists(path):
        raise MissingFileError(f"expected an ONNX file; received source={path!r}, which does not exist")
    folder = os.path.dirname(os.path.abspath(path))
    return model_of(read_bytes(file_bytes(path), folder, custom, output, as_graph), path)
