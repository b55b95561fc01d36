"""Rows scored one by one by a pynn model, without Python in the loop."""

from ._fast import Scorer

__all__ = ["Scorer"]
