"""Schedules: the learning rate as a function of the steps applied so far, in place of a number.

``pynn.Adam(learning_rate=pynn.schedules.CosineDecay(1e-3, decay_steps=10_000))``. A schedule is a pure function
of the number of steps, so a run that is resumed goes on exactly where it was; a step that the guard refused does not
count, and what rollbacks take off multiplies the schedule. ``schedule(step)`` is the rate of the step that follows
`step` applied ones. To think in epochs, count the steps in one: the rows over the batch size, rounded up, which is
``len(loader)`` of a `DataLoader`; 30 epochs are ``decay_steps=30 * len(loader)``. ``dir(pynn.schedules)`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from . import _core, checks
from .errors import ArgumentTypeError, ArgumentValueError
from .specs import Spec, Table

_MOST_BOUNDARIES = 64
_STEPS = {"type": int, "minimum": 0.0, "maximum": 2.0**53, "open_minimum": False, "open_maximum": False}
_RATE = {"type": float, "minimum": 0.0, "maximum": 1e300, "open_minimum": False, "open_maximum": False}
_SHARE = {"type": float, "minimum": 0.0, "maximum": 1.0, "open_minimum": False, "open_maximum": False}


class Schedule(Spec):
    """Base of all schedules."""

    @property
    def core_schedule(self) -> tuple[Any, ...]:
        """What the compiled core takes: spec, boundaries, values, steps of warm-up and its first factor."""
        return self.core, (), (), 0, 0.0

    def __call__(self, step: int) -> float:
        """The rate of the step that follows `step` applied ones."""
        return float(_core.schedule_rate(self.core_schedule, int(checks.field("step", step, _STEPS))))


table = Table(
    "schedule",
    base=Schedule,
    texts={
        "constant": "The same rate at every step.",
        "step_decay": "initial gamma^floor(step / step_size). PyTorch's StepLR.",
        "exponential_decay": "initial decay_rate^(step / decay_steps); `staircase` rounds the exponent down. Keras's.",
        "inverse_time_decay": "initial / (1 + decay_rate step / decay_steps); `staircase` rounds the quotient down. "
        "Keras's.",
        "inverse_scaling": "initial / (step + 1)^power. scikit-learn's invscaling, which counts rows instead of steps.",
        "polynomial_decay": "(initial - end) (1 - step / decay_steps)^power + end, then end; `cycle` starts again from "
        "a lower rate. Keras's.",
        "cosine_decay": "initial ((1 - alpha) (1 + cos(pi step / decay_steps)) / 2 + alpha). With `warmup_target` > 0 "
        "the rate first rises to it from `initial_learning_rate` in `warmup_steps`, and decays from there. Keras's; "
        "Loshchilov and Hutter, ICLR 2017.",
        "cosine_decay_restarts": "Cosine decays one after another, the i-th over first_decay_steps t_mul^i steps from "
        "initial m_mul^i. Keras's; Loshchilov and Hutter, ICLR 2017.",
        "one_cycle": "From max / div_factor up to max in the first `pct_start` of the steps, then down to "
        "max / (div_factor final_div_factor), along cosines, or lines if `linear`; with `three_phase` symmetrically "
        "down first. It stays there. PyTorch's OneCycleLR without its cycle of momentum; Smith and Topin, 2018.",
        "triangular": "Up from base to max in `step_size_up` steps and down in `step_size_down` (0: as many), again "
        "and again. PyTorch's CyclicLR; Smith, WACV 2017.",
        "triangular2": "As Triangular, each cycle half as high as the one before. PyTorch's CyclicLR.",
        "exp_range": "As Triangular, the height times gamma^step. PyTorch's CyclicLR.",
    },
)


@dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """values[0] up to and including step boundaries[0], then values[1] up to boundaries[1], ... Keras's.

    Parameters
    ----------
    boundaries : sequence of int
        Rising, at most 64.
    values : sequence of float
        Finite, >= 0; one more than there are boundaries.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.schedules.PiecewiseConstantDecay([1000, 2000], [0.1, 0.01, 0.001])
    >>> schedule(1000), schedule(1001)
    (0.1, 0.01)
    """

    kind: ClassVar[str] = "schedule"
    name: ClassVar[str] = "piecewise_constant_decay"
    row: ClassVar[Mapping[str, Any]] = table.rows["piecewise_constant_decay"]

    boundaries: Sequence[int] = ()
    values: Sequence[float] = (0.01,)

    def __post_init__(self) -> None:
        for argument, rule in (("boundaries", _STEPS), ("values", _RATE)):
            given = getattr(self, argument)
            if isinstance(given, str) or not hasattr(given, "__iter__"):
                raise ArgumentTypeError(f"expected {argument} as a sequence of numbers; received {argument}={given!r}")
            name = f"PiecewiseConstantDecay.{argument}"
            object.__setattr__(self, argument, tuple(checks.field(name, value, rule) for value in given))
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentValueError(
                f"expected one value more than there are boundaries; received {len(self.values)} values and "
                f"{len(self.boundaries)} boundaries"
            )
        rising = all(a < b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False))
        if not rising or len(self.boundaries) > _MOST_BOUNDARIES:
            raise ArgumentValueError(
                f"expected at most {_MOST_BOUNDARIES} rising boundaries; received boundaries={self.boundaries!r}"
            )

    @property
    def core_schedule(self) -> tuple[Any, ...]:
        return self.core, self.boundaries, self.values, 0, 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "boundaries": list(self.boundaries), "values": list(self.values)}


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear warm-up in front of any other schedule: its first rate times start_factor + (1 - start_factor) step / n.

    PyTorch's LinearLR followed by another scheduler. The other one's steps count from the end of the warm-up.

    Parameters
    ----------
    schedule : schedule or float
        What follows; a number is a constant rate.
    warmup_steps : int >= 0
        n.
    start_factor : float in [0, 1]
        With 0 the first step does nothing but collect the optimizer's averages.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.schedules.Warmup(pynn.schedules.CosineDecay(0.1, decay_steps=900), warmup_steps=100)
    >>> schedule(0), schedule(100), schedule(1000)
    (0.0, 0.1, 0.0)
    """

    kind: ClassVar[str] = "schedule"
    name: ClassVar[str] = "warmup"
    row: ClassVar[Mapping[str, Any]] = {"name": "warmup", "fields": []}

    schedule: Any = 0.01
    warmup_steps: int = 1000
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", get(self.schedule))
        if isinstance(self.schedule, Warmup):
            raise ArgumentTypeError("expected a schedule without a warm-up of its own; received a Warmup in a Warmup")
        object.__setattr__(self, "warmup_steps", checks.field("Warmup.warmup_steps", self.warmup_steps, _STEPS))
        object.__setattr__(self, "start_factor", checks.field("Warmup.start_factor", self.start_factor, _SHARE))

    @property
    def core_schedule(self) -> tuple[Any, ...]:
        return (*self.schedule.core_schedule[:3], self.warmup_steps, self.start_factor)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "schedule": self.schedule.to_dict(),
            "warmup_steps": self.warmup_steps,
            "start_factor": self.start_factor,
        }


table.define(PiecewiseConstantDecay)
table.define(Warmup)
__all__, __getattr__, __dir__ = table.module(__name__)


def get(schedule: Any) -> Any:
    """The schedule for an object, what its `to_dict` gave, a name, or a number, which is a constant rate.

    Examples
    --------
    >>> import pynn
    >>> pynn.schedules.get("cosine_decay").decay_steps
    1000
    """
    if isinstance(schedule, (int, float)) and not isinstance(schedule, bool):
        return table.spec_class("constant")(schedule)
    return table.get(schedule, "learning_rate")
