"""``pynn train``: a model file from a table, in one line."""

from __future__ import annotations

import argparse
import os

from .. import checks
from ..data import DataLoader
from ..tools.tables import TrainedTable, train_table
from .shown import warnings_as_lines


def run(options: argparse.Namespace) -> int:
    """Train, tell how good the model is, and write it."""
    checks.folder("--output", os.fspath(options.output))
    if options.report is not None:
        checks.folder("--report", os.fspath(options.report))
    with warnings_as_lines():
        trained = train_table(
            options.table, options.target, validation=options.valid, preset=options.preset, task=options.task,
            categories=options.categories, exclude=options.exclude, epochs=options.epochs, seed=options.seed,
            verbose="auto" if options.verbose is None else options.verbose, tell=_tell_columns,
        )  # fmt: skip
    trained.model.save(options.output)
    _tell_scores(trained)
    if any(finding.severity != "info" for finding in trained.report.findings):
        print(f"\n{trained.report}")
    if options.report is not None:
        trained.report.save(options.report, title=f"Training on {options.table}, target {options.target}")
    size = os.path.getsize(options.output)
    print(
        f"\nWritten: {options.output} ({size:,} bytes). It holds the columns, their codes and fills, and the classes:"
    )
    print(f"    pynn predict {options.output} new.csv --output predictions.csv")
    return 0


def _tell_columns(loader: DataLoader) -> None:
    schema = loader.source.schema
    target, classes = schema.targets[0], schema.classes
    what = "a number" if not classes else f"{len(classes)} classes: " + ", ".join(map(str, classes[:8]))
    if classes and not isinstance(classes[0], str):
        what += " (--task regression takes them as numbers)"
    texts = len(schema.categories)
    columns = f"{len(schema.numbers)} numbers and {texts} {'category' if texts == 1 else 'categories'}"
    print(f"{loader.source.rows:,} rows of {columns}; target {target!r}, {what}", flush=True)


def _tell_scores(trained: TrainedTable) -> None:
    if trained.without_target:
        print(f"left out: {trained.without_target:,} rows without a target")
    if not trained.held_out:
        place = f"{trained.rows:,} rows trained on (too few to hold some out)"
    else:
        place = f"{trained.held_out:,} rows held out" + ("" if trained.whole else ", the last of the table")
        print(f"trained on {trained.rows:,} rows; kept epoch {trained.epoch}, the best on the rows held out")
    if trained.model.schema and trained.model.schema.classes:
        print(f"{place}: accuracy {100 * trained.scores['accuracy']:.2f} %, log loss {trained.scores['loss']:.4f} "
              f"(always the most frequent class: {100 * trained.baseline:.2f} %)")  # fmt: skip
    else:
        print(f"{place}: RMSE {trained.scores['rmse']:.5g}, R2 {trained.scores['r2']:.4f} "
              f"(always the mean: RMSE {trained.baseline:.5g})")  # fmt: skip
