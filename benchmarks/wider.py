"""More mutants: operators and programs written after the rules, crossed with those that mutants.py judges by.

    python benchmarks/wider.py [OUTPUT [SECONDS]]
    python benchmarks/wider.py count

The mutants come in an order drawn by a seed, so that any part of them is a sample. A line a mutant goes to OUTPUT; a
run that is started again leaves out what is there. No rule was changed after one of these was run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import sklearn.datasets as packaged
from mutants import OPERATORS as OLD
from mutants import Operator, each, fitted, halves, hidden, labels, line_of, operator, relabel, rng, summary, with_data
from programs import Program, digits, programs, relu, sklearn_set, split

import pynn
from pynn import Dense, Normalization

KNOWN = len(OLD)  # operators that mutants.py had before these

# ---- operators: the task and the data


@operator("task", "output_range_mismatch", "loss_mismatch")
def exponential_on_numbers(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    return each(program, lambda layer, last: mutants.dense(layer, activation="exponential") if last else layer)


@operator("task", "output_range_mismatch", "loss_mismatch")
def softplus_on_numbers(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    return each(program, lambda layer, last: mutants.dense(layer, activation="softplus") if last else layer)


@operator("data", "label_noise")
def labels_of_half_the_classes_exchanged(program: Program) -> Program | None:
    """A third of the rows have the label of the next class."""
    if program.task == "numbers":
        return None
    named = labels(program).copy()
    at = rng(program).random(len(named)) < 0.35
    named[at] = (named[at] + 1) % (named.max() + 1)
    return relabel(program, named)


@operator("data", "unscaled_target")
def tiny_targets(program: Program) -> Program | None:
    if program.task != "numbers":
        return None
    X, y, Xt, yt = program.data
    return program.change(data=(X, 1e-6 * y, Xt, 1e-6 * yt), target_scaling=None)


@operator("data", "unscaled_input")
def inputs_as_bytes(program: Program) -> Program:
    bare = mutants.without(program, Normalization) or program
    return with_data(bare, X=255.0 * bare.data[0], judged=255.0 * bare.data[2])


@operator("data", "unscaled_input", "outlier")
def a_loud_column(program: Program) -> Program:
    """One more column, of noise a million times as large."""
    bare, random = mutants.without(program, Normalization) or program, rng(program)
    X, y, Xt, yt = bare.data
    loud = [np.column_stack([part, 1e6 * random.normal(size=len(part))]) for part in (X, Xt)]
    return bare.change(data=(loud[0], y, loud[1], yt))


@operator("data", "missing_marker", "outlier")
def nines_in_a_column(program: Program) -> Program:
    X, random = np.array(program.data[0], np.float64), rng(program)
    X[random.random(len(X)) < 0.3, int(X.std(axis=0).argmax())] = 1e6 - 1
    return with_data(program, X=X)


@operator("data", "labels_independent_of_inputs")
def rows_of_X_shuffled(program: Program) -> Program:
    return with_data(program, X=rng(program).permutation(program.data[0]))


@operator("data", "loss_scale", "class_imbalance")
def most_rows_weigh_nothing(program: Program) -> Program:
    weights = np.where(rng(program).random(len(program.data[0])) < 0.98, 0.0, 1.0)
    weights[:2] = 1.0
    return fitted(program, sample_weight=weights)


# ---- layers


@operator("layers", "vanishing_gradient", "exploding_gradient", "dead_relu")
def forty_layers(program: Program) -> Program:
    at = next(i for i, layer in enumerate(program.layers) if isinstance(layer, Dense))
    return program.change(layers=(*program.layers[:at], *relu(*[16] * 40), *program.layers[at:]))


@operator("layers", "underfitting")
def a_bottleneck(program: Program) -> Program:
    at = max(i for i, layer in enumerate(program.layers) if isinstance(layer, Dense))
    return program.change(layers=(*program.layers[:at], Dense(1, activation="relu"), *program.layers[at:]))


@operator("layers", "poor_init", "saturated_activation", "dead_relu")
def far_biases(program: Program) -> Program:
    far = pynn.initializers.Constant(50.0)
    return hidden(program, activation="tanh", bias_initializer=far)


@operator("layers", "poor_init", "vanishing_activation", "vanishing_gradient")
def a_thousandth_of_the_start(program: Program) -> Program:
    def change(model: Any) -> None:
        model.parameters[...] *= 1e-3

    return mutants.start(program, change)


# ---- optimizer, schedule, regularisation, loop


@operator("optimizer", "learning_rate_too_high", "diverging_loss", "oscillating_loss")
def rmsprop_of_one(program: Program) -> Program:
    return program.change(optimizer=pynn.RMSprop(learning_rate=1.0))


@operator("optimizer", "oscillating_loss", "learning_rate_too_high", "learning_rate_too_low")
def beta_near_one(program: Program) -> Program:
    return program.change(optimizer=pynn.Adam(learning_rate=5e-3, beta_1=0.9999))


@operator("optimizer", "learning_rate_too_high", "diverging_loss", "oscillating_loss")
def rate_times_30(program: Program) -> Program:
    return mutants.rate(program, 30.0)


@operator("optimizer", "learning_rate_too_low")
def rate_by_30(program: Program) -> Program:
    return mutants.rate(program, 1 / 30)


@operator("optimizer", "learning_rate_too_low", "optimizer_epsilon")
def epsilon_of_one(program: Program) -> Program | None:
    if not hasattr(program.optimizer, "epsilon"):
        return None
    return program.change(optimizer=replace(program.optimizer, epsilon=1.0))


@operator("schedule", "schedule_mismatch", "learning_rate_too_low")
def halved_each_step(program: Program) -> Program:
    rate = float(program.optimizer.learning_rate)
    return mutants.scheduled(program, pynn.schedules.ExponentialDecay(rate, decay_steps=1, decay_rate=0.5))


@operator("schedule", "schedule_mismatch", "learning_rate_too_low")
def no_patience(program: Program) -> Program:
    never = pynn.ReduceLROnPlateau(monitor="loss", patience=0, factor=0.01, min_delta=1e6)
    return fitted(program, callbacks=[never])


@operator("regularisation", "over_regularised", "dropout_too_high")
def drowned(program: Program) -> Program:
    return program.change(layers=(pynn.GaussianNoise(20.0), *program.layers))


@operator("regularisation", "over_regularised")
def l2_of_the_last_layer(program: Program) -> Program:
    l2 = pynn.regularizers.L2(5.0)
    return each(program, lambda layer, last: replace(layer, kernel_regularizer=l2) if last else layer)


@operator("loop", "underfitting", "schedule_mismatch", "learning_rate_too_low")
def stopped_at_once(program: Program) -> Program:
    return fitted(program, callbacks=[pynn.EarlyStopping(monitor="loss", patience=1, min_delta=1e6)])


# ---- programs


def fresh() -> list[Program]:
    """Healthy programs beside those of programs.py."""
    adam, sgd = pynn.Adam, pynn.SGD
    rings = split(*packaged.make_circles(1000, noise=0.08, factor=0.5, random_state=3))
    made = split(*packaged.make_classification(1200, 12, n_informative=8, n_classes=3, random_state=4))
    hastie = packaged.make_hastie_10_2(2000, random_state=5)
    signs = split(hastie[0], (hastie[1] > 0).astype(int))
    circuit = split(*packaged.make_friedman2(1200, noise=20.0, random_state=6))
    flat = split(*packaged.make_regression(900, 10, n_informative=6, noise=5.0, random_state=7))
    N = Normalization
    return [
        Program("rings", rings, (*relu(32), Dense(2)), "softmax_cross_entropy", adam(learning_rate=0.01), "classes",
                {"epochs": 25, "batch_size": 32}),
        Program("made", made, (N(), *relu(64), Dense(3)), "softmax_cross_entropy", adam(learning_rate=3e-3), "classes",
                {"epochs": 30, "batch_size": 32}),
        Program("signs", signs, (*relu(64), Dense(1, activation="sigmoid")), "binary_crossentropy",
                adam(learning_rate=5e-3), "yes_no", {"epochs": 25, "batch_size": 32}),
        Program("circuit", circuit, (N(), *relu(48), Dense(1)), "mse", adam(learning_rate=5e-3), "numbers",
                {"epochs": 40, "batch_size": 32}, target_scaling="standard"),
        Program("flat", flat, (N(), *relu(32), Dense(1)), "mse", pynn.AdamW(learning_rate=5e-3), "numbers",
                {"epochs": 60, "batch_size": 32}, target_scaling="standard"),
        Program("wine-sgd", sklearn_set("wine"), (N(), Dense(16, activation="tanh"), Dense(3)),
                "softmax_cross_entropy", sgd(learning_rate=0.05, momentum=0.9), "classes",
                {"epochs": 40, "batch_size": 16}),
        Program("digits-rmsprop", digits(), (*relu(64), Dense(10)), "softmax_cross_entropy",
                pynn.RMSprop(learning_rate=1e-3), "classes", {"epochs": 8, "batch_size": 32}),
    ]  # fmt: skip


# ---- the run


def tasks() -> Iterator[tuple[Operator | None, Program, Program]]:
    """The new healthy programs, then the mutants that neither rules nor mutants.py have seen, in a drawn order."""
    judged, shown = halves_before()
    found: list[tuple[Operator | None, Program, Program]] = []
    for program in [*fresh(), *(one for one in programs() if one.name in shown)]:
        for at, one in enumerate(mutants.OPERATORS):
            seen = at < KNOWN and (one.name not in judged or program.name in shown)
            if not seen and (changed := one.mutate(program)) is not None:
                found.append((one, program, changed))
    order = np.random.default_rng(mutants.SEED).permutation(len(found))
    yield from ((None, program, program) for program in fresh())
    yield from (found[i] for i in order)


def halves_before() -> tuple[set[str], set[str]]:
    """The judging half of mutants.py, as drawn without the operators of this file."""
    every = list(mutants.OPERATORS)
    mutants.OPERATORS[:] = every[:KNOWN]
    try:
        return halves()["judge"]
    finally:
        mutants.OPERATORS[:] = every


def main(output: str = "wider.jsonl", seconds: str = "inf") -> None:
    if output == "count":
        print(sum(one is not None for one, _, _ in tasks()), "mutants")
        return
    path, end = Path(output), time.monotonic() + float(seconds)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    over = {(line["operator"], line["program"]) for line in done}
    mutants.programs = lambda: [*programs(), *fresh()]  # where healthy scores are looked up
    with path.open("a") as file:
        for one, program, changed in tasks():
            if time.monotonic() > end:
                break
            if (one.name if one else "none", program.name) in over:
                continue
            done.append(line_of(one, program, changed))
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            print(*(done[-1].get(key) for key in ("operator", "program", "codes", "mended")), flush=True)
    print(summary(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
