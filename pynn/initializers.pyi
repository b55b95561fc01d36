from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(initializer: Any, argument: str = "initializer") -> Any: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True)
class Zeros(Spec): ...

@dataclass(frozen=True)
class Ones(Spec): ...

@dataclass(frozen=True)
class Constant(Spec):
    value: float = 0.0

@dataclass(frozen=True)
class RandomNormal(Spec):
    mean: float = 0.0
    stddev: float = 0.05

@dataclass(frozen=True)
class TruncatedNormal(Spec):
    mean: float = 0.0
    stddev: float = 0.05

@dataclass(frozen=True)
class RandomUniform(Spec):
    minval: float = -0.05
    maxval: float = 0.05

@dataclass(frozen=True)
class GlorotNormal(Spec): ...

@dataclass(frozen=True)
class GlorotUniform(Spec): ...

@dataclass(frozen=True)
class HeNormal(Spec): ...

@dataclass(frozen=True)
class HeUniform(Spec): ...

@dataclass(frozen=True)
class LecunNormal(Spec): ...

@dataclass(frozen=True)
class LecunUniform(Spec): ...

@dataclass(frozen=True)
class Orthogonal(Spec):
    gain: float = 1.0
