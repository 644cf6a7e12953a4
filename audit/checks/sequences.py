"""Frames in their order and tracks along them: where each row of a track stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Annotations, Frames, ShapeType
from audit.core.boxes import area
from audit.core.table import BoolArray, FloatArray, IntArray


def in_order(frames: Frames) -> tuple[IntArray, IntArray]:
    """Frames by task, job and number: (n,) their rows in that order, and (n,) the sequence each of these is in."""
    order = np.lexsort([frames.number, frames.job, frames.task])
    task, job = frames.task[order], frames.job[order]
    begins = np.append(True, (task[1:] != task[:-1]) | (job[1:] != job[:-1]))[: len(order)]
    return order, np.cumsum(begins) - 1


@dataclass(frozen=True)
class Places:
    """Rows of tracks, sorted by track and then by time.

    row: of the annotations. frame: of the frames. track: 0, 1, 2 ... place: position of the frame among all frames
    in their order, so that neighbours in time differ by one. order: (frames,) the frame at each place.
    """

    row: IntArray
    frame: IntArray
    track: IntArray
    place: IntArray
    order: IntArray

    @property
    def n_tracks(self) -> int:
        return int(self.track[-1]) + 1 if len(self.track) else 0

    def follows(self) -> BoolArray:
        """(n,) whether the row before is of the same track and on the frame before."""
        near = (self.track[1:] == self.track[:-1]) & (self.place[1:] == self.place[:-1] + 1)
        return np.append(False, near)[: len(self.row)]

    def frame_after(self, rows: IntArray) -> IntArray:
        """The frame that follows each of these places; there must be one."""
        return self.order[self.place[rows] + 1]


def places_of(annotations: Annotations, frames: Frames) -> Places:
    """The rows of tracks that have an area. A track is what shares id, task, job and label."""
    areal = ~np.isin(annotations.shape, (ShapeType.TAG, ShapeType.POINTS, ShapeType.POLYLINE))
    rows = np.flatnonzero(annotations.track & areal & ~annotations.crowd & (area(annotations.xyxy) > 0))
    order, sequence = in_order(frames)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    at = place[annotations.frame[rows]]
    keys = np.column_stack([annotations.label[rows], annotations.annotation_id[rows], sequence[at]])
    by_track = np.lexsort([at, *keys.T])
    rows, at, keys = rows[by_track], at[by_track], keys[by_track]
    same = (keys[1:] == keys[:-1]).all(axis=1)
    # a row that stands twice on one frame is no step in time
    once = np.append(True, ~(same & (at[1:] == at[:-1])))[: len(rows)]
    track = np.cumsum(np.append(True, ~same)[: len(rows)]) - 1
    return Places(rows[once], annotations.frame[rows[once]], track[once], at[once], order)


def rows_at(blocks: Iterable[Annotations], rows: IntArray) -> Annotations:
    """The annotations at these rows, in the order asked. blocks: all of them, in pieces."""
    sought, back = np.unique(rows, return_inverse=True)
    parts, first = [], 0
    for block in blocks:
        wanted = sought[slice(*np.searchsorted(sought, [first, first + len(block)]))] - first
        if len(wanted):
            parts.append(block[wanted])
        first += len(block)
    return Annotations.concat(parts)[back.reshape(-1)]


def median_by(group: IntArray, values: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """(n,) lower median of the values in each group, 0 for an empty one, and (n,) how many there are."""
    order = np.lexsort([values, group])
    count = np.bincount(group, minlength=n)
    first = np.cumsum(count) - count
    middle = np.zeros(n)
    filled = count > 0
    middle[filled] = values[order][(first + (count - 1) // 2)[filled]]
    return middle, count
