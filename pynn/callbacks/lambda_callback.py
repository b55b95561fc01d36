"""Make a callback from functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError
from .base import Callback


class LambdaCallback(Callback):
    """Make a callback from functions.

    Parameters
    ----------
    **functions : callable
        Functions by the names of `Callback`'s methods, with their arguments but for `self`.

    Examples
    --------
    >>> import pynn
    >>> show = pynn.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        names = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in functions.items():
            checks.choice("the name of a function", name, names)
            if not callable(function):
                raise ArgumentTypeError(f"expected {name} as a function; received {name}={function!r}")
            setattr(self, name, function)
