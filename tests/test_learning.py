"""It learns as well as PyTorch does: the comparison of benchmarks/accuracy.py, on three seeds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def accuracy():
    path = Path(__file__).parent.parent / "benchmarks" / "accuracy.py"
    spec = importlib.util.spec_from_file_location("accuracy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("optimizer", ["Adam 0.001", "SGD 0.05, momentum 0.9"])
def test_digits_are_learnt_as_well_as_by_pytorch(accuracy, optimizer):
    ours, same_start, own_defaults = np.mean([accuracy.digits(optimizer, seed) for seed in range(3)], axis=0)
    assert ours > 93
    assert abs(ours - same_start) < 0.5
    assert ours > own_defaults - 0.5


def test_regression_is_as_good_as_pytorch(accuracy):
    scores = np.array([accuracy.diabetes("Adam 0.001", seed) for seed in range(3)])
    assert np.abs(scores[:, 0] - scores[:, 1]).max() < 0.02
    assert scores[:, 0].mean() > 0.35
