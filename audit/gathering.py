"""Findings on the frames of videos, gathered by cause while blocks of frames pass by; memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.blocks import BLOCK_FRAMES, Blocks, FrameTable
from audit.checks.causes import Causes, Clock, Sightings, likeliest, track_causes
from audit.checks.chains import Chains
from audit.checks.tables import LabelEvidence
from audit.checks.twin_tracks import duplicate_causes, pair_keys, shared_frames
from audit.core.annotations import NO_ID, Annotations, Snapshot
from audit.core.findings import Findings, FindingType, with_ids
from audit.core.table import BoolArray, IntArray
from audit.memory import give_back
from audit.runs import from_arrow, to_arrow
from audit.spool import Spool

MOST_PARTS = 64
"""Parts that tracks are dealt into, to be looked at one after the other: each is one more piece a block is cut into."""
HEAVY = ("points", "mask", "rotation", "occluded", "source", "digest")
"""Columns of annotations that do not tell where tracks are."""
ON_TRACKS = (
    FindingType.LOW_OVERLAP,
    FindingType.MISMATCHING_LABEL,
    FindingType.EXTRA_ANNOTATION,
    FindingType.INVALID_SHAPE,
)


class Gathering:
    """Of one audit. Tasks without tracks are none of its business: what their frames show passes through."""

    def __init__(self, file: Path, snapshot: Snapshot, audited: BoolArray, floor: float) -> None:
        """file: all annotations, sorted by frame. audited: (frames,). floor: lowest score kept."""
        frames = snapshot.frames
        self._file, self._snapshot, self._floor = file, snapshot, floor
        self._clock = Clock.of(frames, audited)
        self._video = _videos(file, frames.task)
        self._chains = Chains(self._clock, frames.job)
        self._parts = min(MOST_PARTS, len(frames) // BLOCK_FRAMES + 1)
        self._missed: list[Findings] = []
        self._found, self._twins, self._seen = (Spool(file.parent) for _ in range(3))

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for spool in (self._found, self._twins, self._seen):
            spool.close()

    @property
    def needed(self) -> bool:
        """Whether there is any track."""
        return bool(self._video.any())

    def take(self, found: Findings, annotations: Annotations, labels: LabelEvidence, first: int) -> Findings:
        """The findings of a block that stand for themselves; the others are kept until all is known.

        found: with reasons; of tracks every candidate, however faint. annotations: of the block, into which the rows
        of found and labels point. first: row of its first annotation among all.
        """
        if not self.needed:
            return found
        track = np.append(annotations.track, False)
        on_track = track[found.annotation] & (found.annotation >= 0)
        gathered = on_track & np.isin(found.type, ON_TRACKS)
        twins = on_track & (found.type == FindingType.DUPLICATE_ANNOTATION) & track[found.related]
        missed = (found.type == FindingType.MISSING_ANNOTATION) & self._video[found.frame]
        self._keep_seen(annotations, labels[annotations.track[labels.row]])
        whole = in_all(found, first)
        self._keep(self._found, whole[gathered])
        self._keep(self._twins, whole[twins], annotations.annotation_id[found.related[twins]])
        self._missed.append(self._chains.take(whole[missed]))
        return found[~(gathered | twins | missed) & (found.score >= self._floor)]

    def causes(self) -> Findings:
        """What was kept, one finding for each cause, with ids, not ranked."""
        if not self.needed:
            return Findings()
        on_tracks = likeliest(Causes.concat([*self._of_tracks(), *self._of_pairs()]), self._clock)
        missed = Findings.concat([*self._missed, self._chains.rest()])
        missed = missed[missed.score >= self._floor]
        whole = np.append(on_tracks.whole, np.zeros(len(missed), bool))
        return with_ids(Findings.concat([on_tracks.findings, missed]), self._snapshot, whole=whole)

    def _keep_seen(self, annotations: Annotations, seen: LabelEvidence) -> None:
        ids = annotations.annotation_id[seen.row]
        rows = pa.table({"track": ids, "frame": seen.frame, "seen": seen.own_best})
        self._seen.split(self._part(seen.frame, ids), rows)

    def _keep(self, spool: Spool, found: Findings, other: IntArray | None = None) -> None:
        """other: (n,) the id of the track that stays."""
        ids = found.annotation_id if other is None else found.annotation_id + other
        rows = to_arrow(found, self._snapshot.labels)
        rows = rows if other is None else rows.append_column("other", pa.array(other))
        spool.split(self._part(found.frame, ids), rows)

    def _part(self, frame: IntArray, track: IntArray) -> IntArray:
        return np.asarray((self._clock.task[frame] + track) % self._parts)

    def _of_tracks(self) -> Iterator[Causes]:
        for part in self._found.groups:
            found: Findings = from_arrow(self._found.read(part), Findings, self._snapshot.labels)
            seen = Sightings()
            if part in self._seen:
                rows = self._seen.read(part)
                seen = Sightings(**{name: rows[name].to_numpy() for name in rows.column_names})
            yield track_causes(found, seen, self._clock, self._floor)
            give_back()

    def _of_pairs(self) -> Iterator[Causes]:
        pairs = {key for part in self._twins.groups for key in pair_keys(*self._twins_of(part), self._clock)}
        counted = shared_frames(self._tracks(), pairs, self._clock) if pairs else {}
        for part in self._twins.groups:
            yield duplicate_causes(*self._twins_of(part), counted, self._clock, self._floor)
            give_back()

    def _twins_of(self, part: int) -> tuple[Findings, IntArray]:
        rows = self._twins.read(part)
        found: Findings = from_arrow(rows, Findings, self._snapshot.labels)
        return found, np.asarray(rows["other"].to_numpy())

    def _tracks(self) -> Iterator[Annotations]:
        """The rows of tracks, block by block."""
        with FrameTable(self._file, Annotations, self._snapshot.labels, HEAVY) as table:
            for block in Blocks(table, len(self._snapshot.frames)):
                yield block[block.track]


def in_all(found: Findings, first: int) -> Findings:
    """Findings of a block as of all. first: row of its first annotation among all."""
    pointers = {"annotation": found.annotation, "related": found.related}
    return found.replace(**{name: np.where(rows < 0, NO_ID, rows + first) for name, rows in pointers.items()})


def _videos(file: Path, task: IntArray) -> BoolArray:
    """(frames,) which are of a task that has tracks. task: (frames,)."""
    tasks: set[int] = set()
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["frame", "track"], use_threads=False):
            frames = batch.column("frame").to_numpy()[np.asarray(batch.column("track").to_numpy(zero_copy_only=False))]
            tasks |= set(np.unique(task[frames]).tolist())
    return np.isin(task, list(tasks))
