"""Average the parameters over the steps of a run."""

from __future__ import annotations

import warnings

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, NotReadyError, TrainingWarning
from .base import Callback, Logs, State
from .weights import own_weights, restore


class Average(Callback):
    """A callback that averages the parameters over the steps of a run; the compiled core does it."""

    def __init__(self, decay: float, start: int, every: int, validate: bool, swap: bool) -> None:
        start, every = checks.integer("start", start, 0), checks.integer("every", every, 1)
        self.average, self.validate, self.swap = (float(decay), start, every), validate, swap
        self.parameters: np.ndarray | None = None
        self._own: State | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self.parameters = self._own = None
        self._told = False
        if self.model.averages:
            raise ArgumentValueError("expected one EMA or SWA in callbacks; received two")
        self.model.use_average(self.average)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self.model.validated = None

    def on_test_begin(self, logs: Logs) -> None:
        if self.validate and self.model.trainer(1).n_averaged:
            self._own = own_weights(self.model)
            self._put()

    def on_test_end(self, logs: Logs) -> None:
        if self._own is not None:
            self.model.validated = own_weights(self.model)
            restore(self.model, self._own)
            self._own = None

    def on_train_end(self, logs: Logs) -> None:
        self.on_test_end(logs)  # a validation that failed did not come to its end
        trainer = self.model.trainer(1) if self.model.built else None
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
        self.model.use_average(None)

    def _put(self) -> None:
        """The average into the model, with moments of batch normalizations that belong to it."""
        self.model.trainer(1).use_average()
        if not any(layer.spec.kind == "batch_normalization" for layer in self.model.layers):
            return
        try:
            self.model.update_moments()
        except (NotReadyError, ArgumentTypeError, ArgumentValueError):
            if not self._told:
                warnings.warn(
                    "moving moments of BatchNormalization are those of the last steps, not of the averaged weights, as "
                    "the data cannot be passed over again: call model.update_moments(X)",
                    TrainingWarning,
                    stacklevel=3,
                )
            self._told = True


class EMA(Average):
    """An exponential moving average of the parameters: a <- decay a + (1 - decay) w after each step, from a = w.

    Averaged, not the last, parameters are validated and left in the model when training ends. The sum is in float64, is
    the same on any number of threads and goes on where it was from a checkpoint.

    Parameters
    ----------
    decay : float in (0, 1)
        About the last 1 / (1 - decay) steps count.
    start, every : int
        The first step (counted in applied steps) and the distance of those that are taken in.
    validate : bool
        Validate with the average.
    swap : bool
        Leave the average in the model when training ends; else it is only in `parameters`.

    Attributes
    ----------
    parameters : ndarray of float64, or None
        The average, once training has ended.

    Notes
    -----
    Moving moments of a `BatchNormalization` belong to the weights they were taken with. So wherever the average is put
    into the model, they are taken anew from a pass over the training data, see `Sequential.update_moments`: a forward
    pass for each such layer and validation. For data that can't be passed over again, streams say, a warning tells that
    they were not. `EarlyStopping` and `ModelCheckpoint` keep the averaged model when that was validated.

    References
    ----------
    Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; PyTorch's ``AveragedModel`` with ``get_ema_multi_avg_fn``.

    Examples
    --------
    >>> import pynn
    >>> (X, y), (Xt, yt) = pynn.datasets.digits()
    >>> model = pynn.Sequential([pynn.Dense(10)], seed=0)
    >>> model.compile(loss="softmax_cross_entropy", optimizer=pynn.SGD(learning_rate=0.1))
    >>> history = model.fit(X[:600], y[:600], epochs=3, callbacks=[pynn.EMA(0.9)])
    """

    def __init__(
        self, decay: float = 0.999, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True
    ) -> None:
        super().__init__(checks.number("decay", decay, above=0, below=1), start, every, validate, swap)


class SWA(Average):
    """The plain mean of the parameters after the steps start, start + every, ...: stochastic weight averaging.

    For the state after each epoch, `every` is the number of steps in one. Otherwise as `EMA`.

    Parameters
    ----------
    start : int >= 0
        Steps applied before the first that counts.
    every : int >= 1
    validate, swap : bool

    References
    ----------
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def __init__(self, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True) -> None:
        super().__init__(0.0, start, every, validate, swap)
