from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(loss: Any) -> Any: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True)
class MeanSquaredError(Spec): ...

@dataclass(frozen=True)
class MeanAbsoluteError(Spec): ...

@dataclass(frozen=True)
class Huber(Spec):
    delta: float = 1.0

@dataclass(frozen=True)
class LogCosh(Spec): ...

@dataclass(frozen=True)
class Quantile(Spec):
    quantile: float = 0.5

@dataclass(frozen=True)
class Poisson(Spec): ...

@dataclass(frozen=True)
class GaussianNLL(Spec): ...

@dataclass(frozen=True)
class Hinge(Spec): ...

@dataclass(frozen=True)
class SquaredHinge(Spec): ...

@dataclass(frozen=True)
class Focal(Spec):
    gamma: float = 2.0
    alpha: float = 0.25

@dataclass(frozen=True)
class KLDivergence(Spec): ...

@dataclass(frozen=True)
class SoftmaxCrossEntropy(Spec):
    label_smoothing: float = 0.0

@dataclass(frozen=True)
class SigmoidCrossEntropy(Spec):
    label_smoothing: float = 0.0
