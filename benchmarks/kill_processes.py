"""One of several processes that train together is killed with SIGKILL at a random moment, and another number goes on.

    python benchmarks/kill_processes.py [--kills 200] [--seed 0]

Each run is started with 1, 2 or 4 processes under ``mpiexec``; a random one is killed at a random moment of its life,
while it trains, exchanges or saves (every third step); the launcher must come back, and the run is resumed with a
number drawn again, until it is through. Its parameters, state and history must have the bits of one process that was
never stopped. Prints what was tried; exits 1 after a difference or a hang.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from distributed import launcher

HANG = 120  # seconds


def run(folder: Path, communicator: Any) -> str:
    """Train, or go on; a checksum of all that must be the same."""
    import pynn

    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 12)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    layers = [pynn.Dense(32, activation="tanh"), pynn.BatchNormalization(), pynn.Dropout(0.2), pynn.Dense(2)]
    model = pynn.Sequential(layers, seed=7)
    model.compile("softmax_cross_entropy", "adam", metrics=["accuracy"])
    history = model.fit(
        x, y, epochs=30, batch_size=60, mixup=0.2, verbose=0, communicator=communicator, shards=8, resume=True,
        checkpoint=pynn.Checkpoint(folder / "run.ckpt", every_steps=3), validation_data=(x[:100], y[:100]),
    )  # fmt: skip
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history.epochs]
    state = np.array(model.parameters).tobytes() + np.array(model.core.state).tobytes()
    return hashlib.sha256(state + json.dumps(epochs).encode()).hexdigest()


def work(folder: Path) -> None:
    """What each process does."""
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.Get_rank()
    (folder / f"pid.{rank}").write_text(str(os.getpid()))
    (folder / f"result.{rank}").write_text(run(folder, MPI.COMM_WORLD))


def attempt(folder: Path, processes: int, moment: float, rng: random.Random) -> str:
    """Start processes and kill one after `moment` seconds: "killed", "through" or "hung"."""
    for path in [*folder.glob("pid.*"), *folder.glob("result.*")]:
        path.unlink()
    command, more = launcher()
    again = [sys.executable, __file__, "--worker", str(folder)]
    with subprocess.Popen([*command, "-n", str(processes), *again], env=os.environ | more | {"PYNN_NUM_THREADS": "1"},
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:  # fmt: skip
        begin = time.monotonic()
        while len(list(folder.glob("pid.*"))) < processes and started.poll() is None:
            time.sleep(0.005)
        until = time.monotonic() + moment
        while time.monotonic() < until and started.poll() is None:
            time.sleep(0.002)
        victim = folder / f"pid.{rng.randrange(processes)}"
        killed = started.poll() is None and victim.exists()
        if killed:
            try:
                os.kill(int(victim.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                killed = False
        while started.poll() is None and time.monotonic() - begin < HANG:
            time.sleep(0.01)
        if started.poll() is None:
            started.kill()
            return "hung"
    return "through" if len(list(folder.glob("result.*"))) == processes else "killed" if killed else "failed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(Path(given.worker))
        return 0
    rng, seen, wrong = random.Random(given.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as place:
        begin = time.monotonic()
        expected = run(Path(place), None)
        life = 2 * (time.monotonic() - begin) + 0.5
    while seen["killed"] < given.kills and not wrong:
        with tempfile.TemporaryDirectory() as place:
            ended, kills = "", 0
            while ended not in ("through", "hung", "failed"):
                processes = rng.choice([1, 2, 4])
                moment = rng.uniform(0, life) if kills < 6 else 10 * life
                ended = attempt(Path(place), processes, moment, rng)
                kills += ended == "killed"
                seen[ended] += 1
                seen[f"{processes} processes, {ended}"] += 1
            found = {path.read_text() for path in Path(place).glob("result.*")}
            wrong += ended != "through" or found != {expected}
        print(dict(sorted(seen.items())), "different" if wrong else "same bits", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
