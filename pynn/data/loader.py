"""The data loader: batches of any source, in an order that can be made again."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import checks
from ..errors import ArgumentTypeError, ArgumentValueError, NonfiniteDataError, ShapeError
from ..specs import list_arguments_of
from . import sampling as sampling_
from .bad import FILLS, Tally, bad_cell, bad_cells, fill, fill_values, without_gaps
from .prefetch import Prefetcher
from .reader import Reader, as_batch
from .schema import Column, Schema
from .sources import Indexed, Rows, Source, SparsePart, open_source
from .tables import learn, open_table, table_source

__all__ = ["DataLoader"]

BAD_ROWS = ("error", "skip", *FILLS)


class DataLoader(Reader):
    """Iterate over data in batches, in order or shuffled again in each epoch.

    Rows are read batch by batch, without a copy of the whole: a file larger than memory is as good as an array. The
    order depends on the arguments and the number of rows (and of rows in a file's parts) alone: not on the threads, the
    kind of source or what was iterated before.

    Parameters
    ----------
    X : array, memmap, data frame, scipy.sparse matrix, path, data set, iterable of rows, or `pynn.data.Source`
        Arrays of any numeric dtype, memory order and strides, read-only too; batches keep the dtype. A path is that
        of an ``.npy`` file, which is mapped and not read, or of an IDX file, plain or gzip. A data set has ``len`` and
        ``X[i]``, as PyTorch's; an iterable gives rows, and starts over in each epoch. Their items are ``x`` or
        tuples ``(x, y)`` or ``(x, y, weight)``. For CSV and Parquet see `from_table`.
    y : the same, optional
        Targets or integer labels.
    sample_weight : array of shape (rows,), (rows, 1) or (rows, outputs), optional
        What the loss of each row, or of each output, is multiplied by: finite, >= 0.
    class_weight : dict of weights by class, list of them by output, or "balanced", optional
        What each row's loss, and its part in metrics, is multiplied by besides, by its class: when balanced, by
        ``rows / (classes * rows of the class)``. Where several columns of y are a yes or no each, by the answer in each
        column. The classes of a table go by what its target column holds.
    sampling : "oversample", "undersample" or weights of shape (rows,), optional
        Instead of each row once: every class as often as the most frequent, or the rarest, one; or as many rows as
        there are, drawn with replacement and probability proportional to their weights. Shuffled in any case.
    batch_size : int, at least 1
    shuffle : bool
        A new order in each epoch. Where rows can be asked for by number, a permutation, all equally likely. Streams are
        read into a buffer of `buffer` rows, whose order is such a permutation: a row leaves fewer than `buffer`
        places from where it stood; the parts of a Parquet or CSV file come in shuffled order besides. The first
        buffer of an epoch is cut short by lot, so that neighbours are not kept apart by its ends in every epoch.
    drop_last : bool
        Leave out a last batch of fewer than `batch_size` rows.
    seed : int in 0 ... 2**64 - 1
    on_bad_rows : "error", "skip", "impute" or "median", optional
        What is done about rows of X with cells that are missing or infinite. None: they are handed on as they are, and
        what trains on them refuses them or, like `Normalization`, fills them in. ``"skip"`` also leaves rows out whose
        target is missing; ``"impute"`` fills in the mean of the column's finite cells, from one pass over the data,
        ``"median"`` their median: exact in memory, and for files of up to 64 MB of numbers; for larger ones as in
        `Normalization`. `bad_rows` counts them; `fit` reports them.
    buffer : int, optional
        Rows shuffled at a time, for streams; by default those of 16 MB. Three buffers are held at most.
    prefetch : int, optional
        How many blocks a thread reads ahead: 0 reads in the caller's. Default: 1, but 0 for arrays in memory.

    Yields
    ------
    xb, ``(xb, yb)`` or ``(xb, yb, wb)``
        `Batch` arrays, which are ndarrays with ``.rows``; the caller owns them. With weights but without targets,
        ``yb`` is None. Sparse rows come as scipy.sparse CSR.

    Attributes
    ----------
    epoch : int
        Number of the epoch that the next iteration runs; it counts up when an iteration starts.
    n_rows : int or None
        Rows in an epoch; None: not known before its end.
    bad_rows : dict
        ``{"action": ..., "rows": ..., "cells": ..., "columns": {column: cells}}`` of the current epoch.
    waited : float
        Seconds that iterations have waited for data so far.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> loader = pynn.DataLoader(np.arange(10.0).reshape(5, 2), [0, 1, 0, 1, 1], batch_size=2)
    >>> for xb, yb in loader:
    ...     print(xb.shape, yb.tolist(), xb.rows.tolist())
    (2, 2) [0, 1] [0, 1]
    (2, 2) [0, 1] [2, 3]
    (1, 2) [1] [4]
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: Any = None,
        sampling: Any = None,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        on_bad_rows: str | None = None,
        buffer: int | None = None,
        prefetch: int | None = None,
    ) -> None:
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.batch_size = checks.integer("batch_size", batch_size, 1, 2**63 - 1)
        self.shuffle = checks.boolean("shuffle", shuffle)
        self.drop_last = checks.boolean("drop_last", drop_last)
        self.seed = checks.integer("seed", seed, 0, 2**64 - 1)
        if on_bad_rows is not None and on_bad_rows not in BAD_ROWS:
            listed = ", ".join(map(repr, BAD_ROWS))
            raise ArgumentValueError(f"expected on_bad_rows as {listed} or None; received on_bad_rows={on_bad_rows!r}")
        self.on_bad_rows = on_bad_rows
        self.source = open_source(X, y, sample_weight)
        self.by_number = self.source.bounds is None
        self.bad_rows: dict[str, Any] = {}
        self.impute_values: np.ndarray | None = None
        self._whole: Any = None  # X, y and weights with those of classes
        self._kept: np.ndarray | None = None  # rows without bad cells, where they are left out
        if sampling is not None and not self.by_number:
            raise ArgumentValueError(
                "expected sampling only where rows can be asked for by number; received a stream: class_weight does "
                "for the loss what sampling does for the rows, and a table that fits into memory can be sampled from "
                "as a data frame"
            )
        self._survey()
        labels = self._labels(class_weight, sampling)
        weighed = class_weight is not None
        self.class_weight = sampling_.class_weights(class_weight, labels, self._names) if weighed else None
        self.sampling = self._sampler(sampling, labels)
        self.n_rows: int | None = self.source.rows if self.sampling is None else self.sampling.rows
        if self.on_bad_rows == "skip" and not self.by_number:
            self.n_rows = None
        self.buffer = 0 if self.by_number else self._buffer(buffer)
        self.prefetch = checks.integer("prefetch", self._depth() if prefetch is None else prefetch, 0, 64)
        if self.drop_last and self.n_rows is not None and self.batch_size > self.n_rows:
            raise ArgumentValueError(
                f"expected batch_size of at most {self.n_rows}, the rows of X, since drop_last=True would leave no "
                f"batch; received batch_size={self.batch_size}"
            )
        self.epoch, self.waited = 0, 0.0
        self._at: tuple[int, int] | None = None  # epoch being iterated, batches seen
        self._iteration: object = None  # the newest iteration; only it moves the position
        self._first = 0  # batches that the next iteration leaves out: they were seen before a resume

    @classmethod
    def from_table(
        cls,
        data: Any,
        target: str | Sequence[str] | None = None,
        *,
        sample_weight: str | None = None,
        categories: Iterable[str] = (),
        exclude: Iterable[str] = (),
        task: str | None = None,
        delimiter: str | None = None,
        names: Iterable[str] | None = None,
        schema: Schema | None = None,
        dtype: Any = "float32",
        **options: Any,
    ) -> DataLoader:
        """A loader of the rows of a CSV or Parquet file, which is streamed, or of a data frame.

        Columns of numbers and booleans stay numbers, missing ones are NaN. Columns of text become codes: 1, 2, ... for
        the values that the data have, in their order, and 0 for all others and for missing ones. Columns of dates,
        and of text that hardly ever repeats, are refused. Values are learned in one pass over the file; a CSV file
        is also checked by it, cell by cell. They are in `schema`, which a model keeps that is trained on the loader.

        Parameters
        ----------
        data : path, or data frame (pandas, polars, pyarrow)
            CSV, plain or gzip, in UTF-8, with a header or `names`; or Parquet. Both need
            ``pip install 'pynn-dense[data]'``.
        target : str or sequence of str, optional
            The column to predict, or several columns of numbers. Text becomes labels 0, 1, ... in the order of the
            values.
        sample_weight : str, optional
            The column that holds what each row's loss is multiplied by; no input then.
        categories : iterable of str
            Columns whose values are codes, though they look like numbers or hardly repeat.
        exclude : iterable of str
            Columns left out.
        task : "classification" or "regression", optional
            For "classification", a target of numbers becomes labels too.
        delimiter : str, optional
            Between cells of CSV; by default what the header has most of: comma, tab, semicolon or bar.
        names : iterable of str, optional
            Of the columns of a CSV file that has no header.
        schema : Schema, optional
            Of the data trained on: columns are taken by their names and coded the same way.
        dtype : "float32" or "float64"
            Of X.
        **options
            As for `DataLoader`.

        Raises
        ------
        FileFormatError
            With the file and the row: a row of another length, a cell that is no number among numbers, a damaged file.
        """
        table = open_table(data, delimiter, names)
        if schema is None:
            schema = learn(table, target, categories, exclude, task, sample_weight)
        return cls(table_source(table, schema, dtype), **options)

    def held_out(self, source: Source) -> DataLoader:
        """Other rows of the same data, in their order, treated as these: the same values for bad cells, the same
        weights by class."""
        if self.impute_values is not None:
            source.fill = self.impute_values
        other = DataLoader(source, batch_size=1024, on_bad_rows=self.on_bad_rows)
        other.class_weight = self.class_weight
        return other

    def filling(self, fill: Sequence[float] | None) -> DataLoader:
        """Return the same rows with these values for bad cells, where the loader fills them in."""
        if fill is None or self.on_bad_rows not in FILLS:
            return self
        other = copy.copy(self)
        other.impute_values = np.asarray(fill, np.float64)
        return other

    def weighed(self, class_weight: tuple[np.ndarray, np.ndarray] | None) -> DataLoader:
        """The same rows with weights by class (classes, weights), unless the loader has its own."""
        if class_weight is None or self.class_weight is not None:
            return self
        other = copy.copy(self)
        other.class_weight, other._whole = class_weight, None
        return other

    @property
    def schema(self) -> Schema | None:
        """What columns and labels mean and what stands for bad cells; None where nothing of that is known."""
        schema = self.source.schema
        if self.impute_values is None:
            return schema
        schema = schema or Schema((Column(None),) * len(self.impute_values))
        return replace(schema, fill=tuple(float(v) for v in self.impute_values))

    # ---- what the arguments amount to

    @property
    def _names(self) -> tuple[Any, ...] | None:
        """What a table calls the classes 0, 1, ..."""
        return self.schema.classes if self.schema is not None else None

    def _labels(self, class_weight: Any, sampling: Any) -> np.ndarray | None:
        """Classes of the rows of an epoch, when an argument asks for them, or where they are in memory."""
        asked = isinstance(class_weight, str) or isinstance(sampling, str)
        if not asked and (class_weight is None or self._depth()):
            return None
        labels = self.source.labels()
        if labels is None:
            return None
        if self._kept is not None:
            labels = labels[self._kept]
        elif self.on_bad_rows == "skip" and labels.ndim == 1:  # of a stream: those that are known
            labels = labels[labels == labels]
        return sampling_.as_labels(labels, "sampling") if isinstance(sampling, str) else sampling_.classes_of(labels)

    def _sampler(self, sampling: Any, labels: np.ndarray | None) -> sampling_.Sampler | None:
        if not self.by_number:
            return None
        assert self.source.rows is not None
        return sampling_.sampler(sampling, self.source.rows, labels, self._kept)

    def _depth(self) -> int:
        return 0 if isinstance(self.source, Indexed) and self.source.arrays is not None else 1

    @property
    def whole(self) -> tuple[Any, Any, Any] | None:
        """X, y and weights as `fit` hands them to C, when all the loader does is to number their rows; else None."""
        if not isinstance(self.source, Indexed) or self.on_bad_rows in ("error", *FILLS):
            return None
        parts = self.source.arrays
        if parts is None or (self.class_weight is None and self._kept is None):
            return parts
        if self._whole is None:
            rows = Rows(np.arange(self.source.rows), *parts)
            rows = rows if self._kept is None else without_gaps(rows)
            rows = rows if self.class_weight is None else sampling_.weigh(rows, self.class_weight)
            self._whole = rows.x, rows.targets, rows.weights
        return self._whole

    @property
    def plain(self) -> bool:
        """Whether an epoch has each row of the data once."""
        return self._kept is None and (self.sampling is None or isinstance(self.sampling, sampling_.Shuffle))

    @property
    def sparse(self) -> bool:
        """Whether X is a sparse matrix."""
        return isinstance(self.source, Indexed) and isinstance(self.source.x, SparsePart)

    # ---- bad rows

    def _survey(self) -> None:
        """One pass, where a choice needs to know all rows before the first is handed out."""
        if self.on_bad_rows in (None, "error") or (not self.by_number and self.on_bad_rows == "skip"):
            return
        if self.on_bad_rows in FILLS and (self.source.rows is None or self.sparse):
            what = "a sparse X" if self.sparse else "a stream, whose columns have no mean or median before its end"
            raise ArgumentValueError(
                f"expected on_bad_rows='error' or 'skip' for {what}; received on_bad_rows={self.on_bad_rows!r}"
            )
        known = self.source.fill
        if known is not None and self.on_bad_rows in FILLS:
            self.impute_values = np.asarray(known)
            return
        tally = Tally(str(self.on_bad_rows))
        if self.on_bad_rows in FILLS:
            whole = isinstance(self.source, Indexed) and self.source.arrays is not None
            rows = int(self.source.rows or 0)
            self.impute_values = fill_values(self.on_bad_rows, self._in_order, rows, whole, tally)
        else:
            self._kept = np.flatnonzero(np.concatenate([tally.count(rows) for rows in self._in_order()]))
            if not len(self._kept):
                raise NonfiniteDataError(f"expected rows of finite numbers; received {tally.rows}, all of them bad")
        self.bad_rows = tally.result()

    def parts(self) -> Iterator[Rows]:
        """One pass over all rows, in the source's order where it has one: what layers adapt to."""
        if self.source.rows is None or (not self.by_number and self.source.bounds is None):
            yield from self.blocks(self.epoch)
            return
        tally, first = Tally(self.on_bad_rows or ""), 0
        for rows in self._in_order():
            if self._kept is None:
                yield self._finish(rows, tally)
                continue
            kept = np.isin(np.arange(first, first + len(rows)), self._kept)
            first += len(rows)
            yield Rows(rows.numbers[kept], rows.x[kept], None if rows.targets is None else rows.targets[kept], None)

    def _finish(self, rows: Rows, tally: Tally) -> Rows:
        """What is done to rows on their way: bad cells, class weights."""
        if self.on_bad_rows in ("error", *FILLS):
            bad = bad_cells(rows.x)
            if len(bad) and self.on_bad_rows == "error":
                raise bad_cell(self.source, "X", rows, bad)
            if len(bad):
                rows.x = fill(rows.x, bad, np.asarray(self.impute_values))
            bad = bad_cells(rows.targets)
            if len(bad):
                raise bad_cell(self.source, "y", rows, bad)
        return rows if self.class_weight is None else sampling_.weigh(rows, self.class_weight)

    def weigh_classes(self, class_weight: Any) -> None:
        """Weights by class from now on: as the argument `class_weight`."""
        self.class_weight = sampling_.class_weights(class_weight, self._labels(class_weight, None), self._names)
        self._whole = None

    # ---- epochs

    def __repr__(self) -> str:
        return (
            f"DataLoader({'?' if self.n_rows is None else self.n_rows} rows, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, drop_last={self.drop_last}, seed={self.seed}, epoch={self.epoch})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration run this epoch from its first batch.

        Parameters
        ----------
        epoch : int >= 0
            The order of rows follows from it and the seed alone.
        """
        self.epoch = checks.integer("epoch", epoch, 0, 2**63 - 1)
        self._at, self._iteration, self._first = None, None, 0

    @property
    def ordered(self) -> bool:
        """Whether every epoch visits the rows 0, 1, 2, ... and nothing is left out."""
        return not self.shuffle and self.plain

    def begin(self) -> tuple[int, int]:
        """Start an iteration: its epoch, and how many batches of it were seen before a resume."""
        epoch, first = self.epoch, self._first
        self.epoch, self._first = epoch + 1, 0
        self._at, self._iteration = (epoch, first), object()
        return epoch, first

    def seen(self, epoch: int, batches: int) -> None:
        """The first `batches` of an epoch count as seen: for loops that do not iterate over the loader itself."""
        self._at = (epoch, batches)

    def __iter__(self) -> Iterator[Any]:
        epoch, first = self.begin()
        return self._batches(epoch, first, self._iteration)

    def _batches(self, epoch: int, first: int, token: object) -> Iterator[Any]:
        for block in self.blocks(epoch, first):
            for start in range(0, len(block), self.batch_size):
                rows = block[start : start + self.batch_size]
                first += 1
                if self._iteration is token:
                    self._at = (epoch, first)
                yield as_batch(rows, copy=len(rows) < len(block))
        if self._iteration is token and self.n_rows is None:
            self._at = (epoch + 1, 0)

    def blocks(self, epoch: int, first: int = 0) -> Iterator[Rows]:
        """The rows of an epoch from batch `first` on, in blocks of whole batches, as `fit` reads them."""
        tally = Tally(self.on_bad_rows or "")
        finished = (self._finish(rows, tally) for rows in self._read(epoch, first, tally))
        ahead = Prefetcher(finished, self.prefetch) if self.prefetch else None
        empty = first == 0
        try:
            while True:
                begin = time.perf_counter()
                block = next(ahead or finished, None)
                self.waited += time.perf_counter() - begin
                if block is None:
                    break
                empty = False
                if tally.rows:
                    self.bad_rows = tally.result()
                yield block
        finally:
            if ahead is not None:
                ahead.close()
            if tally.rows:
                self.bad_rows = tally.result()
        if empty:
            bad = f", and {tally.rows} with cells that are no numbers" if tally.rows else ""
            raise ShapeError(f"expected rows for a batch of {self.batch_size}; received fewer{bad}")

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Where iteration stands: a small dict of plain values, for JSON or a checkpoint.

        Taken inside a ``for`` loop, the batch that the loop body holds counts as seen; within `fit`, the batches
        that were trained on.
        """
        epoch, seen = self._at or (self.epoch, self._first)
        if self.n_rows is not None and seen >= len(self):
            epoch, seen = epoch + 1, 0
        return {"epoch": epoch, "batch": seen, **self._identity(), **self.source.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken: same order, next batch.

        The loader must have been made with the same number of rows, batch size, shuffling, `drop_last` and seed. A
        stream is read from its beginning, or from the part of the file that the next batch lies in, and what was
        seen is passed over.

        Parameters
        ----------
        state : dict
            What `state_dict` gave, also through JSON.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            Another kind of dict, or that of a loader with other settings; this loader stays where it was.
        """
        if not isinstance(state, dict):
            raise ArgumentTypeError(f"expected a dict from DataLoader.state_dict(); received state={state!r}")
        for name, mine in self._identity().items():
            if name not in state or state[name] != mine:
                raise ArgumentValueError(
                    f"expected the state of a DataLoader with {name}={mine!r}; received {name}={state.get(name)!r}"
                )
        epoch = checks.integer("state['epoch']", state.get("epoch"), 0, 2**63 - 1)
        most = 2**63 - 1 if self.n_rows is None else len(self) - 1
        first = checks.integer("state['batch']", state.get("batch"), 0, most)
        self.source.load_state(state)
        self.set_epoch(epoch)
        self._first = first

    def _identity(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "rows": self.n_rows,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": self.seed,
            "sampling": None if self.sampling is None else self.sampling.identity,
        }
        return plain if self.by_number else plain | {"buffer": self.buffer}


list_arguments_of(DataLoader)
