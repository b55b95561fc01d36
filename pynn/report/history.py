"""Results of training: of a step, and of a run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from .. import checks
from .finding import Finding, Report
from .health import LayerHealth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Finding", "History", "Report", "StepResult"]


@dataclass(frozen=True)
class StepResult:
    """Describe what one training step did.

    Attributes
    ----------
    loss : float
        Mean loss of the batch before the update; NaN when the step was refused.
    grad_norm : float
        Euclidean norm of the gradient over all parameters, before clipping; NaN when the step was refused.
    applied : bool
        False: the update would not have been finite, so nothing was changed; `findings` says why.
    findings : list of Finding
    """

    loss: float
    grad_norm: float
    applied: bool = True
    findings: list[Finding] = field(default_factory=list)


@dataclass
class History:
    """Record the epochs of a run: ``loss``, metrics, the same with ``val_``, ``learning_rate`` and ``seconds``.

    Attributes
    ----------
    epochs : list of dict
        One for each finished epoch. ``len(history)``, ``history[-1]["loss"]`` and iteration use it.
    history : dict of list
        The same values by name, as in Keras: ``history.history["loss"][-1]``. ``history["loss"]`` is that list too.
    interrupted : bool
        Whether Ctrl-C stopped the run; the model is then as the last finished step left it.
    report : Report
        What was found in the run.
    ledger : list of dict
        What the guard did, in order: kind, operation, layer, row, column, value, step, learning rate before and after.
    ledger_lost : int
        Number of older entries that were dropped from the ledger.
    converged : bool or None
        Of `LBFGS`: whether a tolerance ended it, and not `max_iter` or `max_eval`. None: another optimizer.
    changes : list of str
        What ``guard="repair"`` changed.
    provenance : dict
        How it was computed: version of pynn, processor target (``kernels``), BLAS, threads.
    health : LayerHealth or None
        Series of what steps saw in each layer: sizes of activations and gradients, shares of saturated values and dead
        units, size of updates.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False
    report: Report = field(default_factory=Report)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    ledger_lost: int = 0
    converged: bool | None = None
    changes: list[str] = field(default_factory=list)
    provenance: dict[str, str | int] = field(default_factory=dict)
    health: LayerHealth | None = None

    @property
    def history(self) -> dict[str, list[float]]:
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        return {name: [epoch[name] for epoch in self.epochs if name in epoch] for name in names}

    def __len__(self) -> int:
        return len(self.epochs)

    @overload
    def __getitem__(self, key: int) -> dict[str, float]: ...
    @overload
    def __getitem__(self, key: str) -> list[float]: ...
    def __getitem__(self, key: int | str) -> Any:
        if not isinstance(key, str):
            return self.epochs[key]
        names = self.history
        if key not in names:
            listed = ", ".join(map(repr, names)) or "none, as no epoch was finished"
            raise KeyError(f"expected a name among {listed}; received {key!r}{checks.nearest(key, names)}")
        return names[key]

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in ("report", "health")}
        return found | {"report": self.report.to_dict(), "health": self.health and self.health.to_dict()}

    def plot(self, metric: str = "loss", ax: Axes | None = None) -> Axes:
        """Draw a metric over the epochs; needs the extra ``plot``. See `pynn.plots.learning_curve`."""
        from ..plots import learning_curve

        return learning_curve(self, ax, metric=metric)
