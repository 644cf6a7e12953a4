"""Plants known mistakes into a copy of the labels, so that the tool can learn what mistakes look like here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.core.annotations import Annotations
from audit.core.findings import FindingType
from audit.core.table import FloatArray, IntArray
from audit.trust.planting_masks import moved_outlines

SOUND = -1
SHIFT_IOU = (0.4, 0.8)
"""A slipped box overlaps its true place by this much; less is a missing and an extra label."""
TRIES = 24


@dataclass(frozen=True)
class Planted:
    """Labels with mistakes. annotations: sorted by frame. mistake: (n,) a ``FindingType`` or ``SOUND``.

    original: (n,) row of the true annotation (of the copied one for a duplicate), -1 for an invented one.
    dropped: the annotations left out.
    """

    annotations: Annotations
    mistake: IntArray
    original: IntArray
    dropped: Annotations


def plant(annotations: Annotations, frame_hw: IntArray, seed: int, rate: float, *, outlines: bool = False) -> Planted:
    """A copy of the annotations with ``rate`` of each kind of mistake, at least one; the same for the same seed.

    Dropped, shifted to an IoU of 0.4 to 0.8, given another label that occurs, copied with a little
    jitter; and as many invented. Each in several ways: what is learnt should hold however people err.
    outlines: what is moved keeps its outline or mask; else it is a box from then on.
    """
    a, n = annotations, len(annotations)
    rng = np.random.default_rng(seed)
    k = number_planted(n, rate)
    order = rng.permutation(n)
    dropped, slipped, renamed, copied = (np.sort(order[i * k : (i + 1) * k]) for i in range(4))
    xyxy, label, mistake = a.xyxy.copy(), a.label.copy(), np.full(n, SOUND)
    xyxy[slipped] = _slipped(a.xyxy[slipped], frame_hw[a.frame[slipped]], rng)
    label[renamed] = _other_labels(a, renamed, rng)
    mistake[slipped], mistake[renamed] = FindingType.LOW_OVERLAP, FindingType.MISMATCHING_LABEL
    base = a.replace(xyxy=xyxy, label=label, **_outlines(a, slipped, xyxy[slipped], frame_hw, outlines))
    jittered = _jittered(base.xyxy[copied], 0.03, rng)
    copies = base[copied]
    moved = _outlines(copies, np.arange(len(copies)), jittered, frame_hw, outlines)
    copies = copies.replace(xyxy=jittered, **moved)
    invented = _invented(a, frame_hw, k, rng)
    together = Annotations.concat([base, copies, invented])
    mistakes = np.concatenate(
        [mistake, np.full(len(copies), FindingType.DUPLICATE_ANNOTATION), np.full(k, FindingType.EXTRA_ANNOTATION)]
    )
    original = np.concatenate([np.arange(n), copied, np.full(k, -1)])
    keep = np.setdiff1d(np.arange(len(together)), dropped)
    keep = keep[np.argsort(together.frame[keep], kind="stable")]
    return Planted(together[keep], mistakes[keep], original[keep], a[dropped])


def number_planted(labels: int, rate: float) -> int:
    """Mistakes of each kind among so many labels."""
    return min(max(round(rate * labels), 1), labels // 4)


def _outlines(a: Annotations, rows: IntArray, xyxy: FloatArray, frame_hw: IntArray, wanted: bool) -> dict[str, Any]:
    """The points and masks of all when these rows are moved to the boxes given."""
    points, mask = a.points.copy(), a.mask.copy()
    points[rows], mask[rows] = moved_outlines(a[rows], xyxy, frame_hw) if wanted else (None, None)
    return {"points": points, "mask": mask}


def row_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) IoU of each row of a with the same row of b; 0 where the union is empty."""
    shared = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    both = sum(np.clip(x[:, 2:] - x[:, :2], 0, None).prod(axis=1) for x in (a, b)) - shared
    return np.asarray(np.divide(shared, both, out=np.zeros(len(a)), where=both > 0))


def _jittered(xyxy: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    wh = xyxy[:, 2:] - xyxy[:, :2]
    return np.asarray(xyxy + rng.normal(0, sigma, xyxy.shape) * np.hstack([wh, wh]))


def _slipped(xyxy: FloatArray, hw: IntArray, rng: np.random.Generator) -> FloatArray:
    """The first of some tries whose overlap is in range; else a third to the right (IoU 0.5).

    A quarter each have their sides off one by one, are moved as a whole, are too large or small, or leave out
    or take in too much at one side.
    """
    result = xyxy + (xyxy[:, 2:3] - xyxy[:, :1]) / 3 * np.array([1, 0, 1, 0])
    way = rng.integers(0, 4, len(xyxy))
    open_rows = np.arange(len(xyxy))
    for _ in range(TRIES):
        was = xyxy[open_rows]
        ways = np.stack(
            [_jittered(was, 0.15, rng), _moved(was, 0.2, rng), _resized(was, 0.25, rng), _cut(was, 0.4, rng)]
        )
        tried = _within(ways[way[open_rows], np.arange(len(was))], hw[open_rows])
        iou = row_iou(tried, was)
        good = (iou >= SHIFT_IOU[0]) & (iou <= SHIFT_IOU[1])
        result[open_rows[good]] = tried[good]
        open_rows = open_rows[~good]
    return np.asarray(result)


def _within(xyxy: FloatArray, hw: IntArray) -> FloatArray:
    """What lies in the frame: CVAT lets no shape leave it. hw: (n, 2) of each one's frame; 0, unknown, cuts nothing."""
    limit = np.where(hw > 0, hw, np.inf)[:, [1, 0, 1, 0]]
    return np.asarray(np.clip(xyxy, 0, limit))


def _moved(xyxy: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    wh = xyxy[:, 2:] - xyxy[:, :2]
    return np.asarray(xyxy + np.tile(rng.normal(0, sigma, wh.shape) * wh, 2))


def _resized(xyxy: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    wh = xyxy[:, 2:] - xyxy[:, :2]
    middle = (xyxy[:, 2:] + xyxy[:, :2]) / 2 + rng.normal(0, 0.08, wh.shape) * wh
    half = wh * np.exp(rng.normal(0, sigma, wh.shape)) / 2
    return np.hstack([middle - half, middle + half])


def _cut(xyxy: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    """One side far off (inwards two times in three), the others a little."""
    wh = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    inwards = np.where(np.arange(4) < 2, 1, -1) * np.where(rng.random(xyxy.shape) < 0.67, 1, -1)
    one = np.arange(4) == rng.integers(0, 4, (len(xyxy), 1))
    way = np.where(one, inwards * np.abs(rng.normal(0, sigma, xyxy.shape)), rng.normal(0, 0.03, xyxy.shape))
    return np.asarray(xyxy + way * wh)


def _names(a: Annotations, frame: IntArray, rng: np.random.Generator) -> IntArray:
    """(n,) a label for each: half any that occurs, three tenths as often as it occurs, the rest from its own frame."""
    n = len(frame)
    any_name, usual = rng.choice(np.unique(a.label), n), rng.choice(a.label, n)
    first, last = (np.searchsorted(a.frame, frame, side) for side in ("left", "right"))
    beside = np.minimum(first + (rng.random(n) * (last - first)).astype(np.int64), len(a) - 1)
    way = rng.random(n)
    near = np.where(last > first, a.label[beside], usual)
    return np.asarray(np.select([way < 0.5, way < 0.8], [any_name, usual], near))


def _other_labels(a: Annotations, rows: IntArray, rng: np.random.Generator) -> IntArray:
    """(rows,) another label than its own for each, where more than one occurs."""
    present, was = np.unique(a.label), a.label[rows]
    if len(present) < 2:
        return was
    step = rng.integers(1, len(present), len(rows))
    new = np.asarray(present[(np.searchsorted(present, was) + step) % len(present)])
    for _ in range(TRIES // 4):
        tried = _names(a, a.frame[rows], rng)
        taken = (tried != was) & (rng.random(len(rows)) < 0.5)
        new = np.where(taken, tried, new)
    return new


def _invented(a: Annotations, frame_hw: IntArray, k: int, rng: np.random.Generator) -> Annotations:
    """Boxes of the size of some annotation, half of them with its label too, anywhere in some frame.

    Half in any frame alike, half in frames with many annotations rather than few.
    """
    if not k:
        return a[:0]
    like = rng.integers(0, len(a), k)
    frame = np.where(rng.random(k) < 0.5, rng.choice(np.unique(a.frame), k), rng.choice(a.frame, k))
    known = frame_hw[frame][:, ::-1].astype(np.float64)
    room = np.where(known > 0, known, a.xyxy[:, 2:].max(axis=0, initial=1))
    wh = np.minimum(a.xyxy[like, 2:] - a.xyxy[like, :2], 0.8 * room)
    corner = rng.uniform(0, 1, (k, 2)) * (room - wh)
    xyxy = np.hstack([corner, corner + wh])
    label = np.where(rng.random(k) < 0.5, a.label[like], _names(a, frame, rng))
    return a[like].replace(xyxy=xyxy, frame=frame, label=label, points=None, mask=None, shape=None)
