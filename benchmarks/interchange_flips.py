"""Flip bits of other programs' files and read them: an error of pynn or right shapes, nothing else.

    python benchmarks/interchange_flips.py [flips]

Each kind of file is read `flips` times with one to three random bytes changed, and cut short at every length (of long
files at 2,000 of them). A child process reads, so that a crash or a hang is seen; its memory is measured. Takes torch
and keras (on torch) to write the files; the result is kept in benchmarks/results/interchange_flips.txt.
"""

import importlib
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

import pynn

BATCH, SECONDS = 500, 300  # reads of a child, and how long it may take


def model():
    return pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.BatchNormalization(), pynn.Dense(3)], seed=0).build(
        6
    )


def files(folder):
    """Write a file of each kind; returns how each is read."""
    torch, keras = importlib.import_module("torch"), importlib.import_module("keras")
    save_file = importlib.import_module("safetensors.numpy").save_file
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(9, 6)).sum().backward()
    optimizer.step()
    torch.save(net.state_dict(), folder / "weights.pt")
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, folder / "checkpoint.pt")
    save_file({name: tensor.numpy() for name, tensor in net.state_dict().items()}, folder / "w.safetensors")
    layers = keras.layers
    other = keras.Sequential(
        [layers.Input((6,)), layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dense(3)]
    )
    other.compile("adam", "mse")
    other.train_on_batch(np.ones((4, 6)), np.ones((4, 3)))
    other.save(folder / "m.keras")
    other.save_weights(folder / "m.weights.h5")
    fann(folder / "m.net")
    return {"weights.pt": into, "checkpoint.pt": resume, "w.safetensors": into, "m.keras": whole, "m.weights.h5": into,
            "m.net": whole}  # fmt: skip


def fann(path):
    rng, sizes = np.random.default_rng(0), (7, 9, 4)
    neurons = [(0, 0, 0.0)] * 7 + [(7, 5, 0.5)] * 8 + [(0, 0, 0.0)] + [(9, 3, 0.5)] * 3 + [(0, 0, 0.0)]
    links = [(i, rng.normal()) for _ in range(8) for i in range(7)]
    links += [(7 + i, rng.normal()) for _ in range(3) for i in range(9)]
    path.write_text(
        f"FANN_FLO_2.1\nnum_layers=3\nlayer_sizes={' '.join(map(str, sizes))} \nscale_included=0\n"
        "neurons (num_inputs, activation_function, activation_steepness)="
        + "".join(f"({a}, {b}, {c:.20e}) " for a, b, c in neurons)
        + "\nconnections (connected_to_neuron, weight)="
        + "".join(f"({a}, {b:.20e}) " for a, b in links) + "\n"
    )  # fmt: skip


def into(path):
    read = model()
    read.load_weights(path)
    return read


def resume(path):
    read = model()
    read.compile("mse", "sgd")
    read.load_weights(path, optimizer=True)
    return read


def whole(path):
    return pynn.load(path)


def child(read, data, suffix, edits, pipe):
    """Read edited files; tells how many were refused and how many read, and the growth of memory in MB."""
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = other = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        for edit in edits:
            path.write_bytes(edit(data))
            try:
                found = read(path)
            except pynn.PynnError:
                refused += 1
                continue
            shapes = [np.shape(view) for view in found.get_weights()]
            other += not (shapes and found.predict(np.ones((2, found.inputs)), guard="off").shape[0] == 2)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    pipe.send((refused, len(edits) - refused, other, growth))


def flip(rng):
    """An edit of one to three bytes at random places."""
    places, values = rng.random(rng.integers(1, 4)), rng.integers(1, 256, 3)

    def edit(data):
        changed = bytearray(data)
        for place, value in zip(places, values, strict=False):
            changed[int(place * len(data))] ^= int(value)
        return bytes(changed)

    return edit


def run(name, read, data, edits):
    context, totals, growth, crashes = multiprocessing.get_context("fork"), np.zeros(3, int), 0.0, 0
    suffix = "".join(Path(name).suffixes)
    for first in range(0, len(edits), BATCH):
        mine, theirs = context.Pipe()
        process = context.Process(target=child, args=(read, data, suffix, edits[first : first + BATCH], theirs))
        process.start()
        theirs.close()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
        if process.exitcode != 0 or not mine.poll():
            crashes += 1
            continue
        *counts, grown = mine.recv()
        totals, growth = totals + counts, max(growth, grown)
    return totals, growth, crashes


def main(flips):
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, read in files(Path(folder)).items():
            data, start = (Path(folder) / name).read_bytes(), time.perf_counter()
            cuts = np.unique(np.linspace(0, len(data) - 1, min(len(data), 2000)).astype(int))
            for what, edits in (
                ("flips", [flip(rng) for _ in range(flips)]), ("truncations", [lambda d, n=n: d[:n] for n in cuts]),
            ):  # fmt: skip
                (refused, read_, other), growth, crashes = run(name, read, data, edits)
                print(f"{name:15} {len(data):7} bytes, {len(edits):6} {what:11}: {refused:6} refused, {read_:6} read, "
                      f"{other} of other shapes, {crashes} crashes or hangs, memory +{growth:.0f} MB, "
                      f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
