"""Data sets that come with pynn: real ones, small enough to bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import idx

__all__ = ["digits"]

_DATA = Path(__file__).parent / "data"


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """8,000 real handwritten digits of MNIST: 7,000 for training, 1,000 for testing.

    Returns
    -------
    (X, y), (Xt, yt)
        Images as float32 rows of 784 pixels (28 x 28, row by row) in [0, 1], and their labels 0 ... 9 as int64. The
        arrays are new with each call: change them as you like.

    Notes
    -----
    MNIST is by LeCun, Cortes and Burges, CC BY-SA 3.0. Both parts are MNIST *training* digits, so that scores on the
    1,000 are not comparable with published ones on MNIST's 10,000 test digits. Source, checksums and licence stand
    beside the files, in ``pynn/datasets/data/README.md``.

    Examples
    --------
    >>> import pynn
    >>> (X, y), (Xt, yt) = pynn.datasets.digits()
    >>> X.shape, Xt.shape, X.dtype.name, y.dtype.name
    ((7000, 784), (1000, 784), 'float32', 'int64')
    """
    return _part("train"), _part("test")


def _part(name: str) -> tuple[np.ndarray, np.ndarray]:
    images = idx.read(_DATA / f"{name}-images-idx3-ubyte.gz")
    labels = idx.read(_DATA / f"{name}-labels-idx1-ubyte.gz")
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255), labels.astype(np.int64)
