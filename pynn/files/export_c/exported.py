"""What an export costs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Exported"]


@dataclass(frozen=True)
class Exported:
    """What `export_c` wrote, and what it costs.

    Attributes
    ----------
    path : str
    name : str
        Prefix of every name in the header.
    flash_bytes : int
        Constants, without code and without the self-test's vectors.
    scratch_bytes : int
        Working memory of a prediction, on the stack or the caller's.
    max_error : float or None
        Largest difference to the model's own predictions over the rows of `calibration`.
    agreement : float or None
        Share of those rows that get the same class: the same largest output, or the same answer of every sigmoid.
    """

    path: str
    name: str
    flash_bytes: int
    scratch_bytes: int
    max_error: float | None = None
    agreement: float | None = None
