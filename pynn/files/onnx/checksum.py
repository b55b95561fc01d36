"""The checksum of an export: SHA-256 of the file with zeros in place of the checksum itself."""

from __future__ import annotations

import hashlib

__all__ = ["CHECKSUM", "is_right", "sealed"]

CHECKSUM = "pynn.checksum"  # name of the entry of the metadata
_NONE = "0" * 64


def _place(data: bytes, value: str) -> int | None:
    """Return where the entry's value begins; None where that is not in one place."""
    before = CHECKSUM.encode() + b"\x12\x40"  # field 2 of an entry, of 64 bytes
    at = data.find(before + value.encode())
    if at < 0 or data.find(before + value.encode(), at + 1) >= 0:
        return None
    return at + len(before)


def sealed(data: bytes) -> bytes:
    """Return the bytes of a model, whose entry holds 64 zeros, with the checksum in it."""
    at = _place(data, _NONE)
    assert at is not None
    return b"".join((data[:at], hashlib.sha256(data).hexdigest().encode(), data[at + 64 :]))


def is_right(data: bytes, value: str) -> bool:
    """Tell whether the bytes of a file are those that were written, given the checksum that it holds."""
    at = _place(data, value) if len(value) == 64 and value.isascii() else None
    if at is None:
        return False
    digest = hashlib.sha256()
    for part in (memoryview(data)[:at], _NONE.encode(), memoryview(data)[at + 64 :]):
        digest.update(part)
    return digest.hexdigest() == value
