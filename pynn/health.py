"""What guards a run and what is said when something went wrong: `Guard`, `Finding`, `Report`, causes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from .errors import ArgumentTypeError, ArgumentValueError, NonfiniteDataError, NumericalError, UnknownNameError

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["Finding", "Guard", "Report"]

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
    backoff: float = 0.5
    snapshot_every: int = 100
    divergence: float = 10.0
    window: int = 50
    clip_z: float = 0.0
    clip_alpha: float = 0.97

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            listed = ", ".join(map(repr, POLICIES))
            raise UnknownNameError(f"expected policy as one of {listed}; received policy={self.policy!r}")
        rules = {
            "check_every": (int, "an integer >= 0", lambda v: v >= 0),
            "streak": (int, "an integer >= 1", lambda v: v >= 1),
            "max_rollbacks": (int, "an integer >= 0", lambda v: v >= 0),
            "backoff": (float, "a number in (0, 1)", lambda v: 0 < v < 1),
            "snapshot_every": (int, "an integer >= 1", lambda v: v >= 1),
            "divergence": (float, "a finite number > 1, or 0", lambda v: v == 0 or 1 < v < float("inf")),
            "window": (int, "an integer in 8 ... 256", lambda v: 8 <= v <= 256),
            "clip_z": (float, "a finite number >= 0", lambda v: 0 <= v < float("inf")),
            "clip_alpha": (float, "a number in (0, 1)", lambda v: 0 < v < 1),
        }
        for name, (kind, rule, holds) in rules.items():
            value = getattr(self, name)
            accepted = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, accepted):
                raise ArgumentTypeError(f"expected {name} as {rule}; received {name}={value!r}")
            if not holds(value) or (kind is int and value >= 2**62):
                raise ArgumentValueError(f"expected {name} as {rule}; received {name}={value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Guard(**values)`` makes it again."""
        return asdict(self)


def guard(value: Any) -> Guard:
    """A Guard, or one of the given policy."""
    if isinstance(value, Guard):
        return value
    if isinstance(value, str):
        return Guard(policy=value)
    raise ArgumentTypeError(f"expected guard as a policy or a pynn.Guard; received guard={value!r}")


@dataclass(frozen=True)
class Finding:
    """One thing that was found, with the numbers that prove it and what to do about it."""

    code: str
    severity: str
    message: str
    remedy: str = ""
    layer: int | None = None
    step: int | None = None
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = [f"{name} {value}" for name, value in (("step", self.step), ("layer", self.layer)) if value is not None]
        where += [
            f"{name} {', '.join(map(str, values[:5]))}{' ...' if len(values) > 5 else ''}"
            for name, values in (("rows", self.rows), ("columns", self.columns))
            if values
        ]
        lines = [f"{self.severity}: {self.code}" + (f" ({'; '.join(where)})" if where else ""), f"  {self.message}"]
        return "\n".join(lines + ([f"  What to do: {self.remedy}"] if self.remedy else []))


@dataclass
class Report:
    """Findings of a run, the most telling first. Prints as text: what, where, why, what to do."""

    findings: list[Finding] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing found"


# ---- what an operation that went wrong is called, and what to do about it

SCALE = "Scale X, lower the learning rate, or start from smaller weights."
SLOWER = "Lower the learning rate, or set global_clipnorm in the optimizer."
FILL_IN = "Leave these rows out or fill the cells in (with the column's mean, for instance)."
SYMPTOMS = {
    "input": ("nonfinite_input", FILL_IN),
    "target": ("nonfinite_target", FILL_IN),
    "sample_weight": ("nonfinite_input", "Give every row a finite weight."),
    "parameter": ("poor_init", "Put finite numbers in, or build the model anew."),
    "optimizer_state": ("learning_rate_too_high", SLOWER),
    "gemm": ("exploding_activation", SCALE),
    "bias": ("exploding_activation", SCALE),
    "activation": ("exploding_activation", SCALE),
    "loss": ("diverging_loss", "Scale X and y, or lower the learning rate."),
    "none": ("diverging_loss", SLOWER),
    "clip": ("exploding_gradient", SLOWER),
    "update": ("learning_rate_too_high", SLOWER),
}


def symptom(operation: str) -> tuple[str, str]:
    """The finding's code and remedy for the operation whose result was not finite."""
    return SYMPTOMS.get(operation, ("nonfinite_gradient", SLOWER))


# ---- data at fault


def bad_cells(name: str, x: np.ndarray, cells: np.ndarray, rows: Any = None) -> NonfiniteDataError:
    """The error for cells (row, column) of X, y or sample_weight that are NaN or infinite."""
    bad_rows = np.unique(cells[:, 0])
    named = [int(r if rows is None else rows[r]) for r in bad_rows[:20]]
    columns = [int(c) for c in np.unique(cells[:, 1])[:20]]
    row, column, value = named[0], int(cells[0, 1]), float(x[tuple(cells[0])])
    message = (
        f"expected {name} of finite numbers; received {name}[{row}, {column}]={value}, "
        f"in all {len(cells)} such cells in {len(bad_rows)} rows"
    )
    remedy = FILL_IN
    code = "nonfinite_target" if name == "y" else "nonfinite_input"
    evidence = {"n_rows": len(bad_rows), "n_cells": len(cells), "data": name}
    error = NonfiniteDataError(f"{message}. {remedy}")
    error.row, error.column, error.value = row, column, value
    error.report = Report([Finding(code, "fault", message, remedy, rows=named, columns=columns, evidence=evidence)])
    return error


def bad_prediction(error: NumericalError, first: int, data: str | None = None) -> NumericalError:
    """The error of a prediction or evaluation of rows from `first`, with its report."""
    operation, row = error.operation, None if error.row is None else error.row + first
    code, remedy = symptom(operation)
    if operation in ("gemm", "bias", "activation", "loss"):
        remedy = "Scale this row like those the model was trained on, or predict in float64."
    evidence = {"operation": operation, "value": error.value} | ({"data": data} if data else {})
    error.row = row
    message = str(error) if first == 0 else str(error).replace(f"row {row - first}", f"row {row}")
    rows, columns = ([] if at is None else [int(at)] for at in (row, error.column))
    finding = Finding(code, "fault", message, remedy, layer=error.layer, rows=rows, columns=columns, evidence=evidence)
    error.report, error.args = Report([finding]), (f"{message}. {remedy}",)
    return error


# ---- causes, each with the numbers that prove it

UNSCALED = 100.0  # largest |value| of a column of X, or of y under a loss that squares it
WIDE = 5.0  # times the standard deviation that Glorot's rule would give a kernel


def causes(model: Sequential, x: np.ndarray, y: Any, weights: Any) -> list[Finding]:
    """What may lie behind a fault on this batch, the strongest evidence first."""
    found = [*_unscaled("X", x), *_kernels(model)]
    if getattr(y, "dtype", None) is not None and y.dtype.kind == "f":
        found += _unscaled("y", y)
    with np.errstate(all="ignore"):
        found += _learning_rate(model, x, y, weights)
    return [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]


def _unscaled(name: str, x: np.ndarray) -> list[tuple[float, Finding]]:
    largest = np.max(np.abs(np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0)), axis=0)
    columns = np.flatnonzero(largest > UNSCALED)
    if not len(columns):
        return []
    worst = int(np.argmax(largest))
    others = f", and {len(columns) - 1} more beyond {UNSCALED:g}" if len(columns) > 1 else ""
    code = "unscaled_input" if name == "X" else "unscaled_target"
    remedy = f"Divide {name} by its standard deviation, column by column."
    evidence = {"largest": float(largest[worst]), "n_columns": len(columns)}
    message = f"column {worst} of {name} ranges to {largest[worst]:.3g} in this batch{others}"
    order = columns[np.argsort(-largest[columns])][:20]
    finding = Finding(code, "warning", message, remedy, columns=[int(c) for c in order], evidence=evidence)
    return [(float(np.log10(largest[worst] / UNSCALED)) + 1, finding)]


def _initial(model: Sequential) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """The parameters that the model started from, by its seed, and the kernels in them by layer."""
    core = model.core
    copy = _core.Model(core.context, core.inputs, core.layers, core.dtype, core.seed)
    parameters = np.asarray(copy.parameters)
    kernels = [
        (layer, parameters[offset : offset + rows * columns].reshape(rows, columns))
        for name, layer, offset, rows, columns in copy.tensors
        if name == "kernel"
    ]
    return parameters, kernels


def _kernels(model: Sequential) -> Any:
    for layer, kernel in _initial(model)[1]:
        std, usual = float(np.std(kernel, dtype=np.float64)), float(np.sqrt(2 / sum(kernel.shape)))
        if not std > WIDE * usual:
            continue
        message = (
            f"the kernel of layer {layer} started with a standard deviation of {std:.3g}, glorot would be {usual:.3g}"
        )
        remedy = "Start from the default initializer, with a learning rate that keeps the weights there."
        evidence = {"std": std, "glorot": usual}
        finding = Finding("poor_init", "warning", message, remedy, layer=layer, evidence=evidence)
        yield float(np.log10(std / usual)) * 1.5, finding


def frozen(model: Sequential, x: np.ndarray, y: np.ndarray, loss: float) -> list[Finding]:
    """Hidden layers that saturate while the loss is no better than with all logits 0, and the causes."""
    found = []
    for layer in model.layers[:-1]:
        taken = model.statistics(layer.index)
        if not taken.get("saturated", 0) > 0.5:
            continue
        message = (
            f"{taken['saturated']:.0%} of the values of layer {layer.index} are saturated; its gradient is nearly 0"
        )
        evidence = {"saturated": taken["saturated"], "std": taken["std"], "update_ratio": taken["update_ratio"]}
        remedy = "Start from smaller weights (the default initializer), scale X, or take ReLU."
        found.append(
            Finding(
                "saturated_activation", "warning", message, remedy, layer=layer.index, step=int(taken["step"]),
                evidence=evidence,
            )
        )  # fmt: skip
    if not found:
        return []
    core, rows = model.core, slice(0, 1000)
    copy = _core.Model(core.context, core.inputs, core.layers, core.dtype, core.seed)
    copy.set_loss(model.loss.core)
    np.asarray(copy.parameters)[...] = 0
    nothing = copy.evaluate(x[rows], y[rows])
    if not loss > 0.9 * nothing:
        return []
    return [*found, *(finding for _, finding in _kernels(model))]


def _learning_rate(model: Sequential, x: np.ndarray, y: Any, weights: Any) -> list[tuple[float, Finding]]:
    """A gradient step shrinks the error along the direction of curvature L only when the rate is below 2 / L."""
    if model.optimizer.name != "sgd":
        return []
    curvature = largest_curvature(model, x, y, weights)
    rate = float(model.learning_rate)
    if not (np.isfinite(curvature) and curvature > 0 and rate > 2 / curvature):
        return []
    limit = 2 / curvature
    message = f"the learning rate, {rate:.3g}, exceeds 2/curvature = {limit:.2g}, measured on this batch"
    evidence = {"learning_rate": rate, "limit": limit, "curvature": curvature}
    remedy = f"Lower the learning rate to {limit / 2:.1g}."
    return [
        (
            float(np.log10(rate / limit)),
            Finding("learning_rate_too_high", "warning", message, remedy, evidence=evidence),
        )
    ]


def largest_curvature(model: Sequential, x: np.ndarray, y: Any, weights: Any, turns: int = 8) -> float:
    """Largest |eigenvalue| of the loss's second derivative on these rows, by power iteration; NaN when out of range.

    Products with the Hessian are differences of gradients, in float64 on a copy of the model. Dropout is left out.
    """
    layers = [layer.spec.core for layer in model.layers if hasattr(layer.spec, "units")]
    copy = _core.Model(model.core.context, model.inputs, layers, "float64", model.seed)
    copy.set_loss(model.loss.core)
    parameters = np.asarray(copy.parameters)
    start, first = np.asarray(model.parameters, np.float64), _initial(model)[0].astype(np.float64)
    if not np.linalg.norm(start) < 10 * np.linalg.norm(first):  # blown up: where it began says more
        start = first
    parameters[...] = start
    trainer = _core.Trainer(copy, ("sgd", {"learning_rate": 5e-324}), len(x), guard={"divergence": 0})
    direction = np.random.default_rng(0).normal(size=start.shape)

    def gradient(at: np.ndarray) -> np.ndarray:
        parameters[...] = at
        trainer.train(x, y, weights, None, 0, len(x), len(x))
        return np.array(trainer.gradient)

    size = 0.0
    for _ in range(turns):
        direction /= np.linalg.norm(direction)
        step = 1e-6 * max(1.0, float(np.linalg.norm(start)))
        try:
            product = (gradient(start + step * direction) - gradient(start - step * direction)) / (2 * step)
        except ArithmeticError:
            return float("nan")
        size = float(np.linalg.norm(product))
        if not (0 < size < np.inf):
            return float("nan") if size else 0.0
        direction = product
    return size


# ---- the ledger of a run in words

DONE = {
    "refused": "refused the step and ended the run",
    "skipped": "left the batch out",
    "rolled_back": "went back to step {restored} and lowered the learning rate to {new_learning_rate:.3g}",
    "clipped": "clipped the gradient",
    "diverged": "saw the loss diverge",
}


def say(entry: dict[str, Any]) -> str:
    """An entry of the ledger in a line."""
    at = {"none": "the loss", "clip": "the gradient norm"}.get(entry["operation"], entry["operation"])
    where = "".join(f", {name} {entry[name]}" for name in ("layer", "row", "column") if entry[name] is not None)
    return f"step {entry['step']}: {DONE[entry['kind']].format(**entry)} ({at}{where}: {entry['value']:.3g})"


def findings(ledger: list[dict[str, Any]]) -> list[Finding]:
    """What a run's ledger amounts to: one finding for each kind of event and operation."""
    groups: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for entry in ledger:
        groups.setdefault((entry["kind"], entry["operation"], entry["layer"]), []).append(entry)
    found = []
    for (kind, operation, layer), entries in groups.items():
        code, remedy = ("loss_spike", "") if kind == "clipped" else symptom(operation)
        times = f", {len(entries)} times" if len(entries) > 1 else ""
        rows = list(dict.fromkeys(entry["row"] for entry in entries if entry["row"] is not None))
        columns = list(dict.fromkeys(entry["column"] for entry in entries if entry["column"] is not None))
        evidence = {"times": len(entries), "n_rows": len(rows), "operation": operation, "value": entries[0]["value"]}
        found.append(
            Finding(
                code, "info" if kind == "clipped" else "warning", f"{say(entries[0])}{times}", remedy, layer=layer,
                step=entries[0]["step"], rows=rows[:20], columns=columns[:20], evidence=evidence,
            )
        )  # fmt: skip
    return found
