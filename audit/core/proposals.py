"""Where a shape should lie instead: boxes cut to the image, outlines of masks, polygons cut to the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray

from audit.core.masks import decode, pair_iou, rle_of_rings
from audit.core.table import FloatArray, objects

Box = tuple[float, float, float, float]
Ring = tuple[tuple[float, float], ...]

DECIMALS = 2
"""Of a proposed coordinate in pixels: what CVAT's own exports keep."""
THIN_PX = 1.0
"""A side shorter than this shows nothing, as the invalid-shape check has it."""
OUTLINE_PX = 0.7
"""How far a simplified outline may leave the mask's: below a pixel, beyond the stairs of its edge."""
OUTLINE_IOU = 0.8
"""An outline must cover its mask at least so well; holes and scattered parts have no single outline."""


@dataclass(frozen=True)
class Keypoint:
    """A skeleton's point, by the model's name. x, y: pixels. seen: else it keeps its place and is hidden."""

    name: str
    x: float
    y: float
    seen: bool


@dataclass(frozen=True)
class Proposal:
    """A place: a box (xyxy px), and where the type of shape asks for it a ring of vertices or a mask (RLE counts).

    rotation: degrees by which the box is turned clockwise about its middle; ring then holds its corners.
    keypoints: of a skeleton.
    """

    xyxy: Box
    ring: Ring = ()
    mask: bytes | None = None
    rotation: float = 0.0
    keypoints: tuple[Keypoint, ...] = ()

    @property
    def around(self) -> Box:
        """The upright box that holds it."""
        if not self.rotation or not self.ring:
            return self.xyxy
        xs, ys = zip(*self.ring, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def ordered(xyxy: FloatArray) -> Box:
    """The box with its corners the right way round."""
    x1, y1, x2, y2 = xyxy.tolist()
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def boxed(xyxy: Sequence[float], hw: tuple[int, int], *, least: float = 0.0) -> Proposal | None:
    """The box cut to the image (zeros: size unknown, not cut) and rounded; None if a side is not longer than ``least``.

    None also if a coordinate is not finite.
    """
    if not all(map(math.isfinite, xyxy)):
        return None
    x1, y1, x2, y2 = xyxy
    if min(hw) > 0:
        x1, x2 = min(max(x1, 0.0), hw[1]), min(max(x2, 0.0), hw[1])
        y1, y2 = min(max(y1, 0.0), hw[0]), min(max(y2, 0.0), hw[0])
    box = (round(x1, DECIMALS), round(y1, DECIMALS), round(x2, DECIMALS), round(y2, DECIMALS))
    return Proposal(box) if min(box[2] - box[0], box[3] - box[1]) > least else None


def spot(boxes: Sequence[FloatArray], hw: tuple[int, int]) -> Box:
    """The first of these boxes (4,) that shows inside the image, cut to it; else the whole image."""
    for box in boxes:
        found = boxed(ordered(box), hw)
        if found is not None:
            return found.xyxy
    return (0.0, 0.0, float(max(hw[1], 1)), float(max(hw[0], 1)))


def masked(counts: bytes, hw: tuple[int, int], box: Box) -> Proposal | None:
    """A mask as it was predicted; None if it is empty or not of this size."""
    return Proposal(box, mask=counts) if _pixels(counts, hw) is not None else None


def outlined(counts: bytes, hw: tuple[int, int], box: Box) -> Proposal | None:
    """The outer outline of a mask's largest part, simplified; None if that is not ``OUTLINE_IOU`` of the mask."""
    pixels = _pixels(counts, hw)
    if pixels is None:
        return None
    ring = outline(pixels)
    if len(ring) < 3:
        return None
    drawn = rle_of_rings([ring], hw)
    if pair_iou(objects([drawn]), objects([counts]), np.array([hw]))[0] < OUTLINE_IOU:
        return None
    return Proposal(box, ring=_rounded(ring))


def outline(mask: NDArray[np.bool_]) -> FloatArray:
    """(k, 2) xy of the outline around the largest part of a mask (h, w); (0, 2) for an empty mask."""
    padded = np.pad(mask.astype(np.float64), 1)  # a rim of zeros closes outlines at the image's edge
    lines: list[Any] = list(contourpy.contour_generator(z=padded).lines(0.5))
    rings = [np.asarray(line)[:-1] - 0.5 for line in lines]  # samples lie in the middle of their pixels
    if not rings:
        return np.zeros((0, 2))
    largest = max(rings, key=lambda ring: abs(_area(ring)))
    return np.clip(_simplified(largest), 0, [mask.shape[1], mask.shape[0]])


def turned_box(corners: FloatArray, rotation: float) -> Proposal:
    """A box turned by ``rotation`` degrees, of its corners (4, 2) in order, from the one that was top left."""
    (cx, cy), (across, down) = corners.mean(axis=0), (corners[1] - corners[0], corners[3] - corners[0])
    w, h = float(np.hypot(*across)) / 2, float(np.hypot(*down)) / 2
    x1, y1, x2, y2 = (round(float(v), DECIMALS) for v in (cx - w, cy - h, cx + w, cy + h))
    return Proposal((x1, y1, x2, y2), ring=_rounded(corners), rotation=round(rotation % 360, DECIMALS) % 360)


def posed(names: Sequence[str], xy: FloatArray, sure: FloatArray, *, least: float) -> Proposal | None:
    """A skeleton of keypoints (k, 2); those of which the model is less sure (k,) than ``least`` are hidden.

    None if that are all of them, or a place is not a number.
    """
    seen = sure >= least
    if not seen.any() or not np.isfinite(xy).all():
        return None
    rows = zip(names, xy.round(DECIMALS).tolist(), seen.tolist(), strict=True)
    (x1, y1), (x2, y2) = xy[seen].min(axis=0).tolist(), xy[seen].max(axis=0).tolist()
    return Proposal((x1, y1, x2, y2), keypoints=tuple(Keypoint(n, x, y, here) for n, (x, y), here in rows))


def cut(ring: FloatArray, hw: tuple[int, int]) -> Proposal | None:
    """The part of a polygon (k, 2) inside the image; None if there is none.

    Sutherland and Hodgman's method: where a concave polygon falls into parts, they stay joined along the image's edge.
    """
    height, width = hw
    for axis, edge, sign in ((0, 0.0, 1.0), (0, float(width), -1.0), (1, 0.0, 1.0), (1, float(height), -1.0)):
        ring = _half(ring, axis, edge, sign)
    if len(ring) < 3 or abs(_area(ring)) < THIN_PX**2:
        return None
    (x1, y1), (x2, y2) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    return Proposal((x1, y1, x2, y2), ring=_rounded(ring))


def _half(ring: FloatArray, axis: int, edge: float, sign: float) -> FloatArray:
    """What lies on the inner side of one edge of the image."""
    kept: list[FloatArray] = []
    for here, there in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        a, b = sign * (here[axis] - edge), sign * (there[axis] - edge)
        if a >= 0:
            kept.append(here)
        if (a >= 0) != (b >= 0):
            kept.append(here + (there - here) * (a / (a - b)))
    return np.array(kept).reshape(-1, 2)


def _pixels(counts: bytes, hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    try:
        pixels = decode(counts, hw) if min(hw) > 0 else None
    except ValueError:
        return None
    return pixels if pixels is not None and pixels.any() else None


def _rounded(ring: FloatArray) -> Ring:
    return tuple((x, y) for x, y in ring.round(DECIMALS).tolist())


def _area(ring: FloatArray) -> float:
    x, y = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _simplified(ring: FloatArray) -> FloatArray:
    """Douglas and Peucker's method on both halves of a closed ring, between its two farthest corners."""
    start = int(np.argmin(ring.sum(axis=1)))
    ring = np.roll(ring, -start, axis=0)
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    closed = np.vstack([ring, ring[:1]])
    keep = np.zeros(len(closed), bool)
    keep[[0, far]] = True
    stack = [(0, far), (far, len(closed) - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        distance = _distance(closed[first + 1 : last], closed[first], closed[last])
        worst = int(np.argmax(distance))
        if distance[worst] > OUTLINE_PX:
            middle = first + 1 + worst
            keep[middle] = True
            stack += [(first, middle), (middle, last)]
    return closed[keep]


def _distance(points: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """(n,) distance of points (n, 2) from the line through a and b, or from a where they are one."""
    along = b - a
    length = float(np.hypot(*along))
    if length == 0:
        return np.asarray(np.hypot(*(points - a).T))
    return np.asarray(np.abs(along[0] * (points[:, 1] - a[1]) - along[1] * (points[:, 0] - a[0])) / length)
