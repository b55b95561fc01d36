from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; most classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(schedule: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...

class Schedule(Spec):
    @property
    def core_schedule(self) -> tuple[Any, ...]: ...
    def __call__(self, step: int) -> float: ...

@dataclass(frozen=True)
class Constant(Schedule):
    learning_rate: float = 0.01

@dataclass(frozen=True)
class StepDecay(Schedule):
    initial_learning_rate: float = 0.01
    step_size: int = 1000
    gamma: float = 0.1

@dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    boundaries: Sequence[int] = ()
    values: Sequence[float] = (0.01,)

@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    initial_learning_rate: float = 0.01
    decay_steps: int = 1000
    decay_rate: float = 0.9
    staircase: bool = False

@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    initial_learning_rate: float = 0.01
    decay_steps: int = 1000
    decay_rate: float = 0.5
    staircase: bool = False

@dataclass(frozen=True)
class InverseScaling(Schedule):
    initial_learning_rate: float = 0.01
    power: float = 0.5

@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    initial_learning_rate: float = 0.01
    decay_steps: int = 1000
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

@dataclass(frozen=True)
class CosineDecay(Schedule):
    initial_learning_rate: float = 0.01
    decay_steps: int = 1000
    alpha: float = 0.0
    warmup_target: float = 0.0
    warmup_steps: int = 0

@dataclass(frozen=True)
class CosineDecayRestarts(Schedule):
    initial_learning_rate: float = 0.01
    first_decay_steps: int = 1000
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

@dataclass(frozen=True)
class OneCycle(Schedule):
    max_learning_rate: float = 0.01
    total_steps: int = 1000
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 10000.0
    three_phase: bool = False
    linear: bool = False

@dataclass(frozen=True)
class Triangular(Schedule):
    base_learning_rate: float = 0.001
    max_learning_rate: float = 0.01
    step_size_up: int = 2000
    step_size_down: int = 0

@dataclass(frozen=True)
class Triangular2(Schedule):
    base_learning_rate: float = 0.001
    max_learning_rate: float = 0.01
    step_size_up: int = 2000
    step_size_down: int = 0

@dataclass(frozen=True)
class ExpRange(Schedule):
    base_learning_rate: float = 0.001
    max_learning_rate: float = 0.01
    step_size_up: int = 2000
    step_size_down: int = 0
    gamma: float = 0.9999

@dataclass(frozen=True)
class Warmup(Schedule):
    schedule: Any = 0.01
    warmup_steps: int = 1000
    start_factor: float = 0.0
