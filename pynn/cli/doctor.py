"""``pynn doctor``: check how this machine computes."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import _core, activations, blas, optimizers, runtime
from ..errors import UnsupportedError
from ..layers.dense import Dense
from ..model import Sequential


def run(options: argparse.Namespace) -> int:
    context = runtime.context()
    facts = {
        "processor": f"{_processor()}, {os.cpu_count()} visible",
        "kernels": f"{context.cpu}{' (PYNN_CPU)' if os.environ.get('PYNN_CPU') else ''}",
        "threads": f"{context.threads}{' (PYNN_NUM_THREADS)' if os.environ.get('PYNN_NUM_THREADS') else ''}",
        "BLAS": blas.current(),
        "pynn": f"{_core.__version__} in {Path(__file__).parent}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()}) on {platform.platform()}",
        "NumPy, SciPy": f"{np.__version__}, {version('scipy')}",
    }
    for name, value in facts.items():
        print(f"{name:<13} {value}")
    print()
    failed = 0
    for name, check in _CHECKS.items():
        try:
            good, text = check()
        except Exception as error:  # whatever is broken, the doctor goes on
            good, text = False, f"{type(error).__name__}: {error}"
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name:<12} {text}", flush=True)
    if failed:
        print(f"\nSomething is wrong: {failed} of {len(_CHECKS)} checks failed. Please report the lines above.")
        return 1
    print("\nAll is well.")
    return 0


def _check_gradients() -> tuple[bool, str]:
    """The gradient of one SGD step against central differences, in float64."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(6, 5)), random.integers(0, 3, 6)
    layers = [Dense(7, activation="tanh"), Dense(3)]
    model = Sequential(layers, seed=1, dtype="float64")
    model.compile(loss="softmax_cross_entropy", optimizer=optimizers.SGD(learning_rate=1.0))
    model.build(5)
    start = model.parameters.copy()
    model.train_step(X, y)
    gradient = start - model.parameters  # the learning rate is 1
    step, differences = 6e-6, np.empty_like(start)
    for i in range(len(start)):
        losses = []
        for sign in (1, -1):
            model.parameters[:] = start
            model.parameters[i] += sign * step
            losses.append(model.evaluate(X, y)["loss"])
        differences[i] = (losses[0] - losses[1]) / (2 * step)
    error = float(np.abs(gradient - differences).max() / np.abs(differences).max())
    return (
        error < 1e-7,
        f"largest difference of {len(start)} from finite differences: {error:.1e} of the largest gradient",
    )


def _check_kernels() -> tuple[bool, str]:
    """Every activation at extreme inputs, in both precisions: a finite input never makes a NaN."""
    names = list(activations.table.rows)
    for dtype in ("float32", "float64"):
        largest = float(np.finfo(dtype).max)
        x = np.array([[0.0], [1e-40], [-1e-40], [1.0], [-1.0], [100.0], [-100.0], [largest], [-largest]])
        for name in names:
            layer = Dense(1, activation=name, kernel_initializer="ones", use_bias=False)
            values = Sequential([layer], dtype=dtype).build(1).predict(x, guard="off")
            if np.isnan(values).any():
                return False, f"{name} in {dtype} gives NaN at x={x[np.isnan(values)][0]:g}"
    return True, f"{len(names)} activations, float32 and float64, no NaN from 0 to the largest number"


def _check_training() -> tuple[bool, str]:
    """Two interleaved spirals: a few epochs must lower the loss far below chance."""
    random = np.random.default_rng(0)
    turn = np.sqrt(random.uniform(size=1000)) * 2 * np.pi
    label = random.integers(0, 2, 1000)
    angle = turn + np.pi * label
    X = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) / (2 * np.pi)
    model = Sequential([Dense(64, "relu"), Dense(64, "relu"), Dense(2)], seed=0)
    model.compile(loss="softmax_cross_entropy", optimizer=optimizers.Adam(learning_rate=0.01), metrics=["accuracy"])
    history = model.fit(X, label, epochs=30, batch_size=50, verbose=0)
    first, last = history[0]["loss"], history[-1]["loss"]
    return last < 0.25 * first, f"two spirals, 30 epochs: loss {first:.3f} -> {last:.3f}"


def _check_speed() -> tuple[bool, str]:
    """The product at the heart of everything, with our own kernel and with SciPy's BLAS, one thread each."""
    from scipy.linalg.blas import sgemm

    rows, inputs, units = 128, 1000, 1000
    X = np.random.default_rng(0).normal(size=(rows, inputs)).astype(np.float32)
    model = Sequential([Dense(units)], seed=0).build(inputs)
    kernel, work = model.layers[0].kernel.copy(), 2e-9 * rows * inputs * units
    threads = runtime.get_num_threads()
    runtime.set_num_threads(1)
    try:
        own = work / _fastest(lambda: model.predict(X))
    finally:
        runtime.set_num_threads(threads)
    text = f"{rows} x {inputs} -> {units}, one thread: own kernel {own:.0f} GF/s"
    with _one_blas_thread() as controlled:
        if controlled:  # C = A B is, column-major, C^T = B^T A^T
            text += f", BLAS {work / _fastest(lambda: sgemm(1.0, kernel.T, X.T)):.0f} GF/s"
    error = float(np.abs(model.predict(X) - X.astype(np.float64) @ kernel).max())
    return error < 1e-3, f"{text}, largest error {error:.0e}"


@contextmanager
def _one_blas_thread() -> Iterator[bool]:
    """SciPy's BLAS on one thread for a while; False where that cannot be said to it."""
    try:
        library = blas.scipy()
    except UnsupportedError:
        library = None
    if library is None or not library.set_threads:
        yield False
        return
    get = ctypes.CFUNCTYPE(ctypes.c_int)(library.get_threads)
    set_ = ctypes.CFUNCTYPE(None, ctypes.c_int)(library.set_threads)
    threads = get()
    set_(1)
    try:
        yield True
    finally:
        set_(threads)


_CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "gradients": _check_gradients,
    "activations": _check_kernels,
    "training": _check_training,
    "product": _check_speed,
}


def _fastest(function: Callable[[], Any], seconds: float = 0.25) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
