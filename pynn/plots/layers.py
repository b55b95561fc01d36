"""The health map: layers x steps, on a scale that shows 1e-100 and 1e30."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentValueError
from .style import axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["health"]

SEEN = ("activation", "delta", "gradient", "gradient_norm")  # by every step
USUAL = {"activation": 0.0, "delta": -2.0, "gradient": -2.0, "gradient_norm": -1.0, "update_ratio": -3.0}  # as 10**x
SHARES = ("saturated", "dead", "zeros", "tiny", "updates_lost", "gradient_zeros", "gradient_tiny")
TITLES = {
    "activation": "largest activation", "gradient": "largest gradient", "update_ratio": "update / weight",
    "saturated": "share of saturated values", "dead": "share of dead units",
}  # fmt: skip
FURTHEST = 100.0  # powers of ten from the usual size at the ends of the colors
TICKS = (-100, -30, -10, -3, 0, 3, 10, 30, 100)


def health(history: Any, ax: Axes | None = None, *, field: str = "gradient") -> Axes:
    """Draw what steps saw in each layer: a row for a layer, a column for a moment of training.

    White is the usual size, blue smaller, red larger; black is exactly 0, magenta not finite.

    Parameters
    ----------
    history : History or LayerHealth
        What ``model.fit`` returned, or its ``health``.
    ax : matplotlib Axes, optional
        Where to draw; by default the axes of a new figure.
    field : str
        ``"gradient"``, ``"activation"``, ``"update_ratio"``, ``"saturated"``, ``"dead"`` or another of the series.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    pynn.errors.MissingDependencyError
        matplotlib is not installed: ``pip install 'pynn-dense[plot]'``.
    """
    series = getattr(history, "health", history)
    if series is None or not len(series):
        raise ArgumentValueError(f"expected a history with steps that were watched; received history={history!r}")
    values = series[field].T if field in SEEN else _filled(series[field])
    ax = axes(ax, 7, 1.2 + 0.3 * len(series.names))
    share = field in SHARES
    usual = USUAL.get(field, 0.0)
    image = ax.imshow(
        values if share else _degrees(values, usual), aspect="auto", interpolation="nearest",
        cmap=_colors(share), vmin=0 if share else -1, vmax=1,
    )  # fmt: skip
    ax.set_yticks(range(len(series.names)), [f"{i} {name}" for i, name in enumerate(series.names)])
    at = sorted({round(k * (len(series) - 1) / 4) for k in range(5)})
    steps = series.steps
    ax.set_xticks(at, [f"{steps[i]:,}" for i in at])
    plain(ax, xlabel="step")
    ax.set_title(TITLES.get(field, field.replace("_", " ")), loc="left")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    if not share:
        powers = [power for power in TICKS if abs(power - usual) <= FURTHEST]
        bar.set_ticks([_degree(power - usual) for power in powers], labels=[f"1e{power}" for power in powers])
    return ax


def _filled(values: np.ndarray) -> np.ndarray:
    """Return layers x points; what was not taken is as it was before."""
    found = np.array(values.T)
    for i in range(1, found.shape[1]):
        found[:, i] = np.where(np.isnan(found[:, i]), found[:, i - 1], found[:, i])
    return found


def _degree(powers: Any) -> Any:
    return np.sign(powers) * np.log1p(np.abs(powers)) / np.log1p(FURTHEST)


def _degrees(values: np.ndarray, usual: float) -> np.ndarray:
    """Return -1 ... 1; below that for 0, above for what is not finite."""
    with np.errstate(divide="ignore"):
        found = np.clip(_degree(np.log10(np.abs(values)) - usual), -1, 1)
    found[values == 0] = -2
    found[~np.isfinite(values)] = 2
    return found


def _colors(share: bool) -> Any:
    from matplotlib import colormaps

    return colormaps["Oranges"] if share else colormaps["RdBu_r"].with_extremes(under="black", over="magenta")
