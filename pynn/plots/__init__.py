"""Pictures with matplotlib (the extra ``plot``): each function returns the axes, and nothing global is changed."""

from .classes import calibration, confusion
from .curves import MissingDependencyError, learning_curve, require_matplotlib, save_learning_curve, text_curve
from .layers import health
from .rates import learning_rate_test
from .run import overview

__all__ = [
    "MissingDependencyError", "calibration", "confusion", "health", "learning_curve", "learning_rate_test", "overview",
    "require_matplotlib", "save_learning_curve", "text_curve",
]  # fmt: skip
