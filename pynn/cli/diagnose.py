"""``pynn diagnose``: what a table, or a saved model with a table, says about why a network does not learn."""

from __future__ import annotations

import argparse
import os

from .. import checks
from ..data import DataLoader
from ..files.load import load
from ..layers import Dense, Normalization
from ..model import Sequential
from ..optimizers import Adam
from ..report import Report
from ..tools.diagnose import diagnose

HIDDEN = 64


def run(options: argparse.Namespace) -> int:
    """Print the report; the exit status is 1 when something was found, for CI."""
    if options.report is not None:
        checks.folder("--report", os.fspath(options.report))
    report = examined(options)
    print(report)
    if options.report is not None:
        report.save(options.report, title=f"Diagnosis of {options.table}, target {options.target}")
    return int(any(finding.severity != "info" for finding in report.findings))


def examined(options: argparse.Namespace) -> Report:
    """Diagnose the saved model, or a network as is usual for the table's target."""
    if options.model is not None:
        model = load(options.model)
    else:
        model = usual(DataLoader.from_table(options.table, options.target, dtype="float64"))
    return diagnose(
        model, options.table, target=options.target, epochs=options.epochs, batch_size=options.batch_size,
        preflight=options.preflight, budget=options.budget,
    )  # fmt: skip


def usual(loader: DataLoader) -> Sequential:
    """Return a small network for the target of a table."""
    classes = loader.schema.classes if loader.schema is not None else None
    outputs = len(classes) if classes else 1
    model = Sequential([Normalization(missing="mean"), Dense(HIDDEN, activation="relu"), Dense(outputs)], seed=0)
    if classes:
        model.compile("softmax_cross_entropy", Adam(learning_rate=2e-3), ["accuracy"])
    else:
        model.compile("mse", Adam(learning_rate=2e-3), ["r2"], target_scaling="standard")
    return model
