"""The sections of the page: findings, curves, distributions, trials, how it was computed."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np

from ..health import LayerHealth
from ..record import Record
from ..texts import INCOMPLETE, capitalized, event
from .charts import Line, histogram, lines
from .html import Markup, join, percent, shown, table, tag
from .snippets import code

SIGNS = {"fault": "✖", "warning": "▲", "info": "●"}
WORDS = {"fault": "fault", "warning": "warning", "info": "note"}
TENSORS, MARKS = 60, 40  # shown
HIDDEN = ("seconds", "learning_rate")


# ---- findings


def findings(report: Any, record: Record) -> Markup:
    """Return the findings with filters above them."""
    if not report.findings:
        return tag("p", "Nothing was found." if report.looked else 'Nothing was looked for: guard="off".')
    counts = {s: sum(f.severity == s for f in report.findings) for s in SIGNS}
    boxes = [
        tag("label", tag("input", type="checkbox", checked=True, data_severity=s), f" {SIGNS[s]} {WORDS[s]} ({n})")
        for s, n in counts.items() if n
    ]  # fmt: skip
    search = tag("label", "Search ", tag("input", type="search", data_search="findings"), class_="search")
    count = tag("output", f"{len(report.findings)} shown", id="shown")
    tools = tag("div", search, boxes, count, class_="tools", role="search", aria_label="Filter the findings")
    more = tag("p", INCOMPLETE[report.incomplete], class_="faint") if report.incomplete else None
    return tag("div", tools, more, tag("div", [_finding(f, record) for f in report.findings], id="findings"))


def _finding(finding: Any, record: Record) -> Markup:
    message, lines_ = finding.message, code(finding, record.optimizer, record.setup.get("learning rate"))
    badge = tag("span", f"{SIGNS[finding.severity]} {WORDS[finding.severity]}", class_=f"badge {finding.severity}")
    where = tag("span", finding.where, class_="where") if finding.where else None
    head = tag("h3", badge, " ", tag("code", finding.code), where)
    remedy = tag("p", tag("b", "What to do: "), finding.remedy, class_="cure") if finding.remedy else None
    evidence = [tag("div", tag("dt", _called(name)), tag("dd", _told(value)))
                for name, value in finding.evidence.items() if value is not None]  # fmt: skip
    proof = tag("details", tag("summary", f"Evidence ({len(evidence)})"), tag("dl", evidence)) if evidence else None
    return tag("article", head, tag("p", capitalized(message) + "."), remedy, snippet(lines_), proof,
               class_="finding", data_severity=finding.severity, tabindex=0)  # fmt: skip


def _called(name: str) -> str:
    return f"number of {name[2:]}" if name.startswith("n_") else name.replace("_", " ")


def snippet(lines_: str) -> Markup | None:
    """Return code with a button that copies it."""
    if not lines_:
        return None
    return tag("div", tag("pre", tag("code", lines_), tabindex=0), tag("button", "Copy", type="button", data_copy=True),
               class_="snippet")  # fmt: skip


def _told(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(shown(one)) for one in value[:20]) + (", …" if len(value) > 20 else "")
    return shown(value) if isinstance(value, (bool, int, float, np.number)) else str(value)


# ---- learning


def learning(record: Record) -> Markup:
    """Return learning curves with what the guard did."""
    drawn: list[Any] = []
    if len(record.epochs) > 1:
        drawn += _by_epoch(record)
    if record.health is not None and len(record.health) > 1:
        drawn += _by_step(record.health, record.ledger, len(record.epochs) > 1)
    if not drawn:
        drawn = [tag("p", "The run ended before there was a curve to draw.", class_="faint")]
    lead = {
        "diagnose": "The run as it was given, on a part of the rows; the others judged it.",
        "repair": "The run with the changes, on all rows.",
    }.get(record.kind)
    charts = tag("div", drawn, class_="charts")
    return tag("div", tag("p", lead) if lead else None, charts, _table(record), _ledger(record.ledger))


def _by_epoch(record: Record) -> list[Markup]:
    names = dict.fromkeys(n.removeprefix("val_") for epoch in record.epochs for n in epoch if n not in HIDDEN)
    found = []
    for name in list(names)[:4]:
        curves: list[Line] = []
        for said, key, style in (("training", name, "training"), ("validation", f"val_{name}", "validation")):
            ys = [epoch.get(key, math.nan) for epoch in record.epochs]
            if not all(map(math.isnan, ys)) or key in record.epochs[-1]:
                curves.append((said, style, range(1, len(ys) + 1), ys))
        marks = [(float(entry["epoch"]) + 1, event(entry)) for entry in record.ledger]
        # what the guard did in the same epoch is one flag
        marks = list({at: (at, text) for at, text in marks}.values())[:MARKS]
        found.append(lines(name, curves, "epoch", marks=marks, percent=name.endswith("accuracy"), log="loss" in name))
    return found


def _by_step(health: LayerHealth, ledger: list[dict[str, Any]], has_epochs: bool) -> list[Markup]:
    steps, found = health.steps.tolist(), []
    marks = list({int(entry["step"]): (float(entry["step"]), event(entry)) for entry in ledger}.values())[:MARKS]
    loss, rate = health.loss, health.learning_rate
    if not has_epochs and np.isfinite(loss).sum() > 1:
        found.append(lines("loss of a batch", [("training", "training", steps, loss.tolist())], "step",
                           marks=marks, log=True))  # fmt: skip
    if np.ptp(rate) > 0:
        found.append(lines("learning rate", [("learning rate", "training", steps, rate.tolist())], "step", marks=marks,
                           log=bool((rate > 0).all())))  # fmt: skip
    return found


def _table(record: Record) -> Markup | None:
    if not record.epochs:
        return None
    names = list(dict.fromkeys(name for epoch in record.epochs for name in epoch))
    most = 200
    rows = [[i + 1, *(float(epoch[n]) if n in epoch else "–" for n in names)] for i, epoch in enumerate(record.epochs)]
    rows = rows if len(rows) <= most else rows[: most // 2] + rows[-most // 2 :]
    return tag("details", tag("summary", f"All {len(record.epochs):,} epochs as numbers"),
               table(["epoch", *(n.replace("_", " ") for n in names)], rows, "Epochs"))  # fmt: skip


def _ledger(ledger: list[dict[str, Any]]) -> Markup | None:
    if not ledger:
        return None
    rows = [[int(entry["epoch"]) + 1, int(entry["step"]), entry["kind"].replace("_", " "), event(entry)]
            for entry in ledger[:300]]  # fmt: skip
    return tag("div", tag("h3", f"What the guard did ({len(ledger):,})"),
               table(["epoch", "step", "did", "why"], rows, "What the guard did"))  # fmt: skip


# ---- distributions


def distributions(record: Record) -> Markup:
    """Return the distribution of the weights of each layer, and of the values that it computes."""
    health, rows = record.health, []
    last = _last(health)
    kept = record.weights
    if len(kept) > TENSORS:
        kept = kept[: TENSORS // 2] + kept[-TENSORS // 2 :]
    for layer, name, values in kept:
        rms = float(np.sqrt(np.mean(np.square(values.astype(np.float64))))) if len(values) else math.nan
        of = last.get(layer) if name == "kernel" else None
        rows.append([record.name(layer), name, histogram(values, f"{name} of layer {layer}"), rms,
                     *((of["mean"], of["std"], percent(of["zeros"])) if of else ("–",) * 3)])  # fmt: skip
    if not rows:
        return tag("p", "The report keeps no weights.", class_="faint")
    lead = (
        "Weights and biases at the end of the run, and the values that each layer computed in the last step that was "
        "measured."
    ) + (f" The first and last of {len(record.weights)} tensors." if len(record.weights) > TENSORS else "")
    head = ["layer", "tensor", "distribution", "root mean square", "its values: mean", "standard deviation",
            "share of 0"]  # fmt: skip
    return tag("div", tag("p", lead), table(head, rows, "Weights and values"))


def _last(health: LayerHealth | None) -> dict[int, dict[str, float]]:
    """Return the last statistics of each layer."""
    if health is None or not len(health):
        return {}
    found = {}
    for layer in range(len(health.names)):
        for at in reversed(range(len(health))):
            if not math.isnan(health["std"][at, layer]):
                found[layer] = {name: float(health[name][at, layer]) for name in ("mean", "std", "zeros")}
                break
    return found


# ---- trials, trace, provenance


def trials(record: Record) -> Markup | None:
    """Return what `diagnose` tried, and what to write."""
    if not (record.trials or record.changes or record.code):
        return None
    rows = [[what, percent(max(0.0, min(closed, 1.0)))] for what, closed in record.trials]
    tried = table(["one change", "closes of the gap to a healthy run"], rows, "Trials") if rows else None
    changed = tag("ul", [tag("li", change) for change in record.changes]) if record.changes else None
    write = [tag("h3", "What to write"), snippet(record.code)] if record.code else None
    return tag("div", changed, tried, write)


def trace(record: Record) -> Markup | None:
    """Return a batch on its way through every layer."""
    if record.trace is None:
        return None
    rows = [
        [part.name, str(part.shape), part.low, part.mean, part.high, part.std, part.nonfinite, _time(part.seconds)]
        for part in record.trace.layers
    ]
    head = ["layer", "shape", "lowest", "mean", "highest", "standard deviation", "NaN or infinite", "time"]
    return table(head, rows, "One batch through every layer")


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.0f} µs" if seconds >= 1e-6 else "–"


def provenance(record: Record) -> Markup:
    """Return how it was computed."""
    setup = record.setup | {
        "processor target": record.provenance.get("kernels"), "BLAS": record.provenance.get("blas"),
        "threads": record.provenance.get("threads"), "pynn": record.provenance.get("pynn"),
        "numpy": np.__version__, "Python": ".".join(map(str, sys.version_info[:3])), "system": sys.platform,
    }  # fmt: skip
    rows = [[name, str(value) if name in ("seed", "steps") else _told(value)] for name, value in setup.items()
            if value is not None]  # fmt: skip
    layers = [[record.name(i), layer["units"] if layer["units"] is not None else "–", layer["parameters"],
               "frozen" if layer["frozen"] else "trained" if layer["parameters"] else "–"]
              for i, layer in enumerate(record.layers)]  # fmt: skip
    text = "The same seed, data and version give the same bits, at any number of threads."
    model = table(["layer", "units", "parameters", ""], layers, "Layers") if layers else None
    return tag("div", tag("p", text), table(["what", "value"], rows, "Provenance"), model)


def raw(report: Any) -> Markup:
    """Return the report as JSON, for programs."""
    text = json.dumps(report.to_dict(), indent=1, default=str)
    return join([tag("details", tag("summary", "The findings as JSON"), snippet(text))])
