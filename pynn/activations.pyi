from dataclasses import dataclass
from typing import Any

from .specs import Spec, Table

# For type checkers; the classes are made from the library's table. One that is not listed here is Any.

table: Table

def get(activation: Any) -> Any: ...
def signatures() -> tuple[Any, Any]: ...
def resolve(name: str, custom: Any) -> Custom: ...
def __getattr__(name: str) -> Any: ...

@dataclass(frozen=True)
class Custom(Spec):
    function: Any
    derivative: Any
    name: Any = None  # type: ignore[misc]
    check: bool = True
    dtype: Any = None
    @property
    def native(self) -> tuple[Any, ...]: ...

@dataclass(frozen=True)
class Linear(Spec): ...

@dataclass(frozen=True)
class ReLU(Spec): ...

@dataclass(frozen=True)
class ReLU6(Spec): ...

@dataclass(frozen=True)
class LogSigmoid(Spec): ...

@dataclass(frozen=True)
class LeakyReLU(Spec):
    negative_slope: float = 0.01

@dataclass(frozen=True)
class ELU(Spec):
    alpha: float = 1.0

@dataclass(frozen=True)
class SELU(Spec): ...

@dataclass(frozen=True)
class GELU(Spec): ...

@dataclass(frozen=True)
class GELUTanh(Spec): ...

@dataclass(frozen=True)
class SiLU(Spec): ...

@dataclass(frozen=True)
class Mish(Spec): ...

@dataclass(frozen=True)
class Softplus(Spec): ...

@dataclass(frozen=True)
class Softsign(Spec): ...

@dataclass(frozen=True)
class Sigmoid(Spec): ...

@dataclass(frozen=True)
class HardSigmoid(Spec): ...

@dataclass(frozen=True)
class Tanh(Spec): ...

@dataclass(frozen=True)
class Exponential(Spec): ...

@dataclass(frozen=True)
class Softmax(Spec): ...
