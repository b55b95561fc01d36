"""``pynn predict``: predictions of a saved model for the rows of a table, larger than memory if need be."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..data import DataLoader
from ..data.tables import open_table
from ..errors import ArgumentValueError
from ..files.load import load
from ..model import Sequential
from ..network.predict import labels_of, predict_blocks, table_loader
from ..report.texts import quoted
from .shown import Rows, warnings_as_lines


def run(options: argparse.Namespace) -> int:
    """Write a row of predictions for each row of the table."""
    with warnings_as_lines():
        model = load(options.model)
        loader = _loader(model, options)
        _tell_unused(model, options.table)
        with _writer(options.output) as write:
            rows = _predict(model, loader, options.probabilities, write)
    if options.output is not None:
        print(f"{rows:,} predictions in {options.output}")
    return 0


def _loader(model: Sequential, options: argparse.Namespace) -> DataLoader:
    network, schema = model._network, model.schema
    loader = table_loader(options.table, schema, target=False)
    if loader is None:
        raise ArgumentValueError(
            f"expected a model that was trained on a table, whose columns have names; received {options.model!r}, "
            "trained on an array: use model.predict(X) in Python"
        )
    if options.probabilities and (network.loss is None or network.loss.row["link"] not in ("softmax", "sigmoid")):
        raise ArgumentValueError("expected --probabilities for a model of classes; received a model of numbers")
    return loader


def _tell_unused(model: Sequential, table: str) -> None:
    """Name the columns that the model does not take."""
    assert model.schema is not None
    known = {*model.schema.names, *model.schema.targets, model.schema.weight}
    unused = [name for name in open_table(table).columns if name not in known]
    if unused:
        print(f"pynn: not used, as the model was not trained on them: {quoted(unused)}", file=sys.stderr)


def _predict(model: Sequential, loader: DataLoader, probabilities: bool, write: Any) -> int:
    network, shown, rows = model._network, Rows(loader.source.rows), 0
    classes = network.loss is not None and network.loss.row["link"] in ("softmax", "sigmoid")
    for first, block in predict_blocks(network, loader, False, True):
        columns = _named(model, labels_of(network, block)) if classes else _named(model, block)
        write(columns | (_probabilities(model, block) if probabilities else {}))
        rows = first + len(block)
        shown.done(rows)
    shown.close()
    return rows


def _named(model: Sequential, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of predictions by the names of the targets."""
    values = values.reshape(len(values), -1)
    names = model.schema.targets if model.schema is not None else ()
    if len(names) != values.shape[1]:
        names = tuple(f"prediction_{i}" if values.shape[1] > 1 else "prediction" for i in range(values.shape[1]))
    return {name: values[:, i] for i, name in enumerate(names)}


def _probabilities(model: Sequential, block: np.ndarray) -> dict[str, np.ndarray]:
    """Return a column for each class; the one output of a sigmoid is the second class's."""
    classes = model.schema.classes if model.schema is not None else None
    if classes and len(classes) == 2 and block.shape[1] == 1:
        block = np.concatenate([1 - block, block], axis=1)
    names = classes if classes and len(classes) == block.shape[1] else range(block.shape[1])
    return {f"probability_{name}": block[:, i] for i, name in enumerate(names)}


# ---- output


@contextmanager
def _writer(output: Path | None) -> Iterator[Any]:
    """Yield a function that writes columns to stdout or to a file, which appears when it is complete."""
    if output is None:
        yield _CsvWriter(sys.stdout)
        return
    checks.folder("--output", os.fspath(output))
    partial = output.with_name(output.name + ".partial")
    try:
        if output.suffix.lower() in (".parquet", ".pq"):
            writer = _ParquetWriter(partial)
            yield writer
            writer.close()
        else:
            with open(partial, "w", newline="", encoding="utf-8") as file:
                yield _CsvWriter(file)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


class _CsvWriter:
    """Writes columns as lines, their names first."""

    def __init__(self, file: Any) -> None:
        self._csv, self._header = csv.writer(file, lineterminator="\n"), False

    def __call__(self, columns: dict[str, np.ndarray]) -> None:
        if not self._header:
            self._csv.writerow(columns)
            self._header = True
        self._csv.writerows(zip(*(values.astype(str).tolist() for values in columns.values()), strict=True))


class _ParquetWriter:
    """Writes columns as row groups."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __call__(self, columns: dict[str, np.ndarray]) -> None:
        pa = checks.package("pyarrow", "data", "to write Parquet files")
        table = pa.table({name: pa.array(values.tolist() if values.dtype.kind in "OU" else values)
                          for name, values in columns.items()})  # fmt: skip
        if self._writer is None:
            parquet = checks.package("pyarrow.parquet", "data", "to write Parquet files")
            self._writer = parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()
