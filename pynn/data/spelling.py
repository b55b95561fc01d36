"""Spellings of categories and classes: which are the same value, and which are taken for others by mistake."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentValueError, LabelError, TrainingWarning
from ..report.advice import Advice
from ..report.finding import Finding, Report

__all__ = ["Vocabulary", "is_number", "look_for_unknown", "require_one_spelling"]

FEW = 10  # cells that may all be unknown without a word: new categories do turn up


def is_number(text: str) -> bool:
    """Tell whether a cell reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


class Vocabulary:
    """The codes of known values, by any spelling of the same value.

    1, 1.0, "1" and "1.0" are one value, and so are True and "true": files, frames and programs write them differently.
    Where training knew two spellings of a number ("1" and "01"), each is a value of its own.
    """

    def __init__(self, values: Sequence[Any], first: int = 0) -> None:
        self._exact = {value: code for code, value in enumerate(values, first)}
        self._others: dict[Any, int | None] = {}
        for value, code in self._exact.items():
            key = _meaning(value)
            if key is not None:
                self._others[key] = None if key in self._others else code

    def code(self, value: Any, unknown: int) -> int:
        """Return the code of a value, or `unknown`."""
        found = self._exact.get(value)
        if found is None:
            found = self._others.get(_meaning(value))
        return unknown if found is None else found


def _meaning(value: Any) -> Any:
    """Return what different spellings of a number or a truth value have in common; None for other texts."""
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return value.lower()
        return float(value) if is_number(value) else None
    return str(value).lower() if isinstance(value, bool) else float(value)


def _loose(value: Any) -> str:
    """Return a spelling without what is often typed by mistake: case and spaces."""
    return " ".join(str(value).split()).casefold()


def look_for_unknown(
    name: str, values: Sequence[Any], texts: Sequence[Any], cells: np.ndarray | None, codes: np.ndarray
) -> None:
    """Say when the cells of a category column are values that training did not know.

    Parameters
    ----------
    name : str
        Of the column.
    values : sequence
        What training knew.
    texts, cells
        What the column holds, as `Cells` has it.
    codes : ndarray
        The code of each cell; 0: unknown or missing.

    Raises
    ------
    ArgumentValueError
        All are unknown, and spelled as those of training but for case or spaces; `report` has the finding.
    """
    if cells is None or codes.all():
        return
    unknown = np.flatnonzero((codes == 0) & (cells >= 0))
    if not len(unknown):
        return
    strange = [texts[code] for code in np.unique(cells[unknown]).tolist()]
    loose = {_loose(value): value for value in values}
    alike = {text: loose[_loose(text)] for text in strange if _loose(text) in loose}
    every = not codes.any()
    if not alike and (not every or len(unknown) < FEW):
        return
    evidence = {
        "n_rows": len(unknown), "column_name": name, "categories": list(values[:20]), "every": every,
        "received": (list(alike) or strange)[:20],
    }  # fmt: skip
    if alike:
        text, value = next(iter(alike.items()))
        evidence |= {"unknown": text, "known": value}
    advice = Advice.SPELL_AS_IN_TRAINING if alike else Advice.CHECK_COLUMN
    rows = unknown[:20].tolist()
    finding = Finding("unknown_category", "warning", rows=rows, evidence=evidence, advice=(advice,))
    if every and alike:
        error = ArgumentValueError()
        error.report = Report([finding])
        raise error
    warnings.warn(finding.told(), TrainingWarning, stacklevel=2)


def require_one_spelling(classes: Sequence[Any], place: str) -> None:
    """Refuse classes that differ by spaces alone; warn of words that differ by case alone.

    Raises
    ------
    LabelError
        `report` names the spellings.
    """
    texts = [value for value in classes if isinstance(value, str)]
    by_spaces, by_case = _alike(texts, lambda text: " ".join(text.split())), _alike(texts, _loose)
    if by_spaces:
        error = LabelError()
        error.report = Report([_spellings(by_spaces, "spaces", "fault", place)])
        raise error
    if any(len(text) > 1 for group in by_case for text in group):  # letters may be classes
        warnings.warn(_spellings(by_case, "case", "warning", place).told(), TrainingWarning, stacklevel=2)


def _alike(texts: list[str], key: Callable[[str], str]) -> list[list[str]]:
    """Return the texts that share a key, in groups of two or more."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(key(text), []).append(text)
    return [group for group in groups.values() if len(group) > 1]


def _spellings(groups: list[list[str]], differ_by: str, severity: str, place: str) -> Finding:
    evidence = {"spellings": groups[:20], "differ_by": differ_by, "place": place}
    return Finding("label_out_of_range", severity, evidence=evidence, advice=(Advice.ONE_SPELLING,),
                   text="class_spellings")  # fmt: skip
