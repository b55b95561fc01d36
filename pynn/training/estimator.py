"""What scikit-learn asks of an estimator beside `fit` and `predict`, so that `cross_val_score` takes a model."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..metrics import R2
from ..network.stream import Stream
from .attributes import Attributes


class Estimator(Attributes):
    """Base of a model: its score, and its copies and tags for scikit-learn.

    ``sklearn.model_selection.cross_val_score(model, X, y, params={"epochs": 20})`` trains copies of a compiled model.
    For searches over arguments there are the estimators of `pynn.sklearn`.
    """

    _network: Any
    classify: Any
    predict: Any
    compile: Any

    def score(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of a model of classes, R2 of others.

        Parameters
        ----------
        x : as for `predict`
        y : array-like of shape (rows,), (rows, 1) or (rows, outputs)
        sample_weight : array-like of shape (rows,), optional
        """
        y = np.asarray(y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if not self._has_classes():
            metric = R2()
            metric.update(y.reshape(len(y), -1), self.predict(x), sample_weight)
            return metric.result()
        found = self.classify(x)
        right = found == (y.argmax(axis=1) if y.ndim > found.ndim else y)
        return float(np.average(right.reshape(len(right), -1).all(axis=1), weights=sample_weight))

    def stream(self, rows: int = 1) -> Stream:
        """Return a stream, which takes one timestep of sequences after the other and keeps their state.

        Its steps give the bits of `predict`. It has a copy of the parameters as they are now.

        Parameters
        ----------
        rows : int
            Sequences that go side by side.

        Raises
        ------
        UnsupportedError
            Layers that need later timesteps: `Bidirectional`, ``go_backwards=True``, `Flatten`, pooling over time.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential([pynn.GRU(8), pynn.Dense(1)], seed=0).build((20, 3))
        >>> X = np.random.default_rng(0).normal(size=(1, 20, 3)).astype("float32")
        >>> stream = model.stream()
        >>> for t in range(20):
        ...     y = stream.step(X[0, t])
        >>> bool((y == model.predict(X)[0]).all())
        True
        """
        return Stream(self._network, rows)

    def _has_classes(self) -> bool:
        return self.loss is not None and self.loss.row["link"] in ("softmax", "sigmoid")

    def __sklearn_clone__(self) -> Self:
        """Return the model as `compile` left it, without its training."""
        model: Any = type(self)
        copy = model([layer.spec for layer in self.layers], seed=self.seed, dtype=self.dtype)
        if self.loss is not None:
            copy.compile(self.loss, self.optimizer, self.metrics, target_scaling=self.target_scaling)
        return copy

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        kind: Any = "classifier" if self._has_classes() else "regressor"
        return Tags(
            estimator_type=kind, target_tags=TargetTags(required=True), classifier_tags=ClassifierTags(),
            regressor_tags=RegressorTags(),
        )  # fmt: skip
