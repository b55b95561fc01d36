"""Which learning rate to start from: a range test on a copy of the model."""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import DataLoader
from ..errors import ArgumentValueError, NotReadyError, TrainingWarning
from ..names import public
from ..schedules import ExponentialDecay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..model import Sequential

__all__ = ["LearningRateTest", "find_learning_rate"]

_SMOOTHING = 0.9  # of the exponential mean of losses
_DIVERGED = 4.0  # times the lowest loss ends the test


@public
@dataclass(frozen=True)
class LearningRateTest:
    """What `find_learning_rate` measured.

    Attributes
    ----------
    suggestion : float
        The rate to start from.
    learning_rates, losses, smoothed : ndarray
        By step: the rate, the batch's loss before it, and their exponential mean with 0.9, corrected for its start.
    """

    suggestion: float
    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss over the rate, as far as it falls, with the suggestion marked.

        Needs matplotlib: ``pip install 'pynn-dense[plot]'``.
        """
        from ..plots import learning_rate_test

        return learning_rate_test(self, ax)


def find_learning_rate(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    min_learning_rate: float = 1e-7,
    max_learning_rate: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
) -> LearningRateTest:
    """A learning-rate range test: steps at a rate that grows from one end to the other; how far does the loss fall?

    The test trains a copy; the model stays as it is. It ends early when the smoothed loss is beyond 4 times its lowest,
    or a step is refused. The suggestion is a tenth of the rate at which the smoothed loss is lowest: there it still
    falls, and has an order of magnitude to spare. (Where it falls most steeply is often a matter of noise.)

    Parameters
    ----------
    model : Sequential
        Compiled, with an optimizer that has a learning rate.
    X, y : array-like
        As for `Sequential.fit`.
    min_learning_rate, max_learning_rate : float > 0
    steps : int >= 10
    batch_size : int >= 1

    Returns
    -------
    LearningRateTest

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.

    Examples
    --------
    >>> import pynn
    >>> (X, y), _ = pynn.datasets.digits()
    >>> model = pynn.Sequential([pynn.Dense(32, activation="relu"), pynn.Dense(10)], seed=0)
    >>> model.compile(loss="softmax_cross_entropy", optimizer="sgd")
    >>> test = pynn.find_learning_rate(model, X, y)
    >>> 1e-3 < test.suggestion < 3
    True
    """
    if not 0 < min_learning_rate < max_learning_rate < math.inf or not steps >= 10:
        raise ArgumentValueError(
            f"expected 0 < min_learning_rate < max_learning_rate and steps >= 10; received "
            f"min_learning_rate={min_learning_rate!r}, max_learning_rate={max_learning_rate!r}, steps={steps!r}"
        )
    if not getattr(model.optimizer, "core", None) or model.optimizer.name == "lbfgs":
        received = "one that was not compiled" if model.optimizer is None else "LBFGS, which has none"
        raise NotReadyError(
            f"expected a model compiled with an optimizer that has a learning rate; received {received}"
        )
    tried = copy.deepcopy(model)
    rise = ExponentialDecay(min_learning_rate, steps - 1, max_learning_rate / min_learning_rate)
    tried.compile(tried.loss, replace(tried.optimizer, learning_rate=rise))
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for xb, yb in _batches(X, y, batch_size, steps, model.seed):
        rate = rise(len(rates))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)
            result = tried.train_step(xb, yb, guard="raise")
        if not result.applied:
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * result.loss
        rates.append(rate)
        losses.append(result.loss)
        smoothed.append(mean / (1 - _SMOOTHING ** len(rates)))
        if smoothed[-1] > _DIVERGED * min(smoothed):
            break
    if len(rates) < 3:
        raise ArgumentValueError(
            f"expected training to start at min_learning_rate; received min_learning_rate={min_learning_rate!r}, at "
            "which a step was refused; try a smaller one"
        )
    found = [np.array(values) for values in (rates, losses, smoothed)]
    return LearningRateTest(float(found[0][np.argmin(found[2])] / 10), *found)


def _batches(X: Any, y: Any, batch_size: int, steps: int, seed: int) -> Any:
    """Yield `steps` batches, in the order of `fit`."""
    loader = DataLoader(X, y, batch_size=batch_size, shuffle=True, seed=seed)
    while steps > 0:
        for batch in itertools.islice(loader, steps):
            yield batch
            steps -= 1
