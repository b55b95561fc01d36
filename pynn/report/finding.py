"""What was found: one finding, and a report of several."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..errors import NotReadyError
from . import texts
from .advice import Advice
from .texts import listed


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with the numbers that prove it and what to do about it.

    Attributes
    ----------
    code : str
        What it is, for programs: ``"unscaled_input"``, ``"exploding_activation"``, ...
    severity : "fault", "warning" or "info"
    layer, step : int or None
        Index of the layer; number of steps applied before the finding.
    rows, columns : list of int
        Up to 20 rows of the user's data, and columns of X or y or, with a layer, units of that layer.
    evidence : dict
        Numbers, for programs; ``n_rows`` and ``n_columns`` count all rows and columns, ``data`` is ``"training"`` or
        ``"validation"``, ``column_names`` names `columns` where the data are a table.
    advice : tuple of str
        What helps, for programs: ``"normalize"``, ``"lower_rate"``, ... `remedy` says it in words.
    text : str
        Which text of `pynn.report.texts` tells it; empty for the text of the code.
    message, remedy : str
        What was seen, and the change that helps, in words. They are made from the other attributes.
    """

    code: str
    severity: str
    layer: int | None = None
    step: int | None = None
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()
    text: str = ""
    words: tuple[str, str] | None = None  # message and remedy of a finding that version 0.1.0 wrote

    @property
    def message(self) -> str:
        return self.words[0] if self.words else texts.message(self)

    @property
    def remedy(self) -> str:
        return self.words[1] if self.words else texts.remedy(self)

    @property
    def data(self) -> str:
        """``"training"`` or ``"validation"``."""
        return str(self.evidence.get("data", "training"))

    @property
    def where(self) -> str:
        """The place, as far as it is known: ``step 4, layer 0, row 77, units 1, 2``."""
        column = "column" if self.layer is None else "unit"
        names = self.evidence.get("column_names")
        parts = [f"{name} {at}" for name, at in (("step", self.step), ("layer", self.layer)) if at is not None]
        parts += [listed("row", self.rows, self.evidence.get("n_rows", 0))] if self.rows else []
        at = [repr(name) for name in names] if names else self.columns
        parts += [listed(column, at, self.evidence.get("n_columns", 0))] if self.columns else []
        return ", ".join(parts)

    def told(self, placed: bool | None = None) -> str:
        """Return message and remedy in one line, after the place unless the message names it."""
        placed = texts.is_placed(self) if placed is None else placed
        where = f"{self.where}: " if self.where and not placed else ""
        return f"{where}{self.message}. {self.remedy}".rstrip()

    def with_evidence(self, **evidence: Any) -> Finding:
        """Return a copy with more evidence."""
        return replace(self, evidence=self.evidence | evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; message and remedy among them."""
        return asdict(self) | {"advice": [str(one) for one in self.advice], "message": self.message,
                               "remedy": self.remedy}  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Finding:
        """Return the finding that `to_dict` described, or that version 0.1.0 kept."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        if "advice" not in values:
            known["words"] = values["message"], values.get("remedy", "")
        known["advice"] = tuple(Advice(one) for one in values.get("advice", ()))
        known["words"] = tuple(known["words"]) if known.get("words") else None
        return cls(**known)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "message" in state:  # pickled by version 0.1.0
            state = dict(state)
            state["words"] = state.pop("message"), state.pop("remedy")
        self.__dict__.update(state)

    def __str__(self) -> str:
        head = f"{self.severity}: {self.code}" + (f" ({self.where})" if self.where else "")
        remedy = f"What to do: {self.remedy}" if self.remedy else ""
        return "\n".join([head, *(_indented(text) for text in (self.message, remedy) if text)])


def _indented(text: str, width: int = 100) -> str:
    return textwrap.fill(texts.capitalized(text) + ("" if text.endswith((".", "!")) else "."), width,
                         initial_indent="  ", subsequent_indent="  ", break_long_words=False)  # fmt: skip


@dataclass
class Report:
    """Findings of a run, most important first: the fault, if there was one, then its likely causes and the rest.

    Prints as text: what, where, why, what to do.

    Attributes
    ----------
    findings : list of Finding
    looked : bool
        False: the guard was off.
    incomplete : "", "budget" or "clock"
        What ended the trials of `diagnose` before everything was tried; empty: nothing did.
    """

    findings: list[Finding] = field(default_factory=list)
    looked: bool = True
    incomplete: str = ""
    suspect_labels: Callable[[], list[Any]] | None = field(default=None, repr=False, compare=False)
    record: Any = field(default=None, repr=False, compare=False)  # a `Record` of the run, for the page

    def label_errors(self) -> list[Any]:
        """Return all rows whose labels the other rows contradict, the surest first.

        Networks are trained on a part of the rows and asked about the others, as by `pynn.find_label_errors`, when the
        method is first called. The report of `pynn.diagnose` holds X and y for that.

        Returns
        -------
        list of Suspicion
            ``.row``, ``.given``, ``.likelier``, ``.score``.

        Raises
        ------
        NotReadyError
            The report is not of a `pynn.diagnose` that trained on labels of classes.
        """
        if self.suspect_labels is None:
            raise NotReadyError(
                "expected a report of pynn.diagnose, without preflight, on at least 50 rows with labels of classes; "
                "received another report, which holds no data: call pynn.find_label_errors(model, X, y)"
            )
        return self.suspect_labels()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"findings": [finding.to_dict() for finding in self.findings], "looked": self.looked,
                "incomplete": self.incomplete}  # fmt: skip

    def save(
        self, path: Any, *, title: str | None = None, X: Any = None, y: Any = None, suspicions: Any = (),
        trace: Any = None,
    ) -> None:  # fmt: skip
        """Write the report as one HTML page, which needs no network and nothing beside it.

        Verdict, findings with evidence, cure and code, learning curves with what the guard did, a health map of the
        layers, distributions, the data as the network saw them, and how it was computed.

        Parameters
        ----------
        path : str or path
        title : str, optional
            Heading of the page.
        X, y : array-like, optional
            The data, to show ranges and pictures of all rows; else of those that the run kept, a part.
        suspicions : sequence of Suspicion
            What `pynn.find_label_errors` found; with X, rows that are images are shown as pictures.
        trace : Trace, optional
            What ``model.trace(x)`` returned.

        Raises
        ------
        FileError
            A folder that is missing or read-only, a full disk: what the system says.

        Examples
        --------
        >>> history.report.save("report.html")  # doctest: +SKIP
        """
        from .page import save

        save(self, path, title=title, X=X, y=y, suspicions=suspicions, trace=trace)

    def plot(self) -> Any:
        """Draw the run in three panels: loss with what the guard did, activations, gradients. Needs the extra ``plot``.

        Returns
        -------
        ndarray of matplotlib Axes
        """
        from ..plots import overview

        if self.record is None:
            raise NotReadyError("expected a report of a run, as history.report is; received one without a record")
        return overview(self.record)

    def __str__(self) -> str:
        nothing = "nothing found" if self.looked else "the guard was off: nothing was checked"
        faults = [str(finding) for finding in self.findings if finding.severity == "fault"]
        others = [finding for finding in self.findings if finding.severity != "fault"]
        title = ["Likely causes, most likely first:"] if faults and others else []
        ended = [texts.INCOMPLETE[self.incomplete]] if self.incomplete else []
        return "\n".join([*(faults + title + list(map(str, others)) or [nothing]), *ended])
