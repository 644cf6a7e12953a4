"""Boxes: area, overlap, and the overlapping pairs of two columns of boxes over many frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.table import FloatArray, IntArray, Table, column

BLOCK = 1 << 16
"""Pairs looked at in one go: small enough that the columns at work stay in the processor's cache."""
GRID = 8
"""Boxes that touch no common cell of a grid of so many columns and rows share nothing: one bit for each cell."""
CELL_MARGIN = 1e-6
"""Boxes reach this much further into cells (as a share of one): rounding must not part what touches."""
SMALL_PX = 1e-6
"""Where nothing has an area, any grid will do."""


def _runs(step: int) -> NDArray[np.uint64]:
    """(64,) bits 0, step, 2 × step ... from one of them to another; index: from × GRID + to."""
    runs = [sum(1 << step * k for k in range(a, b + 1)) for a in range(GRID) for b in range(GRID)]
    return np.array(runs, np.uint64)


COLUMNS, ROWS = _runs(1), _runs(GRID)
"""Cells of the grid's first row, of its first column; their product is a rectangle of cells."""


def area(xyxy: FloatArray) -> FloatArray:
    """Area of each box. xyxy: (n, 4) pixels. Returns (n,) px²; 0 for swapped corners and for NaN."""
    return _area(xyxy.T)


def _area(columns: FloatArray) -> FloatArray:
    width, height = columns[2] - columns[0], columns[3] - columns[1]
    size = width * height
    return np.where((width > 0) & (height > 0) & (size < np.inf), size, 0.0)


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Overlap of every pair. a: (n, 4), b: (m, 4), xyxy px. Returns (n, m) in [0, 1]; 0 where the union is empty."""
    pairs = overlapping_pairs(a, np.zeros(len(a), np.int64), b, np.zeros(len(b), np.int64))
    matrix = np.zeros((len(a), len(b)))
    matrix[pairs.left, pairs.right] = pairs.iou
    return matrix


@dataclass(frozen=True, eq=False)
class Pairs(Table):
    """Pairs of boxes in one frame that share some area, ordered by (left, right).

    left, right: rows of the two inputs. iou: in (0, 1]. shared: common area in px².
    """

    left: IntArray = column(np.int64, required=True)
    right: IntArray = column(np.int64, required=True)
    iou: FloatArray = column(np.float64, 0.0)
    shared: FloatArray = column(np.float64, 0.0)


def overlapping_pairs(left: FloatArray, left_frame: IntArray, right: FloatArray, right_frame: IntArray) -> Pairs:
    """All pairs of a left and a right box of the same frame that overlap.

    left: (n, 4), right: (m, 4) xyxy pixels. left_frame, right_frame: (n,), (m,) ascending.
    Boxes without area (or with NaN) are in no pair. Raises ValueError if frames are not sorted.
    """
    _require_sorted(left_frame, right_frame)
    first = np.searchsorted(right_frame, left_frame, "left")
    last = np.searchsorted(right_frame, left_frame, "right")
    return _among(left, right, first, last)


def pairs_within(xyxy: FloatArray, frame: IntArray, *, least: float = 0.0) -> Pairs:
    """All pairs of two boxes of the same frame that overlap, each once, ``left`` before ``right``.

    xyxy: (n, 4) pixels. frame: (n,) ascending. least: the IoU from which on pairs are wanted, for which fewer are
    looked at from a half up. Raises ValueError if frames are not sorted.
    """
    _require_sorted(frame)
    n = len(frame)
    ends = np.append(np.flatnonzero(frame[1:] != frame[:-1]) + 1, n)
    last = np.repeat(ends, np.diff(ends, prepend=0)) if n else ends[:0]
    return _among_themselves(xyxy, last, least)


def _require_sorted(*frames: IntArray) -> None:
    if any((f[1:] < f[:-1]).any() for f in frames):
        raise ValueError("boxes must be sorted by frame")


Columns = tuple[IntArray, IntArray, FloatArray, FloatArray]
"""Those of ``Pairs``."""


@dataclass(frozen=True)
class _Boxes:
    """columns: (4, n) of xyxy, each in one piece; zeros for boxes without area. area: (n,)."""

    columns: FloatArray
    area: FloatArray

    @classmethod
    def of(cls, xyxy: FloatArray) -> _Boxes:
        columns = np.array(xyxy.T, np.float64, order="C")
        with np.errstate(invalid="ignore", over="ignore"):
            size = _area(columns)
        columns[:, np.flatnonzero(size == 0)] = 0.0
        return cls(columns, size)

    def __getitem__(self, rows: slice) -> _Boxes:
        return _Boxes(self.columns[:, rows], self.area[rows])

    def cells(self, low: FloatArray, high: FloatArray) -> NDArray[np.uint64]:
        """(n,) the cells of a grid from low to high (x, y) that each box touches; none without area.

        All boxes with an area lie between low and high.
        """
        cell = self.columns - np.concatenate([low, low])[:, None]
        cell *= np.tile(_per_pixel(low, high), 2)[:, None]
        cell[:2] -= CELL_MARGIN
        cell[2:] += CELL_MARGIN
        x1, y1, x2, y2 = cell.astype(np.int64)
        return np.asarray(COLUMNS.take(x1 * GRID + x2) * ROWS.take(y1 * GRID + y2) * (self.area > 0))

    def middles(self, low: FloatArray, high: FloatArray) -> NDArray[np.uint64]:
        """(n,) the one cell of that grid that the middle of each box lies in."""
        middle = (self.columns[:2] + self.columns[2:]) / 2 - low[:, None]
        x, y = (middle * _per_pixel(low, high)[:, None]).astype(np.int64)
        return np.asarray(COLUMNS.take(x * (GRID + 1)) * ROWS.take(y * (GRID + 1)) * (self.area > 0))


def _per_pixel(low: FloatArray, high: FloatArray) -> FloatArray:
    """(2,) cells per pixel of a grid from low to high, with room for the margin."""
    return np.asarray((GRID - 2 * CELL_MARGIN) / np.maximum(high - low, SMALL_PX))


def _among(left: FloatArray, right: FloatArray, first: IntArray, last: IntArray, least: float = 0.0) -> Pairs:
    """Overlapping pairs of each left row with the right rows from ``first`` up to ``last``, which both ascend."""
    count = last - first
    parts = []
    for rows in _blocks(count):
        others = slice(first[rows.start], last[rows.stop - 1])
        ours, theirs = _Boxes.of(left[rows]), _Boxes.of(right[others])
        parts.append(_of_rows(ours, theirs, rows.start, others.start, first[rows], count[rows], least))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _among_themselves(xyxy: FloatArray, last: IntArray, least: float) -> Pairs:
    """Overlapping pairs of each row with the rows behind it up to ``last``."""
    first = np.arange(1, len(last) + 1)
    count = last - first
    parts = []
    for rows in _blocks(count):
        boxes = _Boxes.of(xyxy[rows.start : last[rows.stop - 1]])
        ours = boxes[: rows.stop - rows.start]
        parts.append(_of_rows(ours, boxes, rows.start, rows.start, first[rows], count[rows], least))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _of_rows(
    ours: _Boxes, theirs: _Boxes, l_start: int, r_start: int, first: IntArray, count: IntArray, least: float
) -> Columns:
    """The pairs of some left rows, of which l_start is the first, with right rows of which r_start is the first."""
    low = np.minimum(ours.columns[:2].min(axis=1), theirs.columns[:2].min(axis=1))
    high = np.maximum(ours.columns[2:].max(axis=1), theirs.columns[2:].max(axis=1))
    r_row = np.arange(count.sum())
    r_row += np.repeat(first - r_start - np.cumsum(count) + count, count)
    common = theirs.cells(low, high).take(r_row)
    # boxes that overlap by half or more each hold the other's middle
    common &= np.repeat(ours.middles(low, high) if least >= 0.5 else ours.cells(low, high), count)
    near = np.flatnonzero(common != 0)
    l_row = np.repeat(np.arange(len(count)), count).take(near)
    l_row, r_row, iou, shared = _overlapping(ours, theirs, l_row, r_row.take(near), least)
    return l_row + l_start, r_row + r_start, iou, shared


def _blocks(count: IntArray) -> Iterator[slice]:
    """Runs of rows that make about ``BLOCK`` pairs each (more if one row alone makes more)."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count) and ends[-1] > (ends[start - 1] if start else 0):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + BLOCK, "right")), start + 1)
        yield slice(start, stop)
        start = stop


def _overlapping(left: _Boxes, right: _Boxes, l_row: IntArray, r_row: IntArray, least: float) -> Columns:
    """Those of some pairs that overlap, as columns of ``Pairs``."""
    # take() on one column is a third quicker than indexing
    width, height = (_common(left.columns[i::2], right.columns[i::2], l_row, r_row) for i in (0, 1))
    keep = np.flatnonzero((width > 0) & (height > 0))
    l_row, r_row = l_row.take(keep), r_row.take(keep)
    shared = width.take(keep) * height.take(keep)
    iou = shared / (left.area.take(l_row) + right.area.take(r_row) - shared)
    if least:
        keep = np.flatnonzero(iou >= least)
        l_row, r_row, iou, shared = l_row.take(keep), r_row.take(keep), iou.take(keep), shared.take(keep)
    return l_row, r_row, iou, shared


def _common(left: FloatArray, right: FloatArray, l_row: IntArray, r_row: IntArray) -> FloatArray:
    """What the intervals of each pair share along one axis; negative if nothing. left, right: (2, n) from and to."""
    start = np.maximum(left[0].take(l_row), right[0].take(r_row))
    return np.asarray(np.minimum(left[1].take(l_row), right[1].take(r_row)) - start)
