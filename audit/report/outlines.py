"""Shapes as SVG paths over a crop: boxes, polygons, lines, points, and the outlines of masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import contourpy
import numpy as np
from PIL import Image

from audit.adapters.pictures import MAX_PIXELS
from audit.core.annotations import AREA_SHAPES, Annotations, Predictions, ShapeType
from audit.core.masks import rle_of_rings
from audit.core.outlines import crop
from audit.core.table import BoolArray, FloatArray
from audit.report.crops import FAR_PX, View

MASK_SIDE_PX = 200
"""Masks are traced at most this large: about as fine as a card shows them."""

MAX_POINTS = 1500
"""Points drawn per shape; a larger outline is thinned out."""

OPEN = (ShapeType.POLYLINE,)
DOTS = (ShapeType.POINTS, ShapeType.SKELETON, ShapeType.CUBOID)


@dataclass(frozen=True)
class Path:
    """One shape. role: existing, proposed or other; missing or extra for an area to fill.

    d: SVG path data in the view's pixels. dots: drawn as points.
    """

    role: str
    d: str
    dots: bool = False


def annotation_path(role: str, shapes: Annotations, row: int, view: View, frame_wh: tuple[int, int]) -> Path | None:
    """The outline of an annotation as it was drawn; None if it has no place in the picture."""
    kind, points = ShapeType(int(shapes.shape[row])), shapes.points[row]
    if points is not None and len(points):
        return _path(role, points, view, closed=kind not in OPEN, dots=kind in DOTS)
    if kind is ShapeType.TAG:
        return None
    return _area_path(role, shapes.mask[row], shapes.xyxy[row], view, frame_wh)


def prediction_path(
    role: str, predictions: Predictions, row: int, view: View, frame_wh: tuple[int, int]
) -> Path | None:
    """The outline of a prediction: its mask's if it has one, else its box."""
    return _area_path(role, predictions.mask[row], predictions.xyxy[row], view, frame_wh)


def difference_paths(
    shapes: Annotations, row: int, predicted: bytes | None, view: View, frame_wh: tuple[int, int]
) -> list[Path]:
    """What a label's mask lacks of the predicted one (role missing) and has beyond it (extra), to be filled.

    Empty if one of them has no mask. predicted: RLE counts of the frame's size.
    """
    drawn = _drawn(shapes, row, frame_wh)
    if drawn is None or predicted is None:
        return []
    ours, theirs = _part(drawn, view, frame_wh), _part(predicted, view, frame_wh)
    areas = {"missing": theirs & ~ours, "extra": ours & ~theirs}
    paths = [_path(role, _traced(area, view), view) for role, area in areas.items() if area.any()]
    return [path for path in paths if path is not None]


def _drawn(shapes: Annotations, row: int, frame_wh: tuple[int, int]) -> bytes | None:
    """The mask (RLE counts) that an annotation covers; None for boxes, what has no area, and oversized frames."""
    width, height = frame_wh
    if shapes.shape[row] not in AREA_SHAPES or not 0 < width * height <= MAX_PIXELS:
        return None
    if shapes.mask[row] is not None or shapes.points[row] is None:
        counts: bytes | None = shapes.mask[row]
        return counts
    return rle_of_rings(shapes.points[row], (height, width))


def _part(counts: bytes, view: View, frame_wh: tuple[int, int]) -> BoolArray:
    """The part of a mask within a view."""
    return crop(counts, (frame_wh[1], frame_wh[0]), (view.x, view.y, view.x + view.width, view.y + view.height))


def box_path(role: str, xyxy: FloatArray, view: View) -> Path | None:
    """A box; None if a coordinate is not finite."""
    if not np.isfinite(xyxy).all():
        return None
    x1, y1, x2, y2 = xyxy
    return _path(role, [np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])], view)


def mask_rings(counts: bytes, frame_wh: tuple[int, int], view: View) -> list[FloatArray]:
    """Outlines of the part of a mask within a view, each (k, 2) in the frame's pixels; none if it is empty or broken.

    counts: of a compressed COCO RLE of the frame's size.
    """
    width, height = frame_wh
    if not 0 < width * height <= MAX_PIXELS:
        return []
    part = _part(counts, view, frame_wh)
    return _traced(part, view) if part.any() else []


def _area_path(role: str, mask: bytes | None, xyxy: FloatArray, view: View, frame_wh: tuple[int, int]) -> Path | None:
    rings = mask_rings(mask, frame_wh, view) if mask else []
    return _path(role, rings, view) if rings else box_path(role, xyxy, view)


def _traced(part: np.ndarray, view: View) -> list[FloatArray]:
    scale = min(1.0, MASK_SIDE_PX / max(part.shape))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    grey = np.asarray(Image.fromarray((part > 0).astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
    # a rim of zeros closes outlines at the edge; samples lie in the middle of their pixels
    lines = contourpy.contour_generator(z=np.pad(grey, 1).astype(np.float64)).lines(127.5)
    step = np.array([view.width / size[0], view.height / size[1]])
    return [(np.asarray(line) - 0.5) * step + [view.x, view.y] for line in lines]


def _path(
    role: str, rings: Iterable[FloatArray], view: View, *, closed: bool = True, dots: bool = False
) -> Path | None:
    usable = [ring[np.isfinite(ring).all(axis=1)] for ring in rings]
    usable = [ring for ring in usable if len(ring)]
    if not usable:
        return None
    stride = -(-sum(len(ring) for ring in usable) // MAX_POINTS)
    shifted = [np.clip(ring[::stride], -FAR_PX, FAR_PX) - [view.x, view.y] for ring in usable]
    if dots:
        # a line of no length with round ends is a dot
        return Path(role, "".join(f"M{x:.1f} {y:.1f}h0" for ring in shifted for x, y in ring), dots=True)
    return Path(role, "".join(_ring(ring) + ("Z" if closed else "") for ring in shifted))


def _ring(ring: FloatArray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring)
