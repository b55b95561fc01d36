"""Pictures of a classifier: which classes it takes for others, and how far its probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..errors import ArgumentValueError, ShapeError
from .style import MUTED, VALIDATION, axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration", "confusion"]


def confusion(y: Any, predicted: Any, ax: Axes | None = None, *, classes: Sequence[Any] | None = None) -> Axes:
    """Draw how many rows of each class are taken for which: rows of the picture are the true classes.

    Colors are shares of a true class, numbers are rows.

    Parameters
    ----------
    y : array-like of shape (rows,) or (rows, classes)
        True labels, or rows of probabilities.
    predicted : array-like of shape (rows,) or (rows, classes)
        Labels as ``model.classify`` gives them, or probabilities as ``model.predict`` does.
    ax : matplotlib Axes, optional
    classes : sequence, optional
        Names of the classes 0, 1, ...; default: the labels.

    Returns
    -------
    matplotlib.axes.Axes
    """
    y, predicted = _labels(y), _labels(predicted)
    if len(y) != len(predicted):
        raise ShapeError(f"expected as many predictions as targets; received {len(predicted)} for {len(y)}")
    names, at = np.unique(np.concatenate([y, predicted]), return_inverse=True)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (at[: len(y)], at[len(y) :]), 1)
    size = 1.8 + 0.42 * len(names)
    ax = axes(ax, size + 0.6, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts).tolist():
        ax.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black")  # fmt: skip
    shown = [str(name) if classes is None else str(classes[int(name)]) for name in names.tolist()]
    ax.set_xticks(range(len(names)), shown, rotation=45 if max(map(len, shown)) > 4 else 0)
    ax.set_yticks(range(len(names)), shown)
    plain(ax, xlabel="predicted", ylabel="true")
    ax.set_title(f"{np.trace(counts) / max(len(y), 1):.1%} right", loc="left")
    return ax


def calibration(y: Any, probabilities: Any, ax: Axes | None = None, *, bins: int = 10) -> Axes:
    """Draw how often predictions are right against how sure they are: on the diagonal, 80 % sure is right in 80 %.

    Of several classes, the largest probability of each row counts. The title has the mean distance from the diagonal,
    weighted by rows (the expected calibration error).

    Parameters
    ----------
    y : array-like of shape (rows,) or (rows, classes)
        True labels.
    probabilities : array-like of shape (rows,), (rows, 1) or (rows, classes)
        As ``model.predict`` gives them.
    ax : matplotlib Axes, optional
    bins : int >= 2

    Returns
    -------
    matplotlib.axes.Axes
    """
    bins, p = checks.integer("bins", bins, 2, 1000), np.asarray(probabilities, np.float64)
    p = p.reshape(len(p), -1)
    if not len(p) or not np.isfinite(p).all() or p.min() < 0 or p.max() > 1:
        raise ArgumentValueError("expected probabilities in 0 ... 1; received other numbers: predict without raw=True")
    y = _labels(y)
    if len(y) != len(p):
        raise ShapeError(f"expected as many probabilities as targets; received {len(p)} for {len(y)}")
    sure, right = (p[:, 0], y == 1) if p.shape[1] == 1 else (p.max(axis=1), p.argmax(axis=1) == y)
    at = np.minimum((sure * bins).astype(int), bins - 1)
    counts = np.bincount(at, minlength=bins)
    some = counts > 0
    mean = np.bincount(at, sure, bins)[some] / counts[some]
    share = np.bincount(at, right, bins)[some] / counts[some]
    error = float(np.sum(np.abs(mean - share) * counts[some]) / counts.sum())
    ax = axes(ax, 4.6, 4.4)
    ax.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="as sure as right")
    ax.bar((np.arange(bins) + 0.5) / bins, counts / counts.sum(), 0.9 / bins, color="#dbe4ec", label="share of rows")
    ax.plot(mean, share, color=VALIDATION, marker="o", linewidth=2, label="right")
    plain(ax, xlabel="predicted probability", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    ax.set_title(f"calibration error {error:.1%}", loc="left")
    ax.legend(frameon=False, loc="upper left")
    return ax


def _labels(y: Any) -> np.ndarray:
    """Return labels of labels, of (rows, 1) labels, and of rows of probabilities."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return np.asarray(y.argmax(axis=1))
    y = y.reshape(-1)
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        return np.asarray((y > 0.5).astype(np.int64))  # probabilities of one sigmoid
    return y.astype(np.int64) if y.dtype.kind == "f" else y
