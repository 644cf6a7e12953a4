"""Boxes: area, overlap, and the overlapping pairs of two columns of boxes over many frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.core.table import FloatArray, IntArray, Table, column

BLOCK = 1 << 16
"""Pairs looked at in one go: small enough that the columns at work stay in the processor's cache."""


def area(xyxy: FloatArray) -> FloatArray:
    """Area of each box. xyxy: (n, 4) pixels. Returns (n,) px²; 0 for swapped corners and for NaN."""
    width, height = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
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


def pairs_within(xyxy: FloatArray, frame: IntArray) -> Pairs:
    """All pairs of two boxes of the same frame that overlap, each once, ``left`` before ``right``.

    xyxy: (n, 4) pixels. frame: (n,) ascending. Raises ValueError if frames are not sorted.
    """
    _require_sorted(frame)
    return _among(xyxy, xyxy, np.arange(1, len(frame) + 1), np.searchsorted(frame, frame, "right"))


def _require_sorted(*frames: IntArray) -> None:
    if any(np.any(np.diff(f) < 0) for f in frames):
        raise ValueError("boxes must be sorted by frame")


def _among(left: FloatArray, right: FloatArray, first: IntArray, last: IntArray) -> Pairs:
    """Overlapping pairs of each left row with the right rows from ``first`` up to ``last``."""
    left_area = area(left)
    count = np.where(left_area > 0, last - first, 0)
    if not count.any():
        return Pairs()
    right_area = area(right)
    left_columns, right_columns = np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)
    parts = []
    for rows in _blocks(count):
        l_row = np.repeat(np.arange(rows.start, rows.stop), count[rows])
        ends = np.cumsum(count[rows])
        r_row = np.arange(len(l_row)) + np.repeat(first[rows] - ends + count[rows], count[rows])
        parts.append(_overlapping(left_columns, right_columns, left_area, right_area, l_row, r_row))
    return Pairs.concat(parts)


def _blocks(count: IntArray) -> Iterator[slice]:
    """Runs of rows that make about ``BLOCK`` pairs each (more if one row alone makes more)."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count) and ends[-1] > (ends[start - 1] if start else 0):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + BLOCK, "right")), start + 1)
        yield slice(start, stop)
        start = stop


def _overlapping(
    left: FloatArray, right: FloatArray, left_area: FloatArray, right_area: FloatArray, l_row: IntArray, r_row: IntArray
) -> Pairs:
    # take() on one column is a third quicker than indexing; most pairs end at the width
    with np.errstate(invalid="ignore"):
        width = _common(left[0::2], right[0::2], l_row, r_row)
        keep = np.flatnonzero(width > 0)
        l_row, r_row, width = l_row.take(keep), r_row.take(keep), width.take(keep)
        height = _common(left[1::2], right[1::2], l_row, r_row)
        keep = np.flatnonzero((height > 0) & (right_area.take(r_row) > 0))
        l_row, r_row = l_row.take(keep), r_row.take(keep)
        shared = width.take(keep) * height.take(keep)
        iou = shared / (left_area.take(l_row) + right_area.take(r_row) - shared)
    return Pairs(left=l_row, right=r_row, iou=iou, shared=shared)


def _common(left: FloatArray, right: FloatArray, l_row: IntArray, r_row: IntArray) -> FloatArray:
    """What the intervals of each pair share along one axis; negative if nothing. left, right: (2, n) from and to."""
    start = np.maximum(left[0].take(l_row), right[0].take(r_row))
    return np.asarray(np.minimum(left[1].take(l_row), right[1].take(r_row)) - start)
