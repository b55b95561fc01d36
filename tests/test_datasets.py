"""The bundled digits, and the reader of IDX files."""

import gzip
import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.datasets import idx

DATA = Path(pynn.datasets.__file__).parent / "data"


def idx_bytes(array, code):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def test_digits_are_what_the_documentation_says():
    (X, y), (Xt, yt) = pynn.datasets.digits()
    assert (X.shape, y.shape, Xt.shape, yt.shape) == ((7000, 784), (7000,), (1000, 784), (1000,))
    assert (X.dtype, y.dtype, Xt.dtype, yt.dtype) == ("float32", "int64", "float32", "int64")
    assert X.min() == 0
    assert X.max() == 1
    assert set(y) == set(yt) == set(range(10))
    pixels = X.astype(np.float64)
    assert pixels.mean() == pytest.approx(0.1311, abs=5e-5)
    assert pixels.std() == pytest.approx(0.3087, abs=5e-5)


def test_digits_look_like_digits():
    (X, y), (Xt, yt) = pynn.datasets.digits()
    means = np.stack([X[y == digit].mean(axis=0) for digit in range(10)])
    nearest = ((Xt[:, None, :] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == yt) > 0.75


def test_digits_are_new_arrays_with_each_call():
    (X, _), _ = pynn.datasets.digits()
    X[:] = -1
    (again, _), _ = pynn.datasets.digits()
    assert again.min() == 0


def test_checksums_in_the_readme_are_those_of_the_files():
    named = dict(re.findall(r"`(\S+\.gz)` \| `([0-9a-f]{64})`", (DATA / "README.md").read_text()))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("*.gz")}
    assert len(files) == 4
    assert named == files


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize(
    ("dtype", "code"),
    [("uint8", 0x08), ("int8", 0x09), ("int16", 0x0B), ("int32", 0x0C), ("float32", 0x0D), ("float64", 0x0E)],
)
def test_every_type_is_read(tmp_path, dtype, code, compress):
    expected = (np.arange(24).reshape(2, 3, 4) * 5 - 30).astype(dtype)
    path = tmp_path / "some.file"
    path.write_bytes(compress(idx_bytes(expected, code)))
    array = idx.read(path)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, expected)
    array[0] = 1  # writable


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3), 0x08)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"not an IDX file",
        b"\0\0\x0a\x01" + GOOD[4:],  # no such type
        b"\0\0\x08\x00" + GOOD[4:],  # no dimensions
        b"\0\x01" + GOOD[2:],
        GOOD[:7],
        GOOD + b"\0",
        b"\0\0\x08\x03" + b"\xff" * 12,  # promises more than any memory holds
        b"\0\0\x0e\xff" + b"\xff" * 1020,
    ],
)
@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_what_is_no_idx_file_is_refused_by_name(tmp_path, content, compress):
    path = tmp_path / "bad-file"
    path.write_bytes(compress(content))
    with pytest.raises(pynn.FileFormatError, match=r"expected .* received .*bad-file"):
        idx.read(path)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "cut"
    for content in (GOOD, gzip.compress(GOOD)):
        for size in range(len(content)):
            path.write_bytes(content[:size])
            with pytest.raises(pynn.FileFormatError):
                idx.read(path)


def test_every_flipped_byte_of_the_compressed_elements_is_refused(tmp_path):
    content = gzip.compress(GOOD)
    path = tmp_path / "flipped"
    for at in range(10, len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        with pytest.raises(pynn.FileFormatError):
            idx.read(path)


def test_a_missing_file_is_the_operating_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "missing")
