"""Suspect what is out of the ordinary, and order suspects by what cured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..report.advice import Advice
from ..report.finding import Finding
from ..training.learner import Learner
from .curvature import learning_rate
from .data_rules import find_marks, missing_marker
from .trials import (
    ROWS,
    STEPS,
    UNSCALED,
    WORK,
    Batch,
    Setup,
    Suspect,
    by_default,
    lone,
    lone_rows,
    takes_steps,
)

WIDE = 5.0  # times the standard deviation that the default initializer would give a kernel


def causes(learner: Learner, batch: Batch, at_fault: list[int]) -> list[Finding]:
    """Return likely causes of a fault on this batch: what cures it alone first, then the strongest evidence."""
    batch = sampled(learner, batch, at_fault)
    start, first = np.asarray(learner.network.parameters, np.float64), learner.network.drawn()[0].astype(np.float64)
    with np.errstate(all="ignore"):
        if not np.linalg.norm(start) < 10 * np.linalg.norm(first):  # exploded: the initial weights say more
            start = first
        setup = Setup(learner, batch, start, float(learner.learning_rate))
        marked = _marks(batch)
        plain = marked[0].cure(setup).batch if marked else batch
        suspects = [*marked, *_inputs(plain), *_targets(learner, batch), *_weights(batch), *_kernels(learner)]
        suspects += learning_rate(setup) if takes_steps(learner) else []
        cured = _tried(setup, suspects)
    order = sorted(
        range(len(suspects)),
        key=lambda i: (cured[i] != "alone", suspects[i].rank if cured[i] else 9, -suspects[i].strength),
    )
    return [_with_trial(suspects[i].finding, cured[i]) for i in order]


def _with_trial(finding: Finding, cured: str) -> Finding:
    return finding.with_evidence(tried=cured, trial_steps=STEPS) if cured else finding


def sampled(learner: Learner, batch: Batch, at_fault: list[int]) -> Batch:
    """Return at most ROWS rows, fewer for a large model, with those at fault and outliers among them."""
    most = int(min(ROWS, max(8, WORK / (6.0 * len(learner.network.parameters) * STEPS * 8))))
    if len(batch.x) <= most:
        return batch
    marked = np.isin(batch.rows, at_fault)
    marked[lone_rows(batch.x, batch.y, batch.weights)] = True
    first = np.flatnonzero(marked)[: most // 2]
    others = np.setdiff1d(np.arange(len(batch.x)), first)[: most - len(first)]
    return batch.take(np.sort(np.concatenate([first, others])))


def _tried(setup: Setup, suspects: list[Suspect]) -> list[str]:
    """Return which cures make training on the batch go well: "alone", only "together" with the others, or ""."""
    cured = [""] * len(suspects)
    if not suspects or setup.goes_well(STEPS):  # a trial would prove nothing
        return cured
    for i, suspect in enumerate(suspects):
        cured[i] = "alone" if suspect.cure(setup).goes_well(STEPS) else ""
    if not any(cured) and len(suspects) > 1:
        everything = setup
        for suspect in suspects:
            everything = suspect.cure(everything)
        if everything.goes_well(STEPS):
            cured = ["together"] * len(suspects)
    return cured


def _scaled(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    std = x[:, columns].std(axis=0)
    x[:, columns] = (x[:, columns] - x[:, columns].mean(axis=0)) / np.where(std > 0, std, 1)
    return x


OUT_OF_SCALE = {  # code and advice
    "X": ("unscaled_input", Advice.NORMALIZE),
    "y": ("unscaled_target", Advice.SCALE_TARGET),
    "sample_weight": ("loss_scale", Advice.DIVIDE_WEIGHTS),
}


def _sizes(name: str, x: np.ndarray, rows: np.ndarray, cure: Any, drop: Any) -> list[Suspect]:
    """Suspect columns with large values throughout, and rows that stand out."""
    if not ((x > UNSCALED) | (x < -UNSCALED)).any():
        return []
    largest, alone, rest, outlying = lone(x)
    found = []
    if outlying.any():
        worst = int(np.argmax(np.where(outlying, largest, 0)))
        columns, at = np.flatnonzero(outlying), np.unique(alone[outlying])
        evidence = {
            "largest": float(largest[worst]), "rest": float(rest[worst]), "n_rows": len(at), "array": name,
            "row": int(rows[alone[worst]]), "column": worst, "value": float(x[alone[worst], worst]),
        }  # fmt: skip
        first = [worst, *(int(c) for c in columns if c != worst)][:20]
        finding = Finding("outlier", "warning", rows=[int(r) for r in rows[at][:20]], columns=sorted(first),
                          evidence=evidence, advice=(Advice.LOOK_AT_ROW,))  # fmt: skip
        found.append(Suspect(finding, float(np.log10(largest[worst] / UNSCALED)), 0, drop(at)))
    columns = np.flatnonzero((largest > UNSCALED) & ~outlying)
    if len(columns):
        worst = int(columns[np.argmax(largest[columns])])
        evidence = {"largest": float(largest[worst]), "n_columns": len(columns), "array": name, "limit": UNSCALED}
        order = columns[np.argsort(-largest[columns], kind="stable")][:20]
        code, advice = OUT_OF_SCALE[name]
        finding = Finding(code, "warning", columns=[int(c) for c in order], evidence=evidence, advice=(advice,),
                          text="out_of_scale")  # fmt: skip
        found.append(Suspect(finding, float(np.log10(largest[worst] / UNSCALED)) + 1, 0, cure(columns)))
    return found


def _marks(batch: Batch) -> list[Suspect]:
    """Numbers that stand for missing values."""
    marks = find_marks(batch.x)
    finding = missing_marker(marks, batch.rows)

    def filled(setup: Setup) -> Setup:
        x = setup.batch.x.copy()
        for column, (value, _) in marks.items():
            cells = x[:, column]
            cells[cells == value] = np.median(cells[cells != value])
        return replace(setup, batch=replace(setup.batch, x=x))

    return [Suspect(finding, 3.0, 0, filled)] if finding else []


def _without(at: np.ndarray) -> Callable[[Setup], Setup]:
    return lambda setup: replace(setup, batch=setup.batch.take(np.delete(np.arange(len(setup.batch.x)), at)))


def _inputs(batch: Batch) -> list[Suspect]:
    def scaled(columns: np.ndarray) -> Callable[[Setup], Setup]:
        return lambda s: replace(s, batch=replace(s.batch, x=_scaled(s.batch.x, columns)))

    return _sizes("X", batch.x, batch.rows, scaled, _without)


def _targets(learner: Learner, batch: Batch) -> list[Suspect]:
    if batch.y.dtype.kind != "f" and (learner.loss.row["labels"] or batch.y.dtype.kind not in "iu"):
        return []

    def scaled(columns: np.ndarray) -> Callable[[Setup], Setup]:
        return lambda s: replace(s, batch=replace(s.batch, y=_scaled(s.batch.y, columns)))

    return _sizes("y", batch.y, batch.rows, scaled, _without)


def _weights(batch: Batch) -> list[Suspect]:
    if batch.weights is None:
        return []

    def scaled(columns: np.ndarray) -> Callable[[Setup], Setup]:
        def cure(s: Setup) -> Setup:
            weights = np.asarray(s.batch.weights)
            return replace(s, batch=replace(s.batch, weights=weights / np.mean(np.abs(weights))))

        return cure

    return _sizes("sample_weight", batch.weights.reshape(-1, 1), batch.rows, scaled, _without)


def _kernels(learner: Learner) -> list[Suspect]:
    """Suspect layers whose initial weights are far larger than those of the default initializer."""
    core = learner.network.core
    parameters, usual = learner.network.drawn(by_default(core))
    wide = []
    for (layer, kernel), (_, other) in zip(learner.network.drawn()[1], usual, strict=True):
        size = float(np.sqrt(np.mean(np.square(kernel, dtype=np.float64))))  # about 0, not about the mean
        default = float(np.std(other, dtype=np.float64))
        if size > WIDE * default > 0:
            wide.append((size / default, layer, size, default))
    if not wide:
        return []
    ratio, layer, size, default = max(wide)
    name = by_default(core)[layer]["kernel_initializer"][0]
    layers = sorted(other for _, other, _, _ in wide)
    evidence = {"std": size, "default": default, "ratio": ratio, "layers": layers, "initializer": name}
    finding = Finding("poor_init", "warning", layer=layer, evidence=evidence, advice=(Advice.DEFAULT_INITIALIZER,),
                      text="wide_kernel")  # fmt: skip
    drawn = parameters.astype(np.float64)
    return [Suspect(finding, float(np.log10(ratio)) * 1.5, 1, lambda s: replace(s, parameters=drawn))]
