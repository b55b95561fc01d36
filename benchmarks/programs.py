"""Healthy programs over packaged data, as people write them: what mutants.py breaks and diagnosis.py controls with.

Each is data, layers, loss, optimizer and arguments of `fit`, and a score on rows that training never sees. Nothing here
knows how pynn looks for faults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import sklearn.datasets as packaged

import pynn
from pynn import Dense, Dropout, Normalization

Layers = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """Everything that a user's script decides."""

    name: str
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X, y, and the rows that only judge
    layers: Layers
    loss: Any
    optimizer: Any
    task: str  # "classes", "yes_no" or "numbers"
    fit: dict[str, Any] = field(default_factory=dict)
    target_scaling: str | None = None
    dtype: str = "float32"
    seed: int = 0
    start: Callable[[Any], None] | None = None  # what the script does to the initial weights

    def model(self, seed: int | None = None) -> pynn.Sequential:
        """The model, compiled, and built where the script touches its weights."""
        model = pynn.Sequential(list(self.layers), seed=self.seed if seed is None else seed, dtype=self.dtype)
        metrics = ["r2"] if self.task == "numbers" and self.target_scaling is None else []
        model.compile(self.loss, self.optimizer, metrics, target_scaling=self.target_scaling)
        if self.start is not None:
            model.build(self.data[0].shape[1])
            self.start(model)
        return model

    def score(self, model: Any) -> float:
        """Accuracy, or R², on the rows that only judge; what is not finite counts as knowing nothing."""
        _, _, X, y = self.data
        raw = np.asarray(model.predict(X, guard="off"), np.float64)
        if not np.isfinite(raw).all():
            raw = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
        if self.task == "numbers":
            y = np.asarray(y, np.float64).reshape(len(y), -1)
            return float(1 - ((raw - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())
        truth = y.argmax(axis=1) if np.ndim(y) == 2 and np.shape(y)[1] > 1 else np.asarray(y).ravel()
        named = raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0.5).astype(int)
        return float((named == truth).mean())

    def nothing(self) -> float:
        """The score of knowing nothing: the most frequent class, or the mean."""
        if self.task == "numbers":
            return 0.0
        y = self.data[3]
        truth = y.argmax(axis=1) if np.ndim(y) == 2 and np.shape(y)[1] > 1 else np.asarray(y).ravel()
        return float(np.unique(truth, return_counts=True)[1].max() / len(truth))

    def change(self, **changes: Any) -> Program:
        return replace(self, **changes)


def split(X: Any, y: Any, rows: int | None = None, seed: int = 5) -> tuple[np.ndarray, ...]:
    """Shuffled rows, three quarters to train on and one to judge."""
    order = np.random.default_rng(seed).permutation(len(X))[:rows]
    X, y = np.asarray(X)[order], np.asarray(y)[order]
    n = (3 * len(X)) // 4
    return X[:n], y[:n], X[n:], y[n:]


def relu(*widths: int) -> Layers:
    return tuple(Dense(width, activation="relu") for width in widths)


@cache
def digits(rows: int = 2400) -> tuple[np.ndarray, ...]:
    (X, y), _ = pynn.datasets.digits()
    return split(X, y, rows)


@cache
def friedman(noise: float = 0.5, rows: int = 1200) -> tuple[np.ndarray, ...]:
    return split(*packaged.make_friedman1(rows, 8, noise=noise, random_state=3))


def blobs(seed: int = 2) -> tuple[np.ndarray, ...]:
    return split(*packaged.make_blobs(900, 6, centers=4, cluster_std=3.0, random_state=seed))


def moons() -> tuple[np.ndarray, ...]:
    return split(*packaged.make_moons(1000, noise=0.2, random_state=1))


def wave() -> tuple[np.ndarray, ...]:
    x = np.linspace(-3, 3, 800)[:, None]
    return split(x, np.sin(2 * x[:, 0]) + 0.05 * np.random.default_rng(4).normal(size=800))


def sklearn_set(name: str) -> tuple[np.ndarray, ...]:
    return split(*getattr(packaged, f"load_{name}")(return_X_y=True))


def one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[y]


def programs() -> list[Program]:
    """The healthy programs: classes, yes or no, and numbers; scripts in the habits of Keras and scikit-learn."""
    adam, sgd = pynn.Adam, pynn.SGD
    breast, iris, wine = sklearn_set("breast_cancer"), sklearn_set("iris"), sklearn_set("wine")
    small_digits = tuple(part / 16.0 if part.ndim == 2 else part for part in sklearn_set("digits"))
    diabetes = sklearn_set("diabetes")
    X, y, Xt, yt = digits()
    raw = (255 * X, y, 255 * Xt, yt)
    hot = (small_digits[0], one_hot(small_digits[1], 10), small_digits[2], one_hot(small_digits[3], 10))
    N = Normalization
    return [
        Program("digits", digits(), (*relu(64), Dense(10)), "softmax_cross_entropy", adam(learning_rate=1e-3),
                "classes", {"epochs": 8, "batch_size": 32}),
        Program("digits-sgd", digits(), (*relu(64), Dense(10, activation="softmax")), "categorical_crossentropy",
                sgd(learning_rate=0.1), "classes", {"epochs": 8, "batch_size": 32}),
        Program("digits-pixels", raw, (N(), *relu(64, 32), Dense(10)), "softmax_cross_entropy",
                adam(learning_rate=1e-3), "classes", {"epochs": 8, "batch_size": 64}),
        Program("digits-dropout", digits(), (*relu(128), Dropout(0.2), *relu(64), Dense(10)), "softmax_cross_entropy",
                adam(learning_rate=1e-3), "classes", {"epochs": 10, "batch_size": 32}),
        Program("small-digits", small_digits, (*relu(64), Dense(10)), "sparse_categorical_crossentropy",
                adam(learning_rate=3e-3), "classes", {"epochs": 20, "batch_size": 32}),
        Program("small-digits-hot", hot, (Dense(48, activation="tanh"), Dense(10, activation="softmax")),
                "categorical_crossentropy", sgd(learning_rate=0.2, momentum=0.9), "classes",
                {"epochs": 20, "batch_size": 32}),
        Program("breast", breast, (N(), *relu(32), Dense(1, activation="sigmoid")), "binary_crossentropy",
                adam(learning_rate=3e-3), "yes_no", {"epochs": 25, "batch_size": 32}),
        Program("breast-sgd", breast, (N(), Dense(16, activation="tanh"), Dense(1)), "sigmoid_cross_entropy",
                sgd(learning_rate=0.1), "yes_no", {"epochs": 30, "batch_size": 16}),
        Program("iris", iris, (N(), *relu(16), Dense(3)), "softmax_cross_entropy", adam(learning_rate=0.01),
                "classes", {"epochs": 60, "batch_size": 16}),
        Program("wine", wine, (N(), *relu(24), Dense(3)), "softmax_cross_entropy", adam(learning_rate=5e-3), "classes",
                {"epochs": 50, "batch_size": 16}),
        Program("blobs", blobs(), (N(), *relu(32, 32), Dense(4)), "softmax_cross_entropy", adam(learning_rate=3e-3),
                "classes", {"epochs": 25, "batch_size": 32}),
        Program("moons", moons(), (*relu(32, 32), Dense(1, activation="sigmoid")), "binary_crossentropy",
                adam(learning_rate=0.01), "yes_no", {"epochs": 30, "batch_size": 32}),
        Program("friedman", friedman(), (N(), *relu(64, 32), Dense(1)), "mse", adam(learning_rate=5e-3), "numbers",
                {"epochs": 40, "batch_size": 32}, target_scaling="standard"),
        Program("friedman-plain", friedman(), (*relu(64), Dense(1)), "mse", adam(learning_rate=0.01), "numbers",
                {"epochs": 60, "batch_size": 32}),
        Program("diabetes", diabetes, (N(), *relu(16), Dense(1)), "mse", adam(learning_rate=3e-3), "numbers",
                {"epochs": 40, "batch_size": 32}, target_scaling="standard"),
        Program("wave", wave(), (Dense(48, activation="tanh"), Dense(32, activation="tanh"), Dense(1)), "mse",
                adam(learning_rate=0.01), "numbers", {"epochs": 60, "batch_size": 32}),
        Program("wave-sgd", wave(), (N(), *relu(64, 64), Dense(1)), "huber", sgd(learning_rate=0.05, momentum=0.9),
                "numbers", {"epochs": 60, "batch_size": 32}),
        Program("blobs-deep", blobs(7), (N(), *relu(*[32] * 5), Dense(4)), "softmax_cross_entropy",
                adam(learning_rate=2e-3), "classes", {"epochs": 25, "batch_size": 32}),
    ]  # fmt: skip
