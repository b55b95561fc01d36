"""The number of inputs, written as the first of the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError


@dataclass(frozen=True)
class Input:
    """The number of columns of X, as the first of the layers: the model is built at once. It is no layer itself.

    Parameters
    ----------
    shape : int, (int,) or (timesteps, features)
        Columns of X; of sequences both numbers.

    Examples
    --------
    >>> import pynn
    >>> pynn.Sequential([pynn.Input((4,)), pynn.Dense(2)]).layers[0].kernel.shape
    (4, 2)
    """

    shape: int | tuple[int, ...]

    def __post_init__(self) -> None:
        shape: Any = self.shape
        if isinstance(shape, Sequence) and not isinstance(shape, str):
            if len(shape) not in (1, 2):
                raise ArgumentValueError(
                    f"expected Input.shape as (columns,) or (timesteps, features), without the rows; received {shape!r}"
                )
        else:
            shape = (shape,)
        object.__setattr__(self, "shape", tuple([checks.integer("Input.shape", part, 1) for part in shape]))

    @property
    def columns(self) -> int | tuple[int, int]:
        """Columns of X, or (timesteps, features)."""
        return self.shape[0] if len(self.shape) == 1 else self.shape  # type: ignore[arg-type,index,return-value]


def without_input(layers: Sequence[Any]) -> tuple[int | tuple[int, int] | None, list[Any]]:
    """Return the columns that a first `Input` tells, or None, and the layers."""
    for i, layer in enumerate(layers):
        if layer is Input:
            raise ArgumentTypeError("expected an object; received the class Input: write pynn.Input((columns,))")
        if isinstance(layer, Input) and i:
            raise ArgumentValueError(f"expected pynn.Input before all layers; received it as layers[{i}]")
    if layers and isinstance(layers[0], Input):
        return layers[0].columns, list(layers[1:])
    return None, list(layers)
