"""Every kind of CVAT's shapes as one small value: its box, its outline or vertices, or its mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audit.adapters.exports.rle import ShapeError
from audit.core.annotations import ShapeType
from audit.core.masks import ellipse_box, ellipse_outline, rotated_rectangle
from audit.core.table import FloatArray

Box = tuple[float, float, float, float]


class Shape(NamedTuple):
    """What one row of ``Annotations`` says about geometry; see there for the meaning of the fields."""

    type: ShapeType
    xyxy: Box
    points: tuple[FloatArray, ...] | None = None
    mask: bytes | None = None
    rotation: float = 0.0


def rectangle(xyxy: Box, rotation: float = 0.0) -> Shape:
    """Corners are kept as they come, swapped or NaN. rotation: degrees clockwise about the centre."""
    if not rotation or math.isnan(rotation) or any(map(math.isnan, xyxy)):
        return Shape(ShapeType.RECTANGLE, xyxy)
    outline = rotated_rectangle(xyxy, rotation)
    return Shape(ShapeType.RECTANGLE, enclosing(outline), (outline,), rotation=rotation)


def ellipse(centre_xy: tuple[float, float], radii_xy: tuple[float, float], rotation: float = 0.0) -> Shape:
    """Its outline as a polygon, and the exact box around it."""
    rotation = 0.0 if math.isnan(rotation) else rotation
    outline = ellipse_outline(centre_xy, radii_xy, rotation)
    return Shape(ShapeType.ELLIPSE, ellipse_box(centre_xy, radii_xy, rotation), (outline,), rotation=rotation)


def vertices(kind: ShapeType, rings: Sequence[FloatArray], xyxy: Box | None = None) -> Shape:
    """A polygon (one ring or several), polyline, points or cuboid. rings: (k, 2) each.

    xyxy: the box the source states; else the one around all vertices.
    """
    if not rings or not all(len(r) for r in rings):
        raise ShapeError("it has no points")
    box = enclosing(np.concatenate(list(rings))) if xyxy is None else xyxy
    return Shape(kind, box, tuple(rings))


def skeleton(points: FloatArray, shown: Sequence[bool]) -> Shape:
    """points: (k, 2). shown: (k,) which of them are not outside; only those make up the box."""
    visible = points[np.asarray(shown, dtype=bool)] if len(points) else points
    if not len(visible):
        raise ShapeError("none of its points is visible")
    return Shape(ShapeType.SKELETON, enclosing(visible), (visible,))


def tag() -> Shape:
    """A label of the whole frame."""
    return Shape(ShapeType.TAG, (0.0, 0.0, 0.0, 0.0))


def pairs(flat: FloatArray) -> FloatArray:
    """(2 k,) to (k, 2). Raises ShapeError for an odd count."""
    if len(flat) % 2:
        raise ShapeError(f"it has {len(flat)} coordinates, an odd number")
    return flat.reshape(-1, 2)


def enclosing(points: FloatArray) -> Box:
    """The box around (k, 2) points, k > 0; NaN if a coordinate is."""
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def between(a: Shape, b: Shape, share: float) -> Shape:
    """The shape at this share of the way from ``a`` to ``b``: linear for boxes and equal numbers of points.

    Other pairs (masks, polygons whose numbers of points differ) keep ``a``.
    """
    if a.type != b.type or a.mask is not None or _counts(a) != _counts(b):
        return a
    if a.type is ShapeType.RECTANGLE and a.rotation != b.rotation:
        return a
    first, second = np.asarray(a.xyxy), np.asarray(b.xyxy)
    x1, y1, x2, y2 = (first + share * (second - first)).tolist()
    if a.points is None or b.points is None:
        return a._replace(xyxy=(x1, y1, x2, y2))
    rings = tuple(p + share * (q - p) for p, q in zip(a.points, b.points, strict=True))
    return a._replace(xyxy=enclosing(np.concatenate(rings)), points=rings)


def _counts(shape: Shape) -> list[int]:
    return [len(ring) for ring in shape.points or ()]
