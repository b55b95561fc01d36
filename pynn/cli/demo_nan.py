"""``pynn demo nan``: a training that explodes and one that freezes: left alone, explained, and repaired."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import datasets
from ..errors import NumericalError, TrainingWarning
from ..initializers import RandomNormal
from ..layers.dense import Dense
from ..model import Sequential
from ..optimizers import SGD
from ..report import texts
from ..report.guard import Guard
from ..tools.repair import repair

__all__ = ["run"]

EPOCHS, BATCH = 3, 32
ROWS, WIDTH = 7000, 1000
SHORT_ROWS, SHORT_WIDTH = 1500, 64


@dataclass(frozen=True)
class Story:
    """The rows that networks are trained on and judged by, and how wide they are."""

    X: np.ndarray
    y: np.ndarray
    Xt: np.ndarray
    yt: np.ndarray
    width: int
    seed: int

    def accuracy(self, model: Sequential, scale: float = 1.0) -> float:
        named = model.predict(scale * self.Xt, guard="off").argmax(axis=1)
        return float(np.mean(named == self.yt))


def run(seed: int = 0, short: bool = False) -> int:
    """Tell both acts; return the exit status 0."""
    (X, y), (Xt, yt) = datasets.digits()
    rows, width = (SHORT_ROWS, SHORT_WIDTH) if short else (ROWS, WIDTH)
    story = Story(X[:rows], y[:rows], Xt, yt, width, seed)
    with warnings.catch_warnings():  # what they say is printed below
        warnings.simplefilter("ignore", TrainingWarning)
        _explode(story)
        _freeze(story)
    return 0


def _explode(story: Story) -> None:
    X, y, w = 255 * story.X, story.y, story.width
    print(f"Act 1. It explodes: 784-{w}-{w}-10, ReLU, pixels 0 ... 255 as they come, SGD with learning rate 1.\n")

    def network() -> Sequential:
        model = Sequential([Dense(w, activation="relu"), Dense(w, activation="relu"), Dense(10)], seed=story.seed)
        model.compile("softmax_cross_entropy", SGD(learning_rate=1.0), ["accuracy"])
        return model

    print(f"With the guard off, as elsewhere: {_until_nan(network(), X, y)}. Not a word.\n")
    _elsewhere(network(), X, y, "cross_entropy", 1.0)
    model = network()
    try:
        model.fit(X, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    except NumericalError as error:
        print('With guard="raise", the default, the model stays finite, and error.report says:\n')
        print(f"{_indented(error.report)}\n")
    model = network()
    guard = Guard(policy="rollback", backoff=0.1)
    history = model.fit(X, y, epochs=EPOCHS, batch_size=BATCH, guard=guard, verbose=0)
    print('With pynn.Guard(policy="rollback", backoff=0.1) the same run carries on. history.ledger:\n')
    for entry in history.ledger:
        print(f"    {texts.event(entry)}")
    told = f"loss {history[-1]['loss']:.3g}, test accuracy {story.accuracy(model, 255):.1%} after {EPOCHS} epochs"
    print(f"\n    {told}, with learning rate {model.learning_rate:g}.\n")
    _repaired(network, X, y, story, 255.0)


def _freeze(story: Story) -> None:
    X, y, w = story.X, np.eye(10)[story.y], story.width
    print(f"Act 2. It freezes: 784-{w}-10, sigmoid and mse, weights drawn from N(0, 1), SGD with learning rate 0.01.\n")

    def network() -> Sequential:
        wide = RandomNormal(stddev=1.0)
        layers = [Dense(w, activation="sigmoid", kernel_initializer=wide), Dense(10, kernel_initializer=wide)]
        model = Sequential(layers, seed=story.seed)
        model.compile("mse", SGD(learning_rate=0.01), ["accuracy"])
        return model

    model = network()
    history = model.fit(X, y, epochs=EPOCHS, batch_size=BATCH, guard="off", verbose=0)
    told = f"loss {history[-1]['loss']:.3g}, test accuracy {story.accuracy(model):.1%} after {EPOCHS} epochs"
    print(f"With the guard off: {told}. No NaN, and not a word.\n")
    _elsewhere(network(), X, y, "mse_loss", 0.01)
    history = network().fit(X, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    print(f"With the guard, history.report after the same epochs:\n\n{_indented(history.report)}\n")
    _repaired(network, X, y, story, 1.0)


def _repaired(network: Callable[[], Sequential], X: np.ndarray, y: np.ndarray, story: Story, scale: float) -> None:
    """Diagnose and repair: what was tried, what was changed, and what the trained network reaches."""
    result = repair(network(), X, y, epochs=EPOCHS, batch_size=BATCH)
    print("pynn.diagnose tries one cure after the other, from where training began:\n")
    print(f"{_indented(result.report)}\n")
    print(f"pynn.repair trains the network with what was proved, in the same {EPOCHS} epochs:\n")
    print(f"{_indented(result)}\n\n{_indented(result.code())}\n")
    print(f"    test accuracy {story.accuracy(result.model, scale):.1%}\n")


def _elsewhere(model: Sequential, X: np.ndarray, y: np.ndarray, loss: str, rate: float) -> None:
    """Train the same network from the same weights with PyTorch, where it is installed, and tell what it says."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    kinds: dict[str, Any] = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, "linear": torch.nn.Identity}
    parts: list[Any] = []
    for layer in model.build(X.shape[1]).layers:
        linear = torch.nn.Linear(*layer.kernel.shape)
        linear.weight.data, linear.bias.data = torch.tensor(layer.kernel.T.copy()), torch.tensor(np.array(layer.bias))
        parts += [linear, kinds[layer.spec.activation.name]()]  # type: ignore[attr-defined]
    net, of = torch.nn.Sequential(*parts), getattr(torch.nn.functional, loss)
    inputs, targets = (
        torch.tensor(X, dtype=torch.float32),
        torch.tensor(y, dtype=None if y.ndim == 1 else torch.float32),
    )
    steps, value = torch.optim.SGD(net.parameters(), rate), torch.zeros(())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(EPOCHS):
            for at in torch.randperm(len(inputs)).split(BATCH):
                steps.zero_grad()
                value = of(net(inputs[at]), targets[at])
                value.backward()
                steps.step()
    words = "not a word" if not said else f"{len(said)} warnings"
    print(f"PyTorch {torch.__version__}, the same network from the same weights: loss {value.item():.3g}, {words}.\n")


def _until_nan(model: Sequential, X: np.ndarray, y: np.ndarray) -> str:
    """Return the losses of the first steps without a guard, up to the first that is no number."""
    losses: list[float] = []
    while not losses or (np.isfinite(losses[-1]) and len(losses) < len(X) // BATCH):
        rows = slice(len(losses) * BATCH, (len(losses) + 1) * BATCH)
        losses.append(model.train_step(X[rows], y[rows], guard="off").loss)
    lost = 1 - np.isfinite(model.parameters).mean()
    shown = [f"{loss:.3g}" for loss in losses]
    told = ", ".join(shown if len(shown) < 6 else [*shown[:4], "...", shown[-1]])
    end = f"then {lost:.0%} of the weights are NaN or infinite" if lost else "there, where knowing nothing is, it stays"
    return f"the loss of the first steps is {told}; {end}, for good"


def _indented(text: Any) -> str:
    return "\n".join(f"    {line}" for line in str(text).splitlines())
