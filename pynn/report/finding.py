"""What was found: one finding, and a report of several."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with the numbers that prove it and what to do about it.

    Attributes
    ----------
    code : str
        What it is, for programs: ``"unscaled_input"``, ``"exploding_activation"``, ...
    severity : "fault", "warning" or "info"
    message, remedy : str
        What was seen, and the change that helps.
    layer, step : int or None
        Index of the layer; steps applied before it was seen.
    rows, columns : list of int
        Up to 20 rows of the data as they were given, and columns of X or y or, with a layer, units of the layer.
    evidence : dict
        Numbers, for programs; ``n_rows`` and ``n_columns`` count all of them.
    """

    code: str
    severity: str
    message: str
    remedy: str = ""
    layer: int | None = None
    step: int | None = None
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """``step 4, layer 0, row 77, units 1, 2``: what is known of the place."""
        column = "column" if self.layer is None else "unit"
        parts = [f"{name} {at}" for name, at in (("step", self.step), ("layer", self.layer)) if at is not None]
        parts += [listed("row", self.rows, self.evidence.get("n_rows", 0))] if self.rows else []
        parts += [listed(column, self.columns, self.evidence.get("n_columns", 0))] if self.columns else []
        return ", ".join(parts)

    def __str__(self) -> str:
        head = f"{self.severity}: {self.code}" + (f" ({self.where})" if self.where else "")
        remedy = f"What to do: {self.remedy}" if self.remedy else ""
        return "\n".join([head, *(_indented(text) for text in (self.message, remedy) if text)])


def listed(name: str, numbers: list[int], count: int = 0, most: int = 5) -> str:
    """``row 3``, or ``rows 3, 8, 9 and 17 more``; `count` of them in all."""
    more = max(count, len(numbers)) - len(numbers[:most])
    tail = f" and {more} more" if more > 0 else ""
    return f"{name}{'s' if len(numbers) > 1 or more > 0 else ''} {', '.join(map(str, numbers[:most]))}{tail}"


def _indented(text: str, width: int = 100) -> str:
    return textwrap.fill(text[:1].upper() + text[1:] + ("" if text.endswith((".", "!")) else "."), width,
                         initial_indent="  ", subsequent_indent="  ", break_long_words=False)  # fmt: skip


@dataclass
class Report:
    """Findings of a run: the fault, if there was one, then its likely causes or what else was seen, the most telling
    first. Prints as text: what, where, why, what to do."""

    findings: list[Finding] = field(default_factory=list)
    looked: bool = True  # False: the guard was off

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        nothing = "nothing found" if self.looked else "the guard was off: nothing was looked at"
        faults = [str(finding) for finding in self.findings if finding.severity == "fault"]
        others = [finding for finding in self.findings if finding.severity != "fault"]
        title = ["Likely causes, the most telling first:"] if faults and others else []
        return "\n".join(faults + title + list(map(str, others))) or nothing
