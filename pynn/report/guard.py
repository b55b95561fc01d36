"""Options of the guard that watches over training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError
from ..specs import list_arguments_of

POLICIES = ("raise", "skip", "rollback", "repair", "off")


@dataclass(frozen=True)
class Guard:
    """Choose what `fit` does about a step that is not finite, or that follows a divergence.

    Such a step never changes the model, its optimizer or their counters. What the guard did instead is in
    ``history.ledger``, in the progress output and in ``history.report``.

    Parameters
    ----------
    policy : "raise", "skip", "rollback", "repair" or "off"
        ``"raise"``: raise a `NumericalError`. ``"skip"``: skip the batch, and raise after `streak` skipped batches in
        a row. ``"rollback"``: restore a good state, lower the learning rate and continue (batches whose own numbers
        are not finite are skipped). ``"repair"``: end the run, and train the network with the changes that
        `pynn.repair` proves; without a fault the same as ``"raise"``. ``"off"``: check nothing.
    check_every : int >= 0
        Number of steps between two that take statistics of the layers; 0: none do.
    streak : int >= 1
        Number of skipped batches in a row that ends the run.
    max_rollbacks : int >= 0
        Number of rollbacks allowed; the next fault raises `NumericalError`.
    backoff : float in (0, 1)
        Factor applied to the learning rate at a rollback; the n-th in a row without a new good state applies
        ``backoff**n``.
    snapshot_every : int >= 1
        Number of steps between two good states. The last two are kept, under ``"rollback"`` only.
    divergence : float > 1, or 0
        Divergence is declared when the median loss exceeds `divergence` times the larger of the initial loss and the
        loss with all logits 0 for three consecutive windows. 0 disables this.
    window : int in 8 ... 256
        Number of steps whose median loss is judged.
    clip_z : float >= 0
        Gradients are clipped when their norm exceeds its running mean by more than `clip_z` standard deviations
        (ZClip); 0: never.
    clip_alpha : float in (0, 1)
        Decay of that running mean.
    """

    policy: str = "raise"
    check_every: int = 200
    streak: int = 3
    max_rollbacks: int = 10
    backoff: float = 0.3
    snapshot_every: int = 100
    divergence: float = 10.0
    window: int = 50
    clip_z: float = 0.0
    clip_alpha: float = 0.97

    def __post_init__(self) -> None:
        checks.choice("policy", self.policy, POLICIES)
        for name, least in (("check_every", 0), ("streak", 1), ("max_rollbacks", 0), ("snapshot_every", 1)):
            checks.integer(name, getattr(self, name), least)
        checks.integer("window", self.window, 8, 256)
        checks.number("backoff", self.backoff, above=0, below=1)
        checks.number("clip_alpha", self.clip_alpha, above=0, below=1)
        checks.number("clip_z", self.clip_z, 0)
        divergence = checks.number("divergence", self.divergence, 0)
        checks.require(divergence == 0 or divergence > 1, "divergence as 0 or a number > 1", divergence=divergence)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Guard(**values)`` makes it again."""
        return asdict(self)

    @property
    def core(self) -> dict[str, Any]:
        """What the compiled core takes: to it a run that may be repaired ends with its first fault."""
        return self.to_dict() | ({"policy": "raise"} if self.policy == "repair" else {})


list_arguments_of(Guard)


@cache
def _of_policy(policy: str) -> Guard:
    return Guard(policy=policy)


def as_guard(value: Any) -> Guard:
    """Return a Guard, or make one of a policy."""
    if isinstance(value, Guard):
        return value
    if isinstance(value, str):
        return _of_policy(value)
    raise ArgumentTypeError(f"expected guard as a policy or a pynn.Guard; received guard={value!r}")
