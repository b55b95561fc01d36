"""Read the files of tensors that ``torch.save`` writes, without PyTorch.

A file is a zip archive: ``NAME/data.pkl``, a pickle of dictionaries, and a member ``NAME/data/KEY`` for each storage. A
tensor is a view of a storage, with an offset and strides of its own; several may share one.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import FileFormatError
from .safetensors import widen
from .unpickle import Refused, load
from .zipped import Archive

__all__ = ["read", "read_weights", "split"]

DTYPES = {
    "Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4", "Short": "i2",
    "Char": "i1", "Byte": "u1", "Bool": "?",
}  # fmt: skip
STATES = ("model_state_dict", "state_dict", "model", "model_state", "module")  # usual names in a checkpoint
OPTIMIZERS = ("optimizer_state_dict", "optimizer", "optimizer_state")


def read_weights(path: Any) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict, or of the one in a checkpoint."""
    return split(read(path), path)[0]


def split(found: Any, path: Any) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """Return the tensors of a state dict and the state of an optimizer beside it, None without one.

    A checkpoint is a dictionary of them, under the names that are usual.
    """
    if _is_state(found):
        return found, None
    entries = found if isinstance(found, dict) else {}
    states = [entries[name] for name in STATES if _is_state(entries.get(name))]
    optimizers = [entries[name] for name in OPTIMIZERS if isinstance(entries.get(name), dict)]
    if len(states) != 1:
        names = ", ".join(map(repr, list(entries)[:20])) or type(found).__name__
        raise FileFormatError(
            f"expected a state dict, or one under one of the names {', '.join(STATES)}; received "
            f"{os.fspath(path)!r} with {names}"
        )
    return states[0], optimizers[0] if optimizers else None


def _is_state(found: Any) -> bool:
    return isinstance(found, dict) and bool(found) and all(isinstance(v, np.ndarray) for v in found.values())


def read(path: Any) -> Any:
    """Return what a file holds: dictionaries, lists and numbers, tensors as views of arrays.

    Raises
    ------
    FileFormatError
        Another file, a broken one, or one that asks for more than tensors; the message has the line that helps.
    """
    with Archive(path, "a file of tensors that torch.save wrote") as archive:
        folder = next((n[: -len("data.pkl")] for n in archive.names if n.endswith("data.pkl")), None)
        if folder is None:
            raise archive.bad("no data.pkl in it")
        order = ">" if f"{folder}byteorder" in archive.names and archive.read(f"{folder}byteorder") == b"big" else "<"
        storages = _Storages(archive, f"{folder}data/", order)
        known: dict[str, Any] = {
            f"torch {name}Storage": _StorageType(name, dtype) for name, dtype in DTYPES.items()
        } | _FUNCTIONS
        try:
            return load(archive.read(f"{folder}data.pkl"), known | _FUNCTIONS, storages.find)
        except Refused as error:
            raise _refusal(archive, error) from None


def _refusal(archive: Archive, error: Refused) -> FileFormatError:
    if error.name is None:
        return archive.bad(str(error))
    path = os.fspath(archive.path)
    return FileFormatError(
        f"expected tensors in dictionaries; received {path!r} with {error}, which pynn does not run. If you trust the "
        f"file: torch.save(torch.load({path!r}, weights_only=False).state_dict(), 'weights.pt')"
    )


class _Storages:
    """The storages of a file, each read once."""

    def __init__(self, archive: Archive, folder: str, order: str) -> None:
        self.archive, self.folder, self.order = archive, folder, order
        self.found: dict[str, np.ndarray] = {}

    def find(self, identity: Any) -> np.ndarray:
        """Return the numbers of a storage, of which a persistent id tells type, key, device and size."""
        tag, kind, key, _, size = identity
        if tag != "storage" or not isinstance(key, str) or not isinstance(kind, _StorageType) or type(size) is not int:
            raise Refused("a storage that is not one")
        if key not in self.found:
            data = self.archive.read(self.folder + key)
            dtype = np.dtype(self.order + kind.dtype)
            if len(data) != size * dtype.itemsize:
                raise Refused(f"a storage of {len(data)} bytes for {size} numbers of {dtype}")
            numbers = np.frombuffer(data, dtype)
            self.found[key] = widen("BF16" if kind.bits else "", numbers)
        return self.found[key]


class _StorageType:
    """What stands for ``torch.FloatStorage`` and its kin, which a pickle names and never calls."""

    def __init__(self, name: str, dtype: str) -> None:
        self.dtype, self.bits = dtype, name == "BFloat16"

    def __call__(self, *arguments: Any) -> Any:
        raise Refused("a call of a type of storage")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> np.ndarray:
    """Return a view of a storage; its memory is the storage's."""
    whole = [offset, *shape, *strides]
    if not isinstance(storage, np.ndarray) or any(type(n) is not int or not 0 <= n < 1 << 48 for n in whole):
        raise Refused("a tensor whose offset, sizes or strides are none")
    if len(shape) != len(strides) or len(shape) > 8:
        raise Refused("a tensor with other numbers of sizes and strides")
    if 0 in shape:
        return np.empty(shape, storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if last >= storage.size:
        raise Refused(f"a tensor that ends at {last} in a storage of {storage.size}")
    bytes_ = [step * storage.itemsize for step in strides]
    view: np.ndarray = np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_, writeable=False)
    return view


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _dictionary(*items: Any) -> dict[Any, Any]:
    if items:
        raise Refused("a dictionary made of other things")
    return {}


_FUNCTIONS = {
    "collections OrderedDict": _dictionary,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
}
