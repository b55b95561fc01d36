from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(regularizer: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True)
class L1(Spec):
    l1: float = 0.01

@dataclass(frozen=True)
class L2(Spec):
    l2: float = 0.01

@dataclass(frozen=True)
class L1L2(Spec):
    l1: float = 0.01
    l2: float = 0.01
