"""Optimizers: how gradients g move parameters w, as classes such as ``Adam(learning_rate=1e-3)``.

``dir(pynn.optimizers)`` lists them; `pynn` offers each under its own name too. Epsilon stands beside the root, as in
PyTorch. ``early_epsilon=True`` puts it where Keras does: inside the root in `RMSprop` and `Adagrad`, and in `Adam` and
`AdamW` beside the root before its correction, sqrt(v) + epsilon in place of sqrt(v / (1 - beta_2^t)) + epsilon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from . import checks, schedules
from .errors import ArgumentTypeError
from .specs import Numbers, Spec, Table

_CLIPNORM = {"type": float, "minimum": 0.0, "maximum": 1e38, "open_minimum": True, "open_maximum": False}


@dataclass(frozen=True, kw_only=True)
class Optimizer(Spec):
    """What all optimizers share.

    Parameters
    ----------
    global_clipnorm : float, optional
        Gradients are scaled down to at most this Euclidean norm, taken over all parameters. None: not.
    """

    global_clipnorm: float | None = None
    takes_steps: ClassVar[bool] = True  # with a learning rate
    to_change: ClassVar[str] = "set model.learning_rate, or compile the model with another optimizer"

    def __post_init__(self) -> None:
        rate = self.learning_rate  # type: ignore[attr-defined]
        scheduled = isinstance(rate, (schedules.Schedule, Mapping, str))
        if isinstance(rate, type) and issubclass(rate, schedules.Schedule):
            raise ArgumentTypeError(f"expected learning_rate as a number or a schedule; received the class: write "
                                    f"{rate.__name__}()")  # fmt: skip
        if callable(rate) and not scheduled:
            raise ArgumentTypeError(
                f"expected learning_rate as a number or a schedule of pynn.schedules; received learning_rate={rate!r}: "
                "a function of the epoch is for pynn.LearningRateScheduler, in fit's callbacks"
            )
        if scheduled:
            rate = schedules.get(rate)
            default = next(rule["default"] for rule in self.row["fields"] if rule["name"] == "learning_rate")
            object.__setattr__(self, "learning_rate", default)
        super().__post_init__()
        if scheduled:
            object.__setattr__(self, "learning_rate", rate)
        if self.global_clipnorm is not None:
            value = checks.field(f"{type(self).__name__}.global_clipnorm", self.global_clipnorm, _CLIPNORM)
            object.__setattr__(self, "global_clipnorm", value)

    @cached_property
    def schedule(self) -> schedules.Schedule | None:
        """What the learning rate follows; None when it is a number."""
        rate = self.learning_rate  # type: ignore[attr-defined]
        return rate if isinstance(rate, schedules.Schedule) else None

    @cached_property
    def core(self) -> tuple[str, Numbers]:
        if self.schedule is None:
            return super().core
        return replace(self, learning_rate=1.0).core  # type: ignore[call-arg]

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        if not values.get("early_epsilon", True):
            del values["early_epsilon"]  # as version 0.1.0, which did not have it, wrote it in checkpoints
        return values | {"learning_rate": self.schedule.to_dict()} if self.schedule else values


table = Table(
    "optimizer",
    base=Optimizer,
    texts={
        "sgd": "w <- w - learning_rate v, with v = g, or v <- momentum v + g; `nesterov` looks ahead: g + momentum v. "
        "Sutskever et al., ICML 2013.",
        "rmsprop": "Gradients over the root of a moving mean (`rho`) of their squares. Tieleman and Hinton, 2012.",
        "adagrad": "Gradients divided by the root of the sum of their squares. Duchi, Hazan and Singer, JMLR 2011.",
        "adam": "Moving means of g (`beta_1`) and g^2 (`beta_2`), corrected for their start: "
        "w <- w - learning_rate m / (sqrt(v) + epsilon). Kingma and Ba, ICLR 2015.",
        "adamw": "Adam, with w shrunk by learning_rate weight_decay in each step beside the gradient. Loshchilov and "
        "Hutter, ICLR 2019.",
        "amsgrad": "Adam, with the largest v so far in the place of v, so that steps never grow again; Keras's and "
        "PyTorch's `amsgrad=True`. Reddi, Kale and Kumar, ICLR 2018.",
        "nadam": "Adam with Nesterov's momentum, which grows with the steps: beta_1 (1 - 0.96^(t momentum_decay) / 2). "
        "As in PyTorch; Keras's is momentum_decay=1. Dozat, ICLR 2016 workshop.",
        "lion": "The sign of a mean of m and g (`beta_1`), times the rate; m follows g by `beta_2`. Rates are three to "
        "ten times smaller than Adam's. Chen et al., NeurIPS 2023.",
    },
)

__all__, __getattr__, __dir__ = table.module(__name__)


def is_optimizer(value: Any) -> bool:
    """Return whether `value` is the name of an optimizer, or one."""
    return table.knows(value)


def get(optimizer: Any) -> Any:
    """The optimizer for a name, with its defaults, or an object.

    Examples
    --------
    >>> import pynn
    >>> pynn.optimizers.get("adam").learning_rate
    0.001
    """
    return table.get(optimizer, "optimizer")
