"""Layers that scale their input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import checks
from ..errors import ArgumentValueError
from .base import Layer, check_columns


@dataclass(frozen=True, repr=False)
class Normalization(Layer):
    """Columns to comparable scales, by numbers taken from data: ``Y = (X - shift) * scale``, rounded once.

    As the first layer it reads X in float64 whatever the model's dtype, so that 1e9 + 1 and 1e9 differ. `fit` adapts it
    when nothing else has; `Sequential.adapt` does so in one pass over any data.

    ==============  ==========  ==============================================================================
    mode            shift       1 / scale
    ==============  ==========  ==============================================================================
    ``"standard"``  mean        standard deviation, over all rows
    ``"minmax"``    minimum     maximum - minimum
    ``"robust"``    median      third - first quartile; the standard deviation where they agree
    ==============  ==========  ==============================================================================

    A column that never changed gives exactly 0, and so does one without any number.

    Parameters
    ----------
    mode : "standard", "minmax" or "robust"
    missing : "error", "mean", "median" or "nonfinite"
        What is done about NaN: refuse it, with its row and column, or replace it by the column's mean or median of the
        data adapted to, in training and in prediction. ``"nonfinite"`` replaces infinite cells by the mean too.
    clip : float > 0, optional
        Values beyond +-clip become +-clip, and infinite cells too, which are refused otherwise. Infinite cells have no
        part in the numbers that the layer adapts to.
    columns : sequence of int, optional
        Columns to normalize; the others pass as they are. None: all.

    Notes
    -----
    Quartiles are exact for data in memory. Of data that come in parts, 2048 numbers of a column are held at first; the
    rank of a quartile is then wrong by at most ``n * log2(n / 2048) / 2048`` of n rows (Munro and Paterson, "Selection
    and sorting with limited storage", 1980).

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.array([[1e9, 5.0], [1e9 + 2, 5.0]])
    >>> model = pynn.Sequential([pynn.Normalization(), pynn.Dense(1)]).build(2)
    >>> model.adapt(X)
    >>> model.layers[0].shift.tolist()
    [1000000001.0, 5.0]
    """

    kind: ClassVar[str] = "normalization"
    MODES: ClassVar[tuple[str, ...]] = ("standard", "minmax", "robust")
    MISSING: ClassVar[tuple[str, ...]] = ("error", "mean", "median", "nonfinite")

    mode: str = "standard"
    missing: str = "error"
    clip: float | None = None
    columns: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        checks.choice("Normalization.mode", self.mode, self.MODES)
        checks.choice("Normalization.missing", self.missing, self.MISSING)
        if self.clip is not None:
            self._check("clip")
            if not self.clip:
                raise ArgumentValueError("expected Normalization.clip > 0, or None; received clip=0")
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(sorted(check_columns("Normalization.columns", self.columns))))

    @property
    def needs_quartiles(self) -> bool:
        """Whether adaptation takes them."""
        return self.mode == "robust" or self.missing == "median"

    @property
    def core(self) -> dict[str, Any]:
        numbers = {
            "mode": self.MODES.index(self.mode), "missing": self.MISSING.index(self.missing), "clip": self.clip or 0
        }  # fmt: skip
        return {"kind": (self.kind, numbers)} | ({} if self.columns is None else {"columns": self.columns})

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Normalization:
        numbers = layer["kind"][1]
        mode, missing = cls.MODES[int(numbers["mode"])], cls.MISSING[int(numbers["missing"])]
        return cls(mode, missing, numbers["clip"] or None, layer.get("columns"))


@dataclass(frozen=True, repr=False)
class BatchNormalization(Layer):
    """Columns to mean 0 and variance 1, then to a learned scale and offset.

    ``Y = gamma (X - m) / sqrt(v + epsilon) + beta``. In training m and v (biased) are the batch's and moving means
    follow them, ``moving = momentum * moving + (1 - momentum) * batch``, once a step is applied; in prediction m and v
    are the moving ones, so a row's result does not depend on other rows. Sums are in float64. In a batch of one row Y
    is beta, and the moving variance stays.

    Parameters
    ----------
    momentum : float in [0, 1)
    epsilon : float >= 1e-30
    center, scale : bool
        Whether there is beta, gamma.

    References
    ----------
    Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.
    """

    kind: ClassVar[str] = "batch_normalization"

    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        for name in ("momentum", "epsilon", "center", "scale"):
            self._check(name)


@dataclass(frozen=True, repr=False)
class LayerNormalization(Layer):
    """Each row to mean 0 and variance 1, then each column to a learned scale and offset.

    ``Y = gamma (X - m) / sqrt(v + epsilon) + beta`` with m and v (biased) of the row, in float64.

    Parameters
    ----------
    epsilon : float >= 1e-30
    center, scale : bool
        Whether there is beta, gamma.

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", 2016.
    """

    kind: ClassVar[str] = "layer_normalization"

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        for name in ("epsilon", "center", "scale"):
            self._check(name)
