"""Write one model as one self-contained C99 header: constant weights, no allocation, no library."""

from __future__ import annotations

import contextlib
import keyword
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import arrays, checks
from ...errors import ArgumentTypeError, ArgumentValueError, FileError
from ...network.network import Network
from ...network.predict import predict
from .exported import Exported
from .header import header
from .program import SIZES, Program

_LINKAGES = ("static", "extern")
_WEIGHTS = ("float32", "float64", "int8")


def export_c(
    trained: Network,
    path: Any,
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    weights: str | None = None,
    calibration: Any = None,
    linkage: str = "static",
) -> Exported:
    """Write the model as one C99 header that needs nothing but a compiler.

    What training did to the data is in it: bad cells are filled in, targets scaled back, and its first comment names
    columns, codes and classes. Inputs and outputs are doubles where float has too few steps for them.

    Parameters
    ----------
    path : path of the header
    name : str, optional
        Prefix of its names; the file's name by default.
    labels : sequence of str, optional
        Names of the classes, for ``<name>_label``; by default those that y had in training.
    weights : "float32", "float64" or "int8", optional
        By default the model's dtype, which the header also computes in. int8 takes a quarter of the memory of float32,
        with one scale for each unit, and computes in float.
    calibration : array-like of shape (rows, inputs), optional
        Typical rows: the cost of rounding weights is measured on them and written into the header.
    linkage : "static" or "extern"
        static: everything is in every file that includes the header. extern: declarations, and the definitions in the
        one file that defines ``<NAME>_IMPLEMENTATION`` before including it.

    Returns
    -------
    Exported

    Raises
    ------
    FileError
        The header cannot be written; nothing is left behind, and an older file stays.
    UnsupportedError
        The model has a layer or activation that cannot be exported.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(3)])
    >>> _ = model.build(4)
    >>> model.export_c("net.h", labels=["a", "b", "c"]).flash_bytes
    268
    """
    path = checks.path("path", path)
    weights = trained.dtype.name if weights is None else weights
    for argument, value, known in (("weights", weights, _WEIGHTS), ("linkage", linkage, _LINKAGES)):
        if value not in known:
            raise ArgumentValueError(f"expected {argument} as one of {known}; received {argument}={value!r}")
    program = Program(trained, _identifier(name, path), weights)
    rows = None if calibration is None else arrays.as_matrix(calibration, "calibration", trained.inputs)
    program.add_layers()
    program.add_labels(labels)
    exported = _measured(trained, program, rows, path)
    _write(path, header(program, exported, linkage))
    return exported


def _identifier(name: Any, path: str) -> str:
    given = re.sub(r"\W", "_", Path(path).name.split(".")[0], flags=re.A) if name is None else name
    if not isinstance(given, str):
        raise ArgumentTypeError(f"expected name as a string; received name={name!r}")
    reserved = keyword.iskeyword(given) or given in ("double", "float", "int", "main")
    if not re.fullmatch(r"[A-Za-z]\w*", given, re.A) or reserved:
        raise ArgumentValueError(f"expected name as a C identifier; received name={given!r}: pass another name=")
    return given


def _measured(trained: Network, program: Program, rows: np.ndarray | None, path: str) -> Exported:
    """Compare the header's predictions with the model's own."""
    cost = (path, program.name, program.flash_bytes, SIZES[program.real] * program.scratch)
    if rows is None:
        return Exported(*cost)
    expected, found = predict(trained, rows, False, True), program.predict(rows)
    if program.outputs > 1 and not program.several:
        same = expected.argmax(1) == found.argmax(1)
    else:
        same = ((expected > 0.5) == (found > 0.5)).all(axis=1)
    return Exported(*cost, float(np.abs(found.astype(np.float64) - expected).max()), float(np.mean(same)))


def _write(path: str, text: str) -> None:
    """Replace a file as a whole; a failure names it and leaves nothing else."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        try:
            with open(temporary, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise FileError(f"expected a header that can be written; received path={path!r}: {error.strerror}") from None
