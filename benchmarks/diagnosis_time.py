"""How long do preflight, `diagnose` and `find_label_errors` take on 7,000 digits?

    python benchmarks/diagnosis_time.py [REPEATS]

The limits: preflight 0.5 s; `diagnose` three times the training that it explains, or 10 s; label errors 30 s on two
cores. Training and diagnosis are timed in turn; medians count. In brackets the time of all processors together, which
other programs on the machine disturb less.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import pynn
from pynn import Adam, Dense, Dropout

PREFLIGHT, TIMES, LEAST, LABELS = 0.5, 3.0, 10.0, 30.0  # seconds, but for TIMES


def network(optimizer: Any = None, width: int = 128, activation: str = "relu") -> pynn.Sequential:
    model = pynn.Sequential([Dense(width, activation=activation), Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", optimizer or Adam(learning_rate=1e-3), ["accuracy"])
    return model


def seconds(run: Callable[[], Any]) -> np.ndarray:
    """Seconds of the clock, and of all processors together."""
    start = np.array([time.perf_counter(), time.process_time()])
    with warnings.catch_warnings(), suppress(pynn.PynnError):  # training may end in a fault
        warnings.simplefilter("ignore")
        run()
    return np.array([time.perf_counter(), time.process_time()]) - start


def told(of: np.ndarray) -> str:
    return f"{of[0]:.2f} s ({of[1]:.2f} s)"


def pair(make: Callable[[], pynn.Sequential], X: np.ndarray, y: np.ndarray, epochs: int) -> np.ndarray:
    """Seconds of a training, and of its diagnosis."""
    training = seconds(lambda: make().fit(X, y, epochs=epochs, batch_size=32, verbose=0))
    return np.array([training, seconds(lambda: pynn.diagnose(make(), X, y, epochs=epochs, batch_size=32))])


RUNS: dict[str, tuple[Callable[[], pynn.Sequential], int]] = {
    "healthy, 5 epochs": (network, 5),
    "rate too low, 5 epochs": (lambda: network(Adam(learning_rate=1e-7)), 5),
    "rate too high, 5 epochs": (lambda: network(pynn.SGD(learning_rate=100.0)), 5),
    "rate too low, 30 epochs": (lambda: network(Adam(learning_rate=1e-7)), 30),
    "784-1000-10, rate too low, 10 epochs": (lambda: network(pynn.SGD(learning_rate=1e-5), 1000, "sigmoid"), 10),
}


def main(repeats: str = "3") -> None:
    (X, y), _ = pynn.datasets.digits()
    X, y = X[:7000], y[:7000]
    n = int(repeats)
    look = np.median([seconds(lambda: pynn.diagnose(network(), X, y, preflight=True)) for _ in range(n)], axis=0)
    print(f"preflight, {X.shape[0]} x {X.shape[1]}: {told(look)}, limit {PREFLIGHT} s", flush=True)
    for name, (make, epochs) in RUNS.items():
        training, diagnosis = np.median([pair(make, X, y, epochs) for _ in range(n)], axis=0)
        limit = max(TIMES * training[0], LEAST)
        print(f"diagnose, {name}: {told(diagnosis)}; training {told(training)}, limit {limit:.1f} s", flush=True)
    layers = [Dense(256, activation="relu"), Dropout(0.3), Dense(128, activation="relu"), Dropout(0.3), Dense(10)]
    model = pynn.Sequential(layers, seed=0)
    model.compile("softmax_cross_entropy", Adam(learning_rate=1e-3))
    spent = seconds(lambda: pynn.find_label_errors(model, X, y))
    print(f"label errors, 784-256-128-10: {told(spent)}, limit {LABELS:.0f} s on two cores", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
