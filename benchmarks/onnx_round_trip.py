"""Round trips of random networks through ONNX: pynn against onnxruntime and, where it is installed, OpenVINO.

    python benchmarks/onnx_round_trip.py [--networks 200] [--seed 0] [--output benchmarks/results/onnx_round_trip.json]

Each network has layers, activations, widths, dtype and options of the export drawn at random, and tensors as they are
after a few steps of training; one that overflows in them is drawn again. The error of a runtime is the largest
difference of its logits from pynn's, as a share of the scale of the last layer: the largest sum of |inputs| |weights| +
|bias| over rows and units, which is what rounding goes by. Those beyond the limit are listed with their layers and with
pynn's own error, of float32 against float64 with the same tensors. A last set of rows has a NaN or an infinity in each:
how many of them give the same, NaN where pynn gives NaN, and what the others give.
"""

import argparse
import collections
import json
import os
import platform
import tempfile
import warnings

import numpy as np
import onnxruntime

import pynn

LIMITS = {"float32": 5e-7, "float64": 1e-12}
WIDTHS = (1, 2, 3, 5, 8, 16, 33, 64, 127)
ACTIVATIONS = list(pynn.activations.table.rows)


def drawn(generator, first):
    """A random list of layers for 9 inputs; `first` is the activation that it has to have."""
    layers, width = [], int(generator.choice(WIDTHS))
    start = generator.integers(4)
    if start == 0:
        layers.append(pynn.Normalization(str(generator.choice(["standard", "minmax", "robust"]))))
    elif start == 1:
        layers += [pynn.Normalization(missing="nonfinite", clip=3.0, columns=range(7)),
                   pynn.Categorical([7, 8], generator.choice([None, 1, 3]), [4, 6])]  # fmt: skip
    elif start == 2:
        layers.append(pynn.Normalization(missing="mean"))
    layers.append(pynn.Dense(width, activation=first))
    for _ in range(generator.integers(3)):
        activation = str(generator.choice(ACTIVATIONS))
        kind = generator.integers(5)
        if kind == 0:
            layers += [pynn.BatchNormalization(), pynn.Activation(activation)]
        elif kind == 1:
            layers.append(pynn.Residual([pynn.LayerNormalization(), pynn.Dense(width, activation=activation)]))
        elif kind == 2:
            layers += [pynn.Dropout(0.1), pynn.GaussianNoise(0.1)]
        elif kind == 3:
            layers.append(
                pynn.LayerNormalization(center=bool(generator.integers(2)), scale=bool(generator.integers(2)))
            )
        else:
            width = int(generator.choice(WIDTHS))
            layers.append(pynn.Dense(width, activation=activation, use_bias=bool(generator.integers(2))))
    return [*layers, pynn.Dense(int(generator.integers(1, 6)))]


def rows(generator, count, dtype):
    x = generator.normal(size=(count, 9)) * generator.uniform(0.2, 5, 9) + generator.normal(size=9) * 3
    x[:, 7], x[:, 8] = generator.integers(-1, 5, count), generator.integers(-1, 7, count)
    return x.astype(dtype)


def trained(generator, layers, x, dtype):
    model = pynn.Sequential(layers, seed=int(generator.integers(1 << 30)), dtype=dtype)
    outputs = layers[-1].units
    model.compile("mse", pynn.SGD(learning_rate=1e-3), target_scaling="standard")
    model.fit(x, generator.normal(size=(len(x), outputs)) * 10 + 5, epochs=1, verbose=0, guard="skip")
    return model


def scale(model, x):
    """Of the last layer: the largest sum of |inputs| |weights| + |bias|."""
    cut = model._network.cut(len(model.layers) - 1)
    given = np.empty((len(x), cut.outputs), model.dtype)
    cut.predict(x, given, True, False)
    last = model.layers[-1]
    return float((np.abs(given.astype(np.float64)) @ np.abs(last.kernel) + np.abs(last.bias)).max())


def own_error(model, x, expected):
    """Of float32 against float64 with the same tensors."""
    network, exact = model._network.copy("float64"), np.empty(expected.shape)
    network.core.predict(x.astype(np.float64), exact, True, False)
    return float(np.abs(exact - expected).max())


def in_onnxruntime(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"X": x})[0]


def in_openvino(path):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    return lambda x: next(iter(compiled([x]).values()))


def runtimes():
    found = {f"onnxruntime {onnxruntime.__version__}": in_onnxruntime}
    try:
        import openvino

        found[f"openvino {openvino.__version__.split('-')[0]}"] = in_openvino
    except ImportError:
        pass
    return found


def spoiled(x, generator):
    """Rows with one cell each that is NaN or infinite."""
    x = x[:30].copy()  # cells of the two columns of codes stay
    x[np.arange(len(x)), generator.integers(0, 7, len(x))] = np.resize([np.nan, np.inf, -np.inf], len(x))
    return x


def kinds(found, expected):
    """What a runtime does with spoiled rows, one word a row."""
    words = []
    for mine, other in zip(expected, found, strict=True):
        if np.allclose(mine, other, 1e-4, 1e-5, equal_nan=True):
            words.append("same")
        elif np.isnan(mine).any() and np.isfinite(other).all():
            words.append("numbers for NaN")
        elif np.isfinite(mine).all() and not np.isfinite(other).all():
            words.append("NaN for numbers")
        else:
            words.append("other")
    return words


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    engines = runtimes()
    results = {name: {d: [] for d in LIMITS} for name in engines}
    bad_rows = {name: collections.Counter() for name in engines}
    refused = {name: collections.Counter() for name in engines}
    beyond, counts = collections.defaultdict(list), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        for index in range(options.networks):
            dtype = "float64" if index % 4 == 3 else "float32"
            for attempt in range(100):
                generator = np.random.default_rng([options.seed, index, attempt])
                layers = drawn(generator, ACTIVATIONS[index % len(ACTIVATIONS)])
                x = rows(generator, 200, dtype)
                try:
                    model = trained(generator, layers, x, dtype)
                    break
                except pynn.NumericalError:
                    counts["drawn again"] += 1
            arguments = {
                "gemm": bool(generator.integers(2)),
                "opset": int(generator.choice([18, 20, 21, 22])),
                "logits": True,
            }
            model.export_onnx(path, **arguments)
            expected = model.predict(x, raw=True, guard="off")
            finite = np.isfinite(expected).all(axis=1)  # exponentials of exponentials overflow in some rows
            counts["rows"] += int(finite.sum())
            x, expected = x[finite], expected[finite]
            if not len(x):
                continue
            size, bad = scale(model, x), spoiled(x, generator)
            bad_expected = model.predict(bad, raw=True, guard="off")
            for name, engine in engines.items():
                try:
                    run = engine(path)
                except Exception as error:
                    refused[name][f"{dtype}: {str(error).splitlines()[0][:90]}"] += 1
                    continue
                error = float(np.abs(run(x) - expected).max() / size)
                results[name][dtype].append(error)
                if error > LIMITS[dtype]:
                    own = float(f"{own_error(model, x, expected) / size:.1e}")
                    beyond[name, dtype].append({"error": float(f"{error:.1e}"), "own": own, "layers": repr(layers)})
                bad_rows[name].update(kinds(run(bad), bad_expected))
    report = {
        "networks": options.networks,
        "seed": options.seed,
        **counts,
        "processor": platform.machine(),
        "runtimes": {},
    }
    for name in engines:
        entry = {}
        for dtype, errors in results[name].items():
            entry[dtype] = {
                "networks": len(errors), "limit": LIMITS[dtype],
                "beyond": int(np.sum(np.array(errors) > LIMITS[dtype])),
                "median": float(f"{np.median(errors):.2g}"), "largest": float(f"{max(errors):.2g}"),
                "beyond_are": beyond[name, dtype] if name.startswith("onnxruntime") or dtype == "float32" else "all",
            }  # fmt: skip
        report["runtimes"][name] = entry | {
            "rows_with_nan_or_inf": dict(bad_rows[name]),
            "refused": dict(refused[name]),
        }
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        with open(options.output, "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
