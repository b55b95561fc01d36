"""The verdict: one sentence, before everything else."""

from __future__ import annotations

from typing import Any

from ..record import Record
from ..texts import counted
from .healthmap import reading
from .html import shown

FAULT, WARNING, WELL, UNKNOWN = "fault", "warning", "well", "unknown"
LEADS = {
    "fit": {
        FAULT: "Training stopped",
        WARNING: "Training ran to its end, but something is wrong",
        WELL: "Training went well",
    },
    "diagnose": {
        FAULT: "This network cannot learn these data as they are",
        WARNING: "Something keeps this network from learning what it could",
        WELL: "Nothing keeps this network from learning what it could",
    },
    "repair": {
        FAULT: "This network could not be trained as it was",
        WARNING: "Something kept this network from learning what it could",
        WELL: "Nothing had to be repaired",
    },
}


def state(report: Any, record: Record) -> str:
    """Return how grave it is: "fault", "warning", "well", or "unknown" where nobody looked."""
    severities = {finding.severity for finding in report.findings}
    if "fault" in severities:
        return FAULT
    if "warning" in severities or record.suspicions:
        return WARNING
    return WELL if report.looked else UNKNOWN


def sentence(report: Any, record: Record) -> str:
    """Return the verdict."""
    grave = state(report, record)
    if grave == UNKNOWN:
        return 'Nothing was checked: the guard was off (guard="off").'
    lead = LEADS.get(record.kind, LEADS["fit"])[grave]
    if record.kind == "fit" and grave == FAULT and record.data is not None and record.health is None:
        lead = "Training did not start"
    if grave == WELL:
        return f"{lead}: {_learned(record)}."
    first = next((f for f in report.findings if f.severity == grave), None)
    if first is None:
        n = len(record.suspicions)
        return f"{lead}: {counted(n, 'label')} {'contradicts' if n == 1 else 'contradict'} the rest of the data."
    at = f" at step {first.step:,}" if grave == FAULT and first.step is not None and record.kind == "fit" else ""
    return f"{lead}{at}: {first.message}."


def cure(report: Any, record: Record) -> str:
    """Return what to do first."""
    grave = state(report, record)
    if grave in (WELL, UNKNOWN):
        return ""
    if record.changes:
        return f"Changed, and trained again: {'; '.join(record.changes)}."
    # the reason of a fault, where one was found, is what to change
    if all(f.severity == "info" for f in report.findings):
        return "Look at the suspicious labels below, correct those that are wrong, and train again."
    graves = [f for f in report.findings if f.severity in (FAULT, WARNING)]
    proven = next((f for f in graves if f.evidence.get("tried") or f.evidence.get("proof")), graves[0])
    because = f"Cause: {proven.message}. " if proven is not graves[0] else ""
    return f"{because}{proven.remedy}"


def seen(report: Any, record: Record) -> str:
    """Return what the layers show, where something is wrong."""
    return reading(record.health, record.layers) if state(report, record) in (FAULT, WARNING) else ""


def _learned(record: Record) -> str:
    """Return how far the loss fell, in words."""
    epochs = record.epochs
    if not epochs:
        return "no finding"
    name = "val_loss" if "val_loss" in epochs[-1] else "loss"
    values = [epoch[name] for epoch in epochs if name in epoch]
    called = "validation loss" if name == "val_loss" else "loss"
    best = min(range(len(values)), key=lambda i: values[i])
    stopped = ", stopped by Ctrl-C" if record.interrupted else ""
    if len(values) == 1:
        return f"one epoch{stopped}, {called} {shown(values[0])}, and nothing to report"
    return (
        f"{len(values)} epochs{stopped}, {called} from {shown(values[0])} to {shown(values[-1])}, lowest "
        f"{shown(values[best])} in epoch {best + 1}"
    )
