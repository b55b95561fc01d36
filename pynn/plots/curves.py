"""Learning curves: as a matplotlib figure, or as text where matplotlib is not installed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import checks
from ..errors import ArgumentValueError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MissingDependencyError", "learning_curve", "save_learning_curve", "text_curve"]

_NO_METRIC = ("seconds", "learning_rate")
_INK, _MUTED, _TRAINING, _VALIDATION = "#22313f", "#8492a0", "#9fb3c8", "#d9480f"


def learning_curve(history: Any, ax: Axes | None = None, *, metric: str = "loss") -> Axes:
    """Draw a metric over the epochs: training thin, validation bold, the best epoch of loss and accuracy marked.

    Parameters
    ----------
    history : what ``model.fit`` returned, or a mapping of names to one number per epoch
    ax : matplotlib Axes, optional
        Where to draw; by default the axes of a new figure.
    metric : str
        ``"loss"``, ``"accuracy"`` or another name in the history; its ``"val_"`` values are drawn too, if any.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    pynn.errors.MissingDependencyError
        matplotlib is not installed: ``pip install 'pynn-dense[plot]'``.

    Examples
    --------
    >>> ax = learning_curve({"loss": [0.9, 0.4, 0.3], "val_loss": [0.8, 0.5, 0.45]})  # doctest: +SKIP
    """
    curves = _curves(history, metric)
    require_matplotlib()
    from matplotlib.ticker import MaxNLocator

    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    _draw(ax, metric, curves)
    best = _best(metric, curves)
    if best is not None:
        _mark_best(ax, metric, *best, late=best[0] > 0.8 * max(map(len, curves.values())))
    broken = next((i + 1 for values in curves.values() for i, v in enumerate(values) if not math.isfinite(v)), None)
    ax.set_title(metric if broken is None else f"{metric}: not finite in epoch {broken}", loc="left", color=_INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _style(ax, percent=metric.endswith("accuracy"))
    return ax


def _draw(ax: Axes, metric: str, curves: dict[str, list[float]]) -> None:
    """Draw the curves; the scale is logarithmic for a loss that falls far."""
    finite = [v for values in curves.values() for v in values if math.isfinite(v)]
    if metric == "loss" and finite and min(finite) > 0 and max(finite) > 30 * min(finite):
        ax.set_yscale("log")
    for label, values in curves.items():
        color, width = (_VALIDATION, 2.4) if label == "validation" else (_TRAINING, 2.0)
        epochs = range(1, len(values) + 1)
        ax.plot(epochs, values, color=color, linewidth=width, marker="o", markersize=4, label=label, zorder=2)


def _mark_best(ax: Axes, metric: str, epoch: int, value: float, label: str, late: bool) -> None:
    """Circle the best epoch and write its value beside it."""
    color = _VALIDATION if label == "validation" else _INK
    ax.plot([epoch], [value], "o", markersize=10, markerfacecolor="none", markeredgecolor=color, zorder=3)
    above = metric != "loss"
    ax.annotate(
        f"best {_format(metric, value)}\nepoch {epoch}",
        (epoch, value),
        xytext=(0, -14 if above else 14),
        textcoords="offset points",
        ha="right" if late else "center",
        va="top" if above else "bottom",
        fontsize=9,
        color=color,
    )


def _style(ax: Axes, percent: bool) -> None:
    """Set labels, grid and colors."""
    ax.set_xlabel("epoch", color=_MUTED)
    if percent:
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    ax.grid(axis="y", color="#e6ebf0", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color("#cfd8e0")
    ax.tick_params(colors=_MUTED, length=0)
    ax.margins(y=0.16)
    ax.legend(frameon=False, labelcolor=_INK, loc="best")


def save_learning_curve(history: Any, path: Any, *, title: str | None = None) -> None:
    """Write one picture with a panel for each metric of the history; the suffix of `path` chooses the format."""
    require_matplotlib()
    from matplotlib.figure import Figure

    metrics = [name for name in _columns(history) if not name.startswith("val_") and name not in _NO_METRIC][:3]
    figure = Figure(figsize=(5.2 * len(metrics), 3.9), layout="constrained", facecolor="white")
    for ax, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        learning_curve(history, ax, metric=metric)
    if title is not None:
        figure.suptitle(title, x=0.012, ha="left", color=_INK, fontsize=13, fontweight="bold")
    figure.savefig(path, dpi=144)


def text_curve(history: Any, *, metric: str = "loss", width: int = 60, height: int = 12, unicode: bool = True) -> str:
    """Return a metric over the epochs as a block of text.

    Parameters
    ----------
    history, metric : as in `learning_curve`
    width, height : int
        Columns and lines of the plotted area.
    unicode : bool
        False keeps to ASCII.

    Examples
    --------
    >>> print(text_curve({"loss": [4, 2, 1], "val_loss": [4, 3, 3]}, width=9, height=4, unicode=False))
    loss
         4 |x
         3 |    o   o
         2 |    x
         1 |        x
           +---------
            1       3 epoch
      x training   o validation
    """
    curves = _curves(history, metric)
    marks = dict(zip(curves, "●○" if unicode else "xo", strict=False))
    vertical, corner, horizontal = "│└─" if unicode else "|+-"
    epochs = max(map(len, curves.values()))
    finite = [v for values in curves.values() for v in values if math.isfinite(v)]
    if not finite:
        return f"{metric}: no finite value in {epochs} epochs"
    low, high = min(finite), max(finite)
    cells = [[" "] * width for _ in range(height)]
    for label in reversed(curves):
        for i, value in enumerate(curves[label]):
            if math.isfinite(value):
                column = round(i * (width - 1) / max(epochs - 1, 1))
                share = (value - low) / (high - low) if high > low else 0.5
                cells[height - 1 - round(share * (height - 1))][column] = marks[label]
    lines = [metric]
    for i, row in enumerate(cells):
        number = high - (high - low) * i / max(height - 1, 1)
        show = i in (0, height - 1) or i % 3 == 0 or height <= 5
        label = _format(metric, number) if show else ""
        lines.append(f"{label:>10} {vertical}{''.join(row)}".rstrip())
    last = str(epochs)
    lines.append(" " * 11 + corner + horizontal * width)
    lines.append(" " * 12 + "1" + last.rjust(width - 1) * (epochs > 1) + " epoch")
    lines.append("  " + "   ".join(f"{marks[label]} {label}" for label in curves))
    return "\n".join(lines)


def _columns(history: Any) -> dict[str, list[float]]:
    table = getattr(history, "history", history)
    if not isinstance(table, Mapping) or not table:
        raise ArgumentValueError(f"expected what fit returned, or numbers by name; received history={history!r}")
    columns = {str(name): [float(v) for v in values] for name, values in table.items() if _is_numeric(values)}
    return {name: values for name, values in columns.items() if values}


def _is_numeric(values: Any) -> bool:
    try:
        return all(isinstance(float(v), float) for v in values)
    except (TypeError, ValueError):
        return False


def _curves(history: Any, metric: str) -> dict[str, list[float]]:
    columns = _columns(history)
    pairs = (("training", metric), ("validation", f"val_{metric}"))
    curves = {label: columns[name] for label, name in pairs if name in columns}
    if not curves:
        names = ", ".join(repr(n) for n in columns if not n.startswith("val_") and n not in _NO_METRIC)
        raise ArgumentValueError(f"expected metric as one of {names}; received metric={metric!r}")
    return curves


def _best(metric: str, curves: dict[str, list[float]]) -> tuple[int, float, str] | None:
    label = "validation" if "validation" in curves else "training"
    finite = [(v, i) for i, v in enumerate(curves[label]) if math.isfinite(v)]
    if not finite or (metric != "loss" and not metric.endswith("accuracy")):
        return None
    value, index = min(finite) if metric == "loss" else max(finite, key=lambda pair: (pair[0], -pair[1]))
    return index + 1, value, label


def _format(metric: str, value: float) -> str:
    return f"{100 * value:.1f} %" if metric.endswith("accuracy") else f"{value:.3g}"


def require_matplotlib() -> None:
    checks.package("matplotlib", "plot", "to draw the picture")
