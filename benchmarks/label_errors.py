"""Wrong labels put into 7,000 digits: how many does pynn name, and how many do the filters of cleanlab?

    python benchmarks/label_errors.py [SEEDS [OUTPUT]]

Both judge by five-fold predictions of the same network, 784-256-128-10 with dropout: pynn by its own rounds, cleanlab
by predictions of networks trained on the labels as they are. Needs cleanlab for its column. A line a run goes to
OUTPUT; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import StratifiedKFold

import pynn
from pynn import Dense, Dropout
from pynn.diagnosis.label_errors import scores, suspicions
from pynn.training.label_errors import probabilities
from pynn.training.trials import recipe_of

PAIRS = {4: 9, 9: 4, 3: 5, 5: 3}
KINDS = {"clean": 0.0, "2 %": 0.02, "5 %": 0.05, "10 %": 0.10, "5 %, confusable": 0.05}
FILTERS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given")
Line = dict[str, Any]


def digits() -> tuple[np.ndarray, np.ndarray]:
    (X, y), (Xt, yt) = pynn.datasets.digits()
    return np.concatenate([X, Xt])[:7000], np.concatenate([y, yt])[:7000]


def spoiled(y: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Labels with a share of all exchanged: for any other class, or of 3, 4, 5 and 9 for the digit that is like it."""
    random, found = np.random.default_rng(seed), y.copy()
    alike = kind.endswith("confusable")
    rows = np.flatnonzero(np.isin(y, list(PAIRS))) if alike else np.arange(len(y))
    at = random.choice(rows, round(KINDS[kind] * len(y)), replace=False)
    found[at] = [PAIRS[label] for label in y[at].tolist()] if alike else (y[at] + random.integers(1, 10, len(at))) % 10
    return found


def network(seed: int) -> pynn.Sequential:
    layers = [Dense(256, activation="relu"), Dropout(0.3), Dense(128, activation="relu"), Dropout(0.3), Dense(10)]
    model = pynn.Sequential(layers, seed=seed)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=1e-3))
    return model


def by_pynn(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows named, and a score of every row: what `find_label_errors` computes."""
    recipe = recipe_of(network(seed)._learner, {"epochs": 15, "batch_size": 64})
    p = probabilities(pynn.Sequential, recipe, X, y)
    return {"pynn": np.array([one.row for one in suspicions(p, y)], np.int64)}, scores(p, y)[0]


def by_cleanlab(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_self_confidence_for_each_label

    p = np.zeros((len(y), 10))
    for i, (train, held) in enumerate(StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y)):
        model = network(seed + i)
        model.fit(X[train], y[train], epochs=15, batch_size=64, verbose=0)
        p[held] = model.predict(X[held])
    named = {one: np.flatnonzero(find_label_issues(y, p, filter_by=one, n_jobs=1)) for one in FILTERS}
    return named, 1 - get_self_confidence_for_each_label(y, p)


JUDGES = {"pynn": by_pynn} | ({"cleanlab": by_cleanlab} if importlib.util.find_spec("cleanlab") else {})


def line_of(judge: str, kind: str, seed: int) -> Line:
    X, truth = digits()
    y = spoiled(truth, kind, seed)
    wrong = y != truth
    start = time.perf_counter()
    named, score = JUDGES[judge](X, y, seed)
    found = {"judge": judge, "kind": kind, "seed": seed, "seconds": time.perf_counter() - start}
    found["named"] = {name: len(rows) for name, rows in named.items()}
    if wrong.any():
        found["f1"] = {name: f1_score(wrong, np.isin(np.arange(len(y)), rows)) for name, rows in named.items()}
        found["average_precision"] = average_precision_score(wrong, score)
    return found


def runs(seeds: int) -> Iterator[tuple[str, str, int]]:
    yield from ((judge, kind, seed) for seed, kind, judge in product(range(seeds), KINDS, JUDGES))


def summary(done: list[Line]) -> str:
    lines = []
    for kind, judge in product(KINDS, JUDGES):
        mine = [line for line in done if line["kind"] == kind and line["judge"] == judge]
        if not mine:
            continue
        named = {name: [line["named"][name] for line in mine] for name in mine[0]["named"]}
        text = f"{kind:18s} {judge:9s} {np.median([line['seconds'] for line in mine]):5.1f} s"
        if "f1" in mine[0]:
            f1 = {name: float(np.mean([line["f1"][name] for line in mine])) for name in named}
            best = max(f1, key=lambda name: f1[name])
            ranking = np.mean([line["average_precision"] for line in mine])
            text += f"  F1 {f1[best]:.3f} ({best})  average precision {ranking:.3f}"
        else:
            text += "  rows named " + ", ".join(f"{name} {counts}" for name, counts in named.items())
        lines.append(text)
    return "\n".join(lines)


def main(seeds: str = "3", output: str = "label_errors.jsonl") -> None:
    path = Path(output)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    over = {(line["judge"], line["kind"], line["seed"]) for line in done}
    with path.open("a") as file:
        for run in runs(int(seeds)):
            if run not in over:
                done.append(line_of(*run))
                file.write(json.dumps(done[-1]) + "\n")
                file.flush()
                print(json.dumps(done[-1]), flush=True)
    print(summary(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
