from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(loss: Any) -> Any: ...
def signature() -> Any: ...
def resolve(name: str, link: str, custom: Any) -> Custom: ...
def __getattr__(name: str) -> Any: ...

class Loss(Spec):
    def apply(self, core: Any) -> None: ...

@dataclass(frozen=True)
class Custom(Loss):
    function: Any = None
    link: str = "linear"
    name: Any = None  # type: ignore[misc]
    check: bool = True

@dataclass(frozen=True)
class MeanSquaredError(Loss): ...

@dataclass(frozen=True)
class MeanAbsoluteError(Loss): ...

@dataclass(frozen=True)
class Huber(Loss):
    delta: float = 1.0

@dataclass(frozen=True)
class LogCosh(Loss): ...

@dataclass(frozen=True)
class Quantile(Loss):
    quantile: float = 0.5

@dataclass(frozen=True)
class Poisson(Loss): ...

@dataclass(frozen=True)
class GaussianNLL(Loss): ...

@dataclass(frozen=True)
class Hinge(Loss): ...

@dataclass(frozen=True)
class SquaredHinge(Loss): ...

@dataclass(frozen=True)
class Focal(Loss):
    gamma: float = 2.0
    alpha: float = 0.25

@dataclass(frozen=True)
class KLDivergence(Loss): ...

@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    label_smoothing: float = 0.0

@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    label_smoothing: float = 0.0
