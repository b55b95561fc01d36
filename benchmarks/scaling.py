"""How does the time of a training step grow? Batch, width, depth, rows and threads, one at a time.

    python benchmarks/scaling.py [--quick] [--only batch,width] [--output DIRECTORY]

ReLU, softmax cross-entropy, Adam, float32, shuffled. Times are medians per row of data. A complete run writes
benchmarks/results/scaling.json and docs/scaling.png.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, about, data, interleaved, matching, model, style, write

import pynn

INPUTS, CLASSES, BATCH = 256, 10, 128


def trained(sizes: list[int], batch: int, X: np.ndarray, y: np.ndarray) -> Callable[[int], None]:
    """Epochs of `fit`."""
    net = model(sizes)

    def epochs(n: int) -> None:
        net.fit(X, y, epochs=n, batch_size=batch, verbose=0)

    return epochs


def per_row(networks: dict[Any, tuple[list[int], int]], seconds: float, batches: int = 8) -> dict[Any, float]:
    """µs per row of each (sizes, batch), on as many rows as `batches` batches have."""
    calls, rows = {}, {}
    for key, (sizes, batch) in networks.items():
        rows[key] = max(batch * batches, 256)
        calls[key] = trained(sizes, batch, *data(sizes[0], sizes[-1], rows[key]))
    times = interleaved(calls, seconds)
    return {key: 1e6 * t / rows[key] for key, t in times.items()}


def by_batch(seconds: float, quick: bool) -> dict[str, dict[int, float]]:
    points = [4**i for i in range(7)]
    sizes = {"784-128-10": [784, 128, 10], "784-1000-10": [784, 1000, 10]}
    times = per_row({(name, b): (s, b) for name, s in sizes.items() for b in points}, seconds, 4)
    return {name: {b: times[name, b] for b in points} for name in sizes}


def by_width(seconds: float, quick: bool) -> dict[str, dict[int, float]]:
    points = [4**i for i in range(2, 6 if quick else 7)]
    name = f"{INPUTS}-w-w-{CLASSES}, batch {BATCH}"
    return {name: per_row({w: ([INPUTS, w, w, CLASSES], BATCH) for w in points}, seconds, 2)}


def by_depth(seconds: float, quick: bool) -> dict[str, dict[int, float]]:
    points = [1, 2, 4, 8, 16, 32]
    name = f"{INPUTS}-{INPUTS}×d-{CLASSES}, batch {BATCH}"
    return {name: per_row({d: ([INPUTS] * (d + 1) + [CLASSES], BATCH) for d in points}, seconds, 4)}


def by_rows(seconds: float, quick: bool) -> dict[str, dict[int, float]]:
    """One epoch over arrays and over a memory-mapped file of the same numbers."""
    points = [10**i for i in range(3, 6 if quick else 7)]
    sizes, result = [100, 64, CLASSES], {"array": {}, "memory map": {}}
    X, y = data(sizes[0], CLASSES, points[-1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        np.save(path, X)
        mapped = np.load(path, mmap_mode="r")
        for n in points:
            calls = {"array": trained(sizes, 64, X[:n], y[:n]), "memory map": trained(sizes, 64, mapped[:n], y[:n])}
            for kind, t in interleaved(calls, seconds).items():
                result[kind][n] = 1e6 * t / n
        del mapped
    return result


def by_threads(seconds: float, quick: bool) -> dict[str, dict[int, float]]:
    """One and two threads by turns."""
    networks = {
        "784-128-10, batch 32": ([784, 128, 10], 32),
        "784-1000-1000-10, batch 128": ([784, 1000, 1000, 10], 128),
    }
    result: dict[str, dict[int, float]] = {}
    for name, (sizes, batch) in networks.items():
        X, y = data(sizes[0], sizes[-1], 8 * batch)
        calls = {threads: trained(sizes, batch, X, y) for threads in (1, 2)}
        times = interleaved(calls, 2 * seconds, pynn.set_num_threads)
        result[name] = {threads: 1e6 * t / len(X) for threads, t in times.items()}
    return result


PANELS: dict[str, tuple[str, Callable[[float, bool], dict[str, dict[int, float]]]]] = {
    "batch": ("rows in a batch", by_batch),
    "width": ("units of the hidden layers", by_width),
    "depth": ("hidden layers", by_depth),
    "rows": ("rows of data, 100-64-10, batch 64", by_rows),
    "threads": ("threads", by_threads),
}


LINEAR = ("rows", "threads")


def plot(panels: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    """One small panel for each quantity; logarithmic where the values range over powers."""
    plt = style()
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 6))
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (name, lines) in zip(axes.flat, panels.items(), strict=False):
        for (label, points), color in zip(lines.items(), ("#d1495b", "#2e86ab"), strict=False):
            ax.plot(list(points), list(points.values()), "o-", color=color, markersize=4, linewidth=1.6, label=label)
        ax.set_xscale("log", base=10 if name == "rows" else 2)
        ax.set_yscale("linear" if name in LINEAR else "log")
        ax.minorticks_off()
        if name != "rows":
            ticks = list(next(iter(lines.values())))
            ax.set_xticks(ticks, [str(tick) for tick in ticks])
        if name in LINEAR:
            ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
        else:
            low, high = ax.get_ylim()
            steps = (1, 2, 5) if high / low < 100 else (1,)
            shown = [v * 10**e for e in range(-2, 5) for v in steps if low <= v * 10**e <= high]
            ax.set_yticks(shown, [f"{v:g}" for v in shown])
        ax.grid(axis="y")
        ax.set_title(f"by {name}")
        ax.set_xlabel(PANELS[name][0])
        ax.set_ylabel("µs per row")
        ax.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"wrote {path}")


def main() -> None:
    """Print every panel's numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less time, smaller largest sizes")
    parser.add_argument("--only", help="comma-separated: batch, width, depth, rows, threads")
    parser.add_argument("--output", type=Path, help="write scaling.json and scaling.png here, partial runs too")
    options = parser.parse_args()
    record: dict[str, Any] = about() | {"us_per_row": {}}
    for name in matching(PANELS, options.only):
        lines = PANELS[name][1](0.05 if options.quick else 0.4, options.quick)
        record["us_per_row"][name] = lines
        for label, points in lines.items():
            print(f"{name:8}{label:32}" + "  ".join(f"{x}: {t:.3g}" for x, t in points.items()), flush=True)
    complete = not (options.quick or options.only)
    if options.output or complete:
        write(record, (options.output or ROOT / "benchmarks" / "results") / "scaling.json")
        plot(record["us_per_row"], (options.output or ROOT / "docs") / "scaling.png")


if __name__ == "__main__":
    main()
