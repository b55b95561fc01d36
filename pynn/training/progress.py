"""What `fit` shows while it runs: a bar where someone watches, a calm line for each epoch, or nothing."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import Any

from .. import checks
from ..errors import UnknownNameError

__all__ = ["Progress", "progress"]

Logs = dict[str, float]
NOTES = 5  # that an epoch prints, where lines are read later


class Progress:
    """Shows nothing."""

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        """An epoch of `rows` rows (None: unknown) starts."""

    def advance(self, rows: int, logs: Logs) -> None:
        """`rows` more rows are done."""

    def note(self, text: str, kind: str = "") -> None:
        """The guard did something; `kind` is what: "skipped", "rolled_back", "clipped", ..."""

    def end(self, logs: Logs) -> None:
        """The epoch is done."""

    def close(self) -> None:
        """Training is over."""


def say(logs: Logs) -> str:
    """``loss 0.1234, accuracy 0.98``."""
    hidden = ("seconds", "learning_rate")
    return ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in hidden)


def tally(did: Counter[str]) -> str:
    """Return ``, guard: 2 skipped, 1 rolled back``; nothing where it did nothing."""
    parts = [f"{count} {kind.replace('_', ' ')}" for kind, count in did.items() if kind]
    return f", guard: {', '.join(parts)}" if parts else ""


class Lines(Progress):
    """One line for each epoch, on stderr."""

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        self._head, self._did = f"epoch {epoch + 1}/{epochs}", Counter[str]()

    def note(self, text: str, kind: str = "") -> None:
        """Print the first few of an epoch; the line of the epoch has their number."""
        self._did[kind] += 1
        if self._did.total() <= NOTES:
            print(text, file=sys.stderr, flush=True)

    def end(self, logs: Logs) -> None:
        text = f"{self._head}: {say(logs)}, {logs.get('seconds', 0):.1f} s{tally(self._did)}"
        print(text, file=sys.stderr, flush=True)


class Bar(Progress):
    """tqdm's bar, one for each epoch."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None
        self._did = Counter[str]()
        self._rate: float | None = None  # of the epoch before

    def begin(self, epoch: int, epochs: int, rows: int | None) -> None:
        self._bar = self._tqdm(total=rows, desc=f"epoch {epoch + 1}/{epochs}", unit="row", unit_scale=True)

    def advance(self, rows: int, logs: Logs) -> None:
        self._bar.set_postfix_str(f"{say(logs)}{tally(self._did)}", refresh=False)
        self._bar.update(rows)

    def note(self, text: str, kind: str = "") -> None:
        """Write the first of each kind above the bar; the bar has their number."""
        self._did[kind] += 1
        if self._did[kind] == 1:
            self._tqdm.write(text, file=sys.stderr)

    def end(self, logs: Logs) -> None:
        rate = logs.get("learning_rate")
        shown = f", learning rate {rate:.3g}" if rate is not None and self._rate not in (None, rate) else ""
        self._rate = rate
        self._bar.set_postfix_str(f"{say(logs)}{shown}{tally(self._did)}", refresh=True)
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
