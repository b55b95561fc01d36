from dataclasses import dataclass
from typing import Any

from .schedules import Schedule
from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(optimizer: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True, kw_only=True)
class Optimizer(Spec):
    global_clipnorm: float | None = None

@dataclass(frozen=True)
class SGD(Optimizer):
    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

@dataclass(frozen=True)
class RMSprop(Optimizer):
    learning_rate: float | Schedule = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-07
    weight_decay: float = 0.0

@dataclass(frozen=True)
class Adagrad(Optimizer):
    learning_rate: float | Schedule = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-07
    weight_decay: float = 0.0

@dataclass(frozen=True)
class Adam(Optimizer):
    learning_rate: float | Schedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-07
    weight_decay: float = 0.0

@dataclass(frozen=True)
class AdamW(Optimizer):
    learning_rate: float | Schedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-07
    weight_decay: float = 0.004
