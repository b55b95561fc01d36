"""Training from files larger than one would like to hold: how much memory it takes, and how long steps wait for data.

    python benchmarks/streaming.py                      # a 5 GB .npy file, a 2 GB Parquet file, a sparse matrix
    python benchmarks/streaming.py --gigabytes 0.1 0.1  # the same, small

Files are written to a temporary folder, read by a fresh process each, and deleted. A line says: size of the file, rows,
resident memory at its peak above that of the model and the libraries after a first step, share of the time in which
steps waited for data, seconds, rows a second.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 256
PART = 1 << 16  # rows written at a time


def rows_in(gigabytes: float) -> int:
    """Rows of float32 in so many gigabytes, whole parts."""
    return max(1, round(gigabytes * 1e9 / (4 * COLUMNS * PART))) * PART


def part(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels; those of a class lie around a point of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, PART)
    x = rng.standard_normal((PART, COLUMNS), np.float32)
    x[np.arange(PART), labels] += 4
    return x, labels


def write_npy(folder: Path, rows: int) -> None:
    """x.npy and y.npy."""
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, COLUMNS))
    labels = []
    for i in range(rows // PART):
        x[i * PART : (i + 1) * PART], y = part(i)
        labels.append(y)
    x.flush()
    np.save(folder / "y.npy", np.concatenate(labels))


def write_parquet(folder: Path, rows: int) -> None:
    """t.parquet, in row groups of a part."""
    import pyarrow
    import pyarrow.parquet

    names = [f"x{i}" for i in range(COLUMNS)]
    schema = pyarrow.schema([(name, pyarrow.float32()) for name in names] + [("y", pyarrow.int64())])
    options = {"compression": "none", "use_dictionary": False}
    with pyarrow.parquet.ParquetWriter(folder / "t.parquet", schema, **options) as file:
        for i in range(rows // PART):
            x, y = part(i)
            columns = {name: x[:, j] for j, name in enumerate(names)} | {"y": y}
            file.write_table(pyarrow.table(columns, schema=schema), row_group_size=PART)


def sparse_rows(rows: int, columns: int, each: int) -> Any:
    """A CSR matrix with `each` numbers in a row and the label in one of them."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    step = columns // each
    indices = rng.integers(0, step, (rows, each), np.int32) + np.arange(each, dtype=np.int32) * step
    labels = rng.integers(0, 10, rows)
    indices[:, 0] = labels
    offsets = np.arange(rows + 1, dtype=np.int32) * each
    data = rng.random(rows * each, np.float32)
    return scipy.sparse.csr_array((data, indices.ravel(), offsets), shape=(rows, columns)), labels


def resident(name: str = "VmRSS") -> int:
    """Bytes of this process's memory, now or at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"no {name} in /proc/self/status")


def train(kind: str, folder: Path, units: int, batch_size: int) -> dict[str, Any]:
    """One epoch over the file, and what it took; in a process of its own."""
    import pynn

    if kind == "sparse":
        x, y = sparse_rows(100_000, 50_000, 50)
    model = pynn.Sequential([pynn.Dense(units, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", optimizer=pynn.Adam(), metrics=["accuracy"])
    if kind == "npy":
        loader = pynn.DataLoader(folder / "x.npy", folder / "y.npy", batch_size=batch_size, shuffle=True)
    elif kind == "parquet":
        loader = pynn.DataLoader.from_table(folder / "t.parquet", "y", batch_size=batch_size, shuffle=True)
    else:
        loader = pynn.DataLoader(x, y, batch_size=batch_size, shuffle=True)
    inputs = COLUMNS if kind != "sparse" else 50_000
    model.fit(np.zeros((batch_size, inputs), np.float32), np.zeros(batch_size, int), batch_size=batch_size)
    before, begin = resident(), time.perf_counter()
    (Path("/proc/self/clear_refs")).write_text("5")  # the peak counts from here
    history = model.fit(loader)
    seconds = time.perf_counter() - begin
    return {
        "rows": loader.n_rows, "memory": resident("VmHWM") - before, "waited": loader.waited / seconds,
        "seconds": seconds, "accuracy": history[-1]["accuracy"],
    }  # fmt: skip


def measure(kind: str, gigabytes: float, units: int, batch_size: int) -> dict[str, Any]:
    """Write the file, train from it in a fresh process, delete it."""
    folder = Path(tempfile.mkdtemp(prefix="pynn-streaming-"))
    try:
        if kind != "sparse":
            if shutil.disk_usage(folder).free < gigabytes * 1.2e9:
                raise SystemExit(f"no room for {gigabytes} GB in {folder}")
            {"npy": write_npy, "parquet": write_parquet}[kind](folder, rows_in(gigabytes))
        size = sum(file.stat().st_size for file in folder.iterdir())
        command = [sys.executable, __file__, "--train", kind, str(folder), str(units), str(batch_size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return found | {"size": size}
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, nargs=2, default=[5, 2], help="of the .npy and the Parquet file")
    parser.add_argument("--units", type=int, default=1000, help="of the hidden layer")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--only", choices=["npy", "parquet", "sparse"])
    parser.add_argument("--train", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        kind, folder, units, batch_size = given.train
        print(json.dumps(train(kind, Path(folder), int(units), int(batch_size))))
        return
    heads = f"{'source':<10} {'file':>9} {'rows':>10} {'memory':>9} {'waited':>8} {'seconds':>8}"
    print(f"{heads} {'rows/s':>9} {'accuracy':>9}")
    for kind, gigabytes in (("npy", given.gigabytes[0]), ("parquet", given.gigabytes[1]), ("sparse", 0.0)):
        if given.only not in (None, kind):
            continue
        f = measure(kind, gigabytes, given.units if kind != "sparse" else 64, given.batch_size)
        print(
            f"{kind:<10} {f['size'] / 1e9:>6.2f} GB {f['rows']:>10,} {f['memory'] / 1e6:>6.0f} MB {f['waited']:>8.1%} "
            f"{f['seconds']:>8.1f} {f['rows'] / f['seconds']:>9,.0f} {f['accuracy']:>9.3f}"
        )


if __name__ == "__main__":
    main()
