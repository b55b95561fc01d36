"""Warn at the line of the program that called pynn."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from ..errors import TrainingWarning

__all__ = ["warn"]

_PACKAGE = str(Path(__file__).parent.parent)


def warn(text: str) -> None:
    """Issue a `TrainingWarning` that points at the first line outside pynn, however deep the call is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, TrainingWarning, stacklevel=level)
