"""Are the causes in a report the right ones? Faults put into healthy runs, one at a time, and what is said first.

    python benchmarks/causes.py [seeds]

Of data faults the first finding is the cause. Of others the first finding is what failed, the next one the likeliest
cause; of runs that stand still the cause is among the first two. Exits 1 below 90 % right.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import pynn

ROWS, COLUMNS = 640, 8
Fault = Callable[[np.random.Generator, dict[str, Any]], None]
FAULTS: dict[str, tuple[str, int, Fault]] = {}  # name -> (code that is right, its place in the report, injection)


def fault(code: str, place: int) -> Callable[[Fault], Fault]:
    def keep(inject: Fault) -> Fault:
        FAULTS[inject.__name__.replace("_", " ")] = code, place, inject
        return inject

    return keep


def healthy(seed: int) -> dict[str, Any]:
    """The parts of a run that trains well: a regression with two outputs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, COLUMNS))
    return {
        "X": X,
        "y": np.tanh(X @ rng.normal(size=(COLUMNS, 2))),
        "activation": "relu",
        "kernel": "he_normal",
        "loss": "mse",
        "optimizer": pynn.SGD(0.02),
        "fit": {"epochs": 12, "batch_size": 32},
        "seed": seed,
    }


@fault("nonfinite_input", 0)
def a_missing_cell(rng, run):
    run["X"][rng.integers(ROWS), rng.integers(COLUMNS)] = np.nan


@fault("nonfinite_target", 0)
def an_infinite_target(rng, run):
    run["y"][rng.integers(ROWS), 0] = np.inf


@fault("nonfinite_input", 0)
def a_missing_weight(rng, run):
    run["fit"]["sample_weight"] = np.where(np.arange(ROWS) == rng.integers(ROWS), np.nan, 1.0)


@fault("label_out_of_range", 0)
def a_label_too_many(rng, run):
    run["y"], run["loss"] = rng.integers(0, 2, size=ROWS), "softmax_cross_entropy"
    run["y"][rng.integers(ROWS)] = 2


@fault("learning_rate_too_high", 1)
def a_learning_rate_for_sgd(rng, run):
    run["optimizer"] = pynn.SGD(10 ** rng.uniform(1, 6))


@fault("learning_rate_too_high", 1)
def a_learning_rate_with_momentum(rng, run):
    run["optimizer"] = pynn.SGD(10 ** rng.uniform(0.5, 4), momentum=0.9)


@fault("learning_rate_too_high", 1)
def a_learning_rate_for_adam(rng, run):
    run["optimizer"] = pynn.Adam(10 ** rng.uniform(3, 8))


@fault("unscaled_input", 1)
def a_column_in_other_units(rng, run):
    run["X"][:, rng.integers(COLUMNS)] *= 10 ** rng.uniform(5, 12)


@fault("unscaled_input", 1)
def all_columns_in_other_units(rng, run):
    run["X"] *= 10 ** rng.uniform(3, 12)


@fault("unscaled_target", 1)
def targets_in_other_units(rng, run):
    run["y"] *= 10 ** rng.uniform(6, 12)


@fault("outlier", 1)
def a_cell_far_out(rng, run):
    run["X"][rng.integers(ROWS), rng.integers(COLUMNS)] = 10 ** rng.uniform(9, 30)


@fault("outlier", 1)
def a_target_far_out(rng, run):
    run["y"][rng.integers(ROWS), 0] = 10 ** rng.uniform(12, 30)


@fault("poor_init", 1)
def wide_initial_weights(rng, run):
    run["kernel"] = pynn.initializers.RandomNormal(stddev=10 ** rng.uniform(2, 18))


@fault("poor_init", 1)
def initial_weights_of_one_sign(rng, run):
    run["kernel"] = pynn.initializers.RandomUniform(minval=0.0, maxval=10 ** rng.uniform(2, 6))


@fault("saturated_activation", 0)
def units_without_slope(rng, run):
    run["activation"], run["kernel"] = "sigmoid", pynn.initializers.RandomNormal(stddev=100.0)
    run["optimizer"], run["y"] = pynn.SGD(1e-6), run["y"] + 50


def report(seed: int, inject: Fault) -> pynn.Report:
    """What a run says with the fault in it."""
    run = healthy(seed)
    inject(np.random.default_rng(1000 + seed), run)
    hidden = [
        pynn.Dense(24, activation=run["activation"], kernel_initializer=run["kernel"]) for _ in range(1 + seed % 2)
    ]
    model = pynn.Sequential([*hidden, pynn.Dense(2)], seed=seed)
    model.compile(run["loss"], run["optimizer"])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        try:
            return model.fit(run["X"], run["y"], guard=pynn.Guard(check_every=20), verbose=0, **run["fit"]).report
        except pynn.PynnError as error:
            if error.report is None:
                raise
            return error.report


def main(seeds: int = 10) -> int:
    right = total = 0
    for name, (code, place, inject) in FAULTS.items():
        said = [[finding.code for finding in report(seed, inject).findings] for seed in range(seeds)]
        hits = [codes[place : place + 1] == [code] for codes in said]
        right, total = right + sum(hits), total + seeds
        print(f"{name:34}{code:24}{sum(hits):3} of {seeds}", flush=True)
        for codes, hit in zip(said, hits, strict=True):
            if not hit:
                print(f"    {', '.join(codes) or 'nothing'}")
    print(f"{right} of {total} right ({right / total:.0%})")
    return right < 0.9 * total


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
