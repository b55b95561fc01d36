"""Regularisers: penalties on weights, added to the loss and to its gradient, as classes such as ``L2(l2=1e-4)``.

``pynn.Dense(64, kernel_regularizer="l2")`` or ``kernel_regularizer=pynn.regularizers.L1L2(l1=1e-5, l2=1e-4)``. The
loss that `fit` and `evaluate` report contains them, as Keras's does. ``dir(pynn.regularizers)`` lists them. To shrink
weights beside the gradient instead, whatever the optimizer, is its ``weight_decay``.
"""

from __future__ import annotations

from typing import Any

from .specs import Table

table = Table(
    "regularizer",
    texts={
        "l1": "l1 sum |w|; gradient l1 sign(w). Drives weights to 0. Tibshirani, JRSS B 58, 1996.",
        "l2": "l2 sum w^2; gradient 2 l2 w. Hoerl and Kennard, 1970.",
        "l1_l2": "l1 sum |w| + l2 sum w^2. Zou and Hastie, JRSS B 67, 2005.",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def get(regularizer: Any) -> Any:
    """The regulariser for a name or an object; None for None.

    Examples
    --------
    >>> import pynn
    >>> pynn.regularizers.get("l2")
    L2(l2=0.01)
    """
    return None if regularizer in (None, "none") else table.get(regularizer, "regularizer")
