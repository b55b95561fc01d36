"""Data in: loaders, the sources they read, sampling and splitting."""

from .batch import Batch
from .loader import DataLoader
from .sampling import train_test_split
from .sources import Rows, Source

__all__ = ["Batch", "DataLoader", "Rows", "Source", "train_test_split"]
