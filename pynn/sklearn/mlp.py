"""What the two estimators share: arguments, training, and the network as bytes."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import activations, optimizers
from ..callbacks.base import Callback
from ..errors import ArgumentTypeError, ArgumentValueError, NumericalError, TrainingWarning
from ..lbfgs import LBFGS
from ..model import Sequential
from ..report.finding import Report
from ..report.guard import POLICIES, Guard
from ..report.history import History
from ..specs import Spec
from .network import (
    ACTIVATIONS,
    Objective,
    build,
    dense_layers,
    fill,
    from_bytes,
    hidden_sizes,
    initial,
    is_lbfgs,
    to_bytes,
    with_state_of,
)
from .run import Monitor, Rows, limit_threads

__all__ = ["BaseMLP", "DivergenceError"]

_NUMBER = partial(Interval, Real)
OUT_ACTIVATIONS = {"linear": "identity", "sigmoid": "logistic", "exponential": "exp"}  # scikit-learn's words
SMALL = 1000  # rows that are trained in float64
FLOATS = (np.float64, np.float32)


class DivergenceError(NumericalError, ValueError):
    """Training ended at a number that is not finite; `report` says where and why."""

    def __str__(self) -> str:
        return (
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
            f"preprocessed. {super().__str__()}"
        )


class BaseMLP(BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators."""

    network_: Sequential
    _dtype: str
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*ACTIVATIONS, *activations.table.rows}), Spec],
        "solver": [StrOptions({"lbfgs", *optimizers.table.rows}), Spec, LBFGS],
        "alpha": [_NUMBER(0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [_NUMBER(0, None, closed="neither")],
        "power_t": [_NUMBER(0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_NUMBER(0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [_NUMBER(0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_NUMBER(0, 1, closed="left")],
        "beta_1": [_NUMBER(0, 1, closed="left")],
        "beta_2": [_NUMBER(0, 1, closed="left")],
        "epsilon": [_NUMBER(0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [_NUMBER(0, 1, closed="left"), "array-like"],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "guard": [StrOptions(set(POLICIES)), Guard],
        "callbacks": [list, tuple, Callback, None],
    }

    def __init__(self, **arguments: Any) -> None:
        for name, value in arguments.items():
            setattr(self, name, value)

    # ---- what the two differ in

    @abstractmethod
    def _check_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X and y as scikit-learn checks them; classes are learned."""

    @abstractmethod
    def _objective(self, y: Any) -> Objective:
        """What checked targets ask for."""

    @abstractmethod
    def _targets(self, y: Any, objective: Objective) -> np.ndarray:
        """Checked targets as the network takes them."""

    @abstractmethod
    def _strata(self, y: Any) -> Any:
        """Labels whose shares hold in the rows held out; None: any rows."""

    @abstractmethod
    def _score(self, network: Any, X: Any, y: Any, sample_weight: Any) -> float:
        """Accuracy or R2 on checked data."""

    def _weights(self, y: Any, sample_weight: Any, incremental: bool) -> Any:
        """Weights of the rows, those of their classes included."""
        return sample_weight

    def _constant(self, y: Any, weights: Any) -> float:
        """What scikit-learn's loss has that depends on targets alone."""
        return 0.0

    # ---- training

    def _fit(
        self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False, validation_data: Any = None
    ) -> Any:
        limit_threads()
        sizes = hidden_sizes(self)
        first = not self.__sklearn_is_fitted__() or not (self.warm_start or incremental)
        X, y = self._check_data(X, y, incremental, first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X).astype(np.float64)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        weights = self._weights(y, sample_weight, incremental)
        objective = self._objective(y)
        random = check_random_state(self.random_state)
        if first:
            self.__dict__.pop("network_", None)
            self._dtype = X.dtype.name
            self.n_outputs_, self.n_layers_ = objective.outputs, len(sizes) + 2
            self.out_activation_ = OUT_ACTIVATIONS.get(objective.link, objective.link)
            self._begin_records()
            start, seed = initial(self, X.shape[1], objective.outputs, random)
            start = self._given(incremental) or start
        else:
            start, seed = (self.coefs_, self.intercepts_), self.network_.seed
        dtype = self.dtype or (self._precision(X.shape[0]) if first else self.network_.dtype.name)
        held = None if validation_data is None else self._check_validation(validation_data)
        if held is None and self.early_stopping and not is_lbfgs(self.solver):
            X, y, weights, held = self._hold_out(X, y, weights, random)
        batch_size = self._batch_size(X.shape[0])
        l2 = self._penalty(batch_size, weights)
        network = self._network(build(self, X.shape[1], objective, l2, start, seed, dtype), first or not incremental)
        targets = self._targets(y, objective)
        if is_lbfgs(self.solver):
            rows = Rows(X, targets, weights, objective.scale, batch_size, None)
            self._train_lbfgs(network, rows, self._own_loss(network, objective, l2, y, weights))
        else:
            rows = Rows(X, targets, weights, objective.scale, batch_size, random if self.shuffle else None)
            own_loss = self._own_loss(network, objective, l2, y, weights)
            self._train(network, rows, own_loss, held, objective, incremental)
        self.network_ = network
        return self

    def _network(self, network: Sequential, fresh: bool) -> Sequential:
        """`network`, or the one that `partial_fit` goes on with; its penalty follows the size of the batches."""
        if fresh:
            return network
        penalties = [dense_layers(n)[0].spec.kernel_regularizer for n in (network, self.network_)]
        return self.network_ if penalties[0] == penalties[1] else with_state_of(network, self.network_)

    def _begin_records(self) -> None:
        self.n_iter_, self.t_, self._no_improvement_count = 0, 0, 0
        if is_lbfgs(self.solver):
            return
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _check_validation(self, data: Any) -> tuple[Any, Any, Any]:
        """Rows to hold out, as the caller gave them."""
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ArgumentTypeError(
                f"expected validation_data as (X, y) or (X, y, sample_weight); received {type(data).__name__}"
            )
        X, y = self._check_data(data[0], data[1], True, False)
        weights = _check_sample_weight(data[2], X) if len(data) == 3 else None
        return X, y, weights

    def _hold_out(self, X: Any, y: Any, weights: Any, random: Any) -> tuple[Any, Any, Any, tuple[Any, Any, Any]]:
        """Rows to train on and rows for `early_stopping`, with scikit-learn's draws."""
        parts = [X, y] if weights is None else [X, y, weights]
        split = train_test_split(
            *parts, random_state=random, test_size=self.validation_fraction, stratify=self._strata(y)
        )
        if split[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if weights is None:
            split += [None, None]
        return split[0], split[2], split[4], (split[1], split[3], split[5])

    def _precision(self, rows: int) -> str:
        """float64 where it costs little."""
        return "float64" if is_lbfgs(self.solver) or rows <= SMALL else "float32"

    def _batch_size(self, rows: int) -> int:
        if is_lbfgs(self.solver):
            return rows
        if isinstance(self.batch_size, str):
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        return min(int(self.batch_size), rows)

    def _penalty(self, batch_size: int, weights: Any) -> float:
        """``alpha / 2 sum w^2`` over the weights of a batch: of each in scikit-learn, here of an average one."""
        mean = 1.0 if weights is None else float(np.mean(weights))
        if not mean > 0:
            raise ArgumentValueError("expected sample_weight with a weight > 0; received weights that are all 0")
        return float(self.alpha) / (2 * batch_size * mean)

    def _own_loss(
        self, network: Sequential, objective: Objective, l2: float, y: Any, weights: Any
    ) -> Callable[[float], float]:
        """scikit-learn's loss of an epoch from the network's."""
        share, constant = objective.share, self._constant(y, weights)

        def own(loss: float) -> float:
            penalty = l2 * sum(float(np.vdot(kernel, kernel)) for kernel in _kernels(network)) if share != 1 else 0.0
            return (loss - penalty) * share + penalty + constant

        return own

    def _train(
        self, network: Sequential, rows: Rows, own_loss: Callable[[float], float], held: Any, objective: Objective,
        incremental: bool,
    ) -> None:  # fmt: skip
        score = None if held is None else partial(self._score, network, *held)
        if held is not None and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        monitor = Monitor(self, rows.n_rows or 0, own_loss, score, incremental)
        validation = None
        if held is not None and self.callbacks:
            validation = (held[0], self._targets(held[1], objective), held[2])
        epochs = 1 if incremental else int(self.max_iter)
        try:
            self._run(network, rows, [monitor, *self._own_callbacks()], epochs, validation)
        except NumericalError as error:
            if not self.early_stopping or monitor.best is None:
                raise _diverged(error) from error
            self.validation_scores_.append(np.nan)  # type: ignore[union-attr]
            warnings.warn(f"training ended in epoch {self.n_iter_ + 1}, with the best parameters so far: {error}",
                          TrainingWarning, stacklevel=5)  # fmt: skip
        if self.early_stopping and monitor.best is not None:
            network.parameters[...] = monitor.best
        if monitor.unfinished:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.", ConvergenceWarning, stacklevel=5
            )  # fmt: skip

    def _train_lbfgs(self, network: Sequential, rows: Rows, own_loss: Callable[[float], float]) -> None:
        try:
            history = self._run(network, rows, self._own_callbacks(), 1, None)
        except NumericalError as error:
            raise _diverged(error) from error
        self.n_iter_ = len(history)
        loss = history[-1]["loss"] if len(history) else network.evaluate(rows)["loss"]
        self.loss_ = own_loss(loss)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        if not history.converged:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iterations: increase max_iter or max_fun, or scale "
                "the data", ConvergenceWarning, stacklevel=5
            )  # fmt: skip

    def _run(self, network: Sequential, rows: Rows, callbacks: list[Callback], epochs: int, held: Any) -> History:
        try:
            return network.fit(
                rows, epochs=epochs, callbacks=callbacks, guard=self.guard, verbose=0, validation_data=held
            )
        except KeyboardInterrupt:  # scikit-learn's estimators keep what they have
            if network.history is None:
                raise
            warnings.warn("Training interrupted by user.", stacklevel=6)
            return network.history

    def _own_callbacks(self) -> list[Callback]:
        given = self.callbacks
        return [given] if isinstance(given, Callback) else list(given or ())

    def _check_solver(self) -> bool:
        if is_lbfgs(self.solver):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    # ---- prediction

    def _forward(self, X: Any, raw: bool) -> np.ndarray:
        """Outputs of the network, in the precision of the data it was fitted to."""
        check_is_fitted(self)
        limit_threads()
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        dtype = np.result_type(X.dtype if X.dtype.kind == "f" else np.float64, np.dtype(self._dtype))
        return outputs(self.network_, X, raw).astype(dtype, copy=False)

    # ---- attributes

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Kernels: views of the network's, or read-only copies where the data had another precision.

        Set with `intercepts_` before the first `partial_fit`, or `fit` with ``warm_start=True``, they are the initial
        parameters.
        """
        if "_start" in self.__dict__:
            return self._start["coefs_"]
        return [self._lent(kernel) for kernel in _kernels(self._fitted("coefs_"))]

    @coefs_.setter
    def coefs_(self, values: list[Any]) -> None:
        if not self.__sklearn_is_fitted__():
            self.__dict__.setdefault("_start", {})["coefs_"] = values
            return
        fill(self.network_, values, [layer.bias for layer in dense_layers(self.network_)])

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases, likewise."""
        if "_start" in self.__dict__:
            return self._start["intercepts_"]
        return [self._lent(layer.bias) for layer in dense_layers(self._fitted("intercepts_"))]

    @intercepts_.setter
    def intercepts_(self, values: list[Any]) -> None:
        if not self.__sklearn_is_fitted__():
            self.__dict__.setdefault("_start", {})["intercepts_"] = values
            return
        fill(self.network_, _kernels(self.network_), values)

    def _given(self, incremental: bool) -> Any:
        """Parameters that were set before training; None: none were."""
        start = self.__dict__.pop("_start", {})
        wanted = len(start) == 2 and (incremental or self.warm_start)
        return (start["coefs_"], start["intercepts_"]) if wanted else None

    @property
    def history_(self) -> History:
        """Epochs of the last `fit` or `partial_fit`, with seconds and what callbacks added."""
        return self._fitted("history_").history  # type: ignore[return-value]

    @property
    def report_(self) -> Report:
        """What the guard and the checks of the data found in it."""
        return self.history_.report

    @property
    def _optimizer(self) -> Any:
        return self._fitted("_optimizer").optimizer

    def _fitted(self, name: str) -> Sequential:
        if "network_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before fit")
        return self.network_

    def _lent(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.name == self._dtype:
            return array
        copy = array.astype(self._dtype)
        copy.flags.writeable = False
        return copy

    def __sklearn_is_fitted__(self) -> bool:
        return "network_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if isinstance(state.get("network_"), Sequential):
            network = state["network_"]
            custom = network.__getstate__()["custom"]
            state |= {"network_": to_bytes(network)} | ({"_custom": custom} if custom else {})
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        custom = state.pop("_custom", {})
        if isinstance(state.get("network_"), bytes):
            state["network_"] = from_bytes(state["network_"], custom)
        super().__setstate__(state)


def outputs(network: Sequential, X: Any, raw: bool) -> np.ndarray:
    """Predictions, or logits, for checked data."""
    return network.predict(X.tocsr() if hasattr(X, "tocsr") else X, raw=raw)


def _kernels(network: Sequential) -> list[np.ndarray]:
    return [layer.kernel for layer in dense_layers(network)]


def _diverged(error: NumericalError) -> DivergenceError:
    new = DivergenceError(*error.args)
    for name in ("report", "data", "layer", "row", "column", "value"):
        setattr(new, name, getattr(error, name))
    return new
