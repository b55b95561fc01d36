"""Where users find things by name, whatever file they stand in."""

from __future__ import annotations

import importlib
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TypeVar

__all__ = ["MOVED", "MovedModules", "public"]

T = TypeVar("T")

# Module of version 0.1.0 -> module that has its names now: for old pickles, and for old imports until version 0.3.
MOVED = {
    "adapt": "network.adapt", "causes": "diagnosis.explain", "checkpoint": "training.checkpoint",
    "demo_nan": "cli.demo_nan", "export": "files.export_c", "health": "report", "history": "report",
    "progress": "training.progress", "rates": "tools.rates",
}  # fmt: skip


def public(thing: T, home: str = "pynn") -> T:
    """Name a class or function after the module where users find it: pickles and reprs then survive a move."""
    thing.__module__ = home
    return thing


class MovedModules:
    """Import the modules that moved: each old name becomes an alias that looks its attributes up in the new module."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        return ModuleSpec(name, MovedModules) if package == __package__ and module in MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        import warnings

        old = module.__name__
        new = f"{__package__}.{MOVED[old.rpartition('.')[2]]}"
        module.__getattr__ = lambda attribute: getattr(importlib.import_module(new), attribute)  # type: ignore[method-assign]
        warnings.warn(f"{old} is now {new}; the old name goes in version 0.3", PendingDeprecationWarning, stacklevel=2)
