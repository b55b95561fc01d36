"""TableClassifier: classes of the rows of a table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from .table import BaseTable

__all__ = ["TableClassifier"]


class TableClassifier(ClassifierMixin, BaseTable):
    """A network for the classes of a table, of any columns, in one line: ``TableClassifier().fit(frame, y)``.

    Numbers are scaled by their quartiles, clipped smoothly and, in larger tables, cut into bins; missing ones are
    filled in with medians and marked; texts and categories become a column each or, where they are many, embeddings;
    dates count in seconds. With 100 rows or more some are held out, and the epoch that is best on them is kept.

    Parameters
    ----------
    preset : {"fast", "default", "best"}
        "fast": one network of two layers of 128 units, 32 epochs. "default": the average of six of 48 epochs, with
        the better of two weight decays. "best": of twelve with 256 units, dropout and 64 epochs.
    hidden_layer_sizes, max_iter, learning_rate, weight_decay, dropout, n_members
        None: those of the preset. Of several values of `weight_decay` the one with the lowest loss on the rows held
        out is taken.
    batch_size : int
    time_limit : float, optional
        Seconds after which no further network is begun; the first is always trained. ``n_members=model.n_members_``
        without a limit gives the same bits.
    validation_fraction : float
        Share of the rows held out.
    class_weight : dict, "balanced" or None
    random_state : int, RandomState or None
        Same number, same bits.
    verbose : bool or int

    Attributes
    ----------
    classes_ : ndarray
    networks_ : list of Sequential
        The trained networks, whose mean is the prediction.
    best_iter_ : list of int
        The epoch that was kept of each.
    n_members_ : int
        Networks trained.
    weight_decay_ : float
        The one with the lowest loss on the rows held out: by all networks up to 1,000 rows, above by the first.
    columns_ : list of dict
        What is done to each column.
    reports_ : list of Report
    n_features_in_, feature_names_in_, n_iter_

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import TableClassifier
    >>> X = np.array([["red", 1.0], ["blue", None], ["red", 2.0], ["blue", 3.0]] * 10, dtype=object)
    >>> model = TableClassifier(preset="fast", random_state=0).fit(X, X[:, 0] == "red")
    >>> model.predict([["blue", 2.0]])
    array([False])
    """

    classes_: Any
    _recipe_: ClassVar[dict[str, Any]] = {"activation": "selu", "learning_rate": 2.5e-3}
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseTable._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self, *, preset: Any = "default", hidden_layer_sizes: Any = None, max_iter: Any = None, batch_size: Any = 256,
        learning_rate: Any = None, weight_decay: Any = None, dropout: Any = None, n_members: Any = None,
        time_limit: Any = None, validation_fraction: Any = 0.2, class_weight: Any = None, random_state: Any = None,
        verbose: Any = False,
    ) -> None:  # fmt: skip
        super().__init__(**{name: value for name, value in locals().items() if name not in ("self", "__class__")})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> TableClassifier:
        """Train.

        Parameters
        ----------
        X : data frame (pandas, polars, pyarrow) or array-like of shape (rows, columns)
            Numbers, texts, categories, dates; cells may be missing.
        y : array-like of shape (rows,)
        sample_weight : array-like of shape (rows,), optional
        validation_data : (X, y), optional
            Rows that decide which epoch is kept, in place of rows held out.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(_labels(y), warn=True)
        check_consistent_length(X if hasattr(X, "__len__") or hasattr(X, "shape") else y, y)
        check_classification_targets(y)
        return self._fit(X, y, sample_weight, validation_data)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row.

        Parameters
        ----------
        X : data frame or array-like of shape (rows, columns)
        """
        probabilities = self.predict_proba(X)
        return self.classes_[np.argmax(probabilities, axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : data frame or array-like of shape (rows, columns)
        """
        return self._outputs(X, lambda logits: softmax(logits, axis=1))

    def _learn_target(self, y: Any, weights: np.ndarray) -> tuple[np.ndarray, str, int]:
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"expected y of two classes at least; received one class, {self.classes_[0]!r}")
        if self.class_weight is not None:
            weights *= compute_sample_weight(self.class_weight, y)
        return codes, "softmax_cross_entropy", len(self.classes_)

    def _code_target(self, y: Any) -> np.ndarray:
        y = column_or_1d(_labels(y))
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"expected validation labels that are in y; received {unknown[0]!r}")
        return np.searchsorted(self.classes_, y)

    def _strata(self, y: np.ndarray, held: float) -> Any:
        counts = np.bincount(y)
        counts, rows = counts[counts > 0], int(np.ceil(held * len(y)))
        return y if counts.min() > 1 and len(counts) <= min(rows, len(y) - rows) else None


def _labels(y: Any) -> Any:
    return y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
