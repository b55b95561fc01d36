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
        "log_cosh": "Mean of log(cosh(z - y)): (z - y)^2/2 near 0, |z - y| - log 2 far away, and nothing overflows. "
        "Keras's LogCosh.",
        "quantile": "Mean of q e where e = y - z > 0, else (q - 1) e: z becomes the quantile q of y given x. Koenker "
        "and Bassett, 1978; scikit-learn's mean_pinball_loss.",
        "poisson": "Mean of r - y log r, r = e^z: the negative log-likelihood of counts y >= 0 but for log(y!). "
        "Predictions are the rates r. Keras's Poisson; PyTorch's PoissonNLLLoss(log_input=True).",
        "gaussian_nll": "Mean of (s + (y - m)^2 e^-s)/2: the negative log-likelihood of a normal distribution but for "
        "log(2 pi)/2. A model of 2k outputs takes y with k columns: the first k outputs are means m, the others the "
        "logs s of the variances. Nix and Weigend, 1994; PyTorch's GaussianNLLLoss with var = e^s and no floor.",
        "hinge": "Mean of max(0, 1 - t z), t = 1 where y > 0 and -1 elsewhere: labels may be -1 and 1, or 0 and 1. "
        "Keras's Hinge.",
        "squared_hinge": "Mean of max(0, 1 - t z)^2, t as in `Hinge`. Keras's SquaredHinge.",
        "focal": "Sigmoid cross-entropy times w (1 - p_t)^gamma, p_t the probability given to y in [0, 1], w = alpha "
        "for 1 and 1 - alpha for 0: easy rows count less. Lin et al., 2017; torchvision's sigmoid_focal_loss and "
        "Keras's BinaryFocalCrossentropy(apply_class_balancing=True), from logits. Predictions are sigmoid(z).",
        "kl_divergence": "sum_j y_j (log y_j - log softmax(z)_j), mean over rows; y is a row of probabilities. "
        "Predictions are softmax(z). PyTorch's KLDivLoss(reduction='batchmean'); Keras's KLDivergence.",
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
