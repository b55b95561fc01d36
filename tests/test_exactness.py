"""The same seed, the same bits: at any number of threads, from any source, in any process; and they are on record."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).parent / "recorded_bits.json"
EPOCHS, BATCH = 3, 200


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = pynn.datasets.digits()
    return x[:1100], y[:1100]  # the last batch is half full


@pytest.fixture
def computing():
    """Gives back threads and BLAS as they were."""
    threads, blas = pynn.get_num_threads(), pynn.blas.current()
    yield
    pynn.set_num_threads(threads)
    pynn.blas.use("scipy" if blas.startswith("scipy") else "none")


def make(units=(256, 200), **options):
    """Wide enough that products go to a BLAS, if there is one, and that threads share every kind of work."""
    first, second = units
    layers = [pynn.Dense(first, "relu"), pynn.Dropout(0.1), pynn.Dense(second, "tanh"), pynn.Dense(10)]
    model = pynn.Sequential(layers, seed=7, **options)
    model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=1e-3))
    return model


def bits(model):
    return hashlib.sha256(model.parameters.tobytes()).hexdigest()


def trained(x, y, **options):
    model = make(**options)
    model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return bits(model)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("blas", ["scipy", "none"])
def test_threads_change_no_bit(digits, computing, blas, dtype):
    pynn.blas.use(blas)
    found = {}
    for threads in (1, 2, 3, 4, 8):
        pynn.set_num_threads(threads)
        found[threads] = trained(*digits, dtype=dtype)
    assert len(set(found.values())) == 1, found


def test_sources_and_loops_change_no_bit(digits, tmp_path):
    x, y = digits
    np.save(tmp_path / "x.npy", x)
    loader = lambda: pynn.DataLoader(x, y, batch_size=BATCH, shuffle=True, seed=7)  # noqa: E731
    by_hand, by_loader = make(), make()
    batches = loader()
    for _ in range(EPOCHS):
        for xb, yb in batches:
            assert by_hand.train_step(xb, yb).applied
    by_loader.fit(loader(), epochs=EPOCHS, verbose=0)
    found = {
        "array": trained(x, y),
        "memmap": trained(np.load(tmp_path / "x.npy", mmap_mode="r"), y),
        "loader": bits(by_loader),
        "train_step": bits(by_hand),
    }
    assert len(set(found.values())) == 1, found


LARGE = (1100, 1030)  # longer than any block of the kernels, in every direction
RUN = """
import sys, json
sys.path.insert(0, sys.argv[1])
from test_exactness import *
pynn.blas.use(sys.argv[2])
(x, y), _ = pynn.datasets.digits()
options = json.loads(sys.argv[3])
print(json.dumps([pynn.runtime.provenance()["kernels"], trained(x[:1100], y[:1100], **options)]))
"""


def process(blas, options, **environment):
    command = [sys.executable, "-c", RUN, str(Path(__file__).parent), blas, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    if "expected PYNN_CPU" in done.stderr:
        pytest.skip(f"this processor has no {environment['PYNN_CPU']}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scipys_blas():
    """What OpenBLAS's bits depend on: its version and the kernels it chose for this processor."""
    info = pytest.importorskip("threadpoolctl").threadpool_info()
    blas = [library for library in info if library["user_api"] == "blas"]
    scipys = [library for library in blas if "scipy" in library["filepath"] and "numpy" not in library["filepath"]]
    if not scipys:
        pytest.skip("SciPy's BLAS is none that threadpoolctl knows")
    return f"{scipys[-1]['internal_api']} {scipys[-1]['version']} {scipys[-1]['architecture']}"


@pytest.mark.parametrize("cpu", ["avx2", "avx512"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_bits_without_a_blas_are_the_same_on_every_processor_with_fused_multiply_add(cpu, dtype, size):
    """One record for each dtype. It may change only with a note in the changelog that names its first eight digits."""
    options = {"dtype": dtype} | ({"units": LARGE} if size == "large" else {})
    kernels, found = process("none", options, PYNN_CPU=cpu)
    assert kernels == cpu
    key = f"fused multiply-add, {dtype}, {size}"
    assert found == json.loads(RECORD.read_text())[key], f"{key}: record it, and say so in CHANGELOG.md, if it is meant"


@pytest.mark.parametrize(
    ("cpu", "blas"), [("baseline", "none"), *((cpu, "scipy") for cpu in ("baseline", "avx2", "avx512"))]
)
def test_bits_are_those_on_record(computing, cpu, blas):
    """In a process of its own, for each processor target and BLAS. Without a record there is nothing to compare
    with. A record may change only with a note in the changelog that names its first eight digits."""
    record = json.loads(RECORD.read_text())
    pynn.blas.use(blas)
    key = f"{cpu}, {scipys_blas() if blas == 'scipy' else 'none'}"
    kernels, found = process(blas, {}, PYNN_CPU=cpu)
    assert kernels == cpu
    if key not in record:
        pytest.skip(f"no record of {key}; here it is {found}")
    assert found == record[key], f"{key}: record it, and say so in CHANGELOG.md, if the change is meant"


def test_every_record_is_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for key, value in json.loads(RECORD.read_text()).items():
        assert value[:8] in changelog, f"{key}: expected {value[:8]} in CHANGELOG.md, with the reason for the change"
