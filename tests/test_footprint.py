"""What `fit` and `predict` take of memory beyond the data they are given; what the package takes of a download."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import pynn

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")

# Prints by how many MB the peak of resident memory in `work` exceeds what was resident before it.
MEASURED = """
import numpy as np, pynn

def resident(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1]) / 1024

X = np.empty(({rows}, 784), {dtype!r})  # filled in place: no temporaries that would hide a copy
rng = np.random.default_rng(0)
for i in range(0, len(X), 1000):
    X[i:i + 1000] = rng.integers(0, 2, (len(X[i:i + 1000]), 784))
y = rng.integers(0, 10, len(X))
model = pynn.Sequential([pynn.Dense({units}, activation="relu"), pynn.Dense(10)], seed=0)
model.compile(loss="softmax_cross_entropy", optimizer="adam")
model.fit(X[:256], y[:256], epochs=1, verbose=0)  # libraries are loaded, memory for the step is there
{before}
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from now
before = resident("VmRSS")
{work}
print(resident("VmHWM") - before)
"""


def megabytes(work, rows=30_000, dtype="float32", units=64, before=""):
    code = MEASURED.format(rows=rows, dtype=dtype, units=units, work=work, before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "clear_refs" in done.stderr:
        pytest.skip("the peak of memory cannot be reset here")
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_fit_takes_no_copy_of_the_data():
    """94 MB of data, 0.8 million parameters: gradient, two states of Adam, the step's scratch, and 64 MB at most."""
    new = "model = pynn.Sequential(model.layers, seed=1); model.compile(loss='softmax_cross_entropy', optimizer='adam')"
    assert (
        megabytes(f"{new}\nmodel.fit(X, y, epochs=1, batch_size=500, verbose=0)", units=1000)
        < 4 * 0.8 * (2 + 2) + 10 + 64
    )


@pytest.mark.parametrize("layout", ["X = np.asfortranarray(X)", "X = X[::-1]"])
def test_nor_of_data_in_another_layout(layout):
    assert megabytes("model.fit(X, y, epochs=1, batch_size=500, verbose=0)", before=layout) < 64


def test_nor_of_another_dtype():
    assert megabytes("model.fit(X, y, epochs=1, batch_size=500, verbose=0)", rows=120_000, dtype="uint8") < 64


def test_predictions_take_no_more_than_they_return():
    assert megabytes("p = model.predict(X)") < 30_000 * 10 * 4 / 2**20 + 16
    assert megabytes("model.evaluate(X, y)") < 16


def test_the_package_with_digits_and_library_takes_less_than_4_mb():
    """As a wheel holds it: each file deflated by itself."""
    package = Path(pynn.__file__).parent
    shipped = (".py", ".pyi", ".pxd", ".so", ".a", ".h", ".c", ".gz", ".md", ".cmake", ".pc")
    files = [f for f in package.rglob("*") if f.suffix in shipped and f.name != "_core.c"]
    assert {"libpynn.a", "train-images-idx3-ubyte.gz"} <= {f.name for f in files}
    assert sum(len(zlib.compress(f.read_bytes())) for f in files) < 3_990_000  # the rest is the wheel's own
