"""The health map: layers x steps, one picture for each measure, on scales that show 1e-100 and 1e30."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..health import LayerHealth
from .html import Markup, data, percent, png, shown, table, tag

WIDTH = 768  # pixels of a map
SMALL, USUAL, LARGE = (8, 48, 107), (247, 247, 247), (127, 39, 4)  # dark blue, white, dark brown
FURTHEST = 100.0  # powers of ten from the usual size at which a color is darkest
ZERO, ODD = (0, 0, 0), (197, 27, 125)


@dataclass(frozen=True)
class Measure:
    """A row of the table of maps.

    `usual` is the power of ten that is drawn white; a share is white at 0.
    """

    field: str
    title: str
    text: str
    usual: float = 0.0
    share: bool = False
    parameters: bool = False  # of layers with parameters only


MEASURES = (
    Measure("activation", "Size of activations", "the largest |value| that a layer computes; near 1 is usual"),
    Measure("gradient", "Size of gradients", "the largest |gradient| of a layer's parameters; near 0.01 is usual", -2,
            parameters=True),
    Measure("saturated", "Saturated", "the share of values where the activation is flat, so that no gradient passes",
            share=True),
    Measure("dead", "Dead units", "the share of units stuck at 0, or saturated, in every row since the epoch began",
            share=True),
    Measure("update_ratio", "Update / weight", "norm of an update against that of the weights; near 1e-3 is usual", -3,
            parameters=True),
)  # fmt: skip


def degree(value: float, measure: Measure) -> float:
    """Return how far a value lies from the usual: -1 far too small, 0 usual, 1 far too large."""
    if measure.share:
        return min(max(value, 0.0), 1.0)
    beyond = math.log10(value) - measure.usual
    return math.copysign(min(1.0, math.log1p(abs(beyond)) / math.log1p(FURTHEST)), beyond)


def color(of: float) -> tuple[int, int, int]:
    """Return blue for small, white for usual, brown for large: told apart by the color-blind too."""
    end = LARGE if of > 0 else SMALL
    middle = (253, 141, 60) if of > 0 else (107, 174, 214)
    t = abs(of)
    low, high, part = (USUAL, middle, 2 * t) if t < 0.5 else (middle, end, 2 * t - 1)
    return tuple(round(a + part * (b - a)) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def cell(value: float, measure: Measure, height: int = 14, width: int = 18) -> np.ndarray:
    """Return the pixels of one cell: a color, black stripes for exactly 0, white ones on purple for not finite."""
    pixels = np.zeros((height, width, 4), np.uint8)
    stripes: np.ndarray = np.add.outer(np.arange(height), np.arange(width)) % 6 < 2
    if math.isinf(value):
        pixels[...], pixels[stripes] = (*ODD, 255), (255, 255, 255, 255)
    elif value == 0 and not measure.share:
        pixels[...], pixels[stripes] = (*USUAL, 255), (*ZERO, 255)
    elif not math.isnan(value):
        pixels[...] = (*color(degree(value, measure)), 255)
    return pixels


def own(health: LayerHealth, layers: list[dict[str, Any]], measure: Measure) -> list[int]:
    """Return the layers that have such numbers."""
    alive: np.ndarray = (health["activation"] != 0).sum(axis=0) > 0
    found = []
    for i in range(len(health.names)):
        about = layers[i] if i < len(layers) else {"units": 1, "parameters": 1}
        has = about["parameters"] > 0 if measure.parameters else about["units"] is not None or bool(alive[i])
        found += [i] if has else []
    return found


def values(health: LayerHealth, measure: Measure) -> np.ndarray:
    """Return a measure over points and layers; between two that were taken, the earlier one counts.

    What is not a number, where a step has been refused, is shown as infinite.
    """
    found = health[measure.field]
    if measure.field in ("activation", "gradient"):
        return np.where(np.isnan(found), np.inf, found)
    for i in range(1, len(found)):
        found[i] = np.where(np.isnan(found[i]), found[i - 1], found[i])
    return found


def _map(health: LayerHealth, layers: list[dict[str, Any]], measure: Measure) -> Markup | None:
    rows, of = own(health, layers, measure), values(health, measure)
    if not rows or not np.isfinite(of[:, rows]).any():
        return None
    if measure.share and not np.nan_to_num(of[:, rows]).any():
        return tag("p", tag("b", measure.title), ": nowhere, at no time.", class_="health")
    height, width = max(8, min(24, 480 // len(rows))), max(1, WIDTH // len(of))
    pixels = np.concatenate([
        np.concatenate([cell(float(v), measure, height, width) for v in of[:, i]], axis=1) for i in rows
    ])  # fmt: skip
    named = [tag("span", f"{i} {health.names[i]}", style=f"height:{height}px") for i in rows]
    picture = tag(
        "img", src=png(pixels), style=f"height:{height * len(rows)}px", data_map=measure.field, tabindex=0,
        alt=f"{measure.title}: {len(rows)} layers over {len(health)} points; arrow keys read single values",
    )  # fmt: skip
    ticks = [tag("span", text) for text in _ticks(health)]
    return tag(
        "figure",
        tag("figcaption", tag("b", measure.title), ": ", measure.text),
        legend(measure),
        tag("div", tag("div", named, class_="layers"), tag("div", picture, tag("div", ticks, class_="ticks"),
                                                          class_="picture"), class_="map"),
        tag("output", "Point at a cell, or press Tab and the arrow keys, to read its value.", data_for=measure.field),
        class_="health",
    )  # fmt: skip


def _ticks(health: LayerHealth) -> list[str]:
    """Return the steps below a map, evenly spaced; few points have one each."""
    steps, last = health.steps, len(health) - 1
    at = sorted({round(k * last / 4) for k in range(5)})
    found = [f"step {steps[k]:,}" if k == 0 else f"{steps[k]:,}" for k in at]
    if health.fault and last:
        found[-1] = "the refused step"
    return found


def legend(measure: Measure) -> Markup:
    """Return the colors of a measure with the numbers that they stand for."""
    near = [10.0 ** (measure.usual + power) for power in (-3, 0, 3)]
    marks = (0.0, 0.1, 0.5, 0.9) if measure.share else (1e-100, 1e-30, 1e-10, *near, 1e10, 1e30, 1e100)
    swatches = [
        tag("span", tag("i", style=f"background:rgb{color(degree(v, measure))}"),
            percent(v) if measure.share else shown(v)) for v in marks
    ]  # fmt: skip
    return tag("p", swatches, class_="keys")


def maps(health: LayerHealth | None, layers: list[dict[str, Any]]) -> Markup:
    """Return the section's content: maps, legend, and the numbers of the first and last point as a table."""
    if health is None or not len(health):
        return tag("p", "No step was watched in this run, so there is no health map.", class_="faint")
    said = reading(health, layers)
    drawn = [_map(health, layers, measure) for measure in MEASURES]
    swatch = [
        tag("span", tag("i", style=f"background-image:url({png(cell(v, MEASURES[0]))})"), name)
        for v, name in ((0.0, "exactly 0"), (math.inf, "infinite or NaN"))
    ]
    keys = tag("p", "Striped cells: ", swatch, class_="keys")
    lead = (
        "A row is a layer, the first at the top; a column is a moment of training, from the first step at the left to "
        "the last at the right. White is the usual size. Blue is smaller, brown larger; the darker, the further off."
    )
    ended = tag("p", "The last column is the step that was refused.") if health.fault else None
    read = tag("p", said, class_="reading") if said else None
    return tag("div", read, tag("p", lead), keys, ended, drawn, _numbers(health, layers), _values(health, layers))


def reading(health: LayerHealth | None, layers: list[dict[str, Any]]) -> str:
    """Return in words how the gradient changes from the last layer to the first, where it changes a lot."""
    if health is None or len(health) < 1:
        return ""
    rows = own(health, layers, MEASURES[1])
    kept = health["gradient"][: -1 if health.fault and len(health) > 1 else None][-1]
    if len(rows) < 2 or not np.isfinite(kept[rows]).all():
        return ""
    first, last = float(kept[rows[0]]), float(kept[rows[-1]])
    pair = f"The gradient of layer {rows[0]} is {shown(first)} and that of layer {rows[-1]} {shown(last)}"
    if last > 0 and first < 1e-3 * last:
        return (
            f"{pair}: it shrinks on its way down through the layers (it vanishes), so the first layers hardly learn. "
            "ReLU, a normalization between layers, residual blocks or fewer layers keep it."
        )
    if first > 1e3 * last > 0:
        return (
            f"{pair}: it grows on its way down through the layers (it explodes). Smaller initial weights, a "
            "normalization between layers or global_clipnorm bound it."
        )
    return ""


def _numbers(health: LayerHealth, layers: list[dict[str, Any]]) -> Markup:
    """Return first and last values of each layer as a table."""
    shows = [m for m in MEASURES if m.field != "activation"]
    head = ["layer", "activations: first", "last"] + [
        part for m in shows for part in (f"{m.title.lower()}: first", "last")
    ]
    columns = {m.field: values(health, m) for m in MEASURES}
    rows: list[list[Any]] = []
    for i in own(health, layers, MEASURES[0]):
        row: list[Any] = [f"{i} {health.names[i]}"]
        for m in (MEASURES[0], *shows):
            has = i in own(health, layers, m)
            ends = [float(columns[m.field][k, i]) for k in (0, -1)]
            row += [(percent(v) if m.share else v) if has and not math.isnan(v) else "–" for v in ends]
        rows.append(row)
    return tag("details", tag("summary", "The same as numbers"), table(head, rows, "First and last values by layer"))


def _values(health: LayerHealth, layers: list[dict[str, Any]]) -> Markup:
    """Return the maps' values for the script."""
    found = {
        m.field: {
            "rows": own(health, layers, m), "share": m.share,
            "values": [[_short(v) for v in row] for row in values(health, m)[:, own(health, layers, m)].T.tolist()],
        } for m in MEASURES
    }  # fmt: skip
    return data({"names": health.names, "steps": health.steps.tolist(), "maps": found}, "health-values")


def _short(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return "infinite or NaN" if math.isinf(value) else float(f"{value:.3g}")
