"""Random networks against the programs they go to and come from: the largest difference of outputs, by program.

    python benchmarks/interchange.py [networks]

Takes torch, keras (on torch), scikit-learn and libfann; what is missing is left out. Differences are divided by the
largest output of the network (at least 1). The last columns count the rows with a NaN or an infinite cell to which the
program gives a finite answer, and those to which pynn does.
"""

import ctypes
import ctypes.util
import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

import pynn

warnings.simplefilter("ignore")
ACTIVATIONS = list(pynn.activations.table.rows)
ROWS = 64


def draw(rng, dtype, activations=ACTIVATIONS, normalized=True):
    """A network of random layers, trained for a moment so that no number is its first one."""
    inputs, layers = int(rng.integers(1, 40)), []
    if normalized and rng.random() < 0.5:
        layers.append(pynn.Normalization())
    for _ in range(rng.integers(1, 5)):
        width, activation = int(rng.integers(1, 65)), str(rng.choice(activations))
        block = [pynn.Dense(width, activation=activation, use_bias=bool(rng.integers(2)))]
        if normalized:
            inner = [pynn.LayerNormalization(), pynn.Dense(width, activation=activation)]
            extra = [pynn.BatchNormalization(), pynn.LayerNormalization(), pynn.Dropout(0.1)]
            extra += [pynn.Activation(activation), pynn.Residual(inner)]
            block += [extra[rng.integers(len(extra))]]
        layers += block
    layers.append(pynn.Dense(int(rng.integers(1, 12))))
    model = pynn.Sequential(layers, seed=int(rng.integers(1 << 30)), dtype=dtype)
    model.compile("mse", pynn.Adam(1e-3, early_epsilon=True))
    x = rng.normal(size=(ROWS, inputs))
    model.fit(x, rng.normal(size=(ROWS, model.outputs)), epochs=2, guard="off")
    if not np.isfinite(model.predict(x, raw=True, guard="off")).all():
        return draw(rng, dtype, activations, normalized)  # exponentials of exponentials
    bad = x[:4].copy()
    bad[0, 0], bad[1, 0], bad[2, 0] = np.nan, np.inf, -np.inf
    return model, x, bad[:3]


class Table:
    """Largest difference, and rows that are answered in spite of a bad cell."""

    def __init__(self, name):
        self.name, self.worst, self.count, self.refused = name, {}, 0, 0
        self.finite = [0, 0]

    def add(self, dtype, expected, found, bad=()):
        scale = max(1.0, np.abs(expected).max())
        if np.isfinite(expected).all():
            self.worst[dtype] = max(self.worst.get(dtype, 0), np.abs(found - expected).max() / scale)
        for i, rows in enumerate(bad):
            self.finite[i] += int(np.isfinite(rows).all(axis=1).sum())
        self.count += 1

    def show(self):
        worst = ", ".join(f"{dtype} {value:.1e}" for dtype, value in sorted(self.worst.items()))
        print(f"{self.name:28} {self.count:4} networks, {self.refused:3} refused: {worst}; finite answers to bad rows "
              f"{self.finite[0]} (pynn {self.finite[1]})", flush=True)  # fmt: skip


def predict_bad(model, x):
    return model.predict(x, guard="off", raw=True)


def torch_out(rng, count):
    torch = importlib.import_module("torch")
    out, back = Table(f"pynn -> PyTorch {torch.__version__}"), Table("PyTorch -> pynn")
    for i in range(count):
        dtype = ("float32", "float64")[i % 2]
        model, x, bad = draw(rng, dtype)
        module = model.to_torch()
        with torch.no_grad():
            tensor = torch.tensor(x, dtype=getattr(torch, dtype))
            found = module(tensor).numpy()
            answers = module(torch.tensor(bad, dtype=getattr(torch, dtype))).numpy()
        out.add(dtype, model.predict(x.astype(dtype), raw=True), found, (answers, predict_bad(model, bad)))
        try:
            again = pynn.from_torch(module)
        except pynn.UnsupportedError:
            back.refused += 1  # modules that PyTorch has not, of sums and scales
            continue
        back.add(dtype, found, again.predict(x.astype(dtype)))
    out.show()
    back.show()


def keras_out(rng, count):
    keras, torch = importlib.import_module("keras"), importlib.import_module("torch")
    importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    out, back = Table(f"pynn -> Keras {keras.__version__}"), Table("Keras -> pynn")
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            dtype = ("float32", "float64")[i % 2]
            model, x, bad = draw(rng, dtype)
            path = Path(folder) / "m.keras"
            try:
                model.export_keras(path)
            except pynn.UnsupportedError:
                out.refused += 1
                continue
            keras.config.set_floatx(dtype)
            other = keras.models.load_model(path)
            with torch.no_grad():
                found, answers = (other(z.astype(dtype)).numpy() for z in (x, bad))
            out.add(dtype, model.predict(x.astype(dtype), raw=True), found, (answers, predict_bad(model, bad)))
            other.save(path)
            back.add(dtype, found, pynn.load(path).predict(x.astype(dtype), raw=True))
    out.show()
    back.show()


def sklearn_out(rng, count):
    version = importlib.import_module("sklearn").__version__
    out, back = Table(f"pynn -> scikit-learn {version}"), Table("scikit-learn -> pynn")
    for i in range(count):
        dtype = ("float32", "float64")[i % 2]
        name = str(rng.choice(["linear", "sigmoid", "tanh", "relu"]))
        model, x, _ = draw(rng, dtype, [name], normalized=False)
        mlp = model.to_sklearn()
        found = mlp.predict(x.astype(dtype)).reshape(len(x), -1)
        out.add(dtype, model.predict(x.astype(dtype)), found)
        back.add(dtype, found, pynn.from_sklearn(mlp).predict(x.astype(dtype)))
    out.show()
    back.show()


def fann_in(rng, count):
    name = ctypes.util.find_library("fann")
    if name is None:
        raise ImportError("libfann")
    fann = ctypes.CDLL(name)
    fann.fann_create_standard_array.restype = ctypes.c_void_p
    fann.fann_run.restype = ctypes.POINTER(ctypes.c_float)
    pointer, real = ctypes.c_void_p, ctypes.c_float
    table = Table(f"FANN ({name}) -> pynn")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            sizes = [int(n) for n in rng.integers(1, 30, rng.integers(2, 6))]
            net = pointer(fann.fann_create_standard_array(len(sizes), (ctypes.c_uint * len(sizes))(*sizes)))
            for layer in range(1, len(sizes)):
                fann.fann_set_activation_function_layer(
                    net, int(rng.choice([0, 3, 5, 11], p=[0.1, 0.3, 0.4, 0.2])), layer
                )
                fann.fann_set_activation_steepness_layer(net, real(rng.choice([0.25, 0.5, 1.0])), layer)
            fann.fann_randomize_weights(net, real(-2), real(2))
            path = str(Path(folder) / "m.net")
            fann.fann_save(net, path.encode())
            try:
                model = pynn.load(path)
            except pynn.UnsupportedError:  # a cap that could be reached
                table.refused += 1
                continue
            x = rng.normal(size=(ROWS, sizes[0])).astype(np.float32)
            found = []
            for row in x:
                result = fann.fann_run(net, (real * sizes[0])(*row.tolist()))
                found.append([result[i] for i in range(sizes[-1])])
            table.add("float32", np.array(found), model.predict(x))
            fann.fann_destroy(net)
    table.show()


def main(count):
    for run in (torch_out, keras_out, sklearn_out, fann_in):
        try:
            run(np.random.default_rng(0), count)
        except ImportError as error:
            print(f"{run.__name__}: left out, {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
