"""MLPClassifier: classes, and several yes-or-no labels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from .. import losses
from ..errors import ArgumentValueError
from ..specs import Spec
from .mlp import FLOATS, BaseMLP, outputs
from .network import Objective

__all__ = ["MLPClassifier"]

BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron that predicts classes, with scikit-learn's arguments and pynn's training.

    The initial parameters, the rows held out and the order of the rows are those that scikit-learn draws from the same
    `random_state`: with ``dtype="float64"`` the two train alike, to the rounding of sums.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int
        Units of the hidden layers.
    activation : {"identity", "logistic", "tanh", "relu"}, or an activation of pynn
        Of the hidden layers. Those of `pynn.activations` start from the initial weights that suit them.
    solver : {"lbfgs", "sgd", "adam"}, or an optimizer of pynn
        A name of `pynn.optimizers` takes `learning_rate_init`; an object such as ``pynn.AdamW(1e-3)`` is used as it
        is. `momentum`, `beta_1` and the like belong to the first three.
    alpha : float
        Strength of the penalty on the squares of the weights, divided by the rows of a batch.
    batch_size : int or "auto"
        Rows in a step; "auto": at most 200.
    learning_rate : {"constant", "invscaling", "adaptive"}
        For ``solver="sgd"``: constant, divided by ``t_ ** power_t`` after each epoch, or by 5 when the loss (with
        `early_stopping` the score) has stopped improving.
    learning_rate_init, power_t, momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        Of the solver.
    max_iter : int
        Most epochs; iterations of ``"lbfgs"``.
    shuffle : bool
        A new order of the rows in each epoch.
    random_state : int, RandomState or None
    tol : float
        The improvement that counts; for ``"lbfgs"`` the gradient that ends training.
    verbose : bool or int
        Print each epoch.
    warm_start : bool
        `fit` goes on from the parameters of the last one.
    early_stopping : bool
        Hold out `validation_fraction` of the rows, with the shares of the classes, and end with the parameters that
        had the best score on them.
    validation_fraction : float
    n_iter_no_change : int
        Epochs without an improvement that end training.
    max_fun : int
        Most evaluations of ``"lbfgs"``.
    loss : "log_loss", or a loss of pynn
        ``"focal"`` or ``pynn.losses.SoftmaxCrossEntropy(label_smoothing=0.1)``, for instance.
    class_weight : dict, list of dict, "balanced" or None
        Weights of the classes, on top of `sample_weight`.
    dropout : float, or a float for each hidden layer
        Share of its outputs that are dropped in training.
    dtype : {"float32", "float64"} or None
        Precision of training. None: "float64" for ``"lbfgs"`` and for at most 1,000 rows, where it costs little, else
        "float32". `coefs_` and predictions have that of X.
    guard : "raise", "skip", "rollback", "off" or pynn.Guard
        What is done about a step that would not be finite, or a loss that runs away.
    callbacks : list of pynn.Callback, optional

    Attributes
    ----------
    classes_ : ndarray
    network_ : Sequential
        The trained network: ``network_.save(path)``, ``network_.export_c(path)``.
    report_ : Report
        What the guard and the checks of the data found in the last `fit`.
    history_ : History
        Its epochs.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, t_, coefs_, intercepts_
        As in scikit-learn.
    n_features_in_, feature_names_in_, n_iter_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.sklearn import MLPClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = np.where(X[:, 0] > X[:, 1], "above", "below")
    >>> model = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> model.predict([[1.0, 0.0], [0.0, 1.0]])
    array(['above', 'below'], dtype='<U5')
    """

    classes_: Any
    _y_type: str
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", *losses.table.rows}), Spec, callable],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        dtype: Any = None,
        guard: Any = "raise",
        callbacks: Any = None,
    ) -> None:
        super().__init__(**{name: value for name, value in locals().items() if name not in ("self", "__class__")})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPClassifier:
        """Train.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        y : array-like of shape (rows,) or (rows, labels)
            Classes, numbers or text; or a column of 0 and 1 for each of several labels.
        sample_weight : array-like of shape (rows,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows to score after each epoch, and to stop by with ``early_stopping=True``, in place of rows held out.
        """
        return self._fit(X, y, sample_weight, validation_data=validation_data)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train one epoch on these rows, and go on from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, in the first call
            All classes that any call will have.
        """
        if isinstance(self.class_weight, str):
            raise ArgumentValueError(
                "expected class_weight as a dict for partial_fit, which does not see all rows; received "
                "class_weight='balanced'"
            )
        self._learn_classes(y, classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row; for several labels a row of 0 and 1.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        """
        codes = self._codes_of(self._forward(X, raw=True))
        if codes.ndim == 2:
            return codes
        return self.classes_[np.minimum(codes, len(self.classes_) - 1)]

    @available_if(lambda self: self._check_probabilities())
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes_`; of each label for several labels.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        """
        logits = self._forward(X, raw=True)
        if self.out_activation_ == "softmax":
            return softmax(logits, axis=1)
        p = expit(logits)
        if logits.shape[1] == 1:
            return np.hstack([1 - p, p])
        return p if self._y_type == MULTILABEL else p / p.sum(axis=1, keepdims=True)

    @available_if(lambda self: self._check_probabilities())
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of `predict_proba`, finite however small a probability is.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (rows, features)
        """
        logits = self._forward(X, raw=True)
        if self.out_activation_ == "softmax":
            return log_softmax(logits, axis=1)
        if logits.shape[1] == 1:
            return np.hstack([log_expit(-logits), log_expit(logits)])
        if self._y_type == MULTILABEL:
            p = expit(logits)
            return np.where(p > 0, np.log(p, where=p > 0, out=np.zeros_like(p)), log_expit(logits))
        return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    # ---- what `BaseMLP` asks for

    def _check_probabilities(self) -> bool:
        if self.__sklearn_is_fitted__() and self.out_activation_ not in ("softmax", "logistic"):
            raise AttributeError(
                f"predict_proba is not available with the loss {self.loss!r}, which has no probabilities"
            )
        return True

    def _learn_classes(self, y: Any, classes: Any) -> None:
        """The classes that the first `partial_fit` names, and later ones may repeat."""
        known: Any = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        named: Any = known if classes is None else unique_labels(classes)
        if known is not None and not np.array_equal(known, named):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")
        if known is None:
            several = type_of_target(y).startswith("multilabel")
            self.classes_, self._y_type = named, MULTILABEL if several else MULTICLASS if len(named) > 2 else BINARY

    def _check_data(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=FLOATS, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if reset and not incremental:
            check_classification_targets(y)
            self._y_type = type_of_target(y, input_name="y")
            if self._y_type not in (BINARY, MULTICLASS, MULTILABEL):
                raise ValueError(f"Multioutput target data is not supported: received y of type {self._y_type}")
            self.classes_ = unique_labels(y)
        else:
            self._check_classes(unique_labels(y))
        if self._y_type == MULTILABEL:
            y = y.toarray() if hasattr(y, "toarray") else y
            return X, y.astype(bool)
        return X, np.searchsorted(self.classes_, y)

    def _check_classes(self, classes: np.ndarray) -> None:
        if self.warm_start and self.__sklearn_is_fitted__() and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _weights(self, y: Any, sample_weight: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return sample_weight
        labels = y.astype(int) if self._y_type == MULTILABEL else self.classes_[y]
        weights = compute_sample_weight(self.class_weight, labels)
        return weights if sample_weight is None else weights * sample_weight

    def _objective(self, y: Any) -> Objective:
        classes = len(self.classes_)
        if isinstance(self.loss, str) and self.loss == "log_loss":
            if self._y_type == MULTICLASS:
                return Objective("softmax_cross_entropy", classes)
            labels = classes if self._y_type == MULTILABEL else 1
            return Objective("sigmoid_cross_entropy", labels, labels)
        row = losses.get(self.loss).row
        if row["link"] == "softmax" and self._y_type == MULTILABEL:
            raise ArgumentValueError(
                f"expected a loss that takes several labels for each row, such as 'focal'; received loss={self.loss!r}"
            )
        if row["pairs"]:
            raise ArgumentValueError(f"expected a loss for classes; received loss={self.loss!r}")
        several = row["link"] == "softmax" or self._y_type != BINARY
        return Objective(self.loss, max(2, classes) if several else 1)

    def _targets(self, y: Any, objective: Objective) -> np.ndarray:
        if self._y_type == MULTILABEL or objective.outputs == 1:
            return y.astype(np.float64)
        if objective.takes_labels:
            return y
        return np.eye(objective.outputs)[y]

    def _strata(self, y: Any) -> Any:
        if self._y_type == BINARY:
            return (y == 1)[:, None]
        if self._y_type == MULTILABEL:
            return None
        counts = np.bincount(y, minlength=len(self.classes_))
        held = int(np.ceil(self.validation_fraction * len(y)))
        present = counts[counts > 0]
        possible = present.min() > 1 and len(present) <= min(held, len(y) - held)
        return y if possible else None

    def _codes_of(self, logits: np.ndarray) -> np.ndarray:
        """Indices of classes, or a row of 0 and 1 for several labels."""
        if self._y_type == MULTILABEL:
            return (logits > 0).astype(int)
        return (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)

    def _score(self, network: Any, X: Any, y: Any, sample_weight: Any) -> float:
        right = self._codes_of(outputs(network, X, raw=True)) == y
        return float(np.average(right.all(axis=1) if right.ndim == 2 else right, weights=sample_weight))
