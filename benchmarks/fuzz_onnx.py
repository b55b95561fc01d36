"""Fuzz the ONNX reader: mutate small models, read them, and compare what is accepted with onnxruntime.

    python benchmarks/fuzz_onnx.py [--seconds 600] [--seed 0] [--against 0.2]

Half of the mutants are made of bytes (flips, cuts, insertions, pieces of another model), half of the message (another
operator, input, attribute, size, length, order, type). Each must end in a model or in an error of pynn. A share of the
accepted ones, `--against`, is run in onnxruntime too, in another process: where that takes the graph, predictions have
to agree. The address space is limited, and the peak of the resident memory is in the last line, which is JSON. Exit
status 1 if anything failed.
"""

import argparse
import collections
import contextlib
import io
import json
import multiprocessing
import pathlib
import resource
import sys
import tempfile
import time
import warnings
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import pynn

ROOM = 2 << 30  # bytes of address space beside what is taken at the start
TOLERANCE = 1e-4  # of the largest prediction: mutants have weights of any size
OPS = [
    "Relu", "Sigmoid", "Tanh", "Gelu", "Elu", "Softplus", "Add", "Mul", "Sub", "Div", "MatMul", "Gemm", "Identity",
    "Neg", "Softmax", "LayerNormalization", "Flatten", "Transpose", "Clip", "Max", "Abs", "LSTM", "Concat", "Reshape",
    "Exp",
]  # fmt: skip


def made(nodes, tensors, width=5, outputs=("y",)):
    nodes = [
        helper.make_node(op, inputs, given, name=f"n{i}", **dict(*rest))
        for i, (op, inputs, given, *rest) in enumerate(nodes)
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("X", 1, ["n", width])],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def models(generator):
    """Small graphs as several programs write them."""

    def draw(*shape):
        return generator.normal(size=shape).astype(np.float32)

    W, V, b, g, one = draw(5, 4), draw(4, 4), draw(4), abs(draw(4)) + 0.5, np.float32([1])
    tensors = {"W": W, "V": V, "b": b, "g": g, "s": draw(5), "one": one, "half": np.float32(0.5), "six": np.float32(6),
               "shape": np.array([-1, 5]), "zero": np.float32(0)}  # fmt: skip
    chains = [
        [("Gemm", ["X", "W", "b"], ["a"], {"alpha": 0.5}), ("Relu", ["a"], ["c"]),
         ("Gemm", ["c", "V"], ["y"], {"transB": 1})],
        [("Sub", ["X", "s"], ["a"]), ("MatMul", ["a", "W"], ["c"]), ("Add", ["c", "b"], ["d"]),
         ("Softmax", ["d"], ["y"])],
        [("MatMul", ["X", "W"], ["a"]), ("LayerNormalization", ["a", "g", "b"], ["c"]), ("MatMul", ["c", "V"], ["d"]),
         ("Tanh", ["d"], ["e"]), ("Add", ["a", "e"], ["y"])],
        [("MatMul", ["X", "W"], ["a"]), ("BatchNormalization", ["a", "g", "b", "b", "g"], ["c"]),
         ("Sigmoid", ["c"], ["d"]), ("Mul", ["c", "d"], ["e"]), ("Gemm", ["e", "V", "b"], ["y"])],
        [("Reshape", ["X", "shape"], ["x"]), ("Transpose", ["x"], ["t"]), ("Gemm", ["W", "t"], ["a"], {"transA": 1}),
         ("Transpose", ["a"], ["c"]), ("Clip", ["c", "zero", "six"], ["d"]), ("MatMul", ["d", "V"], ["y"])],
        [("Gemm", ["X", "W", "b"], ["a"]), ("Mul", ["a", "half"], ["c"]), ("Erf", ["c"], ["d"]),
         ("Add", ["d", "one"], ["e"]),
         ("Mul", ["a", "e"], ["f"]), ("LeakyRelu", ["a"], ["h"], {"alpha": 0.1}), ("MatMul", ["h", "V"], ["y"])],
    ]  # fmt: skip
    found = [made(chain, tensors) for chain in chains]
    model = pynn.Sequential(
        [pynn.Dense(4, activation="elu"), pynn.Residual([pynn.Dense(4)]), pynn.Dense(2)], seed=0
    ).build(5)
    model.export_onnx("/tmp/pynn-fuzz.onnx")
    found.append(onnx.load("/tmp/pynn-fuzz.onnx"))
    bare = onnx.load("/tmp/pynn-fuzz.onnx")
    del bare.metadata_props[:]
    bare.producer_name = ""
    return [*found, bare]


# ---- mutations


def of_bytes(generator, data, other):
    data = bytearray(data)
    for _ in range(1 + generator.integers(4)):
        at = int(generator.integers(len(data))) if data else 0
        kind = generator.integers(5)
        if kind == 0 and data:
            data[at] ^= 1 << int(generator.integers(8))
        elif kind == 1 and data:
            data[at] = int(generator.integers(256))
        elif kind == 2:
            del data[at : at + int(generator.integers(1, 40))]
        elif kind == 3:
            data[at:at] = generator.bytes(int(generator.integers(1, 12)))
        else:
            start = int(generator.integers(len(other)))
            data[at:at] = other[start : start + int(generator.integers(1, 80))]
    return bytes(data[: int(generator.integers(len(data) + 1))] if generator.random() < 0.1 else data)


def of_message(generator, model):
    """Change one to three things of a ModelProto."""
    graph = model.graph
    for _ in range(1 + generator.integers(3)):
        node = graph.node[int(generator.integers(len(graph.node)))] if graph.node else None
        tensor = graph.initializer[int(generator.integers(len(graph.initializer)))] if graph.initializer else None
        names = [n for node_ in graph.node for n in node_.output] + [t.name for t in graph.initializer] + ["X", "", "?"]
        kind = int(generator.integers(11))
        if kind == 0 and node is not None:
            node.op_type = str(generator.choice(OPS))
        elif kind == 1 and node is not None and node.input:
            node.input[int(generator.integers(len(node.input)))] = str(generator.choice(names))
        elif kind == 2 and node is not None:
            node.input.append(str(generator.choice(names)))
        elif kind == 3 and tensor is not None and tensor.dims:
            size = int(generator.choice([-1, 0, 1, 2, 4, 5, 20, 1 << 20, 1 << 62]))
            tensor.dims[int(generator.integers(len(tensor.dims)))] = size
        elif kind == 4 and tensor is not None:
            tensor.dims.insert(int(generator.integers(len(tensor.dims) + 1)), int(generator.choice([1, 1, 2, 0])))
        elif kind == 5 and tensor is not None:
            tensor.data_type = int(generator.integers(0, 24))
        elif kind == 6 and tensor is not None:
            tensor.raw_data = generator.bytes(int(generator.integers(0, 100)))
        elif kind == 7 and node is not None:
            name = str(
                generator.choice(["alpha", "beta", "transA", "transB", "axis", "perm", "epsilon", "ratio", "to"])
            )
            value = generator.choice([0, 1, -1, 2, 1e-3, 0.5, 1e30])
            node.attribute.append(
                helper.make_attribute(name, float(value) if generator.random() < 0.5 else int(value) % 5)
            )
        elif kind == 8 and node is not None:
            graph.node.insert(int(generator.integers(len(graph.node))), node)
        elif kind == 9 and node is not None:
            graph.node.remove(node)
        elif graph.input:
            dims = graph.input[0].type.tensor_type.shape.dim
            if dims:
                dims[int(generator.integers(len(dims)))].dim_value = int(generator.choice([0, 1, 4, 5, -3, 1 << 40]))
    return model.SerializeToString()


# ---- checks


def in_onnxruntime(data, rows, columns):
    """What onnxruntime predicts; None where it does not take the graph. Runs in a process of its own."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 2 or len(session.get_outputs()) != 1:
            return None
        kind = np.float64 if "double" in given[0].type else np.float32
        x = np.random.default_rng(1).normal(size=(rows, columns)).astype(kind)
        return x, session.run(None, {given[0].name: x})[0]
    except Exception:  # its own refusals
        return None


class Other:
    """onnxruntime in another process, which mutants may end."""

    def __init__(self):
        self.pool = None

    def compare(self, data, model):
        """Say whether predictions agree, in one word."""
        if self.pool is None:
            self.pool = futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            result = self.pool.submit(in_onnxruntime, data, 7, model.inputs).result(timeout=60)
        except (BrokenProcessPool, TimeoutError):
            self.pool = None
            return "ended onnxruntime"
        if result is None:
            return "not run by onnxruntime"
        x, expected = result
        with np.errstate(all="ignore"):
            try:
                found = model.predict(x, guard="off")
            except pynn.PynnError:
                return "not finite"
            if not np.isfinite(expected).all() or not np.isfinite(found).all():
                return "not finite"
            if expected.size != found.size:
                return "DISAGREE"
            difference = np.abs(found - expected.reshape(found.shape)).max()
        return "agree" if difference <= TOLERANCE * max(1, np.abs(expected).max()) else "DISAGREE"


def own_exports(generator, flips):
    """Cut an export of pynn at every length, and flip bits of it: each has to be an error, or the same model."""
    layers = [pynn.Normalization(), pynn.Dense(8, activation="gelu"), pynn.BatchNormalization(), pynn.Dense(3)]
    x = generator.normal(size=(64, 5)).astype(np.float32)
    model = pynn.Sequential(layers, seed=0)
    model.compile("mse")
    model.fit(x, x[:, :3], epochs=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.export_onnx(f"{folder}/m.onnx")
        whole = pathlib.Path(f"{folder}/m.onnx").read_bytes()
    expected, counts = model.predict(x).tobytes(), collections.Counter(bytes=len(whole))
    mutants = [(f"cut to {n}", whole[:n]) for n in range(len(whole))]
    for _ in range(flips):
        at, bit = int(generator.integers(len(whole))), int(generator.integers(8))
        mutants.append((f"bit {bit} of {at}", whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]))
    failed = []
    for what, data in mutants:
        kind = what.split()[0]
        try:
            found = pynn.from_onnx(data).predict(x).tobytes()
        except pynn.PynnError:
            counts[f"{kind}: error"] += 1
            continue
        counts[f"{kind}: {'the same' if found == expected else 'ANOTHER'}"] += 1
        failed += [what] if found != expected else []
    print(json.dumps({**counts, "failed": failed}))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", type=float, default=0.2)
    parser.add_argument("--own", type=int, metavar="FLIPS", help="instead: cuts and flips of an export of pynn")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(options.seed)
    if options.own is not None:
        return own_exports(generator, options.own)
    messages = models(generator)
    seeds = [message.SerializeToString() for message in messages]
    other = Other()
    for data in seeds[:3]:
        other.compare(data, pynn.from_onnx(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    counts, kept, start, slowest = collections.Counter(), [], time.perf_counter(), 0.0
    while time.perf_counter() - start < options.seconds:
        which = int(generator.integers(len(seeds)))
        by_bytes = generator.random() < 0.5
        if by_bytes:
            data = of_bytes(generator, seeds[which], seeds[int(generator.integers(len(seeds)))])
        else:
            copy = onnx.ModelProto()
            copy.CopyFrom(messages[which])
            data = of_message(generator, copy)
        counts["inputs"] += 1
        began = time.perf_counter()
        try:
            model = pynn.from_onnx(data, as_graph=which == len(seeds) - 2)
        except pynn.PynnError as error:
            counts[type(error).__name__] += 1
            model = None
        except BaseException as error:
            kept.append((repr(error)[:200], data.hex()))
            counts["FAILED"] += 1
            model = None
            if isinstance(error, KeyboardInterrupt):
                break
        slowest = max(slowest, time.perf_counter() - began)
        if model is None:
            continue
        counts["accepted"] += 1
        if generator.random() < options.against:
            word = other.compare(data, model)
            counts[word] += 1
            if word == "DISAGREE":
                kept.append((word, data.hex()))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for what, data in kept[:20]:
        print(what, data if len(data) < 6000 else f"{len(data) // 2} bytes", file=sys.stderr)
    seconds = time.perf_counter() - start
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    print(json.dumps({"seed": options.seed, "seconds": round(seconds), **versions, **dict(sorted(counts.items())),
                      "peak_growth_mb": round(peak, 1), "slowest_ms": round(1e3 * slowest, 1)}))  # fmt: skip
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main())
