"""Plants known mistakes into a copy of labels that have masks: worn, swollen, slipped, cut, merged and split ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import scipy  # loads its parts when they are used, which most audits do not

from audit.core.annotations import Annotations
from audit.core.boxes import pairs_within
from audit.core.masks import box_of, encode
from audit.core.outline_fit import moved
from audit.core.outlines import crop
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, objects

SPOILT_IOU = (0.4, 0.85)
"""A spoilt mask overlaps the true one by this much."""
SPLIT_SHARE = (0.3, 0.7)
"""Share of a split mask that stays with the first piece."""
SLANTED = 0.5
"""Share of the cuts in any direction."""
NEIGHBOUR_GAP = 0.5
"""Merged objects lie at most so far apart, as a share of the smaller one's side."""
LEAST_PX = 64
"""Smaller masks are left as they are: there is no telling a good one of them from a bad one."""

ROOM = 0.5
"""Pixels around a mask to draw in, as a share of its longer side: one of twice its area, or moved by half, fits."""


class MaskMistake(IntEnum):
    """What was done to a mask."""

    ERODED = 0
    DILATED = 1
    SHIFTED = 2
    CUT = 3
    MERGED = 4
    SPLIT = 5


SOUND = -1


@dataclass(frozen=True)
class PlantedMasks:
    """Labels with mistakes, sorted by frame. mistake: (n,) a ``MaskMistake`` (both pieces, if split) or ``SOUND``."""

    annotations: Annotations
    mistake: IntArray


@dataclass(frozen=True)
class _Drawn:
    """A mask in a window with room around it: pixels (h, w), and the window's left and top in the frame."""

    pixels: BoolArray
    left: int
    top: int
    hw: tuple[int, int]

    def counts(self, pixels: BoolArray) -> bytes:
        """The frame's mask with these pixels in the window."""
        whole = np.zeros(self.hw, np.uint8)
        y1, x1 = max(self.top, 0), max(self.left, 0)
        part = pixels[y1 - self.top :, x1 - self.left :][: self.hw[0] - y1, : self.hw[1] - x1]
        whole[y1 : y1 + part.shape[0], x1 : x1 + part.shape[1]] = part
        return encode(whole)


def plant_masks(annotations: Annotations, frame_hw: IntArray, seed: int, rate: float) -> PlantedMasks:
    """A copy with ``rate`` of each kind of mistake, at least one where a label fits it; the same for the same seed.

    annotations: each with a mask (RLE counts of its frame's size). frame_hw: (frames, 2).
    """
    a, n = annotations, len(annotations)
    rng = np.random.default_rng(seed)
    k = max(1, round(rate * n))
    free = [i for i in rng.permutation(n).tolist() if _size(a.mask[i], frame_hw[a.frame[i]]) >= LEAST_PX]
    masks, mistake, dropped = list(a.mask), np.full(n, SOUND), np.zeros(n, bool)
    for one, other in _neighbours(a, set(free))[:k]:
        masks[one] = _united(masks[one], masks[other], frame_hw[a.frame[one]])
        mistake[one], dropped[other] = MaskMistake.MERGED, True
        free = [i for i in free if i not in (one, other)]
    for kind, spoil in SPOILERS.items():
        for i in free[:k]:
            drawn = _drawn(masks[i], frame_hw[a.frame[i]])
            masks[i] = drawn.counts(spoil(drawn.pixels, float(rng.uniform(*SPOILT_IOU)), rng))
            mistake[i] = kind
        free = free[k:]
    pieces = []
    for i in free[:k]:
        drawn = _drawn(masks[i], frame_hw[a.frame[i]])
        kept = cut(drawn.pixels, float(rng.uniform(*SPLIT_SHARE)), rng)
        pieces.append((i, drawn.counts(drawn.pixels & ~kept)))
        masks[i], mistake[i] = drawn.counts(kept), MaskMistake.SPLIT
    sources = np.array([i for i, _ in pieces], np.int64)
    together = Annotations.concat(
        [with_masks(a, masks, frame_hw), with_masks(a[sources], [m for _, m in pieces], frame_hw)]
    )
    mistakes = np.concatenate([mistake, np.full(len(pieces), int(MaskMistake.SPLIT))])
    keep = np.flatnonzero(np.concatenate([~dropped, np.ones(len(pieces), bool)]))
    keep = keep[np.argsort(together.frame[keep], kind="stable")]
    return PlantedMasks(together[keep], mistakes[keep])


def with_masks(annotations: Annotations, masks: list[bytes], frame_hw: IntArray) -> Annotations:
    """The annotations with these masks and the boxes around them."""
    sizes = frame_hw[annotations.frame].tolist()
    boxes = [box_of(m, (h, w)) for m, (h, w) in zip(masks, sizes, strict=True)]
    return annotations.replace(mask=objects(masks), points=None, xyxy=np.array(boxes).reshape(-1, 4))


def moved_outlines(annotations: Annotations, xyxy: FloatArray, frame_hw: IntArray) -> tuple[ObjectArray, ObjectArray]:
    """Points and masks (n,) stretched from each one's box to the one given; None where there is none."""
    points, masks = objects([None] * len(annotations)), objects([None] * len(annotations))
    rows = zip(annotations.points, annotations.mask, annotations.xyxy, xyxy, annotations.frame, strict=True)
    for i, (rings, counts, old, new, frame) in enumerate(rows):
        if counts is not None:
            masks[i] = _stretched(counts, new, frame_hw[frame])
        elif rings is not None:
            scale = (new[2:] - new[:2]) / np.maximum(old[2:] - old[:2], 1e-9)
            points[i] = tuple((ring - old[:2]) * scale + new[:2] for ring in rings)
    return points, masks


def _stretched(counts: bytes, xyxy: FloatArray, hw: IntArray) -> bytes:
    """A mask whose box becomes this one, by the nearest pixel."""
    h, w = (int(v) for v in hw)
    x1, y1, x2, y2 = (int(v) for v in box_of(counts, (h, w)))
    inner = crop(counts, (h, w), (x1, y1, x2, y2))
    whole = np.zeros((h, w), bool)
    if not inner.size:
        return encode(whole)
    left, top, right, bottom = (int(v) for v in np.clip(np.rint(xyxy), 0, [w, h, w, h]))
    across = (np.arange(left, right) + 0.5 - xyxy[0]) / max(xyxy[2] - xyxy[0], 1e-9) * inner.shape[1]
    down = (np.arange(top, bottom) + 0.5 - xyxy[1]) / max(xyxy[3] - xyxy[1], 1e-9) * inner.shape[0]
    columns, rows = (np.clip(v.astype(int), 0, n - 1) for v, n in ((across, inner.shape[1]), (down, inner.shape[0])))
    whole[top:bottom, left:right] = inner[np.ix_(rows, columns)]
    return encode(whole)


def eroded(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    """What lies deepest inside, until so much of it is left."""
    return _first(_depth(mask), iou * mask.sum(), mask, rng)


def dilated(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    """With what lies nearest around it, until it makes so little of the whole."""
    return np.asarray(mask | _first(-_depth(~mask), mask.sum() * (1 / iou - 1), ~mask, rng))


def shifted(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    """Moved in some direction until it overlaps its place by no more than this."""
    angle = rng.uniform(0, 2 * np.pi)
    there = mask
    for step in range(1, max(mask.shape)):
        there = moved(mask, round(step * float(np.cos(angle))), round(step * float(np.sin(angle))))
        if (there & mask).sum() <= iou * (there | mask).sum():
            break
    return there


def cut(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    """Its part on one side of a straight line, so large a share of it; the line is upright or level half the time.

    What stands in front of an object is mostly upright or level, and so is where labels end.
    """
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < SLANTED else rng.integers(4) * np.pi / 2
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    return _first(np.cos(angle) * x + np.sin(angle) * y, iou * mask.sum(), mask, rng)


SPOILERS: dict[MaskMistake, Callable[[BoolArray, float, np.random.Generator], BoolArray]] = {
    MaskMistake.ERODED: eroded,
    MaskMistake.DILATED: dilated,
    MaskMistake.SHIFTED: shifted,
    MaskMistake.CUT: cut,
}


def _depth(mask: BoolArray) -> FloatArray:
    """Steps of a king to the nearest pixel outside; the window's edge is none, since it has room around it."""
    return np.asarray(scipy.ndimage.distance_transform_cdt(mask, "chessboard"), np.float64)


def _first(value: FloatArray, count: float, among: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The pixels of the highest values among some, about ``count``, at least one."""
    candidates = np.flatnonzero(among)
    jitter = rng.uniform(0, 1, len(candidates))  # ties in no order of their own
    order = np.argsort(-(value.ravel()[candidates] + jitter))
    out = np.zeros(among.size, bool)
    out[candidates[order[: max(1, round(float(count)))]]] = True
    return out.reshape(among.shape)


def _size(counts: bytes, hw: IntArray) -> int:
    box = box_of(counts, (int(hw[0]), int(hw[1])))
    return int((box[2] - box[0]) * (box[3] - box[1]))


def _drawn(counts: bytes, hw: IntArray) -> _Drawn:
    """A mask with room around it to grow and move."""
    h, w = (int(v) for v in hw)
    x1, y1, x2, y2 = (int(v) for v in box_of(counts, (h, w)))
    room = max(round(ROOM * max(x2 - x1, y2 - y1)), 4)
    inner = crop(counts, (h, w), (x1, y1, x2, y2))
    return _Drawn(np.pad(inner, room), x1 - room, y1 - room, (h, w))


def _united(a: bytes, b: bytes, hw: IntArray) -> bytes:
    h, w = (int(v) for v in hw)
    return encode(crop(a, (h, w), (0, 0, w, h)) | crop(b, (h, w), (0, 0, w, h)))


def _neighbours(a: Annotations, free: set[int]) -> list[tuple[int, int]]:
    """Pairs of one name close to each other, each label in one pair at most, largest neighbour first."""
    wh = a.xyxy[:, 2:] - a.xyxy[:, :2]
    side = np.sqrt(np.maximum(wh.prod(axis=1), 1))
    reach = NEIGHBOUR_GAP / 2 * side[:, None]
    near = pairs_within(a.xyxy + np.hstack([-reach, -reach, reach, reach]), a.frame)
    alike = np.minimum(side[near.left], side[near.right]) / np.maximum(side[near.left], side[near.right])
    good = np.flatnonzero((a.label[near.left] == a.label[near.right]) & (alike >= NEIGHBOUR_GAP))
    found: list[tuple[int, int]] = []
    for p in good[np.argsort(-alike[good], kind="stable")].tolist():
        one, other = int(near.left[p]), int(near.right[p])
        if one in free and other in free:
            found.append((one, other))
            free -= {one, other}
    return found
