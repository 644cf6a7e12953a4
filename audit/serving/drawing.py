"""From a decoder's small grid to a mask in the frame's pixels, as runs: no pixel of it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.table import IntArray
from audit.serving.replies import RunRegion

LARGE = 1e6
"""Stands for what is no number any more: a logit is about 10."""


def framed(logits: NDArray[np.float32], gain_xy: tuple[float, float], frame_hw: tuple[int, int]) -> RunRegion | None:
    """The pixels whose centre is above zero in the bilinear interpolation of the grid; None if there are none.

    logits: (rows, columns). gain_xy: grid cells per pixel. Beyond the outermost cells' centres these are repeated.
    """
    if not np.isfinite(logits).all():
        logits = np.nan_to_num(logits, nan=-1.0, posinf=LARGE, neginf=-LARGE)
    rows, columns = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    if not len(rows):
        return None
    first = max(int(columns[0]) - 1, 0)
    part = logits[:, first : columns[-1] + 2]
    y = np.arange(*_reach(rows, gain_xy[1], frame_hw[0]))
    row, start, stop = _spans(_between_rows(part, (y + 0.5) * gain_xy[1] - 0.5), first, gain_xy[0], frame_hw[1])
    if not len(row):
        return None
    return _runs(row + (y[0] if len(y) else 0), start, stop)


def _reach(cells: IntArray, gain: float, side: int) -> tuple[int, int]:
    """Pixels that may be inside: interpolation reaches less than one cell beyond the outermost one that is."""
    first, last = (cells[0] - 0.5) / gain, (cells[-1] + 1.5) / gain
    return max(int(np.floor(first)), 0), min(int(np.ceil(last)), side)


def _between_rows(logits: NDArray[np.float32], y: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(len(y), columns) the grid at these rows."""
    y = np.clip(y, 0, len(logits) - 1)
    above = y.astype(np.int64)
    step = np.zeros_like(logits)
    np.subtract(logits[1:], logits[:-1], out=step[:-1])
    lines = step[above]
    lines *= (y - above).astype(np.float32)[:, None]
    lines += logits[above]
    return lines


def _spans(lines: NDArray[np.float32], first: int, gain: float, width: int) -> tuple[IntArray, IntArray, IntArray]:
    """Row, first pixel and the one behind the last of every stretch above zero, in order.

    lines: (rows, columns) of the grid from its column ``first`` on. Along a line the value is straight between
    two columns, so that it passes zero once where their signs differ.
    """
    inside = np.zeros((lines.shape[0], lines.shape[1] + 2), bool)
    np.greater(lines, 0, out=inside[:, 1:-1])
    # alternately the entry to a stretch and its exit; column c lies between the grid's c - 1 and c
    row, column = np.divmod(np.flatnonzero(inside[:, 1:] != inside[:, :-1]), lines.shape[1] + 1)
    left = lines[row, np.maximum(column - 1, 0)].astype(np.float64)
    right = lines[row, np.minimum(column, lines.shape[1] - 1)].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # at the two ends, replaced below
        zero = first + column - 1 + left / (left - right)
    pixel = (zero + 0.5) / gain - 0.5
    pixel = np.where(column == 0, -1.0, np.where(column == lines.shape[1], float(width), pixel))
    pixel = np.clip(pixel, -1, width)
    start, stop = np.floor(pixel[::2]).astype(np.int64) + 1, np.ceil(pixel[1::2]).astype(np.int64)
    some = start < stop
    return row[::2][some], start[some], stop[some]


def _runs(row: IntArray, start: IntArray, stop: IntArray) -> RunRegion:
    left, right, top = int(start.min()), int(stop.max()), int(row[0])
    width, height = right - left, int(row[-1]) - top + 1
    before = (row - top) * width - left
    edges = np.stack([before + start, before + stop], axis=1).ravel()
    # a stretch up to the right edge goes on at the left edge of the next row: one run
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    size = width * height
    ends = edges if edges[-1] == size else np.append(edges, size)
    return RunRegion(np.diff(ends, prepend=0), (height, width), left, top)
