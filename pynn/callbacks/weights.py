"""Keep and restore the weights of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .base import State, Trainee


def weights(trainee: Trainee) -> State:
    """Return copies of what training changes in a model, or of the average that was validated in this epoch."""
    return trainee.validated or own_weights(trainee)


def own_weights(trainee: Trainee) -> State:
    """Return copies of what training changes in a model."""
    return {"parameters": trainee.network.parameters.copy(), "state": trainee.network.state.copy()}


def restore(trainee: Trainee, kept: State) -> None:
    """Put what `weights` returned back into the model."""
    trainee.network.parameters[...] = kept["parameters"]
    trainee.network.state[...] = kept["state"]


@contextmanager
def as_validated(trainee: Trainee) -> Iterator[None]:
    """Put the weights that were validated in this epoch into the model, as long as the context lasts."""
    if trainee.validated is None:
        yield
        return
    own = own_weights(trainee)
    restore(trainee, trainee.validated)
    try:
        yield
    finally:
        restore(trainee, own)
