"""What a run found and did: findings, reports, histories, and the guard's options."""

from .finding import Finding, Report
from .guard import Guard
from .history import History, StepResult

__all__ = ["Finding", "Guard", "History", "Report", "StepResult"]
