"""What all tests share: small data, and a fresh process when one is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest


def pytest_configure():
    """A shell lets what it starts in the background ignore Ctrl-C, and so would all processes that tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded(monkeypatch):
    """Models without a seed get 0, so that a test gives the same result each time."""
    monkeypatch.setattr("pynn.model.draw_seed", lambda: 0)


@pytest.fixture
def points():
    """600 points in the plane and the side of a circle that each is on."""
    x = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    return x, (np.hypot(*x.T) > 1.2).astype(np.int64)


@pytest.fixture
def python():
    """Runs code in a fresh interpreter and returns what it printed."""

    def run(code: str, **environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, timeout=300
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


@pytest.fixture
def in_threads():
    """Runs work in so many threads at once, to its end."""

    def run(work: Callable[[], object], n: int) -> None:
        threads = [threading.Thread(target=work) for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run
