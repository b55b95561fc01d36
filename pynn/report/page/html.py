"""HTML from values: text is escaped wherever it comes from, pictures are data URIs."""

from __future__ import annotations

import base64
import html
import json
import math
import struct
import zlib
from typing import Any

import numpy as np

VOID = ("img", "input", "br")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element. Children and attributes that are no `Markup` are escaped; None and False are left out.

    ``class_`` is the attribute class, ``data_x`` is data-x; True is an attribute without a value.
    """
    shown = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            shown.append(f" {key}")
        elif value is not None and value is not False:
            shown.append(f' {key}="{html.escape(str(value), quote=True)}"')
    head = f"<{name}{''.join(shown)}>"
    return Markup(head if name in VOID else f"{head}{join(children)}</{name}>")


def join(children: Any) -> Markup:
    """Return children one after another; lists and tuples are walked."""
    parts: list[str] = []
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, (list, tuple)):
            parts.append(join(child))
        else:
            parts.append(child if isinstance(child, Markup) else html.escape(str(child)))
    return Markup("".join(parts))


def data(value: Any, id_: str) -> Markup:
    """Return an element that holds a value as JSON, for the script."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Markup(text), type="application/json", id=id_)


def table(head: list[Any], rows: list[list[Any]], caption: Any = None, **attributes: Any) -> Markup:
    """Return a table that scrolls sideways where it is wide; cells are texts, numbers or markup."""
    top = tag("tr", [tag("th", cell, scope="col") for cell in head])
    body = [tag("tr", [tag("td", shown(cell), class_="n" if _is_number(cell) else None) for cell in row])
            for row in rows]  # fmt: skip
    title = tag("caption", caption) if caption else None
    whole = tag("table", title, tag("thead", top), tag("tbody", body), **attributes)
    return tag(
        "div",
        whole,
        class_="wide long" if len(rows) > 30 else "wide",
        tabindex=0,
        role="region",
        aria_label=caption or head[0],
    )


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float, np.number)) and not isinstance(cell, bool)


def shown(value: Any) -> Any:
    """Return a number as short text: ``0.00312``, ``1e-100``, ``12,800``; other values as they are."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    if not isinstance(value, (float, np.floating)):
        return "none" if value is None else value
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """``12 %``; small shares keep a digit."""
    if not math.isfinite(share):
        return "–"
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.1 else f"{100 * share:.2g} %"


def png(pixels: np.ndarray) -> str:
    """Return an array of shape (height, width), (height, width, 3) or (height, width, 4), uint8, as a data URI."""
    height, width = pixels.shape[:2]
    colors = {2: 0, 3: 2, 4: 6}[pixels.ndim if pixels.ndim == 2 else pixels.shape[2]]
    rows = np.ascontiguousarray(pixels, np.uint8).reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, colors, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return "data:image/png;base64," + base64.b64encode(whole).decode()
