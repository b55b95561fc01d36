"""How long does a training step take, beside PyTorch, JAX and scikit-learn? And a prediction?

    python benchmarks/compare.py [--quick] [--rows 784-128,b512] [--peers PyTorch,JAX] [--busy]

Times every network of the speed table with SGD and Adam in one process, peers in turns, medians, each at its better
setting of one or two threads. All do the same work: ReLU, softmax cross-entropy, float32, data in memory, rows shuffled
in each epoch and gathered batch by batch; the script checks that from the same start and in the same order they arrive
at the same loss. benchmarks/README.md says how each peer is run. A complete run writes its record and plot.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import numpy as np
from measure import (
    COLORS,
    NETWORKS,
    ROOT,
    about,
    best,
    data,
    interleaved,
    matching,
    mean_ratio,
    model,
    style,
    write,
)

import pynn

RATES = {"SGD": 0.01, "Adam": 1e-4}
EPSILON = 1e-7
THREADS = (1, 2)
PACKAGES = ("torch", "jax", "scikit-learn", "onnxruntime", "onnx", "threadpoolctl")
PREDICT, PREDICT_ROWS = [784, 64, 10], (1, 32, 1000)


class Task:
    """One cell of the table: a network, an optimizer, data, and initial parameters that all start from."""

    def __init__(self, network: str, optimizer: str) -> None:
        self.sizes, self.batch, self.steps = NETWORKS[network]
        self.network, self.optimizer, self.rate = network, optimizer, RATES[optimizer]
        self.X, self.y = data(self.sizes[0], self.sizes[-1], self.batch * self.steps)
        self.start = [(layer.kernel.copy(), layer.bias.copy()) for layer in self.model().layers]

    def model(self) -> pynn.Sequential:
        chosen = pynn.SGD(self.rate) if self.optimizer == "SGD" else pynn.Adam(self.rate, epsilon=EPSILON)
        return model(self.sizes, chosen)

    def order(self) -> np.ndarray:
        """The order of pynn's first epoch."""
        return pynn.DataLoader(self.X, self.y, shuffle=True, seed=0).order(0)


# ---- peers: (task, threads) -> object with prepare(), epochs(n), loss(); `order` in place of random ones


class Pynn:
    """`fit`, as a user calls it: with its checks."""

    name, follows_order, blas = "pynn", True, "scipy"

    def __init__(self, task: Task, threads: int) -> None:
        self.task, self.threads, self.model = task, threads, task.model()

    def prepare(self) -> None:
        pynn.blas.use(self.blas)
        pynn.set_num_threads(self.threads)

    def epochs(self, n: int, order: np.ndarray | None = None) -> None:
        self.model.fit(self.task.X, self.task.y, epochs=n, batch_size=self.task.batch, verbose=0)

    def loss(self) -> float:
        return self.model.evaluate(self.task.X, self.task.y)["loss"]


class PynnWithMKL(Pynn):
    """The same with the BLAS of `pip install 'pynn-dense[mkl]'`: no peer, but beside them."""

    name, blas = "pynn, MKL", "mkl"


class PyTorch:
    """Eager; the usual loop."""

    name, follows_order = "PyTorch", True

    def __init__(self, task: Task, threads: int) -> None:
        import torch

        self.torch, self.task, self.threads = torch, task, threads
        modules: list[Any] = []
        for kernel, bias in task.start:
            linear = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
                linear.bias.copy_(torch.from_numpy(bias))
            modules += [linear, torch.nn.ReLU()]
        self.net, self.criterion = torch.nn.Sequential(*modules[:-1]), torch.nn.CrossEntropyLoss()
        parameters = self.net.parameters()
        if task.optimizer == "SGD":
            self.optimizer = torch.optim.SGD(parameters, lr=task.rate)
        else:
            self.optimizer = torch.optim.Adam(parameters, lr=task.rate, eps=EPSILON, fused=True)
        self.X, self.y = torch.from_numpy(task.X), torch.from_numpy(task.y)

    def prepare(self) -> None:
        self.torch.set_num_threads(self.threads)

    def epochs(self, n: int, order: np.ndarray | None = None) -> None:
        for _ in range(n):
            rows = self.torch.randperm(len(self.X)) if order is None else self.torch.from_numpy(order)
            for batch in rows.split(self.task.batch):
                self.optimizer.zero_grad(set_to_none=True)
                logits = self.net(self.X.index_select(0, batch))
                self.criterion(logits, self.y.index_select(0, batch)).backward()
                self.optimizer.step()

    def loss(self) -> float:
        with self.torch.no_grad():
            return self.criterion(self.net(self.X), self.y).item()


class Jax:
    """A whole epoch is one jitted call: gather, step and update inside `lax.scan`, buffers donated."""

    name, follows_order = "JAX", True

    def __init__(self, task: Task, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        self.task, self.rng = task, np.random.default_rng(0)
        self.X, self.y = jnp.asarray(task.X), jnp.asarray(task.y.astype(np.int32))
        parameters = [(jnp.asarray(kernel), jnp.asarray(bias)) for kernel, bias in task.start]
        adam = task.optimizer == "Adam"
        slots = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2 * adam)]
        self.state = (parameters, slots, jnp.zeros(()))

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            for kernel, bias in parameters[:-1]:
                x = jax.nn.relu(x @ kernel + bias)
            logits = x @ parameters[-1][0] + parameters[-1][1]
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()

        def step(state: Any, rows: Any, X: Any, y: Any) -> Any:
            parameters, slots, t = state
            value, gradient = jax.value_and_grad(loss)(parameters, X[rows], y[rows])
            t = t + 1
            if adam:
                m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, slots[0], gradient)
                v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, slots[1], gradient)
                rate, root = task.rate / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
                update = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(v) * root + EPSILON), m, v)
                slots = [m, v]
            else:
                update = jax.tree.map(lambda g: task.rate * g, gradient)
            return (jax.tree.map(jnp.subtract, parameters, update), slots, t), value

        def epoch(state: Any, order: Any, X: Any, y: Any) -> Any:
            return jax.lax.scan(lambda s, rows: step(s, rows, X, y), state, order.reshape(task.steps, task.batch))

        options = {"xla_cpu_multi_thread_eigen": threads > 1}
        self.epoch = jax.jit(epoch, donate_argnums=0, compiler_options=options)
        self._loss = jax.jit(loss)

    def prepare(self) -> None:
        pass

    def epochs(self, n: int, order: np.ndarray | None = None) -> None:
        for _ in range(n):
            rows = self.rng.permutation(len(self.X)) if order is None else order
            self.state, losses = self.epoch(self.state, rows.astype(np.int32), self.X, self.y)
        losses.block_until_ready()

    def loss(self) -> float:
        return float(self._loss(self.state[0], self.X, self.y))


class ScikitLearn:
    """`MLPClassifier.partial_fit` on all rows, which runs exactly one shuffled epoch of batches."""

    name, follows_order = "scikit-learn", False

    def __init__(self, task: Task, threads: int) -> None:
        import threadpoolctl
        from sklearn.metrics import log_loss
        from sklearn.neural_network import MLPClassifier

        self.task, self.threads, self.log_loss, self.control = task, threads, log_loss, threadpoolctl
        self.classes = np.arange(task.sizes[-1])
        self.net = MLPClassifier(
            task.sizes[1:-1], solver=task.optimizer.lower(), batch_size=task.batch, alpha=0, epsilon=EPSILON,
            learning_rate_init=task.rate, momentum=0, nesterovs_momentum=False, random_state=0,
        )  # fmt: skip

    def prepare(self) -> None:
        self.control.threadpool_limits(self.threads, user_api="blas")

    def epochs(self, n: int, order: np.ndarray | None = None) -> None:
        for _ in range(n):
            self.net.partial_fit(self.task.X, self.task.y, classes=self.classes)

    def loss(self) -> float:
        probabilities = self.net.predict_proba(self.task.X).astype(np.float64)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return self.log_loss(self.task.y, probabilities, labels=self.classes)


PEERS = {peer.name: peer for peer in (Pynn, PynnWithMKL, PyTorch, Jax, ScikitLearn)}


def verify(task: Task, peers: list[str]) -> None:
    """From the same start and in the same order, one epoch leads all to the same loss, below the initial one."""
    order, begin, reference = task.order(), None, None
    for name in peers:
        peer = PEERS[name](task, THREADS[-1])
        peer.prepare()
        before = peer.loss() if name != "scikit-learn" else None  # that one has no parameters before its first epoch
        peer.epochs(1, order)
        after = peer.loss()
        if name == "pynn":
            begin, reference = before, after
        if not peer.follows_order:  # it draws its own parameters and orders
            peer.epochs(1)
            before, after = after, peer.loss()
        elif not (abs(before - begin) < 1e-3 * begin and abs(after - reference) < 1e-3 * reference):
            raise SystemExit(f"{task.network} {task.optimizer}: {name} went from {before} to {after}, "
                             f"pynn from {begin} to {reference}")  # fmt: skip
        if not after < before:
            raise SystemExit(f"{task.network} {task.optimizer}: the loss of {name} went up, from {before} to {after}")


# ---- bare products


def bare_gemm(task: Task) -> Callable[[int], None]:
    """The products of one step through SciPy's sgemm: X W, X^T dZ, and dZ W^T but for the first layer."""
    from scipy.linalg.blas import sgemm

    rng, calls = np.random.default_rng(0), []
    for i, (inputs, units) in enumerate(zip(task.sizes, task.sizes[1:], strict=False)):
        shapes = [(task.batch, inputs), (inputs, units), (task.batch, units)]
        x, w, z = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        dx, dw = np.empty_like(x), np.empty_like(w)
        # column-major sgemm on transposed views of row-major matrices: nothing is copied
        calls.append(lambda x=x, w=w, z=z: sgemm(1, w.T, x.T, c=z.T, overwrite_c=1))
        calls.append(lambda x=x, z=z, dw=dw: sgemm(1, z.T, x.T, c=dw.T, trans_b=1, overwrite_c=1))
        if i:
            calls.append(lambda z=z, w=w, dx=dx: sgemm(1, w.T, z.T, c=dx.T, trans_a=1, overwrite_c=1))

    def repeat(n: int) -> None:
        for _ in range(n):
            for call in calls:
                call()

    return repeat


def flops(task: Task) -> float:
    """Of the products of one step."""
    pairs = list(zip(task.sizes, task.sizes[1:], strict=False))
    return sum(2.0 * task.batch * a * b * (3 if i else 2) for i, (a, b) in enumerate(pairs))


# ---- tables


def compare_steps(network: str, optimizer: str, peers: list[str], seconds: float) -> dict[str, Any]:
    """One cell: µs per step of each peer at each thread setting, and of the bare products."""
    import threadpoolctl

    task = Task(network, optimizer)
    verify(task, peers)
    made = {(name, threads): PEERS[name](task, threads) for name in peers for threads in THREADS}
    calls: dict[Any, Callable[[int], object]] = {key: peer.epochs for key, peer in made.items()}
    gemm = bare_gemm(task)
    for threads in THREADS:
        calls["gemm", threads] = lambda n: gemm(n * task.steps)

    def prepare(key: tuple[str, int]) -> None:
        threadpoolctl.threadpool_limits(key[1], user_api="blas")
        if key in made:
            made[key].prepare()

    times = interleaved(calls, seconds, prepare)
    row: dict[str, Any] = {"network": network, "optimizer": optimizer, "us_per_step": {}, "best": {}, "threads": {}}
    for (name, threads), t in times.items():
        row["us_per_step"].setdefault(name, {})[threads] = 1e6 * t / task.steps
    for name in (*peers, "gemm"):
        t, threads = best(times, name)
        row["best"][name], row["threads"][name] = 1e6 * t / task.steps, threads
    row["gflops_of_bare_gemm"] = 1e-3 * flops(task) / row["best"]["gemm"]
    others = [row["best"][name] for name in peers if not name.startswith("pynn")]
    row["fastest_peer_over_pynn"] = min(others) / row["best"]["pynn"] if others else None
    row["pynn_share_of_bare_gemm"] = row["best"]["gemm"] / row["best"]["pynn"]
    return row


def predictors(net: pynn.Sequential, peers: list[str]) -> dict[tuple[str, int], tuple[Callable, Callable]]:
    """(prepare, predict) of the same network: probabilities for the rows of x."""
    made: dict[tuple[str, int], tuple[Callable, Callable]] = {}
    tensors = [(layer.kernel, layer.bias) for layer in net.layers]
    pynn.blas.use(Pynn.blas)
    for threads in THREADS:
        made["pynn", threads] = (lambda t=threads: pynn.set_num_threads(t), net.predict)
        if "PyTorch" in peers:
            import torch

            modules: list[Any] = []
            for kernel, bias in tensors:
                linear = torch.nn.Linear(*kernel.shape)
                with torch.no_grad():
                    linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
                    linear.bias.copy_(torch.from_numpy(bias))
                modules += [linear, torch.nn.ReLU()]
            modules[-1] = torch.nn.Softmax(dim=1)
            torch_net = torch.nn.Sequential(*modules).eval()

            def torch_predict(x: np.ndarray, net: Any = torch_net, torch: Any = torch) -> np.ndarray:
                with torch.inference_mode():
                    return net(torch.from_numpy(x)).numpy()

            made["PyTorch", threads] = (lambda t=threads, torch=torch: torch.set_num_threads(t), torch_predict)
        if "ONNX Runtime" in peers:
            session = onnx_session(tensors, threads)
            made["ONNX Runtime", threads] = (lambda: None, lambda x, s=session: s.run(None, {"x": x})[0])
        if "scikit-learn" in peers:
            import threadpoolctl
            from sklearn.neural_network import MLPClassifier

            mlp = MLPClassifier(PREDICT[1:-1], max_iter=1)
            X, y = data(PREDICT[0], PREDICT[-1], 1000)
            mlp.partial_fit(X, y, classes=np.arange(PREDICT[-1]))
            mlp.coefs_ = [kernel.copy() for kernel, _ in tensors]
            mlp.intercepts_ = [bias.copy() for _, bias in tensors]
            limit = threadpoolctl.threadpool_limits
            made["scikit-learn", threads] = (lambda t=threads, f=limit: f(t, user_api="blas"), mlp.predict_proba)
    return made


def onnx_session(tensors: list[tuple[np.ndarray, np.ndarray]], threads: int) -> Any:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, last = [], [], "x"
    for i, (kernel, bias) in enumerate(tensors):
        for tensor, letter in ((kernel, "w"), (bias, "b")):
            constants.append(numpy_helper.from_array(tensor.copy(), f"{letter}{i}"))
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        last_layer = i == len(tensors) - 1
        nodes.append(helper.make_node("Softmax" if last_layer else "Relu", [f"z{i}"], [f"y{i}"]))
        last = f"y{i}"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", tensors[0][0].shape[0]])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["rows", len(tensors[-1][1])])
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compare_predict(peers: list[str], seconds: float) -> list[dict[str, Any]]:
    """µs of one call for 1, 32 and 1000 rows."""
    net, rows = model(PREDICT), []
    X, _ = data(PREDICT[0], PREDICT[-1], max(PREDICT_ROWS))
    made = predictors(net, peers)
    names = list(dict.fromkeys(name for name, _ in made))
    for (name, _), (prepare, predict) in made.items():
        prepare()
        if not np.allclose(predict(X), net.predict(X), atol=1e-5):
            raise SystemExit(f"{name} predicts something else than pynn")
    for n in PREDICT_ROWS:
        x = X[:n].copy()

        def repeat(predict: Callable, x: np.ndarray = x) -> Callable[[int], None]:
            def run(count: int) -> None:
                for _ in range(count):
                    predict(x)

            return run

        calls = {key: repeat(predict) for key, (_, predict) in made.items()}
        times = interleaved(calls, seconds, lambda key, made=made: made[key][0]())
        row: dict[str, Any] = {"rows": n, "best": {}, "threads": {}}
        for name in names:
            t, threads = best(times, name)
            row["best"][name], row["threads"][name] = 1e6 * t, threads
        rows.append(row)
    return rows


def cell(row: dict[str, Any], name: str) -> str:
    """µs and the number of threads they were reached with."""
    return f"{row['best'][name]:.{1 if row['best'][name] < 100 else 0}f} ({row['threads'][name]})"


def print_row(cells: list[str], first: int = 32) -> None:
    print("| " + " | ".join([cells[0].ljust(first), *(c.rjust(14) for c in cells[1:])]) + " |", flush=True)


def plot(steps: list[dict[str, Any]], path: Path) -> None:
    """Times relative to pynn's, one panel for each optimizer."""
    plt = style()
    networks = list(dict.fromkeys(row["network"] for row in steps))
    panels = list(dict.fromkeys(row["optimizer"] for row in steps))
    figure, axes = plt.subplots(1, len(panels), figsize=(5.2 * len(panels), 0.62 * len(networks) + 1.5), sharey=True)
    for ax, optimizer in zip(np.atleast_1d(axes), panels, strict=True):
        ax.axvline(1, color=COLORS["pynn"], linewidth=3, zorder=2, label="pynn")
        for row in (row for row in steps if row["optimizer"] == optimizer):
            y, mine = -networks.index(row["network"]), row["best"]["pynn"]
            ratios = {name: t / mine for name, t in row["best"].items() if name != "gemm"}
            ax.plot([min(ratios.values()), max(ratios.values())], [y, y], color="#dddddd", linewidth=3, zorder=1)
            for name, ratio in ratios.items():
                if name != "pynn":
                    ax.scatter(ratio, y, s=60, color=COLORS[name], zorder=3, label=name if y == 0 else None,
                               edgecolor="white", linewidth=0.8)  # fmt: skip
            ax.annotate(f"{mine:,.0f} µs", (1, y), (5, 9), textcoords="offset points", ha="left", va="bottom",
                        fontsize=8, color=COLORS["pynn"])  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}×" if v >= 1 else f"1/{1 / v:g}×")
        ax.set_xticks([x for x in (1, 2, 4, 8, 16, 32) if x <= 1.1 * max(
            t / r["best"]["pynn"] for r in steps for n, t in r["best"].items() if n != "gemm")])  # fmt: skip
        ax.minorticks_off()
        ax.set_yticks([-i for i in range(len(networks))], networks)
        ax.set_ylim(-len(networks) + 0.5, 0.65)
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_title(optimizer)
        ax.set_xlabel("time of a training step, pynn = 1 (lower is better)")
    handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", ncol=len(labels), handletextpad=0.4, handlelength=1, columnspacing=1.2
    )
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"wrote {path}")


def installed(names: list[str]) -> list[str]:
    """Peers that can be imported; says which cannot."""
    modules = {"PyTorch": "torch", "JAX": "jax", "scikit-learn": "sklearn", "ONNX Runtime": "onnxruntime"}
    found = []
    for name in names:
        try:
            if name == "pynn, MKL":
                pynn.blas.use("mkl")
            else:
                __import__(modules.get(name, "pynn"))
            found.append(name)
        except (ImportError, pynn.PynnError):
            print(f"{name} is not installed: left out")
    return found


def main() -> None:
    """Print the tables; a complete run also writes benchmarks/results/compare.json and docs/speed.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="0.2 s for each peer and cell instead of 2")
    parser.add_argument("--rows", help="comma-separated parts of networks' names, or predict")
    parser.add_argument("--peers", help="comma-separated parts of peers' names")
    parser.add_argument("--busy", action="store_true", help="for a machine at work: one thread, processor time")
    parser.add_argument("--output", type=Path, help="write compare.json and speed.png here, partial runs too")
    options = parser.parse_args()
    if options.busy:
        global THREADS
        THREADS, measure.clock = (1,), time.process_time
    seconds = 0.2 if options.quick else 2.0
    record = about(PACKAGES) | {"clock": measure.clock.__name__}
    chosen = matching([name for name in (*PEERS, "ONNX Runtime") if name != "pynn"], options.peers)
    everyone = installed(["pynn", *chosen])
    peers = [name for name in everyone if name in PEERS]
    print(f"{record['date']}, {record['machine']}, {record['versions']}, {record['pynn']}\n")

    steps: list[dict[str, Any]] = []
    print("µs per training step (threads)\n")
    print_row(["network, optimizer", *peers, "bare gemm", "fastest/pynn", "PyTorch/pynn", "gemm/pynn"])
    print_row(["---"] + ["---:"] * (len(peers) + 4))
    for network in matching(NETWORKS, options.rows):
        for optimizer in RATES:
            row = compare_steps(network, optimizer, peers, seconds)
            steps.append(row)
            fastest, mine = row["fastest_peer_over_pynn"], row["best"]["pynn"]
            ratios = [f"{fastest:.2f}" if fastest else "-",
                      f"{row['best']['PyTorch'] / mine:.2f}" if "PyTorch" in peers else "-",
                      f"{row['pynn_share_of_bare_gemm']:.2f}"]  # fmt: skip
            print_row([f"{network} {optimizer}", *(cell(row, name) for name in (*peers, "gemm")), *ratios])
    record["steps"], record["means"] = steps, {}
    for name in peers[1:] if steps else []:
        mean = mean_ratio(row["best"][name] / row["best"]["pynn"] for row in steps)
        record["means"][name] = mean
        print(f"{name} / pynn, geometric mean: {mean:.2f}")

    if matching(["predict"], options.rows):
        print(f"\nµs per predict of {'-'.join(map(str, PREDICT))} (threads)\n")
        names = [name for name in everyone if name not in ("JAX", "pynn, MKL")]
        print_row(["rows", *names])
        print_row(["---"] + ["---:"] * len(names))
        record["predict"] = compare_predict(names, seconds / 2)
        for row in record["predict"]:
            print_row([str(row["rows"]), *(cell(row, name) for name in names)])

    complete = not (options.quick or options.rows or options.peers or options.busy)
    if options.output or complete:
        write(record, (options.output or ROOT / "benchmarks" / "results") / "compare.json")
        if steps:
            plot(steps, (options.output or ROOT / "docs") / "speed.png")


if __name__ == "__main__":
    main()
