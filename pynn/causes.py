"""Why a step failed, or why training stands still: likely causes, and the numbers that prove them.

A cause is proposed when a number on the batch at fault is out of the ordinary: the size of a column, the spread of the
initial weights, the learning rate against the curvature of the loss. Then it is tried: some steps on the same rows,
from where training began, with that one thing cured. What cures alone comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, activations, arrays, layers, losses, metrics, runtime
from .errors import NumericalError, PynnError
from .health import BEFORE, OF_THE_DATA, STEADY, Finding, Report, bad_cells, listed, operation, told

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["batch", "causes", "explain", "largest_curvature", "observed"]

UNSCALED = 100.0  # largest |value| of a column of X, or of y under a loss that squares it
ALONE = 1e3  # times the largest of all other rows: an outlier
WIDE = 5.0  # times the standard deviation that the default initializer would give a kernel
JUMP = 0.5  # first update to weights, by norm, of a learning rate that is too high
ROWS, STEPS = 64, 30  # of a trial
SCANNED = 1 << 25  # cells of X that are looked through for outliers
PATIENCE = 40  # steps before a loss that does not fall means anything
FLAT = 1e-6  # no column of X changes by more: to the layers all rows are alike
SAMPLE = 1000, 1 << 21  # rows, and cells, whose scale is looked at when a run stands still
WORK = 2e10  # floating-point operations that looking for causes may take


def explain(
    error: NumericalError, model: Sequential, data: dict[str, Any], order: Any, first: int, count: int, rows: Any = None
) -> NumericalError:
    """The error of a step that was refused, with what a replay of it shows in `report`.

    The step was on rows order[first : first+count] of `data`; `rows` are their numbers in the caller's data, when
    `data` is a batch.
    """
    trainer = model.trainer(1)
    blame = trainer.blame(data["X"], data["y"], data["sample_weight"], order, first, count)
    name = OF_THE_DATA.get(blame["operation"] if blame else "")
    if name:
        cells = model.refused(name, data[name])
        if not len(cells):
            cells = arrays.find_nonfinite(data[name], float(np.finfo(model.dtype).max))
        if len(cells):
            return bad_cells(name, data[name], cells, rows)
    fault = _diverged(model, error) if blame is None else _blamed(model, blame, rows)
    ended = re.search(r"; (after \d+ rollbacks|\d+ batches in a row)", str(error))
    where = f"{fault.where}: " if fault.where else ""
    error.args = (f"{where}{fault.message}{ended[0] if ended else ''}. {fault.remedy}",)
    error.layer, error.row = fault.layer, fault.rows[0] if fault.rows else None
    own = blame is not None and blame["operation"] in BEFORE
    at_hand = batch((data["X"], data["y"], data["sample_weight"]), order, first, count, rows)
    died = observed(model) if blame is None else []
    error.report = Report([fault] if own else [fault, *causes(model, at_hand, fault.rows), *died])
    return error


def _blamed(model: Sequential, blame: dict[str, Any], rows: Any) -> Finding:
    spoken = operation(blame["operation"])
    evidence = {name: value for name, value in blame.items() if name not in ("layer", "rows", "columns")}
    rateless = not _takes_steps(model)
    message, own = told(blame, model.dtype.name), _own_function(model, blame)
    if own and blame["operation"] == "loss":
        message = message.replace("the loss is", "the loss, or its gradient, is", 1)
    return Finding(
        spoken.code,
        "fault",
        message,
        own or (STEADY if rateless and "learning rate" in spoken.remedy else spoken.remedy),
        layer=blame["layer"],
        step=model.trainer(1).steps,
        rows=sorted(int(row if rows is None else rows[row]) for row in blame["rows"]),
        columns=blame["columns"],
        evidence=evidence | ({} if rateless else {"learning_rate": model.learning_rate}),
    )


def _own_function(model: Sequential, blame: dict[str, Any]) -> str | None:
    """What to do when a function of the caller's gave what is not finite."""
    if blame["operation"] == "loss":
        function: Any = model.loss
    elif blame["operation"] in ("activation", "forward", "dactivation", "dX") and blame["layer"] is not None:
        function = getattr(model.layers[blame["layer"]].spec, "activation", None)
    else:
        return None
    if not isinstance(function, (losses.Custom, activations.Custom)):
        return None
    part = "derivative" if blame["operation"] in ("dactivation", "dX") else "function"
    part = "function, or the gradient that it returns," if function.kind == "loss" else part
    return f"See what the {part} of your {function.kind} {function.name!r} makes of that row's numbers."


def _takes_steps(model: Sequential) -> bool:
    """Whether there is a learning rate: L-BFGS has none."""
    return bool(model.optimizer.name != "lbfgs")


def _diverged(model: Sequential, error: NumericalError) -> Finding:
    spoken, losses = operation("none"), model.trainer(1).losses()
    value = float(error.value if error.value is not None else np.nan)
    known = f"it was {losses['first']:.3g} in the first step and would be {losses['nothing']:.3g} with all outputs 0"
    usual = max(losses["first"], losses["nothing"])
    if value > 10 * usual or value > max(usual, losses["worst"] / 2):
        message = f"{spoken.message.format(value=f'{value:.3g}')}: {known}"
    else:
        message = f"the loss went up to {losses['worst']:.3g} and came to rest at {value:.3g}: {known}"
    message += ". Every number is still finite, but this does not mend itself"
    remedy = f"{spoken.remedy} Start anew, with model.build(inputs): these weights are lost."
    evidence = losses | {"value": value, "operation": "none", "learning_rate": model.learning_rate}
    return Finding(spoken.code, "fault", message, remedy, step=model.trainer(1).steps, evidence=evidence)


# ---- a batch, and training on it from where the model began


@dataclass(frozen=True)
class Batch:
    """Rows of checked data, and their numbers in the caller's."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    rows: np.ndarray

    def take(self, at: np.ndarray) -> Batch:
        return Batch(self.x[at], self.y[at], None if self.weights is None else self.weights[at], self.rows[at])


def batch(data: tuple[Any, Any, Any], order: Any, first: int, count: int, rows: Any = None) -> Batch:
    """Rows order[first : first+count] of `data`, whose rows have the numbers `rows` for the caller, and outliers."""
    at = np.arange(first, first + count) if order is None else order[first : first + count]
    x, y, weights = data
    if len(at) < x.shape[0] and x.size <= SCANNED and not arrays.is_sparse(x):
        # what made the weights run away may have come in an earlier batch
        at = np.concatenate([at, np.setdiff1d(_lone_rows(x, y, weights), at)])
    return _rows(data, at, rows)


def _rows(data: Any, at: np.ndarray, numbers: Any) -> Batch:
    x, y, weights = data
    taken = x[at].toarray() if arrays.is_sparse(x) else x[at]
    rows = at if numbers is None else np.asarray(numbers)[at]
    return Batch(taken, y[at], None if weights is None else weights[at], rows)


@dataclass(frozen=True)
class Setup:
    """All that decides how training goes on a batch."""

    model: Sequential
    batch: Batch
    parameters: np.ndarray
    learning_rate: float

    def trainer(self, dtype: str | None = None, **guard: Any) -> tuple[np.ndarray, _core.Trainer]:
        """The parameters of a copy of the model, and a trainer at work on it."""
        core, model = self.model.core, self.model
        copy = runtime.twin(core, dtype)
        model.loss.apply(copy)
        parameters = np.asarray(copy.parameters)
        parameters[...] = self.parameters
        name, numbers = model.optimizer.core
        optimizer = (name, numbers | {"learning_rate": self.learning_rate})
        clip = model.optimizer.global_clipnorm or 0.0
        guard = {"check_every": 0} | guard
        return parameters, _core.Trainer(copy, optimizer, len(self.batch.x), clip, model.seed, guard=guard)

    def losses(self, steps: int) -> list[float]:
        """Of so many steps on the whole batch; fewer when one was refused."""
        _, trainer = self.trainer(window=8)
        b, n, found = self.batch, len(self.batch.x), []
        for _ in range(steps):
            try:
                found.append(float(trainer.train(b.x, b.y, b.weights, None, 0, n, n)[2]))
            except PynnError:
                break
        return found

    def goes_well(self, steps: int) -> bool:
        """No step was refused, and the loss ended below where it began."""
        losses = self.losses(steps)
        return len(losses) == steps and float(np.mean(losses[-steps // 4 :])) < losses[0]


def initial(model: Sequential) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """The parameters that the model started from, by its seed, and the kernels in them by layer."""
    core = model.core
    return _drawn(core, core.layers)


def _drawn(core: _core.Model, layers: list[Any]) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    copy = _core.Model(core.context, core.inputs, layers, core.dtype, core.seed, core.target_scaling)
    parameters = np.asarray(copy.parameters)
    kernels = [
        (layer, parameters[offset : offset + rows * columns].reshape(rows, columns))
        for name, layer, offset, rows, columns in copy.tensors
        if name == "kernel"
    ]
    return parameters, kernels


def _by_default(core: _core.Model) -> list[Any]:
    """The layers with the initializers that their activations choose."""
    usual = {row["name"]: row["initializer"] for row in _core.table("activation")}
    return [
        layer | {"kernel_initializer": (usual[layer["activation"][0]], {})}
        if {"activation", "kernel_initializer"} <= layer.keys()
        else layer
        for layer in core.layers
    ]


# ---- likely causes


@dataclass(frozen=True)
class Suspect:
    """Something out of the ordinary, how far (in powers of ten), and the setup without it."""

    finding: Finding
    strength: float
    rank: int  # 0: the data, 1: the weights, 2: the learning rate, in the order in which one makes the next look bad
    cure: Callable[[Setup], Setup]


def causes(model: Sequential, batch: Batch, at_fault: list[int]) -> list[Finding]:
    """What may lie behind a fault on this batch: what cures it alone first, then the strongest evidence."""
    batch = _sample(model, batch, at_fault)
    start, first = np.asarray(model.parameters, np.float64), initial(model)[0].astype(np.float64)
    with np.errstate(all="ignore"):
        if not np.linalg.norm(start) < 10 * np.linalg.norm(first):  # blown up: where it began says more
            start = first
        setup = Setup(model, batch, start, float(model.learning_rate))
        suspects = [*_inputs(batch), *_targets(model, batch), *_weights(batch), *_kernels(model)]
        suspects += _learning_rate(setup) if _takes_steps(model) else []
        cured = _tried(setup, suspects)
    order = sorted(
        range(len(suspects)),
        key=lambda i: (cured[i] != "alone", suspects[i].rank if cured[i] else 9, -suspects[i].strength),
    )
    return [_with_trial(suspects[i].finding, cured[i]) for i in order]


def _with_trial(finding: Finding, cured: str) -> Finding:
    said = {
        "alone": f". Tried: {STEPS} steps on this batch go well without it",
        "together": f". Tried: {STEPS} steps on this batch go well only without all of these causes",
    }
    if not cured:
        return finding
    return replace(finding, message=finding.message + said[cured], evidence=finding.evidence | {"tried": cured})


def _sample(model: Sequential, batch: Batch, at_fault: list[int]) -> Batch:
    """At most ROWS rows, those at fault and outliers among them, fewer of a large model."""
    most = int(min(ROWS, max(8, WORK / (6.0 * len(model.parameters) * STEPS * 8))))
    if len(batch.x) <= most:
        return batch
    marked = np.isin(batch.rows, at_fault)
    marked[_lone_rows(batch.x, batch.y, batch.weights)] = True
    first = np.flatnonzero(marked)[: most // 2]
    others = np.setdiff1d(np.arange(len(batch.x)), first)[: most - len(first)]
    return batch.take(np.sort(np.concatenate([first, others])))


def _tried(setup: Setup, suspects: list[Suspect]) -> list[str]:
    """For each suspect whether its cure makes training on the batch go well: "alone", "together" with others, or ""."""
    cured = [""] * len(suspects)
    if not suspects or setup.goes_well(STEPS):  # then a trial proves nothing
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


def _magnitudes(x: np.ndarray) -> np.ndarray:
    return np.abs(np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0))


def _lone(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each column the largest magnitude, its row, the largest of all other rows, and whether it stands alone."""
    sizes = _magnitudes(x)
    alone, columns = sizes.argmax(axis=0), np.arange(x.shape[1])
    largest = sizes[alone, columns]
    sizes[alone, columns] = 0
    rest = sizes.max(axis=0)
    return largest, alone, rest, (largest > UNSCALED) & (largest > ALONE * np.maximum(rest, 1)) & (len(x) > 2)


def _lone_rows(*data: np.ndarray | None) -> np.ndarray:
    """Rows that stand out in a column of any of these, the farthest out first; a few."""
    found: list[int] = []
    for x in data:
        if x is not None and x.dtype.kind == "f":
            largest, alone, _, outlying = _lone(x.reshape(len(x), -1))
            far = np.argsort(np.where(outlying, -largest, 0), kind="stable")[: min(8, int(outlying.sum()))]
            found += [int(row) for row in alone[far]]
    return np.unique(np.array(found, np.int64))


def _scaled(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    std = x[:, columns].std(axis=0)
    x[:, columns] = (x[:, columns] - x[:, columns].mean(axis=0)) / np.where(std > 0, std, 1)
    return x


OUT_OF_SCALE = {  # code and remedy
    "X": (
        "unscaled_input",
        "Scale X by columns, as pynn.Normalization() does as the first layer.",
    ),
    "y": (
        "unscaled_target",
        "Scale y, as compile(..., target_scaling='standard') does for losses such as mse.",
    ),
    "sample_weight": ("loss_scale", "Divide sample_weight by its mean."),
}


def _sizes(name: str, x: np.ndarray, rows: np.ndarray, cure: Any, drop: Any) -> list[Suspect]:
    """Columns that are large throughout, and rows that stand out."""
    if not ((x > UNSCALED) | (x < -UNSCALED)).any():
        return []
    largest, alone, rest, outlying = _lone(x)
    found = []
    if outlying.any():
        worst = int(np.argmax(np.where(outlying, largest, 0)))
        columns, at = np.flatnonzero(outlying), np.unique(alone[outlying])
        message = (
            f"row {rows[alone[worst]]} of {name} has {x[alone[worst], worst]:.3g} in column {worst}; the other rows "
            f"looked at reach {rest[worst]:.2g} there"
        )
        evidence = {"largest": float(largest[worst]), "rest": float(rest[worst]), "n_rows": len(at), "array": name}
        remedy = f"Look at this row of {name}: correct it, clip the column, or leave the row out."
        named = [int(r) for r in rows[at][:20]]
        finding = Finding("outlier", "warning", message, remedy, rows=named,
                          columns=[int(c) for c in columns[:20]], evidence=evidence)  # fmt: skip
        found.append(Suspect(finding, float(np.log10(largest[worst] / UNSCALED)), 0, drop(at)))
    columns = np.flatnonzero((largest > UNSCALED) & ~outlying)
    if len(columns):
        worst = int(columns[np.argmax(largest[columns])])
        others = f", and {len(columns) - 1} more beyond {UNSCALED:g}" if len(columns) > 1 else ""
        message = f"column {worst} of {name} ranges to {largest[worst]:.3g}{others}"
        evidence = {"largest": float(largest[worst]), "n_columns": len(columns), "array": name}
        order = columns[np.argsort(-largest[columns], kind="stable")][:20]
        code, remedy = OUT_OF_SCALE[name]
        finding = Finding(code, "warning", message, remedy, columns=[int(c) for c in order], evidence=evidence)
        found.append(Suspect(finding, float(np.log10(largest[worst] / UNSCALED)) + 1, 0, cure(columns)))
    return found


def _without(at: np.ndarray) -> Callable[[Setup], Setup]:
    return lambda setup: replace(setup, batch=setup.batch.take(np.delete(np.arange(len(setup.batch.x)), at)))


def _inputs(batch: Batch) -> list[Suspect]:
    def scaled(columns: np.ndarray) -> Callable[[Setup], Setup]:
        return lambda s: replace(s, batch=replace(s.batch, x=_scaled(s.batch.x, columns)))

    return _sizes("X", batch.x, batch.rows, scaled, _without)


def _targets(model: Sequential, batch: Batch) -> list[Suspect]:
    if batch.y.dtype.kind != "f" and (model.loss.row["labels"] or batch.y.dtype.kind not in "iu"):
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


def _kernels(model: Sequential) -> list[Suspect]:
    """Layers that started far wider than their activations' own initializers would have it."""
    core = model.core
    parameters, usual = _drawn(core, _by_default(core))
    wide = []
    for (layer, kernel), (_, other) in zip(initial(model)[1], usual, strict=True):
        size = float(np.sqrt(np.mean(np.square(kernel, dtype=np.float64))))  # about 0: an offset is no better
        default = float(np.std(other, dtype=np.float64))
        if size > WIDE * default > 0:
            wide.append((size / default, layer, size, default))
    if not wide:
        return []
    ratio, layer, size, default = max(wide)
    name = _by_default(core)[layer]["kernel_initializer"][0]
    layers = sorted(other for _, other, _, _ in wide)
    more = f" (likewise {listed('layer', [i for i in layers if i != layer])})" if len(layers) > 1 else ""
    message = (
        f"the kernel of layer {layer} started with weights of size {size:.3g} (root mean square); the default, {name}, "
        f"would be {default:.2g}{more}"
    )
    remedy = "Start from the default initializer: leave kernel_initializer out."
    evidence = {"std": size, "default": default, "ratio": ratio, "layers": layers}
    finding = Finding("poor_init", "warning", message, remedy, layer=layer, evidence=evidence)
    drawn = parameters.astype(np.float64)
    return [Suspect(finding, float(np.log10(ratio)) * 1.5, 1, lambda s: replace(s, parameters=drawn))]


def _learning_rate(setup: Setup) -> list[Suspect]:
    """Plain gradient descent has a bound, 2 / curvature; of any other optimizer the first update tells."""
    model, rate = setup.model, setup.learning_rate
    name, numbers = model.optimizer.core
    if name == "sgd":
        curvature = largest_curvature(setup)
        momentum = numbers["momentum"]
        room = (1 + momentum) / (1 + 2 * momentum if numbers["nesterov"] else 1)
        limit = 2 * room / curvature if curvature > 0 else np.inf
        if rate > limit > 0:
            bound = "2/curvature" if not momentum else f"{2 * room:.3g}/curvature (momentum {momentum:g})"
            message = (
                f"the learning rate, {rate:.3g}, exceeds {bound} = {limit:.2g}, measured on this batch: beyond it each "
                "step overshoots by more than the last"
            )
            evidence = {"learning_rate": rate, "limit": float(limit), "curvature": curvature}
            return [_slower(message, limit / 2, float(np.log10(rate / limit)), evidence)]
    ratio = _first_update(setup)
    if not ratio > JUMP:
        return []
    message = (
        f"with the learning rate {rate:.3g} the first update is {ratio:.2g} times as large as the weights; 0.001 to "
        "0.01 is usual"
    )
    return [_slower(message, rate * 0.005 / ratio, float(np.log10(ratio / JUMP)), {"update_ratio": ratio})]


def _slower(message: str, rate: float, strength: float, evidence: dict[str, Any]) -> Suspect:
    remedy = f"Lower the learning rate to {rate:.1g}."
    finding = Finding("learning_rate_too_high", "warning", message, remedy, evidence=evidence)
    return Suspect(finding, strength, 2, lambda setup: replace(setup, learning_rate=rate))


def _first_update(setup: Setup) -> float:
    """Norm of the first update over that of the weights; NaN when it cannot be taken, infinite when it overflows."""
    parameters, trainer = setup.trainer("float64", policy="off")
    before, b, n = parameters.copy(), setup.batch, len(setup.batch.x)
    trainer.train(b.x, b.y, b.weights, None, 0, n, n)
    ratio = float(np.linalg.norm(parameters - before) / np.linalg.norm(before))
    return ratio if np.isfinite(ratio) else float("nan")


def largest_curvature(setup: Setup, turns: int = 30) -> float:
    """Largest eigenvalue of the loss's second derivative on the batch, by power iteration; NaN when out of range.

    Products with the Hessian are differences of gradients, in float64 on a copy of the model. When the largest by
    magnitude is negative, the iteration goes on with the Hessian shifted by it. The work is bounded: of a large model
    the value may be too low, never too high.
    """
    start = setup.parameters
    parameters, trainer = replace(setup, learning_rate=1e-300).trainer("float64", policy="off", divergence=0)
    b, n = setup.batch, len(setup.batch.x)
    step = 1e-6 * max(1.0, float(np.linalg.norm(start)))

    def gradient(at: np.ndarray) -> np.ndarray:
        parameters[...] = at
        trainer.steps = 0  # the same draws of dropout each time
        trainer.train(b.x, b.y, b.weights, None, 0, n, n)
        return np.array(trainer.gradient)

    def power(shift: float) -> float:
        direction, value = seed.copy(), 0.0
        for _ in range(turns):
            direction /= np.linalg.norm(direction)
            product = (gradient(start + step * direction) - gradient(start - step * direction)) / (2 * step)
            product -= shift * direction
            before, value = value, float(direction @ product)
            size = float(np.linalg.norm(product))
            if not np.isfinite(size):
                return float("nan")
            if size == 0 or abs(value - before) < 1e-4 * abs(value):
                break
            direction = product
        return value + shift

    turns = int(max(4, min(turns, WORK / (60.0 * len(start) * (n + 16)))))
    slope = gradient(start)  # along it the curvature is large as a rule
    seed = np.random.default_rng(0).normal(size=start.shape) / np.sqrt(len(start))
    if np.linalg.norm(slope) > 0:
        seed = 0.1 * seed + slope / np.linalg.norm(slope)
    value = power(0.0)
    return value if not value < 0 else power(value)


# ---- training that stands still


def stands_still(losses: dict[str, float]) -> bool:
    """Whether the loss is no better than with all outputs 0, or with the same output for all rows of a batch."""
    nothing, constant = losses["nothing"], losses["constant"]
    return losses["recent"] > nothing - 0.1 * abs(nothing) or losses["sampled"] > constant - 0.02 * abs(constant)


def spread_out(data: Any, numbers: Any) -> Batch:
    """Rows from all over (X, y, weights), not too many; `numbers` are the rows' for the caller, where they differ."""
    rows = data[0].shape[0]
    count = max(8, min(SAMPLE[0], SAMPLE[1] // data[0].shape[1]))
    return _rows(data, np.unique(np.linspace(0, rows - 1, count).astype(np.int64)), numbers)


def _scales(model: Sequential) -> bool:
    """Whether the first layer brings X to scale."""
    return model.core.layers[0]["kind"][0] in ("normalization", "batch_normalization", "categorical")


def flat(model: Sequential, sample: Batch) -> list[Finding]:
    """Whether X is the same in all rows, or so nearly that the layers cannot tell."""
    spread = float(np.nan_to_num(np.ptp(sample.x.astype(np.float64), axis=0)).max())
    if len(sample.x) < 2 or spread > (0 if _scales(model) else FLAT):
        return []
    evidence = {"spread": spread, "n_rows": len(sample.x)}
    if spread > 0:
        message = f"no column of X changes by more than {spread:.2g} over the {len(sample.x)} rows looked at"
        return [Finding("unscaled_input", "warning", message, OUT_OF_SCALE["X"][1], evidence=evidence)]
    message = f"X is the same in each of the {len(sample.x)} rows looked at: there is nothing to tell them apart by"
    remedy = "Look at how X is made: a whole number that was divided with //, or a cast to integers, becomes 0."
    return [Finding("constant_feature", "warning", message, remedy, evidence=evidence)]


def _misses_the_mean(model: Sequential, sample: Batch, loss: float) -> bool:
    """Whether a regression's loss is no better than if the mean of y were the output for every row."""
    row = model.loss.row
    if row["link"] != "linear" or row["pairs"] or model.core.target_scaling or isinstance(model.loss, losses.Custom):
        return False
    copy = _core.Model(model.core.context, 1, [layers.Dense(model.outputs).core], "float64", 0)
    model.loss.apply(copy)
    targets = sample.y.reshape(len(sample.y), -1)
    np.asarray(copy.parameters)[...] = np.append(np.zeros(model.outputs), targets.mean(axis=0, dtype=np.float64))
    return loss > float(copy.evaluate(np.zeros((len(targets), 1)), targets))


def unscaled(model: Sequential, sample: Batch) -> list[Finding]:
    """Columns of X and y that are out of scale."""
    scales = _scales(model)
    suspects = [] if scales else _inputs(sample)
    if not model.core.target_scaling:
        suspects += _targets(model, sample)
    return [suspect.finding for suspect in sorted(suspects, key=lambda suspect: -suspect.strength)]


def of_the_task(model: Sequential, batch_size: int | None, sample: Batch | None) -> list[Finding]:
    """What no training can mend. `batch_size` and `sample`, rows of the data, are None where they are not known."""
    found = [_batch_of_one(model, batch_size), _no_logits(model), _single_unit(model)]
    found += [] if sample is None else [_improbable(model, sample), _misleading(model, sample)]
    return [finding for finding in found if finding]


def _batch_of_one(model: Sequential, batch_size: int | None) -> Finding | None:
    normalized = [layer.index for layer in model.layers if layer.spec.kind == "batch_normalization"]
    if not normalized or batch_size != 1:
        return None
    message = f"layer {normalized[0]} normalizes by batches of one row, which it takes to 0: no gradient passes it"
    remedy = "Take larger batches, or LayerNormalization."
    return Finding("batch_too_small", "warning", message, remedy, layer=normalized[0])


def _no_logits(model: Sequential) -> Finding | None:
    link, last = model.loss.row["link"], model.layers[-1]
    activation = getattr(last.spec, "activation", None)
    if link == "linear" or activation is None or activation.name == "linear":
        return None
    message = (
        f"the last layer applies {activation.name!r}, and the loss {model.loss.name!r}, which takes logits, its own "
        f"{link} to that"
    )
    remedy = "Leave the last layer's activation out."
    return Finding("loss_mismatch", "warning", message, remedy, layer=last.index)


def _single_unit(model: Sequential) -> Finding | None:
    if model.loss.row["link"] != "softmax" or model.outputs > 1:
        return None
    message = (
        f"the last layer has 1 unit under the loss {model.loss.name!r}: the softmax of one number is 1 whatever it is"
    )
    remedy = "Take sigmoid_cross_entropy, which tells two classes apart with one unit, or a unit for each class."
    return Finding("single_unit_softmax", "warning", message, remedy, layer=len(model.layers) - 1)


def _misleading(model: Sequential, sample: Batch) -> Finding | None:
    """A metric of classes for targets that are none."""
    counts = [metric.name for metric in model.metrics if isinstance(metric, (metrics.Accuracy, metrics.BinaryAccuracy))]
    y = sample.y.reshape(len(sample.y), -1)
    if not counts or y.shape[1] != model.outputs or model.loss.row["pairs"]:
        return None
    none, column = np.nonzero((y < (-1 if model.loss.row["signs"] else 0)) | (y > 1))
    if not len(none):
        return None
    row = int(sample.rows[none[0]])
    message = (
        f"the metric {counts[0]!r} takes y for 0 or 1, or rows of them, and row {row} has {y[none[0], column[0]]:.6g}"
    )
    remedy = "Take 'r2', 'mae' or 'mse' for numbers; for classes, labels under softmax_cross_entropy."
    return Finding("misleading_metric", "warning", message, remedy, rows=[row])


def _improbable(model: Sequential, sample: Batch) -> Finding | None:
    """Rows of y, under a loss that takes them for probabilities, that do not sum to 1."""
    if model.loss.row["link"] != "softmax" or model.outputs == 1 or sample.y.shape[1:] != (model.outputs,):
        return None
    sums = sample.y.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > 1e-3)
    if not len(off):
        return None
    message = (
        f"{len(off)} of the {len(sums)} rows of y looked at do not sum to 1, row {sample.rows[off[0]]} to "
        f"{sums[off[0]]:.3g}: {model.loss.name!r} takes them for probabilities of classes of which one is right"
    )
    remedy = "Take sigmoid_cross_entropy where several classes may be right, or divide each row of y by its sum."
    rows = [int(row) for row in sample.rows[off][:20]]
    return Finding("loss_mismatch", "warning", message, remedy, rows=rows, evidence={"n_rows": len(off)})


def observed(model: Sequential, sample: Batch | None = None) -> list[Finding]:
    """Why a run stands still, by the statistics of the layers and by the scale of `sample`, rows of the data."""
    trainer = model.trainer(1)
    known = trainer.losses()
    if not stands_still(known):
        if sample is None or trainer.steps < PATIENCE:
            return []
        found = unscaled(model, sample)
        harmed = bool(found) and _misses_the_mean(model, sample, known["recent"])
        return found if harmed else [replace(finding, severity="info") for finding in found]
    rules = RULES if trainer.steps >= PATIENCE else [rule for rule in RULES if rule.at_once]
    if sample and (same := flat(model, sample)):
        return same  # whatever else is seen follows from it
    taken = [(layer.index, model.statistics(layer.index)) for layer in model.layers if hasattr(layer.spec, "units")]
    taken = [(index, of | {"gradient_last": trainer.health(index)[3]}) for index, of in taken if of]
    found = [finding for rule in rules if (finding := rule.look(model, taken))]
    if found:
        found[1:1] = [suspect.finding for suspect in _kernels(model)]
    if sample and trainer.steps >= PATIENCE:
        found += unscaled(model, sample)
    return found


@dataclass(frozen=True)
class Rule:
    """A statistic of layers that explains why nothing moves."""

    code: str
    holds: Callable[[dict[str, float]], bool]
    message: str  # of the worst layer
    remedy: str
    by: str  # the statistic that says which is worst
    hidden: bool = True  # of layers below the last one only
    at_once: bool = False  # no need to wait: it is exact

    def look(self, model: Sequential, taken: list[tuple[int, dict[str, float]]]) -> Finding | None:
        considered = taken[:-1] if self.hidden else taken
        bad = [(statistics[self.by], index) for index, statistics in considered if self.holds(statistics)]
        if not bad:
            return None
        _, worst = max(bad)
        statistics = dict(taken)[worst]
        others = [index for _, index in sorted(bad, key=lambda pair: pair[1]) if index != worst]
        more = f" (likewise {listed('layer', others)})" if others else ""
        evidence: dict[str, Any] = {name: value for name, value in statistics.items() if name != "step"}
        evidence |= {"layers": sorted(index for _, index in bad)}
        return Finding(
            self.code,
            "warning",
            self.message.format(layer=worst, **statistics) + more,
            self.remedy,
            layer=worst,
            step=int(statistics["step"]),
            evidence=evidence,
        )


FRESH = (
    "Start from the default initializer, lower the learning rate, or take another activation, leaky_relu for instance."
)
RULES = (
    Rule(
        "saturated_activation",
        lambda s: s["saturated"] > 0.5,
        "{saturated:.0%} of the values of layer {layer} lie where its activation is flat: almost no gradient passes",
        "Start from smaller weights (the default initializer), scale X, or take ReLU.",
        by="saturated",
    ),
    Rule(
        "dead_relu",
        lambda s: s["dead"] > 0.5 and s["zeros"] > 0.5,
        "{dead:.0%} of the units of layer {layer} gave 0 for every row looked at: no gradient passes them",
        FRESH,
        by="dead",
    ),
    Rule(
        "zero_gradient",
        lambda s: s["gradient_rms"] == 0 and s["gradient_last"] == 0,
        "the gradient of layer {layer} is exactly 0: nothing in it is learned",
        FRESH,
        by="zeros",
        hidden=False,
        at_once=True,
    ),
    Rule(
        "underflow",
        lambda s: s["gradient_tiny"] + s["gradient_zeros"] > 0.5 and s["gradient_tiny"] > 0.1,
        "{gradient_tiny:.0%} of the gradient of layer {layer} is below 1e-19: its square is lost in float32",
        "Scale X and y, or compute in float64.",
        by="gradient_tiny",
        hidden=False,
    ),
    Rule(
        "stalled_updates",
        lambda s: s["updates_lost"] > 0.5,
        "{updates_lost:.0%} of the updates of layer {layer} are too small to change their weight: it rounds as before",
        "Raise the learning rate, or compute in float64.",
        by="updates_lost",
        hidden=False,
    ),
)  # fmt: skip
