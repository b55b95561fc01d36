"""What the benchmarks share: interleaved timing, the machine, the tables' networks, the look of the plots."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import pynn

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 0.1  # seconds that one timed call should last at least: what a call does once hardly counts, as in real runs
clock = time.perf_counter  # compare.py --busy takes time.process_time instead
PAUSE = 0.05  # before each timed call: threads of the one before, which may spin for tens of milliseconds, go to sleep

# name -> (inputs and units, batch, batches in an epoch): the speed table
NETWORKS: dict[str, tuple[list[int], int, int]] = {
    "20-64-64-2 b32": ([20, 64, 64, 2], 32, 256),
    "784-128-10 b32": ([784, 128, 10], 32, 128),
    "784-1000-10 b100": ([784, 1000, 10], 100, 40),
    "784-1000-1000-10 b128": ([784, 1000, 1000, 10], 128, 16),
    "784-256x10-10 b128": ([784] + [256] * 10 + [10], 128, 16),
    "1024-2048-2048-100 b512": ([1024, 2048, 2048, 100], 512, 4),
}


def interleaved(
    calls: dict[Any, Callable[[int], object]],
    seconds: float,
    prepare: Callable[[Any], object] = lambda key: None,
    rounds: int = 3,
) -> dict[Any, float]:
    """Median seconds of one repetition of each call, taken in turns: A B C, A B C, ...

    `calls[key](n)` repeats its work n times, `prepare(key)` goes before it untimed. There are at least `rounds` turns,
    and more until `seconds` times the number of calls have passed. Short work is done once untimed in each turn first.
    """
    repeats = {}
    for key, call in calls.items():
        prepare(key)
        call(1)
        begin = clock()
        call(1)
        repeats[key] = max(1, round(CHUNK / (clock() - begin)))
    times: dict[Any, list[float]] = {key: [] for key in calls}
    begin = time.perf_counter()
    while len(next(iter(times.values()))) < rounds or time.perf_counter() - begin < seconds * len(calls):
        for key, call in calls.items():
            prepare(key)
            time.sleep(PAUSE)
            if repeats[key] > 1:
                call(1)
            start = clock()
            call(repeats[key])
            times[key].append((clock() - start) / repeats[key])
    return {key: statistics.median(values) for key, values in times.items()}


def data(inputs: int, classes: int, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows that can be learned but not without error: labels of a random linear map, one in ten of them redrawn."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, inputs)).astype(np.float32)
    y = (X @ rng.normal(size=(inputs, classes)).astype(np.float32)).argmax(axis=1)
    noise = rng.random(rows) < 0.1
    y[noise] = rng.integers(classes, size=int(noise.sum()))
    return X, y


def model(sizes: list[int], optimizer: Any = "adam", seed: int = 0) -> pynn.Sequential:
    """A ReLU network with softmax cross-entropy, built and compiled."""
    layers = [pynn.Dense(n, activation="relu") for n in sizes[1:-1]] + [pynn.Dense(sizes[-1])]
    made = pynn.Sequential(layers, seed=seed)
    made.compile(loss="softmax_cross_entropy", optimizer=optimizer)
    return made.build(sizes[0])


def matching(names: Iterable[str], patterns: str | None) -> list[str]:
    """Names that contain one of the comma-separated patterns; all when there are none."""
    return [n for n in names if not patterns or any(p.strip() in n for p in patterns.split(","))]


def mean_ratio(ratios: Iterable[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(list(ratios)))))


def best(times: dict[tuple[str, int], float], name: Hashable) -> tuple[float, int]:
    """(seconds, threads) of the faster thread setting of `name`."""
    return min((value, threads) for (who, threads), value in times.items() if who == name)


# ---- records and plots


def about(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Machine, versions and date, for the records."""
    versions = {"python": platform.python_version(), "pynn": pynn.__version__}
    for package in ("numpy", "scipy", *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    context = pynn.runtime.context()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "processors_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        },
        "versions": versions,
        "pynn": {"kernels": context.cpu, "blas": pynn.blas.current()},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(record: dict[str, Any], path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path}")


COLORS = {"pynn": "#d1495b", "pynn, MKL": "#f0b7bf", "JAX": "#2e86ab", "PyTorch": "#ee9b00", "scikit-learn": "#8d99ae",
          "ONNX Runtime": "#5b8e7d"}  # fmt: skip


def style() -> Any:
    """matplotlib.pyplot, set to the plots' look."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({
        "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#999999", "axes.labelcolor": "#444444",
        "xtick.color": "#444444", "ytick.color": "#444444", "grid.color": "#e6e6e6", "savefig.dpi": 160,
        "figure.facecolor": "white", "legend.frameon": False,
    })  # fmt: skip
    return plt
