"""Runs that are killed with SIGKILL at random moments and go on: each must end with the bits of one never stopped.

    python benchmarks/kill.py [--kills 500] [--seed 0] [--small]

Moments are drawn from the whole life of a process: while it trains, between two epochs, and (every second kill) within
a random time of a temporary file's appearing, which is while a checkpoint is written, synchronised or renamed. After
each kill the file must load, or not be there yet, and so must the ones kept before it, none fewer; what a killed writer
left must be gone in the end. Parameters, the optimizer's state, history, the guard's ledger and the log of a callback
are compared. Prints what was tried; exits 1 after a difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import pynn

ROWS = 1200


class Stored:
    """Rows that lie in no memory."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        return self.array[rows]


def data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 20)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.int64) + (x[:, 3] > 1)


def scenario(number: int, width: int) -> tuple[pynn.Sequential, Any, Any, dict[str, Any]]:
    """A model, data and options of `fit`: the number says which."""
    x, y = data(number)
    kind = number % 4
    optimizer: Any = pynn.Adam(learning_rate=0.003)
    options: dict[str, Any] = {"batch_size": 16, "validation_data": (x[:200], y[:200])}
    if kind == 1:  # rows that are no numbers, rollbacks
        x[33] = np.nan
        optimizer = pynn.SGD(learning_rate=3e4, momentum=0.9)
        options["guard"] = pynn.Guard("rollback", snapshot_every=20, window=16, max_rollbacks=500)
        del options["validation_data"]
    if kind == 2:
        optimizer = pynn.RMSprop(learning_rate=pynn.schedules.CosineDecay(0.003, 400))
    layers = [pynn.Dense(width, activation="relu"), pynn.Dropout(0.2), pynn.Dense(3)]
    model = pynn.Sequential(layers, seed=number, dtype="float64" if kind == 2 else "float32")
    model.compile("softmax_cross_entropy", optimizer, ["accuracy", "mae"])
    if kind == 3:  # a source that is read ahead
        options = {"steps_per_epoch": 50}
        return model, pynn.DataLoader(Stored(x), y, batch_size=16, shuffle=True, prefetch=2), None, options
    return model, x, y, options


def live(number: int, folder: Path, epochs: int, width: int, kept: bool) -> None:
    """One process's life: trains to the end, if it is allowed to, and writes down what came out."""
    model, x, y, options = scenario(number, width)
    stopping = pynn.EarlyStopping("loss", patience=50, restore_best_weights=True)
    options |= {"callbacks": [stopping, pynn.CSVLogger(folder / "log.csv")]}
    if kept:
        options |= {"checkpoint": pynn.Checkpoint(folder / "run.ckpt", every_seconds=0, keep=1 + number % 3)}
    (folder / "begun").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pynn.TrainingWarning)
        history = model.fit(x, y, epochs=epochs, verbose=0, resume=kept, **options)
    for epoch in history:
        del epoch["seconds"]
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    timed = rows[0].index("seconds")
    slots = [np.asarray(slot).tobytes() for slot in model._learner.trainer.slots]
    outcome = {
        "parameters": hashlib.sha256(model.parameters.tobytes()).hexdigest(),
        "slots": [hashlib.sha256(slot).hexdigest() for slot in slots],
        "steps": model._learner.trainer.steps,
        "learning_rate": model.learning_rate,
        "history": history.epochs,
        "ledger": history.ledger,
        "log": [[cell for i, cell in enumerate(row) if i != timed] for row in rows],
        "best": [stopping.best, stopping.best_epoch],
    }
    (folder / "part").write_text(json.dumps(outcome, sort_keys=True))
    (folder / "part").rename(folder / "outcome")


def spawn(*arguments: Any) -> int:
    """A child that lives."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            live(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def temporary(folder: Path) -> bool:
    return any(name.startswith(".pynn-") for name in os.listdir(folder))


class Trial:
    """A run of one scenario, killed again and again until it comes to its end."""

    def __init__(self, number: int, small: bool, rng: random.Random, counts: Counter[str]) -> None:
        self.number, self.rng, self.counts = number, rng, counts
        self.epochs, self.width = (6, 40) if small else (12, [40, 600][number // 4 % 2])
        self.folder = Path(tempfile.mkdtemp(prefix="kill_"))
        self.kept = 0  # checkpoints that were there after the last kill

    def reference(self) -> float:
        """What comes out without a stop; how long it takes."""
        begin = time.monotonic()
        self.finish(spawn(self.number, self.folder, self.epochs, self.width, False))
        self.expected = (self.folder / "outcome").read_text()
        for name in ("outcome", "log.csv", "begun"):
            (self.folder / name).unlink()
        return time.monotonic() - begin

    def finish(self, child: int) -> None:
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"scenario {self.number}: a run ended with status {status}")

    def kill_once(self, seconds: float) -> bool:
        """Whether the next life was ended before its own end."""
        (self.folder / "begun").unlink(missing_ok=True)
        child = spawn(self.number, self.folder, self.epochs, self.width, True)
        while not (self.folder / "begun").exists():
            time.sleep(1e-4)
        if self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0, 0.7 * seconds))
        else:
            time.sleep(self.rng.uniform(0, 0.4 * seconds))
            until = time.monotonic() + seconds
            while not temporary(self.folder) and time.monotonic() < until:
                pass
            time.sleep(self.rng.choice([0, 1e-4, 1e-3, 5e-3, 2e-2]) * self.rng.random())
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            if os.WEXITSTATUS(status):
                raise SystemExit(f"scenario {self.number}: a run ended with status {status}")
            return False
        self.counts["kills"] += 1
        self.counts["within a write"] += temporary(self.folder)
        kept = {path.stat().st_ino: path for path in self.folder.glob("run.ckpt*")}
        for path in kept.values():
            pynn.load(path)  # raises for anything but a whole file
        if len(kept) < self.kept or (kept and not (self.folder / "run.ckpt").exists()):
            raise SystemExit(f"scenario {self.number}: {self.kept} checkpoints were kept, {len(kept)} are left")
        self.kept = min(len(kept), 1 + self.number % 3)
        self.counts["before the first checkpoint"] += not kept
        return True

    def run(self, most: int) -> bool:
        """Whether the bits are the same in the end."""
        seconds = self.reference()
        lives = 0
        while self.counts["kills"] < most and lives < 40:
            lives += 1
            if not self.kill_once(seconds):
                break
        self.finish(spawn(self.number, self.folder, self.epochs, self.width, True))
        got = (self.folder / "outcome").read_text()
        self.counts["runs"] += 1
        same = got == self.expected and not temporary(self.folder) and not (self.folder / "run.ckpt.0").exists()
        if not same:
            print(f"scenario {self.number}: different after {lives} lives; see {self.folder}")
            (self.folder / "expected").write_text(self.expected)
            return False
        shutil.rmtree(self.folder)
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="quicker runs")
    arguments = parser.parse_args()
    rng, counts, begin = random.Random(arguments.seed), Counter[str](), time.monotonic()
    number, failures = arguments.seed * 1000, 0
    while counts["kills"] < arguments.kills:
        failures += not Trial(number, arguments.small, rng, counts).run(arguments.kills)
        number += 1
    print(
        f"{counts['kills']} kills in {counts['runs']} runs, {counts['within a write']} of them within a write and "
        f"{counts['before the first checkpoint']} before the first checkpoint: {failures} runs ended with other bits "
        f"({time.monotonic() - begin:.0f} s)"
    )
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
