"""TableRegressor: numbers for the rows of a table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_consistent_length

from .table import BaseTable

__all__ = ["TableRegressor"]


class TableRegressor(RegressorMixin, BaseTable):
    """A network for the numbers of a table, of any columns, in one line: ``TableRegressor().fit(frame, y)``.

    Columns are prepared as by `TableClassifier`. Targets are standardised for training; predictions stay within their
    range.

    Parameters
    ----------
    preset, hidden_layer_sizes, max_iter, batch_size, learning_rate, weight_decay, dropout, n_members
        As for `TableClassifier`.
    time_limit, validation_fraction, random_state, verbose
        As for `TableClassifier`.

    Attributes
    ----------
    networks_, n_members_, best_iter_, columns_, reports_, n_features_in_, feature_names_in_, n_iter_
        As of `TableClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import TableRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = TableRegressor(random_state=0).fit(X, X[:, 0] * X[:, 1])
    >>> bool(model.score(X, X[:, 0] * X[:, 1]) > 0.8)
    True
    """

    _recipe_: ClassVar[dict[str, Any]] = {"activation": "mish", "learning_rate": 5e-3}

    def __init__(
        self, *, preset: Any = "default", hidden_layer_sizes: Any = None, max_iter: Any = None, batch_size: Any = 256,
        learning_rate: Any = None, weight_decay: Any = None, dropout: Any = None, n_members: Any = None,
        time_limit: Any = None, validation_fraction: Any = 0.2, random_state: Any = None, verbose: Any = False,
    ) -> None:  # fmt: skip
        super().__init__(**{name: value for name, value in locals().items() if name not in ("self", "__class__")})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TableRegressor:
        """Train.

        Parameters
        ----------
        X : data frame (pandas, polars, pyarrow) or array-like of shape (rows, columns)
            Numbers, texts, categories, dates; cells may be missing.
        y : array-like of shape (rows,) or (rows, outputs)
        sample_weight : array-like of shape (rows,), optional
        validation_data : (X, y), optional
            Rows that decide which epoch is kept, in place of rows held out.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_consistent_length(X if hasattr(X, "__len__") or hasattr(X, "shape") else y, y)
        return self._fit(X, y, sample_weight, validation_data)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, of shape (rows,) or (rows, outputs).

        Parameters
        ----------
        X : data frame or array-like of shape (rows, columns)
        """
        numbers = self._outputs(X, lambda scaled: scaled) * self._spread + self._center
        numbers = np.clip(numbers, *self._range)
        return numbers.ravel() if self._single else numbers

    def _learn_target(self, y: Any, weights: np.ndarray) -> tuple[np.ndarray, str, int]:
        self._single = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._center = np.average(y, axis=0, weights=weights)
        spread = np.sqrt(np.average((y - self._center) ** 2, axis=0, weights=weights))
        self._spread = np.where(spread > 0, spread, 1.0)
        self._range = y.min(axis=0), y.max(axis=0)
        return self._scaled(y), "mean_squared_error", y.shape[1]

    def _code_target(self, y: Any) -> np.ndarray:
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        return self._scaled(y.reshape(len(y), -1))

    def _scaled(self, y: np.ndarray) -> np.ndarray:
        return (y - self._center) / self._spread

    def _strata(self, y: np.ndarray, held: float) -> None:
        return None
