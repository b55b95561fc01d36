"""The formats of files that models come from and go to: one row each.

To add one: write a module of this folder with ``read(path, custom) -> Content`` and ``write(learner, path, ...)``,
or one of them, or ``read_weights(path) -> {name: array}`` for files of tensors without layers; and add its row.
"""

from __future__ import annotations

import importlib
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentValueError, FileFormatError
from .content import Content

__all__ = ["FORMATS", "Format", "Look", "format_of", "writer_of"]

HEAD = 4096  # bytes of a file that are looked at


@dataclass(frozen=True)
class Look:
    """What tells files apart: name in small letters, first bytes, members of a zip archive or of a folder."""

    name: str
    head: bytes
    members: frozenset[str]


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes
    ----------
    name : str
        With an article, for messages.
    suffixes : tuple of str
        What names of files end in that are written.
    looks : function of a Look
        Whether a file is of this format.
    module : str or None
        Module of this folder; None: the format is told apart in order to be refused.
    reads, weighs, writes : bool
        Whether the module has `read`, `read_weights`, `write`.
    instead : str
        What to do where they are missing; ``{path}`` stands for the file.
    """

    name: str
    suffixes: tuple[str, ...]
    looks: Callable[[Look], bool]
    module: str | None = None
    reads: bool = False
    weighs: bool = False
    writes: bool = False
    instead: str = ""

    def read(self, path: Any, custom: Mapping[str, Any] | None = None) -> Content:
        """Return the model that a file holds; refuse a file without one, with the line that helps."""
        if not self.reads:
            raise FileFormatError(f"expected a file of a model; received {self._told(path)}")
        content: Content = self._module().read(path, custom)
        return content

    def read_weights(self, path: Any) -> dict[str, np.ndarray]:
        """Return the tensors that a file holds by name; refuse a file that holds none, or more than tensors."""
        if not self.weighs:
            raise FileFormatError(f"expected a file of weights; received {self._told(path)}")
        weights: dict[str, np.ndarray] = self._module().read_weights(path)
        return weights

    def _told(self, path: Any) -> str:
        path = os.fspath(path)
        instead = self.instead or ("pynn.load({path!r})" if self.reads else "")
        return f"{path!r}, {self.name}: {instead.format(path=path)}"

    def write(self, learner: Any, path: Any, **options: Any) -> None:
        """Write a learner's network, and of its training what the format can hold."""
        self._module().write(learner, path, **options)

    def _module(self) -> Any:
        return importlib.import_module(f".{self.module}", __package__)


_WEIGHTS = "weights without their layers. Make the model, build it, then call model.load_weights({path!r})"

_OLD_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def _has(look: Look, member: str) -> bool:
    """Whether an archive has a member of this name in its only folder."""
    return any(name.partition("/")[2] == member for name in look.members)


FORMATS = (
    Format(
        "a model file of pynn", (".safetensors",), lambda look: b'"pynn.model"' in look.head,
        "own", reads=True, writes=True,
    ),
    Format(
        "a safetensors file of another program", (), lambda look: look.head[8:9] == b"{",
        "safetensors", weighs=True, instead=_WEIGHTS,
    ),
    Format(
        "an ONNX model", (".onnx",), lambda look: look.name.endswith(".onnx"), "onnx.read", reads=True, writes=True,
    ),
    Format(
        "a model file of Keras", (".keras",), lambda look: {"config.json", "model.weights.h5"} <= look.members,
        "keras", reads=True, writes=True,
    ),
    Format(
        "weights of Keras", (), lambda look: look.head[:8] == b"\x89HDF\r\n\x1a\n",
        "keras", weighs=True, instead=_WEIGHTS,
    ),
    Format(
        "a network of FANN", (), lambda look: look.head[:6] == b"FANN_F", "fann", reads=True,
    ),
    Format(
        "a SavedModel of TensorFlow", (), lambda look: "saved_model.pb" in look.members,
        instead="where it was made, keras.models.load_model of the model's own .keras or .h5 file, then "
        "model.save('model.keras'); or model.save_weights('model.weights.h5') for model.load_weights",
    ),
    Format(
        "a TorchScript file of PyTorch", (), lambda look: _has(look, "constants.pkl"),
        instead="torch.save(torch.jit.load({path!r}).state_dict(), 'weights.pt') makes a file for model.load_weights",
    ),
    Format(
        "a file of tensors of PyTorch", (".pt", ".pth"), lambda look: _has(look, "data.pkl"),
        "pytorch", weighs=True, writes=True, instead=_WEIGHTS,
    ),
    Format(
        "a file that torch.save wrote before PyTorch 1.6", (), lambda look: look.head[:15] == _OLD_TORCH,
        instead="torch.save(torch.load({path!r}, weights_only=True), 'weights.pt') rewrites it",
    ),
    Format(
        "a pickle", (".pkl", ".joblib"), lambda look: look.head[:1] == b"\x80" and look.head[1:2] in b"\2\3\4\5",
        instead="a pickle is a program, and pynn runs none. If you trust it, load it where it was written, then "
        "pynn.from_sklearn(estimator) or pynn.from_torch(module)",
    ),
)  # fmt: skip


def look_at(path: Any) -> Look:
    """Look at a file or a folder."""
    name = os.fspath(path).lower()
    if os.path.isdir(path):
        return Look(name, b"", frozenset(os.listdir(path)))
    with open(path, "rb") as file:
        head = file.read(HEAD)
        members = _members(file) if head[:2] == b"PK" else frozenset()
    return Look(name, head, members)


def _members(file: Any) -> frozenset[str]:
    """Names of the members of a zip archive; none where it is broken."""
    try:
        with zipfile.ZipFile(file) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, ValueError, LookupError, OverflowError, NotImplementedError):
        return frozenset()


def format_of(path: Any) -> Format:
    """Return the format of a file by its content; pynn's where none fits, whose reader says what is wrong."""
    look = look_at(path)
    return next((row for row in FORMATS if row.looks(look)), FORMATS[0])


def writer_of(path: Any) -> Format:
    """Return the format that a name asks for; the error lists those that can be written."""
    name = os.fspath(path).lower()
    rows = [row for row in FORMATS if row.writes]
    for row in rows:
        if name.endswith(row.suffixes):
            return row
    known = ", ".join(suffix for row in rows for suffix in row.suffixes)
    raise ArgumentValueError(f"expected a file to write that ends in one of {known}; received {os.fspath(path)!r}")
