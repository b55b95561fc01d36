"""Colors and frames that all pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, TRAINING, VALIDATION = "#22313f", "#8492a0", "#9fb3c8", "#d9480f"


def axes(ax: Axes | None, width: float = 6, height: float = 4) -> Axes:
    """Return the axes given, or those of a new figure."""
    checks.package("matplotlib", "plot", "to draw the picture")
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def plain(ax: Axes, **labels: Any) -> None:
    """Set labels and a light frame."""
    ax.set(**labels)
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color("#cfd8e0")
    ax.tick_params(colors=MUTED, length=0)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(MUTED)
    ax.title.set_color(INK)
