"""`check_gradients`: the gradient of every parameter against differences of the loss, in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import checks
from ..layers import Dropout, GaussianNoise
from ..model import Sequential
from ..names import public
from ..network.network import Network
from ..optimizers import SGD
from ..report.guard import Guard
from ..training.learner import Learner

__all__ = ["GradientCheck", "TensorCheck", "check_gradients"]

STEP = 1e-5  # of a difference, times the parameter where that is larger than 1
SMOOTH = 1e-4  # by which differences of two sizes may differ, of the largest: more is a kink
SMALL = 1e-3  # times the largest gradient of the network: smaller ones are compared to this


@public
@dataclass(frozen=True)
class TensorCheck:
    """How well the gradient of one tensor agrees with differences.

    Attributes
    ----------
    layer : int
    name : str
        ``"kernel"``, ``"bias"``, ...
    checked, size : int
        Parameters that were checked, and all there are.
    kinks : int
        Of those checked, the ones at which the loss has a corner, as ReLU has at 0: they are not compared.
    error : float
        Largest difference, relative to the gradient.
    index : int or None
        The parameter where it is largest.
    gradient, difference : float
        What the network computes there, and what differences of the loss say.
    """

    layer: int
    name: str
    checked: int
    size: int
    kinks: int
    error: float
    index: int | None
    gradient: float
    difference: float


@public
@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradients` found; prints as a table, and is true if all agree.

    Attributes
    ----------
    tensors : list of TensorCheck
    tolerance : float
    """

    tensors: list[TensorCheck]
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with differences."""
        return all(one.error <= self.tolerance for one in self.tensors)

    @property
    def error(self) -> float:
        """Largest relative error."""
        return max((one.error for one in self.tensors), default=0.0)

    @property
    def layer(self) -> int | None:
        """The last layer whose gradient is wrong, where to look first; None: all are right."""
        return max((one.layer for one in self.tensors if not one.error <= self.tolerance), default=None)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [
            f"layer {one.layer} {one.name}: {one.checked} of {one.size} checked, relative error {one.error:.1e}"
            + (f", {one.kinks} at kinks" if one.kinks else "")
            + ("" if one.error <= self.tolerance else
               f"  WRONG at {one.index}: {one.gradient:.6g}, and differences of the loss give {one.difference:.6g}")
            for one in self.tensors
        ]  # fmt: skip
        if self.layer is not None:
            lines.append(
                f"Layer {self.layer} is the last one with a wrong gradient: look at the derivative of its activation, "
                "at what stands between it and the next layer, and at the gradient of the loss."
            )
        return "\n".join(lines)


def check_gradients(
    model: Sequential, X: Any, y: Any, *, sample_weight: Any = None, samples: int = 50, tolerance: float = 1e-5,
    seed: int = 0,
) -> GradientCheck:  # fmt: skip
    """Compare the gradient of the loss with differences, for built-in and custom layers, activations and losses.

    A copy of the model in float64 is asked for the mean loss of the rows at w + h and w - h, for two sizes of h, and
    for its gradient: the two have to agree. `Dropout` and `GaussianNoise` are switched off. The model is left as it is.

    Parameters
    ----------
    model : Sequential
        Compiled.
    X, y, sample_weight
        As for `Sequential.fit`; a few rows are enough.
    samples : int >= 1
        Parameters of each tensor that are checked, drawn at random where there are more.
    tolerance : float > 0
        Largest relative error that counts as agreement.
    seed : int
        Decides which parameters are drawn.

    Returns
    -------
    GradientCheck
        True if all agree; ``print`` shows each tensor.

    Raises
    ------
    NotReadyError
        The model was not compiled.
    ShapeError, DtypeError, LabelError
        Data that do not go with the model or its loss.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(8, 3))
    >>> model = pynn.Sequential([pynn.Dense(4, activation="tanh"), pynn.Dense(1)], seed=0)
    >>> model.compile("mse")
    >>> bool(pynn.check_gradients(model, X, X.sum(axis=1)))
    True
    """
    samples = checks.integer("samples", samples, 1)
    tolerance = checks.number("tolerance", tolerance, above=0)
    part = model._learner.require_compiled().check_batch(X, y, sample_weight)
    learner = _copy(model)
    network, random = learner.network, np.random.default_rng(seed)
    trainer = learner.trainer_for(part.x.shape[0])
    start = np.array(network.parameters)

    def loss(at: np.ndarray) -> float:
        network.parameters[...] = at
        return float(trainer.train(part.x, part.y, part.weights, None, 0, part.x.shape[0], part.x.shape[0])[2])

    here = loss(start)
    gradient = np.array(trainer.gradient, np.float64)
    found = []
    for name, layer, offset, rows, columns in network.core.tensors:
        size = rows * columns
        if layer in model._network.frozen or layer < 0:
            continue
        chosen = np.sort(random.choice(size, samples, replace=False)) if size > samples else np.arange(size)
        pairs = [_differences(loss, start, offset + int(at), here) for at in chosen]
        found.append((layer, name, size, chosen, gradient[offset + chosen], np.array(pairs).reshape(-1, 3)))
    scale = max([float(np.abs(one[5][:, :2]).max()) for one in found if one[5].size] or [0.0]) or 1.0
    return GradientCheck([_compared(*one, scale) for one in found], tolerance)


def _copy(model: Sequential) -> Learner:
    """Return a learner of the same network in float64, without noise, whose steps change nothing."""
    network = model._network
    layers = list(network.core.layers)
    for i, spec in enumerate(network.specs):
        if isinstance(spec, (Dropout, GaussianNoise)):
            layers[i] = type(spec)(0.0).core
    copy: Network = network.copy("float64", layers=layers)
    learner = Learner(copy)
    learner.optimizer, learner.guard = SGD(learning_rate=1e-300), replace(Guard("off"), check_every=0)
    return learner


def _differences(loss: Any, start: np.ndarray, at: int, here: float) -> tuple[float, float, float]:
    """Return the derivative by one parameter from differences of two sizes, and how far the slopes on its two sides
    differ; `here` is the loss at `start`."""
    found, bends = [], []
    step = STEP * max(1.0, abs(float(start[at])))
    for h in (step, step / 2):
        ends = []
        for moved in (start[at] + h, start[at] - h):
            there = start.copy()
            there[at] = moved
            ends.append(loss(there))
        found.append((ends[0] - ends[1]) / (2 * h))
        bends.append(abs(ends[0] - 2 * here + ends[1]) / h)
    corner = bends[1] if bends[1] > 0.75 * bends[0] else 0.0  # of a smooth loss it halves with h
    return found[0], found[1], corner


def _compared(
    layer: int, name: str, size: int, chosen: np.ndarray, gradient: np.ndarray, pairs: np.ndarray, scale: float
) -> TensorCheck:
    """Compare the gradients of a tensor with the differences; the coarse and the fine one give a finer one."""
    coarse, fine, corner = pairs.T
    difference = (4 * fine - coarse) / 3
    smooth = np.maximum(np.abs(coarse - fine), corner) <= SMOOTH * scale
    error = np.abs(gradient - difference) / np.maximum(np.maximum(np.abs(gradient), np.abs(difference)), SMALL * scale)
    error = np.where(np.isfinite(error), error, np.inf)
    error[~smooth & np.isfinite(pairs).all(axis=1)] = 0
    worst = int(np.argmax(error)) if len(error) else None
    if worst is None:
        return TensorCheck(layer, name, 0, size, 0, 0.0, None, 0.0, 0.0)
    return TensorCheck(
        layer, name, len(chosen), size, int((~smooth).sum()), float(error[worst]), int(chosen[worst]),
        float(gradient[worst]), float(difference[worst]),
    )  # fmt: skip
