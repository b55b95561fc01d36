"""What the columns of a table mean: numbers, categories with their codes, classes of the target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, DtypeError, LabelError, ShapeError
from . import spelling
from .spelling import Vocabulary, is_number

__all__ = [
    "Cells", "Column", "Schema", "code_labels", "is_frame", "is_number", "kind_of_texts", "names_of_frame",
    "schema_of_frame",
]  # fmt: skip

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
        """Take values as a list has them, as texts; None and NaN are missing."""
        known: dict[Any, int] = {}
        texts = ("" if v is None or v != v or type(v).__name__ == "NAType" else text_of(v) for v in values)
        codes = [-1 if text in MISSING else known.setdefault(text, len(known)) for text in texts]
        return cls(codes=np.array(codes, np.int64), texts=list(known))

    def __len__(self) -> int:
        part = self.codes if self.numbers is None else self.numbers
        return 0 if part is None else len(part)

    def at(self, index: int) -> Any:
        """Return one cell that is not missing."""
        if self.numbers is not None:
            return _plain(self.numbers[index].item())
        assert self.codes is not None
        return self.texts[self.codes[index]]

    def coded(self, vocabulary: Vocabulary, missing: int, unseen: int) -> np.ndarray:
        """Return each cell's code in a vocabulary."""
        if self.numbers is not None:
            distinct, at = np.unique(self.numbers, return_inverse=True)
            codes = [missing if np.isnan(v) else vocabulary.code(_plain(v), unseen) for v in distinct.tolist()]
            return np.array(codes, np.int64)[at]
        codes = [vocabulary.code(text, unseen) for text in self.texts]
        return np.array([*codes, missing], np.int64)[self.codes]


def text_of(value: Any) -> str:
    """Write a category's value as a file would have it."""
    return value if isinstance(value, str) else str(_plain(value))


def _plain(value: Any) -> Any:
    """Return a number as it is shown: whole ones as int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Column:
    """One input column. A category's `values` have the codes 1, 2, ... in their order; 0 is for all others.

    Attributes
    ----------
    name : str or None
        None: X was an array, whose columns have none.
    values : tuple or None
        None: the column holds numbers.
    """

    name: str | None
    values: tuple[Any, ...] | None = None

    def numbers(self, cells: Cells) -> np.ndarray:
        """Return the column as numbers.

        Raises
        ------
        ArgumentValueError
            No cell holds a category that training knew, and they are spelled as its own are but for case or spaces.
        """
        if self.values is not None:
            codes = cells.coded(Vocabulary(self.values, first=1), 0, 0)
            spelling.look_for_unknown(str(self.name), self.values, cells.texts, cells.codes, codes)
            return codes
        if cells.numbers is None:
            raise DtypeError(f"expected numbers in column {self.name!r}; received text, such as {cells.texts[:1]}")
        return cells.numbers


@dataclass(frozen=True)
class Schema:
    """How rows of data become rows of numbers: learned from the data trained on, kept with the model.

    Attributes
    ----------
    columns : tuple of Column
        Inputs, in the order in which the model gets them.
    target : str, tuple of str or None
        The column or columns to predict; None: `y` was given apart.
    classes : tuple or None
        The target's values in the order of their labels 0, 1, ...; None: it holds numbers, taken as they are.
    fill : tuple of float or None
        What stands for missing and infinite cells, under ``on_bad_rows="impute"`` or ``"median"``.
    weight : str or None
        The column of sample weights.
    """

    columns: tuple[Column, ...]
    target: str | tuple[str, ...] | None = None
    classes: tuple[Any, ...] | None = None
    fill: tuple[float, ...] | None = None
    weight: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the input columns; an empty list where they have none."""
        return [column.name for column in self.columns if column.name is not None]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()

    @property
    def numbers(self) -> list[int]:
        """Indices of the input columns that hold numbers: for `Normalization(columns=...)`."""
        return [i for i, column in enumerate(self.columns) if column.values is None]

    @property
    def categories(self) -> dict[int, int]:
        """Input columns that hold codes: index -> number of codes, with 0, the code of what was never seen."""
        return {i: len(c.values) + 1 for i, c in enumerate(self.columns) if c.values is not None}

    @property
    def reads_tables(self) -> bool:
        """Whether columns are more than names of numbers, so that frames have to be coded."""
        return self.target is not None or bool(self.categories)

    def without_targets(self) -> Schema:
        """Return the schema for rows to predict."""
        return replace(self, target=None, classes=None, weight=None)

    def inputs(self, cells: Mapping[str, Cells], dtype: Any) -> np.ndarray:
        """Return rows of numbers."""
        rows = len(next(iter(cells.values())))
        out = np.empty((rows, len(self.columns)), dtype)
        with np.errstate(over="ignore"):  # what becomes infinite is a bad cell, and treated as one
            columns = [column.numbers(cells[str(column.name)]) for column in self.columns]
            for first in range(0, rows, NEAR):  # a few rows of all columns, while they are in the cache
                part = slice(first, first + NEAR)
                for index, numbers in enumerate(columns):
                    out[part, index] = numbers[part]
        return out

    def labels(self, cells: Mapping[str, Cells], first: int, where: str) -> np.ndarray | None:
        """Return the targets of some rows: one column as a vector, several as a matrix; None without any."""
        if self.target is None:
            return None
        columns = [self._labels(name, cells[name], first, where) for name in self.targets]
        return columns[0] if isinstance(self.target, str) else np.column_stack(columns)

    def _labels(self, name: str, cells: Cells, first: int, where: str) -> np.ndarray:
        """Return labels (int64; as float64 with NaN when some are missing), or numbers."""
        if self.classes is None:
            if cells.numbers is None:
                raise DtypeError(f"expected numbers in column {name!r}{where}; received text {cells.texts[:1]}")
            return cells.numbers.astype(np.float64, copy=False)
        return code_labels(self.classes, cells, first, f"in column {name!r}{where}")

    def weights(self, cells: Mapping[str, Cells]) -> np.ndarray | None:
        """Return the sample weights of some rows; None without a column of them."""
        return None if self.weight is None else cells[self.weight].numbers

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        columns: Any = [[c.name, None if c.values is None else list(c.values)] for c in self.columns]
        return {
            "columns": columns if self.names else len(self.columns),
            "target": self.target if self.target is None or isinstance(self.target, str) else list(self.target),
            "classes": None if self.classes is None else list(self.classes),
            "fill": None if self.fill is None else list(self.fill),
        } | ({} if self.weight is None else {"weight": self.weight})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schema:
        """Make the schema that `to_dict` described."""
        known, target = values["columns"], values["target"]
        columns = (
            (Column(None),) * known
            if isinstance(known, int)
            else tuple(Column(name, None if v is None else tuple(v)) for name, v in known)
        )
        rest = {name: None if values[name] is None else tuple(values[name]) for name in ("classes", "fill")}
        target = tuple(target) if isinstance(target, list) else target
        return cls(columns, target, **rest, weight=values.get("weight"))


def code_labels(classes: tuple[Any, ...], cells: Cells, first: int, place: str) -> np.ndarray:
    """Return the labels 0, 1, ... of cells that hold classes (int64; as float64 with NaN when some are missing).

    Raises
    ------
    LabelError
        A cell that holds no class; `place` says where, `first` is the index of the first row.
    """
    labels = cells.coded(Vocabulary(classes), -1, -2)
    if (labels == -2).any():
        at = int(np.argmax(labels == -2))
        listed = ", ".join(map(repr, classes[:10]))
        error = LabelError(
            f"expected one of the {len(classes)} classes {listed} {place}; received {cells.at(at)!r} in row "
            f"{first + at}"
        )
        error.row = first + at
        raise error
    return np.where(labels < 0, np.nan, labels) if (labels < 0).any() else labels


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


def column(name: str, values: set[Any], rows: int, named: bool, where: str) -> Column:
    """A category of these values, unless there are too many of them to mean anything."""
    if not named and len(values) > min(max(20, rows // 2), MOST_TEXTS):
        raise ArgumentValueError(
            f"expected columns of numbers or categories; received {name!r}{where} with {len(values)} texts in "
            f"{rows} rows. Leave it out, exclude=[{name!r}], or keep it all the same: categories=[{name!r}]"
        )
    return Column(name, tuple(sorted(values, key=lambda v: (isinstance(v, str), v))))


def choose(
    available: list[str],
    targets: tuple[str, ...],
    exclude: Iterable[str],
    categories: list[str],
    where: str,
    weight: str | None = None,
) -> list[str]:
    """Choose the names of the input columns.

    Raises
    ------
    ArgumentValueError, ArgumentTypeError, ShapeError
        A name that no column or several have; no column left.
    """
    twice = sorted({name for name in available if available.count(name) > 1})
    if twice:
        raise ArgumentValueError(f"expected columns of different names{where}; received {twice[0]!r} more than once")
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    for name in [*exclude, *categories, *targets, *([] if weight is None else [weight])]:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"expected a column's name as text; received {name!r}, whose name is {str(name)!r}")
        if name not in available:
            listed = ", ".join(map(repr, available[:20])) + (", ..." if len(available) > 20 else "")
            raise ArgumentValueError(f"expected one of the columns {listed}{where}; received {name!r}"
                                     f"{checks.nearest(name, available)}")  # fmt: skip
    names = [name for name in available if name not in targets and name != weight and name not in exclude]
    if not names:
        raise ShapeError(f"expected at least one column beside the target{where}; received none")
    return names


def is_frame(data: Any) -> bool:
    """Tell whether an object is a data frame or table with named columns."""
    named = hasattr(type(data), "columns") or "columns" in getattr(data, "__dict__", ())  # without asking for them
    return hasattr(data, "column_names") or (named and hasattr(data, "__getitem__"))


def names_of_frame(data: Any) -> list[str] | None:
    """Return the names of a frame's columns; None for other data, and where not all names are texts of their own."""
    if not is_frame(data):
        return None
    names = list(data.column_names if hasattr(data, "column_names") else data.columns)
    right = names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return names if right else None


def schema_of_frame(data: Any) -> Schema | None:
    """Return the columns of a frame of numbers, by name and in their order; None where they have no names."""
    names = None if isinstance(data, np.ndarray) else names_of_frame(data)
    return None if names is None else Schema(tuple(Column(name) for name in names))
