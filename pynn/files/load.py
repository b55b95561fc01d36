"""Read models from files."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from typing import Any

from .. import checks, losses
from ..data import Schema
from ..errors import FileFormatError, MissingFileError, TrainingWarning
from ..metrics import names as metrics_
from ..model import Sequential
from ..names import public
from ..network.fills import without_fills
from ..network.network import Network, read_core

__all__ = ["load"]

BROKEN = (ValueError, TypeError, AttributeError, LookupError)  # what notes that nobody wrote lead to


@public
def load(path: Any, *, custom: dict[str, Any] | None = None) -> Sequential:
    """Read a model that `Sequential.save` wrote, compiled as it was.

    Nothing in the file is executed or believed unchecked.

    Parameters
    ----------
    path : str or path
    custom : dict of name -> function, optional
        Custom losses, activations and metrics by the names that the file has; see `pynn.losses.Custom`,
        `pynn.activations.Custom` and `pynn.Metric`. A file never holds code. A metric that is left out is warned of,
        and left out of the model.

    Returns
    -------
    Sequential

    Raises
    ------
    MissingFileError, FileError, FileFormatError
    UnknownNameError
        The model has a custom loss or activation that `custom` does not.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"expected a model file; received path={os.fspath(path)!r}, which does not exist")
    file = core = read_core(os.fsencode(checks.path("path", path)), custom)
    try:
        notes = json.loads(file.metadata("python") or "{}")
        if notes.get("fills"):
            core = without_fills(file, notes["fills"])
        network = Network.of_core(core)
        for index in notes.get("frozen") or ():
            if index not in range(len(network.specs)):
                raise ValueError(f"frozen layer {index!r}")
            network.set_trainable(index, False)
        network.schema = Schema.from_dict(notes["schema"]) if notes.get("schema") else None
        loss: Any = None if file.loss is None else {"name": file.loss[0], **file.loss[1]}
        link = str(notes.get("link") or "linear")
    except BROKEN as error:
        raise _broken(path, error) from None
    if file.custom_loss_name is not None:
        loss = losses.resolve(file.custom_loss_name, link, custom)
    model = Sequential._of(network)
    metrics, missing = metrics_.from_dicts(notes.get("metrics") or (), custom)
    try:
        for index, names in (notes.get("vocabularies") or {}).items():
            spec: Any = network.specs[int(index)]
            network.specs[int(index)] = replace(spec, vocabularies=names)
        if loss is not None:
            scaling = (notes.get("target_scaling") or "standard") if core.target_scaling else None
            model.compile(loss, notes.get("optimizer") or "adam", metrics, target_scaling=scaling)
    except BROKEN as error:
        if isinstance(loss, losses.Custom):  # the function that was given may be at fault
            raise
        raise _broken(path, error) from None
    if missing:
        warnings.warn(metrics_.missing_metrics(missing), TrainingWarning, stacklevel=2)
    return model


def _broken(path: Any, error: Exception) -> FileFormatError:
    return FileFormatError(f"expected a model that pynn saved; received {os.fspath(path)!r} ({error})")
