"""Read networks of FANN, the C library: ``.net`` files of its version 2.

A file is lines ``key=value``. Neurons stand layer by layer, the last of each layer a bias neuron; connections stand in
the order of the neurons that they lead to. A neuron computes f(clip(steepness * sum, 150 / steepness)).

This is the example of an importer: read and check, make layers and tensors, refuse what cannot be equal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import FileFormatError, UnsupportedError
from ..layers import Dense, Layer
from ..network.network import Description, Place
from .content import Content

__all__ = ["read"]

NAMES = (
    "LINEAR", "THRESHOLD", "THRESHOLD_SYMMETRIC", "SIGMOID", "SIGMOID_STEPWISE", "SIGMOID_SYMMETRIC",
    "SIGMOID_SYMMETRIC_STEPWISE", "GAUSSIAN", "GAUSSIAN_SYMMETRIC", "GAUSSIAN_STEPWISE", "ELLIOT", "ELLIOT_SYMMETRIC",
    "LINEAR_PIECE", "LINEAR_PIECE_SYMMETRIC", "SIN_SYMMETRIC", "COS_SYMMETRIC", "SIN", "COS",
)  # fmt: skip
# FANN's function of steepness * sum: our activation, and the factor of its argument.
ACTIVATIONS = {"LINEAR": ("linear", 1.0), "SIGMOID": ("sigmoid", 2.0), "SIGMOID_SYMMETRIC": ("tanh", 1.0),
               "ELLIOT_SYMMETRIC": ("softsign", 1.0)}  # fmt: skip
CAP = 150.0  # |steepness * sum| is at most this over steepness
SATURATED = 20.0  # where tanh and the logistic of twice the number are 1 in float32


def read(path: Any, custom: Mapping[str, Any] | None = None) -> Content:
    """Read a ``.net`` file of a layered network.

    Raises
    ------
    FileFormatError
        The file is broken.
    UnsupportedError
        Fixed point, shortcut connections, an activation or a cap that pynn does not compute.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        first, *lines = file.read().decode("ascii", "replace").splitlines()
    if first.strip() != "FANN_FLO_2.1" and first.strip() != "FANN_FLO_2.0":
        raise UnsupportedError(f"expected a network of FANN in floating point, FANN_FLO_2.1; received {first[:40]!r}")
    values = {key: value for key, _, value in (line.partition("=") for line in lines)}
    try:
        sizes = [int(n) for n in _value(values, "layer_sizes").split()]
        neurons = _triples(values, "neurons (num_inputs, activation_function, activation_steepness)")
        connections = _pairs(values, "connections (connected_to_neuron, weight)")
        _check(sizes, neurons, connections, size)
        layers, tensors = _layers(sizes, neurons, connections)
    except UnsupportedError:
        raise
    except (ValueError, LookupError, OverflowError) as error:
        raise FileFormatError(f"expected a network of FANN; received {os.fspath(path)!r}, broken ({error})") from None
    return Content(Description(layers, 0, "float32", sizes[0] - 1, tensors), "FANN")


def _value(values: Mapping[str, str], key: str) -> str:
    if key not in values:
        raise ValueError(f"no {key}")
    return values[key]


def _triples(values: Mapping[str, str], key: str) -> np.ndarray:
    return _numbers(_value(values, key), 3)


def _pairs(values: Mapping[str, str], key: str) -> np.ndarray:
    return _numbers(_value(values, key), 2)


def _numbers(text: str, count: int) -> np.ndarray:
    """Return what ``(0, 5, 5.0e-01) (0, 5, 5.0e-01) `` lists, one row for each pair of brackets."""
    if not re.fullmatch(r"[-+(), .0-9e]*", text):
        raise ValueError("other characters than those of numbers: in a locale with decimal commas, write it again")
    rows = [[float(number) for number in row.split(",")] for row in re.findall(r"\(([^()]*)\)", text)]
    if any(len(row) != count for row in rows):
        raise ValueError(f"brackets without {count} numbers")
    found = np.array(rows, np.float64).reshape(-1, count)
    if not np.isfinite(found).all():
        raise ValueError("a number beyond all limits")
    return found


def _check(sizes: list[int], neurons: np.ndarray, connections: np.ndarray, size: int) -> None:
    """Require that the lists have the lengths that others tell, and that weights take memory as the file does."""
    if len(sizes) < 2 or min(sizes) < 2:
        raise ValueError(f"layers of {sizes} neurons")
    if len(neurons) != sum(sizes) or len(connections) != neurons[:, 0].sum() or (neurons[:, :2] < 0).any():
        raise ValueError(f"{len(neurons)} neurons and {len(connections)} connections")
    if sum(a * b for a, b in pairwise(sizes)) > size:
        raise UnsupportedError("expected a network with most of its connections; received one with few of them")


def _layers(
    sizes: list[int], neurons: np.ndarray, connections: np.ndarray
) -> tuple[tuple[Layer, ...], dict[Place, np.ndarray]]:
    """Return layers and kernels, into which the steepness goes."""
    layers: list[Layer] = []
    tensors: dict[Place, np.ndarray] = {}
    starts = np.cumsum([0, *sizes])
    at = np.concatenate([[0], np.cumsum(neurons[:, 0])]).astype(np.int64)
    largest: float = np.inf  # magnitude that an input of the layer can have
    for index in range(len(sizes) - 1):
        units = range(int(starts[index + 1]), int(starts[index + 2]) - 1)
        name, steepness = _function(neurons[units.start : units.stop], index)
        weights = np.zeros((sizes[index], len(units)))
        for column, unit in enumerate(units):
            rows = connections[at[unit] : at[unit + 1]]
            sources = rows[:, 0] - starts[index]
            if ((sources < 0) | (sources >= sizes[index])).any():
                raise UnsupportedError("expected connections from each layer to the next; received shortcuts")
            np.add.at(weights[:, column], sources.astype(np.int64), rows[:, 1])
        activation, factor = ACTIVATIONS[name]
        with np.errstate(invalid="ignore"):
            reach = np.abs(weights[:-1]).sum(axis=0) * largest + np.abs(weights[-1])
        _require_below_cap(name, steepness, np.nan_to_num(reach, nan=np.inf, posinf=np.inf), index)
        weights *= steepness * factor
        tensors |= {(index, "kernel"): weights[:-1], (index, "bias"): weights[-1]}
        layers.append(Dense(len(units), activation))
        largest = float((reach * steepness).max()) if name == "LINEAR" else 1.0
    return tuple(layers), tensors


def _function(neurons: np.ndarray, index: int) -> tuple[str, np.ndarray]:
    """Return the function of a layer's neurons, and the steepness of each."""
    codes = np.unique(neurons[:, 1])
    names = [NAMES[int(code)] if code < len(NAMES) else str(code) for code in codes]
    if len(names) != 1 or names[0] not in ACTIVATIONS:
        raise UnsupportedError(
            f"expected layers of one activation among {', '.join(ACTIVATIONS)}; received {', '.join(names)} in layer "
            f"{index + 1}"
        )
    if not (neurons[:, 2] > 0).all():
        raise ValueError(f"a steepness of {neurons[:, 2].min()}")
    return names[0], neurons[:, 2]


def _require_below_cap(name: str, steepness: np.ndarray, reach: np.ndarray, index: int) -> None:
    """Require that FANN's cap changes no result: that it is never reached, or where the function is flat."""
    cap = CAP / steepness
    flat = SATURATED if name in ("SIGMOID", "SIGMOID_SYMMETRIC") else np.inf
    caught = (cap < flat) & (steepness * reach > cap)
    if caught.any():
        unit = int(np.argmax(caught))
        raise UnsupportedError(
            f"expected sums that FANN's cap cannot change; received unit {unit} of layer {index + 1}, {name}, capped "
            f"at {cap[unit]:.6g}, where sums can reach {(steepness * reach)[unit]:.6g}"
        )
