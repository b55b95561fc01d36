"""The report page: one HTML file that needs no network and nothing beside it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import checks
from ...errors import FileError
from ..record import DataSeen, Record
from . import examples, healthmap, sections, verdict
from .html import Markup, join, tag

__all__ = ["render", "save"]

HEADINGS = {"fit": "Report of a training run", "diagnose": "Diagnosis of a network", "repair": "Repair of a network"}
HERE = Path(__file__).parent
SIGNS = {verdict.FAULT: "✖", verdict.WARNING: "▲", verdict.WELL: "✔", verdict.UNKNOWN: "?"}


def render(
    report: Any, *, title: str | None = None, X: Any = None, y: Any = None, suspicions: Any = (), trace: Any = None
) -> str:
    """Return the page of a report as text; see `Report.save`."""
    record = _completed(report.record or Record(), X, y, suspicions, trace)
    grave = verdict.state(report, record)
    ran = record.epochs or record.health is not None
    parts = {
        "Findings": sections.findings(report, record),
        "What was tried" if record.kind == "diagnose" else "What was changed": sections.trials(record),
        "Learning": sections.learning(record) if ran else None,
        "Health of the layers": healthmap.maps(record.health, record.layers) if ran else None,
        "One batch through the network": sections.trace(record),
        "Distributions": sections.distributions(record) if record.weights else None,
        "Data as the network saw them": examples.section(record, report.findings) if record.data is not None else None,
        "How it was computed": [sections.provenance(record), sections.raw(report)],
    }
    shown = {name: part for name, part in parts.items() if part is not None}
    ids = {name: f"s{i}" for i, name in enumerate(shown)}
    below = [("What to do: ", verdict.cure(report, record)), ("In the layers: ", verdict.seen(report, record))]
    values = {
        "title": tag("title", title or "pynn report"),
        "heading": tag("h1", title or HEADINGS[record.kind]),
        "grave": Markup(grave),
        "sign": SIGNS[grave],
        "verdict": verdict.sentence(report, record),
        "cure": [tag("p", tag("b", name), text, class_="cure") for name, text in below if text],
        "nav": join([tag("li", tag("a", name, href=f"#{ids[name]}")) for name in shown]),
        "sections": join([
            tag("section", tag("h2", name), part, id=ids[name], aria_label=name) for name, part in shown.items()
        ]),
        "style": Markup(_file("style.css")),
        "script": Markup(_file("script.js")),
    }  # fmt: skip
    page = _file("template.html").split("{{")
    filled = [page[0]] + [join([values[name], Markup(text)]) for name, text in (p.split("}}", 1) for p in page[1:])]
    return "".join(filled)


def save(report: Any, path: Any, **options: Any) -> None:
    """Write the page; an earlier file stays as it is if that fails."""
    target = Path(checks.path("path", path))
    text, part = render(report, **options), target.with_name(f"{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileError(
            error.errno, f"expected a place to write the report to; {error.strerror}", str(target)
        ) from None


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _completed(record: Record, X: Any, y: Any, suspicions: Any, trace: Any) -> Record:
    """Return the record with what the call brings along."""
    found = [(one.row, one.given, one.likelier, one.score) for one in suspicions]
    record = replace(record, suspicions=found or record.suspicions, trace=trace or record.trace)
    if X is None:
        return record
    x, before = examples.numbers(X), record.data
    data = DataSeen(x, None if y is None else np.asarray(y), None, len(x), whole=True)
    if before is not None:
        data.names, data.classes, data.held = before.names, before.classes, before.held
    return replace(record, data=data)
