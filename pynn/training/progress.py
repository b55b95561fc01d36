"""What `fit` shows while it runs: a bar where someone watches, a calm line for each epoch, or nothing."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from .. import checks
from ..errors import UnknownNameError

__all__ = ["Progress", "progress"]

Logs = dict[str, float]


class Progress:
    """Shows nothing."""

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        """An epoch of `rows` rows (None: unknown) starts."""

    def advance(self, rows: int, logs: Logs) -> None:
        """`rows` more rows are done."""

    def note(self, text: str) -> None:
        """Something was done about a fault."""

    def end(self, logs: Logs) -> None:
        """The epoch is done."""

    def close(self) -> None:
        """Training is over."""


def say(logs: Logs) -> str:
    """``loss 0.1234, accuracy 0.98``."""
    hidden = ("seconds", "learning_rate")
    return ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in hidden)


class Lines(Progress):
    """One line for each epoch, on stderr."""

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        self._head = f"epoch {epoch + 1}/{epochs}"

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self, logs: Logs) -> None:
        print(f"{self._head}: {say(logs)}, {logs.get('seconds', 0):.1f} s", file=sys.stderr, flush=True)


class Bar(Progress):
    """tqdm's bar, one for each epoch."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        self._bar = self._tqdm(total=rows, desc=f"epoch {epoch + 1}/{epochs}", unit="row", unit_scale=True)

    def advance(self, rows: int, logs: Logs) -> None:
        self._bar.set_postfix_str(say(logs), refresh=False)
        self._bar.update(rows)

    def note(self, text: str) -> None:
        self._tqdm.write(text, file=sys.stderr)

    def end(self, logs: Logs) -> None:
        self._bar.set_postfix_str(say(logs), refresh=True)
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def is_watched() -> bool:
    """Whether a person sees what is shown: a terminal, or a notebook, whose stderr is none."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython() if ipython else None, "kernel")


def progress(verbose: Any) -> Progress:
    """Return the display for `verbose`: 0 nothing, 1 a bar (lines without tqdm), 2 a line for each epoch.

    "auto" is 1 on a terminal and in a notebook, else 0.
    """
    if isinstance(verbose, str) and verbose == "auto":
        verbose = int(is_watched())
    _require_verbose(verbose)
    if verbose == 1:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # without ipywidgets a notebook gets tqdm's bar of text
                from tqdm.auto import tqdm
        except ImportError:
            return Lines()
        return Bar(tqdm)
    return Lines() if verbose else Progress()


def require_habits(batch_size: Any, verbose: Any) -> None:
    """Refuse wrong values of arguments that Keras's `predict` and `evaluate` have."""
    if batch_size is not None:
        checks.integer("batch_size", batch_size, 1)
    if not (isinstance(verbose, str) and verbose == "auto"):
        _require_verbose(verbose)


def _require_verbose(verbose: Any) -> None:
    if verbose not in (0, 1, 2) or isinstance(verbose, str):
        raise UnknownNameError(f"expected verbose as one of 'auto', 0, 1, 2; received verbose={verbose!r}")
