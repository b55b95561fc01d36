"""Rows that an export is tried with, and what the model predicts for them."""

from __future__ import annotations

import importlib.util
import json
import warnings
from typing import Any

import numpy as np

from ...errors import NumericalError, TrainingWarning
from ...layers import Categorical, Normalization
from ...network import precision
from .writer import Writer, category_numbers

__all__ = ["Vectors", "compare"]

ROWS = 4
SPREADS = (1.0, 0.1, 0.0)
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}  # of the largest prediction: rounding adds up from layer to layer


class Vectors:
    """Inputs by name, and the predictions that belong to them."""

    def __init__(self, writer: Writer) -> None:
        core = writer.trained.core
        double = not writer.logits and precision.scales_in_double(core)
        self.batch = writer.graph.batch or ROWS
        self.outputs = np.empty((ROWS, core.outputs), np.float64 if double else core.dtype)
        for spread in SPREADS:  # an exponential may overflow for rows unlike those trained on
            x = _rows(writer, ROWS, spread).astype(writer.input_dtype)
            self.inputs = _by_column(writer, x) if writer.by_column else {"X": x.reshape(ROWS, *writer.row_shape)}
            precision.predict(core, x, self.outputs, writer.logits, False)
            if np.isfinite(self.outputs).all():
                break
        self.tolerance = TOLERANCES[str(core.dtype)]
        self.size = float(np.abs(self.outputs).max(initial=0, where=np.isfinite(self.outputs))) or 1.0
        if core.target_scaling and not writer.logits:  # targets may be far from 0, and close together
            self.size = float(writer.tensors(-1, "target_spread")[0].max()) or self.size

    def text(self) -> str:
        """Return them as JSON, so that every runtime can be tried."""
        inputs = {name: values.tolist() for name, values in self.inputs.items()}
        return json.dumps({"inputs": inputs, "outputs": self.outputs.tolist()})


def _rows(writer: Writer, count: int, spread: float) -> np.ndarray:
    """Return rows such as the first layers expect: near the data adapted to, codes where there are categories."""
    generator = np.random.default_rng(0)
    network = writer.trained
    x = generator.normal(size=(count, network.inputs)) * spread
    changed = np.zeros(network.inputs, bool)
    for index, spec in enumerate(network.specs):
        if isinstance(spec, Normalization):
            scale, shift = network.view(index, "scale"), network.view(index, "shift")
            own = (scale > 0) & ~changed
            x[:, own] = shift[own] + x[:, own] / scale[own]
            constant = (scale == 0) & ~changed
            x[:, constant] = shift[constant]
            changed |= ~np.isnan(scale)
        elif isinstance(spec, Categorical):
            for column, size in zip(spec.columns, spec.sizes or (), strict=True):
                x[:, column] = generator.integers(0, size + 1, count)
            break
        elif getattr(spec, "takes_sequences", False) or not spec.only_trains:
            break
    return x


def _by_column(writer: Writer, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cells of each column; `x` gets the codes that they stand for."""
    found: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(1)
    assert writer.schema is not None
    for index, (given, column) in enumerate(zip(writer.graph.inputs, writer.schema.columns, strict=True)):
        if column.values is None:
            found[given.name] = x[:, [index]]
            continue
        codes = generator.integers(0, len(column.values) + 1, len(x))
        x[:, index] = codes
        numbers = category_numbers(column.values)
        known: list[Any] = ["", *map(str, column.values)] if numbers is None else [np.nan, *numbers]
        cells = np.array([known[code] for code in codes], object if numbers is None else np.float64)
        found[given.name] = cells[:, None]
    return found


def compare(data: bytes, vectors: Vectors, opset: int) -> tuple[float, str] | None:
    """Return the largest difference of onnxruntime's predictions, and its version; None where it cannot say.

    Raises
    ------
    NumericalError
        They differ by more than rounding.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes of errors have no base of their own
        warnings.warn(
            f"expected an export for onnxruntime {onnxruntime.__version__}; received one of opset={opset} that "
            f"it refuses, so that the file was not tried: {str(error).splitlines()[0]}",
            TrainingWarning,
            stacklevel=5,
        )
        return None
    rows = np.arange(max(vectors.batch, ROWS)) % ROWS  # again and again, for a batch of more
    (found,) = session.run(None, {name: values[rows[: vectors.batch]] for name, values in vectors.inputs.items()})
    away = np.abs(found[:ROWS].astype(np.float64) - vectors.outputs[: len(found)])
    difference = float(away.max(initial=0, where=np.isfinite(vectors.outputs[: len(found)])))
    if not difference <= vectors.tolerance * vectors.size:
        raise NumericalError(
            f"expected predictions of onnxruntime {onnxruntime.__version__} within {vectors.tolerance:g} of "
            f"{vectors.size:g} from the model's own; received a difference of {difference:g}: nothing was written"
        )
    return difference, f"onnxruntime {onnxruntime.__version__}"
