"""Losses: what training minimizes, as classes such as ``Huber(delta=1.0)``.

A loss takes logits z, the values of the last layer, and names the link that turns them into predictions.
``dir(pynn.losses)`` lists the losses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import activations, native
from .errors import ArgumentTypeError, ArgumentValueError, DtypeError, ShapeError, UnknownNameError
from .specs import Spec, Table


class Loss(Spec):
    """Base of all losses."""

    def apply(self, core: Any) -> None:
        """Make it the loss of a compiled model."""
        core.set_loss(self.core)

    def middle(self, outputs: int) -> float | None:
        """Return the prediction between a yes and a no, or None where the loss does not show it.

        Parameters
        ----------
        outputs : int
            Columns of the predictions.
        """
        return 0.0 if self.row["signs"] else 0.5


table = Table(
    "loss",
    base=Loss,
    texts={
        "mean_squared_error": "Mean of (z - y)^2 over rows and outputs.",
        "mean_absolute_error": "Mean of |z - y| over rows and outputs.",
        "huber": "Mean of h(z - y), h(e) = e^2/2 where |e| <= delta, else delta (|e| - delta/2). Huber, 1964.",
        "softmax_cross_entropy": "-sum_j y_j log softmax(z)_j, mean over rows; y is a class label or a row of "
        "probabilities, mixed with `label_smoothing` of the uniform distribution. Predictions are softmax(z).",
        "sigmoid_cross_entropy": "-(y log p + (1 - y) log(1 - p)), p = sigmoid(z), mean over rows and outputs; y is in "
        "[0, 1] and drawn by `label_smoothing` towards 1/2. Predictions are sigmoid(z).",
        "log_cosh": "Mean of log(cosh(z - y)): (z - y)^2/2 near 0, |z - y| - log 2 far away, and nothing overflows. "
        "Keras's LogCosh.",
        "quantile": "Mean of q e where e = y - z > 0, else (q - 1) e: z becomes the quantile q of y given x. Koenker "
        "and Bassett, 1978; scikit-learn's mean_pinball_loss.",
        "poisson": "Mean of r - y log r, r = e^z: the negative log-likelihood of counts y >= 0 but for log(y!). "
        "Predictions are the rates r. Keras's Poisson; PyTorch's PoissonNLLLoss(log_input=True).",
        "gaussian_nll": "Mean of (s + (y - m)^2 e^-s)/2: the negative log-likelihood of a normal distribution but for "
        "log(2 pi)/2. A model of 2k outputs takes y with k columns: the first k outputs are means m, the others the "
        "logs s of the variances. Nix and Weigend, 1994; PyTorch's GaussianNLLLoss with var = e^s and no floor.",
        "hinge": "Mean of max(0, 1 - t z), t = 1 where y > 0 and -1 elsewhere: labels are -1 and 1, or 0 and 1; others "
        "are refused. Keras's Hinge.",
        "squared_hinge": "Mean of max(0, 1 - t z)^2, t as in `Hinge`. Keras's SquaredHinge.",
        "focal": "Sigmoid cross-entropy times w (1 - p_t)^gamma, p_t the probability given to y in [0, 1], w = alpha "
        "for 1 and 1 - alpha for 0: easy rows count less. Lin et al., 2017; torchvision's sigmoid_focal_loss and "
        "Keras's BinaryFocalCrossentropy(apply_class_balancing=True), from logits. Predictions are sigmoid(z).",
        "kl_divergence": "sum_j y_j (log y_j - log softmax(z)_j), mean over rows; y is a row of probabilities. "
        "Predictions are softmax(z). PyTorch's KLDivLoss(reduction='batchmean'); Keras's KLDivergence.",
    },
)

_CHECKED, _COLUMNS = 4, 16  # rows and columns of a gradient that are checked


@dataclass(frozen=True)
class Custom(Loss):
    """Train with a loss of your own: ``compile(loss=f)`` is ``compile(loss=pynn.losses.Custom(f))``.

    ``f(logits, target)`` returns the loss of each row, (rows,), and its gradient by the logits, (rows, outputs), both
    before weights and means. `logits` are (rows, outputs) in the model's dtype. `target` is the same, or (rows,) int64
    labels when y is one column of integers and there are more outputs than one. The first gradient is compared with
    differences of the loss. A result that is not finite is refused, with the row it came from. The function may call
    another model; to call the model that is training is an error.

    Parameters
    ----------
    function : callable, ctypes function pointer, or object with an `address`
        A Python function, or C code of the signature ``pynn_loss_function`` in pynn.h: a ``ctypes.CFUNCTYPE`` object,
        or an object with an ``address`` such as ``numba.cfunc`` returns. See `signature`.
    link : str
        The activation that `predict` applies to the logits. With ``"linear"`` and targets of 0 and 1, metrics such as
        "accuracy" find out from one call of the function whether a yes is a prediction above 0 (logits) or above 0.5.
    name : str, optional
        Name in model files; the function's own name by default. ``pynn.load(path, custom={name: f})``.
    check : bool
        Compare the gradient with differences of the loss, in the first step.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> def cubic(logits, target):
    ...     error = logits - target
    ...     return (abs(error) ** 3).sum(axis=1), 3 * error * abs(error)
    >>> model = pynn.Sequential([pynn.Dense(1)], seed=0)
    >>> model.compile(loss=cubic, optimizer=pynn.SGD(learning_rate=0.2))
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> history = model.fit(X, 0.5 * X, epochs=40)
    >>> bool(history[-1]["loss"] < 0.001)
    True

    Targets that are partly missing, NaN, may count for nothing:

    >>> def known(logits, target):
    ...     error = np.where(np.isnan(target), 0, logits - np.nan_to_num(target))
    ...     return (error**2).mean(axis=1), 2 * error / error.shape[1]
    >>> Y = np.column_stack([X, -X])
    >>> Y[::3, 1] = np.nan
    >>> model = pynn.Sequential([pynn.Dense(2)], seed=0)
    >>> model.compile(loss=known, optimizer=pynn.SGD(learning_rate=0.2))
    >>> history = model.fit(X, Y, epochs=40)
    >>> bool(history[-1]["loss"] < 0.001)
    True
    """

    kind: ClassVar[str] = "loss"
    function: Any = None
    link: str = "linear"
    name: Any = None
    check: bool = True

    def __post_init__(self) -> None:
        if not callable(self.function) and not native.address(self.function):
            raise ArgumentTypeError(f"expected function as a callable; received function={self.function!r}")
        native.require(self.function, 10, "a loss")
        name = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        if not isinstance(name, str) or not 0 < len(name.encode()) < 64:
            raise ArgumentValueError(f"expected name as a string of 1 ... 63 bytes; received name={name!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "link", activations.table.canonical(self.link, "link"))

    def __deepcopy__(self, memo: Any) -> Custom:
        """Return itself: it does not change, and C code cannot be copied."""
        return self

    @property
    def row(self) -> dict[str, Any]:  # type: ignore[override]
        """What the core tells about a loss, for this one."""
        flags = ("probabilities", "rowwise", "nonnegative", "pairs", "signs")
        own = {"name": self.name, "fields": [], "aliases": (), "link": self.link, "labels": True}
        return own | dict.fromkeys(flags, False)

    @property
    def core(self) -> Any:
        raise ArgumentTypeError(f"expected a loss of the library; received the custom loss {self.name!r}")

    def apply(self, core: Any) -> None:
        address = native.address(self.function)
        call = None if address else _Call(self.function, self.name, self.check)
        if address and core.dtype not in native.reals(self.function):
            raise DtypeError(
                f"expected the loss {self.name!r} to take {core.dtype}, the model's dtype; received one that takes "
                f"{native.arguments(self.function)}"
            )
        core.set_custom_loss(self.name, self.link, True, call or self.function, address, self.check)

    def middle(self, outputs: int) -> float | None:
        """Return 0.5 where a prediction of more than 1 for a target of 1 costs something, else 0: it is a logit then.

        The function is called once, in float64. None: it failed, or the link is neither "sigmoid" nor "linear".
        """
        if self.link != "linear":
            return 0.5 if self.link == "sigmoid" else None
        if outputs > 1 and native.address(self.function):  # C code may expect labels, and read where none are
            return None
        try:
            below, above = _slopes(self.function, self.name, np.repeat([[0.5], [1.5]], outputs, axis=1))
        except Exception:  # whatever the user's function raises for such logits
            return None
        if not np.isfinite([below, above]).all():
            return None
        return 0.5 if (below < 0).all() and (above > 0).all() else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "custom": True, "link": self.link}


def signature() -> Any:
    """Return the ctypes prototype of a loss in C: ``@pynn.losses.signature()`` turns a Python function into one.

    For numba: ``numba.cfunc("int32(voidptr, int32, int64, int64" + 5 * ", voidptr" + ", int32)")``,
    or with ``CPointer(float32)`` for arrays. The arguments are user, dtype (0 float32, 1 float64), rows, n, logits,
    targets, labels, losses, gradient, backward (0: no gradient is wanted), as in pynn.h.
    """
    pointer, long = ctypes.c_void_p, ctypes.c_int64
    return ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_int, long, long, *[pointer] * 5, ctypes.c_int)


def _slopes(function: Any, name: str, logits: np.ndarray) -> np.ndarray:
    """Return the gradient of a custom loss for targets of 1."""
    address = native.address(function)
    if not address:
        return _Call(function, name, False).results(logits.copy(), np.ones(logits.shape))[1]
    real = sorted(native.reals(function))[-1]
    z, t = logits.astype(real), np.ones(logits.shape, real)
    losses, gradient = np.zeros(len(z)), np.full(z.shape, np.nan, real)
    status = signature()(address)(
        None, int(real == "float64"), *z.shape, z.ctypes.data, t.ctypes.data, None, losses.ctypes.data,
        gradient.ctypes.data, 1,
    )  # fmt: skip
    return np.full(z.shape, np.nan) if status else gradient


class _Call:
    """Fill the core's arrays with a function's results; the first call checks the gradient."""

    def __init__(self, function: Callable[..., Any], name: str, check: bool) -> None:
        self.function, self.name, self.unchecked = function, name, check

    def __call__(self, logits: Any, target: Any, losses: Any, gradient: Any) -> None:
        z, t = native.own(logits), native.own(target)
        found = self.results(z, t)
        np.asarray(losses)[...] = found[0]
        if gradient is None:
            return
        if self.unchecked and np.isfinite(found[0]).all() and np.isfinite(found[1]).all():
            self.unchecked = False
            self.require_gradient(z, t, found[1])
        np.asarray(gradient)[...] = found[1]

    def results(self, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the function's losses and gradient, of the right shapes."""
        what = f"expected the loss {self.name!r} to return (losses, gradient)"
        found = self.function(z, t)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise ArgumentTypeError(f"{what}; received {type(found).__name__}")
        losses, gradient = (np.asarray(part) for part in found)
        for part in (losses, gradient):
            if part.dtype.kind not in "fiu":
                raise DtypeError(f"{what} as numbers; received {part.dtype}")
        if losses.shape != (len(z),) or gradient.shape != z.shape:
            raise ShapeError(
                f"{what} of shapes ({len(z)},) and {z.shape}; received {losses.shape} and {gradient.shape}"
            )
        return losses, gradient

    def require_gradient(self, z: np.ndarray, t: np.ndarray, gradient: np.ndarray) -> None:
        """Compare a few rows of the gradient with differences of the loss, in float64.

        At a kink the slopes to both sides differ; anything between them is right.
        """
        rows = np.linspace(0, len(z) - 1, min(_CHECKED, len(z))).astype(int)
        columns = np.linspace(0, z.shape[1] - 1, min(_COLUMNS, z.shape[1])).astype(int)
        at, target = z[rows].astype(np.float64), t[rows]
        here = self.results(at, target)[0].astype(np.float64)
        for column in columns:
            step = 1e-5 * np.maximum(1, abs(at[:, column]))
            slopes = []
            for side in (-1, 1):
                moved = at.copy()
                moved[:, column] += side * step
                slopes.append(side * (self.results(moved, target)[0] - here) / step)
            low, high = np.minimum(*slopes), np.maximum(*slopes)
            claimed = gradient[rows, column].astype(np.float64)
            slack = 1e-3 * np.maximum(1, np.maximum(abs(low), abs(high)))
            wrong = ~((claimed >= low - slack) & (claimed <= high + slack))
            if wrong.any():
                i = int(np.argmax(wrong))
                raise ArgumentValueError(
                    f"expected the gradient of the loss {self.name!r} to be its derivative, about "
                    f"{(low[i] + high[i]) / 2:.6g} in row {rows[i]} of the batch, column {column}; received "
                    f"{claimed[i]:.6g}"
                )


def resolve(name: str, link: str, custom: Any) -> Custom:
    """Return the loss that a file names, from what `load` was given."""
    if not isinstance(custom, dict) or name not in custom:
        raise UnknownNameError(
            f"expected the function of the custom loss {name!r}, which the file was trained with; received "
            f"custom={custom!r}: load it with custom={{{name!r}: f}}"
        )
    given = custom[name]
    return given if isinstance(given, Custom) else Custom(given, link=link, name=name)


__all__, __getattr__, __dir__ = table.module(__name__)
__all__ += ["Custom", "signature"]


def is_loss(value: Any) -> bool:
    """Return whether `value` is the name of a loss, a loss, or a function that may be one."""
    return table.knows(value) or (callable(value) and not isinstance(value, (type, Spec)))


def get(loss: Any) -> Any:
    """Return the loss for a name, an alias such as ``"mse"``, an object, or a function of your own (see `Custom`).

    Examples
    --------
    >>> import pynn
    >>> pynn.losses.get("sparse_categorical_crossentropy")
    SoftmaxCrossEntropy(label_smoothing=0.0)
    """
    if isinstance(loss, Custom):
        return loss
    if not isinstance(loss, (str, Spec, type)) and (callable(loss) or native.address(loss)):
        return Custom(loss)
    return table.get(loss, "loss")
