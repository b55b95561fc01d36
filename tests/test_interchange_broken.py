"""Broken files of other programs: an error of pynn, or right shapes; never another error.

All truncations and a sample of flipped bytes; ``benchmarks/interchange_flips.py`` has 10,000 of each kind, in child
processes.
"""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

import pynn

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "interchange_flips.py"


@pytest.fixture(scope="module")
def flips():
    if not SCRIPT.exists():
        pytest.skip("the benchmarks are not there")
    spec = importlib.util.spec_from_file_location("interchange_flips", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(flips, tmp_path_factory):
    """A file of each kind, as pynn, torch and safetensors write them; returns bytes and readers by name."""
    pytest.importorskip("h5py")
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    folder = tmp_path_factory.mktemp("made")
    model = flips.model()
    model.compile("mse", pynn.Adam(early_epsilon=True))
    model.fit(np.ones((4, 6)), np.ones((4, 3)))
    model.export_keras(folder / "m.keras")
    net = model.to_torch()
    torch.save(net.state_dict(), folder / "weights.pt")
    save_file({name: tensor.numpy() for name, tensor in net.state_dict().items()}, folder / "w.safetensors")
    flips.fann(folder / "m.net")
    readers = {"m.keras": flips.whole, "weights.pt": flips.into, "w.safetensors": flips.into, "m.net": flips.whole}
    return {name: ((folder / name).read_bytes(), read) for name, read in readers.items()}


def read(path, data, reader):
    """Read changed bytes; True for a model."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = reader(path)
        except pynn.PynnError:
            return False
    return found.predict(np.ones((2, found.inputs)), guard="off").shape == (2, found.outputs)


KINDS = ["m.keras", "weights.pt", "w.safetensors", "m.net"]


@pytest.mark.parametrize("name", KINDS)
def test_every_whole_file_is_read(made, name, tmp_path):
    assert read(tmp_path / name, *made[name])


@pytest.mark.parametrize("name", KINDS)
def test_truncations_are_refused(made, name, tmp_path):
    data, reader = made[name]
    for size in np.unique(np.linspace(0, len(data) - 2, 150).astype(int)):
        shorter = data[:size]
        if name == "m.net" and shorter.rstrip() == data.rstrip():
            continue
        assert not read(tmp_path / name, shorter, reader), size


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bytes_are_refused_or_leave_the_shapes(made, flips, name, tmp_path):
    data, reader = made[name]
    rng = np.random.default_rng(1)
    outcomes = {read(tmp_path / name, flips.flip(rng)(data), reader) for _ in range(200)}
    assert outcomes <= {True, False}
    assert False in outcomes
