"""Parquet files, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import FileFormatError, PynnError, ShapeError
from . import arrow
from .schema import Cells
from .table import PIECE, Table, require_same, stamp_of

__all__ = ["ParquetTable"]


class ParquetTable(Table):
    """A Parquet file. Each row group is a chunk."""

    complete = True

    def __init__(self, path: Path) -> None:
        pa, self._parquet = arrow.module("pyarrow"), arrow.module("pyarrow.parquet")
        self.path, self.where, self._stamp = path, f" of {path}", stamp_of(path)
        try:
            with self._parquet.ParquetFile(path) as file:
                schema, index = file.schema_arrow, arrow.index_of(file.schema_arrow)
                self._types = dict(zip(schema.names, schema.types, strict=True))
                self.columns = [name for name in schema.names if name not in index]
                groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"expected a Parquet file; received {str(path)!r}: {error}") from None
        self.bounds = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self.rows = int(self.bounds[-1])
        if not self.rows:
            raise ShapeError(f"expected at least one row{self.where}; received none")

    def kinds(self, names: list[str]) -> dict[str, str]:
        return {name: arrow.kind(name, self._types[name], self.where) for name in names}

    def read(self, kinds: dict[str, str], chunk: int | None = None) -> Iterator[tuple[int, dict[str, Cells]]]:
        pa = arrow.module("pyarrow")
        groups = range(len(self.bounds) - 1) if chunk is None else [chunk]  # type: ignore[arg-type]
        number = 0 if chunk is None else int(self.bounds[chunk])  # type: ignore[index]
        at_once = max(256, 4 * PIECE // (4 * len(kinds)))
        require_same(self.path, self._stamp)
        ahead = min(max(16 * PIECE // len(kinds), 4096), PIECE)  # bytes of each column in the reader's hands
        try:
            with self._parquet.ParquetFile(self.path, buffer_size=ahead, pre_buffer=False) as file:
                for batch in file.iter_batches(at_once, groups, list(kinds), use_threads=False):
                    yield number, {name: arrow.cells(batch.column(name), kind) for name, kind in kinds.items()}
                    number += batch.num_rows
        except PynnError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"expected an intact Parquet file; received {str(self.path)!r}, damaged near row {number}: {error}"
            ) from None
