"""A run at a glance: its loss with what the guard did, and the sizes of activations and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..errors import ArgumentValueError
from .curves import learning_curve
from .layers import health
from .style import INK, VALIDATION, plain

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["overview"]


def overview(record: Any) -> npt.NDArray[Any]:
    """Draw a run in three panels of a new figure: loss, activations, gradients.

    Parameters
    ----------
    record : History, or Record of a report
        With ``epochs``, ``ledger`` and ``health``.

    Returns
    -------
    ndarray of matplotlib Axes
        Of shape (3,).
    """
    series = getattr(record, "health", None)
    if series is None or not len(series):
        raise ArgumentValueError("expected a run with steps that were watched; received one without")
    checks.package("matplotlib", "plot", "to draw the picture")
    import matplotlib.pyplot as plt

    rows = 1.2 + 0.3 * len(series.names)
    found = plt.subplots(3, 1, figsize=(8, 3 + 2 * rows), layout="constrained", height_ratios=[3, rows, rows])[1]
    if len(record.epochs) > 1:
        names = dict.fromkeys(name for epoch in record.epochs for name in epoch)
        columns = {name: [epoch.get(name, np.nan) for epoch in record.epochs] for name in names}
        learning_curve(columns, found[0])
        for at in sorted({entry["epoch"] + 1 for entry in record.ledger}):
            found[0].axvline(at, color=VALIDATION, linestyle=":", linewidth=1)
    else:
        loss = series.loss
        found[0].plot(series.steps, loss, color=INK, linewidth=1.5)
        finite = loss[np.isfinite(loss) & (loss > 0)]
        wide = len(finite) > 0 and finite.max() > 30 * finite.min()
        plain(found[0], xlabel="step", yscale="log" if wide else "linear")
        found[0].set_title("loss of a batch", loc="left")
        for at in sorted({entry["step"] for entry in record.ledger}):
            found[0].axvline(at, color=VALIDATION, linestyle=":", linewidth=1)
    health(series, found[1], field="activation")
    health(series, found[2], field="gradient")
    return np.asarray(found)
