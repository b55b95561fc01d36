"""Does pynn learn as well as PyTorch? Prints the accuracy table of the README.

    python benchmarks/accuracy.py [--seeds 5] [--epochs 10]

Digits: `pynn.datasets.digits`, 784-128-10, test accuracy in percent. Diabetes: scikit-learn's, 10-64-1, R2 on held-out
rows. ReLU, float32, shuffled each epoch. "same start" gives PyTorch pynn's initial weights and orders, so that only
arithmetic can differ; "own defaults" lets PyTorch draw its own. Needs torch and scikit-learn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_diabetes

import pynn

torch.set_num_threads(1)  # networks this small gain nothing from more

OPTIMIZERS = {
    "Adam 0.001": (lambda: pynn.Adam(learning_rate=1e-3), lambda p: torch.optim.Adam(p, lr=1e-3)),
    "SGD 0.1": (lambda: pynn.SGD(learning_rate=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "SGD 0.05, momentum 0.9": (
        lambda: pynn.SGD(learning_rate=0.05, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    ),
}
Order = Callable[[int], np.ndarray]


def pynn_model(inputs: int, units: list[int], loss: str, optimizer: str, seed: int) -> pynn.Sequential:
    """A ReLU network, built and compiled."""
    layers = [pynn.Dense(n, activation="relu") for n in units[:-1]] + [pynn.Dense(units[-1])]
    model = pynn.Sequential(layers, seed=seed)
    model.compile(loss=loss, optimizer=OPTIMIZERS[optimizer][0]())
    return model.build(inputs)


def torch_model(twin: pynn.Sequential, same_start: bool, seed: int) -> torch.nn.Sequential:
    """The same network in PyTorch; with `same_start` its weights are those that `twin` has now."""
    torch.manual_seed(seed)
    modules: list[torch.nn.Module] = []
    inputs = twin.inputs
    for layer in twin.layers:
        linear = torch.nn.Linear(inputs, layer.units)
        if same_start:
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer.kernel.T.copy()))
                linear.bias.copy_(torch.from_numpy(layer.bias.copy()))
        modules += [linear, torch.nn.ReLU()]
        inputs = layer.units
    return torch.nn.Sequential(*modules[:-1])


def train_torch(
    net: torch.nn.Module, loss: torch.nn.Module, optimizer: str, X: np.ndarray, y: np.ndarray, epochs: int,
    batch_size: int, order: Order,
) -> torch.nn.Module:  # fmt: skip
    """The plain loop; `order(epoch)` gives the rows."""
    stepper = OPTIMIZERS[optimizer][1](net.parameters())
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    for epoch in range(epochs):
        for rows in torch.from_numpy(order(epoch)).split(batch_size):
            stepper.zero_grad()
            loss(net(inputs[rows]), targets[rows]).backward()
            stepper.step()
    return net


def compare(
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], units: list[int], losses: tuple[str, torch.nn.Module],
    score: Callable[[np.ndarray, np.ndarray], float], optimizer: str, seed: int, epochs: int, batch_size: int,
) -> tuple[float, float, float]:  # fmt: skip
    """Scores on held-out rows: pynn, PyTorch from the same start, PyTorch with its own defaults."""
    X, y, Xt, yt = data
    model = pynn_model(X.shape[1], units, losses[0], optimizer, seed)
    orders: list[Order] = [
        pynn.DataLoader(X, y, shuffle=True, seed=seed).order,
        lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(X)),
    ]
    nets = [torch_model(model, same, seed) for same in (True, False)]
    model.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0)
    scores = [score(model.predict(Xt), yt)]
    for net, order in zip(nets, orders, strict=True):
        train_torch(net, losses[1], optimizer, X, y, epochs, batch_size, order)
        with torch.no_grad():
            scores.append(score(net(torch.from_numpy(Xt)).numpy(), yt))
    return scores[0], scores[1], scores[2]


def digits(optimizer: str, seed: int, epochs: int = 10) -> tuple[float, float, float]:
    """Test accuracies in percent."""
    (X, y), (Xt, yt) = pynn.datasets.digits()

    def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
        return 100 * float(np.mean(predictions.argmax(axis=1) == labels))

    losses = ("softmax_cross_entropy", torch.nn.CrossEntropyLoss())
    return compare((X, y, Xt, yt), [128, 10], losses, accuracy, optimizer, seed, epochs, 64)


def diabetes(optimizer: str, seed: int, epochs: int = 50) -> tuple[float, float, float]:
    """R2 on a quarter of the rows; columns and target are standardised by the training rows."""
    X, y = load_diabetes(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))
    train, test = rows[110:], rows[:110]
    X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    y = ((y - y[train].mean()) / y[train].std())[:, None]
    data = tuple(part.astype(np.float32) for part in (X[train], y[train], X[test], y[test]))

    def r2(predictions: np.ndarray, targets: np.ndarray) -> float:
        return 1 - float(np.sum((targets - predictions) ** 2) / np.sum((targets - targets.mean()) ** 2))

    losses = ("mse", torch.nn.MSELoss())
    return compare(data, [64, 1], losses, r2, optimizer, seed, epochs, 32)  # type: ignore[arg-type]


def main() -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="on the digits")
    options = parser.parse_args()
    print(f"mean of {options.seeds} seeds; PyTorch {torch.__version__}, pynn {pynn.__version__}\n")
    print("| task | optimizer | pynn | PyTorch, same start | PyTorch, own defaults |")
    print("|---|---|---:|---:|---:|")
    for optimizer in OPTIMIZERS:
        scores = [digits(optimizer, seed, options.epochs) for seed in range(options.seeds)]
        cells = " | ".join(
            f"{mean:.2f} % ± {sd:.2f}" for mean, sd in zip(np.mean(scores, 0), np.std(scores, 0), strict=True)
        )
        print(f"| digits, test accuracy | {optimizer} | {cells} |", flush=True)
    scores = [diabetes("Adam 0.001", seed) for seed in range(options.seeds)]
    cells = " | ".join(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(np.mean(scores, 0), np.std(scores, 0), strict=True))
    print(f"| diabetes, R2 | Adam 0.001 | {cells} |")


if __name__ == "__main__":
    main()
