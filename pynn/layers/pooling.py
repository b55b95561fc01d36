"""Layers that make one timestep of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Layer


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """The timesteps of a row side by side: (rows, timesteps, features) to (rows, timesteps x features).

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.Flatten(), pynn.Dense(10)])  # of images (rows, 28, 28)
    """

    kind: ClassVar[str] = "flatten"
    takes_sequences: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
class GlobalAveragePooling1D(Layer):
    """The mean over timesteps of each feature: (rows, timesteps, features) to (rows, features).

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.GRU(16, return_sequences=True), pynn.GlobalAveragePooling1D(), pynn.Dense(2)])
    """

    kind: ClassVar[str] = "global_average_pooling_1d"
    takes_sequences: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
class GlobalMaxPooling1D(Layer):
    """The largest number over timesteps of each feature: (rows, timesteps, features) to (rows, features).

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential([pynn.GRU(16, return_sequences=True), pynn.GlobalMaxPooling1D(), pynn.Dense(2)])
    """

    kind: ClassVar[str] = "global_max_pooling_1d"
    takes_sequences: ClassVar[bool] = True
