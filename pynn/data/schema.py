"""What the columns of a table mean: numbers, categories with their codes, classes of the target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError, DtypeError, LabelError, ShapeError

__all__ = ["Cells", "Column", "Schema", "kind_of_texts"]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "-nan", "?")
FLAGS = frozenset(("true", "True", "TRUE", "false", "False", "FALSE"))
MOST_TEXTS = 10_000
NEAR = 512
_NOTATION = re.compile(r"[-+]?[$€£¥]?\s?\d[\d.,' _\u00a0]*\s?[%$€£¥]?$")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T]\d.*)?$|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}( .*)?$|\d{1,2}:\d{2}(:\d{2})?$")


@dataclass(slots=True)
class Cells:
    """A column of some rows: numbers with NaN for missing ones, or `codes` into `texts`, -1 for missing ones."""

    numbers: np.ndarray | None = None
    codes: np.ndarray | None = None
    texts: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, values: Iterable[Any]) -> Cells:
        """Values as a list has them, as texts; None and NaN are missing."""
        known: dict[Any, int] = {}
        texts = ("" if v is None or v != v or type(v).__name__ == "NAType" else text_of(v) for v in values)
        codes = [-1 if text in MISSING else known.setdefault(text, len(known)) for text in texts]
        return cls(codes=np.array(codes, np.int64), texts=list(known))

    def __len__(self) -> int:
        part = self.codes if self.numbers is None else self.numbers
        return 0 if part is None else len(part)

    def at(self, index: int) -> Any:
        """One cell that is not missing."""
        if self.numbers is not None:
            return _plain(self.numbers[index].item())
        assert self.codes is not None
        return self.texts[self.codes[index]]

    def coded(self, values: Mapping[Any, int], missing: int, unseen: int) -> np.ndarray:
        """Each cell's number in `values`."""
        if self.numbers is not None:
            distinct, at = np.unique(self.numbers, return_inverse=True)
            codes = [missing if np.isnan(v) else values.get(_plain(v), unseen) for v in distinct.tolist()]
            return np.array(codes, np.int64)[at]
        codes = [values.get(text, unseen) for text in self.texts]
        return np.array([*codes, missing], np.int64)[self.codes]


def text_of(value: Any) -> str:
    """A category's value as a file would have it."""
    return value if isinstance(value, str) else str(_plain(value))


def _plain(value: Any) -> Any:
    """A number as it is shown: whole ones as int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Column:
    """One input column. A category's `values` have the codes 1, 2, ... in their order; 0 is for all others."""

    name: str
    values: tuple[Any, ...] | None = None

    def numbers(self, cells: Cells) -> np.ndarray:
        """The column as numbers."""
        if self.values is not None:
            return cells.coded({value: code for code, value in enumerate(self.values, 1)}, 0, 0)
        if cells.numbers is None:
            raise DtypeError(f"expected numbers in column {self.name!r}; received text, such as {cells.texts[:1]}")
        return cells.numbers


@dataclass(frozen=True)
class Schema:
    """How rows of a table become rows of numbers: learned from the data trained on, kept with the model.

    Attributes
    ----------
    columns : tuple of Column
        Inputs, in the order in which the model gets them.
    target : str or None
        The column to predict.
    classes : tuple or None
        Its values in the order of their labels 0, 1, ...; None: it holds numbers, taken as they are.
    fill : tuple of float or None
        What stands for missing numbers, under ``on_bad_rows="impute"`` or ``"median"``.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    classes: tuple[Any, ...] | None = None
    fill: tuple[float, ...] | None = None

    @property
    def names(self) -> list[str]:
        """Of the input columns."""
        return [column.name for column in self.columns]

    @property
    def numbers(self) -> list[int]:
        """Input columns that hold numbers: for `Normalization(columns=...)`."""
        return [i for i, column in enumerate(self.columns) if column.values is None]

    @property
    def categories(self) -> dict[int, int]:
        """Input columns that hold codes: index -> number of codes, with 0, the code of what was never seen."""
        return {i: len(c.values) + 1 for i, c in enumerate(self.columns) if c.values is not None}

    def inputs(self, cells: Mapping[str, Cells], dtype: Any) -> np.ndarray:
        """Rows of numbers."""
        rows = len(next(iter(cells.values())))
        out = np.empty((rows, len(self.columns)), dtype)
        with np.errstate(over="ignore"):  # what becomes infinite is a bad cell, and treated as one
            columns = [column.numbers(cells[column.name]) for column in self.columns]
            for first in range(0, rows, NEAR):  # a few rows of all columns, while they are in the cache
                part = slice(first, first + NEAR)
                for index, numbers in enumerate(columns):
                    out[part, index] = numbers[part]
        return out

    def targets(self, cells: Cells, first: int, where: str) -> np.ndarray:
        """Labels (int64; as float64 with NaN when some are missing), or numbers."""
        if self.classes is None:
            if cells.numbers is None:
                raise DtypeError(f"expected numbers in column {self.target!r}{where}; received text {cells.texts[:1]}")
            return cells.numbers.astype(np.float64, copy=False)
        labels = cells.coded({value: label for label, value in enumerate(self.classes)}, -1, -2)
        if (labels == -2).any():
            at = int(np.argmax(labels == -2))
            value = cells.at(at)
            listed = ", ".join(map(repr, self.classes[:10]))
            error = LabelError(
                f"expected one of the {len(self.classes)} classes {listed} in column {self.target!r}{where}; "
                f"received {value!r} in row {first + at}"
            )
            error.row = first + at
            raise error
        return np.where(labels < 0, np.nan, labels) if (labels < 0).any() else labels

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "columns": [[c.name, None if c.values is None else list(c.values)] for c in self.columns],
            "target": self.target,
            "classes": None if self.classes is None else list(self.classes),
            "fill": None if self.fill is None else list(self.fill),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schema:
        """The schema that `to_dict` described."""
        columns = tuple(Column(name, None if v is None else tuple(v)) for name, v in values["columns"])
        rest = {name: None if values[name] is None else tuple(values[name]) for name in ("classes", "fill")}
        return cls(columns, values["target"], **rest)


def kind_of_texts(name: str, cells: Cells, where: str) -> str:
    """Whether a column of texts holds numbers or categories, by most of its cells."""
    assert cells.codes is not None
    counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.texts))
    total = int(counts.sum())
    if total and sum(n for text, n in zip(cells.texts, counts, strict=True) if _DATE.match(text)) >= 0.9 * total:
        raise dates(name, where, cells.texts[0])
    if FLAGS.issuperset(cells.texts):
        return "number"
    numbers = sum(int(n) for text, n in zip(cells.texts, counts, strict=True) if is_number(text))
    if numbers >= 0.9 * total:
        return "number"
    others = {text: int(n) for text, n in zip(cells.texts, counts, strict=True)
              if _NOTATION.match(text) and not is_number(text)}  # fmt: skip
    if others and numbers + sum(others.values()) >= 0.9 * total:
        raise DtypeError(
            f"expected numbers as 1234.5, or categories; received {next(iter(others))!r} in column {name!r}{where}. "
            f"Write them so, or take them as categories, categories=[{name!r}], or leave them out, exclude=[{name!r}]"
        )
    return "category"


def dates(name: str, where: str, first: Any) -> DtypeError:
    """The error for a column of dates."""
    return DtypeError(
        f"expected numbers or categories; received dates in column {name!r}{where}, such as {str(first)!r}. Turn them "
        f"into numbers first (days since some day, the month, the weekday), or leave them out: exclude=[{name!r}]"
    )


def is_number(text: str) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def column(name: str, values: set[Any], rows: int, named: bool, where: str) -> Column:
    """A category of these values, unless there are too many of them to mean anything."""
    if not named and len(values) > min(max(20, rows // 2), MOST_TEXTS):
        raise ArgumentValueError(
            f"expected columns of numbers or categories; received {name!r}{where} with {len(values)} texts in "
            f"{rows} rows. Leave it out, exclude=[{name!r}], or keep it all the same: categories=[{name!r}]"
        )
    return Column(name, tuple(sorted(values, key=lambda v: (isinstance(v, str), v))))


def choose(
    available: list[str], target: str | None, exclude: Iterable[str], categories: list[str], where: str
) -> list[str]:
    """Names of the input columns.

    Raises
    ------
    ArgumentValueError, ArgumentTypeError, ShapeError
        A name that no column or several have; no column left.
    """
    twice = sorted({name for name in available if available.count(name) > 1})
    if twice:
        raise ArgumentValueError(f"expected columns of different names{where}; received {twice[0]!r} more than once")
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    for name in [*exclude, *categories, *([] if target is None else [target])]:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"expected a column's name as text; received {name!r}, whose name is {str(name)!r}")
        if name not in available:
            listed = ", ".join(map(repr, available[:20])) + (", ..." if len(available) > 20 else "")
            raise ArgumentValueError(f"expected one of the columns {listed}{where}; received {name!r}")
    names = [name for name in available if name != target and name not in exclude]
    if not names:
        raise ShapeError(f"expected at least one column beside the target{where}; received none")
    return names
