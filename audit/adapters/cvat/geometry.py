"""One CVAT shape and its place in the picture, both ways. Pure; pixels, xyxy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.adapters.cvat.masks import points_from_rle, rle_from_points
from audit.core.annotations import ShapeType
from audit.core.masks import ellipse_box, ellipse_outline, rotated_rectangle, turned
from audit.core.table import FloatArray

SHAPES = {t.name.lower(): t for t in ShapeType if t is not ShapeType.TAG}
SMALLEST = {"rectangle": 4, "ellipse": 4, "cuboid": 16, "polygon": 6, "polyline": 4, "points": 2}
"""How many numbers a shape needs at least."""

Box = tuple[float, float, float, float]
NO_PLACE: Box = (0.0, 0.0, 0.0, 0.0)
NO_BOX: Box = (math.nan, math.nan, math.nan, math.nan)


class ShapeError(ValueError):
    """The server sent something that is not a shape; the text says what."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """The columns of ``Annotations`` that say where a shape lies, and what was wrong with it ("" = nothing)."""

    shape: ShapeType
    xyxy: Box
    points: tuple[FloatArray, ...] | None = None
    mask: bytes | None = None
    rotation: float = 0.0
    problem: str = ""


def geometry(raw: Mapping[str, Any], size_hw: tuple[int, int]) -> Geometry:
    """Where a shape as CVAT sends it lies in a frame of this size. Raises ShapeError.

    Rotated rectangles and ellipses come with their outline, masks with a COCO RLE of the frame.
    """
    kind, points = str(raw["type"]), _numbers(raw.get("points") or [])
    rotation = float(raw.get("rotation") or 0.0) % 360.0
    if kind not in SHAPES:
        raise ShapeError(f"its type '{kind[:40]}' is unknown")
    if len(points) < SMALLEST.get(kind, 0) or (kind != "mask" and len(points) % 2):
        raise ShapeError(f"a {kind} with {len(points)} numbers")
    if kind == "rectangle":
        return _rectangle(points, rotation)
    if kind == "ellipse":
        return _ellipse(points, rotation)
    if kind == "mask":
        return _mask(points, size_hw)
    if kind == "skeleton":
        return _skeleton(raw)
    vertices = points.reshape(-1, 2)
    return Geometry(SHAPES[kind], box_around(vertices), (vertices,))


def to_cvat(place: Geometry, size_hw: tuple[int, int]) -> dict[str, Any]:
    """``type``, ``points`` and ``rotation`` as CVAT takes them, for rectangles, polygons of one ring, and masks.

    ``geometry(to_cvat(g, hw), hw)`` is ``g`` (a rotated rectangle to within rounding).
    Raises ShapeError for every other kind, and for a polygon of several rings, which CVAT does not have.
    """
    kind = place.shape.name.lower()
    if place.shape is ShapeType.MASK and place.mask is not None:
        return {"type": kind, "points": points_from_rle(place.mask, size_hw), "rotation": 0.0}
    if place.shape is ShapeType.RECTANGLE:
        return {"type": kind, "points": _unrotated(place), "rotation": place.rotation}
    if place.shape is ShapeType.POLYGON and place.points is not None and len(place.points) == 1:
        return {"type": kind, "points": place.points[0].ravel().tolist(), "rotation": 0.0}
    raise ShapeError(f"a {kind} cannot be sent to CVAT")


def box_around(vertices: FloatArray) -> Box:
    """The smallest box that holds all vertices (k, 2); NaN if one of them is, or if there are none."""
    if not len(vertices):
        return NO_BOX
    (x1, y1), (x2, y2) = vertices.min(axis=0), vertices.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _rectangle(points: FloatArray, rotation: float) -> Geometry:
    x1, y1, x2, y2 = (float(v) for v in points[:4])
    if not rotation or not np.isfinite(points).all():
        return Geometry(ShapeType.RECTANGLE, (x1, y1, x2, y2), rotation=rotation)
    outline = rotated_rectangle((x1, y1, x2, y2), rotation)
    return Geometry(ShapeType.RECTANGLE, box_around(outline), (outline,), rotation=rotation)


def _ellipse(points: FloatArray, rotation: float) -> Geometry:
    """CVAT gives the centre, the x of the rightmost and the y of the topmost point, all before the turn."""
    cx, cy, right, top = (float(v) for v in points[:4])
    centre, radii = (cx, cy), (right - cx, cy - top)
    if not np.isfinite(points).all():
        return Geometry(ShapeType.ELLIPSE, NO_BOX, rotation=rotation)
    outline = ellipse_outline(centre, radii, rotation)
    return Geometry(ShapeType.ELLIPSE, ellipse_box(centre, radii, rotation), (outline,), rotation=rotation)


def _mask(points: FloatArray, size_hw: tuple[int, int]) -> Geometry:
    mask, problem = rle_from_points(points.tolist(), size_hw)
    if len(points) < 5:
        return Geometry(ShapeType.MASK, NO_BOX, problem=problem)
    left, top, right, bottom = (float(v) for v in points[-4:])
    return Geometry(ShapeType.MASK, (left, top, right + 1, bottom + 1), mask=mask, problem=problem)


def _skeleton(raw: Mapping[str, Any]) -> Geometry:
    """The box holds the points that are visible or occluded; all of them if every one is marked outside."""
    elements = list(raw.get("elements") or [])
    shown = [e for e in elements if not e.get("outside")] or elements
    vertices = np.concatenate([np.empty((0, 2)), *(_numbers(e["points"]).reshape(-1, 2) for e in shown)])
    return Geometry(ShapeType.SKELETON, box_around(vertices), (vertices,))


def _unrotated(place: Geometry) -> list[float]:
    if not place.rotation or place.points is None:
        return list(place.xyxy)
    corners = place.points[0]
    upright = turned(corners, -place.rotation, corners.mean(axis=0).tolist())
    return [*upright[0].tolist(), *upright[2].tolist()]


def _numbers(values: Sequence[Any]) -> FloatArray:
    try:
        return np.array([float(v) for v in values], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError("its points are not numbers") from None
