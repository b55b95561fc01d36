"""Export a model to ONNX."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import checks, runtime
from ...errors import FileError, TooLargeError, UnsupportedError
from ...training.learner import Learner
from .checksum import CHECKSUM, sealed
from .graph import onnx_package
from .vectors import Vectors, compare
from .writer import Writer

__all__ = ["ExportedOnnx", "export_onnx"]

OPSETS = (18, 25)
IR_VERSIONS = (8, 14)
MOST_BYTES = 2**31 - 1  # of a protobuf message


@dataclass(frozen=True)
class ExportedOnnx:
    """What `export_onnx` wrote.

    Attributes
    ----------
    path : str
    inputs : tuple of str
        Names of the graph's inputs: ``("X",)``, or one for each column of a table.
    output : str
        Name of the graph's output.
    bytes : int
        Size of the file.
    max_error : float or None
        Largest difference between the model's predictions and the runtime's, over a few rows; None: no runtime is
        installed.
    checked_by : str or None
        Name and version of that runtime.
    """

    path: str
    inputs: tuple[str, ...]
    output: str
    bytes: int
    max_error: float | None = None
    checked_by: str | None = None


def export_onnx(
    learner: Learner, path: Any, *, opset: int = 21, ir_version: int = 10, logits: bool = False, gemm: bool = True,
    batch: int | None = None,
) -> ExportedOnnx:  # fmt: skip
    """Write a model to an ONNX file; an older file is replaced as a whole or stays. See `Sequential.export_onnx`."""
    path = checks.path("path", path)
    opset = checks.integer("opset", opset, *OPSETS)
    ir_version = checks.integer("ir_version", ir_version, *IR_VERSIONS)
    logits, gemm = checks.boolean("logits", logits), checks.boolean("gemm", gemm)
    batch = None if batch is None else checks.integer("batch", batch, 1, 2**31 - 1)
    onnx = onnx_package()
    if opset > onnx.defs.onnx_opset_version():
        raise UnsupportedError(
            f"expected opset up to {onnx.defs.onnx_opset_version()}, which onnx {onnx.__version__} has; received "
            f"opset={opset}: install a newer onnx"
        )
    writer = Writer(learner.network, opset, batch, gemm, logits)
    size = writer.trained.parameters.nbytes
    if size > MOST_BYTES - (64 << 20):
        raise TooLargeError(f"expected at most 2 GB of parameters, as ONNX files hold; received {size} bytes")
    graph = writer.write()
    vectors = Vectors(writer)
    metadata = _metadata(learner, writer, vectors)
    model = graph.model(ir_version, "pynn", str(runtime.provenance()["pynn"]), metadata)
    onnx.checker.check_model(model, full_check=True)
    data = sealed(model.SerializeToString(deterministic=True))
    checked = compare(data, vectors, opset)
    _write(path, data)
    names = tuple(given.name for given in graph.inputs)
    return ExportedOnnx(path, names, graph.outputs[0].name, len(data), *(checked or ()))


def _metadata(learner: Learner, writer: Writer, vectors: Vectors) -> dict[str, str]:
    """Return what programs may read beside the graph, and what makes the same model of it again."""
    network, schema = learner.network, writer.schema
    own = learner.to_dict() | {"inputs": network.inputs, "schema": schema and schema.to_dict()}
    timesteps = getattr(network, "timesteps", None) or 1
    if timesteps > 1:
        own["timesteps"] = [timesteps]
    found = {
        "pynn.format": "1",
        "pynn.model": json.dumps(own),
        "pynn.state": base64.b64encode(np.ascontiguousarray(network.state, "<f8").tobytes()).decode("ascii"),
        "pynn.vectors": vectors.text(),
        "link": "linear" if writer.logits else writer.link,
    }
    if schema is not None and schema.classes:
        found["classes"] = json.dumps(list(schema.classes))
    if schema is not None and schema.names:
        found["columns"] = json.dumps(schema.names)
    return found | {CHECKSUM: "0" * 64}


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise FileError(f"expected a file that can be written; received path={path!r}: {error.strerror}") from None
