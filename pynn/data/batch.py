"""Arrays that remember which rows of the data they hold."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Batch", "batch"]


class Batch(np.ndarray):
    """An ndarray that remembers which rows of the user's data it holds.

    Attributes
    ----------
    rows : ndarray of int64, or None
        ``batch[i]`` is row ``rows[i]`` of the data set. Elementwise arithmetic, ``astype`` and selecting rows keep
        them; whatever could break the correspondence (transposing, reshaping, sums) gives None.
    """

    rows: np.ndarray | None

    def __array_finalize__(self, obj: Any) -> None:
        self.rows = None

    def __getitem__(self, index: Any) -> Any:
        result = super().__getitem__(index)
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
        selects = isinstance(first, slice) or (isinstance(first, (list, np.ndarray)) and np.asarray(first).ndim == 1)
        in_place = sum(not isinstance(i, slice) for i in rest) < 2  # more could move the rows to another axis
        if self.rows is not None and selects and in_place and isinstance(result, Batch):
            rows = self.rows[first]
            if rows.shape == result.shape[:1]:
                result.rows = rows
        return result

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if out is not None:
            options["out"] = tuple(np.asarray(o) if isinstance(o, Batch) else o for o in out)
        result = getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Batch) else x for x in inputs), **options)
        if out is not None:
            return out[0] if len(out) == 1 else out
        if method != "__call__" or ufunc.signature is not None or not isinstance(result, np.ndarray):
            return result
        batches = [x for x in inputs if isinstance(x, Batch)]
        if any(x.shape[:1] != result.shape[:1] or x.ndim != result.ndim for x in batches):
            return result
        rows = batches[0].rows
        same = all(x.rows is rows or np.array_equal(x.rows, rows) for x in batches)  # type: ignore[arg-type]
        return batch(result, rows if same else None)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """As ``ndarray.astype``; the rows stay known."""
        return batch(np.asarray(self).astype(dtype, *args, **options), self.rows)


def batch(array: np.ndarray, rows: np.ndarray | None) -> Batch:
    """A view of `array` that holds these rows."""
    result = array.view(Batch)
    result.rows = rows
    return result
