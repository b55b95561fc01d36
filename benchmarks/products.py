"""How fast are the own kernels' products beside OpenBLAS and MKL? One thread, the three products of a layer.

    python benchmarks/products.py [--quick] [--rows 784x128,b512] [--dtype float32] [--mkl FILE] [--output DIRECTORY]

Run it where the package was built in place (`pip install -e .`): the kernels' objects are linked as they are.
Contestants take turns, each turn lasts 0.3 ms at least, and what counts is the fastest of its turns, in processor time.
PYNN_CPU chooses the kernels; for a fair match under PYNN_CPU=avx2 also set OPENBLAS_CORETYPE=Haswell and
MKL_ENABLE_INSTRUCTIONS=AVX2. MKL counts if `pynn.blas.use("mkl")` finds it, or in the file given.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_THREADING_LAYER", "SEQUENTIAL")

import measure
import numpy as np

import pynn

KINDS = ["forward", "dW", "dX"]
# (rows, inputs, units), beside those of the speed table: batches, widths and edges of every kind
ODD = [(1, 1000, 1000), (2, 300, 300), (7, 130, 170), (16, 2048, 256), (33, 100, 50), (50, 513, 1025),
       (64, 64, 4096), (64, 4096, 64), (77, 333, 222), (100, 30, 500), (128, 1023, 1), (200, 300, 100),
       (256, 256, 256), (256, 50, 3000), (300, 700, 900), (512, 512, 512), (1000, 20, 64), (1000, 784, 128),
       (2048, 100, 10), (4096, 64, 64)]  # fmt: skip


class Product(ctypes.Structure):
    """`struct product` of products.c."""

    _fields_ = [(name, ctypes.c_int64) for name in ("kind", "rows", "inputs", "units")]
    _fields_ += [(name, ctypes.c_void_p) for name in ("left", "right", "out", "room")]


def library() -> ctypes.CDLL:
    """products.c and the kernels' objects, linked."""
    objects = sorted(measure.ROOT.glob("build/temp.*/kernels-*/csrc/src/kernels/kernels_f*.o"))
    if not objects:
        raise SystemExit("expected the kernels' objects in build/: build in place first, pip install -e .")
    path = Path(tempfile.mkdtemp()) / "products.so"
    command = ["gcc", "-O2", "-shared", "-fPIC", f"-I{measure.ROOT}/csrc/include", f"-I{measure.ROOT}/csrc/src"]
    subprocess.run([*command, "benchmarks/products.c", *objects, "-lm", "-o", path], check=True, cwd=measure.ROOT)
    loaded = ctypes.CDLL(str(path))
    loaded.time_own.restype = loaded.time_blas.restype = ctypes.c_double
    return loaded


def shapes() -> list[tuple[str, int, int, int]]:
    """(kind, rows, inputs, units): the speed table's, without dX of first layers, and the odd ones."""
    found: dict[tuple[str, int, int, int], None] = {}
    for sizes, batch, _ in measure.NETWORKS.values():
        for layer, (inputs, units) in enumerate(itertools.pairwise(sizes)):
            found |= {(kind, batch, inputs, units): None for kind in KINDS[: 2 + (layer > 0)]}
    found |= {(KINDS[i % 3], *shape): None for i, shape in enumerate(ODD)}
    return list(found)


def libraries(mkl: str | None) -> dict[str, pynn.blas.Library]:
    """The BLASes to compete with, each on one thread."""
    found = {}
    for name, which in {"OpenBLAS": "scipy", "MKL": mkl or "mkl"}.items():
        try:
            pynn.blas.use(which)
        except pynn.PynnError as error:
            print(f"without {name}: {error}")
            continue
        found[name] = pynn.runtime._blas
        if found[name].set_threads:
            ctypes.CFUNCTYPE(None, ctypes.c_int)(found[name].set_threads)(1)
    pynn.blas.use("none")
    return found


def times(own: ctypes.CDLL, others: dict[str, Any], shape: tuple[str, int, int, int], bits: int, least: float) -> dict:
    """Least seconds of one product for each contestant, in turns for `least` seconds each."""
    kind, rows, inputs, units = shape
    sizes = {"X": (rows, inputs), "W": (inputs, units), "Y": (rows, units)}
    names = {"forward": ("X", "W", "Y"), "dW": ("X", "Y", "W"), "dX": ("Y", "W", "X")}[kind]
    random = np.random.default_rng(0)
    left, right, out = (random.normal(size=sizes[name]).astype(f"f{bits // 8}") for name in names)
    room = np.empty((rows + 64) * max(inputs, units), left.dtype)
    product = Product(KINDS.index(kind), rows, inputs, units, *(a.ctypes.data for a in (left, right, out, room)))
    target = pynn.runtime.context().cpu.encode()
    repeats = max(1, round(0.3e-3 * 60e9 / (2 * rows * inputs * units)))
    calls = {"own": lambda n: own.time_own(target, bits, ctypes.byref(product), n)}
    for name, blas in others.items():
        gemm = ctypes.c_void_p(blas.sgemm if bits == 32 else blas.dgemm)
        calls[name] = lambda n, gemm=gemm: own.time_blas(gemm, bits, ctypes.byref(product), n)
    expected = {"forward": lambda: left @ right, "dW": lambda: left.T @ right, "dX": lambda: left @ right.T}[kind]()
    found = dict.fromkeys(calls, float("inf"))
    for name, call in calls.items():
        out[:] = np.nan
        call(1)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-3 * np.sqrt(out.size), err_msg=f"{name} {shape}")
    begin, turns = time.perf_counter(), 0
    while turns < 5 or time.perf_counter() - begin < least * len(calls):
        for name in sorted(calls, key=lambda name: (hash(name) + turns) % 7):
            found[name] = min(found[name], calls[name](repeats))
        turns += 1
    return found


def summary(rows: list[dict]) -> dict[str, float]:
    ratios = [row["own_by_best"] for row in rows]
    return {"geometric_mean": measure.mean_ratio(ratios), "least": min(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the time")
    parser.add_argument("--rows", help="comma-separated parts of names, such as dX,b512,784x128")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--mkl", help="the file of MKL (libmkl_rt)")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    own, others = library(), libraries(options.mkl)
    record: dict[str, Any] = measure.about(("mkl",)) | {"coretype": os.environ.get("OPENBLAS_CORETYPE"), "products": {}}
    for dtype in [options.dtype] if options.dtype else ["float32", "float64"]:
        print(f"\n{dtype}, {pynn.runtime.context().cpu}, GF/s".ljust(34), *(f"{n:>9}" for n in ["own", *others]))
        rows = record["products"][dtype] = []
        named = {f"{kind} b{r} {i}x{u}": (kind, r, i, u) for kind, r, i, u in shapes()}
        for name in measure.matching(named, options.rows):
            shape = named[name]
            seconds = times(own, others, shape, 32 if dtype == "float32" else 64, 0.1 if options.quick else 0.5)
            gflops = {who: 2e-9 * shape[1] * shape[2] * shape[3] / t for who, t in seconds.items()}
            rows.append({"product": name, "gflops": gflops})
            rows[-1]["own_by_best"] = gflops["own"] / max((gflops[n] for n in others), default=float("nan"))
            print(f"{name:32}", *(f"{v:9.1f}" for v in gflops.values()), f"{rows[-1]['own_by_best']:7.2f}", flush=True)
        record[dtype] = summary(rows)
        print(f"own against the faster of {', '.join(others)}:", {k: round(v, 3) for k, v in record[dtype].items()})
    if options.output or not (options.quick or options.rows or options.dtype):
        folder = options.output or measure.ROOT / "benchmarks" / "results"
        measure.write(record, folder / f"products-{pynn.runtime.context().cpu}.json")


if __name__ == "__main__":
    main()
