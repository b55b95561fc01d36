"""Two processes of one thread against one, against PyTorch's DistributedDataParallel, and against a model of cost.

    python benchmarks/distributed.py [--processes 2] [--rounds 7] [--output DIRECTORY]

Starts itself under ``mpiexec`` (that of the MPI whose wheel is installed, or MPIEXEC). In each round, in the same
processes, one after the other: pynn in one process (the others sleep), pynn in all of them with a batch as large for
each (weak scaling), PyTorch in one, PyTorch in all over gloo, and the exchange alone. A step's time is the median epoch
of a fit divided by its steps; figures are medians over rounds, ratios medians of the rounds' ratios.

The model of cost: step(N) = step(1) + latency + bytes x 2 (N - 1) / N / bandwidth. Its constants
are fitted to the exchanges alone, on sizes other than the networks', so that it predicts the steps and is not fitted to
them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

CASES = [  # layers, rows of a batch in each process
    ("20-64-64-2", 32), ("784-128-10", 32), ("784-128-10", 256), ("784-1000-10", 100), ("784-256-256-256-10", 128),
    ("784-1000-1000-10", 128),
]  # fmt: skip
EXCHANGED = [1_000, 30_000, 300_000, 3_000_000]  # numbers, for the model's constants
EPOCHS = 5


def steps_of(sizes: list[int]) -> int:
    """Steps of an epoch that take some tens of milliseconds."""
    return max(4, min(200, int(3e7 / sum(a * b for a, b in itertools.pairwise(sizes)))))


def data(sizes: list[int], rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((rows, sizes[0]), np.float32), rng.integers(0, sizes[-1], rows)


def with_pynn(sizes: list[int], batch: int, communicator: Any) -> float:
    """Seconds of a step, of `batch` rows in each process."""
    import pynn

    processes = 1 if communicator is None else communicator.Get_size()
    hidden = [pynn.Dense(units, activation="relu") for units in sizes[1:-1]]
    model = pynn.Sequential([*hidden, pynn.Dense(sizes[-1])], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.01))
    steps = steps_of(sizes)
    x, y = data(sizes, steps * batch * processes)
    guard = pynn.Guard(check_every=0)
    history = model.fit(x, y, epochs=EPOCHS, batch_size=batch * processes, communicator=communicator, guard=guard,
                        verbose=0)  # fmt: skip
    return statistics.median(history["seconds"][1:]) / steps


def with_torch(sizes: list[int], batch: int, distributed: bool) -> float:
    """The same step in PyTorch: eager, of the same rows."""
    import torch

    layers: list[Any] = []
    for inputs, units in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inputs, units), torch.nn.ReLU()]
    model: Any = torch.nn.Sequential(*layers[:-1])
    model = torch.nn.parallel.DistributedDataParallel(model) if distributed else model
    step, loss = torch.optim.SGD(model.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
    steps = steps_of(sizes)
    x, y = (torch.from_numpy(part) for part in data(sizes, steps * batch))
    seconds = []
    for _ in range(EPOCHS):
        begin = time.perf_counter()
        for rows in torch.randperm(len(x)).split(batch):
            step.zero_grad(set_to_none=True)
            loss(model(x.index_select(0, rows)), y.index_select(0, rows)).backward()
            step.step()
        seconds.append((time.perf_counter() - begin) / steps)
    return statistics.median(seconds[1:])


def exchange(communicator: Any, numbers: int) -> float:
    """Seconds of what a step exchanges: a meeting and a small vector, parts of the gradient, and their sums."""
    from pynn.training.processes import Together

    together = Together(communicator)
    part = -(-numbers // together.processes) * 4
    gradient, received = np.zeros(numbers * 4, np.uint8), np.zeros(part * together.processes, np.uint8)
    size = min(part, max(0, len(gradient) - part * together.process))
    small, all_small = np.zeros(256, np.uint8), np.zeros(256 * together.processes, np.uint8)
    seconds = []
    for _ in range(30):
        begin = time.perf_counter()
        together.gather(small, 256, all_small)
        together.exchange(gradient, part, received[: size * together.processes])
        sums = received.view(np.float32)
        for other in range(1, together.processes):
            sums[: size // 4] += sums[size // 4 * other : size // 4 * (other + 1)]
        together.gather(received[:size], part, gradient)
        seconds.append(time.perf_counter() - begin)
    together.close()
    return statistics.median(seconds)


def alone(communicator: Any, call: Any) -> float:
    """What `call` returns in the first process while the others sleep; the same number in all."""
    found = call() if communicator.Get_rank() == 0 else None
    request = communicator.Ibarrier()
    while not request.Test():
        time.sleep(0.01)
    return float(communicator.bcast(found))


def work(rounds: int, output: str) -> None:
    """What each process does."""
    from mpi4py import MPI

    communicator = MPI.COMM_WORLD
    processes, rank = communicator.Get_size(), communicator.Get_rank()
    torch = start_torch(rank, processes)
    found: dict[str, list[dict[str, float]]] = {f"{name} b{batch}": [] for name, batch in CASES}
    exchanges: dict[int, list[float]] = {numbers: [] for numbers in EXCHANGED}
    for _ in range(rounds):
        for name, batch in CASES:
            sizes = [int(part) for part in name.split("-")]
            one = alone(communicator, lambda: with_pynn(sizes, batch, None))  # noqa: B023
            times = {"pynn, one": one, "pynn, all": with_pynn(sizes, batch, communicator)}
            if torch:
                times["torch, one"] = alone(communicator, lambda: with_torch(sizes, batch, False))  # noqa: B023
                times["torch, all"] = with_torch(sizes, batch, True)
            found[f"{name} b{batch}"].append(times)
        for numbers in EXCHANGED:
            exchanges[numbers].append(exchange(communicator, numbers))
    if rank == 0:
        said = {"mpi": MPI.Get_library_version().split("\n")[0], "processes": processes, "rounds": rounds,
                "load": os.getloadavg(), "steps": found, "exchanges": exchanges}  # fmt: skip
        report(said)
        if output:
            Path(output).mkdir(exist_ok=True)
            (Path(output) / "distributed.json").write_text(json.dumps(said, indent=1) + "\n")


def start_torch(rank: int, processes: int) -> bool:
    """Join PyTorch's processes; whether it is installed."""
    try:
        import torch
    except ImportError:
        return False
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{os.environ.get('MASTER_PORT', '29517')}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=processes)
    return True


def fitted(exchanges: dict[Any, list[float]], processes: int) -> tuple[float, float]:
    """Latency in seconds, and bytes a second, of an exchange."""
    numbers = np.array([float(key) for key in exchanges])
    seconds = np.array([statistics.median(values) for values in exchanges.values()])
    moved = numbers * 4 * 2 * (processes - 1) / processes
    weights = 1 / seconds  # relative errors count
    (latency, inverse), *_ = np.linalg.lstsq(np.stack([weights, moved * weights], 1), np.ones(len(seconds)), rcond=None)
    return float(latency), float(1 / inverse)


def report(said: dict[str, Any]) -> None:
    processes = said["processes"]
    latency, bandwidth = fitted(said["exchanges"], processes)
    print(f"{said['mpi']}, {processes} processes of one thread, {said['rounds']} rounds, load {said['load'][0]:.1f}")
    print(f"an exchange: {latency * 1e6:.0f} us and {bandwidth / 1e9:.2f} GB/s")
    print("microseconds a step       one      all  scaling  predicted  DDP one  DDP all  against DDP")
    for name, rounds in said["steps"].items():
        sizes = [int(part) for part in name.split()[0].split("-")]
        numbers = sum(a * b + b for a, b in itertools.pairwise(sizes))
        middle = {key: statistics.median(times[key] for times in rounds) for key in rounds[0]}
        scaling = statistics.median(times["pynn, one"] / times["pynn, all"] for times in rounds)
        moved = numbers * 4 * 2 * (processes - 1) / processes
        predicted = middle["pynn, one"] + latency + moved / bandwidth
        line = f"{name:22s} {middle['pynn, one'] * 1e6:7.0f}  {middle['pynn, all'] * 1e6:7.0f}  {scaling:7.0%}"
        line += f"  {predicted * 1e6:9.0f}"
        if "torch, all" in middle:
            against = statistics.median(times["torch, all"] / times["pynn, all"] for times in rounds)
            line += f"  {middle['torch, one'] * 1e6:7.0f}  {middle['torch, all'] * 1e6:7.0f}  {against:10.1f}x"
        print(line)


def launcher() -> tuple[list[str], dict[str, str]]:
    """The command that starts processes, and its environment."""
    if os.environ.get("MPIEXEC"):
        return os.environ["MPIEXEC"].split(), {}
    own, library = Path(sys.prefix) / "bin/mpiexec.hydra", Path(sys.prefix) / "lib/libmpi.so.12"
    return ([str(own)], {"MPI4PY_LIBMPI": str(library)}) if own.exists() else (["mpiexec"], {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", default="")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.rounds, given.output)
        return
    command, more = launcher()
    threads = {"PYNN_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    again = [sys.executable, __file__, "--worker", "--rounds", str(given.rounds), "--output", given.output]
    subprocess.run([*command, "-n", str(given.processes), *again], check=True, env=os.environ | threads | more)


if __name__ == "__main__":
    main()
