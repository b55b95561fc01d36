"""Activations: what follows a dense layer, as classes such as ``LeakyReLU(negative_slope=0.2)``.

``dir(pynn.activations)`` lists them; a layer takes the name as well as the object.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from . import native
from .errors import ArgumentTypeError, ArgumentValueError, DtypeError, ShapeError, UnknownNameError
from .specs import Spec, Table

table = Table(
    "activation",
    texts={
        "linear": "f(z) = z.",
        "relu": "f(z) = max(z, 0); the derivative at 0 is 0. Nair and Hinton, ICML 2010.",
        "relu6": "f(z) = min(max(z, 0), 6); the derivative at both ends is 0. Krizhevsky, 2010.",
        "leaky_relu": "f(z) = z for z > 0, negative_slope z otherwise. Maas, Hannun and Ng, ICML 2013.",
        "elu": "f(z) = z for z > 0, alpha (e^z - 1) otherwise. Clevert, Unterthiner and Hochreiter, ICLR 2016.",
        "selu": "f(z) = s z for z > 0, s a (e^z - 1) otherwise; s and a are such that mean 0 and variance 1 stay. "
        "Klambauer et al., NeurIPS 2017.",
        "gelu": "f(z) = z Phi(z) with the normal distribution's Phi. Hendrycks and Gimpel, 2016.",
        "gelu_tanh": "f(z) = z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), an approximation of GELU.",
        "silu": "f(z) = z sigmoid(z). Elfwing, Uchibe and Doya, 2018.",
        "mish": "f(z) = z tanh(log(1 + e^z)). Misra, 2019.",
        "sigmoid": "f(z) = 1 / (1 + e^-z).",
        "hard_sigmoid": "f(z) = z/6 + 1/2, kept within 0 and 1.",
        "tanh": "f(z) = tanh(z).",
        "softplus": "f(z) = log(1 + e^z).",
        "log_sigmoid": "f(z) = log(sigmoid(z)) = -log(1 + e^-z).",
        "softsign": "f(z) = z / (1 + |z|).",
        "exponential": "f(z) = e^z.",
        "softmax": "f(z)_i = e^z_i / sum_j e^z_j over the units of a row.",
    },
)


@dataclass(frozen=True)
class Custom(Spec):
    """An activation of your own: y = f(z), one number at a time.

    The functions are tried when a model is built: y[i] has to depend on z[i] alone, and the derivative to agree with
    differences of f. Results that are not finite are refused and blamed to the layer, as the library's own are. They
    may call another model, not their own, which is computing: that is an error. Files keep the name:
    ``pynn.load(path, custom={name: activation})``.

    Parameters
    ----------
    function, derivative : callables, or C code
        In Python f(z) and f'(z) of a float array z of any length, each giving an array of its shape; they are called
        once for a batch, with Python's lock. C code of the signatures ``pynn_value_function`` and
        ``pynn_derivative_function`` in pynn.h (see `signatures`), as ctypes functions, as objects with an `address`
        such as ``numba.cfunc`` makes, or as addresses: it is called from several threads at once, so it must be
        re-entrant.
    name : str, optional
        What stands in model files; the function's own name by default.
    check : bool
        False for a derivative that is meant to be another than f's, of a step function for instance.
    dtype : "float32" or "float64", optional
        Of the vectors that C code takes, when its signature has untyped pointers or is not known, as behind an address.
        None: the one its signature names, else both, by its argument `dtype`. Numbers of another are converted.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> snake = pynn.activations.Custom(lambda z: z + np.sin(z) ** 2, lambda z: 1 + np.sin(2 * z), name="snake")
    >>> model = pynn.Sequential([pynn.Dense(16, activation=snake), pynn.Dense(1)], seed=0)
    >>> model.compile("mse")
    >>> X = np.linspace(-3, 3, 60)[:, None]
    >>> history = model.fit(X, np.sin(2 * X), epochs=2)
    """

    kind: ClassVar[str] = "activation"
    row: ClassVar[Mapping[str, Any]] = {"fields": [], "initializer": "glorot_uniform"}

    function: Any
    derivative: Any
    name: Any = None
    check: bool = True
    dtype: Any = None

    def __post_init__(self) -> None:
        if self.dtype not in (None, "float32", "float64"):
            raise DtypeError(f"expected dtype as 'float32', 'float64' or None; received dtype={self.dtype!r}")
        for what, function, count in (("function", self.function, 5), ("derivative", self.derivative, 6)):
            if not callable(function) and not _address(function):
                raise ArgumentTypeError(f"expected {what} as a callable or C code; received {what}={function!r}")
            native.require(function, count, f"the {what} of an activation")
        if bool(_address(self.function)) != bool(_address(self.derivative)):
            raise ArgumentTypeError(
                "expected function and derivative both in Python or both in C; received one of each"
            )
        if _address(self.function) and not self._dtypes():
            raise DtypeError(
                f"expected function and derivative of one dtype; received {native.arguments(self.function)} and "
                f"{native.arguments(self.derivative)}, dtype={self.dtype!r}"
            )
        name = getattr(self.function, "__name__", "custom") if self.name is None else self.name
        if not isinstance(name, str) or not 0 < len(name.encode()) < 64:
            raise ArgumentValueError(f"expected name as a string of 1 ... 63 bytes; received name={name!r}")
        object.__setattr__(self, "name", name)

    def __deepcopy__(self, memo: Any) -> Custom:
        """Itself: it does not change, and C code has no copy."""
        return self

    def _dtypes(self) -> set[str]:
        own = {"float32", "float64"} if self.dtype is None else {self.dtype}
        return own & native.reals(self.function) & native.reals(self.derivative)

    @property
    def core(self) -> Any:
        """What the compiled core makes the layer with, before it is given `native`."""
        return "linear", {}

    @property
    def native(self) -> tuple[Any, ...]:
        """For the compiled core: name, dtypes, whether the derivative is compared; Python code or two addresses."""
        addresses = _address(self.function), _address(self.derivative)
        call = None if addresses[0] else _Call(self.function, self.derivative, self.name)
        return self.name, self._dtypes(), self.check, call, *addresses

    def to_dict(self) -> dict[str, Any]:
        """The name alone: `Sequential.from_dict` has to be given the functions."""
        return {"name": self.name, "custom": True}


def signatures() -> tuple[Any, Any]:
    """The ctypes prototypes of an activation in C and of its derivative, as decorators of Python functions too.

    For numba: ``numba.cfunc("int32(voidptr, int32, int64, CPointer(float32), CPointer(float32))")``, and one pointer
    more for the derivative. The arguments are user, dtype (0 float32, 1 float64), n, z, y and delta, as in pynn.h; 0 is
    returned, anything else says that the function failed. Typed pointers say which dtype is taken. Functions of untyped
    ones must look at `dtype`, or be given to `Custom` with theirs.
    """
    pointer = ctypes.c_void_p
    value = [ctypes.c_int, pointer, ctypes.c_int, ctypes.c_int64, pointer, pointer]
    return ctypes.CFUNCTYPE(*value), ctypes.CFUNCTYPE(*value, pointer)


def _address(function: Any) -> int:
    """Where C code is; 0 for Python. No program has code in the first page."""
    if isinstance(function, int) and not isinstance(function, bool):
        return function if function >= 4096 else 0
    return native.address(function)


class _Call:
    """What the core calls: fills its arrays with what the functions return."""

    def __init__(self, function: Callable[..., Any], derivative: Callable[..., Any], name: str) -> None:
        self.functions, self.name = (function, derivative), name

    def value(self, z: Any, y: Any) -> None:
        np.asarray(y)[...] = self._result("value", 0, native.own(z))

    def derivative(self, z: Any, delta: Any) -> None:
        slope, found = self._result("derivative", 1, native.own(z)), np.asarray(delta)
        with np.errstate(invalid="ignore", over="ignore"):
            found[...] = np.where(slope == 0, 0, found * slope)  # an infinite delta too passes nothing where f is flat

    def _result(self, what: str, index: int, z: np.ndarray) -> np.ndarray:
        try:
            found = np.asarray(self.functions[index](z))
        except Exception as error:
            error.add_note(f"It came from the {what} of the activation {self.name!r}, given an array z of {z.shape}.")
            raise
        if found.dtype.kind not in "fiub":
            raise DtypeError(f"expected the {what} of the activation {self.name!r} as numbers; received {found.dtype}")
        if found.shape != z.shape:
            raise ShapeError(
                f"expected the {what} of the activation {self.name!r} with a number for each of z, {z.shape}; received "
                f"{found.shape}"
            )
        return found


def resolve(name: str, custom: Any) -> Custom:
    """The activation that a file names, from what `load` was given."""
    given = custom.get(name) if isinstance(custom, Mapping) else None
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return Custom(*given, name=name)
    if isinstance(given, Custom):
        return replace(given, name=name)
    raise UnknownNameError(
        f"expected the functions of the custom activation {name!r}, which the file was saved with; received "
        f"custom={custom!r}: load it with custom={{{name!r}: (function, derivative)}}"
    )


__all__, __getattr__, __dir__ = table.module(__name__)
__all__ += ["Custom", "signatures"]


def get(activation: Any) -> Any:
    """The activation for a name, an object, or None for linear. See `Custom` for functions of your own.

    Examples
    --------
    >>> import pynn
    >>> pynn.activations.get("swish")
    SiLU()
    """
    is_code = native.address(activation) or (callable(activation) and not isinstance(activation, (Spec, type)))
    if is_code or (isinstance(activation, (tuple, list)) and any(callable(part) for part in activation)):
        raise ArgumentTypeError(
            f"expected activation as a name or an object; received activation={activation!r}: write "
            "pynn.activations.Custom(function, derivative) for functions of your own"
        )
    if isinstance(activation, Mapping) and activation.get("custom"):
        return resolve(str(activation.get("name")), None)
    return table.get("linear" if activation is None else activation, "activation")
