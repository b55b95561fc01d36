"""The learning-rate test as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .style import INK, TRAINING, VALIDATION, axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["learning_rate_test"]


def learning_rate_test(test: Any, ax: Axes | None = None) -> Axes:
    """Draw the loss over the rate, with the suggestion marked.

    The axis shows the valley, from where the loss stands at first to its lowest; what explodes beyond leaves the
    picture at the top. Where the valley reaches over decades, the axis is logarithmic.

    Parameters
    ----------
    test : LearningRateTest
        What `pynn.find_learning_rate` returned.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    ax.plot(test.learning_rates, test.losses, color=TRAINING, linewidth=1, label="loss of a batch")
    ax.plot(test.learning_rates, test.smoothed, color=INK, linewidth=2, label="smoothed")
    lowest = int(np.argmin(test.smoothed))
    low, high = float(test.smoothed[lowest]), float(test.smoothed[: lowest + 1].max())
    ax.axvline(test.suggestion, color=VALIDATION, label=f"suggestion {test.suggestion:.2g}")
    best = float(test.learning_rates[lowest])
    ax.plot([best], [low], "v", color=VALIDATION, label=f"lowest at {best:.2g}")
    plain(ax, xscale="log", xlabel="learning rate", ylabel="loss")
    if low > 0 and high > 20 * low:
        ax.set(yscale="log", ylim=(low / 2, high * 2))
    else:
        margin = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
        ax.set_ylim(low - margin, high + margin)
    ax.legend(frameon=False)
    return ax
