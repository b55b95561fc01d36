"""Learning rates that callbacks set."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentValueError


def require_settable_rate(model: Any, who: str) -> None:
    """Refuse, before training, a model whose learning rate cannot be set."""
    optimizer = model.optimizer
    if optimizer.schedule is not None:
        raise ArgumentValueError(
            f"expected an optimizer whose learning rate is a number, for {who} to set; received one that follows "
            f"{type(optimizer.schedule).__name__}: leave one of the two out"
        )
    model.learning_rate = model.learning_rate  # raises for an optimizer without one


def left_by_rollbacks(model: Any) -> float:
    """Return the share of the learning rate that the rollbacks of the current run have left."""
    ledger = model.history.ledger if model.history else []
    rolled_back = [event for event in ledger if event["kind"] == "rolled_back"]
    return math.prod(event["new_learning_rate"] / event["learning_rate"] for event in rolled_back)
