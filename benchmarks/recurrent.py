"""Time a training step and a prediction of recurrent layers beside PyTorch and JAX, interleaved in one process.

    python benchmarks/recurrent.py [--threads 1] [--rounds 15] [--kinds lstm gru]

One layer and a dense one of a single output, float32, mean squared error, SGD. Times are medians of rounds in which
each library takes its turn; ratios are medians of the rounds' ratios. JAX runs a jitted scan.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

SIZES = [(50, 8, 32, 32), (100, 16, 64, 32), (100, 64, 256, 64), (50, 128, 512, 64)]
"""Timesteps, features, units, rows."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--kinds", nargs="+", default=["lstm", "gru"])
    parser.add_argument("--sizes", nargs="+", type=int, default=range(len(SIZES)))
    parser.add_argument("--without", nargs="*", default=[], help="torch, jax")
    return parser.parse_args()


def of_pynn(kind, size, x, y):
    import pynn

    layer = {"lstm": pynn.LSTM, "gru": pynn.GRU, "simple": pynn.SimpleRNN}[kind](size[2])
    model = pynn.Sequential([layer, pynn.Dense(1)], seed=0)
    model.compile("mse", pynn.SGD(learning_rate=1e-3))
    return lambda: model.train_step(x, y), lambda: model.predict(x)


def of_torch(kind, size, x, y):
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple": torch.nn.RNN}
            self.layer = kinds[kind](size[1], size[2], batch_first=True)
            self.dense = torch.nn.Linear(size[2], 1)

        def forward(self, x):
            return self.dense(self.layer(x)[0][:, -1])

    model, x, y = Net(), torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    def predict():
        with torch.inference_mode():
            model(x)

    return step, predict


def of_jax(kind, size, x, y):
    import jax
    import jax.numpy as jnp
    import numpy as np

    gates = {"lstm": 4, "gru": 3, "simple": 1}[kind]
    _, features, units, rows = size
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape) * 0.1, jnp.float32)  # noqa: E731
    parameters = [draw(features, gates * units), draw(units, gates * units), draw(gates * units), draw(units, 1)]

    def cell(p, state, z):
        h, c = state
        if kind == "lstm":
            i, f, g, o = jnp.split(z + h @ p[1], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        elif kind == "gru":
            (zx, rx, gx), (zh, rh, gh) = jnp.split(z, 3, axis=1), jnp.split(h @ p[1], 3, axis=1)
            update, reset = jax.nn.sigmoid(zx + zh), jax.nn.sigmoid(rx + rh)
            h = update * h + (1 - update) * jnp.tanh(gx + reset * gh)
        else:
            h = jnp.tanh(z + h @ p[1])
        return (h, c), None

    def forward(p, x):
        z = jnp.swapaxes(x @ p[0] + p[2], 0, 1)
        zeros = jnp.zeros((rows, units), jnp.float32)
        (h, _), _ = jax.lax.scan(lambda state, zt: cell(p, state, zt), (zeros, zeros), z)
        return h @ p[3]

    loss = lambda p, x, y: ((forward(p, x) - y) ** 2).mean()  # noqa: E731

    @jax.jit
    def update(p, x, y):
        return [w - 1e-3 * g for w, g in zip(p, jax.grad(loss)(p, x, y), strict=True)]

    predict, x, y = jax.jit(forward), jnp.asarray(x), jnp.asarray(y)
    held = [parameters]

    def step():
        held[0] = jax.block_until_ready(update(held[0], x, y))

    return step, lambda: jax.block_until_ready(predict(held[0], x))


def seconds(call, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def measure(makers, kind, size, rounds):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(size[3], size[0], size[1])).astype(np.float32)
    y = rng.normal(size=(size[3], 1)).astype(np.float32)
    calls = {name: make(kind, size, x, y) for name, make in makers.items()}
    for which, label in enumerate(("step", "predict")):
        repeats = {}
        for name, both in calls.items():
            both[which]()
            repeats[name] = max(1, round(0.02 / seconds(both[which], 2)))
        times = {name: [] for name in calls}
        for _ in range(rounds):
            for name, both in calls.items():
                times[name].append(seconds(both[which], repeats[name]))
        medians = {name: 1e3 * statistics.median(found) for name, found in times.items()}
        ratios = {
            name: statistics.median(a / b for a, b in zip(found, times["pynn"], strict=True))
            for name, found in times.items()
            if name != "pynn"
        }
        shown = "  ".join(f"{name} {median:8.3f} ms" for name, median in medians.items())
        beside = "  ".join(f"{name}/pynn {ratio:5.2f}" for name, ratio in ratios.items())
        print(f"{kind:6s} {size!s:20s} {label:8s} {shown}   {beside}", flush=True)


def main():
    a = arguments()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(a.threads)
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={'true' if a.threads > 1 else 'false'} intra_op_parallelism_threads={a.threads}"
    )
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import pynn

    pynn.set_num_threads(a.threads)
    makers = {"pynn": of_pynn}
    if "torch" not in a.without:
        import torch

        torch.set_num_threads(a.threads)
        makers["torch"] = of_torch
    if "jax" not in a.without:
        makers["jax"] = of_jax
    for kind in a.kinds:
        for index in a.sizes:
            measure(makers, kind, SIZES[index], a.rounds)


if __name__ == "__main__":
    main()
