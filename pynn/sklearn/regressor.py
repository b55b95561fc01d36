"""MLPRegressor: numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from .. import losses
from ..specs import Spec
from .mlp import FLOATS, BaseMLP, outputs
from .network import Objective

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron that predicts numbers, with scikit-learn's arguments and pynn's training.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, or a loss of pynn
        Half the squared error, half the Poisson deviance (targets >= 0, predictions exp of the last layer), or any
        loss of `pynn.losses` for numbers, such as ``"huber"``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter
        As for `MLPClassifier`.
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction
        As for `MLPClassifier`; the score of the rows held out is R2.
    beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, dtype, guard, callbacks
        As for `MLPClassifier`.

    Attributes
    ----------
    network_ : Sequential
        The trained network: ``network_.save(path)``, ``network_.export_c(path)``.
    report_, history_
        What pynn found in the last `fit`, and its epochs.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, t_, coefs_, intercepts_
        As in scikit-learn.
    n_features_in_, feature_names_in_, n_iter_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import MLPRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, X @ [1.0, -2.0, 3.0])
    >>> bool(model.score(X, X @ [1.0, -2.0, 3.0]) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", *losses.table.rows, "mse", "mae"}), Spec, callable],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        dropout: Any = 0.0,
        dtype: Any = None,
        guard: Any = "raise",
        callbacks: Any = None,
    ) -> None:
        super().__init__(**{name: value for name, value in locals().items() if name not in ("self", "__class__")})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPRegressor:
        """Train.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        y : array-like of shape (rows,) or (rows, outputs)
        sample_weight : array-like of shape (rows,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to score after each epoch, and to stop by with ``early_stopping=True``, in place of rows held out.
        """
        return self._fit(X, y, sample_weight, validation_data=validation_data)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train one epoch on these rows, and go on from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, of shape (rows,) or (rows, outputs); the means with ``loss="gaussian_nll"``.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        """
        return self._numbers(self._forward(X, raw=False))

    # ---- what `BaseMLP` asks for

    def _check_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True, dtype=FLOATS, reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _objective(self, y: Any) -> Objective:
        columns = 1 if y.ndim == 1 else y.shape[1]
        if isinstance(self.loss, str) and self.loss == "squared_error":
            return Objective("mean_squared_error", columns, columns / 2, 1 / columns)
        if isinstance(self.loss, str) and self.loss == "poisson":
            return Objective("poisson", columns, columns)
        pairs = losses.get(self.loss).row["pairs"]
        return Objective(self.loss, 2 * columns if pairs else columns)

    def _targets(self, y: Any, objective: Objective) -> np.ndarray:
        return y

    def _strata(self, y: Any) -> None:
        return None

    def _score(self, network: Any, X: Any, y: Any, sample_weight: Any) -> float:
        return r2(y, self._numbers(outputs(network, X, raw=False)), sample_weight)

    def _numbers(self, predicted: np.ndarray) -> np.ndarray:
        """Means alone of means and log-variances, and one column as one dimension."""
        if self.loss != "squared_error" and losses.get(self.loss).row["pairs"]:
            predicted = predicted[:, : predicted.shape[1] // 2]
        return predicted.ravel() if predicted.shape[1] == 1 else predicted

    def _constant(self, y: Any, weights: Any) -> float:
        if self.loss != "poisson":
            return 0.0
        return float(np.sum(np.average(xlogy(y, y) - y, axis=0, weights=weights)))


def r2(y: np.ndarray, predicted: np.ndarray, weights: Any) -> float:
    """The coefficient of determination, the mean of those of several outputs."""
    weights = np.ones(len(y)) if weights is None else weights
    weights = weights.reshape((-1,) + (1,) * (y.ndim - 1))
    left = (weights * (y - predicted.astype(np.float64)) ** 2).sum(axis=0)
    spread = (weights * (y - np.average(y, axis=0, weights=weights.ravel())) ** 2).sum(axis=0)
    scores = np.where(left == 0, 1.0, 0.0)
    return float(np.mean(np.where(spread > 0, 1 - left / np.where(spread > 0, spread, 1), scores)))
