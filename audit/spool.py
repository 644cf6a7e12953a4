"""Rows too many for memory, kept on disk by group until they are wanted."""

from __future__ import annotations

import os
import tempfile
from array import array
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from audit.core.table import IntArray
from audit.errors import ServiceError


class Spool:
    """Arrow tables of one schema, by group, in a file without a name.

    However the process ends, nothing of it is left on disk. folder: where there is room, None for the system's own.
    Every method raises ServiceError if the disk is full or fails.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._where = folder or Path(tempfile.gettempdir())
        self._end = 0
        self._places: dict[int, array[int]] = {}
        try:
            self._file = tempfile.TemporaryFile(dir=self._where, buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise self._failed(error) from None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __contains__(self, group: int) -> bool:
        return group in self._places

    @property
    def groups(self) -> list[int]:
        """Those that have rows, ascending."""
        return sorted(self._places)

    def add(self, group: int, rows: pa.Table) -> None:
        """Keep these rows behind those that the group has."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
        data = sink.getvalue()
        self._places.setdefault(group, array("q")).extend((self._end, data.size))
        self._write(memoryview(data))

    def split(self, groups: IntArray, rows: pa.Table) -> None:
        """Add each row to its group. groups: (rows,), in any order; rows of one group keep theirs."""
        if np.any(np.diff(groups) < 0):
            order = np.argsort(groups, kind="stable")
            groups, rows = groups[order], rows.take(pa.array(order))
        used, starts = np.unique(groups, return_index=True)
        stops = np.append(starts, len(groups))[1:]
        for group, start, stop in zip(used.tolist(), starts.tolist(), stops.tolist(), strict=True):
            self.add(group, rows.slice(start, stop - start))

    def read(self, group: int) -> pa.Table:
        """All rows of one of the ``groups``, in the order they came."""
        places = self._places[group]
        pieces = [self._read(*place) for place in zip(places[::2], places[1::2], strict=True)]
        return pa.concat_tables(pa.ipc.open_stream(piece).read_all() for piece in pieces).unify_dictionaries()

    def close(self) -> None:
        """Give the room on disk back."""
        self._file.close()
        self._places.clear()

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, self._end)
                self._end += written
                data = data[written:]
        except OSError as error:
            raise self._failed(error) from None

    def _read(self, start: int, size: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), size, start)
        except OSError as error:
            raise self._failed(error) from None
        if len(data) != size:
            raise ServiceError(f"temporary data in {self._where} ended after {len(data)} of {size} bytes; try again")
        return data

    def _failed(self, error: OSError) -> ServiceError:
        return ServiceError(f"cannot keep temporary data in {self._where}: {error.strerror or error}")
