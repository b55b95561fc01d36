"""Series of layer statistics over a run: a fixed number of points, however long it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["FIELDS", "LayerHealth"]

SEEN = ("activation", "delta", "gradient", "gradient_norm")  # by every step
TAKEN = (  # by the steps that take statistics
    "largest", "mean", "std", "zeros", "saturated", "tiny", "dead", "gradient_rms", "gradient_zeros", "gradient_tiny",
    "weight_norm", "update_ratio", "updates_lost",
)  # fmt: skip
FIELDS = SEEN + TAKEN
MOST, FEWEST, CELLS = 128, 16, 2048  # points kept; points times layers
ARRAYS = ("values", "about", "counters")
ABOUT = ("step", "loss", "learning_rate")


class LayerHealth:
    """What steps saw in each layer, over a whole run.

    The number of points is fixed: when there is no room left, every second one is dropped and the distance between
    points doubles. Which steps they are of depends on their numbers alone, never on the clock.

    Attributes
    ----------
    names : list of str
        Of the layers, as ``Dense(64, relu)``.
    steps : array of int, shape (points,)
        Which step a point is of, from 1.
    loss, learning_rate : array of float, shape (points,)
        The mean loss of that step's batch before its update, and the learning rate.
    fault : bool
        Whether the last point is of the refused step that ended the run.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(1)], seed=0)
    >>> model.compile("mse")
    >>> health = model.fit(X, X[:, 0], epochs=20).health
    >>> health["gradient"].shape == (len(health), 2)
    True
    """

    def __init__(self, layers: Sequence[Any] = ()) -> None:
        """Take the layers, or their names."""
        self._layers = layers
        self._names: list[str] | None = None
        most = max(FEWEST, min(MOST, CELLS // max(len(layers), 1)))
        self._values = np.empty((most + 1, len(layers), len(FIELDS)))  # one row more, for a fault
        self._about = np.empty((most + 1, len(ABOUT)))
        self._counters = np.array([0, 1, 1], np.int64)  # points, spacing, the step that is due
        self.fault = False

    @property
    def names(self) -> list[str]:
        if self._names is None:
            self._names = [_brief(layer) for layer in self._layers]
        return self._names

    def __len__(self) -> int:
        return int(self._counters[0])

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Yield step, loss and learning rate of each point."""
        for row in self._about[: len(self)].tolist():
            yield dict(zip(ABOUT, row, strict=True))

    @property
    def steps(self) -> np.ndarray:
        return self._about[: len(self), 0].astype(np.int64)

    @property
    def loss(self) -> np.ndarray:
        return self._about[: len(self), 1].copy()

    @property
    def learning_rate(self) -> np.ndarray:
        return self._about[: len(self), 2].copy()

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one field over points and layers: shape (points, layers); NaN where it was not taken."""
        if name not in FIELDS:
            raise KeyError(f"expected one of {', '.join(map(repr, FIELDS))}; received {name!r}")
        return self._values[: len(self), :, FIELDS.index(name)].copy()

    # ---- taking points

    def attach(self, trainer: Any) -> None:
        """Let a trainer write its steps here."""
        trainer.set_series(self._values[:-1].reshape(-1), self._about[:-1], self._counters)

    def end(self, trainer: Any) -> None:
        """Add the step that was refused: what it computed before it went wrong."""
        n = len(self)
        for layer in range(len(self._layers)):
            self._values[n, layer] = math.nan
            self._values[n, layer, : len(SEEN)] = trainer.health(layer)
        self._about[n] = trainer.steps + 1, math.nan, trainer.learning_rate
        self._counters[0], self.fault = n + 1, True

    # ---- keeping

    def state(self) -> dict[str, Any]:
        """Return all of it as plain values and arrays, for a checkpoint."""
        n = len(self)
        return {
            "names": self.names, "values": self._values[:n].reshape(-1), "about": self._about[:n].reshape(-1),
            "counters": self._counters, "fault": self.fault,
        }  # fmt: skip

    @classmethod
    def restored(cls, state: dict[str, Any]) -> LayerHealth:
        """Return what `state` described."""
        found = cls(state["names"])
        found._counters[:] = np.asarray(state["counters"])
        n = len(found)
        found._about[:n] = np.asarray(state["about"]).reshape(n, len(ABOUT))
        found._values[:n] = np.asarray(state["values"]).reshape(n, len(state["names"]), len(FIELDS))
        found.fault = state["fault"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None stands for what was not taken, or is not finite."""
        return {
            "names": self.names, "fault": self.fault, "points": [_plain(point) for point in self],
            "fields": {name: [[_finite(v) for v in row] for row in self[name].tolist()] for name in FIELDS},
        }  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.state()
        return type(self).restored, (state | {name: state[name].copy() for name in ARRAYS},)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerHealth):
            return NotImplemented
        mine, others = self.state(), other.state()
        return all(np.array_equal(mine[name], others[name], equal_nan=True) for name in ARRAYS) and all(
            mine[name] == others[name] for name in ("names", "fault")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LayerHealth({len(self)} points, {len(self.names)} layers)"


def _brief(layer: Any) -> str:
    """Return a short name: ``Dense(64, relu)``."""
    if isinstance(layer, str):
        return layer
    activation = getattr(layer, "activation", None)
    parts = [str(getattr(layer, name)) for name in ("units", "rate") if hasattr(layer, name)]
    parts += [] if activation is None or activation.name == "linear" else [activation.name]
    return f"{type(layer).__name__}({', '.join(parts)})" if parts else type(layer).__name__


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(point: dict[str, float]) -> dict[str, Any]:
    return {"step": int(point["step"])} | {name: _finite(point[name]) for name in ABOUT[1:]}
