"""Line charts and bars as SVG: drawn in the colors of the page, told apart by dashes and names too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .html import Markup, join, shown, tag

WIDTH, HEIGHT = 460, 230
MOST = 400  # points of a curve
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 34

Line = tuple[str, str, Sequence[float], Sequence[float]]  # name, class, x, y


class Scale:
    """From numbers to a coordinate: linear or logarithmic."""

    def __init__(self, values: list[float], start: float, end: float, log: bool = False) -> None:
        self.log = log
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        low, high = (math.log10(low), math.log10(high)) if log else (low, high)
        if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
            room = 0.5 if log else 0.05 * abs(high) or 1.0
            low, high = low - room, high + room
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 5, whole: bool = False) -> list[float]:
        """Return round numbers within the scale; `whole` ones for counts."""
        if self.log:
            step = max(1, math.ceil((self.high - self.low) / most))
            found = [10.0**e for e in range(math.ceil(self.low), math.floor(self.high) + 1, step)]
            return found if len(found) > 1 else [10**self.low, 10**self.high]
        raw = max((self.high - self.low) / most, 1.0 if whole else 0.0)
        unit = 10.0 ** math.floor(math.log10(raw))
        round_ = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
        first = math.ceil(self.low / round_ - 1e-9)
        return [round_ * i for i in range(first, math.floor(self.high / round_ + 1e-9) + 1)]


def _points(line: Line, x: Scale, y: Scale) -> list[list[tuple[float, float]]]:
    """Return stretches of finite points."""
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(line[2], line[3], strict=True):
        if math.isfinite(value) and (value > 0 or not y.log):
            found[-1].append((x(at), y(value)))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def _drawn(line: Line, x: Scale, y: Scale) -> Markup:
    parts: list[Any] = []
    for stretch in _points(line, x, y):
        if len(stretch) == 1:
            parts.append(tag("circle", cx=f"{stretch[0][0]:.1f}", cy=f"{stretch[0][1]:.1f}", r=3, class_=line[1]))
        else:
            parts.append(tag("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in stretch), class_=line[1]))
    return join(parts)


def _axes(x: Scale, y: Scale, label: str, percent: bool) -> Markup:
    parts: list[Any] = []
    for value in y.ticks():
        at = y(value)
        text = f"{100 * value:g} %" if percent else shown(float(value))
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{at:.1f}", y2=f"{at:.1f}", class_="grid"))
        parts.append(tag("text", text, x=LEFT - 6, y=f"{at + 3.5:.1f}", text_anchor="end"))
    for value in x.ticks(whole=True):
        parts.append(tag("text", f"{value:,.0f}", x=f"{x(value):.1f}", y=HEIGHT - BOTTOM + 16, text_anchor="middle"))
    parts.append(tag("text", label, x=WIDTH - RIGHT, y=HEIGHT - 4, text_anchor="end"))
    return join(parts)


def _marks(marks: Sequence[tuple[float, str]], x: Scale) -> Markup:
    """Dashed lines with a flag, for what the guard did."""
    parts: list[Any] = []
    for at, text in marks:
        place = f"{x(at):.1f}"
        line = tag("line", x1=place, x2=place, y1=TOP, y2=HEIGHT - BOTTOM, class_="event")
        flag = tag("path", d=f"M{place},{TOP} l8,4 l-8,4 z", class_="flag")
        parts.append(tag("g", tag("title", text), line, flag))
    return join(parts)


def _thinned(curve: Line) -> Line:
    """Return a curve of at most MOST points; its last one stays."""
    name, style, x, y = curve
    step = -(-len(y) // MOST)
    if step == 1:
        return curve
    at = sorted({*range(0, len(y), step), len(y) - 1})
    return name, style, [x[i] for i in at], [y[i] for i in at]


def lines(
    title: str, curves: Sequence[Line], label: str, *, marks: Sequence[tuple[float, str]] = (), percent: bool = False,
    log: bool = False,
) -> Markup:  # fmt: skip
    """Return curves over epochs or steps as a figure."""
    curves = [_thinned(curve) for curve in curves]
    finite = [v for _, _, _, ys in curves for v in ys if math.isfinite(v) and (v > 0 or not log)]
    if not finite:
        return tag("figure", tag("figcaption", tag("b", title), ": no finite number"), class_="chart")
    log = log and max(finite) > 20 * min(finite)
    y = Scale(finite, HEIGHT - BOTTOM, TOP + 4, log)
    x = Scale([float(a) for _, _, xs, _ in curves for a in xs] + [a for a, _ in marks], LEFT + 6, WIDTH - RIGHT - 6)
    drawn = [_drawn(curve, x, y) for curve in curves]
    last = [f"{name} {shown(float(ys[-1]))}" for name, _, _, ys in curves if len(ys)]
    picture = tag(
        "svg", _axes(x, y, label, percent), _marks(marks, x), drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_label=f"{title}: last {', '.join(last)}",
    )  # fmt: skip
    keys = [tag("span", tag("i", class_=f"key {curve[1]}"), curve[0], class_="named") for curve in curves]
    scale = tag("span", "logarithmic scale", class_="named") if log else None
    return tag("figure", tag("figcaption", tag("b", title), " ", keys, scale), picture, class_="chart")


def bars(counts: np.ndarray, name: str, low: float = 0.0, high: float = 0.0, width: int = 120) -> Markup:
    """Return counts as small bars, from `low` to `high`."""
    most, height = max(int(counts.max()), 1), 28
    step = width / len(counts)
    wide, tall = f"{max(step - 0.6, 0.5):.1f}", [max(height * count / most, 1) for count in counts.tolist()]
    shapes = [
        tag("rect", x=f"{i * step:.1f}", y=f"{height - tall[i]:.1f}", width=wide, height=f"{tall[i]:.1f}")
        for i in np.flatnonzero(counts).tolist()
    ]
    said = f"{name}, from {shown(low)} to {shown(high)}"
    return tag("svg", tag("title", said), shapes, viewBox=f"0 0 {width} {height}", width=width, height=height,
               class_="bars", role="img", aria_label=said)  # fmt: skip


def histogram(values: np.ndarray, name: str, bins: int = 31) -> Markup:
    """Return the distribution of finite numbers as small bars."""
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return Markup("no finite number")
    low, high = float(values.min()), float(values.max())
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        return Markup(f"all {shown(low)}")
    scaled = values / max(abs(low), abs(high))  # ranges of huge numbers stay finite
    counts, _ = np.histogram(scaled, bins)
    return bars(counts, name, low, high)
