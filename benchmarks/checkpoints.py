"""What a checkpoint costs a run: 784-1000-1000-10, batch 128, Adam; the copy between two steps, the write beside them.

    python benchmarks/checkpoints.py [pairs]

Prints the time of the copy alone, of a write alone, and of epochs with a checkpoint as often as the disk keeps up
against epochs without one, taken in turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pynn
from pynn import _core


def make() -> pynn.Sequential:
    layers = [pynn.Dense(1000, activation="relu"), pynn.Dense(1000, activation="relu"), pynn.Dense(10)]
    model = pynn.Sequential(layers, seed=0)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=1e-3))
    return model


def milliseconds(action: object, times: int) -> float:
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        action()  # type: ignore[operator]
        found.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(found)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rng = np.random.default_rng(0)
    x = rng.random((128 * 60, 784), dtype=np.float32)
    y = rng.integers(0, 10, len(x))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.ckpt"
        model = make()
        model.fit(x, y, batch_size=128)
        copy = _core.Checkpoint(model._learner.trainer)
        took = milliseconds(lambda: copy.take(model._learner.trainer), 9)
        wrote = milliseconds(lambda: copy.write(os.fsencode(path), {}, {}), 5)
        size = path.stat().st_size / 1e6
        print(f"copy {took:.1f} ms, write {wrote:.0f} ms ({size:.1f} MB)")
        often, plain, kept = pynn.Checkpoint(path, every_seconds=0), [], []
        for _ in range(pairs):
            plain.append(milliseconds(lambda: make().fit(x, y, batch_size=128, epochs=1), 1))
            kept.append(milliseconds(lambda: make().fit(x, y, batch_size=128, epochs=1, checkpoint=often), 1))
        without, saving = statistics.median(plain), statistics.median(kept)
        print(f"60 steps: {without:.0f} ms without, {saving:.0f} ms with checkpoints one after the other")


if __name__ == "__main__":
    main()
