"""What a model knows of its data from training, applied to data that come later.

Columns are taken by name, labels coded by class, bad cells filled in with the values of the rows trained on; what does
not go with the data trained on is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import arrays
from ..errors import ArgumentValueError, DtypeError, LabelError
from ..report.advice import Advice
from ..report.finding import Finding, Report
from ..report.texts import quoted
from . import spelling
from .bad import bad_cells, fill
from .frame_table import FrameTable
from .loader import DataLoader
from .schema import Cells, Column, Schema, code_labels, is_frame, names_of_frame, schema_of_frame
from .schema import column as column_
from .sources import Source
from .tables import table_source

__all__ = [
    "by_label", "encode", "filled", "inputs", "labels", "learned", "loaded", "merge", "require_units",
]  # fmt: skip


def inputs(x: Any, schema: Schema | None) -> Any:
    """Return X with its columns as trained on: those of a frame by their names, texts as codes; other data as they are.

    Raises
    ------
    ArgumentValueError
        A frame without columns that were trained on; the message names them.
    """
    if schema is None or not schema.names or not is_frame(x):
        return x
    if schema.reads_tables:
        source = table_source(FrameTable(x), schema.without_targets(), "float64")
        return source.gather(np.arange(source.rows or 0)).x
    names = names_of_frame(x)
    if names is None or names == schema.names:
        return x
    missing = [name for name in schema.names if name not in names]
    if missing:
        others = [name for name in names if name not in schema.names]
        has = f", but with {quoted(others)}" if others else ""
        raise ArgumentValueError(
            f"expected the columns {quoted(schema.names)}, as in training; received a {type(x).__name__} without "
            f"{quoted(missing)}{has}. Rename the columns as they were, or pass an array, whose columns are taken in "
            "their order"
        )
    return x.select(schema.names) if hasattr(type(x), "select") else x[schema.names]


def filled(x: Any, schema: Schema | None) -> Any:
    """Return rows of X with bad cells filled in as in training; the same object where there are none."""
    if schema is None or schema.fill is None or arrays.is_sparse(x):
        return x
    x = arrays.as_matrix(x)
    cells = bad_cells(x)
    if not len(cells) or np.shape(x)[1] != len(schema.fill):
        return x
    return fill(np.asarray(x, np.float64), cells, np.asarray(schema.fill))


def loaded(loader: DataLoader, schema: Schema | None) -> DataLoader:
    """Return a loader whose rows are treated as those trained on.

    Raises
    ------
    ArgumentValueError
        Its columns have other names or another order, or its categories or classes other codes.
    """
    own = loader.schema
    if schema is None or own is None:
        return loader
    advice = "pass schema=model.schema to DataLoader.from_table" if own.reads_tables else "frame[model.schema.names]"
    if schema.names and own.names and schema.names != own.names:
        raise ArgumentValueError(
            f"expected a loader of the columns {quoted(schema.names)} in this order, as in training; received "
            f"{quoted(own.names)}: {advice}"
        )
    for mine, other in zip(schema.columns, own.columns, strict=False):
        if mine.values is not None and other.values is not None and mine.values != other.values:
            raise ArgumentValueError(
                f"expected column {mine.name!r} with the categories of training, {quoted(mine.values)}; received a "
                f"loader that codes {quoted(other.values)}: {advice}"
            )
    if schema.classes and own.classes and schema.classes != own.classes:
        raise ArgumentValueError(
            f"expected the classes of training, {quoted(schema.classes)}; received a loader that codes "
            f"{quoted(own.classes)}: {advice}"
        )
    return loader.filling(schema.fill)


def merge(new: Schema | None, old: Schema | None) -> Schema | None:
    """Return what is known after a further `fit`: of data that say less, what was known before stays."""
    if new is None or old is None:
        return new or old
    if old.reads_tables and not new.reads_tables:
        return replace(old, fill=new.fill or old.fill)
    columns = new.columns if new.names or not old.names else old.columns
    return replace(new, columns=columns, fill=new.fill or old.fill, classes=new.classes or old.classes)


def learned(source: Source, x: Any, classes: tuple[Any, ...] | None, schema: Schema | None) -> Source:
    """Return a source with what is known of its data: the names of a frame's columns, classes, values for bad cells."""
    found = None if schema is not None and schema.reads_tables else schema_of_frame(x)
    if classes is not None:
        found = replace(found or Schema((Column(None),) * np.shape(source.gather(np.arange(1)).x)[1]), classes=classes)
    source.schema, source.fill = found, None if schema is None else schema.fill
    return source


# ---- labels


def by_label(class_weight: Any, schema: Schema | None) -> Any:
    """Return weights by label for weights by the name of a class; others as they are."""
    if not isinstance(class_weight, Mapping) or schema is None or not schema.classes:
        return class_weight
    labels = {name: label for label, name in enumerate(schema.classes)}
    return {labels.get(name, name): weight for name, weight in class_weight.items()}


def encode(y: Any, schema: Schema | None) -> Any:
    """Return labels of text as 0, 1, ... by the classes of training; other targets as they are.

    Raises
    ------
    LabelError
        A label that training did not know.
    """
    if schema is None or not schema.classes or not isinstance(schema.classes[0], str) or (cells := _texts(y)) is None:
        return y
    return code_labels(schema.classes, cells, 0, "of training")


def labels(y: Any, loss: Any, schema: Schema | None = None) -> tuple[Any, tuple[Any, ...] | None]:
    """Return labels of text as 0, 1, ... and the classes, those of training first; other targets as they are, and None.

    Raises
    ------
    DtypeError
        Text under a loss of numbers.
    LabelError
        Two spellings of what seems to be one class.
    """
    cells = _texts(y)
    if cells is None:
        return y, None
    if (coded := encode(y, schema)) is not y:
        return coded, schema.classes  # type: ignore[union-attr]
    classes = column_("y", set(cells.texts), 0, True, "").values or ()
    if not loss.row["labels"] and (loss.row["link"] != "sigmoid" or len(classes) > 2):
        raise DtypeError(
            f"expected y of numbers with the loss {loss.name!r}; received text, such as {classes[0]!r}: "
            "softmax_cross_entropy learns classes"
        )
    spelling.require_one_spelling(classes, "of y")
    return code_labels(classes, cells, 0, "of y"), classes


def _texts(y: Any) -> Cells | None:
    """Return targets that are a column of texts; None for others."""
    if y is None or (isinstance(y, np.ndarray) and y.dtype.kind not in "OUSTV") or arrays.is_sparse(y):
        return None
    if hasattr(y, "to_pylist") or hasattr(y, "to_list"):
        values = y.to_pylist() if hasattr(y, "to_pylist") else y.to_list()
    elif isinstance(y, (list, tuple, np.ndarray)):
        if isinstance(y, (list, tuple)) and not any(isinstance(v, (str, bytes)) for v in y):
            return None
        array = np.asarray(y, dtype=None if isinstance(y, np.ndarray) else object)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.dtype.kind not in "OUST" or array.ndim != 1:
            return None
        values = [v.decode() if isinstance(v, bytes) else v for v in array.tolist()]
    else:
        return None
    if not any(isinstance(v, str) for v in values):
        return None
    return Cells.of(values)


def require_units(schema: Schema | None, units: int, loss: Any) -> None:
    """Refuse more classes than the last layer tells apart, and name them."""
    classes = schema.classes if schema is not None else None
    if classes is None or loss.row["link"] != "softmax" or len(classes) <= units:
        return
    place = f"in column {schema.targets[0]!r}" if schema is not None and schema.targets else "in y"
    evidence = {"classes": len(classes), "units": units, "names": list(classes[:20]), "place": place}
    error = LabelError()
    error.report = Report([Finding("label_out_of_range", "fault", evidence=evidence, advice=(Advice.UNITS_FOR_CLASSES,),
                                   text="too_many_classes")])  # fmt: skip
    raise error
