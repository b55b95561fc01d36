"""What the guard did in a run, as findings."""

from __future__ import annotations

from typing import Any

from .finding import Finding
from .wording import operation


def findings(ledger: list[dict[str, Any]]) -> list[Finding]:
    """Return one finding for each kind of event and operation of a run's ledger."""
    if not ledger:
        return []
    groups: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for entry in ledger:
        if entry["kind"] == "diverged":  # the next entry says what followed
            continue
        groups.setdefault((entry["kind"], entry["operation"], entry["layer"]), []).append(entry)
    rates = [entry["new_learning_rate"] for entry in ledger if entry["kind"] == "rolled_back"]
    return [_finding(entries, rates) for entries in groups.values()]


def _finding(entries: list[dict[str, Any]], rates: list[float]) -> Finding:
    first = entries[0]
    spoken, clipped = operation(first["operation"], first["value"]), first["kind"] == "clipped"
    rows = list(dict.fromkeys(entry["row"] for entry in entries if entry["row"] is not None))
    columns = list(dict.fromkeys(entry["column"] for entry in entries if entry["column"] is not None))
    evidence = {name: first[name] for name in ("kind", "operation", "value", "row", "column", "restored")}
    evidence |= {"times": len(entries), "n_rows": len(rows)}
    evidence["new_learning_rate"] = rates[-1] if rates else first["new_learning_rate"]  # the one in use now
    return Finding(
        "loss_spike" if clipped else spoken.code, "info" if clipped else "warning", layer=first["layer"],
        step=first["step"], rows=rows[:20], columns=columns[:20], evidence=evidence,
        advice=() if clipped else (spoken.advice,), text="event",
    )  # fmt: skip
