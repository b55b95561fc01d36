"""Data and helpers of the programs in habits.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.datasets as packaged
import sklearn.preprocessing as preprocessing

import pynn
from pynn import Dense


def relu(*widths: int, **options: Any) -> list[Any]:
    return [Dense(width, activation="relu", **options) for width in widths]


def compiled(
    seed: int, layers: list[Any], loss: Any, optimizer: Any = "adam", metrics: Any = (), **options: Any
) -> Any:
    scaling = options.pop("target_scaling", None)
    model = pynn.Sequential(layers, seed=seed, **options)
    model.compile(loss, optimizer, metrics, target_scaling=scaling)
    return model


def knows(model: Any, x: Any, y: Any) -> bool:
    """Whether the model does clearly better than the most frequent class, or the mean, on what it was trained on."""
    if hasattr(x, "columns"):
        loss = model.evaluate(x)["loss"]
        return bool(loss < 0.65)
    raw = np.asarray(model.predict(x, raw=True), np.float64)
    y = np.asarray(y)
    link = model.loss.row["link"]
    y = y.reshape(len(y), -1)
    if link == "softmax":
        truth = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(int)
        named = raw.argmax(axis=1)
        return bool(np.mean([(named == truth)[truth == c].mean() for c in np.unique(truth)]) > 1.3 / raw.shape[1])
    if link == "sigmoid" or model.loss.row["signs"]:
        truth = y > (0.5 if y.min() >= 0 else 0)
        return bool(np.mean([((raw > 0) == truth)[truth == c].mean() for c in (False, True)]) > 0.6)
    predicted = np.asarray(model.predict(x), np.float64)[:, : y.shape[1]]
    return bool(1 - ((predicted - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum() > 0.2)


# ---- data


def shuffled(rng: np.random.Generator, x: Any, y: Any, rows: int | None = None) -> tuple[Any, Any]:
    order = rng.permutation(len(x))[:rows]
    return np.asarray(x)[order], np.asarray(y)[order]


def mnist(rng: np.random.Generator, rows: int = 1500) -> tuple[Any, Any]:
    (x, y), _ = pynn.datasets.digits()
    return shuffled(rng, x, y, rows)


def packaged_set(rng: np.random.Generator, name: str) -> tuple[Any, Any]:
    return shuffled(rng, *getattr(packaged, f"load_{name}")(return_X_y=True))


def houses(rng: np.random.Generator, rows: int = 1200) -> tuple[Any, Any]:
    """Area, rooms, age and distance, and prices in dollars."""
    area, rooms = rng.normal(1500, 500, rows).clip(300), rng.integers(1, 8, rows)
    age, distance = rng.integers(0, 100, rows), rng.exponential(10, rows)
    price = 50_000 + 150 * area + 8_000 * rooms - 700 * age - 2_000 * distance
    return np.c_[area, rooms, age, distance], (price * rng.lognormal(0, 0.15, rows)).clip(20_000)


def table(rng: np.random.Generator, rows: int = 1500) -> Any:
    """Numbers and texts, as a data frame."""
    import pandas as pd

    city, plan = rng.integers(0, 25, rows), rng.integers(0, 3, rows)
    income, tenure = rng.lognormal(1, 0.5, rows), rng.exponential(1, rows)
    score = rng.normal(size=25)[city] + np.array([-1, 0, 1])[plan] - tenure + 0.3 * income
    return pd.DataFrame({
        "income": income, "tenure": tenure, "city": [f"city {i}" for i in city],
        "plan": np.array(["basic", "plus", "pro"])[plan], "churn": np.where(score > 0, "no", "yes"),
    })  # fmt: skip


def standard(x: Any) -> Any:
    return preprocessing.StandardScaler().fit_transform(x)


def series(rng: np.random.Generator, rows: int = 1500) -> np.ndarray:
    t = np.arange(rows)
    return np.sin(t / 12) + 0.001 * t + 0.1 * rng.normal(size=rows)


def classes(rng: np.random.Generator, rows: int = 1000) -> tuple[Any, Any]:
    x = rng.normal(size=(rows, 10))
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(int)
