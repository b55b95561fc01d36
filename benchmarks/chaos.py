"""Chaos: seeded training runs with NaN, infinity, huge and tiny numbers where they harm, and what must still hold.

    python benchmarks/chaos.py [scenarios] [first seed]

After every step all parameters are finite (policy "off" aside), a refused step has changed not a bit, the guard's
policy was obeyed, its ledger says so, and a fault put into a known cell is named exactly. Prints what was tried;
exits 1 after a breach.
"""

# ruff: noqa: PT017, PT018  (assertions are what this script is made of)

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import Any

import numpy as np

import pynn
from pynn import _core

PLACES = ("nothing", "X", "y", "sample_weight", "kernel", "bias", "state")
VALUES = (float("nan"), float("inf"), float("-inf"), 1e30, 1e38, 1e-40)
POLICIES = ("raise", "skip", "rollback", "off")


def between() -> list[Any]:
    """Every kind of layer that can be made without arguments and stands between dense ones."""
    found = []
    for kind in pynn.layers.Layer.__subclasses__():
        if kind is pynn.Add:  # stands at the end of a block: its input has to be as wide
            continue
        try:
            layer = kind()
            pynn.Sequential([pynn.Dense(4), layer, pynn.Dense(4)]).build(4).predict(np.zeros((1, 4)))
        except (TypeError, pynn.PynnError):
            continue
        found.append(layer)
    return found


BETWEEN = between()


class Scenario:
    """A model, data and one number out of place, all by the seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = rng = np.random.default_rng(seed)
        self.dtype = str(rng.choice(["float32", "float64"]))
        self.activation = str(rng.choice([row["name"] for row in _core.table("activation")]))
        self.loss = str(rng.choice([row["name"] for row in _core.table("loss")]))
        self.optimizer = str(rng.choice([row["name"] for row in _core.table("optimizer")]))
        self.policy = POLICIES[seed % 4]
        self.place = str(rng.choice(PLACES))
        self.value = float(rng.choice(VALUES))
        self.rate = float(10 ** rng.uniform(-3, 6))
        self.batch = int(rng.choice([1, 2, 7, 32, 100, 512]))
        self.rows = self.batch * int(rng.integers(1, 5)) + int(rng.integers(0, self.batch))
        self.inputs = int(rng.choice([1, 3, 20, 100]))
        columns = int(rng.choice([1, 2, 10]))
        self.outputs = columns * (2 if pynn.losses.get(self.loss).row["pairs"] else 1)
        self.widths = [int(w) for w in rng.choice([1, 2, 16, 100, 1000], size=int(rng.integers(0, 3)))]
        self.between = BETWEEN[int(rng.integers(len(BETWEEN)))] if rng.random() < 0.4 else None
        self.loader = bool(rng.random() < 0.5)  # fit sees a shuffled loader: rows must still be the data's
        self.X = rng.normal(size=(self.rows, self.inputs))
        self.y: Any = rng.uniform(0.1, 1, size=(self.rows, columns))
        self.y /= self.y.sum(axis=1, keepdims=True)
        self.weights = rng.uniform(0.5, 2, size=self.rows)
        layers: list[Any] = [pynn.Dense(w, activation=self.activation) for w in self.widths]
        if layers and self.between:
            layers.insert(int(rng.integers(1, len(layers) + 1)), self.between)
        layers += [pynn.Dense(self.outputs)]
        self.model = pynn.Sequential(layers, seed=seed, dtype=self.dtype)
        self.model.compile(self.loss, pynn.optimizers.get({"name": self.optimizer, "learning_rate": self.rate}))
        self.model.build(self.inputs)
        self.cell = self.inject()

    def inject(self) -> tuple[int, ...]:
        """Puts the number in its place; returns where: (row, column), or (layer, row of the kernel, unit)."""
        pick = self.rng.integers
        if self.place in ("X", "y"):
            x = self.X if self.place == "X" else self.y
            cell = (int(pick(len(x))), int(pick(x.shape[1])))
            x[cell] = self.value
            return cell
        if self.place == "sample_weight":
            row = int(pick(self.rows))
            self.weights[row] = abs(self.value)
            return (row,)
        if self.place in ("kernel", "bias"):
            layer = int(self.rng.choice([part[1] for part in self.model.core.tensors if part[0] == "kernel"]))
            tensor = getattr(self.model.layers[layer], self.place)
            where = tuple(int(pick(n)) for n in tensor.shape)
            with np.errstate(over="ignore"):
                tensor[where] = self.value
            return (layer, *where)
        if self.place == "state":
            slots = self.model._learner.trainer_for(self.batch).slots
            if slots:
                with np.errstate(over="ignore"):
                    np.asarray(slots[0])[0] = self.value
        return ()

    def describe(self) -> str:
        shape = "-".join(map(str, [self.inputs, *self.widths, self.outputs]))
        return (
            f"seed {self.seed}: {shape} {self.activation} {self.loss} {self.optimizer}({self.rate:.3g}) {self.dtype} "
            f"{self.between or ''} "
            f"{self.rows} rows by {self.batch}, {self.value} in {self.place} {self.cell}, {self.policy}"
        )

    # ---- what must hold

    def check(self) -> str:
        """Runs it; an AssertionError is a breach. Returns what happened in a word."""
        finite_before = bool(np.isfinite(self.model.parameters).all())
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", pynn.TrainingWarning)
            if self.policy == "raise":
                self.check_steps(finite_before)
            return self.check_fit(finite_before)

    def check_steps(self, finite_before: bool) -> None:
        model = self.model
        for first in range(0, self.rows, self.batch):
            rows = np.arange(first, min(first + self.batch, self.rows))
            before = model.parameters.copy()
            try:
                step = model.train_step(self.X[rows], self.y[rows], self.weights[rows])
            except pynn.LabelError:
                assert not np.isfinite(self.y[rows]).all() or abs(self.value) > 1
                continue
            except pynn.NumericalError as error:  # weights are looked at before the step
                assert self.place == "sample_weight" and error.report, error
                continue
            if finite_before:
                assert np.isfinite(model.parameters).all(), "a parameter is not finite after a step"
            if step.applied:
                assert np.isfinite(step.loss) and np.isfinite(step.grad_norm), "a loss is not finite in an applied step"
                continue
            assert before.tobytes() == model.parameters.tobytes(), "a refused step changed a parameter"
            assert step.findings, "a refused step has no finding"
            with np.errstate(over="ignore"):
                stored = np.dtype(self.dtype).type(self.value)
            if not np.isfinite(stored):
                self.check_blame(step.findings[0], rows)
            elif abs(self.value) >= 1e30 and self.place in ("kernel", "bias"):
                self.check_blame_of_huge(step.findings[0])

    def check_blame(self, finding: Any, rows: np.ndarray) -> None:
        cell = self.cell
        if self.place in ("X", "y", "sample_weight") and cell[0] in rows:
            assert finding.rows == [int(cell[0] - rows[0])], f"rows {finding.rows}"
            assert self.place == "sample_weight" or finding.columns == [cell[1]], f"columns {finding.columns}"
            wanted = "nonfinite_target" if self.place == "y" else "nonfinite_input"
            assert finding.code == wanted, finding.code
        if self.place in ("kernel", "bias"):
            assert (finding.layer, finding.columns) == (cell[0], [cell[-1]]), f"{finding.layer}, {finding.columns}"
            assert finding.evidence["operation"] == "parameter"

        if self.place == "state" and self.model._learner.trainer_for(self.batch).slots:
            assert finding.evidence["operation"] == "optimizer_state", finding.evidence["operation"]
            assert (finding.layer, finding.columns) == (self.model.core.tensors[0][1], [0])

    def check_blame_of_huge(self, finding: Any) -> None:
        """What a huge weight did is at its layer or above it, on the way up, and at its own unit there."""
        layer, unit = self.cell[0], self.cell[-1]
        if finding.evidence["operation"] not in ("gemm", "bias", "activation") or finding.step > 0:
            return
        assert finding.layer >= layer, f"layer {finding.layer} of a weight in layer {layer}"
        assert finding.layer > layer or unit in finding.columns or finding.evidence["n_columns"] > 20

    def check_fit(self, finite_before: bool) -> str:
        model, raised = self.model, None
        try:
            history = model.fit(
                *self.data(),
                epochs=3,
                guard=self.policy,
                verbose=0,
                **({} if self.loader else {"sample_weight": self.weights, "batch_size": self.batch}),
            )
        except pynn.LabelError:
            assert self.place == "y"
            return "refused: y is no probability, or no count"
        except pynn.NumericalError as error:
            if self.place == "sample_weight" and not np.isfinite(self.value):
                assert error.report
                return "refused: a sample weight"
            history, raised = model.history, error
            assert error.report and error.report.findings and str(error.report), "an error has no report"
        finite = bool(np.isfinite(model.parameters).all())
        if self.policy == "off":
            assert raised is None and not history.ledger, "policy off raised or did something"
            return "off: finite" if finite else "off: not finite"
        assert finite or not finite_before, "a parameter is not finite after fit"
        kinds = Counter(entry["kind"] for entry in history.ledger) if history is not None else Counter()
        if self.policy == "raise":
            assert set(kinds) <= {"refused", "diverged"} and (raised is not None or not kinds)
        if self.policy == "skip":
            assert set(kinds) <= {"refused", "diverged", "skipped"} and kinds["refused"] == (raised is not None)
            assert raised is None or kinds["diverged"] or kinds["skipped"] >= 2
        if self.policy == "rollback":
            assert kinds["rolled_back"] <= pynn.Guard().max_rollbacks
            assert not kinds["rolled_back"] or model.learning_rate < self.rate, "a rollback left the learning rate"
        assert raised is not None or not kinds or history.report.findings, "something was done silently"
        if history is not None:
            self.check_rows(history, raised)
        if finite and np.isfinite(self.X).all():
            self.check_predictions()
        return f"{self.policy}: " + ("raised" if raised is not None else "+".join(sorted(kinds)) or "nothing to do")

    def data(self) -> tuple[Any, ...]:
        if not self.loader:
            return self.X, self.y
        loader = pynn.DataLoader(
            self.X, self.y, sample_weight=self.weights, batch_size=self.batch, shuffle=True, seed=self.seed
        )
        return (loader,)

    def check_rows(self, history: Any, raised: Any) -> None:
        """Rows in the ledger and in the report are those of the data."""
        if self.place not in ("X", "y") or np.isfinite(np.dtype(self.dtype).type(self.value)):
            return
        named = [row for entry in history.ledger if entry["operation"] in ("input", "target") for row in [entry["row"]]]
        if raised is not None and raised.report.findings[0].code in ("nonfinite_input", "nonfinite_target"):
            named += raised.report.findings[0].rows
        assert set(named) <= {self.cell[0]}, f"rows {named}"

    def check_predictions(self) -> None:
        """Finite rows give finite predictions, or an error that names a row which does not."""
        model = self.model
        free = np.isfinite(model.predict(self.X, guard="off")).all(axis=1)
        try:
            assert np.isfinite(model.predict(self.X)).all(), "a prediction is not finite, silently"
        except pynn.NumericalError as error:
            finding = error.report.findings[0]
            assert finding.layer is not None and len(finding.rows) == len(finding.columns) == 1, "not located"
            alone = model.predict(self.X[finding.rows], guard="off")
            assert free.all() or not np.isfinite(alone).all() or finding.evidence["operation"] == "gemm", "wrong row"


def main(count: int = 1000, first: int = 0) -> int:
    seen: Counter[str] = Counter()
    breaches = 0
    for seed in range(first, first + count):
        scenario = Scenario(seed)
        try:
            seen[scenario.check()] += 1
        except Exception as error:
            breaches += 1
            print(f"{type(error).__name__}: {error}\n  {scenario.describe()}", flush=True)
    for outcome, times in sorted(seen.items()):
        print(f"{times:6}  {outcome}")
    print(f"{count} scenarios, {breaches} breaches")
    return breaches != 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
