"""How long does `fit` take in pynn.sklearn beside scikit-learn, with the same arguments and the same data?

    python benchmarks/sklearn_speed.py [--quick] [--output DIRECTORY]

The six networks of the speed table, as MLPClassifier: Adam, ReLU, shuffled, float64 data, two epochs and more. The two
take turns, on one thread each, and processor time counts, so that a busy machine does not matter; ratios are medians
of pairs. A complete run writes benchmarks/results/sklearn_speed.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from measure import NETWORKS, ROOT, about, data, write
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as Theirs
from threadpoolctl import threadpool_limits

import pynn
from pynn.sklearn import MLPClassifier as Ours

EPOCHS = {"20-64-64-2 b32": 10, "784-128-10 b32": 4}  # 2 of the others


def seconds(estimator: type, sizes: list[int], batch: int, epochs: int, X: np.ndarray, y: np.ndarray) -> float:
    """Of one fit."""
    model = estimator(sizes[1:-1], batch_size=batch, max_iter=epochs, n_iter_no_change=epochs + 1, random_state=0)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    return time.process_time() - start


def measured(name: str, rounds: int) -> dict[str, float]:
    sizes, batch, batches = NETWORKS[name]
    X, y = data(sizes[0], sizes[-1], batch * batches)
    epochs, X = EPOCHS.get(name, 2), X.astype(np.float64)
    pairs = []
    for turn in range(rounds + 1):
        pair = [seconds(estimator, sizes, batch, epochs, X, y) for estimator in (Theirs, Ours)]
        pairs += [pair] if turn else []  # the first one warms up
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return {"scikit_learn_seconds": theirs, "pynn_seconds": ours, "ratio": ratio, "pairs": rounds, "epochs": epochs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 pairs, and nothing is written")
    parser.add_argument("--output", type=Path, help="where to write; default: benchmarks/results of a complete run")
    options = parser.parse_args()
    pynn.set_num_threads(1)
    threadpool_limits(1)
    results = {}
    print("| network | scikit-learn, s | pynn.sklearn, s | times as fast |\n|---|---:|---:|---:|")
    for name in NETWORKS:
        found = results[name] = measured(name, 3 if options.quick else 9)
        print(
            f"| {name} | {found['scikit_learn_seconds']:.3f} | {found['pynn_seconds']:.3f} | {found['ratio']:.1f} |",
            flush=True,
        )
    if not options.quick or options.output:
        folder = options.output or ROOT / "benchmarks" / "results"
        write({**about(["scikit-learn"]), "threads": 1, "fit": results}, folder / "sklearn_speed.json")


if __name__ == "__main__":
    main()
