"""One run of an estimator: scikit-learn's order of the rows, its weights, its schedule and its rule to stop."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import runtime
from ..callbacks.base import Callback
from ..data import DataLoader


class Rows(DataLoader):
    """All rows in each epoch, permuted by a RandomState as scikit-learn does it.

    Weights are scaled so that each batch's gradient is divided by the sum of its weights.

    Parameters
    ----------
    x, y : array or sparse matrix, array
    weights : array of shape (rows,), optional
    scale : float
        What all weights are multiplied by besides.
    batch_size : int
    random : RandomState, optional
        None: the order of the data.
    """

    def __init__(
        self, x: Any, y: Any, weights: Any, scale: float, batch_size: int, random: np.random.RandomState | None
    ) -> None:
        rows = x.shape[0]
        self._weights_given: Any = None if weights is None and scale == 1 else np.full(rows, float(scale))
        if weights is not None:
            self._weights_given *= weights
        self._mean_weight, self._rebalanced = scale, weights is not None
        self._weights_used = None if self._weights_given is None else self._weights_given.copy()
        self._drawn_from, self._visited = random, np.arange(rows)
        if self._rebalanced and self._weights_used is not None:
            self._weights_used[...] = balanced(self._weights_given, scale, self._visited, batch_size)
        super().__init__(x, y, sample_weight=self._weights_used, batch_size=batch_size, shuffle=random is not None)

    def order(self, epoch: int) -> np.ndarray:
        if self._drawn_from is not None:
            permuted = np.arange(len(self._visited))
            self._drawn_from.shuffle(permuted)
            self._visited = self._visited[permuted]
        if self._rebalanced and self._weights_used is not None:
            self._weights_used[...] = balanced(self._weights_given, self._mean_weight, self._visited, self.batch_size)
        return self._visited


def balanced(weights: np.ndarray, scale: float, order: np.ndarray, batch_size: int) -> np.ndarray:
    """Weights whose mean is `scale` in each batch of rows order[0 : batch_size], ...; a batch without any keeps 0."""
    starts = np.arange(0, len(order), batch_size)
    sums = np.add.reduceat(weights[order], starts)
    counts = np.diff([*starts, len(order)])
    factors = scale * np.divide(counts, sums, out=np.zeros(len(sums)), where=sums > 0)
    out = np.empty(len(order))
    out[order] = weights[order] * np.repeat(factors, counts)
    return out


class Monitor(Callback):
    """After each epoch: the estimator's attributes, scikit-learn's learning rate, and whether training ends.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    rows : int
        Rows trained on in an epoch.
    own_loss : callable
        scikit-learn's loss from the loss of the epoch.
    score : callable, optional
        Score of the network on the rows held out; None: there are none.
    incremental : bool
        One epoch of `partial_fit`.
    """

    def __init__(
        self, estimator: Any, rows: int, own_loss: Callable[[float], float], score: Callable[[], float] | None,
        incremental: bool,
    ) -> None:  # fmt: skip
        self.estimator, self.rows, self.own_loss, self.score = estimator, rows, own_loss, score
        self.incremental = incremental
        self.best: np.ndarray | None = None  # parameters with the best score
        self.unfinished = False  # `max_iter` ended training
        self.scheduled = isinstance(estimator.solver, str) and estimator.solver == "sgd"

    def on_train_begin(self, logs: dict[str, float]) -> None:
        self.estimator.n_iter_ = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        e = self.estimator
        e.n_iter_ += 1
        e.t_ += self.rows
        e.loss_ = self.own_loss(logs["loss"])
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        self.count()
        if self.scheduled and e.learning_rate == "invscaling":
            self.set_rate(float(e.learning_rate_init) / (e.t_ + 1) ** e.power_t)
        if e._no_improvement_count > e.n_iter_no_change and not self.slower():
            self.model.stop_training = True
        elif e.n_iter_ == e.max_iter and not self.incremental and not self.model.stop_training:
            self.unfinished = True

    def count(self) -> None:
        """Epochs without an improvement of the score, or of the loss."""
        e = self.estimator
        if self.score is not None:
            score = self.score()
            e.validation_scores_.append(score)
            if e.verbose:
                print(f"Validation score: {score:f}")
            if score > e.best_validation_score_:
                self.best = self.model.parameters.copy() if e.early_stopping else None
            best, better = e.best_validation_score_, score > e.best_validation_score_
            failed = score < best + e.tol
            e.best_validation_score_ = score if better else best
        if self.score is None or not e.early_stopping:
            failed = e.loss_ > e.best_loss_ - e.tol
            e.best_loss_ = min(e.best_loss_, e.loss_)
        e._no_improvement_count = e._no_improvement_count + 1 if failed else 0

    def slower(self) -> bool:
        """Whether training goes on with a fifth of the learning rate."""
        e = self.estimator
        what = "Validation score" if e.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        adaptive = self.scheduled and e.learning_rate == "adaptive"
        if adaptive and self.model.learning_rate > 1e-6:
            self.set_rate(self.model.learning_rate / 5)
            e._no_improvement_count = 0
            self.say(f"{message} Setting learning rate to {self.model.learning_rate:f}")
            return True
        self.say(f"{message}{' Learning rate too small.' if adaptive else ''} Stopping.")
        return False

    def say(self, message: str) -> None:
        if self.estimator.verbose:
            print(message)

    def set_rate(self, rate: float) -> None:
        """scikit-learn's velocity holds the learning rate of the steps that made it; pynn's holds gradients alone."""
        rate = max(rate, float(np.finfo(np.float64).tiny))
        for velocity in self.trainee.trainer.slots:
            np.asarray(velocity)[...] *= self.model.learning_rate / rate
        self.model.learning_rate = rate


def limit_threads() -> None:
    """In a worker process of joblib or Dask, use the threads that it leaves to each worker."""
    _limit_threads(os.getpid())


@cache
def _limit_threads(process: int) -> None:
    share = os.environ.get("OMP_NUM_THREADS", "")
    worker = multiprocessing.current_process().name != "MainProcess"
    if worker and share.isdigit() and int(share) and "PYNN_NUM_THREADS" not in os.environ:
        runtime.set_num_threads(min(runtime.get_num_threads(), int(share)))
