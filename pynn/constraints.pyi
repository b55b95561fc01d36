from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(constraint: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True)
class MaxNorm(Spec):
    max_value: float = 2.0

@dataclass(frozen=True)
class UnitNorm(Spec): ...

@dataclass(frozen=True)
class MinMaxNorm(Spec):
    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0

@dataclass(frozen=True)
class NonNeg(Spec): ...
