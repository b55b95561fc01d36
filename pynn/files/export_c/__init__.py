"""Trained models as source code for machines without Python or this library."""

from .export import export_c
from .exported import Exported

__all__ = ["Exported", "export_c"]
