"""The rows of an epoch as the source gives them: by number, or through a buffer that shuffles a stream."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import arrays, checks
from ..errors import ArgumentTypeError, ShapeError
from . import sampling as sampling_
from .bad import Tally
from .batch import batch
from .buffer import Buffer
from .sources import Rows, Source

__all__ = ["Reader", "as_batch"]

BLOCK_BYTES = 4 << 20  # read at a time
BUFFER_BYTES = 16 << 20  # shuffled at a time, unless `buffer` says otherwise
UNKNOWN_ROWS = 8192  # the same for streams that do not tell the size of a row


class Reader:
    """Base of a loader: the order of an epoch, and its rows read in that order."""

    source: Source
    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    on_bad_rows: str | None
    by_number: bool  # whether rows can be asked for by number; else the source is a stream
    n_rows: int | None
    buffer: int
    sampling: sampling_.Sampler | None
    _kept: np.ndarray | None

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self.n_rows is None:
            raise ArgumentTypeError("expected a loader of known length; received a stream, which ends when it ends")
        return self.n_rows // self.batch_size if self.drop_last else -(-self.n_rows // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Row numbers in the order in which an epoch visits them, as int64.

        For streams of unknown length, ArgumentTypeError.
        """
        epoch = checks.integer("epoch", epoch, 0, 2**63 - 1)
        if self.n_rows is None:
            len(self)
        if not self.by_number:
            spans = [(self.source.bounds[c], self.source.bounds[c + 1]) for c in self._chunks(epoch)]  # type: ignore
            rows = np.concatenate([np.arange(a, b) for a, b in spans])
            cuts = [rows[a:b] for a, b in self._spans(epoch)]
            return np.concatenate([cut[self._places(epoch, k, len(cut))] for k, cut in enumerate(cuts)])
        assert self.sampling is not None
        plain = isinstance(self.sampling, sampling_.Shuffle) and not self.shuffle
        order = np.arange(self.n_rows) if plain else self.sampling.order(self.seed, epoch)  # type: ignore[arg-type]
        return order if self._kept is None else self._kept[order]

    def _in_order(self) -> Iterator[Rows]:
        """All rows once, in the source's order."""
        if not self.by_number:
            for index in range(len(self.source.bounds) - 1):  # type: ignore[arg-type]
                yield from self.source.chunk(index)
            return
        step, rows = self._block_rows(), int(self.source.rows or 0)
        for first in range(0, rows, step):
            yield self.source.gather(np.arange(first, min(first + step, rows)))

    def _read(self, epoch: int, first: int, tally: Tally) -> Iterator[Rows]:
        """Read the rows of an epoch from batch `first` on, in blocks of whole batches."""
        return self._gathered(epoch, first) if self.by_number else self._streamed(epoch, first, tally)

    def _block_rows(self) -> int:
        """Rows read at a time: whole batches."""
        size = BLOCK_BYTES // self.source.row_bytes if self.source.row_bytes else 1
        size = max(1, min(size, 1 << 16))
        return max(1, size // self.batch_size) * self.batch_size

    def _gathered(self, epoch: int, first: int) -> Iterator[Rows]:
        order, step = self.order(epoch), self._block_rows()
        end = len(self) * self.batch_size
        for start in range(first * self.batch_size, min(end, len(order)), step):
            yield self.source.gather(order[start : min(start + step, end)])

    # ---- streams

    def _buffer(self, buffer: int | None) -> int:
        """Rows read and shuffled at a time from a stream: whole batches."""
        size = self.source.row_bytes
        wanted = (BUFFER_BYTES if self.shuffle else BLOCK_BYTES) // size if size else UNKNOWN_ROWS
        wanted = max(wanted, 1) if buffer is None else checks.integer("buffer", buffer, 1, 2**40)
        return -(-wanted // self.batch_size) * self.batch_size

    def _chunks(self, epoch: int) -> np.ndarray:
        """Numbers of the source's chunks in the order of an epoch."""
        n = max(1, len(self.source.bounds) - 1)  # type: ignore[arg-type]
        return arrays.shuffle(sampling_.derive(self.seed, 0), epoch, n) if self.shuffle else np.arange(n)

    def _cut(self, epoch: int) -> int:
        """Rows in the first buffer of an epoch: whole batches, by lot."""
        batches = self.buffer // self.batch_size
        if not self.shuffle or batches == 1:
            return self.buffer
        return (1 + int(sampling_.uniform(sampling_.derive(self.seed, 1), epoch, 1)[0] * batches)) * self.batch_size

    def _spans(self, epoch: int) -> Iterator[tuple[int, int]]:
        """First and last row of each buffer, in the sequence that the chunks make; endless for endless streams."""
        start, end = 0, self._cut(epoch)
        while self.n_rows is None or start < self.n_rows:
            yield start, end if self.n_rows is None else min(end, self.n_rows)
            start, end = end, end + self.buffer

    def _places(self, epoch: int, number: int, rows: int) -> np.ndarray:
        """In which order the rows of a buffer come."""
        if not self.shuffle:
            return np.arange(rows)
        places = arrays.shuffle(sampling_.derive(self.seed, 16 + number), epoch, self.buffer)
        return places[places < rows]

    def _streamed(self, epoch: int, first: int, tally: Tally) -> Iterator[Rows]:
        """Buffers of an epoch from the one on that holds batch `first`, shuffled where that is asked for."""
        done = first * self.batch_size
        spans = itertools.dropwhile(lambda span: span[1][1] <= done, enumerate(self._spans(epoch)))
        pieces: Iterator[Rows] | None = None
        left: Rows | None = None
        for number, (start, end) in spans:
            pieces = pieces or self._pieces(epoch, start, tally)
            buffer = Buffer(end - start, self._places(epoch, number, self.buffer) if self.shuffle else None)
            left = buffer.fill(left, pieces)
            rows = buffer.take()
            got = 0 if rows is None else len(rows)
            if self.n_rows is not None and got < end - start:
                raise ShapeError(f"expected {self.n_rows} rows, as the source says; received {start + got}")
            if rows is None:
                return
            keep = len(rows) // self.batch_size * self.batch_size if self.drop_last else len(rows)
            if keep > max(0, done - start):
                yield rows[max(0, done - start) : keep]
            if len(rows) < end - start:
                return

    def _pieces(self, epoch: int, start: int, tally: Tally) -> Iterator[Rows]:
        """Rows in the order of the epoch's chunks, from the start-th on; bad ones left out where that is asked for."""
        bounds, skips = self.source.bounds, self.on_bad_rows == "skip"
        for chunk in self._chunks(epoch):
            known = len(bounds) > 1 and not skips  # type: ignore[arg-type]
            if known and start >= bounds[chunk + 1] - bounds[chunk]:  # type: ignore[index]
                start -= int(bounds[chunk + 1] - bounds[chunk])  # type: ignore[index]
                continue
            for rows in self.source.chunk(int(chunk)):
                if skips:
                    good = tally.count(rows)
                    rows = rows if good.all() else rows[good]
                if start >= len(rows):
                    start -= len(rows)
                    continue
                yield rows[start:] if start else rows
                start = 0


def as_batch(rows: Rows, copy: bool) -> Any:
    """What the caller gets; blocks are not shared between batches."""

    def own(part: Any) -> Any:
        if part is None or hasattr(part, "nnz"):
            return part
        return batch(np.array(part) if copy else np.asarray(part), rows.numbers)

    x = own(rows.x)
    if rows.targets is None and rows.weights is None:
        return x
    return (x, own(rows.targets)) if rows.weights is None else (x, own(rows.targets), own(rows.weights))
