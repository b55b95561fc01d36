"""Faults put into healthy programs, one at a time: does `diagnose` find them, name them first, and `repair` mend them?

    python benchmarks/mutants.py develop|judge [OUTPUT] [OPERATOR ...]

An operator changes one thing that people get wrong: the task, the data, the layers, the optimizer, the schedule, the
regularisation, the loop. A mutant counts as a fault when it takes away at least a tenth of what the healthy program
knows beyond knowing nothing, in the mean of three seeds; else it is a control. Operators and programs are divided in
halves by SEED, which was fixed before the first rule was written: one half to develop rules on, one to judge by."""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from programs import Program, programs

import pynn
from pynn import Dense, Dropout, Normalization

SEED = 20261201  # divides operators and programs
SEEDS = (0, 1, 2)
HURTS = 0.10

Mutation = Callable[[Program], Program | None]


@dataclass(frozen=True)
class Operator:
    """A kind of mistake, and the finding codes that name it right."""

    name: str
    family: str
    codes: tuple[str, ...]
    mutate: Mutation


OPERATORS: list[Operator] = []


def operator(family: str, *codes: str) -> Callable[[Mutation], Mutation]:
    def add(mutate: Mutation) -> Mutation:
        OPERATORS.append(Operator(mutate.__name__, family, codes, mutate))
        return mutate

    return add


def rng(program: Program) -> np.random.Generator:
    return np.random.default_rng(sum(program.name.encode()))


def with_data(program: Program, X: Any = None, y: Any = None, judged: Any = None) -> Program:
    """Other training rows; `judged`: other inputs to judge by."""
    oldX, oldy, Xt, yt = program.data
    return program.change(
        data=(oldX if X is None else X, oldy if y is None else y, Xt if judged is None else judged, yt)
    )


def labels(program: Program) -> np.ndarray:
    y = np.asarray(program.data[1])
    return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y


def relabel(program: Program, named: np.ndarray) -> Program:
    y = np.asarray(program.data[1])
    return with_data(program, y=np.eye(y.shape[1], dtype=y.dtype)[named] if y.ndim == 2 and y.shape[1] > 1 else named)


def each(program: Program, change: Callable[[Any, bool], Any]) -> Program:
    """`change(layer, is_last)` for every Dense."""
    last = max(i for i, layer in enumerate(program.layers) if isinstance(layer, Dense))
    return program.change(
        layers=tuple(
            change(layer, i == last) if isinstance(layer, Dense) else layer for i, layer in enumerate(program.layers)
        )
    )


def hidden(program: Program, **changes: Any) -> Program:
    return each(program, lambda layer, last: layer if last else dense(layer, **changes))


def dense(layer: Any, **changes: Any) -> Any:
    """The layer with changes; a new activation brings its own initializer."""
    if "activation" in changes and "kernel_initializer" not in changes:
        changes["kernel_initializer"] = None
    return replace(layer, **changes)


def start(program: Program, change: Callable[[Any], None]) -> Program:
    return program.change(start=change)


def without(program: Program, kind: type) -> Program | None:
    kept = tuple(layer for layer in program.layers if not isinstance(layer, kind))
    return program.change(layers=kept) if len(kept) < len(program.layers) else None


def rate(program: Program, factor: float) -> Program:
    return program.change(optimizer=replace(program.optimizer, learning_rate=program.optimizer.learning_rate * factor))


def fitted(program: Program, **arguments: Any) -> Program:
    return program.change(fit=program.fit | arguments)


def steps(program: Program) -> int:
    return program.fit["epochs"] * -(-len(program.data[0]) // program.fit["batch_size"])


# ---- the task


@operator("task", "loss_mismatch", "output_range_mismatch")
def relu_on_the_output(program: Program) -> Program | None:
    return each(program, lambda layer, last: dense(layer, activation="relu") if last else layer)


@operator("task", "output_range_mismatch", "loss_mismatch")
def sigmoid_on_numbers(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    return each(program, lambda layer, last: dense(layer, activation="sigmoid") if last else layer)


@operator("task", "output_range_mismatch", "loss_mismatch")
def tanh_on_numbers(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    return each(program, lambda layer, last: dense(layer, activation="tanh") if last else layer)


@operator("task", "loss_mismatch", "output_range_mismatch")
def mse_for_classes(program: Program) -> Program | None:
    if program.task != "classes":
        return None
    y = np.asarray(program.data[1])
    hot = y if y.ndim == 2 else np.eye(int(y.max()) + 1, dtype=np.float32)[y]
    changed = program.change(loss="mse").change(data=(program.data[0], hot, program.data[2], program.data[3]))
    return each(changed, lambda layer, last: dense(layer, activation="softmax") if last else layer)


@operator("task", "single_unit_softmax", "loss_mismatch")
def softmax_of_one_unit(program: Program) -> Program | None:
    if program.task != "yes_no":
        return None
    return each(program.change(loss="mse"), lambda layer, last: dense(layer, activation="softmax") if last else layer)


@operator("task", "loss_mismatch", "output_range_mismatch")
def sigmoid_cross_entropy_for_classes(program: Program) -> Program | None:
    if program.task != "classes":
        return None
    changed = each(program, lambda layer, last: dense(layer, activation="sigmoid") if last else layer)
    return changed.change(loss="softmax_cross_entropy")


@operator("task", "loss_mismatch", "saturated_activation")
def softmax_in_the_middle(program: Program) -> Program | None:
    return hidden(program, activation="softmax")


@operator("task", "loss_mismatch")
def mae_for_yes_or_no(program: Program) -> Program | None:
    if program.task != "yes_no":
        return None
    return each(program.change(loss="mae"), lambda layer, last: dense(layer, activation="sigmoid") if last else layer)


# ---- the data


@operator("data", "labels_independent_of_inputs")
def shuffled_labels(program: Program) -> Program:
    return with_data(program, y=rng(program).permutation(program.data[1]))


@operator("data", "labels_independent_of_inputs", "label_noise")
def shifted_labels(program: Program) -> Program:
    return with_data(program, y=np.roll(program.data[1], 1, axis=0))


@operator("data", "label_noise")
def noisy_labels(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    named, random = labels(program).copy(), rng(program)
    at = random.random(len(named)) < 0.4
    named[at] = random.integers(0, named.max() + 1, at.sum())
    return relabel(program, named)


@operator("data", "label_noise", "outlier")
def wild_targets(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    y, random = np.array(program.data[1], np.float64), rng(program)
    at = random.random(len(y)) < 0.05
    y[at] += 30 * y.std() * random.normal(size=at.sum())
    return with_data(program, y=y)


@operator("data", "class_imbalance")
def rare_classes(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    named, random = labels(program), rng(program)
    keep = (named == 0) | (random.random(len(named)) < 0.03)
    return program.change(data=(program.data[0][keep], program.data[1][keep], *program.data[2:]))


@operator("data", "one_class", "class_imbalance")
def one_class_only(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    keep = labels(program) == 0
    return program.change(data=(program.data[0][keep], program.data[1][keep], *program.data[2:]))


@operator("data", "unscaled_input")
def large_inputs(program: Program) -> Program | None:
    bare = without(program, Normalization) or program
    return with_data(bare, X=bare.data[0] * 1000.0, judged=bare.data[2] * 1000.0)


@operator("data", "unscaled_input")
def far_offset(program: Program) -> Program | None:
    bare = without(program, Normalization) or program
    return with_data(bare, X=bare.data[0] + 100.0, judged=bare.data[2] + 100.0)


@operator("data", "unscaled_input", "vanishing_activation")
def tiny_inputs(program: Program) -> Program | None:
    bare = without(program, Normalization) or program
    return with_data(bare, X=bare.data[0] * 1e-6, judged=bare.data[2] * 1e-6)


@operator("data", "unscaled_input")
def one_large_column(program: Program) -> Program | None:
    bare = without(program, Normalization) or program
    X, Xt = np.array(bare.data[0], np.float64), np.array(bare.data[2], np.float64)
    at = int(X.std(axis=0).argmax())
    X[:, at] *= 1e4
    Xt[:, at] *= 1e4
    return with_data(bare, X=X, judged=Xt)


@operator("data", "unscaled_target")
def large_targets(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    X, y, Xt, yt = program.data
    return program.change(data=(X, 1e4 * y + 1e5, Xt, 1e4 * yt + 1e5), target_scaling=None)


@operator("data", "outlier")
def wild_cells(program: Program) -> Program | None:
    X, random = np.array(program.data[0], np.float64), rng(program)
    for row in random.choice(len(X), 3, replace=False):
        X[row, random.integers(X.shape[1])] = 1e6
    return with_data(program, X=X)


@operator("data", "missing_marker", "outlier")
def marks_for_missing(program: Program) -> Program | None:
    X, random = np.array(program.data[0], np.float64), rng(program)
    X[random.random(X.shape) < 0.1] = -9999.0
    return with_data(program, X=X)


@operator("data", "constant_feature", "labels_independent_of_inputs")
def constant_inputs(program: Program) -> Program:
    return with_data(program, X=np.zeros_like(program.data[0]))


@operator("data", "validation_mismatch")
def judged_in_other_units(program: Program) -> Program | None:
    _, _, Xt, yt = program.data
    other = with_data(program, judged=Xt * 255.0)
    return fitted(other, validation_data=(Xt * 255.0, yt))


@operator("data", "unordered_rows")
def sorted_rows(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    order = np.argsort(labels(program), kind="stable")
    changed = program.change(data=(program.data[0][order], program.data[1][order], *program.data[2:]))
    return fitted(changed, shuffle=False)


@operator("data", "label_out_of_range", "loss_mismatch", "output_range_mismatch")
def too_few_units(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    return each(program, lambda layer, last: layer if last else dense(layer, units=1))


@operator("data", "class_imbalance", "loss_scale")
def weights_of_nothing(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    named = labels(program)
    return fitted(program, class_weight={int(c): 1.0 if c == 0 else 0.0 for c in np.unique(named)})


@operator("data", "loss_scale")
def tiny_weights(program: Program) -> Program:
    return fitted(program, sample_weight=np.full(len(program.data[0]), 1.0 / len(program.data[0]) ** 2))


# ---- the layers


@operator("layers", "missing_nonlinearity")
def linear_layers(program: Program) -> Program:
    return hidden(program, activation="linear")


@operator("layers", "vanishing_gradient", "missing_nonlinearity", "saturated_activation", "vanishing_activation")
def deep_sigmoid(program: Program) -> Program:
    width = next(layer.units for layer in program.layers if isinstance(layer, Dense))
    more = tuple(Dense(width, activation="sigmoid") for _ in range(8))
    at = next(i for i, layer in enumerate(program.layers) if isinstance(layer, Dense))
    return program.change(layers=(*program.layers[:at], *more, *program.layers[at:]))


@operator("layers", "saturated_activation", "poor_init")
def wide_start(program: Program) -> Program:
    wide = pynn.initializers.RandomNormal(stddev=3.0)
    return each(program, lambda layer, last: dense(layer, kernel_initializer=wide))


@operator("layers", "poor_init", "exploding_activation")
def thirty_times_the_start(program: Program) -> Program:
    def change(model: Any) -> None:
        model.parameters[...] *= 30

    return start(program, change)


@operator("layers", "poor_init", "vanishing_gradient", "vanishing_activation")
def tiny_start(program: Program) -> Program:
    tiny = pynn.initializers.RandomNormal(stddev=1e-5)
    return each(program, lambda layer, last: dense(layer, kernel_initializer=tiny))


@operator("layers", "symmetric_init", "zero_gradient", "poor_init")
def zero_start(program: Program) -> Program:
    return each(program, lambda layer, last: dense(layer, kernel_initializer="zeros"))


@operator("layers", "symmetric_init", "poor_init")
def equal_start(program: Program) -> Program:
    return each(program, lambda layer, last: dense(layer, kernel_initializer=pynn.initializers.Constant(0.1)))


@operator("layers", "dead_relu", "poor_init")
def negative_biases(program: Program) -> Program:
    return hidden(program, activation="relu", bias_initializer=pynn.initializers.Constant(-10.0))


@operator("layers", "underfitting")
def one_hidden_unit(program: Program) -> Program:
    return hidden(program, units=1)


# ---- the optimizer


@operator("optimizer", "learning_rate_too_high", "diverging_loss", "oscillating_loss")
def rate_times_1000(program: Program) -> Program:
    return rate(program, 1000.0)


@operator("optimizer", "learning_rate_too_high", "diverging_loss", "oscillating_loss", "dead_relu")
def rate_times_100(program: Program) -> Program:
    return rate(program, 100.0)


@operator("optimizer", "learning_rate_too_low")
def rate_by_100(program: Program) -> Program:
    return rate(program, 0.01)


@operator("optimizer", "learning_rate_too_low", "stalled_updates")
def rate_by_10000(program: Program) -> Program:
    return rate(program, 1e-4)


@operator("optimizer", "optimizer_epsilon", "learning_rate_too_low")
def large_epsilon(program: Program) -> Program | None:
    if not hasattr(program.optimizer, "epsilon"):
        return None
    return program.change(optimizer=replace(program.optimizer, epsilon=100.0))


@operator("optimizer", "learning_rate_too_low", "stalled_updates")
def clipped_to_nothing(program: Program) -> Program:
    plain = pynn.SGD(learning_rate=0.05, global_clipnorm=1e-4)
    return program.change(optimizer=plain)


@operator("optimizer", "oscillating_loss", "diverging_loss", "learning_rate_too_high")
def momentum_near_one(program: Program) -> Program:
    return program.change(optimizer=pynn.SGD(learning_rate=0.1, momentum=0.999))


@operator("optimizer", "learning_rate_too_low")
def plain_sgd(program: Program) -> Program:
    return program.change(optimizer=pynn.SGD(learning_rate=1e-4))


@operator("optimizer", "learning_rate_too_low", "optimizer_epsilon", "stalled_updates")
def adagrad_full(program: Program) -> Program:
    return program.change(optimizer=pynn.optimizers.Adagrad(learning_rate=1e-3, initial_accumulator_value=1e4))


# ---- the schedule


def scheduled(program: Program, schedule: Any) -> Program:
    return program.change(optimizer=replace(program.optimizer, learning_rate=schedule))


@operator("schedule", "schedule_mismatch", "learning_rate_too_low")
def ends_early(program: Program) -> Program:
    first = program.optimizer.learning_rate
    few = max(1, steps(program) // 100)
    return scheduled(program, pynn.schedules.ExponentialDecay(first, decay_steps=few, decay_rate=0.3))


@operator("schedule", "schedule_mismatch", "learning_rate_too_low")
def warm_up_without_end(program: Program) -> Program:
    long = 1000 * steps(program)
    return scheduled(
        program,
        pynn.schedules.PolynomialDecay(1e-9, decay_steps=long, end_learning_rate=program.optimizer.learning_rate),
    )


@operator("schedule", "schedule_mismatch", "learning_rate_too_low")
def cosine_over_one_epoch(program: Program) -> Program:
    few = max(1, steps(program) // program.fit["epochs"] // 4)
    return scheduled(program, pynn.schedules.CosineDecay(program.optimizer.learning_rate, decay_steps=few))


# ---- regularisation


@operator("regularisation", "over_regularised")
def heavy_l2(program: Program) -> Program:
    return each(program, lambda layer, last: dense(layer, kernel_regularizer=pynn.regularizers.L2(1.0)))


@operator("regularisation", "over_regularised")
def heavy_l1(program: Program) -> Program:
    return each(program, lambda layer, last: dense(layer, kernel_regularizer=pynn.regularizers.L1(0.1)))


@operator("regularisation", "over_regularised")
def heavy_decay(program: Program) -> Program:
    return program.change(optimizer=pynn.AdamW(learning_rate=3e-3, weight_decay=30.0))


@operator("regularisation", "dropout_too_high")
def dropout_everywhere(program: Program) -> Program | None:
    layers: list[Any] = []
    for layer in program.layers[:-1]:
        layers += [layer, Dropout(0.95)] if isinstance(layer, Dense) else [layer]
    return program.change(layers=(*layers, program.layers[-1]))


@operator("regularisation", "dropout_too_high")
def dropout_of_inputs(program: Program) -> Program:
    return program.change(layers=(Dropout(0.9), *program.layers))


@operator("regularisation", "over_regularised")
def tight_norms(program: Program) -> Program:
    tight = pynn.constraints.MaxNorm(0.01)
    return each(program, lambda layer, last: dense(layer, kernel_constraint=tight))


@operator("regularisation", "over_regularised", "dropout_too_high")
def loud_noise(program: Program) -> Program:
    at = next(i for i, layer in enumerate(program.layers) if isinstance(layer, Dense))
    return program.change(layers=(*program.layers[:at], pynn.GaussianNoise(20.0), *program.layers[at:]))


# ---- the loop


@operator("loop", "underfitting", "learning_rate_too_low")
def one_epoch(program: Program) -> Program:
    return fitted(program, epochs=1, batch_size=len(program.data[0]))


@operator("loop", "underfitting", "learning_rate_too_low")
def whole_batch(program: Program) -> Program:
    return fitted(program, batch_size=len(program.data[0]), epochs=max(2, program.fit["epochs"] // 5))


@operator("loop", "batch_too_small")
def normalized_batch_of_one(program: Program) -> Program:
    layers: list[Any] = []
    for layer in program.layers[:-1]:
        layers += [layer, pynn.BatchNormalization()] if isinstance(layer, Dense) else [layer]
    return fitted(program.change(layers=(*layers, program.layers[-1])), batch_size=1, epochs=2)


@operator("loop", "unordered_rows", "class_imbalance")
def only_the_first_rows(program: Program) -> Program | None:
    if program.task == "numbers":
        return None
    order = np.argsort(labels(program), kind="stable")[: len(program.data[0]) // 2]
    return program.change(data=(program.data[0][order], program.data[1][order], *program.data[2:]))


@operator("loop", "learning_rate_too_low", "schedule_mismatch", "stalled_updates")
def callback_that_lowers_the_rate(program: Program) -> Program | None:
    return fitted(program, callbacks=[pynn.LearningRateScheduler(lambda epoch, rate: max(rate * 0.05, 1e-12))])


# ---- halves, mutants


def halves() -> dict[str, tuple[set[str], set[str]]]:
    """Names of operators and of programs: to develop on, and to judge by."""
    random = np.random.default_rng(SEED)
    names = sorted(operator.name for operator in OPERATORS)
    develop = set(random.permutation(names)[: len(names) // 2].tolist())
    of_programs = sorted(program.name for program in programs())
    shown = set(random.permutation(of_programs)[: len(of_programs) // 2].tolist())
    return {"develop": (develop, shown), "judge": (set(names) - develop, set(of_programs) - shown)}


def mutants(part: str) -> Iterator[tuple[Operator, Program, Program]]:
    """(operator, healthy program, mutant) of a half."""
    operators, shown = halves()[part]
    for program in programs():
        for one in OPERATORS:
            if program.name in shown and one.name in operators and (changed := one.mutate(program)) is not None:
                yield one, program, changed


def trained_score(program: Program, seed: int) -> float:
    """The score after the script has run; a script that ends with an error knows nothing."""
    model = program.model(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(program.data[0], program.data[1], verbose=0, **program.fit)
        except pynn.PynnError:
            return program.nothing()
    return program.score(model)


def mean_score(program: Program) -> float:
    return float(np.mean([max(trained_score(program, seed), program.nothing() - 1) for seed in SEEDS]))


# ---- the run

MENDED = 0.95  # share of the healthy score that a repaired program reaches


def examined(program: Program) -> dict[str, Any]:
    """What `repair` says and reaches; its report is that of `diagnose`."""
    X, y, _, _ = program.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = pynn.repair(program.model(), X, y, **program.fit)
        except pynn.PynnError as error:
            found = error.report.findings if error.report else []
            return {"codes": [finding.code for finding in found] or [type(error).__name__], "mended": program.nothing()}
    told = [finding.code for finding in result.report.findings if finding.severity != "info"]
    return {"codes": told, "mended": program.score(result.model), "changes": [str(one) for one in result.changes]}


def tasks(part: str, wanted: set[str]) -> Iterator[tuple[Operator | None, Program, Program]]:
    """Every healthy program of a half, then every mutant."""
    shown = halves()[part][1]
    yield from ((None, program, program) for program in programs() if program.name in shown and not wanted)
    yield from (task for task in mutants(part) if not wanted or task[0].name in wanted)


@cache
def healthy_score(name: str) -> float:
    return mean_score(next(program for program in programs() if program.name == name))


def line_of(one: Operator | None, program: Program, changed: Program) -> dict[str, Any]:
    if one is None:
        return {"program": program.name, "operator": "none"} | examined(program)
    healthy, score = healthy_score(program.name), mean_score(changed)
    return {
        "program": program.name, "operator": one.name, "right": one.codes, "healthy": healthy,
        "nothing": program.nothing(), "score": score,
        "hurts": healthy - score >= HURTS * (healthy - program.nothing()),
    } | examined(changed)  # fmt: skip


def is_mended(line: dict[str, Any]) -> bool:
    known = line["healthy"] - line["nothing"]
    return bool(line["mended"] - line["nothing"] >= MENDED * known)


def summary(done: list[dict[str, Any]]) -> str:
    """The figures, and a row for each operator."""
    faults = [line for line in done if line.get("hurts")]
    controls = [line for line in done if line["operator"] != "none" and not line["hurts"]]
    healthy = [line for line in done if line["operator"] == "none"]
    unmendable = {"shuffled_labels", "shifted_labels", "noisy_labels", "one_class_only", "only_the_first_rows",
                  "constant_inputs", "judged_in_other_units", "rare_classes"}  # fmt: skip
    mendable = [line for line in faults if line["operator"] not in unmendable]
    right = [line for line in faults if line["codes"] and line["codes"][0] in line["right"]]
    three = [line for line in faults if set(line["codes"][:3]) & set(line["right"])]
    found = [line for line in faults if line["codes"]]
    silent = [line for line in faults if not line["codes"] and not is_mended(line)]
    mended = [line for line in mendable if is_mended(line)]
    share = lambda part, whole: f"{len(part)} of {len(whole)} ({len(part) / max(len(whole), 1):.0%})"  # noqa: E731
    counts = [Counter(line["operator"] for line in lines) for lines in (faults, found, right, mended)]
    table = [
        f"{name:36s} faults {count:2d}  found {counts[1][name]:2d}  right first {counts[2][name]:2d}  "
        f"mended {counts[3][name]:2d}"
        for name, count in sorted(counts[0].items())
    ]
    return "\n".join([
        *table,
        f"found {share(found, faults)}, right first {share(right, faults)}, in the first three {share(three, faults)}, "
        f"wrong and silent {share(silent, faults)}",
        f"mended {share(mended, mendable)}",
        f"told of harmless mutants {share([line for line in controls if line['codes']], controls)}",
        f"told of healthy programs {share([line for line in healthy if line['codes']], healthy)}",
    ])  # fmt: skip


def main(part: str = "develop", output: str = "", *wanted: str) -> None:
    path = Path(output or f"mutants-{part}.jsonl")
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        for task in islice(tasks(part, set(wanted)), len(done), None):
            done.append(line_of(*task))
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            print(*(done[-1].get(key) for key in ("operator", "program", "codes", "mended")), flush=True)
    print(summary(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
