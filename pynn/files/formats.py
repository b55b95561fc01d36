"""The formats of files that models come from and go to: one row each.

To add one: write a module of this folder with ``read(path, custom) -> Content`` (or, for files that hold tensors
without layers, ``read_weights(path) -> {name: array}``) and ``write(learner, path, **options)``, or one of them; add
its row.
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

FORMATS = (
    Format(
        "a model file of pynn", (".safetensors",), lambda look: b'"pynn.model"' in look.head,
        "own", reads=True, writes=True,
    ),
    Format(
        "a safetensors file of another program", (), lambda look: look.head[8:9] == b"{",
        "safetensors", weighs=True, instead=_WEIGHTS,
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
