"""Read the model files that `Sequential.save` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import checks, losses
from ..data import Schema
from ..errors import FileFormatError
from ..metrics import names as metrics_
from ..network.fills import without_fills
from ..network.network import Network, read_core
from ..training.learner import Learner
from .content import BROKEN, Content
from .save import save

__all__ = ["read", "write"]


def read(path: Any, custom: Mapping[str, Any] | None = None) -> Content:
    """Read a model file of pynn; the C library checks it to the last byte."""
    file = read_core(os.fsencode(checks.path("path", path)), custom)
    try:
        notes = json.loads(file.metadata("python") or "{}")
        network = _network(file, notes)
        loss: Any = None if file.loss is None else {"name": file.loss[0], **file.loss[1]}
        link = str(notes.get("link") or "linear")
        optimizer = notes.get("optimizer") or "adam"
        scaling = (notes.get("target_scaling") or "standard") if file.target_scaling else None
    except BROKEN as error:
        raise FileFormatError(f"expected a model that pynn saved; received {os.fspath(path)!r} ({error})") from None
    if file.custom_loss_name is not None:
        loss = losses.resolve(file.custom_loss_name, link, custom)
    metrics, missing = metrics_.from_dicts(notes.get("metrics") or (), dict(custom or {}))
    return Content(network, "pynn", loss, optimizer, metrics, scaling, missing)


def _network(file: Any, notes: dict[str, Any]) -> Network:
    """Make the network of a core that was read, and of the notes beside it."""
    network = Network.of_core(without_fills(file, notes["fills"]) if notes.get("fills") else file)
    for index in notes.get("frozen") or ():
        if index not in range(len(network.specs)):
            raise ValueError(f"frozen layer {index!r}")
        network.set_trainable(index, False)
    network.schema = Schema.from_dict(notes["schema"]) if notes.get("schema") else None
    for index, names in (notes.get("vocabularies") or {}).items():
        spec: Any = network.specs[int(index)]
        network.specs[int(index)] = replace(spec, vocabularies=names)
    return network


def write(learner: Learner, path: Any) -> None:
    """Write a model file of pynn."""
    save(learner.network, path, learner.notes())
