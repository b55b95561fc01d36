"""Which rows an epoch visits and in which order, what a class weighs, and how data are split.

Every draw is a function of (seed, epoch, sizes): nothing is remembered, so any order can be made again at any time.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import arrays, checks
from ..errors import ArgumentTypeError, ArgumentValueError, LabelError, ShapeError
from ..specs import lists_arguments
from .sources import Rows

__all__ = [
    "Oversample",
    "Sampler",
    "Shuffle",
    "Undersample",
    "Weighted",
    "as_given",
    "class_weights",
    "sampler",
    "train_test_split",
    "weigh",
]

_BITS = 2**64 - 1
SLACK = 1e-3  # of the sum of a row's probabilities
SEVERAL = {  # what to do where several labels of a row can be right
    "class_weight": "Give a list with a dict for each output, or sample_weight of shape (rows, outputs)",
    "stratify=True": (
        "Stratify by what each row has in common with others: "
        "np.unique(y, axis=0, return_inverse=True)[1] as the last part"
    ),
    "sampling": "Draw rows by weights of your own: sampling=weights, one for each row",
}


def derive(seed: int, stream: int) -> int:
    """A seed of its own for each purpose: SplitMix64 (Steele, Lea and Flood, 2014) of `seed` and `stream`."""
    z = (seed + (stream + 1) * 0x9E3779B97F4A7C15) & _BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _BITS
    return z ^ (z >> 31)


def uniform(seed: int, epoch: int, n: int) -> np.ndarray:
    """n numbers of [0, 1): Philox, whose raw bits NumPy promises to keep."""
    raw = np.random.Philox(key=np.array([seed, 0], np.uint64), counter=np.array([0, 0, epoch, 0], np.uint64))
    return (raw.random_raw(n) >> np.uint64(11)) * 2.0**-53


class Sampler:
    """An order of row numbers for each epoch. `rows` is how many there are in one; `identity` goes into states."""

    rows: int
    identity: str | None = None

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """int64 row numbers; a function of (seed, epoch) alone."""
        raise NotImplementedError


class Shuffle(Sampler):
    """Each of n rows once."""

    def __init__(self, n: int) -> None:
        self.rows = n

    def order(self, seed: int, epoch: int) -> np.ndarray:
        return arrays.shuffle(seed, epoch, self.rows)


class Weighted(Sampler):
    """n draws with replacement, row i with probability weights[i] / sum(weights)."""

    def __init__(self, weights: np.ndarray) -> None:
        self.rows, self.identity = len(weights), f"weighted {zlib.crc32(weights.tobytes()):08x}"
        self._ends = np.cumsum(weights.astype(np.float64))
        self._last = int(np.flatnonzero(weights)[-1])

    def order(self, seed: int, epoch: int) -> np.ndarray:
        draws = uniform(derive(seed, 2), epoch, self.rows) * self._ends[-1]
        return np.minimum(np.searchsorted(self._ends, draws, side="right"), self._last).astype(np.int64)


class _ByClass(Sampler):
    """The same number of rows of each class, shuffled."""

    def __init__(self, labels: np.ndarray) -> None:
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        self.each = self.choose(counts)
        self.rows, checksum = self.each * len(counts), zlib.crc32(codes.astype("<i8").tobytes())
        self.identity = f"{type(self).__name__} {checksum:08x}"

    def choose(self, counts: np.ndarray) -> int:
        """Rows of each class in an epoch."""
        raise NotImplementedError

    def order(self, seed: int, epoch: int) -> np.ndarray:
        taken = []
        for index, members in enumerate(self._members):
            mixed = members[arrays.shuffle(derive(seed, 16 + index), epoch, len(members))]
            repeats, rest = divmod(self.each, len(members))
            taken += [np.tile(members, repeats), mixed[:rest]]
        drawn = np.concatenate(taken)
        return drawn[arrays.shuffle(seed, epoch, len(drawn))].astype(np.int64)


class Oversample(_ByClass):
    """Every class as often as the most frequent one: all its rows equally often but for one, which ones by lot."""

    def choose(self, counts: np.ndarray) -> int:
        return int(counts.max())


class Undersample(_ByClass):
    """Every class as often as the rarest one: rows drawn without replacement, others in each epoch."""

    def choose(self, counts: np.ndarray) -> int:
        return int(counts.min())


_BY_CLASS = {"oversample": Oversample, "undersample": Undersample}


def sampler(sampling: Any, rows: int, labels: np.ndarray | None, kept: np.ndarray | None) -> Sampler:
    """The sampler for `DataLoader(sampling=...)`; of the rows `kept`, when some are left out, with their labels."""
    n = rows if kept is None else len(kept)
    if sampling is None:
        return Shuffle(n)
    if isinstance(sampling, str):
        if sampling not in _BY_CLASS:
            listed = ", ".join(map(repr, _BY_CLASS))
            raise ArgumentValueError(
                f"expected sampling as {listed} or a weight for each row; received sampling={sampling!r}"
            )
        if labels is None:
            raise ArgumentValueError(f"expected y, class labels, for sampling={sampling!r}; received y=None")
        return _BY_CLASS[sampling](labels)
    weights = arrays.as_weights(sampling, rows)
    assert weights is not None
    weights = weights[:, 0] if kept is None else weights[kept, 0]
    if not weights.any():
        raise ArgumentValueError("expected sampling with a weight > 0; received weights that are all 0")
    return Weighted(weights)


def as_labels(y: np.ndarray, purpose: str) -> np.ndarray:
    """Return the classes of the rows as a vector: labels as they are, of one-hot rows the largest column.

    Raises
    ------
    LabelError
        Labels that are no integers, or rows with several labels or none; `row` is the first.
    """
    y = np.asarray(y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2:
        return _one_class(y, purpose)
    if y.dtype.kind == "f":
        whole = np.floor(y) == y
        if not whole.all():
            row = int(np.argmin(whole))
            raise LabelError(f"expected y of class labels for {purpose}; received y[{row}]={y[row]}")
    return y


def _one_class(y: np.ndarray, purpose: str) -> np.ndarray:
    """Return the class of each row of probabilities, of which one is right."""
    sums = y.sum(axis=1, dtype=np.float64)
    odd = np.flatnonzero(np.abs(sums - 1) > SLACK)  # a row with NaN has no sum, and no say
    if len(odd):
        advice = SEVERAL[purpose]
        error = LabelError(
            f"expected y with one class in each row for {purpose}; received {y.shape[1]} outputs that are right "
            f"independently: y[{odd[0]}] sums to {sums[odd[0]]:g}. {advice}"
        )
        error.row = int(odd[0])
        raise error
    return y.argmax(1)


def answers(y: Any) -> np.ndarray | None:
    """Return y where each of its columns is a yes or no of its own: 0 and 1, or -1 and 1, or NaN where unknown, and not
    one 1 in each row; else None."""
    y = np.asarray(y)
    if y.ndim != 2 or y.shape[1] == 1 or y.dtype.kind not in "fiub":
        return None
    y = y.astype(np.int8) if y.dtype.kind == "b" else y
    known = y[y == y]
    if not (((known == 0) | (known == 1)).all() or (np.abs(known) == 1).all()):
        return None
    return y if (np.abs(np.nansum(y, axis=1, dtype=np.float64) - 1) > SLACK).any() else None


def classes_of(y: Any) -> np.ndarray:
    """Return the classes of rows, (rows,), or the answers of several columns, (rows, outputs)."""
    several = answers(y)
    return as_labels(y, "class_weight") if several is None else several


def class_weights(
    class_weight: Any, labels: np.ndarray | None, names: Any = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """(classes, weights) for ``class_weight``: a mapping, or "balanced": rows / (classes * rows of the class).
    `names` are those of the classes 0, 1, ..., where the mapping goes by them. With labels (rows, outputs), or a list
    of mappings, the weights are (classes, outputs).

    Raises
    ------
    ArgumentValueError, ArgumentTypeError
        A weight that is not finite and >= 0; "balanced" where labels are not in memory.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ArgumentValueError(
                f"expected class_weight as a dict or 'balanced'; received class_weight={class_weight!r}"
            )
        if labels is None:
            raise ArgumentValueError(
                "expected class_weight as a dict where the labels are not known beforehand; received 'balanced'"
            )
        return _balanced(labels)
    if (
        isinstance(class_weight, list)
        and len(class_weight) > 1
        and all(isinstance(one, Mapping) for one in class_weight)
    ):
        return _by_output(class_weight, labels)
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise ArgumentTypeError(
            f"expected class_weight as a dict by class, or 'balanced'; received class_weight={class_weight!r}"
        )
    class_weight = _by_number(class_weight, names)
    if not any(class_weight.values()):
        raise ArgumentValueError("expected class_weight with a weight > 0; received weights that are all 0")
    classes = np.array(sorted(class_weight))
    if labels is not None and not np.isin(labels, classes).any():
        raise ArgumentValueError(
            f"expected class_weight of classes in y, {np.unique(labels)[:10].tolist()}; received {class_weight!r}"
        )
    weights = np.array([class_weight[c] for c in classes.tolist()], np.float64)
    return classes, weights if labels is None or labels.ndim == 1 else np.tile(weights[:, None], labels.shape[1])


def _by_number(class_weight: Mapping[Any, Any], names: Any) -> dict[Any, Any]:
    """Return checked weights by the number of a class."""
    if names is not None:
        unknown = [label for label in class_weight if label not in names]
        if unknown:
            listed = ", ".join(map(repr, names[:10]))
            raise ArgumentValueError(f"expected class_weight of the classes {listed}; received {unknown[0]!r}")
        class_weight = {names.index(label): weight for label, weight in class_weight.items()}
    for label, weight in class_weight.items():
        for name, value in (("class", label), ("weight", weight)):
            if isinstance(value, (bool, str)) or not np.isscalar(value) or not np.isreal(value):
                raise ArgumentTypeError(f"expected class_weight of numbers by number; received the {name} {value!r}")
        if not 0 <= weight < np.inf:
            raise ArgumentValueError(
                f"expected class_weight of finite weights >= 0; received class_weight[{label}]={weight}"
            )
    return dict(class_weight)


def _balanced(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights by which every class weighs the same, in each output for itself."""
    if labels.ndim == 1:
        classes, counts = np.unique(labels, return_counts=True)
        return classes, len(labels) / (len(classes) * counts)
    known = labels == labels
    classes = np.unique(labels[known])
    counts = np.stack([(labels == c).sum(axis=0) for c in classes])
    there = np.maximum((counts > 0).sum(axis=0), 1)
    return classes, np.where(counts > 0, known.sum(axis=0) / (there * np.maximum(counts, 1)), 1.0)


def _by_output(class_weight: Any, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return (classes, weights by output) of a list of mappings; a class that a mapping does not name weighs 1."""
    if labels is not None and (labels.ndim == 1 or labels.shape[1] != len(class_weight)):
        outputs = 1 if labels.ndim == 1 else labels.shape[1]
        raise ArgumentValueError(
            f"expected class_weight as a list with a dict for each of several yes/no outputs; received a list of "
            f"{len(class_weight)} for y with {outputs} of them"
        )
    columns = [None] * len(class_weight) if labels is None else labels.T
    tables = [class_weights(one, column) for one, column in zip(class_weight, columns, strict=True)]
    found = [table for table in tables if table is not None]
    classes = np.unique(np.concatenate([table[0] for table in found]))
    return classes, np.stack([row_weights(table, classes) for table in found], axis=1)


def as_given(table: tuple[np.ndarray, np.ndarray]) -> Any:
    """Return (classes, weights) as the argument ``class_weight`` that makes them."""
    classes, weights = table
    named = [dict(zip(classes.tolist(), column.tolist(), strict=True)) for column in np.atleast_2d(weights.T)]
    return named if weights.ndim == 2 else named[0]


def row_weights(table: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The class weight of each label, 1 for a class that the table does not name; of labels (rows, outputs) each."""
    classes, weights = table
    at = np.clip(np.searchsorted(classes, labels), 0, len(classes) - 1)
    found = weights[at] if weights.ndim == 1 else weights[at, np.arange(weights.shape[1])]
    return np.where(classes[at] == labels, found, 1.0)


def weights_of(table: tuple[np.ndarray, np.ndarray], targets: np.ndarray) -> np.ndarray:
    """The class weights of rows, (rows, 1), or of their outputs, (rows, outputs)."""
    targets = np.asarray(targets)
    if table[1].ndim == 1:
        return row_weights(table, as_labels(targets, "class_weight"))[:, None]
    if targets.ndim != 2 or targets.shape[1] != table[1].shape[1]:
        raise ShapeError(
            f"expected y with {table[1].shape[1]} columns, as class_weight has outputs; received shape {targets.shape}"
        )
    return row_weights(table, targets)


def weigh(rows: Rows, table: tuple[np.ndarray, np.ndarray]) -> Rows:
    """Return the rows with their weights multiplied by those of their classes."""
    if rows.targets is None:
        raise ArgumentValueError("expected y, class labels, for class_weight; received y=None")
    weights = weights_of(table, rows.targets)
    if rows.weights is not None:
        weights = weights * np.asarray(rows.weights, np.float64).reshape(len(weights), -1)
    return Rows(rows.numbers, rows.x, rows.targets, weights[:, 0] if weights.shape[1] == 1 else weights)


@lists_arguments
def train_test_split(*parts: Any, test_size: float = 0.25, stratify: bool = False, seed: int = 0) -> list[Any]:
    """Split rows at random into a part to train on and a part to test on.

    Parameters
    ----------
    *parts : arrays, data frames or sparse matrices of equal length
        ``X, y`` for instance. With `stratify`, the last one holds the classes.
    test_size : float in (0, 1)
        Share of the rows that go into the test part.
    stratify : bool
        Each class is split by this share, up to one row (largest remainders; at least one row of a class that has
        two or more goes to either side).
    seed : int

    Returns
    -------
    list
        ``X_train, X_test, y_train, y_test``: two for each part, in random order, of the type that came in.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X, y = np.arange(20).reshape(10, 2), np.array([0] * 8 + [1] * 2)
    >>> X_train, X_test, y_train, y_test = pynn.train_test_split(X, y, test_size=0.5, stratify=True)
    >>> sorted(y_test.tolist()), sorted(y_train.tolist())
    ([0, 0, 0, 0, 1], [0, 0, 0, 0, 1])
    """
    if not parts:
        raise ArgumentTypeError("expected arrays to split; received none")
    test_size = checks.number("test_size", test_size, above=0, below=1)
    sizes = [part.shape[0] if hasattr(part, "shape") else len(part) for part in parts]
    if len(set(sizes)) > 1:
        raise ShapeError(f"expected parts of equal length; received {', '.join(map(str, sizes))} rows")
    n = sizes[0]
    order = arrays.shuffle(derive(seed, 3), 0, n)
    first = np.arange(n) < round(n * test_size)
    test = _stratified(np.asarray(parts[-1])[order], test_size) if stratify else first
    if test.all() or not test.any():
        raise ArgumentValueError(
            f"expected a test_size that leaves rows on both sides of {n}; received test_size={test_size}"
        )
    return [_rows(part, order[side]) for part in parts for side in (~test, test)]


def _stratified(labels: np.ndarray, share: float) -> np.ndarray:
    """Which rows, taken in their order, are the first `share` of their class."""
    classes = as_labels(labels, "stratify=True")
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    exact = counts * share
    takes = np.clip(np.floor(exact), np.minimum(counts // 2, 1), counts - (counts > 1)).astype(np.int64)
    left = round(len(labels) * share) - int(takes.sum())
    for index in np.argsort(takes - exact, kind="stable")[: max(left, 0)]:
        takes[index] += takes[index] < counts[index] - 1
    by_class = np.argsort(codes, kind="stable")
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place < takes[codes]


def _rows(part: Any, rows: np.ndarray) -> Any:
    """Rows of anything that has them, in its own type."""
    if hasattr(part, "iloc"):
        return part.iloc[rows]
    if hasattr(part, "combine_chunks"):  # pyarrow
        return part.take(rows)
    if isinstance(part, (list, tuple)):
        return type(part)(part[i] for i in rows)
    return part[rows]
