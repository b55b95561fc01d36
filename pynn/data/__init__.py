"""Data in: loaders, the sources they read, sampling and splitting."""

from ..names import public
from .batch import Batch
from .loader import DataLoader
from .sampling import train_test_split
from .schema import Schema, is_frame
from .sources import Rows, Source

__all__ = ["Batch", "DataLoader", "Rows", "Schema", "Source", "is_frame", "train_test_split"]

for _name in __all__:
    public(globals()[_name], __name__)
