"""Names, messages and remedies of operations whose result is not finite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SCALE = "Scale X, lower the learning rate, or start from smaller weights."
STEADY = "Scale X and y, or start from smaller weights."
SLOWER = "Lower the learning rate, or set global_clipnorm in the optimizer."
FILL_IN = (
    "Leave these rows out, on_bad_rows='skip', or fill the cells in: on_bad_rows='impute', or "
    "pynn.Normalization(missing='mean') as the first layer."
)
INFINITE = "Leave these rows out, on_bad_rows='skip', or fill the cells in: on_bad_rows='impute'."
LEAVE_OUT = "Leave these rows out: on_bad_rows='skip'."
BEYOND = "Correct or scale these numbers, or compute with dtype='float64'."
NOT_FINITE = "Put finite numbers in, or build the model anew."
# operations whose fault is its own cause, and what the array is called
OF_THE_DATA = {"input": "X", "target": "y", "sample_weight": "sample_weight"}
BEFORE = ("parameter", "layer_state", "optimizer_state")  # of what was there before the step


@dataclass(frozen=True)
class Operation:
    """How a report speaks of an operation whose result is not finite."""

    code: str
    name: str  # of the result, short
    message: str  # of the result, with {layer} and {value}
    remedy: str
    factors: tuple[str, ...] = ()  # what went in, as far as its size is known


OPERATIONS = {
    "input": Operation("nonfinite_input", "a cell of X", "a cell of X is {value}", FILL_IN),
    "target": Operation("nonfinite_target", "a cell of y", "a cell of y is {value}", LEAVE_OUT),
    "sample_weight": Operation(
        "nonfinite_input", "a sample weight", "a sample weight is {value}", "Give every row a finite weight."
    ),
    "parameter": Operation("poor_init", "a weight", "a weight of layer {layer} is {value}", NOT_FINITE),
    "layer_state": Operation(
        "poor_init",
        "a moving mean or variance",
        "a moving mean or variance of layer {layer} is {value}",
        "Put finite numbers in, variances >= 0, or build the model anew.",
    ),
    "optimizer_state": Operation(
        "nonfinite_gradient",
        "the optimizer's state",
        "the optimizer's state for layer {layer} is {value}",
        "Compile the model anew: the optimizer then starts from zero.",
    ),
    "gemm": Operation(
        "exploding_activation",
        "X·W",
        "the product of layer {layer}'s input and its kernel, X·W, is {value}",
        SCALE,
        ("that input", "the kernel"),
    ),
    "bias": Operation(
        "exploding_activation",
        "X·W + b",
        "layer {layer}'s X·W + b is {value}",
        SCALE,
        ("X·W", "the bias"),
    ),
    "activation": Operation(
        "exploding_activation",
        "the activation",
        "the activation of layer {layer} is {value}",
        SCALE,
        ("its input X·W + b",),
    ),
    "forward": Operation(
        "exploding_activation", "a value", "what layer {layer} computes is {value}", SCALE, ("its input",)
    ),
    "gradient": Operation(
        "nonfinite_gradient",
        "a gradient",
        "a gradient of layer {layer}'s parameters is {value}",
        SLOWER,
        ("its input",),
    ),
    "loss": Operation(
        "diverging_loss",
        "the loss",
        "the loss is {value}",
        "Scale X and y, or lower the learning rate.",
        ("the output of the last layer", "y"),
    ),
    "dactivation": Operation(
        "nonfinite_gradient",
        "the gradient behind the activation",
        "the gradient behind layer {layer}'s activation is {value}",
        SLOWER,
        ("the activation's input X·W + b",),
    ),
    "dW": Operation(
        "nonfinite_gradient",
        "the gradient of the kernel",
        "the gradient of layer {layer}'s kernel is {value}",
        SLOWER,
        ("the layer's input", "the gradient behind its activation"),
    ),
    "db": Operation(
        "nonfinite_gradient",
        "the gradient of the bias",
        "the gradient of layer {layer}'s bias is {value}",
        SLOWER,
        ("the gradient behind its activation",),
    ),
    "dX": Operation(
        "nonfinite_gradient",
        "the gradient passed down",
        "the gradient that layer {layer} passes down is {value}",
        SLOWER,
        ("the gradient behind its activation", "the kernel"),
    ),
    "clip": Operation(
        "exploding_gradient",
        "the gradient's norm",
        "the norm of the whole gradient is {value}",
        SLOWER,
        ("the gradient",),
    ),
    "update": Operation(
        "learning_rate_too_high",
        "an updated weight",
        "the update would have made a weight of layer {layer} {value}",
        SLOWER,
        ("the gradient", "the largest weight"),
    ),
    "none": Operation("diverging_loss", "the loss", "the loss has diverged, to {value}", SLOWER),
}
UNKNOWN = Operation("nonfinite_gradient", "a number", "a number of layer {layer} is {value}", SLOWER)


def operation(name: str, value: float | None = None) -> Operation:
    """How a report speaks of it. In data, a `value` that is finite was at fault for being beyond the dtype."""
    spoken = OPERATIONS.get(name, UNKNOWN)
    if name in OF_THE_DATA and value is not None and np.isfinite(value):
        return replace(spoken, message=f"{spoken.message}, beyond float32, which ends at 3.4e38", remedy=BEYOND)
    return spoken


def told(blame: dict[str, Any], dtype: str) -> str:
    """What a replay found, in a sentence or two."""
    spoken = operation(blame["operation"])
    message = spoken.message.format(layer=blame["layer"], value=f"{blame['value']:.3g}")
    sizes = zip(spoken.factors, (blame["largest_left"], blame["largest_right"]), strict=False)
    known = [f"{name} goes up to {size:.2g}" for name, size in sizes if size > 0]
    message += f": {' and '.join(known)}" if known else ""
    if blame["operation"] in (*OF_THE_DATA, *BEFORE):
        return message
    if dtype == "float32" and not blame["fails_in_float64"]:
        return f"{message}. In float64 the same step is finite; float32 ends at 3.4e38"
    return f"{message}. In float64 the same step fails too" if dtype == "float32" else message
