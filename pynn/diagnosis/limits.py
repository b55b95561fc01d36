"""What no training can give: labels that do not depend on X, noisy labels, classes that are missing or rare."""

from __future__ import annotations

import numpy as np

from ..report import Finding
from ..report.advice import Advice
from .baselines import Baselines
from .folds import Task, as_labels
from .recipe import Recipe

KNOWN = 0.1  # share of what could be known, below which the best run knows nothing
SURE = 3.0  # standard errors
NOISY = 0.08  # share of the surest third of predictions that labels contradict
LEVEL = 0.6  # of the share of all: noise spares no row, hard rows are the unsure ones
FEW, RARE = 15, 25.0  # rows of a class; times as many of the most frequent one


def classes(recipe: Recipe, task: Task) -> list[Finding]:
    """Find rows of one class only, and classes that no row has."""
    if task.kind not in ("classes", "yes_no"):
        return []
    there = np.unique(task.labels)
    if len(there) == 1:
        evidence = {"class": int(there[0]), "n_rows": len(task.labels)}
        return [
            Finding("one_class", "warning", evidence=evidence, advice=(Advice.CHECK_TARGET,), text="limit:one_class")
        ]
    if task.kind == "yes_no":
        return []
    held = np.setdiff1d(np.unique(as_labels(task.y[task.held])), there).tolist()
    absent = held or np.setdiff1d(np.arange(recipe.output.units), there).tolist()
    if not absent:
        return []
    evidence = {"absent": absent[:20], "n_absent": len(absent), "units": recipe.output.units}
    return [Finding("unordered_rows", "warning", evidence=evidence, advice=(Advice.CHECK_TARGET,),
                    text="limit:absent_classes")]  # fmt: skip


def rare(task: Task, predictions: np.ndarray | None) -> list[Finding]:
    """Find classes so rare that they are hardly learned."""
    if not task.imbalanced:
        return []
    fewest, ratio = int(task.counts.min()), float(task.counts.max() / task.counts.min())
    truth, named = as_labels(task.y[task.held]), task.named(predictions)
    recall = {int(c): float((named[truth == c] == c).mean()) for c in np.unique(truth)}
    worst = min(recall, key=lambda c: recall[c])
    if recall[worst] > 0.3 and fewest >= FEW and ratio <= RARE:
        return []
    evidence = {"ratio": ratio, "fewest": fewest, "class": worst, "recall": recall[worst]}
    return [Finding("class_imbalance", "warning", evidence=evidence, advice=(Advice.BALANCE,),
                    text="limit:rare_classes")]  # fmt: skip


def knows_nothing(task: Task, nothing: np.ndarray, errors: list[np.ndarray]) -> bool:
    """Whether no run is better on rows that it has not seen than knowing nothing."""
    if len(task.held) < 20 or not nothing.mean():
        return False
    known, error = _best(nothing, errors)
    return not (known > KNOWN and known > SURE * error)


def _best(nothing: np.ndarray, errors: list[np.ndarray]) -> tuple[float, float]:
    """Return the share that the best run knows, and its standard error."""
    best = min(errors, key=lambda one: float(one.mean()))
    gain = (nothing - best) / nothing.mean()
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))


def independent(task: Task, measured: Baselines, errors: list[np.ndarray], permuted: np.ndarray | None) -> Finding:
    """Return what it means that no run knows anything: y depends on nothing, or only simpler means see it.

    `permuted` are the errors of the best run after it was trained on permuted labels.
    """
    known, error = _best(measured.nothing, errors)
    evidence = measured.evidence | {
        "known": max(known, 0.0), "standard_error": error, "n_held": len(task.held), "n_runs": len(errors)
    }  # fmt: skip
    if permuted is not None:
        evidence["permuted"] = measured.known(permuted)
    if measured.depends(KNOWN):
        return Finding("underfitting", "warning", evidence=evidence, text="limit:only_baselines")
    return Finding("labels_independent_of_inputs", "warning", evidence=evidence, advice=(Advice.CHECK_PAIRS,),
                   text="limit:independent")  # fmt: skip


def noisy(task: Task, predictions: np.ndarray | None) -> list[Finding]:
    """Find labels that contradict even the surest predictions of unseen rows."""
    if task.kind not in ("classes", "yes_no") or predictions is None or len(task.held) < 60:
        return []
    p = np.column_stack([1 - predictions, predictions]) if predictions.shape[1] == 1 else predictions
    ordered = np.sort(p, axis=1)
    surest = np.argsort(ordered[:, -2] - ordered[:, -1], kind="stable")[: max(30, len(p) // 3)]
    wrong = task.named(predictions) != as_labels(task.y[task.held])
    share, overall = float(wrong[surest].mean()), float(wrong.mean())
    if share < max(NOISY, LEVEL * overall, 0.03 + SURE * np.sqrt(0.03 * 0.97 / len(surest))):
        return []
    rows = task.held[surest[wrong[surest]]]
    evidence = {"share": share, "n_rows": len(rows)}
    return [Finding("label_noise", "warning", rows=[int(row) for row in rows[:20]], evidence=evidence,
                    advice=(Advice.FIND_LABEL_ERRORS,), text="limit:noise")]  # fmt: skip
