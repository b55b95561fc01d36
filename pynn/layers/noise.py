"""Layers that add noise while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Layer


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """While training, each input is 0 with probability `rate`, else divided by 1-rate; in prediction nothing happens.

    Parameters
    ----------
    rate : float in [0, 1)

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    kind: ClassVar[str] = "dropout"

    rate: float = 0.5

    def __post_init__(self) -> None:
        self._check("rate")


@dataclass(frozen=True, repr=False)
class GaussianNoise(Layer):
    """While training, adds to each input a normal number of mean 0; in prediction nothing happens.

    Parameters
    ----------
    stddev : float >= 0
    """

    kind: ClassVar[str] = "gaussian_noise"

    stddev: float = 0.1

    def __post_init__(self) -> None:
        self._check("stddev")
