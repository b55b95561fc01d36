"""Constraints: what weights are made to keep after each update, as classes such as ``MaxNorm(max_value=3.0)``.

``pynn.Dense(64, kernel_constraint="max_norm")`` constrains the weights of each unit, a column of the kernel;
``bias_constraint`` the bias as one vector. ``dir(pynn.constraints)`` lists them. What keeps a constraint already keeps
its bits. A norm is changed by a factor, which no epsilon alters (Keras and PyTorch add 1e-7 to the norm).
"""

from __future__ import annotations

from typing import Any

from .specs import Table

table = Table(
    "constraint",
    texts={
        "max_norm": "Euclidean norms of at most `max_value`. Srebro, Rennie and Jaakkola, NIPS 2004.",
        "unit_norm": "Euclidean norms of 1; a column of zeros stays.",
        "min_max_norm": "Norms between `min_value` and `max_value`, or `rate` of the way there. Keras's.",
        "non_neg": "No negative weights: they become 0.",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def get(constraint: Any) -> Any:
    """The constraint for a name or an object; None for None.

    Examples
    --------
    >>> import pynn
    >>> pynn.constraints.get("unit_norm")
    UnitNorm()
    """
    return None if constraint in (None, "none") else table.get(constraint, "constraint")
