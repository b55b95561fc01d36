"""False alarms: healthy runs, and what pynn says about them. It should say nothing.

    python benchmarks/false_alarms.py [seeds] [--record FILE]

Twenty-two kinds of runs that are noisy, steep or odd, and the programs of habits.py, each with several seeds and
statistics every 20 steps. A run is healthy when it ends better than it began and better than knowing nothing; an alarm
is an entry in the ledger, a warning, or a finding that is not mere information. One line a case goes to FILE as soon as
it is done, and a case whose line is there is not run again. Exits 1 when more than 2 % of the healthy runs raise one.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn

Run = tuple[pynn.Sequential, Any, Any, dict[str, Any]]
KINDS: dict[str, Callable[[np.random.Generator, int], Run]] = {}


def kind(make: Callable[[np.random.Generator, int], Run]) -> Callable[[np.random.Generator, int], Run]:
    KINDS[make.__name__.replace("_", " ")] = make
    return make


def network(seed: int, loss: str, optimizer: Any, *widths: int, outputs: int = 2, activation: str = "relu",
            dropout: float = 0.0, **options: Any) -> pynn.Sequential:  # fmt: skip
    layers: list[Any] = []
    for width in widths or (32,):
        layers += [pynn.Dense(width, activation=activation)] + ([pynn.Dropout(dropout)] if dropout else [])
    model = pynn.Sequential([*layers, pynn.Dense(outputs)], seed=seed, **options)
    model.compile(loss, optimizer)
    return model


def classes(rng: np.random.Generator, rows: int = 1500, columns: int = 10, noise: float = 0.0) -> tuple[Any, Any]:
    X = rng.normal(size=(rows, columns))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
    flipped = rng.random(rows) < noise
    return X, np.where(flipped, 1 - y, y)


def numbers(rng: np.random.Generator, rows: int = 1500, columns: int = 10, noise: float = 0.3) -> tuple[Any, Any]:
    X = rng.normal(size=(rows, columns))
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] + noise * rng.normal(size=rows)


@kind
def noisy_small_batches(rng, seed):
    model = network(seed, "softmax_cross_entropy", pynn.SGD(0.05))
    return model, *classes(rng, noise=0.3), {"batch_size": 4, "epochs": 8}


@kind
def batches_of_one(rng, seed):
    return network(seed, "softmax_cross_entropy", pynn.SGD(0.02)), *classes(rng), {"batch_size": 1, "epochs": 3}


@kind
def a_steep_learning_rate(rng, seed):
    return network(seed, "softmax_cross_entropy", pynn.SGD(1.0)), *classes(rng), {"batch_size": 32, "epochs": 20}


@kind
def momentum(rng, seed):
    model = network(seed, "softmax_cross_entropy", pynn.SGD(0.1, momentum=0.9, nesterov=True))
    return model, *classes(rng), {"batch_size": 32, "epochs": 20}


@kind
def dropout(rng, seed):
    model = network(seed, "softmax_cross_entropy", pynn.Adam(0.003), 128, 128, dropout=0.5)
    return model, *classes(rng), {"batch_size": 32, "epochs": 20}


@kind
def targets_that_grow(rng, seed):
    X, y = numbers(rng, 3000)
    growth = np.linspace(1, 1000, len(y))
    model = network(seed, "mse", pynn.Adam(0.003), outputs=1)
    return model, np.c_[X, growth / 1000], y * growth, {"batch_size": 32, "epochs": 10, "shuffle": False}


@kind
def one_in_a_hundred(rng, seed):
    X, y = classes(rng, 4000)
    kept = (y == 0) | (rng.random(len(y)) < 0.02)
    return network(seed, "softmax_cross_entropy", pynn.Adam(0.01)), X[kept], y[kept], {"batch_size": 32, "epochs": 20}


@kind
def a_dozen_rows(rng, seed):
    return network(seed, "softmax_cross_entropy", pynn.SGD(0.1)), *classes(rng, 12), {"batch_size": 4, "epochs": 60}


@kind
def deep(rng, seed):
    model = network(seed, "softmax_cross_entropy", pynn.Adam(0.001), *[32] * 6)
    return model, *classes(rng), {"batch_size": 32, "epochs": 15}


@kind
def heavy_tails(rng, seed):
    X = rng.standard_t(3, size=(1500, 10))
    return network(seed, "huber", pynn.Adam(0.003), outputs=1), X, X[:, 0] + X[:, 1], {"batch_size": 32, "epochs": 20}


@kind
def absolute_errors(rng, seed):
    return network(seed, "mae", pynn.RMSprop(0.003), outputs=1), *numbers(rng), {"batch_size": 32, "epochs": 15}


@kind
def rare_heavy_weights(rng, seed):
    X, y = classes(rng)
    weights = np.where(rng.random(len(y)) < 0.01, 50.0, 1.0)
    model = network(seed, "softmax_cross_entropy", pynn.Adam(0.003))
    return model, X, y, {"batch_size": 16, "epochs": 15, "sample_weight": weights}


@kind
def trained_before(rng, seed):
    X, y = classes(rng)
    model = network(seed, "softmax_cross_entropy", pynn.Adam(0.01))
    model.fit(X, y, epochs=40, guard="off", verbose=0)
    return model, X, y, {"batch_size": 8, "epochs": 5}


@kind
def an_autoencoder(rng, seed):
    X = rng.normal(size=(1500, 3)) @ rng.normal(size=(3, 12))
    model = network(seed, "mse", pynn.Adam(0.003), 16, 3, 16, outputs=12, activation="tanh")
    return model, X, X, {"batch_size": 32, "epochs": 25}


@kind
def large_targets(rng, seed):
    X, y = numbers(rng)
    return network(seed, "mse", pynn.Adam(0.1), outputs=1), X, 1e4 + 1e3 * y, {"batch_size": 32, "epochs": 30}


@kind
def double_precision(rng, seed):
    model = network(seed, "mse", pynn.SGD(0.05), outputs=1, activation="tanh", dtype="float64")
    return model, *numbers(rng), {"batch_size": 16, "epochs": 15}


@kind
def digits(rng, seed):
    (X, y), _ = pynn.datasets.digits()
    model = network(seed, "softmax_cross_entropy", pynn.SGD(0.3), 64, outputs=10)
    return model, X, y, {"batch_size": 32, "epochs": 3}


for _name in pynn.optimizers.table.rows:

    def _with(rng, seed, name=_name):
        optimizer = pynn.optimizers.get(name)
        model = network(seed, "softmax_cross_entropy", optimizer)
        model.learning_rate = {"sgd": 0.1, "adagrad": 0.1}.get(name, 0.003)
        return model, *classes(rng), {"batch_size": 32, "epochs": 20}

    KINDS[f"optimizer {_name}"] = _with


def alarms(make: Callable[[np.random.Generator, int], Run], seed: int, knows: Any = None) -> tuple[bool, list[str]]:
    """Return whether the run was healthy, and what was said about it."""
    model, X, y, options = make(np.random.default_rng(seed), seed)
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            history = model.fit(X, y, guard=pynn.Guard(check_every=20), verbose=0, **options)
        except pynn.NumericalError as error:
            return True, [f"stopped: {error}"]
    said += [str(entry["kind"]) for entry in history.ledger]
    said += [f"{f.code}: {f.message}" for f in history.report.findings if f.severity != "info"]
    said += [str(w.message) for w in caught if issubclass(w.category, pynn.TrainingWarning)]
    better = history[-1]["loss"] <= max(history[0]["loss"], 1.05 * history[0]["loss"])
    return bool(better and (knows(model, X, y) if knows else _better_than_nothing(model))), said


def _better_than_nothing(model: pynn.Sequential) -> bool:
    seen = model._learner.trainer.losses()
    return bool(seen["recent"] < seen["nothing"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seeds", type=int, nargs="?", default=10)
    parser.add_argument("--record", type=Path, help="a file of lines to go on from")
    options = parser.parse_args()
    known = {}
    if options.record and options.record.exists():
        lines = map(json.loads, options.record.read_text().splitlines())
        known = {(line["name"], line["seed"]): line for line in lines}
    from habits import HABITS  # they need scikit-learn and pandas
    from habits_data import knows

    kinds = {name: (make, None) for name, make in KINDS.items()}
    kinds |= {name: (make, knows) for name, make in HABITS.items()}
    total = healthy_runs = false = 0
    for name, (make, judge) in kinds.items():
        lines = []
        for seed in range(options.seeds):
            line = known.get((name, seed))
            if line is None:
                well, said = alarms(make, seed, judge)
                line = {"name": name, "seed": seed, "healthy": well, "said": said}
                if options.record:
                    with options.record.open("a") as record:
                        record.write(json.dumps(line) + "\n")
            lines.append(line)
        healthy = [line["said"] for line in lines if line["healthy"]]
        alarmed = [said for said in healthy if said]
        total, healthy_runs, false = total + len(lines), healthy_runs + len(healthy), false + len(alarmed)
        print(f"{name:36}{len(healthy):4} of {len(lines)} healthy{len(alarmed):4} alarms", flush=True)
        for said in alarmed:
            print(f"    {said[0]}")
    print(f"{healthy_runs} healthy runs of {total}, {false} false alarms ({false / max(healthy_runs, 1):.1%})")
    return false > 0.02 * healthy_runs


if __name__ == "__main__":
    sys.exit(main())
