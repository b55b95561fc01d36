"""The command ``pynn``: `demo` trains on real digits in seconds, `doctor` tests that this machine computes well."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import _core, activations, blas, datasets, optimizers, plots, runtime
from .callbacks import Callback
from .errors import PynnError
from .layers import Dense
from .model import Sequential

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 something is wrong, 2 bad arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except (PynnError, OSError) as error:
        print(f"pynn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npynn: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pynn", description="Dense neural networks on the CPU: fast, exact, and never silently wrong."
    )
    parser.add_argument("--version", action="version", version=f"pynn {_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train on 7,000 real handwritten digits, in seconds",
        description="Train a 784-128-10 network on the bundled MNIST digits, save it and draw the learning curve.",
    )
    demo.add_argument("story", nargs="?", choices=["nan"], help="nan: two trainings that go wrong, and what is said")
    demo.add_argument("--epochs", type=_number(1, 10_000), default=10, metavar="N", help="default: 10")
    demo.add_argument("--seed", type=_number(0, 2**64 - 1), default=0, metavar="N", help="default: 0")
    demo.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to write; default: here")
    demo.set_defaults(run=_demo)
    doctor = commands.add_parser(
        "doctor",
        help="processor, BLAS, threads, versions, and a two-second self-test",
        description="Tell how pynn computes on this machine and test that it does. Exit status 0: all is well.",
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"expected a whole number in {minimum} ... {maximum}; received {text!r}")
        return int(text)

    return parse


# ---- demo


class _Table(Callback):
    """Prints a row for each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if epoch == 0:
            print(
                f"{'epoch':>5}  {'loss':>7}  {'accuracy':>8}  {'test loss':>9}  {'test accuracy':>13}  {'seconds':>7}"
            )
        print(
            f"{epoch + 1:>5}  {logs['loss']:>7.4f}  {100 * logs['accuracy']:>6.2f} %  {logs['val_loss']:>9.4f}  "
            f"{100 * logs['val_accuracy']:>11.2f} %  {logs.get('seconds', float('nan')):>7.2f}",
            flush=True,
        )


def _demo(options: argparse.Namespace) -> int:
    if options.story == "nan":
        from . import demo_nan

        return demo_nan.run(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    (X, y), (Xt, yt) = datasets.digits()
    model = Sequential([Dense(128, activation="relu"), Dense(10)], seed=options.seed)
    model.compile(loss="softmax_cross_entropy", optimizer=optimizers.Adam(learning_rate=1e-3), metrics=["accuracy"])
    print(f"Training 784-128-10 (ReLU, Adam 0.001, batches of 64) on {len(X):,} real handwritten digits.\n")
    start = time.perf_counter()
    history = model.fit(
        X, y, epochs=options.epochs, batch_size=64, validation_data=(Xt, yt), callbacks=[_Table()], verbose=0
    )
    seconds = time.perf_counter() - start
    if not len(history):
        raise KeyboardInterrupt
    accuracy = model.evaluate(Xt, yt)["accuracy"]
    wrong = round((1 - accuracy) * len(Xt))
    print(
        f"\nTest accuracy {100 * accuracy:.2f} %: {len(Xt) - wrong} of {len(Xt):,} digits it had never seen, "
        f"after {seconds:.1f} s of training.\n"
    )
    path = options.out / "digits.safetensors"
    model.save(path)
    print(f"  model           {path}\n  learning curve  {_draw(history, options.out)}\n")
    print("Use it:\n")
    print("    import pynn")
    print(f"    model = pynn.load({str(path)!r})")
    print("    model.predict(pynn.datasets.digits()[1][0][:1]).argmax()")
    print(f"\nThe first test digit is a {yt[0]}; the model says {model.predict(Xt[:1]).argmax()}.")
    return 0


def _draw(history: Any, folder: Path) -> Path:
    """The learning curve as a picture, or without matplotlib as text, on the terminal too."""
    try:
        path = folder / "learning_curve.png"
        plots.save_learning_curve(history, path, title="784-128-10 on MNIST digits")
    except plots.MissingDependencyError:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
        charts = (plots.text_curve(history, metric=m, unicode=unicode) for m in ("loss", "accuracy"))
        text = "\n\n".join(charts)
        path = folder / "learning_curve.txt"
        path.write_text(text + "\n", encoding="utf-8")
        print(text + "\n\n(A picture instead: pip install 'pynn-dense[plot]')\n")
    return path


# ---- doctor


def _doctor(options: argparse.Namespace) -> int:
    context = runtime.context()
    facts = {
        "processor": f"{_processor()}, {os.cpu_count()} visible",
        "kernels": f"{context.cpu}{' (PYNN_CPU)' if os.environ.get('PYNN_CPU') else ''}",
        "threads": f"{context.threads}{' (PYNN_NUM_THREADS)' if os.environ.get('PYNN_NUM_THREADS') else ''}",
        "BLAS": blas.current(),
        "pynn": f"{_core.__version__} in {Path(__file__).parent}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()}) on {platform.platform()}",
        "NumPy, SciPy": f"{np.__version__}, {_version('scipy')}",
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
    library = blas.default()
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


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
