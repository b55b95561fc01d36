"""Review a finished run: its data, the task, the layers."""

from __future__ import annotations

from ..report.finding import Finding
from ..training.learner import Learner
from .data_rules import of_the_data
from .rules import observed
from .seen import Seen
from .task import of_the_task


def review(learner: Learner, seen: Seen | None, batch_size: int | None, guarded: bool = True) -> list[Finding]:
    """Return what else there is to say about a run that ended, the most telling first.

    `seen` is None where the run saw no data, as one that was resumed after its last step. Without a guard nobody asked
    to look at the data.
    """
    sample = seen.sample if seen else None
    found = of_the_task(learner, batch_size, sample)
    explained = any(finding.layer is not None for finding in found)  # the task explains what layers show
    built = learner.network.built
    about_data = of_the_data(learner, seen) if seen and guarded and built else []
    if built and not explained:
        marked = {column for one in about_data if one.code == "missing_marker" for column in one.columns}
        found += [one for one in observed(learner, sample) if not _is_of_marks(one, marked)]
    return about_data + found


def _is_of_marks(finding: Finding, marked: set[int]) -> bool:
    """Whether a finding about scale is explained by marks for missing values."""
    scale = finding.code in ("outlier", "unscaled_input") and finding.evidence.get("array") == "X"
    return scale and bool(marked) and marked.issuperset(finding.columns)
