"""What does watching cost? Training steps with checks against steps without, by turns.

    python benchmarks/overhead.py [--quick] [--rows 784-128] [--threads 1,2] [--verdict]

Every network of the speed table with SGD and Adam, by the core alone. "guard" is the default guard of `fit`: verdict on
every step, proof that the update stays finite, divergence, statistics of the layers every 200 steps. "verdict", when it
is asked for, is the same without statistics. Each against a guard that is off.
Ratios are medians over pairs of neighbouring calls, so that what else the machine does falls out, of several pairs of
trainers, so that where in memory each of them lies does too (that alone makes a small step 1 % faster or slower).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import NETWORKS, ROOT, about, data, matching, mean_ratio, model, write

import pynn
from pynn import _core

CHUNK = 0.03  # seconds that one call should last at least
LAYOUTS = 8  # pairs of trainers
OFF = pynn.Guard(policy="off", check_every=0)
OPTIMIZERS = {"SGD": lambda: pynn.SGD(0.01), "Adam": lambda: pynn.Adam(1e-4)}


def paired(makers: list[Callable[[], Callable[[int], object]]], seconds: float) -> tuple[float, float, float]:
    """(median ratio second/first, half the spread of its middle half, median seconds of the first), by turns."""
    ratios, times = [], []
    for layout in range(LAYOUTS):
        calls: list[Any] = [None, None]
        for which in (0, 1) if layout % 2 else (1, 0):
            calls[which] = makers[which]()
            calls[which](1)
        begin = time.perf_counter()
        calls[0](1)
        repeats = max(1, round(CHUNK / (time.perf_counter() - begin)))
        begin = time.perf_counter()
        for pair in itertools.count():
            if pair >= 3 and time.perf_counter() - begin > seconds / LAYOUTS:
                break
            taken = [0.0, 0.0]
            for which in (0, 1) if pair % 2 else (1, 0):
                start = time.perf_counter()
                calls[which](repeats)
                taken[which] = (time.perf_counter() - start) / repeats
            ratios.append(taken[1] / taken[0])
            times.append(taken[0])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return float(middle), float(high - low) / 2, statistics.median(times)


def core_epochs(network: str, optimizer: str, guard: pynn.Guard) -> Callable[[int], None]:
    """Epochs by the core alone."""
    sizes, batch, steps = NETWORKS[network]
    X, y = data(sizes[0], sizes[-1], batch * steps)
    net = model(sizes, OPTIMIZERS[optimizer]())
    trainer = _core.Trainer(net.core, net.optimizer.core, batch, guard=guard.to_dict())
    order = pynn.DataLoader(X, y, shuffle=True).order(0)

    def epochs(n: int) -> None:
        for _ in range(n):
            trainer.train(X, y[:, None], None, order, 0, len(X), batch)

    return epochs


def main() -> None:
    """Print time with / time without, in percent above 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", help="comma-separated parts of networks' names")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--verdict", action="store_true", help="also without statistics")
    options = parser.parse_args()
    seconds = 1 if options.quick else 12
    switches = {"guard": pynn.Guard()} | ({"verdict": pynn.Guard(check_every=0)} if options.verdict else {})
    record = about() | {"overhead": []}
    for threads in map(int, options.threads.split(",")):
        pynn.set_num_threads(threads)
        for name, guard in switches.items():
            ratios = []
            for network in matching(NETWORKS, options.rows):
                for optimizer in OPTIMIZERS:
                    epochs = functools.partial(core_epochs, network, optimizer)
                    ratio, spread, t = paired([lambda f=epochs: f(OFF), lambda f=epochs, g=guard: f(g)], seconds)
                    ratios.append(ratio)
                    us = 1e6 * t / NETWORKS[network][2]
                    print(f"{name}, {threads} threads  {network:24}{optimizer:5}{us:10.1f} µs  "
                          f"{100 * (ratio - 1):+6.2f} % ± {100 * spread:.2f}", flush=True)  # fmt: skip
                    record["overhead"].append({"switch": name, "threads": threads, "network": network, "us_without": us,
                                               "optimizer": optimizer, "ratio": ratio, "spread": spread})  # fmt: skip
            print(f"{name}, {threads} threads  geometric mean {100 * (mean_ratio(ratios) - 1):+.2f} %")
    if not (options.quick or options.rows):
        write(record, ROOT / "benchmarks" / "results" / "overhead.json")


if __name__ == "__main__":
    main()
