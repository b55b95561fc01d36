"""Read ONNX files: those that `export_onnx` wrote as the same model, those of other programs as a chain of layers."""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import checks, losses
from ... import layers as layers_
from ...data import Schema
from ...data.schema import Column
from ...errors import FileError, FileFormatError, PynnError, TrainingWarning, UnsupportedError
from ...metrics import names as metrics_
from ...network.network import Network
from ...training.learner import Learner
from ..content import BROKEN, Content
from . import recurrent
from .checksum import CHECKSUM, is_right
from .export import export_onnx
from .reader import Reader
from .source import Source, parse

__all__ = ["file_bytes", "read", "read_bytes", "write"]


def read(path: Any, custom: Mapping[str, Any] | None = None) -> Content:
    """Read an ONNX file."""
    path = checks.path("path", path)
    return read_bytes(file_bytes(path), os.path.dirname(os.path.abspath(path)), custom)


def write(learner: Learner, path: Any, **options: Any) -> None:
    """Write an ONNX file."""
    export_onnx(learner, path, **options)


def file_bytes(path: str) -> bytes:
    """Return what a file holds."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FileError(f"expected a file that can be read; received path={path!r}: {error.strerror}") from None


def read_bytes(
    data: bytes, folder: str | None = None, custom: Mapping[str, Any] | None = None, output: str | None = None,
    as_graph: bool = False,
) -> Content:  # fmt: skip
    """Read the bytes of an ONNX file.

    Parameters
    ----------
    folder : str or None
        Where files of tensors may stand; None: nowhere.
    output : str, optional
        Which of several outputs is the model's.
    as_graph : bool
        Read the graph of an export of pynn as one of another program.
    """
    try:
        source = parse(data, folder)
        is_own = source.producer == "pynn" or any(key.startswith("pynn.") for key in source.metadata)
        if is_own and not as_graph and output is None:
            return _own(data, source, custom)
        return _foreign(source, output)
    except PynnError:
        raise
    except (*BROKEN, RecursionError) as error:
        raise FileFormatError(f"expected an ONNX model; received bytes that are none, or changed ({error})") from None


# ---- exports of pynn


def _own(data: bytes, source: Source, custom: Mapping[str, Any] | None) -> Content:
    """Return the model that was exported; the checksum proves every byte."""
    if not is_right(data, source.metadata.get(CHECKSUM, "")):
        raise FileFormatError(
            "expected an export of pynn as it was written; received one that was changed, or that another program "
            "wrote again: pynn.from_onnx(..., as_graph=True) reads its graph without what pynn has beside it"
        )
    values = json.loads(source.metadata["pynn.model"])
    given = dict(custom or {})
    specs = layers_.flatten(layers_.from_dict(layers_.with_functions(layer, given)) for layer in values["layers"])
    network = Network(specs, seed=values["seed"], dtype=values["dtype"])
    network.target_scaling = values["target_scaling"]
    network.build(values["inputs"], *values.get("timesteps", ()))
    for index in values.get("frozen") or ():
        network.set_trainable(index, False)
    for (index, name), view in network.parts(network.parameters).items():
        view[...] = _parameter(source, network.specs[index], index, name).reshape(view.shape)
    network.state[...] = np.frombuffer(base64.b64decode(source.metadata["pynn.state"]), "<f8")
    network.schema = Schema.from_dict(values["schema"]) if values.get("schema") else None
    loss = values["loss"]
    if loss and loss.get("custom"):
        loss = losses.resolve(loss["name"], loss["link"], given)
    metrics, missing = metrics_.from_dicts(values.get("metrics") or (), given)
    return Content(network, "pynn", loss, values["optimizer"], metrics, values["target_scaling"], missing)


def _parameter(source: Source, spec: layers_.Layer, index: int, name: str) -> np.ndarray:
    """Return a parameter from the tensor of its name, or from those that a recurrent operator takes."""
    own = source.tensors.get(f"layers.{index}.{name}")
    if own is not None:
        return own.array()
    packed = {part: source.tensors[f"layers.{index}.{part}"].array() for part in ("W", "R", "B")}
    return recurrent.parameters(spec, packed)[name]


# ---- graphs of other programs


def _foreign(source: Source, output: str | None) -> Content:
    try:
        reader = Reader(source, output)
    except UnsupportedError as error:
        try:  # functions of functions are taken as activations one after another
            reader = Reader(source, output, eager=True)
        except UnsupportedError:
            raise error from None
    description = reader.chain.describe(reader.inputs, source.budget)
    if reader.log_softmax is not None:
        warnings.warn(
            "expected probabilities as the graph's output; received their logarithms, LogSoftmax: predictions of the "
            "model are probabilities",
            TrainingWarning,
            stacklevel=5,
        )
    return Content(description, source.producer or "ONNX", schema=_schema(reader, description.inputs or 0))


def _schema(reader: Reader, inputs: int) -> Schema | None:
    """Return the names of columns and classes, where the graph has them."""
    classes = reader.classes
    if classes is not None and classes == tuple(range(len(classes))):
        classes = None
    if classes is None and len(reader.columns) != inputs:
        return None
    columns = tuple(map(Column, reader.columns)) if len(reader.columns) == inputs else (Column(None),) * inputs
    return Schema(columns, classes=classes)
