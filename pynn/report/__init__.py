"""Findings, reports, histories, and the guard's options."""

from ..names import public
from .finding import Finding, Report
from .guard import Guard
from .health import LayerHealth
from .history import History, StepResult

__all__ = ["Finding", "Guard", "History", "LayerHealth", "Report", "StepResult"]

for _cls in (Finding, Guard, History, LayerHealth, Report, StepResult):
    public(_cls)
