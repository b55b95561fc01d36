"""What the guard did in a run, in words and as findings."""

from __future__ import annotations

from typing import Any

from .finding import Finding
from .wording import operation

DONE = {
    "refused": "refused the step and ended the run",
    "skipped": "left the batch out",
    "rolled_back": "went back to step {restored}, the learning rate is {new_learning_rate:.3g} now",
    "clipped": "clipped the gradient",
    "diverged": "it has diverged",
}


def say(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line: ``step 3, layer 1, row 17, unit 0: X·W is inf; left the batch out``."""
    names = {"step": "step", "layer": "layer", "row": "row", "column": "column" if entry["layer"] is None else "unit"}
    where = ", ".join(f"{name} {entry[key]}" for key, name in names.items() if entry[key] is not None)
    seen = f"{operation(entry['operation']).name} is {entry['value']:.3g}"
    return f"{where}: {seen}; {DONE[entry['kind']].format(**entry)}"


def findings(ledger: list[dict[str, Any]]) -> list[Finding]:
    """What a run's ledger amounts to: one finding for each kind of event and operation."""
    groups: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for entry in ledger:
        if entry["kind"] == "diverged":  # the next entry says what followed
            continue
        groups.setdefault((entry["kind"], entry["operation"], entry["layer"]), []).append(entry)
    found = []
    rates = [entry["new_learning_rate"] for entry in ledger if entry["kind"] == "rolled_back"]
    for (kind, name, layer), entries in groups.items():
        entries[0] = entries[0] | ({"new_learning_rate": rates[-1]} if rates else {})  # the one that counts now
        spoken = operation(name, entries[0]["value"])
        code, remedy = ("loss_spike", "") if kind == "clipped" else (spoken.code, spoken.remedy)
        times = f" ({len(entries)} times in all)" if len(entries) > 1 else ""
        rows = list(dict.fromkeys(entry["row"] for entry in entries if entry["row"] is not None))
        columns = list(dict.fromkeys(entry["column"] for entry in entries if entry["column"] is not None))
        evidence = {"times": len(entries), "n_rows": len(rows), "operation": name, "value": entries[0]["value"]}
        found.append(
            Finding(
                code, "info" if kind == "clipped" else "warning", f"{say(entries[0])}{times}", remedy, layer=layer,
                step=entries[0]["step"], rows=rows[:20], columns=columns[:20], evidence=evidence,
            )
        )  # fmt: skip
    return found
