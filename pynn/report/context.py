"""What a call knows about its data, handed to the errors that are raised within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from ..errors import PynnError
from .advice import BY_HAND
from .finding import Finding


@dataclass(frozen=True)
class Context:
    """Facts about a call, for the findings made in it. As a context manager it completes the errors raised within.

    Attributes
    ----------
    data : str or None
        ``"validation"``: the call is about validation data.
    names : sequence of str or None
        Names of the columns of X.
    on_bad_rows : bool
        Whether the call has the argument `on_bad_rows`.
    """

    data: str | None = None
    names: Sequence[str] | None = None
    on_bad_rows: bool = True

    def completed(self, finding: Finding) -> Finding:
        """Return the finding with what this call knows."""
        evidence = dict(finding.evidence)
        if self.data is not None:
            evidence["data"] = self.data
        if self.names and finding.columns and finding.layer is None and evidence.get("array") == "X":
            evidence["column_names"] = [self.names[column] for column in finding.columns]
        advice = finding.advice if self.on_bad_rows else tuple(BY_HAND.get(one, one) for one in finding.advice)
        return replace(finding, evidence=evidence, advice=advice)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, PynnError):
            return
        error.data = self.data or error.data
        if error.report is not None:
            error.report.findings = [self.completed(finding) for finding in error.report.findings]
