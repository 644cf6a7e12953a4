"""How one outline would have to grow or move to become another, measured along the outline.

Noise of a network's outline goes in and out; a mask that was drawn too small lies inside it all the way round, and
one that slipped lies outside it on one side and inside on the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts when they are used, which most audits do not

from audit.core.table import BoolArray, FloatArray

GRID = 64
"""Larger pairs of masks are compared at so many cells across: finer than networks draw, and bounds the cost."""
ROOM = 0.25
"""Room around the pair to grow and move in, as a share of its longer side."""
ROUND = (0.2, 0.8)
"""Quantiles of the distances along the outline between which most of it lies: what is beyond is a part, no habit."""
ROUNDS = 3
"""The weights of the least squares have settled by then."""
USUAL = 1.5
"""Distances more deviations than this from what a slip explains count less (Huber's weights)."""
FURTHER = (1.0, 1.5)
"""Moves tried, in slips: the weights make the slip rather too short."""


@dataclass(frozen=True)
class Fit:
    """How mask a sits on mask b. Lengths in the masks' pixels.

    side: square root of the larger one's area. iou: of the two. all_round: how far a's outline lies outside b's
    for most of the way round, negative for inside; 0 where it goes in and out. slip: (2,) the way from b to a that
    explains the distances between the outlines best. clarity: its length over what it leaves unexplained.
    growing, moving: what a gains in IoU when it is evenly grown or shrunk, or moved, as well as can be.
    """

    side: float = 0.0
    iou: float = 0.0
    all_round: float = 0.0
    slip: tuple[float, float] = (0.0, 0.0)
    clarity: float = 0.0
    growing: float = 0.0
    moving: float = 0.0


def fit_of(a: BoolArray, b: BoolArray) -> Fit:
    """How mask a sits on mask b, both (h, w) within one window; nothing can be told of empty ones."""
    if not a.any() or not b.any():
        return Fit(side=float(np.sqrt(max(a.sum(), b.sum()))))
    step = max(1, -(-max(a.shape) // GRID))
    room = round(ROOM * max(a.shape) / step) + 2
    one, other = (np.pad(coarse(mask, step), room) for mask in (a, b))
    if not one.any() or not other.any():
        return Fit(side=float(np.sqrt(max(a.sum(), b.sum()))))
    outside = _outside(one)
    away, normal = _along(outside, other)
    slip, rest = _slip(away, normal)
    low, high = (_quantile(away, share) for share in ROUND)
    before = _iou(one, other)
    tried = {*(_cells(-far * slip) for far in FURTHER), _cells(middle(other) - middle(one))}
    best_moved = max(_iou(moved(one, *by), other) for by in tried)
    return Fit(
        side=step * float(np.sqrt(max(one.sum(), other.sum()))),
        iou=before,
        all_round=step * float(max(low, 0) + min(high, 0)),
        slip=(step * float(slip[0]), step * float(slip[1])),
        clarity=float(np.hypot(*slip)) / rest,
        growing=max(_best_grown(outside, other) - before, 0.0),
        moving=max(best_moved - before, 0.0),
    )


def coarse(mask: BoolArray, step: int) -> BoolArray:
    """(h / step, w / step), both rounded up: cells of step x step pixels that are at least half set."""
    if step == 1:
        return mask
    height, width = (-(-n // step) for n in mask.shape)
    padded = np.zeros((height * step, width * step), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(height, step, width, step).mean(axis=(1, 3)) >= 0.5)


def _outside(mask: BoolArray) -> FloatArray:
    """How far each cell's middle lies outside the mask's edge; negative inside."""
    distance = scipy.ndimage.distance_transform_edt
    return np.asarray(np.where(mask, 0.5 - distance(mask), distance(~mask) - 0.5))


def _along(outside: FloatArray, other: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Along the other mask's outline: how far the one lies beyond it (k,), and which way is out (k, 2).

    outside: of the one mask. A mask that covers all of its window has room around it, so k > 0.
    """
    inner = other[:-2, 1:-1] & other[2:, 1:-1] & other[1:-1, :-2] & other[1:-1, 2:]
    rows, columns = np.nonzero(other[1:-1, 1:-1] & ~inner)
    rows, columns = rows + 1, columns + 1
    out = np.column_stack(
        [
            outside[rows, columns + 1] - outside[rows, columns - 1],
            outside[rows + 1, columns] - outside[rows - 1, columns],
        ]
    )
    length = np.hypot(*out.T)[:, None]
    return -(outside[rows, columns] + 0.5), out / np.maximum(length, 1e-6)


def _slip(away: FloatArray, normal: FloatArray) -> tuple[FloatArray, float]:
    """The move (2,) that together with an even growth explains the distances best, and the deviation it leaves."""
    known = np.column_stack([normal, np.ones(len(away))])
    weight = np.full(len(away), 1 / len(away))
    found, rest = np.zeros(3), 0.5
    for _ in range(ROUNDS):
        weighed = weight[:, None] * known
        found = np.linalg.solve(known.T @ weighed + np.diag([1e-2, 1e-2, 1e-3]), weighed.T @ away)
        off = np.abs(away - known @ found)
        rest = max(1.48 * _quantile(off, 0.5), 0.5)  # a cell's half is as exact as cells can be
        weight = np.minimum(1, USUAL * rest / np.maximum(off, 1e-9)) / len(away)
    return found[:2], rest


def _best_grown(outside: FloatArray, other: BoolArray) -> float:
    """The best IoU with the other mask that all within some distance of the one's edge has."""
    ring = np.floor(outside).astype(np.int64)
    ring -= ring.min()
    size = np.bincount(ring.ravel()).cumsum()
    shared = np.bincount(ring[other], minlength=len(size)).cumsum()
    return float((shared / (int(other.sum()) + size - shared)).max())


def _quantile(values: FloatArray, share: float) -> float:
    """The value below which about this share lies; of few values, without numpy's interpolation, which takes longer."""
    return float(np.sort(values)[int(share * (len(values) - 1) + 0.5)])


def _cells(way: FloatArray) -> tuple[int, int]:
    return round(float(way[0])), round(float(way[1]))


def moved(mask: BoolArray, dx: int, dy: int) -> BoolArray:
    """Moved within its window; what leaves it is lost."""
    out = np.zeros_like(mask)
    h, w = mask.shape
    if abs(dx) < w and abs(dy) < h:
        out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = mask[
            max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
        ]
    return out


def _iou(a: BoolArray, b: BoolArray) -> float:
    return int((a & b).sum()) / int((a | b).sum())


def middle(mask: BoolArray) -> FloatArray:
    """(2,) x and y of the middle of a mask that is not empty."""
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    return np.array([(np.arange(len(c)) + 0.5) @ c / c.sum() for c in (columns, rows)])
