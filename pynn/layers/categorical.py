"""Layers for columns of category codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import initializers
from ..errors import ArgumentValueError, NotReadyError
from .base import Layer, check_columns, check_integers


@dataclass(frozen=True, repr=False)
class Categorical(Layer):
    """Columns of codes 0, 1, 2, ... become columns to learn from; the other columns come first, as they are.

    Each code column has a slot for every code and slot 0 for what is unknown: codes beyond those of training, negative
    ones, NaN, anything that is no integer.

    Parameters
    ----------
    columns : sequence of int
        Which columns of the layer's input hold codes.
    dimension : int, optional
        None: one-hot, a column for each slot. Else each slot has this many numbers, learned (an embedding).
    sizes : sequence of int, optional
        How many codes each of `columns` has. None: `fit` and `adapt` take the largest code of the data + 1.
    embeddings_initializer : str or initializer
        What embeddings start from.
    vocabularies : sequence of sequences of str, optional
        Names of the codes of each column, code 0 first: kept in the model file, for those who code text.
    """

    kind: ClassVar[str] = "categorical"

    columns: tuple[int, ...]
    dimension: int | None = None
    sizes: tuple[int, ...] | None = None
    embeddings_initializer: Any = "random_uniform"
    vocabularies: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        columns = check_columns("Categorical.columns", self.columns)
        order = sorted(range(len(columns)), key=columns.__getitem__)  # the library has them in ascending order
        names = self.vocabularies
        if names is not None:
            names = tuple(tuple(map(str, column)) for column in names)
        sizes = tuple(map(len, names)) if names is not None and self.sizes is None else self.sizes
        if sizes is not None:
            sizes = check_integers("Categorical.sizes", sizes, 1)
        for name, given in (("sizes", sizes), ("vocabularies", names)):
            if given is not None and len(given) != len(columns):
                raise ArgumentValueError(
                    f"expected Categorical.{name} for each of {len(columns)} columns; received {name} for {len(given)}"
                )
        if names is not None and tuple(map(len, names)) != sizes:
            raise ArgumentValueError(
                f"expected Categorical.vocabularies of sizes {sizes}; received {tuple(map(len, names))} names"
            )
        if self.dimension is not None:
            self._check("dimension")
            if not self.dimension:
                raise ArgumentValueError("expected Categorical.dimension >= 1, or None; received dimension=0")
        object.__setattr__(self, "columns", tuple(columns[i] for i in order))
        object.__setattr__(self, "sizes", None if sizes is None else tuple(sizes[i] for i in order))
        object.__setattr__(self, "vocabularies", None if names is None else tuple(names[i] for i in order))
        initializer = initializers.get(self.embeddings_initializer, "embeddings_initializer")
        object.__setattr__(self, "embeddings_initializer", initializer)

    @property
    def core(self) -> dict[str, Any]:
        if self.sizes is None:
            raise NotReadyError("expected Categorical.sizes, or data to learn them from: call fit or adapt(X) first")
        return {
            "kind": (self.kind, {"dimension": self.dimension or 0}),
            "kernel_initializer": self.embeddings_initializer.core,
            "columns": self.columns,
            "sizes": self.sizes,
        }

    @classmethod
    def from_core(cls, layer: Mapping[str, Any]) -> Categorical:
        name, numbers = layer["kernel_initializer"]
        dimension = int(layer["kind"][1]["dimension"]) or None
        return cls(layer["columns"], dimension, layer["sizes"], {"name": name, **numbers})
