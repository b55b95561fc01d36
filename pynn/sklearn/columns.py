"""Columns of a table as numbers for a network: what is learned from the rows of a fit, and its use on others.

A recipe is a list of dicts of plain values, one for each column. Statistics are weighted: a row of weight 2 counts as
two rows do.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

ONE_HOT = 9  # most categories that get a column each; more get an embedding
RARE = 3  # rows that a category needs to have an embedding of its own
CLIP = 3.0
BINS = 48  # most bins of a number
COARSE, FINE = (10, 100), (5, 40)  # fewest bins of a number, and rows that each of them needs
MISSING = "\0missing"

Recipe = list[dict[str, Any]]


def read(X: Any) -> list[np.ndarray]:
    """The columns of a data frame, Arrow table or array of two dimensions: float64 or texts (object)."""
    if hasattr(X, "to_pandas"):  # polars, pyarrow
        X = X.to_pandas()
    if not hasattr(X, "iloc"):
        return [_of_values(X[:, i]) for i in range(X.shape[1])]
    return [_of_series(X.iloc[:, i]) for i in range(X.shape[1])]


def learn(columns: list[np.ndarray], weights: np.ndarray, bins: tuple[int, int] = COARSE) -> Recipe:
    """What `apply` has to know of the rows to train on."""
    return [_numbers(c, weights, bins) if c.dtype.kind == "f" else _categories(c, weights) for c in columns]


def apply(recipe: Recipe, columns: list[np.ndarray]) -> np.ndarray:
    """The network's inputs, (rows, columns): numbers first, then the codes of embeddings."""
    plain: list[np.ndarray] = []
    coded: list[np.ndarray] = []
    for about, column in zip(recipe, columns, strict=True):
        kind = about["kind"]
        if kind == "number":
            plain += _prepared(about, column)
        elif kind == "one_hot":
            codes = _codes(about["values"], column)
            plain += (
                [np.where(codes < 0, 0.0, 2.0 * codes - 1)]
                if len(about["values"]) == 2
                else list(np.equal.outer(np.arange(len(about["values"])), codes).astype(np.float64))
            )
        elif kind == "embedding":
            coded.append(_codes(about["values"], column).astype(np.float64))
    rows = len(columns[0]) if columns else 0
    return np.column_stack([*plain, *coded]) if plain or coded else np.zeros((rows, 1))


def _prepared(about: dict[str, Any], column: np.ndarray) -> list[np.ndarray]:
    """A number scaled and clipped, in pieces, and whether it is missing."""
    column = as_numbers(column)
    missing = np.isnan(column)
    filled = np.where(missing, about["middle"], column)
    scaled = (filled - about["middle"]) * about["scale"]
    out = [scaled / np.sqrt(1 + (scaled / CLIP) ** 2)] if about["scale"] else []
    return out + pieces(about["edges"], filled) + ([missing.astype(np.float64)] if about["missing"] else [])


def pieces(edges: list[float], column: np.ndarray) -> list[np.ndarray]:
    """Piecewise-linear encoding: how far the value has come in each bin, 0 below it and 1 above.

    Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022.
    """
    return [np.clip((column - a) / (b - a), 0, 1) for a, b in itertools.pairwise(edges)]


def embedded(recipe: Recipe) -> list[int]:
    """Numbers of categories of the columns that `apply` puts last."""
    return [len(about["values"]) for about in recipe if about["kind"] == "embedding"]


def weighted_quantile(values: np.ndarray, weights: np.ndarray, q: float) -> float:
    """numpy's quantile of the values, each as often as its weight says."""
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(weights[order])
    place = max(ends[-1] - 1, 0) * q
    low, high = np.searchsorted(ends, [np.floor(place), np.ceil(place)], side="right")
    last = len(values) - 1
    low, high = values[order[min(low, last)]], values[order[min(high, last)]]
    return float(low + (high - low) * (place - np.floor(place)))


def as_numbers(column: np.ndarray) -> np.ndarray:
    """float64, NaN where a value is missing; ValueError where a text is no number."""
    if column.dtype.kind == "f":
        return column
    return np.array([np.nan if is_missing(value) else float(value) for value in column], np.float64)


def text_among_numbers(about: dict[str, Any], column: np.ndarray) -> int | None:
    """The first row whose text is no number though the column has numbers; None: there is none."""
    if about["kind"] != "number" or column.dtype.kind == "f":
        return None
    for row, value in enumerate(column):
        try:
            as_numbers(np.array([value], object))
        except ValueError:
            return row
    return None


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA."""
    if value is None or value is MISSING or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return bool(value != value)


def _of_series(series: Any) -> np.ndarray:
    kind = getattr(series.dtype, "kind", "O")
    if kind == "M" or str(series.dtype).startswith("datetime64"):
        seconds = series.to_numpy(dtype="datetime64[ns]").astype("datetime64[us]")
        return np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64) / 1e6)
    if kind in "biuf" and str(series.dtype) != "category":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    values = series.to_numpy(dtype=object)
    return _texts(values) if str(series.dtype) in ("category", "string", "str") else _of_values(values)


def _of_values(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    try:
        return as_numbers(values)
    except ValueError:
        return _texts(values)


def _texts(values: np.ndarray) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = [MISSING if is_missing(value) else str(value) for value in values]
    return out


def _numbers(column: np.ndarray, weights: np.ndarray, bins: tuple[int, int]) -> dict[str, Any]:
    there = ~np.isnan(column)
    about = {"kind": "number", "middle": 0.0, "scale": 0.0, "edges": [],
             "missing": bool(0 < there.sum() < len(column))}  # fmt: skip
    values, weights = column[there], weights[there]
    if not len(values) or values.min() == values.max():
        return about
    low, about["middle"], high = (weighted_quantile(values, weights, q) for q in (0.25, 0.5, 0.75))
    about["scale"] = 1 / (high - low) if high > low else 2 / (float(values.max()) - float(values.min()))
    about["edges"] = _edges(values, weights, *bins)
    return about


def _edges(values: np.ndarray, weights: np.ndarray, fewest: int, rows_a_bin: int) -> list[float]:
    """Quantiles between bins; none where there are few rows or values."""
    bins = int(min(BINS, weights.sum() // rows_a_bin))
    if bins < fewest:
        return []
    edges = sorted({weighted_quantile(values, weights, q) for q in np.linspace(0, 1, bins + 1)})
    return edges if len(edges) > 2 else []


def _categories(column: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    values, codes = np.unique(column.astype(str), return_inverse=True)
    if len(values) <= ONE_HOT:
        return {"kind": "one_hot" if len(values) > 1 else "left_out", "values": values.tolist()}
    kept = values[np.bincount(codes, weights) >= RARE]
    return {"kind": "embedding" if len(kept) else "left_out", "values": kept.tolist()}


def _codes(values: list[str], column: np.ndarray) -> np.ndarray:
    """Indices of the values, -1 for one that is not there."""
    texts = (_texts(column) if column.dtype.kind == "f" else column).astype(str)
    at = np.minimum(np.searchsorted(values, texts), len(values) - 1)
    return np.where(np.asarray(values)[at] == texts, at, -1)
