"""The options of L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from . import checks
from .names import public
from .specs import list_arguments_of


@public
@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS with the full gradient: ``compile(optimizer=pynn.LBFGS(max_iter=200))``, then `fit`.

    Each iteration is an epoch of the history, with validation and callbacks; `fit` takes arrays or a loader over
    arrays, and leaves ``epochs`` at 1: `max_iter` is the limit. Regularisers are part of the loss. A point of the line
    search whose loss or gradient is not finite is stepped back from; when the first point is one, or the first line
    search finds no other, that is a `NumericalError` whatever the guard's policy: there is no batch to skip, and no
    learning rate to lower. Take ``dtype="float64"`` for tight tolerances.

    Parameters
    ----------
    max_iter : int >= 1
    max_eval : int >= 1, optional
        Evaluations of loss and gradient; None: 1.25 times `max_iter`.
    tolerance_grad : float >= 0
        Training ends when no component of the gradient is larger.
    tolerance_change : float >= 0
        Or when the loss falls by less than this share of max(1, loss) in an iteration.
    history_size : int >= 1
        Steps that the approximation of the Hessian remembers.

    References
    ----------
    Liu and Nocedal, Mathematical Programming 45, 1989; Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 16, 1995, which
    ``scipy.optimize.minimize(method="L-BFGS-B")`` implements. Names of arguments are PyTorch's.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> model = pynn.Sequential([pynn.Dense(1)], seed=0, dtype="float64")
    >>> model.compile(loss="mse", optimizer=pynn.LBFGS())
    >>> history = model.fit(X, X @ [1.0, 2.0, 3.0] + 4.0)
    >>> model.layers[0].kernel.ravel().round(5)
    array([1., 2., 3.])
    """

    max_iter: int = 200
    max_eval: int | None = None
    tolerance_grad: float = 1e-5
    tolerance_change: float = 1e-9
    history_size: int = 10

    name: ClassVar[str] = "lbfgs"
    takes_steps: ClassVar[bool] = False
    # what the model asks of any optimizer
    learning_rate: float = field(default=1.0, init=False, repr=False)
    schedule: ClassVar[None] = None
    global_clipnorm: ClassVar[None] = None
    core: ClassVar[tuple[str, dict[str, float]]] = ("sgd", {"learning_rate": 1.0})

    def __post_init__(self) -> None:
        for name in ("max_iter", "history_size", "max_eval"):
            if name != "max_eval" or self.max_eval is not None:
                object.__setattr__(self, name, checks.integer(f"LBFGS.{name}", getattr(self, name), 1))
        for name in ("tolerance_grad", "tolerance_change"):
            object.__setattr__(self, name, checks.number(f"LBFGS.{name}", getattr(self, name), 0))

    def to_dict(self) -> dict[str, Any]:
        names = ("name", "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size")
        return {name: getattr(self, name) for name in names}


list_arguments_of(LBFGS)


def get_lbfgs(optimizer: Any) -> LBFGS | None:
    """An `LBFGS` for an object, its name or what its `to_dict` gave; None for other optimizers."""
    if isinstance(optimizer, LBFGS):
        return optimizer
    if optimizer == LBFGS.name:
        return LBFGS()
    if isinstance(optimizer, dict) and optimizer.get("name") == LBFGS.name:
        return LBFGS(**{key: value for key, value in optimizer.items() if key != "name"})
    return None
