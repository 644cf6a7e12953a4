"""Only the rows and columns of a run's tables that a command needs, so that its memory stays flat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.core.annotations import NO_ID, Annotations, Frames, Snapshot
from audit.core.findings import Findings
from audit.core.table import FloatArray, IntArray, ObjectArray, T, Table, column
from audit.memory import give_back
from audit.runs import BATCH_ROWS, RunFolder, from_arrow, read_columns, rows_of

HEAVY = {"points", "mask", "source", "digest"}
"""Columns of annotations that take most of the memory."""
TOLD = ["name", "number", "task", "job"]
"""What of a frame is told beside a finding."""


@dataclass(frozen=True, eq=False)
class _Keys(Table):
    """What findings are chosen by; columns as in ``Findings``."""

    type: IntArray = column(np.int64, NO_ID, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    label: IntArray = column(np.int64, NO_ID)
    suggested_label: IntArray = column(np.int64, NO_ID)


def pieces(run: RunFolder, name: str, kind: type[T]) -> Iterator[T]:
    """A table of the run, the columns of this kind only, some thousand rows at a time."""
    columns = list(kind().columns())
    for batch in _batches(run.path / f"{name}.parquet", columns):
        yield from_arrow(pa.Table.from_batches([batch]), kind, run.labels)
    give_back()


def finding_keys(run: RunFolder) -> Findings:
    """All findings, ranked, by type, frame, score and labels; the other columns are left out and take no memory."""
    return Findings(**_Keys.concat(pieces(run, "findings", _Keys)).columns())


def findings_named(run: RunFolder, ids: Collection[str]) -> dict[int, str]:
    """Row and id of the findings that have one of these ids."""
    sought = pa.array(sorted(ids), pa.string())
    found: dict[int, str] = {}
    start = 0
    for batch in _batches(run.path / "findings.parquet", ["id"]) if len(sought) else ():
        here = np.flatnonzero(pc.is_in(batch["id"], value_set=sought).to_numpy(zero_copy_only=False))
        found |= {start + row: batch["id"][row].as_py() for row in here.tolist()}
        start += len(batch)
    return found


class SortedIds(Sequence[str]):
    """The ids of all findings of a run, sorted, in a quarter of the memory they take as objects."""

    def __init__(self, run: RunFolder) -> None:
        table = read_columns(run.path / "findings.parquet", ["id"])
        self._ids = table["id"].take(pc.sort_indices(table["id"])).combine_chunks()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return str(self._ids[index].as_py())


def finding_blocks(run: RunFolder, rows: IntArray) -> Iterator[Findings]:
    """These findings in this order, a few thousand at a time.

    Of rows in the file's order one row group is ever in memory; of others all, as Arrow packs them.
    """
    for table in _blocks(run.path / "findings.parquet", rows):
        yield from_arrow(table, Findings, run.labels)


def annotations_filled(run: RunFolder, rows: IntArray) -> Annotations:
    """All annotations, but outlines, masks, sources and digests only of these rows and of those that share their ids.

    Elsewhere these columns are empty: of many labels they take most of the memory.
    """
    file = run.path / "annotations.parquet"
    names = pq.read_schema(file).names
    heavy = [name for name in names if name in HEAVY]
    light = read_columns(file, [name for name in names if name not in HEAVY])
    all_: Annotations = from_arrow(light, Annotations, run.labels)
    sought = np.flatnonzero(np.isin(all_.annotation_id, all_.annotation_id[rows]))
    some: Annotations = from_arrow(rows_of(file, sought), Annotations, run.labels)
    return all_.replace(**{name: _spread(getattr(all_, name), sought, getattr(some, name)) for name in heavy})


def without_labels(run: RunFolder) -> Snapshot:
    """The snapshot's jobs and frames, without paths, digests and annotations: enough to say where something is."""
    return run.snapshot(run.frames(files=False), Annotations())


def plain_annotations(run: RunFolder) -> Annotations:
    """All annotations without outlines, masks, sources and digests."""
    return annotations_filled(run, np.zeros(0, np.int64))


def _spread(empty: ObjectArray, rows: IntArray, values: ObjectArray) -> ObjectArray:
    """A column that is empty but in these rows."""
    filled: ObjectArray = empty.copy()
    filled[rows] = values
    return filled


def told_frames(run: RunFolder) -> pa.Table:
    """All frames, the columns ``TOLD``: some ten bytes each and the name."""
    return read_columns(run.path / "frames.parquet", TOLD)


def frames_told(told: pa.Table, rows: IntArray) -> Frames:
    """These rows of ``told_frames``; all else of them is left out."""
    some = told.take(pa.array(rows))
    job, task = (some[name].fill_null(NO_ID).to_numpy() for name in ("job", "task"))
    names = np.array([*some["name"].to_pylist(), None], dtype=object)[:-1]
    return Frames(name=names, number=some["number"].to_numpy(), task=task, job=job)


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        # threads would keep memory of their own
        yield from file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)


def _blocks(path: Path, rows: IntArray) -> Iterator[pa.Table]:
    if len(rows) > 1 and (np.diff(rows) <= 0).any():
        whole = rows_of(path, rows)
        for start in range(0, len(rows), BATCH_ROWS):
            yield whole.slice(start, BATCH_ROWS)
        return
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = rows[slice(*np.searchsorted(rows, [start, stop]))] - start
            if len(here):
                yield _taken(file, group, here)
            start = stop


def _taken(file: pq.ParquetFile, group: int, rows: IntArray) -> pa.Table:
    whole = file.read_row_group(group, use_threads=False)
    return whole if len(rows) == len(whole) else whole.take(pa.array(rows))
