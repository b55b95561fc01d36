"""How should the guard roll back? Runs whose learning rate is far too high, under several settings of pynn.Guard.

    python benchmarks/rollback.py [seeds]

Classification and regression, with SGD, momentum and Adam, at learning rates 10 to 1e6 times one that trains well. A
run is carried when it ends with at least 90 % of what the healthy run reaches (accuracy above chance, or variance
explained). For each setting: runs carried, their median share of the healthy score, and rollbacks.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import warnings
from typing import Any

import numpy as np

import pynn

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "backoff 0.9": {"backoff": 0.9},
    "backoff 0.7": {"backoff": 0.7},
    "backoff 0.3": {"backoff": 0.3},
    "backoff 0.1": {"backoff": 0.1},
    "backoff 0.03": {"backoff": 0.03},
    "3 rollbacks": {"max_rollbacks": 3},
    "5 rollbacks": {"max_rollbacks": 5},
    "30 rollbacks": {"max_rollbacks": 30},
    "snapshot every 20": {"snapshot_every": 20},
    "snapshot every 500": {"snapshot_every": 500},
    "window 20": {"window": 20},
    "window 100": {"window": 100},
    "divergence 3": {"divergence": 3.0},
    "divergence 100": {"divergence": 100.0},
}
TASKS = ("classification", "regression")
OPTIMIZERS = {"sgd": 0.05, "momentum": 0.01, "adam": 0.003}  # with learning rates that train well
TOO_HIGH = (10.0, 1e2, 1e4, 1e6)


def score(task: str, optimizer: str, rate: float, seed: int, guard: Any) -> tuple[float, int]:
    """What a run reaches, 0 for chance and 1 for perfect, and its rollbacks."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1280, 10))
    target = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=len(X))
    y = (target > 0).astype(int) if task == "classification" else target[:, None]
    layers = [pynn.Dense(32, activation="relu"), pynn.Dense(32, activation="relu"), pynn.Dense(1 + (y.ndim == 1))]
    model = pynn.Sequential(layers, seed=seed)
    made = pynn.Adam(rate) if optimizer == "adam" else pynn.SGD(rate, momentum=0.9 * (optimizer == "momentum"))
    model.compile("softmax_cross_entropy" if y.ndim == 1 else "mse", made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        try:
            history = model.fit(X, y, epochs=40, guard=guard, verbose=0)
        except pynn.NumericalError:
            return 0.0, 0
    out = model.predict(X)
    back = sum(entry["kind"] == "rolled_back" for entry in history.ledger)
    if y.ndim == 1:
        return float(2 * np.mean(out.argmax(axis=1) == y) - 1), back
    return float(max(0.0, 1 - np.mean((out - y) ** 2) / np.var(y))), back


def main(seeds: int = 3) -> None:
    runs = list(itertools.product(TASKS, OPTIMIZERS, range(seeds)))
    best = {run: score(*run[:2], OPTIMIZERS[run[1]], run[2], "raise")[0] for run in runs}
    print(f"{len(runs) * len(TOO_HIGH)} runs; healthy scores {min(best.values()):.2f} to {max(best.values()):.2f}")
    print(f"{'':20}{'carried':>10}{'score':>8}{'rollbacks':>11}    by optimizer, and by how much too high")
    for name, setting in SETTINGS.items():
        guard = pynn.Guard(policy="rollback", check_every=0, **setting)
        shares: dict[tuple[str, float], list[float]] = {}
        backs = []
        for run, factor in itertools.product(runs, TOO_HIGH):
            reached, back = score(*run[:2], factor * OPTIMIZERS[run[1]], run[2], guard)
            shares.setdefault((run[1], factor), []).append(reached / best[run])
            backs.append(back)
        every = [share for values in shares.values() for share in values]
        carried = {key: np.mean([share >= 0.9 for share in values]) for key, values in shares.items()}
        by = [f"{o} {np.mean([carried[o, f] for f in TOO_HIGH]):.0%}" for o in OPTIMIZERS]
        by += [f"x{f:g} {np.mean([carried[o, f] for o in OPTIMIZERS]):.0%}" for f in TOO_HIGH]
        print(f"{name:20}{np.mean([s >= 0.9 for s in every]):10.0%}{statistics.median(every):8.2f}"
              f"{statistics.mean(backs):11.1f}    {', '.join(by)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
