"""Findings, reports, histories, and the guard's options."""

from ..names import public
from .finding import Finding, Report
from .guard import Guard
from .history import History, StepResult

__all__ = ["Finding", "Guard", "History", "Report", "StepResult"]

for _cls in (Finding, Guard, History, Report, StepResult):
    public(_cls)
