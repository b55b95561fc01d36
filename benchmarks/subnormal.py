"""Does training slow down when gradients become subnormal? The same step on subnormal and on normal numbers, by turns.

    python benchmarks/subnormal.py [--seconds 8]

Targets so near the predictions that the gradients of the loss, and in float32 the products behind them, lie below the
smallest normal number, against targets at a distance of 1. Medians of neighbouring pairs; goal: a ratio of at most 1.2.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import pynn


def trainer(scale: float, threads: int, optimizer: str) -> pynn.Sequential:
    """784-512-512-10 whose kernels are `scale` of the usual: activations, deltas and gradients shrink with it."""
    pynn.set_num_threads(threads)
    model = pynn.Sequential([pynn.Dense(512, activation="tanh"), pynn.Dense(512, activation="tanh"), pynn.Dense(10)])
    model.compile("mse", pynn.optimizers.get({"name": optimizer, "learning_rate": 1e-30}))
    model.build(784)
    model.parameters[:] *= scale
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=8)
    seconds = parser.parse_args().seconds
    rng = np.random.default_rng(0)
    X = rng.normal(size=(128, 784)).astype(np.float32)
    y = np.zeros((128, 10), np.float32)
    cases = [(optimizer, threads) for optimizer in ("sgd", "adam") for threads in (1, 2)]
    for optimizer, threads in cases:
        models = [trainer(scale, threads, optimizer) for scale in (1e-8, 1.0)]
        for model in models:
            model.train_step(X, y)
        ratios, until = [], time.perf_counter() + seconds / len(cases)
        while time.perf_counter() < until or len(ratios) < 5:
            taken = []
            for model in models:
                start = time.perf_counter()
                model.train_step(X, y)
                taken.append(time.perf_counter() - start)
            ratios.append(taken[0] / taken[1])
        gradient = np.abs(np.array(models[0]._learner.trainer_for(128).gradient))
        print(
            f"{optimizer:5} {threads} thread(s): subnormal / normal {np.median(ratios):.3f} ({len(ratios)} pairs); "
            f"gradients that are 0 there: {np.mean(gradient == 0):.0%}, largest {gradient.max():.1e}"
        )


if __name__ == "__main__":
    main()
