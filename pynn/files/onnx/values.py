"""What the values of an ONNX graph are to the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Columns", "Constant", "Expression", "Labels", "Missing", "Pair", "Sizes", "Stream", "Value"]


@dataclass(eq=False)
class Value:
    """Base of all."""


@dataclass(eq=False)
class Constant(Value):
    """Numbers or texts that do not depend on the input."""

    array: np.ndarray


@dataclass(eq=False)
class Stream(Value):
    """Rows of numbers: what the chain's first `position` steps give.

    Attributes
    ----------
    sizes : tuple of int or None
        Behind the rows: one for columns, more for pictures, none for one number a row; None where not known.
    turned : bool
        Whether rows and columns are exchanged.
    """

    position: int
    sizes: tuple[int | None, ...]
    turned: bool = False

    @property
    def width(self) -> int | None:
        """Numbers of a row; None where not known."""
        found = 1
        for size in self.sizes:
            if size is None:
                return None
            found *= size
        return found


@dataclass(eq=False)
class Expression(Value):
    """A function of each number of a stream, by its values at `elementwise.POINTS`.

    Attributes
    ----------
    line : (float, float) or None
        a and b where it is ``a x + b``.
    cut : float or None
        c where it is x kept within -c and c.
    settled : Stream or None
        The stream that it became, once something needed it as a step of the chain.
    node : Node or None
        The node that gave it, for messages.
    """

    stream: Stream
    values: np.ndarray
    line: tuple[float, float] | None = None
    cut: float | None = None
    settled: Stream | None = None
    node: Any = None


@dataclass(eq=False)
class Missing(Value):
    """Which cells of a stream are NaN, or not finite."""

    stream: Stream
    infinite: bool = False
    nan: bool = True


@dataclass(eq=False)
class Sizes(Value):
    """Sizes of a value's dimensions; None stands for the rows of a batch."""

    sizes: list[int | None]


@dataclass(eq=False)
class Labels(Value):
    """Which class is the likeliest: not computed, as `classify` does that."""


@dataclass(eq=False)
class Pair(Value):
    """The columns ``1 - p`` and ``p`` of one sigmoid p of `stream`."""

    stream: Stream
    settled: Stream | None = None


@dataclass(eq=False)
class Columns(Value):
    """An input of the graph that is a column of the whole."""

    names: Sequence[str]
    width: int
