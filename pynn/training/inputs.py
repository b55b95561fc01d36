"""What users pass as data: loaders, tables, files, iterables of batches and arrays, told apart and opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import arrays, checks
from ..data import DataLoader, Schema, Source, known
from ..data.sources import open_source
from ..data.tables import as_targets
from ..errors import ArgumentTypeError, ArgumentValueError, DtypeError, ShapeError
from ..network.passes import ArrayPasses, BatchPasses, LoaderPasses, Passes, is_batches
from ..network.predict import table_loader
from ..report.context import Context
from . import evaluate as evaluate_
from .evaluate import Checked, require_weight
from .learner import Learner

__all__ = [
    "batches_to_evaluate",
    "brings_its_own",
    "evaluate",
    "open_arrays",
    "open_data",
    "recognised",
    "refuse_beside",
    "rows_to_evaluate",
    "split",
    "table_loader",
    "triple",
]  # fmt: skip


def open_arrays(x: Any, y: Any, weights: Any) -> Source:
    """Open arrays in memory; the learner checks them against the network."""
    x = arrays.as_inputs(x, sequences=True)
    if y is None:
        raise ArgumentTypeError("expected y, the targets; received y=None")
    y = arrays.as_matrix(y, "y")
    if x.shape[0] != len(y):
        raise ShapeError(f"expected y with {x.shape[0]} rows, one for each row of X; received y with {len(y)} rows")
    if weights is not None:
        weights = arrays.as_weights(weights, x.shape[0], outputs=y.shape[1])
        require_weight(bool(weights.any()))
    return open_source(x, y, weights)


def open_data(
    learner: Learner,
    x: Any,
    y: Any,
    weights: Any,
    target: Any,
    categories: Iterable[str],
    exclude: Iterable[str],
) -> Source:
    """Open a table, or other data that are read where they lie, or arrays."""
    if target is not None:
        for name, given in (("y", y), ("sample_weight", None if isinstance(weights, str) else weights)):
            if given is not None:
                raise ArgumentTypeError(f"expected target or {name}; received both")
        return _open_table(learner, x, target, weights, categories, exclude)
    if not _is_source(x):
        schema = learner.known
        x, (y, classes) = known.inputs(x, schema), known.labels(y, learner.network.loss, schema)
        return known.learned(open_arrays(x, y, weights), x, classes, schema)
    if y is None and _is_path(x):
        raise ArgumentTypeError(f"expected target, the column of {os.fspath(x)!r} to predict, or y; received neither")
    return open_source(x, y, weights)


def _open_table(
    learner: Learner, x: Any, target: Any, weights: Any, categories: Iterable[str], exclude: Iterable[str]
) -> Source:
    seen = learner.known
    same = seen if seen is not None and seen.targets == as_targets(target) else None
    loader = DataLoader.from_table(
        x, target, sample_weight=weights, categories=categories, exclude=exclude, schema=same, dtype="float64",
        task="classification" if learner.loss.row["labels"] else None,
    )  # fmt: skip
    classes = loader.schema.classes if loader.schema else None
    if classes and len(classes) > 2 and not learner.loss.row["labels"]:
        raise DtypeError(
            f"expected a target of numbers with the loss {learner.loss.name!r}; received texts in column {target!r}, "
            f"such as {classes[0]!r}: softmax_cross_entropy learns classes"
        )
    return loader.source


def split(source: Source, share: Any, validation: Any) -> tuple[Source, Source | None]:
    """Split off the last rows for validation: ``round(rows * share)`` of them, as `train_test_split` does."""
    if share == 0 and type(share) in (int, float):
        return source, None
    share = checks.number("validation_split", share, 0, below=1)
    if not share:
        return source, None
    if validation is not None:
        raise ArgumentValueError("expected validation_data or validation_split; received both")
    rows = int(source.rows or 0)
    held = round(rows * share)
    if not 0 < held < rows:
        raise ArgumentValueError(
            f"expected validation_split to leave rows on both sides of {rows}; received validation_split={share!r}"
        )
    return source.split(rows - held)


def recognised(schema: Schema | None, x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return X with columns and cells as in training, and y with labels as in training."""
    return known.filled(known.inputs(x, schema), schema), known.encode(y, schema), weights


def triple(data: Any) -> tuple[Any, Any, Any]:
    """Return ``(X, y, sample_weight)`` of validation data."""
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ArgumentTypeError(
            f"expected validation_data as (X, y) or (X, y, sample_weight); received {type(data).__name__}"
        )
    return data[0], data[1], data[2] if len(data) == 3 else None


def rows_to_evaluate(
    learner: Learner,
    x: Any,
    y: Any = None,
    weights: Any = None,
    class_weight: Any = None,
    inputs: int | None = None,
    schema: Schema | None = None,
) -> Passes:
    """Return passes over checked rows of a loader or of arrays; those in memory are checked now."""
    if not isinstance(x, DataLoader):
        if class_weight is None:
            return ArrayPasses(*learner.check(x, y, weights, None, inputs))
        x = DataLoader(x, y, sample_weight=weights, class_weight=class_weight)
    schema = schema or learner.network.schema
    x = known.loaded(x, schema)
    if x.whole is None or not x.plain:
        return Checked(learner, LoaderPasses(x, epoch=0))
    source: Any = x.source
    rows = np.arange(source.first, source.first + source.rows) if source.first else None
    x, y, weights = x.whole
    return ArrayPasses(*learner.check(known.filled(x, schema), y, weights, rows, inputs))


def batches_to_evaluate(learner: Learner, batches: Any, class_weight: Any = None) -> Passes:
    """Return passes over the batches of any iterable."""
    return Checked(learner, BatchPasses(batches, labelled=True), class_weight)


def evaluate(learner: Learner, x: Any, y: Any, weights: Any, class_weight: Any, guarded: bool) -> dict[str, float]:
    """Return loss and metrics over all rows of data."""
    learner.network.core  # noqa: B018  refuses a network that is not built
    with Context(on_bad_rows=False):
        if y is None and (table := table_loader(x, learner.network.schema)) is not None:
            refuse_beside(x, "arrays", sample_weight=weights)
            table.weigh_classes(class_weight)
            found = rows_to_evaluate(learner, table)
        elif brings_its_own(x, y):
            refuse_beside(x, y=y, sample_weight=weights, class_weight=class_weight)
            loaded = isinstance(x, DataLoader)
            found = rows_to_evaluate(learner, x) if loaded else batches_to_evaluate(learner, x)
        else:
            schema = learner.network.schema
            x, y, weights = recognised(schema, x, y, weights)
            found = rows_to_evaluate(learner, x, y, weights, known.by_label(class_weight, schema))
        return evaluate_.evaluate(learner, found, guarded=guarded)


def brings_its_own(x: Any, y: Any) -> bool:
    """Whether `x` is a loader or an iterable of batches, with targets, weights and batch size of its own."""
    return isinstance(x, DataLoader) or (y is None and is_batches(x))


def refuse_beside(x: Any, rule: str = "arrays, files and tables", /, **given: Any) -> None:
    """Refuse arguments for what loaders, batches and tables bring themselves."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentTypeError(f"expected {name} only with {rule}; received {name} and X={type(x).__name__}")


def _is_path(x: Any) -> bool:
    return isinstance(x, (str, os.PathLike))


def _is_source(x: Any) -> bool:
    """Whether a loader should read it where it lies: paths, sparse matrices, data sets."""
    if isinstance(x, np.ndarray):
        return False
    is_array = hasattr(x, "__array__") or hasattr(x, "to_numpy") or isinstance(x, (list, tuple)) or arrays.is_sparse(x)
    return _is_path(x) or (hasattr(x, "__len__") and hasattr(x, "__getitem__") and not is_array)
