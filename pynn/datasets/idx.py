"""Reader of IDX files, the format that MNIST is published in.

Two zero bytes, one byte for the element type, one for the number of dimensions, each dimension as a big-endian uint32,
then the elements, big-endian, row-major; optionally all of it gzip-compressed. A file that is a byte short or long, or
whose header promises more than the file can hold, is refused before memory is taken for it.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import BinaryIO

import numpy as np

from ..errors import FileFormatError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_DEFLATE_LIMIT = 1032  # bytes that one compressed byte can stand for, at most
_HEADER_LIMIT = 4 + 4 * 255


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an IDX file, compressed or not, into an array of native byte order.

    Parameters
    ----------
    path : path of the file; compression is recognised by content, not by name.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64, with the file's dimensions.

    Raises
    ------
    pynn.FileFormatError
        The file is no IDX file, or is truncated, too long or damaged; the message names the path.
    OSError
        The file cannot be opened or read.

    Examples
    --------
    >>> images = read("train-images-idx3-ubyte.gz")    # doctest: +SKIP
    >>> images.shape                                   # doctest: +SKIP
    (60000, 28, 28)
    """
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        compressed = file.read(2) == _GZIP
        file.seek(0)
        if not compressed:
            return _parse(file, path, limit=size)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _parse(stream, path, limit=_HEADER_LIMIT + size * _DEFLATE_LIMIT)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(f"expected an intact gzip file; received {error} in {os.fspath(path)!r}") from error


def _parse(stream: BinaryIO, path: str | os.PathLike[str], limit: int) -> np.ndarray:
    def refuse(rule: str, received: str) -> FileFormatError:
        return FileFormatError(f"expected {rule}; received {received} in {os.fspath(path)!r}")

    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise refuse("an IDX file (00 00, type 08 09 0B 0C 0D 0E, 1 or more dimensions)", f"magic={magic.hex(' ')}")
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise refuse(f"{magic[3]} dimensions of 4 bytes", f"{len(header)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    dtype = np.dtype(_TYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    if expected > limit:
        raise refuse(f"{expected} bytes of elements for the dimensions {shape}", "a file too small to hold them")
    elements = stream.read(expected + 1)
    if len(elements) != expected:
        received = "more" if len(elements) > expected else str(len(elements))
        raise refuse(f"{expected} bytes of elements for the dimensions {shape}", received)
    return np.frombuffer(elements, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
