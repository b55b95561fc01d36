"""Keep and restore the weights of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .base import State

if TYPE_CHECKING:
    from ..model import Sequential


def weights(model: Sequential) -> State:
    """Copies of what training changes in a model; of what was validated in this epoch, when that is an average."""
    return model.validated or own_weights(model)


def own_weights(model: Sequential) -> State:
    return {"parameters": model.parameters.copy(), "state": np.array(model.core.state)}


def restore(model: Sequential, kept: State) -> None:
    """Back to what `weights` gave."""
    model.parameters[...] = kept["parameters"]
    np.asarray(model.core.state)[...] = kept["state"]


@contextmanager
def as_validated(model: Sequential) -> Iterator[None]:
    """The model as it was validated in this epoch."""
    if model.validated is None:
        yield
        return
    own = own_weights(model)
    restore(model, model.validated)
    try:
        yield
    finally:
        restore(model, own)
