"""Find what keeps a run from what it could be: train it, train it as it should be, and try the cures one by one.

A run is compared with the same network trained with every deviation cured. Where the two are level, nothing that a
recipe decides is at fault. Where they are not, each deviation is cured alone, from where training began. What closes
the gap alone is a cause, the farthest from usual first. Where nothing does, cures are added to one another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..report import Finding
from ..report.advice import Advice
from . import limits
from .baselines import Baselines, baselines
from .components import COMPONENTS, Deviation, Facts, again, directed, healthy
from .recipe import Recipe

FOUND = 0.08  # share of what could be known that a run misses when something is at fault
CLOSED = 0.6  # share of the gap that the cure of a cause closes alone
DONE = 0.95
OWN = 0.2  # of a gap on the rows that were trained on
SURE = 2.5  # standard errors
DATA_FAULTS = ("outlier", "missing_marker", "unscaled_target")

Train = Callable[[Recipe], "Outcome"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a trial ended with: the error of each judging row, and what its run reported."""

    recipe: Recipe
    errors: np.ndarray
    findings: tuple[Finding, ...] = ()
    stopped: bool = False  # by an error
    rate_left: float = 1.0
    predictions: np.ndarray | None = None  # of the judging rows
    record: Any = None  # of the run on the first fold


class Budget:
    """Operations that trials may spend, by a fixed model of their cost: the same trials on every machine.

    The clock ends only trials that take longer than `seconds`, far longer than they should.
    """

    def __init__(self, operations: float, rows: int, inputs: int, seconds: float = np.inf) -> None:
        self.left, self.rows, self.inputs = operations, rows, inputs
        self.end = time.monotonic() + seconds
        self.ended_by = ""  # "budget" or "clock"

    def take(self, cost: float) -> bool:
        """Whether there is that much left; takes it."""
        if time.monotonic() > self.end:
            self.ended_by = "clock"
        elif cost > self.left:
            self.ended_by = self.ended_by or "budget"
            return False
        self.left -= cost
        return self.ended_by != "clock"

    def cost(self, recipe: Recipe) -> float:
        """Return the operations of a trial."""
        return recipe.cost(self.rows, self.inputs)


@dataclass(frozen=True, eq=False)
class Trial:
    """A cure that was tried: alone, or on top of those before it."""

    deviation: Deviation
    outcome: Outcome
    closed: float  # share of the gap


@dataclass
class Search:
    """What was learned of one run."""

    train: Train
    facts: Facts
    user: Outcome
    budget: Budget
    train_permuted: Train  # after the labels of the rows trained on were permuted
    best: Outcome = field(init=False)
    trials: list[Trial] = field(default_factory=list)
    together: list[Trial] = field(default_factory=list)
    suspicions: list[Any] = field(default_factory=list)  # labels that the other rows contradict, where these were found

    def __post_init__(self) -> None:
        self.nothing = self.facts.task.errors(None)
        self.best = self.user

    def skill(self, outcome: Outcome) -> float:
        """Return 1 for no error, 0 for as much as knowing nothing."""
        return float(1 - outcome.errors.mean() / max(self.nothing.mean(), 1e-12))

    def gap(self, worse: Outcome, better: Outcome) -> float:
        """Return how much more one knows, as a share of what knowing nothing misses."""
        return float((worse.errors - better.errors).mean()) / max(float(self.nothing.mean()), 1e-12)

    def is_worse(self, worse: Outcome, better: Outcome, by: float = FOUND) -> bool:
        """Whether a gap is larger than `by`, and than chance."""
        if self.facts.task.judges_itself:  # the rows are all there is: no chance in it
            return self.gap(worse, better) > max(by, OWN)
        difference = worse.errors - better.errors
        error = float(difference.std()) / np.sqrt(len(difference))
        signs = np.sign(difference[np.abs(difference) > 1e-9])
        leaning = signs.sum() / np.sqrt(max(len(signs), 1))  # of a coin that falls either way
        sure = difference.mean() > SURE * error or leaning > SURE + 0.5
        return bool(self.gap(worse, better) > by and sure)

    @property
    def missed(self) -> float:
        return max(self.gap(self.user, self.best), 1e-12)

    @property
    def at_fault(self) -> bool:
        return self.is_worse(self.user, self.best)

    def attempt(self, recipe: Recipe) -> Outcome | None:
        """Train a recipe, unless the budget is spent."""
        if not self.budget.take(self.budget.cost(recipe)):
            return None
        return self.train(recipe)

    def run(self) -> None:
        """Compare with healthy recipes; where one is better, try each deviation."""
        for recipe in healthy(self.user.recipe, self.facts):
            outcome = self.attempt(recipe)
            if outcome is not None and outcome.errors.mean() < self.best.errors.mean():
                self.best = outcome
        certain = [one for one in self.deviations() if one.certain]
        for deviation in self.deviations() if self.at_fault else certain:
            if (trial := self.cure(deviation, deviation.cures, self.user.recipe)) is not None:
                self.trials.append(trial)
        if self.at_fault:
            self.combine()

    def deviations(self) -> list[Deviation]:
        found = (component(self.user.recipe, self.facts) for component in COMPONENTS)
        return [one for one in found if one is not None]

    def cure(self, deviation: Deviation, recipes: Iterable[Recipe], before: Recipe) -> Trial | None:
        """Return the trial of the best of these recipes."""
        best: Trial | None = None
        for recipe in recipes:
            outcome = self.attempt(recipe)
            if outcome is None:
                break
            closed = self.gap(self.user, outcome) / self.missed
            if best is None or closed > best.closed:
                best = Trial(directed(deviation, before, recipe), outcome, closed)
            if closed > DONE:
                break
        return best

    def combine(self) -> None:
        """Add cures to the best one, as long as each closes more of the gap."""
        if not self.trials:
            self.together = self.everything()
            return
        first = max(self.trials, key=lambda trial: trial.closed)
        if first.closed >= 0.9:
            return
        used = [first]
        for _ in range(4):
            recipe, added = used[-1].outcome.recipe, list[Trial]()
            for trial in self.trials:
                known = any(trial.deviation.change.what == one.deviation.change.what for one in used)
                deviation = None if known else again(trial.deviation, recipe, self.facts)
                more = None if deviation is None else self.cure(deviation, deviation.cures[:4], recipe)
                added += [] if more is None else [more]
            better = max(added, key=lambda trial: trial.closed, default=None)
            if better is None or better.closed < used[-1].closed + 0.05:
                break
            used.append(better)
            if better.closed > DONE:
                break
        self.together = used if used[-1].closed > 0.3 else self.everything()

    def everything(self) -> list[Trial]:
        """Return all deviations as causes together, where only the healthy recipe as a whole closes the gap."""
        found = sorted(self.deviations(), key=lambda deviation: -deviation.strength)
        return [Trial(deviation, self.best, 1.0) for deviation in found[:3]]

    @property
    def causes(self) -> list[Trial]:
        """What cures alone, the farthest from usual first; else what cures together."""
        certain = [trial for trial in self.trials if trial.deviation.certain]
        alone = [trial for trial in self.trials if trial.closed >= CLOSED] if self.at_fault else []
        if not alone:
            found = sorted(self.together, key=lambda trial: -trial.deviation.strength) if self.at_fault else []
            return [*certain, *(one for one in found if one not in certain)]
        most = max(trial.closed for trial in alone)
        good = [trial for trial in alone if trial.closed >= 0.8 * most]
        good.sort(key=lambda trial: (-trial.deviation.strength - trial.closed, trial.deviation.rank))
        rest = sorted((trial for trial in alone if trial not in good), key=lambda trial: -trial.closed)
        found = good + rest
        return [*(one for one in certain if one not in found), *found]

    @cached_property
    def baselines(self) -> Baselines:
        """What can be known without tuning."""
        return baselines(self.facts.task, self.user.recipe.seed)

    @cached_property
    def permuted(self) -> np.ndarray | None:
        """Errors of the best run after it was trained on permuted labels; None: the budget was spent."""
        if not self.budget.take(self.budget.cost(self.best.recipe)):
            return None
        return self.train_permuted(self.best.recipe).errors

    def findings(self) -> list[Finding]:
        """Return what is wrong with the data themselves, then the causes that trials proved."""
        task, causes = self.facts.task, self.causes
        found = limits.rare(task, self.user.predictions)
        found = found or limits.classes(self.user.recipe, task)
        if found and found[0].code == "one_class":
            return found
        wild = any(trial.deviation.code in DATA_FAULTS for trial in causes)
        runs = [self.user, self.best, *(trial.outcome for trial in self.trials)]
        if not wild and not limits_rare(found):
            errors = [run.errors for run in runs]
            if limits.knows_nothing(task, self.nothing, errors):
                independent = limits.independent(task, self.baselines, errors, self.permuted)
                return [*(self.finding(trial) for trial in causes if trial.deviation.certain), *found, independent]
            found += limits.noisy(task, self.best.predictions)
        known = {finding.code for finding in found}
        proven = [self.finding(trial) for trial in causes]
        return found + [finding for finding in proven if finding.code not in known]

    def finding(self, trial: Trial) -> Finding:
        """Return a cause with the trial that proved it."""
        deviation = trial.deviation
        alone = any(trial is one for one in self.trials)
        evidence: dict[str, Any] = deviation.evidence | {
            "cure": str(deviation.change), "closed": round(min(trial.closed, 1.0), 3) if self.at_fault else 0.0,
            "proof": "alone" if alone else "together", "strength": round(deviation.strength, 2),
        }  # fmt: skip
        rows = evidence.pop("far", [])
        columns = [evidence.pop("column")] if "column" in evidence else []
        return Finding(
            deviation.code, "warning", rows=rows, columns=columns, evidence=evidence, text=deviation.text,
            advice=(Advice.AS_TRIED,),
        )  # fmt: skip


def limits_rare(found: list[Finding]) -> bool:
    return any(finding.code == "class_imbalance" for finding in found)
