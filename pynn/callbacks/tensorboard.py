"""Write each epoch for TensorBoard."""

from __future__ import annotations

import os
from typing import Any

from .. import checks
from .base import Callback, Logs


class TensorBoard(Callback):
    """Write each epoch's values for TensorBoard. Needs ``pip install 'pynn-dense[tensorboard]'``.

    Parameters
    ----------
    log_dir : str or path
        Folder of the event files.
    histograms : bool
        Write a histogram of every kernel and bias too.

    Examples
    --------
    >>> import pynn
    >>> board = pynn.TensorBoard("logs")
    """

    writes_files = True

    def __init__(self, log_dir: Any = "logs", histograms: bool = False) -> None:
        self.log_dir, self.histograms = log_dir, histograms
        self._writer: Any = None

    def on_train_begin(self, logs: Logs) -> None:
        package = checks.package("tensorboardX", "tensorboard", "to write event files")
        self._writer = package.SummaryWriter(os.fspath(self.log_dir))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(name, value, epoch)
        for name, layer, offset, rows, columns in self.trainee.network.core.tensors if self.histograms else ():
            values = self.trainee.network.parameters[offset : offset + rows * columns]
            self._writer.add_histogram(f"{layer}.{name}", values, epoch)
        self._writer.flush()

    def on_train_end(self, logs: Logs) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
