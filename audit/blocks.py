"""Tables in the order of their frames, on disk: sorted there, and read a block of frames at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.core.annotations import Annotations
from audit.core.table import IntArray
from audit.runs import from_arrow, table_writer, to_arrow
from audit.spool import Spool

BLOCK_FRAMES = 512
"""Frames compared in one go."""
PIECE = 1 << 14
"""Annotations on their way to disk at a time."""


class Sorter:
    """Takes annotations as they come and writes them in the order of their frames. folder: where there is room.

    Rows of one frame keep the order in which they came. Raises ServiceError if the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder)
        self._names: set[str] = set()

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spool.close()

    @property
    def names(self) -> frozenset[str]:
        """The labels that some annotation has."""
        return frozenset(self._names)

    def add(self, annotations: Annotations, labels: Collection[str]) -> None:
        """labels: the names that the rows' codes stand for."""
        names = tuple(labels)
        self._names |= {names[code] for code in np.unique(annotations.label).tolist() if code >= 0}
        for start in range(0, len(annotations), PIECE):
            piece = annotations[start : start + PIECE]
            self._spool.split(piece.frame // BLOCK_FRAMES, to_arrow(piece, names))

    def write(self, path: Path, labels: tuple[str, ...]) -> None:
        """All of them as a Parquet file, once; then the room they took until now is free.

        labels: all names of the snapshot.
        """
        with table_writer(path, Annotations, labels) as write:
            for group in self._spool.groups:
                rows = self._spool.read(group)
                order = np.argsort(rows["frame"].to_numpy(), kind="stable")
                write(rows.take(pa.array(order)))
        self._spool.close()


class FrameTable:
    """A Parquet file sorted by frame. kind: the table it holds; without: columns that are not wanted."""

    def __init__(self, path: Path, kind: type[Any], labels: tuple[str, ...], without: Collection[str] = ()) -> None:
        self._kind, self._labels = kind, labels
        self._file = pq.ParquetFile(path)
        self._columns = [name for name in self._file.schema_arrow.names if name not in without]
        self._first, self._last = _bounds(self._file.metadata)

    def __enter__(self) -> FrameTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def read(self, start: int, stop: int, step: int = 1) -> Any:
        """The rows of frames ``start`` to ``stop`` (half-open) that ``step`` divides."""
        groups = range(int(np.searchsorted(self._last, start)), int(np.searchsorted(self._first, stop)))
        rows = self._file.read_row_groups(list(groups), columns=self._columns, use_threads=False)
        frame = rows["frame"].to_numpy()
        wanted = (frame >= start) & (frame < stop) & (frame % step == 0)
        return from_arrow(rows if wanted.all() else rows.filter(pa.array(wanted)), self._kind, self._labels)


@dataclass(frozen=True)
class Blocks:
    """All rows of a table, a block of frames at a time, as often as wanted. frames: how many there are."""

    table: FrameTable
    frames: int

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, max(self.frames, 1), BLOCK_FRAMES):
            yield self.table.read(start, start + BLOCK_FRAMES)


def _bounds(metadata: Any) -> tuple[IntArray, IntArray]:
    """First and last frame of each row group."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [next(c for c in map(g.column, range(g.num_columns)) if c.path_in_schema == "frame") for g in groups]
    return (
        np.array([c.statistics.min for c in columns], np.int64),
        np.array([c.statistics.max for c in columns], np.int64),
    )
