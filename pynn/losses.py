"""Losses: what training makes small, as classes such as ``Huber(delta=1.0)``.

A loss takes logits z, the last layer's values before its activation, and names the link that turns them into
predictions. ``dir(pynn.losses)`` lists them.
"""

from __future__ import annotations

from typing import Any

from .specs import Table

table = Table(
    "loss",
    texts={
        "mean_squared_error": "Mean of (z - y)^2 over rows and outputs.",
        "mean_absolute_error": "Mean of |z - y| over rows and outputs.",
        "huber": "Mean of h(z - y), h(e) = e^2/2 where |e| <= delta, else delta (|e| - delta/2). Huber, 1964.",
        "softmax_cross_entropy": "-sum_j y_j log softmax(z)_j, mean over rows; y is a class label or a row of "
        "probabilities, mixed with `label_smoothing` of the uniform distribution. Predictions are softmax(z).",
        "sigmoid_cross_entropy": "-(y log p + (1 - y) log(1 - p)), p = sigmoid(z), mean over rows and outputs; y is in "
        "[0, 1] and drawn by `label_smoothing` towards 1/2. Predictions are sigmoid(z).",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def get(loss: Any) -> Any:
    """The loss for a name, an alias such as ``"mse"``, or an object.

    Examples
    --------
    >>> import pynn
    >>> pynn.losses.get("sparse_categorical_crossentropy")
    SoftmaxCrossEntropy(label_smoothing=0.0)
    """
    return table.get(loss, "loss")
