"""Rules about data: what a sample of the training and validation rows shows, once a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..report.advice import Advice
from ..report.finding import Finding
from ..training.learner import Learner
from .seen import Seen, as_labels

FEW = 20  # rows below which a coincidence proves nothing
MARKS = (-999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0, -999999.0, 999999.0)  # that people write for "missing"
NO_DATE = -(2.0**63)  # a missing date, as a number
APART = 20.0  # spreads between the medians of training and validation columns
FEWER = 250  # rows that quantiles are taken of
MOST = 0.6  # share of rows with one number, from which quantiles jump
UNITS = 20.0  # times the spread: other units
MANY_CODES = 10  # categories from which their numbers say nothing to a Dense layer
COARSE = 1 / 16  # steps of a dtype against the spread of a column, beyond which its digits are gone
LIGHT, HEAVY = 0.05, 20.0  # mean sample weights that change what a learning rate means


def of_the_data(learner: Learner, seen: Seen) -> list[Finding]:
    """Return what the data explain by themselves, the most telling first."""
    with np.errstate(all="ignore"):
        return [
            finding
            for rule, needs in RULES
            if (needs is None or getattr(seen, needs) is not None) and (finding := rule(learner, seen))
        ]


# ---- columns of X


def find_marks(x: np.ndarray) -> dict[int, tuple[float, np.ndarray]]:
    """Return columns in which one number, far from all others, marks missing values: the number and its rows."""
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    found = {}
    for mark, columns in ((low, np.flatnonzero(np.isin(low, MARKS) | (low <= NO_DATE))),
                          (high, np.flatnonzero(np.isin(high, MARKS)))):  # fmt: skip
        for column in columns.tolist():
            value, cells = float(mark[column]), x[:, column]
            rows = np.flatnonzero(cells == mark[column])
            rest = cells[(cells != mark[column]) & np.isfinite(cells)]
            enough = 1 if value == NO_DATE else 2
            if len(rest) > 2 and len(rows) >= enough and _far(value, rest):
                found[column] = value, rows
    return found


def _far(mark: float, rest: np.ndarray) -> bool:
    """Whether no other number comes near the mark."""
    low, high = float(rest.min()), float(rest.max())
    if mark == NO_DATE:
        return low > NO_DATE / 2
    return min(abs(mark - low), abs(mark - high)) > 3 * (high - low) > 0 and abs(mark) > 3 * max(abs(low), abs(high))


def _missing_marker(learner: Learner, seen: Seen) -> Finding | None:
    marks = find_marks(seen.sample.x)
    return missing_marker(marks, seen.sample.rows) if marks else None


def missing_marker(marks: dict[int, tuple[float, np.ndarray]], numbers: np.ndarray) -> Finding | None:
    """Return the finding for marks that `find_marks` found, in rows that have these numbers in the user's data."""
    if not marks:
        return None
    rows = np.unique(np.concatenate([at for _, at in marks.values()]))
    column = min(marks)
    evidence = {"value": marks[column][0], "n_marked": len(marks[column][1]), "n_rows": len(rows), "array": "X",
                "n_columns": len(marks)}  # fmt: skip
    text = "missing_date" if marks[column][0] == NO_DATE else ""
    return Finding("missing_marker", "warning", rows=numbers[rows][:20].tolist(), columns=sorted(marks)[:20],
                   evidence=evidence, advice=(Advice.MARK_MISSING,), text=text)  # fmt: skip


def _target_leak(learner: Learner, seen: Seen) -> Finding | None:
    x, y = seen.sample.x, seen.sample.y.reshape(len(seen.sample.y), -1)
    if x.shape[1] < 2 or len(x) < FEW:
        return None
    labels = seen.sample_labels if learner.network.loss.row["link"] in ("softmax", "sigmoid") else None
    if labels is not None:
        leaks, text = np.flatnonzero(_tells_classes(x, labels)), "column_is_target"
        if not len(leaks):
            leaks, text = np.flatnonzero(_counts_rows(seen)), "column_counts_rows"
    else:
        alike = (x == y[:, :1]).all(axis=0) & (x != x[0]).any(axis=0)
        leaks = np.flatnonzero(alike) if y.shape[1] == 1 else np.empty(0, np.int64)
        text = "column_is_target"
    if not len(leaks):
        return None
    evidence = {"n_columns": len(leaks), "n_checked": len(x), "array": "X"}
    return Finding("target_leak", "warning", columns=leaks[:20].tolist(), evidence=evidence,
                   advice=(Advice.DROP_COLUMNS,), text=text)  # fmt: skip


def _tells_classes(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Columns that have one number for each class, another for every class."""
    order = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    if len(first) < 2 or counts.min() < 2:
        return np.zeros(x.shape[1], bool)
    low, high = np.minimum.reduceat(x[order], first, axis=0), np.maximum.reduceat(x[order], first, axis=0)
    apart = (np.diff(np.sort(low, axis=0), axis=0) > 0).all(axis=0)
    return np.asarray((low == high).all(axis=0) & apart)


def _counts_rows(seen: Seen) -> np.ndarray:
    """Columns that number the rows of data that are sorted by class."""
    x, rows, labels = seen.sample.x, seen.sample.rows, seen.labels
    none = np.zeros(x.shape[1], bool)
    if labels is None or len(labels) < FEW:
        return none
    changes = int((np.diff(labels) != 0).sum())
    if not 0 < changes < 2 * len(np.unique(labels)) or changes > len(labels) // 10:
        return none
    steps = np.diff(x.astype(np.float64), axis=0) / np.diff(rows)[:, None]
    return np.asarray(np.isclose(steps, steps[0], rtol=1e-3, atol=0).all(axis=0) & (steps[0] != 0))


def _coded_columns(specs: Any, inputs: int) -> set[int]:
    """Return the columns of X that a Categorical layer takes; each such layer puts what it makes of them last."""
    left, taken = list(range(inputs)), set()
    for spec in specs:
        if spec.kind == "categorical":
            taken |= {left[column] for column in spec.columns if column < len(left)}
            left = [column for place, column in enumerate(left) if place not in spec.columns]
    return taken


def _category_as_number(learner: Learner, seen: Seen) -> Finding | None:
    taken = _coded_columns(learner.network.specs, learner.network.inputs or 0)
    sizes = {column: size for column, size in (seen.categories or {}).items() if size > 2 and column not in taken}
    if not sizes:
        return None
    order = sorted(sizes, key=lambda column: (-sizes[column], column))
    evidence = {"n_categories": sizes[order[0]], "n_columns": len(order), "array": "X", "at": sorted(order)}
    severity = "warning" if sizes[order[0]] >= MANY_CODES else "info"
    return Finding("category_as_number", severity, columns=order[:20], evidence=evidence,
                   advice=(Advice.CATEGORICAL_LAYER,))  # fmt: skip


# ---- classes


def _one_class(learner: Learner, seen: Seen) -> Finding | None:
    labels = seen.labels if learner.network.loss.row["link"] in ("softmax", "sigmoid") else None
    if learner.network.loss.row["link"] == "softmax" and learner.network.outputs == 1:  # which is said elsewhere
        return None
    if labels is None or len(labels) < 2 or (labels != labels[0]).any():
        return None
    return Finding("one_class", "warning", evidence={"label": int(labels[0]), "n_rows": len(labels)},
                   advice=(Advice.CHECK_TARGET,))  # fmt: skip


def _unordered_rows(learner: Learner, seen: Seen) -> Finding | None:
    """Rows sorted by class and taken in their order: each class undoes what the one before taught."""
    if not seen.in_order or learner.network.loss.row["link"] == "linear":
        return None
    labels = seen.labels
    window = max(32, seen.batch_size or 1)
    if labels is None or len(labels) < 2 * window:
        return None
    classes, labels = np.unique(labels, return_inverse=True)
    shares = np.bincount(labels) / len(labels)
    blocks = labels[: len(labels) // window * window].reshape(-1, window)
    alike = float((blocks == blocks[:, :1]).all(axis=1).mean())
    if len(classes) < 2 or alike < 0.5 or float((shares**window).sum()) > 0.1:
        return None
    evidence = {"n_classes": len(classes), "of_one_class": alike, "n_checked": window}
    return Finding("unordered_rows", "warning", evidence=evidence, advice=(Advice.SHUFFLE,))


def _class_imbalance(learner: Learner, seen: Seen) -> Finding | None:
    """The most frequent class for every row, which accuracy makes look good."""
    counts = [metric.name for metric in learner.metrics if metric.name in ("accuracy", "binary_accuracy")]
    labels = seen.sample_labels if counts and learner.network.loss.row["link"] in ("softmax", "sigmoid") else None
    if (
        labels is None
        or len(labels) < FEW
        or seen.sample.y.reshape(len(labels), -1).shape[1] > 1 < learner.network.outputs
    ):
        return None
    n = np.bincount(labels)
    most = int(n.argmax())
    if n[most] < 0.8 * len(labels) or len(labels) - n[most] < 5:
        return None
    out = predictions(learner, seen.sample.x)
    chosen = out.argmax(axis=1) if out.shape[1] > 1 else (out[:, 0] > 0).astype(int)
    if (chosen != most).any():
        return None
    evidence = {"share": float(n[most] / len(labels)), "label": most, "metric": counts[0], "n_checked": len(labels)}
    known = learner.trainer.losses()
    harmless = known["sampled"] < 0.9 * known["constant"]
    return Finding("class_imbalance", "info" if harmless else "warning", evidence=evidence,
                   advice=(Advice.BALANCE,))  # fmt: skip


def predictions(learner: Learner, x: np.ndarray) -> np.ndarray:
    """Return logits, as they are."""
    out = np.empty((len(x), learner.network.core.outputs), learner.network.dtype)
    learner.network.core.predict(x, out, True, False)
    return out


# ---- validation


def _unseen_classes(learner: Learner, seen: Seen) -> Finding | None:
    labels = as_labels(seen.validation_targets) if learner.network.loss.row["link"] == "softmax" else None
    trained = seen.labels if seen.targets is not None else seen.classes
    unseen = np.setdiff1d(labels, trained) if labels is not None and trained is not None and len(trained) else ()
    if labels is None or not len(unseen):
        return None
    evidence = {"data": "validation", "classes": list(map(int, unseen[:20])), "n_classes": len(unseen),
                "n_rows": int(np.isin(labels, unseen).sum())}  # fmt: skip
    return Finding("validation_mismatch", "warning", evidence=evidence, advice=(Advice.SHUFFLE_BEFORE_SPLIT,),
                   text="class_only_in_validation")  # fmt: skip


def _validation_mismatch(learner: Learner, seen: Seen) -> Finding | None:
    if seen.validation is None or min(len(seen.validation.x), len(seen.sample.x)) < FEW:
        return None
    ours, theirs = _spreads(seen.sample.x), _spreads(seen.validation.x)
    known = (ours[1] > 0) & (theirs[1] > 0)  # and no number that most rows have, such as 0 at the edge of pictures
    known[list(seen.categories or ())] = False
    ratio = np.where(known, theirs[1] / ours[1], 1)
    shift = np.where(known, np.abs(theirs[0] - ours[0]) / np.maximum(ours[1], theirs[1]), 0)
    strange = np.flatnonzero((ratio > UNITS) | (ratio < 1 / UNITS) | (shift > APART))
    if not len(strange):
        return None
    worst = int(strange[np.argmax(np.maximum(np.abs(np.log(ratio[strange])), np.log1p(shift[strange])))])
    evidence = {
        "data": "validation", "array": "X", "n_columns": len(strange), "median": float(theirs[0][worst]),
        "spread": float(theirs[1][worst]), "training_median": float(ours[0][worst]),
        "training_spread": float(ours[1][worst]),
    }  # fmt: skip
    first = [worst, *(int(column) for column in strange if column != worst)][:20]
    return Finding("validation_mismatch", "warning", columns=first, evidence=evidence, advice=(Advice.SAME_UNITS,))


def _spreads(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each column's median and the width of its middle 80 %, 0 where one number has most of the rows."""
    x = np.sort(x[:: -(-len(x) // FEWER)].astype(np.float64), axis=0)  # missing cells come last
    count = np.maximum((x == x).sum(axis=0), 1)
    marks = [x[(share * (count - 1)).astype(int), np.arange(x.shape[1])] for share in (0.1, 0.5, 0.9)]
    usual = np.max([(x == mark).mean(axis=0) for mark in marks], axis=0)
    return marks[1], np.where(usual > MOST, 0, marks[2] - marks[0])


# ---- digits that were lost on the way


def _precision_loss(learner: Learner, seen: Seen) -> Finding | None:
    """Numbers whose dtype is coarse against their spread: what told them apart was rounded off before."""
    for array, data in (("y", seen.sample.y), ("X", seen.sample.x)):
        if data.dtype.kind != "f" or data.dtype.itemsize > 4 or len(data) < FEW:
            continue
        x = data.reshape(len(data), -1)
        low, high = x.min(axis=0), x.max(axis=0)
        largest = np.maximum(np.abs(low), np.abs(high))
        step, span = np.spacing(largest).astype(np.float64), high.astype(np.float64) - low
        near = np.flatnonzero((span > 0) & (span < step / COARSE * np.sqrt(2 * len(x))))  # no spread is less than that
        if len(near) and (finding := _coarse(array, x, near, step, largest)):
            return finding
    return None


def _coarse(array: str, x: np.ndarray, columns: np.ndarray, step: np.ndarray, largest: np.ndarray) -> Finding | None:
    """Return the finding for those columns whose numbers are `step` apart and vary by little more."""
    step, cells = step[columns], x[:, columns]
    spread = cells.astype(np.float64).std(axis=0)
    whole = (np.floor(cells) == cells).all(axis=0) & (step <= 1)  # counts, which the dtype holds exactly
    ratio = np.where(whole, 0, step / spread)
    lost = columns[ratio > COARSE]
    if not len(lost):
        return None
    at = int(np.argmax(ratio))
    evidence = {"array": array, "dtype": x.dtype.name, "step": float(step[at]), "spread": float(spread[at]),
                "largest": float(largest[columns[at]]), "n_columns": len(lost)}  # fmt: skip
    return Finding("precision_loss", "warning", columns=lost[:20].tolist(), evidence=evidence,
                   advice=(Advice.KEEP_FLOAT64,))  # fmt: skip


# ---- sample weights


def _loss_scale(learner: Learner, seen: Seen) -> Finding | None:
    """Weights far from 1 on average: they multiply the learning rate, and what is shown as loss."""
    weights = seen.weights if seen.weights is not None else seen.sample.weights
    if weights is None:
        return None
    mean = float(np.mean(weights))
    if LIGHT <= mean <= HEAVY or not mean > 0:
        return None
    harmless = learner.optimizer.name in SCALE_FREE and mean > 1e-4
    return Finding("loss_scale", "info" if harmless else "warning", evidence={"mean": mean, "array": "sample_weight"},
                   advice=(Advice.DIVIDE_WEIGHTS,), text="mean_weight")  # fmt: skip


SCALE_FREE = (
    "adam",
    "adamw",
    "amsgrad",
    "nadam",
    "lion",
    "rmsprop",
    "adagrad",
    "lbfgs",
)  # whose steps do not depend on the size of the loss
RULES: tuple[tuple[Callable[[Any, Seen], Finding | None], str | None], ...] = (  # a rule, and what it cannot do without
    (_one_class, None),
    (_missing_marker, None),
    (_target_leak, None),
    (_unseen_classes, "validation_targets"),
    (_validation_mismatch, "validation"),
    (_unordered_rows, "targets"),
    (_loss_scale, None),
    (_precision_loss, None),
    (_category_as_number, "categories"),
    (_class_imbalance, None),
)
