"""How much memory does training take? Peak of `fit` above the imported library and the data, beside PyTorch.

    python benchmarks/memory.py [--network 1024-2048] [--output DIRECTORY]

Each measurement runs in a process of its own: import, make the data, note the resident memory, train two epochs of four
batches, read the peak (VmHWM, Linux). The table below it says which vectors make up pynn's share.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import measure

import pynn

PEAK = """
import sys
sys.path.insert(0, sys.argv[1])
import json, measure, numpy as np
sizes, batch, optimizer = json.loads(sys.argv[2])
def memory(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024
"""
PYNN = """
import pynn
pynn.Sequential([pynn.Dense(2)]).build(2)
X, y = measure.data(sizes[0], sizes[-1], 4 * batch)
open("/proc/self/clear_refs", "w").write("5")
before = memory("VmRSS")
model = measure.model(sizes, optimizer)
model.fit(X, y, epochs=2, batch_size=batch, verbose=0)
print(memory("VmHWM") - before)
"""
PYTORCH = """
import torch
X, y = (torch.from_numpy(a) for a in measure.data(sizes[0], sizes[-1], 4 * batch))
small = torch.nn.Linear(2, 2)
small(torch.zeros(1, 2)).sum().backward()
open("/proc/self/clear_refs", "w").write("5")
before = memory("VmRSS")
layers = []
for inputs, units in zip(sizes, sizes[1:]):
    layers += [torch.nn.Linear(inputs, units), torch.nn.ReLU()]
model = torch.nn.Sequential(*layers[:-1])
kind = {"adam": lambda p: torch.optim.Adam(p, lr=1e-3, fused=True), "sgd": lambda p: torch.optim.SGD(p, lr=1e-2)}
step, loss = kind[optimizer](model.parameters()), torch.nn.CrossEntropyLoss()
for epoch in range(2):
    order = torch.randperm(len(X))
    for rows in order.split(batch):
        step.zero_grad(set_to_none=True)
        loss(model(X.index_select(0, rows)), y.index_select(0, rows)).backward()
        step.step()
print(memory("VmHWM") - before)
"""


def peak(code: str, sizes: list[int], batch: int, optimizer: str) -> int:
    """Bytes, the median of three processes."""
    command = [sys.executable, "-c", PEAK + code, str(Path(__file__).parent), json.dumps([sizes, batch, optimizer])]
    runs = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3))
    return sorted(map(int, runs))[1]


def vectors(sizes: list[int], batch: int, optimizer: str) -> dict[str, int]:
    """Bytes of what a training of float32 has to hold, by vector."""
    parameters = sum(inputs * units + units for inputs, units in itertools.pairwise(sizes))
    widest = max(sizes)
    found = {"parameters": parameters, "gradient": parameters}
    found |= {"Adam's m and v": 2 * parameters} if optimizer == "adam" else {}
    found |= {"batch": batch * sizes[0], "Z and Y of the layers": 2 * batch * sum(sizes[1:])}
    found |= {"packed dY, or X": (batch + 48) * widest, "dX and dY": 2 * batch * widest}
    return {name: 4 * count for name, count in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="1024-2048")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    record: dict[str, Any] = measure.about(("torch",)) | {"peak": {}}
    for name in measure.matching(measure.NETWORKS, options.network):
        sizes, batch, _ = measure.NETWORKS[name]
        for optimizer in ("sgd", "adam"):
            ours, theirs = (peak(code, sizes, batch, optimizer) for code in (PYNN, PYTORCH))
            parts = vectors(sizes, batch, optimizer)
            key = f"{name} {optimizer}"
            record["peak"][key] = {"pynn": ours, "PyTorch": theirs, "share": ours / theirs, "vectors": parts}
            print(f"\n{key}: pynn {ours / 1e6:.1f} MB, PyTorch {theirs / 1e6:.1f} MB, share {ours / theirs:.2f}")
            for part, size in [*parts.items(), ("everything else", ours - sum(parts.values()))]:
                print(f"  {part:24} {size / 1e6:8.1f} MB")
    if options.output or options.network == parser.get_default("network"):
        folder = options.output or measure.ROOT / "benchmarks" / "results"
        measure.write(record | {"pynn version": pynn.__version__}, folder / "memory.json")


if __name__ == "__main__":
    main()
