"""The data as the network saw them: ranges, missing cells, classes, pictures of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import ArgumentTypeError
from ..record import DataSeen, Record
from .charts import histogram
from .html import Markup, percent, png, shown, table, tag

MOST = 200  # columns in the table
PICTURES = 40
SHADES = 96  # pixels of a picture's side


def numbers(x: Any) -> np.ndarray:
    """Return an array or a sparse matrix as rows of float64."""
    x = np.asarray(x.toarray() if hasattr(x, "toarray") else x)
    if x.dtype.kind not in "biuf" or not x.ndim or not len(x):
        raise ArgumentTypeError(
            f"expected X as an array of numbers with at least one row, as the network was given it; received "
            f"{x.dtype} of shape {x.shape}"
        )
    return x.reshape(len(x), -1).astype(np.float64)


def side(columns: int) -> int:
    """Return the side of a square picture with this number of pixels; 0: rows are no pictures."""
    found = math.isqrt(columns)
    return found if found * found == columns and found >= 8 else 0


def picture(row: np.ndarray, low: float, high: float, text: str) -> Markup:
    """Return a row as a picture."""
    edge = side(len(row))
    scaled = (np.nan_to_num(row, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-300)
    pixels = np.clip(255 * scaled, 0, 255).astype(np.uint8).reshape(edge, edge)
    return tag("img", src=png(pixels), alt=text, width=SHADES, height=SHADES, class_="row")


def section(record: Record, findings: list[Any]) -> Markup:
    """Return what is known of the data."""
    seen = record.data
    if seen is None or not len(seen.X):
        return tag("p", "The report keeps no rows of the data.", class_="faint")
    x, held = numbers(seen.X), None if seen.held is None else numbers(seen.held.X)
    rows = f"{seen.n_rows:,} rows" if seen.n_rows else "The rows"
    part = "" if seen.whole else f" The numbers below are of {len(x):,} rows from all over them."
    lead = tag("p", f"{rows} of {x.shape[1]:,} columns.{part}")
    return tag("div", lead, _suspicions(record, x), _pictures(record, x, findings), _classes(seen),
               _columns(seen, x, held, findings))  # fmt: skip


# ---- columns


def _columns(seen: DataSeen, x: np.ndarray, held: np.ndarray | None, findings: list[Any]) -> Markup:
    named = {c: f.code for f in findings if f.layer is None for c in f.columns if f.evidence.get("array", "X") == "X"}
    finite = np.where(np.isfinite(x), x, np.nan)
    missing = np.isnan(finite).sum(axis=0)
    spread = np.ptp(np.nan_to_num(finite), axis=0)
    order = sorted(range(x.shape[1]), key=lambda c: (c not in named, not missing[c], not spread[c], c))
    kept = order[:MOST]
    head = ["column", "lowest", "median", "highest", "missing", "distribution"]
    head += [] if held is None else ["validation: lowest", "median", "highest"]
    rows = []
    for c in kept:
        known = finite[:, c][~np.isnan(finite[:, c])]
        name = str(seen.names[c])[:100] if seen.names else f"{c}"
        notes = [tag("code", named[c])] if c in named else []
        notes += [tag("em", "constant")] if not spread[c] and len(known) else []
        row = [tag("span", name, " ", notes), *_range(known), percent(missing[c] / len(x)) if missing[c] else "0",
               histogram(known, f"column {name}", 24)]  # fmt: skip
        rows.append(row + ([] if held is None else _range(held[:, c][np.isfinite(held[:, c])])))
    left = f" The {len(kept)} shown are those with findings, then the first." if len(order) > MOST else ""
    constant, bad = int((spread == 0).sum()), int((missing > 0).sum())
    said = (
        f"All values lie in {shown(_low(finite))} to {shown(_high(finite))}; of {x.shape[1]:,} columns {constant} are "
        f"constant and {bad} have missing or infinite cells.{left}"
    )
    search = tag("label", "Find a column ", tag("input", type="search", data_search="columns"), class_="search")
    return tag("div", tag("h3", "Columns"), tag("p", said), search, table(head, rows, "Columns of X", id="columns"))


def _low(finite: np.ndarray) -> float:
    return float(np.nanmin(finite)) if np.isfinite(finite).any() else math.nan


def _high(finite: np.ndarray) -> float:
    return float(np.nanmax(finite)) if np.isfinite(finite).any() else math.nan


def _range(values: np.ndarray) -> list[Any]:
    return [float(v) for v in (values.min(), np.median(values), values.max())] if len(values) else ["–"] * 3


# ---- classes and targets


def labels_of(y: Any) -> np.ndarray | None:
    """Return targets as classes; None where they are numbers."""
    y = np.asarray(y).reshape(len(y), -1)
    if y.shape[1] > 1:
        one_hot = bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
        return y.argmax(axis=1) if one_hot else None
    whole = y.dtype.kind in "iub" or bool(np.isfinite(y).all() and (y == np.floor(y)).all() and np.ptp(y) < 100)
    return y[:, 0].astype(np.int64) if whole and len(np.unique(y)) <= 100 else None


def named(label: int, seen: DataSeen) -> str:
    """Return a class as the user calls it."""
    return str(seen.classes[label])[:100] if seen.classes and 0 <= label < len(seen.classes) else str(label)


def _classes(seen: DataSeen) -> Markup | None:
    if seen.y is None or not len(seen.y):
        return None
    labels = labels_of(seen.y)
    if labels is None:
        y = np.asarray(seen.y, np.float64).reshape(len(seen.y), -1)
        rows = [[f"{c}", *_range(y[:, c][np.isfinite(y[:, c])]), histogram(y[:, c], f"y, column {c}", 24)]
                for c in range(min(y.shape[1], 20))]  # fmt: skip
        return tag("div", tag("h3", "Targets"),
                   table(["column of y", "lowest", "median", "highest", "distribution"], rows, "Targets"))  # fmt: skip
    found, counts = np.unique(labels, return_counts=True)
    rows = [[named(int(label), seen), int(count), _share(float(count / len(labels)))]
            for label, count in zip(found, counts, strict=True)]  # fmt: skip
    return tag("div", tag("h3", "Classes"), table(["class", "rows looked at", "share"], rows, "Classes"))


def _share(share: float) -> Markup:
    return tag("span", tag("i", style=f"width:{max(1, round(160 * share))}px", class_="share"), " ", percent(share))


# ---- pictures


def _row(record: Record, x: np.ndarray, row: int) -> np.ndarray | None:
    """Return a row of the user's data, where it is kept."""
    seen = record.data
    if row in record.examples:
        return numbers([record.examples[row]])[0]
    if seen is None or seen.rows is None:
        return x[row] if 0 <= row < len(x) else None
    at = np.flatnonzero(np.asarray(seen.rows) == row)
    return x[at[0]] if len(at) else None


def _suspicions(record: Record, x: np.ndarray) -> Markup | None:
    """Return rows whose labels the rest of the data contradicts, as pictures where rows are pictures."""
    seen, found = record.data, record.suspicions
    if not found or seen is None:
        return None
    low, high = _low(x), _high(x)
    shows: list[Markup] = []
    rows: list[list[Any]] = []
    for row, given, likelier, score in found:
        said = f"row {row:,}: labelled {named(given, seen)}, looks like {named(likelier, seen)}"
        pixels = _row(record, x, row)
        if pixels is not None and side(x.shape[1]) and len(shows) < PICTURES:
            shows.append(tag("figure", picture(pixels, low, high, said), tag("figcaption", said)))
        rows.append([row, named(given, seen), named(likelier, seen), f"e^{score:.1f}"])
    head = ["row", "label given", "likelier", "how much likelier"]
    lead = tag("p", "A network that was not trained on these rows is surer of another class. Look at each, correct "
               "what is wrong, and train again.")  # fmt: skip
    return tag("div", tag("h3", f"Suspicious labels ({len(found):,})"), lead, tag("div", shows, class_="pictures"),
               tag("details", tag("summary", "As a table"), table(head, rows[:500], "Suspicious labels")))  # fmt: skip


def _pictures(record: Record, x: np.ndarray, findings: list[Any]) -> Markup | None:
    """Return the rows that findings name, and a few others, as pictures."""
    seen = record.data
    if not side(x.shape[1]) or seen is None:
        return None
    low, high = _low(x), _high(x)
    named_rows = {row: f.code for f in findings if f.data == "training" for row in f.rows}
    labels = labels_of(seen.y) if seen.y is not None and len(seen.y) == len(x) else None
    rows = np.arange(len(x)) if seen.rows is None else np.asarray(seen.rows)
    known = {} if labels is None else dict(zip(rows.tolist(), labels.tolist(), strict=True))
    spread = {int(rows[at]): "" for at in np.linspace(0, len(x) - 1, min(10, len(x))).astype(int)}
    drawn = []
    for row, why in (dict(list(named_rows.items())[:20]) | {r: "" for r in spread if r not in named_rows}).items():
        pixels = _row(record, x, row)
        if pixels is None:
            continue
        label = f", {named(known[row], seen)}" if row in known else ""
        said = f"row {row:,}{label}" + (f": {why}" if why else "")
        drawn.append(tag("figure", picture(pixels, low, high, said), tag("figcaption", said)))
    return tag("div", tag("h3", "Rows as pictures"), tag("div", drawn, class_="pictures"))
