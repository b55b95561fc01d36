"""Trained models as source code for machines without Python or this library."""

from .export import Exported, export_c

__all__ = ["Exported", "export_c"]
