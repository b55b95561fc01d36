"""What a run has seen of its data, for the review at its end."""

from __future__ import annotations

from typing import Any

from ..data.schema import Schema
from ..diagnosis.seen import Seen, spread_out
from ..errors import PynnError
from ..network.passes import ArrayPasses, LoaderPasses, Part
from ..report.context import Context
from .batches import Batches, Loaded


def seen_by(batches: Batches, validation: Any) -> Seen | None:
    """Return what a run was trained and validated on; None where it took no step."""
    if not batches.current:
        return None
    data, loaded = batches.current[0], _loaded(batches)
    targets, weights = (data.y, data.weights) if loaded is not None and loaded.data is not None else (None, None)
    schema = _schema(loaded)
    held = _validation(validation)
    return Seen(
        spread_out(data),
        targets,
        weights,
        batches.batch_size if loaded is not None else None,
        loaded is not None and loaded.loader.ordered,
        {at: len(column.values) for at, column in enumerate(schema.columns) if column.values} if schema else None,
        None if held is None else spread_out(held),
        None if held is None else held.y,
        None if loaded is None else loaded.classes,
    )


def named_columns(batches: Batches) -> Context:
    """Return the names of the columns of X, where they come from a table."""
    schema = _schema(_loaded(batches))
    return Context(names=schema.names if schema else None)


def _loaded(batches: Any) -> Loaded | None:
    inner = getattr(batches, "batches", batches)  # of a limited number of steps
    return inner if isinstance(inner, Loaded) else None


def _schema(loaded: Loaded | None) -> Schema | None:
    return None if loaded is None else getattr(loaded.loader, "schema", None)


def _validation(validation: Any) -> Part | None:
    """Validation rows that cost nothing: arrays, or the first block of a loader; None where that block is at fault."""
    if isinstance(validation, ArrayPasses):
        return validation.whole
    if not isinstance(getattr(validation, "passes", None), LoaderPasses):
        return None
    try:
        return next(iter(validation), None)
    except PynnError:  # the one that ends the run
        return None
