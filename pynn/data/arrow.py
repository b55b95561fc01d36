"""Columns of pyarrow: what they hold, as cells."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .. import checks
from ..errors import DtypeError
from . import schema as schema_
from .schema import MISSING, Cells

__all__ = ["cells", "index_of", "is_number", "kind", "module"]


@cache
def module(name: str) -> Any:
    """Import a module of pyarrow."""
    return checks.package(name, "data", "to read CSV and Parquet files")


def index_of(schema: Any) -> set[str]:
    """Return the columns that hold the index of a pandas frame."""
    return {name for name in (schema.pandas_metadata or {}).get("index_columns", ()) if isinstance(name, str)}


def kind(name: str, type_: Any, where: str) -> str:
    """Return what a column of this type holds: "number", "category" or "text"."""
    types = module("pyarrow").types
    if types.is_dictionary(type_):
        plain = types.is_integer(type_.value_type) or types.is_floating(type_.value_type)
        return "category" if plain or kind(name, type_.value_type, where) == "text" else "number"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_) or types.is_decimal(type_):
        return "number"
    if types.is_null(type_):  # all missing
        return "number"
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        return "text"
    if types.is_temporal(type_):
        raise schema_.dates(name, where, type_)
    raise DtypeError(
        f"expected numbers, booleans or texts; received column {name!r}{where} of {type_}. "
        f"Leave it out: exclude=[{name!r}]"
    )


@cache
def _plain_numbers() -> frozenset[Any]:
    """Types whose numbers are taken where they lie."""
    pa = module("pyarrow")
    return frozenset((pa.float32(), pa.float64()))


def cells(column: Any, kind_: str) -> Cells:
    """Convert a column of pyarrow to cells."""
    pa = module("pyarrow")
    if kind_ == "number":
        if not column.null_count and column.type in _plain_numbers():
            return Cells(column.to_numpy())
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        if not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
            column = _texts_as_numbers(column) if _is_text(column.type) else column.cast(pa.float64(), safe=False)
        values = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
        return Cells(values if values.dtype.kind == "f" else values.astype(np.float64))
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts = [schema_.text_of(value) for value in column.dictionary.to_pylist()]
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Cells(codes=codes, texts=texts)


def _is_text(type_: Any) -> bool:
    types = module("pyarrow").types
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def _texts_as_numbers(column: Any) -> Any:
    """Read texts as numbers; those that stand for missing cells become missing."""
    pa, compute = module("pyarrow"), module("pyarrow.compute")
    missing = compute.is_in(column, value_set=pa.array(MISSING))
    cleaned = compute.if_else(missing, None, compute.utf8_trim_whitespace(column))
    try:
        return cleaned.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise DtypeError(f"expected numbers, as in training; received text ({error})") from None


def is_number(text: str) -> bool:
    """Tell whether pyarrow reads a text as a number."""
    pa = module("pyarrow")
    try:
        pa.array([text]).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
