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
    """Return copies of what training changes in a model, or of the average that was validated in this epoch."""
    return model.validated or own_weights(model)


def own_weights(model: Sequential) -> State:
    """Return copies of what training changes in a model."""
    return {"parameters": model.parameters.copy(), "state": np.array(model.core.state)}


def restore(model: Sequential, kept: State) -> None:
    """Put what `weights` returned back into the model."""
    model.parameters[...] = kept["parameters"]
    np.asarray(model.core.state)[...] = kept["state"]


@contextmanager
def as_validated(model: Sequential) -> Iterator[None]:
    """Put the weights that were validated in this epoch into the model, as long as the context lasts."""
    if model.validated is None:
        yield
        return
    own = own_weights(model)
    restore(model, model.validated)
    try:
        yield
    finally:
        restore(model, own)
