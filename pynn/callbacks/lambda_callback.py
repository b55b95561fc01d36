"""Make a callback from functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentTypeError, UnknownNameError
from .base import Callback


class LambdaCallback(Callback):
    """A callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))``."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        names = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in functions.items():
            if name not in names:
                raise UnknownNameError(f"expected {', '.join(names)}; received {name!r}")
            if not callable(function):
                raise ArgumentTypeError(f"expected {name} as a function; received {name}={function!r}")
            setattr(self, name, function)
