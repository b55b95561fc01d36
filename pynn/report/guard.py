"""Options of the guard that watches over training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .. import checks
from ..errors import ArgumentTypeError
from ..specs import list_arguments_of

POLICIES = ("raise", "skip", "rollback", "off")


@dataclass(frozen=True)
class Guard:
    """What `fit` does about a step that must not be taken: one that is not finite, or that follows a divergence.

    Such a step never changes the model, its optimizer or their counters. What was done instead is in
    ``history.ledger``, in the progress output and in ``history.report``.

    Parameters
    ----------
    policy : "raise", "skip", "rollback" or "off"
        ``"raise"`` a `NumericalError`; ``"skip"`` the batch, unless that happens `streak` times in a row;
        ``"rollback"``: restore a good state, lower the learning rate and go on (batches whose own numbers are not
        finite are skipped);
        ``"off"``: look at nothing.
    check_every : int >= 0
        Steps from one that takes statistics of the layers to the next; 0: none.
    streak : int >= 1
        Skipped batches in a row that end the run.
    max_rollbacks : int >= 0
        The next fault after so many raises.
    backoff : float in (0, 1)
        Factor of the learning rate at a rollback; the n-th with no good state in between takes ``backoff**n``.
    snapshot_every : int >= 1
        Steps between two good states that are kept; the last two are, under ``"rollback"`` alone.
    divergence : float > 1, or 0
        The loss may stay so many times worse than at first, or than with all logits 0, for less than three windows.
        0: it may do anything.
    window : int in 8 ... 256
        Steps whose median loss is judged.
    clip_z : float >= 0
        Gradients whose norm is more than so many standard deviations above its running mean are clipped (ZClip);
        0: none.
    clip_alpha : float in (0, 1)
        How much of that running mean a step leaves.
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


list_arguments_of(Guard)


def as_guard(value: Any) -> Guard:
    """A Guard, or one of the given policy."""
    if isinstance(value, Guard):
        return value
    if isinstance(value, str):
        return Guard(policy=value)
    raise ArgumentTypeError(f"expected guard as a policy or a pynn.Guard; received guard={value!r}")
