"""How long does one row take? A network of 784-64-10, ReLU and softmax, by everything that can run it here.

    python benchmarks/latency.py [--seconds 0.2] [--rounds 7]

C programs link the library inside the installed package, or include the header that `export_c` wrote; peers are
onnxruntime, PyTorch, scikit-learn and emlearn's C where they are installed. Each way runs for a while by turns; the
best and the median of the rounds are printed, in microseconds for each row. All on one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pynn

CLOCK = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static float x[784], y[10];
#define TIMED(call)                                                  \\
  double seconds = atof(argv[1]), sum = 0, begin = now(), end;       \\
  long n = 0;                                                        \\
  do {                                                               \\
    for (int i = 0; i < 100; i++, n++) { call; sum += (double)y[0]; x[n % 784] += 1e-3f; } \\
  } while ((end = now()) - begin < seconds);                         \\
  printf("%.6f %g\\n", 1e6 * (end - begin) / (double)n, sum);
"""
LIBRARY = (
    CLOCK
    + """
#include <pynn.h>
int main(int argc, char **argv) {
  pynn_context_options options;
  pynn_context *context;
  pynn_model *model;
  pynn_workspace *workspace;
  pynn_context_options_init(&options);
  options.threads = 1;
  if (argc != 3 || pynn_context_new(&context, &options) || pynn_load(&model, context, argv[2], NULL)) return 1;
  if (pynn_workspace_new(&workspace, model)) return 1;
  const pynn_array row = pynn_matrix(x, PYNN_FLOAT32, 1, 784);
  TIMED(if (pynn_predict(model, workspace, &row, 0, PYNN_FLOAT32, y, NULL)) return 1)
  return 0;
}
"""
)
HEADER = CLOCK + '#include "net.h"\nint main(int argc, char **argv) {\n  (void)argc;\n  TIMED(net_predict(x, y))\n}\n'
EMLEARN = (
    CLOCK
    + '#include "peer.h"\nint main(int argc, char **argv) {\n  (void)argc;\n'
    + "  TIMED(y[0] = (float)peer_predict(x, 784))\n}\n"
)


def compiled(name: str, text: str, folder: Path, *flags: str) -> Path:
    source = folder / f"{name}.c"
    source.write_text(text)
    command = ["cc", "-std=gnu11", "-ffp-contract=off", f"-I{folder}", str(source), "-o", str(folder / name), *flags]
    subprocess.run(command, check=True)
    return folder / name


def program(path: Path, *arguments: str) -> Callable[[float], float]:
    def run(seconds: float) -> float:
        out = subprocess.run([path, str(seconds), *arguments], capture_output=True, text=True, check=True).stdout
        return float(out.split()[0])

    return run


def python(call: Callable[[], object]) -> Callable[[float], float]:
    def run(seconds: float) -> float:
        n, begin = 0, time.perf_counter()
        while (end := time.perf_counter()) - begin < seconds:
            for _ in range(100):
                call()
            n += 100
        return 1e6 * (end - begin) / n

    return run


def with_onnxruntime(model: pynn.Sequential, x: np.ndarray) -> Callable[[float], float]:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    names = ["W0", "b0", "W1", "b1"]
    values = [part for layer in model.layers for part in (layer.kernel, layer.bias)]
    nodes = [
        helper.make_node("Gemm", ["x", "W0", "b0"], ["z"]),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("Gemm", ["h", "W1", "b1"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 784])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in zip(names, values, strict=True)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x})[0], model.predict(x), atol=1e-5)
    return python(lambda: session.run(None, {"x": x}))


def with_torch(model: pynn.Sequential, x: np.ndarray) -> Callable[[float], float]:
    import torch

    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10), torch.nn.Softmax(-1))
    with torch.no_grad():
        for module, layer in zip((net[0], net[2]), model.layers, strict=True):
            module.weight.copy_(torch.from_numpy(layer.kernel.T.copy()))
            module.bias.copy_(torch.from_numpy(layer.bias.copy()))
    row = torch.from_numpy(x)

    def call() -> object:
        with torch.inference_mode():
            return net(row)

    assert np.allclose(call().numpy(), model.predict(x), atol=1e-5)
    return python(call)


def peer_mlp(model: pynn.Sequential):
    """A scikit-learn network with the same weights."""
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(hidden_layer_sizes=(64,), max_iter=1)
    rng = np.random.default_rng(0)
    net._validate_params = lambda: None
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(rng.normal(size=(20, 784)).astype(np.float32), np.arange(20) % 10)
    net.coefs_ = [np.array(layer.kernel) for layer in model.layers]
    net.intercepts_ = [np.array(layer.bias) for layer in model.layers]
    return net


def with_sklearn(model: pynn.Sequential, x: np.ndarray) -> Callable[[float], float]:
    net = peer_mlp(model)
    assert np.allclose(net.predict_proba(x), model.predict(x), atol=1e-5)
    return python(lambda: net.predict_proba(x))


def with_emlearn(model: pynn.Sequential, folder: Path) -> Callable[[float], float]:
    import emlearn

    converted = emlearn.convert(peer_mlp(model), method="inline", dtype="float")
    converted.save(file=str(folder / "peer.h"), name="peer")
    return program(compiled("peer", EMLEARN, folder, "-O3", f"-I{emlearn.includedir}", "-lm"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    pynn.set_num_threads(1)
    model = pynn.Sequential([pynn.Dense(64, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile(loss="softmax_cross_entropy")
    model.build(784)
    x = np.random.default_rng(0).random((1, 784), np.float32)

    folder = Path(tempfile.mkdtemp())
    ways: dict[str, Callable[[float], float]] = {}
    try:
        model.save(folder / "net.safetensors")
        model.export_c(folder / "net.h")
        link = [f"-I{pynn.get_include()}", f"-L{pynn.get_library_dir()}", "-lpynn", "-lm", "-pthread"]
        library = compiled("library", LIBRARY, folder, "-O2", *link)
        ways["pynn, C library"] = program(library, str(folder / "net.safetensors"))
        ways["pynn, exported header, -O3 -march=native"] = program(
            compiled("native", HEADER, folder, "-O3", "-march=native")
        )
        ways["pynn, exported header, -O2"] = program(compiled("plain", HEADER, folder, "-O2"))
        ways["pynn, Python"] = python(lambda: model.predict(x))
        for name, add in (
            ("onnxruntime", lambda: with_onnxruntime(model, x)),
            ("torch", lambda: with_torch(model, x)),
            ("sklearn", lambda: with_sklearn(model, x)),
            ("emlearn", lambda: with_emlearn(model, folder)),
        ):
            if importlib.util.find_spec(name) is None:
                print(f"{name} is not installed: left out")
                continue
            label = {"onnxruntime": "onnxruntime, Python", "torch": "PyTorch", "sklearn": "scikit-learn"}
            ways[label.get(name, f"{name}, C, -O3")] = add()
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                taken[name].append(way(options.seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'784-64-10, one row':44} {'best':>9} {'median':>9}  us")
    for name, times in taken.items():
        print(f"{name:44} {min(times):9.2f} {statistics.median(times):9.2f}")


if __name__ == "__main__":
    main()
