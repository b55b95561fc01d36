"""What training starts from where the seed does not decide it: tensors set by hand or brought along, frozen layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..layers import Layer

Named = tuple[str, int]  # kind of a layer, and its number among the layers of that kind


def named(layers: Iterable[Layer]) -> list[Named]:
    """Name flat layers so that the names survive when layers of other kinds are added or removed."""
    seen: Counter[str] = Counter()
    found = []
    for layer in layers:
        found.append((layer.kind, seen[layer.kind]))
        seen[layer.kind] += 1
    return found


@dataclass(frozen=True, eq=False)
class Start:
    """Tensors that training starts from, and the layers that it leaves as they are.

    Attributes
    ----------
    tensors : mapping of layer to mapping of name to array
    specs : mapping of layer to Layer
        The layers as they were when the tensors were taken.
    parameters : set of layers
        Those of which trained parameters are given, and not only statistics of data.
    frozen : set of layers
    """

    tensors: Mapping[Named, Mapping[str, np.ndarray]] = field(default_factory=dict)
    specs: Mapping[Named, Layer] = field(default_factory=dict)
    parameters: frozenset[Named] = frozenset()
    frozen: frozenset[Named] = frozenset()

    @property
    def by_hand(self) -> bool:
        """Whether parameters that will be trained do not come from the seed."""
        return bool(self.parameters - self.frozen)

    def freezes(self, kind: str, number: int) -> bool:
        return (kind, number) in self.frozen

    def from_seed(self) -> Start:
        """Return the start with all parameters that will be trained from the seed."""
        drawn = self.parameters - self.frozen
        kept = {layer: found for layer, found in self.tensors.items() if layer not in drawn}
        return replace(self, tensors=kept, parameters=self.parameters & self.frozen)


SEEDED = Start()  # all by the seed, all trained
