"""Average the parameters over the steps of a run."""

from __future__ import annotations

import warnings

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, NotReadyError, TrainingWarning
from .base import Callback, Logs, State
from .weights import own_weights, restore


class Average(Callback):
    """Base of the callbacks that average the parameters over the steps of a run; the compiled core does it.

    Parameters
    ----------
    decay : float
        Decay of an exponential average; 0 is the plain mean.
    start, every : int
        Number of applied steps before the first average, and from one to the next.
    validate, swap : bool
        Validate with the average; leave it in the model when training ends.
    """

    def __init__(self, decay: float, start: int, every: int, validate: bool, swap: bool) -> None:
        start, every = checks.integer("start", start, 0), checks.integer("every", every, 1)
        self.average, self.validate, self.swap = (float(decay), start, every), validate, swap
        self.parameters: np.ndarray | None = None
        self._own: State | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.parameters = self._own = None
        self._told = False
        if self.trainee.averages:
            raise ArgumentValueError("expected one EMA or SWA in callbacks; received two")
        self.trainee.use_average(self.average)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self.trainee.validated = None

    def on_test_begin(self, logs: Logs) -> None:
        if self.validate and self.trainee.steps and self.trainee.trainer.n_averaged:
            self._own = own_weights(self.trainee)
            self._put()

    def on_test_end(self, logs: Logs) -> None:
        if self._own is not None:
            self.trainee.validated = own_weights(self.trainee)
            restore(self.trainee, self._own)
            self._own = None

    def on_train_end(self, logs: Logs) -> None:
        self.on_test_end(logs)  # a validation that failed did not call it
        trainer = self.trainee.trainer if self.trainee.has_trainer else None
        if trainer is not None and trainer.n_averaged:
            self.parameters = np.array(trainer.average)
            if self.swap:
                self._put()
        elif trainer is not None and 0 < trainer.steps < self.average[1]:
            warnings.warn(
                f"nothing was averaged, and the model keeps its last weights: the run ended after {trainer.steps} "
                f"steps, before start={self.average[1]}",
                TrainingWarning,
                stacklevel=3,
            )
        self.trainee.use_average(None)

    def _put(self) -> None:
        """Put the average into the model, with the moments of batch normalizations that belong to it."""
        self.trainee.trainer.use_average()
        if not any(spec.kind == "batch_normalization" for spec in self.trainee.network.specs):
            return
        try:
            self.trainee.update_moments()
        except (NotReadyError, ArgumentTypeError, ArgumentValueError):
            if not self._told:
                warnings.warn(
                    "the moving moments of BatchNormalization belong to the last steps, not to the averaged weights, "
                    "as the data cannot be read a second time: call model.update_moments(X)",
                    TrainingWarning,
                    stacklevel=3,
                )
            self._told = True
