"""``pynn demo nan``: a training that explodes and one that freezes, without a guard and with one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import datasets
from ..errors import NumericalError, TrainingWarning
from ..initializers import RandomNormal
from ..layers.dense import Dense
from ..model import Sequential
from ..optimizers import SGD
from ..report import texts
from ..report.guard import Guard

__all__ = ["run"]

EPOCHS = 3


def run(seed: int = 0) -> int:
    """Both acts; returns the exit status 0."""
    with warnings.catch_warnings():  # what they say is printed below
        warnings.simplefilter("ignore", TrainingWarning)
        _explode(seed)
        _freeze(seed)
    return 0


def _explode(seed: int) -> None:
    (X, y), (Xt, yt) = datasets.digits()
    X, Xt = X * 255, Xt * 255
    print("Act 1. It explodes: 784-1000-1000-10, ReLU, pixels 0 ... 255 as they come, SGD with learning rate 1.\n")

    def network() -> Sequential:
        model = Sequential([Dense(1000, activation="relu"), Dense(1000, activation="relu"), Dense(10)], seed=seed)
        model.compile("softmax_cross_entropy", SGD(learning_rate=1.0), ["accuracy"])
        return model

    print(f"With the guard off, as elsewhere: {_until_nan(network(), X, y)}. Not a word.\n")
    model = network()
    try:
        model.fit(X, y, epochs=EPOCHS, verbose=0)
    except NumericalError as error:
        print('With guard="raise", the default, the model stays finite, and error.report says:\n')
        print(f"{_indented(error.report)}\n")
    model = network()
    guard = Guard(policy="rollback", backoff=0.1)
    history = model.fit(X, y, epochs=EPOCHS, guard=guard, verbose=0)
    print('With pynn.Guard(policy="rollback", backoff=0.1) the same run carries on. history.ledger:\n')
    for entry in history.ledger:
        print(f"    {texts.event(entry)}")
    print(f"\n    {_outcome(model, Xt, yt, history)}, with learning rate {model.learning_rate:g}.\n")


def _until_nan(model: Sequential, X: np.ndarray, y: np.ndarray, batch: int = 32) -> str:
    """The losses of the first steps without a guard, up to the first that is no number."""
    losses: list[float] = []
    while not losses or (np.isfinite(losses[-1]) and len(losses) < len(X) // batch):
        rows = slice(len(losses) * batch, (len(losses) + 1) * batch)
        losses.append(model.train_step(X[rows], y[rows], guard="off").loss)
    lost = 1 - np.isfinite(model.parameters).mean()
    told = ", ".join(f"{loss:.3g}" for loss in losses)
    return f"the loss of the first steps is {told}; then {lost:.0%} of the weights are NaN or infinite, for good"


def _freeze(seed: int) -> None:
    (X, y), (Xt, yt) = datasets.digits()
    print("Act 2. It freezes: 784-1000-10, sigmoid and mse, weights drawn from N(0, 1), SGD with learning rate 0.01.\n")
    for policy in ("off", "raise"):
        wide = RandomNormal(stddev=1.0)
        layers = [Dense(1000, activation="sigmoid", kernel_initializer=wide), Dense(10, kernel_initializer=wide)]
        model = Sequential(layers, seed=seed)
        model.compile("mse", SGD(learning_rate=0.01), ["accuracy"])
        history = model.fit(X, np.eye(10)[y], epochs=EPOCHS, guard=policy, verbose=0)
        if policy == "off":
            print(f"With the guard off: {_outcome(model, Xt, yt, history)}. No NaN, and not a word.\n")
        else:
            print(f"With the guard, history.report after the same epochs:\n\n{_indented(history.report)}")


def _outcome(model: Sequential, Xt: np.ndarray, yt: np.ndarray, history: Any) -> str:
    accuracy = float(np.mean(model.predict(Xt, guard="off").argmax(axis=1) == yt))
    finite = "" if np.isfinite(model.parameters).all() else ", weights that are not finite"
    return f"loss {history[-1]['loss']:.3g}, test accuracy {accuracy:.1%}{finite} after {EPOCHS} epochs"


def _indented(report: Any) -> str:
    return "\n".join(f"    {line}" for line in str(report).splitlines())
