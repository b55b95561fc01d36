"""The files of Keras 3 as numbers and plain values: zip archives and HDF5, by h5py, without Keras.

A ``.keras`` file is a zip archive of metadata.json, config.json and model.weights.h5. In HDF5 a layer's tensors are
``layers/dense_1/vars/0``, ``/1``, ...: named after its class and counted, whatever its name.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import checks
from ..errors import FileFormatError, UnsupportedError
from .zipped import Archive

__all__ = ["Store", "group_names", "open_weights", "read_archive"]

BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError)
LONGEST = 1 << 26  # bytes of a config
NOTES = "pynn.json"  # what Keras has no place for, in files that pynn wrote


class Store:
    """The tensors of an HDF5 file.

    Attributes
    ----------
    groups : dict of str to list of array
        Tensors of each group ``PATH/vars`` by PATH, in the order of their numbers.
    """

    def __init__(self, file: Any, size: int, path: Any) -> None:
        self._size, self._path = size, path
        self._h5 = checks.package("h5py", "keras", "to read files of Keras")
        self.groups: dict[str, list[np.ndarray]] = {}
        try:
            with self._h5.File(file, "r") as opened:
                self._check_kind(opened)
                self._walk(opened, "", 0)
        except (FileFormatError, UnsupportedError):
            raise
        except BROKEN as error:
            raise self._bad(f"{type(error).__name__}: {error}") from None

    def _bad(self, what: str) -> FileFormatError:
        return FileFormatError(f"expected weights of Keras; received {os.fspath(self._path)!r}, broken ({what})")

    def _check_kind(self, opened: Any) -> None:
        if "model_config" in opened.attrs or "layer_names" in opened.attrs or "model_weights" in opened:
            raise FileFormatError(
                f"expected a file of Keras 3; received {os.fspath(self._path)!r}, a legacy .h5 of Keras 2: "
                f"keras.models.load_model({os.fspath(self._path)!r}).save('model.keras') rewrites it"
            )

    def _walk(self, group: Any, path: str, depth: int) -> None:
        """Read the groups below one; links out of the file are not followed."""
        if depth > 16:
            raise self._bad("groups too deep in one another")
        found: dict[int, np.ndarray] = {}
        for name in group:
            if not isinstance(group.get(name, getlink=True), self._h5.HardLink):
                raise self._bad(f"{path}/{name} is a link")
            item = group[name]
            if isinstance(item, self._h5.Group):
                self._walk(item, f"{path}/{name}".lstrip("/"), depth + 1)
            elif re.fullmatch(r"\d{1,6}", name):
                found[int(name)] = self._numbers(item, f"{path}/{name}")
            else:
                raise self._bad(f"{path}/{name} is no tensor of a layer")
        if path == "vars" or path.endswith("/vars"):
            if sorted(found) != list(range(len(found))):
                raise self._bad(f"tensors {sorted(found)} of {path}")
            self.groups[path[: -len("vars")].rstrip("/")] = [found[i] for i in sorted(found)]

    def _numbers(self, item: Any, name: str) -> np.ndarray:
        """Return a tensor, after a look at what it would take."""
        plain = isinstance(item, self._h5.Dataset) and not item.is_virtual and not item.external
        if not plain or item.dtype.kind not in "fiu" or item.shape is None:
            raise UnsupportedError(f"expected tensors of numbers; received {name} in {os.fspath(self._path)!r}")
        self._size -= item.nbytes
        if self._size < 0:
            raise self._bad(f"{name} of shape {item.shape} is larger than the file")
        return np.asarray(item[()])


def open_weights(path: Any) -> Store:
    """Read a ``.weights.h5`` file."""
    return Store(os.fspath(path), os.path.getsize(path), path)


def read_archive(path: Any) -> tuple[dict[str, Any], Store, dict[str, Any]]:
    """Return the config, the tensors and pynn's own notes of a ``.keras`` file."""
    with Archive(path, "a .keras file") as archive:
        if "model.weights.h5" not in archive.names:
            raise archive.bad("no model.weights.h5 in it")
        config = _json(archive, "config.json")
        notes = _json(archive, NOTES) if NOTES in archive.names else {}
        weights = archive.read("model.weights.h5")
        return config, Store(io.BytesIO(weights), len(weights), path), notes


def _json(archive: Archive, name: str) -> dict[str, Any]:
    text = archive.read(name)
    try:
        found = json.loads(text.decode()) if len(text) <= LONGEST else None
    except (ValueError, RecursionError) as error:
        raise archive.bad(f"a broken {name} ({error})") from None
    if not isinstance(found, dict):
        raise archive.bad(f"a {name} that is none")
    return found


def group_names(classes: Iterable[str]) -> list[str]:
    """Return the group of each layer: its class in small letters, numbered from the second one on."""
    seen: dict[str, int] = {}
    found = []
    for cls in classes:
        name = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", cls))).lower()
        count = seen[name] = seen.get(name, -1) + 1
        found.append(f"layers/{name}_{count}" if count else f"layers/{name}")
    return found
