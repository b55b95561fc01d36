"""Names, codes and advice of operations whose result is not finite."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .advice import Advice

# operations whose fault is its own cause, and what the array is called
OF_THE_DATA = {"input": "X", "target": "y", "sample_weight": "sample_weight"}
BEFORE = ("parameter", "layer_state", "optimizer_state")  # not finite before the step began


@dataclass(frozen=True)
class Operation:
    """How a report speaks of an operation whose result is not finite."""

    code: str
    name: str  # of the result, short
    message: str  # of the result, with {layer} and {value}
    advice: Advice
    factors: tuple[str, ...] = ()  # its operands, where their size is known


OPERATIONS = {
    "input": Operation("nonfinite_input", "a cell of X", "a cell of X is {value}", Advice.FILL_IN),
    "target": Operation("nonfinite_target", "a cell of y", "a cell of y is {value}", Advice.LEAVE_OUT),
    "sample_weight": Operation(
        "nonfinite_input", "a sample weight", "a sample weight is {value}", Advice.FINITE_WEIGHTS
    ),
    "parameter": Operation("poor_init", "a weight", "a weight of layer {layer} is {value}", Advice.FINITE_PARAMETERS),
    "layer_state": Operation(
        "poor_init",
        "a moving mean or variance",
        "a moving mean or variance of layer {layer} is {value}",
        Advice.FINITE_STATE,
    ),
    "optimizer_state": Operation(
        "nonfinite_gradient",
        "the optimizer's state",
        "the optimizer's state for layer {layer} is {value}",
        Advice.COMPILE_AGAIN,
    ),
    "gemm": Operation(
        "exploding_activation",
        "X·W",
        "the product of layer {layer}'s input and its kernel, X·W, is {value}",
        Advice.SCALE_OR_SLOWER,
        ("that input", "the kernel"),
    ),
    "bias": Operation(
        "exploding_activation",
        "X·W + b",
        "layer {layer}'s X·W + b is {value}",
        Advice.SCALE_OR_SLOWER,
        ("X·W", "the bias"),
    ),
    "activation": Operation(
        "exploding_activation",
        "the activation",
        "the activation of layer {layer} is {value}",
        Advice.SCALE_OR_SLOWER,
        ("its input X·W + b",),
    ),
    "forward": Operation(
        "exploding_activation",
        "a value",
        "a value that layer {layer} computes is {value}",
        Advice.SCALE_OR_SLOWER,
        ("its input",),
    ),
    "gradient": Operation(
        "nonfinite_gradient",
        "a gradient",
        "a gradient of layer {layer}'s parameters is {value}",
        Advice.SLOWER_OR_CLIP,
        ("its input",),
    ),
    "loss": Operation(
        "diverging_loss",
        "the loss",
        "the loss is {value}",
        Advice.SCALE_BOTH_OR_SLOWER,
        ("the output of the last layer", "y"),
    ),
    "dactivation": Operation(
        "nonfinite_gradient",
        "the gradient behind the activation",
        "the gradient behind layer {layer}'s activation is {value}",
        Advice.SLOWER_OR_CLIP,
        ("the activation's input X·W + b",),
    ),
    "dW": Operation(
        "nonfinite_gradient",
        "the gradient of the kernel",
        "the gradient of layer {layer}'s kernel is {value}",
        Advice.SLOWER_OR_CLIP,
        ("the layer's input", "the gradient behind its activation"),
    ),
    "db": Operation(
        "nonfinite_gradient",
        "the gradient of the bias",
        "the gradient of layer {layer}'s bias is {value}",
        Advice.SLOWER_OR_CLIP,
        ("the gradient behind its activation",),
    ),
    "dX": Operation(
        "nonfinite_gradient",
        "the gradient passed down",
        "the gradient that layer {layer} passes down is {value}",
        Advice.SLOWER_OR_CLIP,
        ("the gradient behind its activation", "the kernel"),
    ),
    "clip": Operation(
        "exploding_gradient",
        "the gradient's norm",
        "the norm of the whole gradient is {value}",
        Advice.SLOWER_OR_CLIP,
        ("the gradient",),
    ),
    "update": Operation(
        "learning_rate_too_high",
        "an updated weight",
        "the update would have made a weight of layer {layer} {value}",
        Advice.SLOWER_OR_CLIP,
        ("the gradient", "the largest weight"),
    ),
    "none": Operation("diverging_loss", "the loss", "the loss has diverged, to {value}", Advice.SLOWER_OR_CLIP),
}
UNKNOWN = Operation("nonfinite_gradient", "a number", "a number of layer {layer} is {value}", Advice.SLOWER_OR_CLIP)


def operation(name: str, value: float | None = None) -> Operation:
    """Return how a report speaks of an operation. A finite `value` in the data is one beyond the dtype."""
    spoken = OPERATIONS.get(name, UNKNOWN)
    if name in OF_THE_DATA and value is not None and np.isfinite(value):
        message = f"{spoken.message}, which exceeds the float32 range (3.4e38)"
        return replace(spoken, message=message, advice=Advice.SCALE_OR_FLOAT64)
    return spoken
