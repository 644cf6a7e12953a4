"""Single shapes as FiftyOne's labels: boxes with masks, outlines, points, and ids that stay the same."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from bson import Binary, ObjectId

from audit.core import masks
from audit.core.annotations import ShapeType
from audit.core.table import FloatArray

Document = dict[str, Any]
Size = tuple[int, int]
"""Width and height in pixels."""

FINDING_MARGIN = 0.006
"""Of the picture's longer side: about 8 px of 1,280, wide enough to see two frames."""

OUTLINED = (ShapeType.POLYGON, ShapeType.ELLIPSE, ShapeType.RECTANGLE)


def finding_box(existing: FloatArray, suggested: FloatArray, size: Size) -> FloatArray:
    """Where a finding is shown, xyxy pixels: around the existing shape, else the suggested one, else everything.

    A little larger than the shape, so that the shape's own box and colour stay visible inside. A shape that
    lies wholly outside the picture, or nowhere, could not be seen or clicked: then it is the whole picture.
    """
    margin = FINDING_MARGIN * max(size)
    for box in (existing, suggested):
        if np.isfinite(box).all():
            x1, y1, x2, y2 = _ordered(box)
            if x1 <= size[0] and y1 <= size[1] and x2 >= 0 and y2 >= 0:
                wider = np.array([x1 - margin, y1 - margin, x2 + margin, y2 + margin])
                return np.asarray(np.clip(wider, 0, [*size, *size]))
    return np.array([0.0, 0.0, size[0], size[1]])


def detection(oid: ObjectId, box: FloatArray, counts: bytes | None, size: Size, named: Document) -> Document:
    """A box; with a mask, the mask cropped to the box that it fills. Raises ValueError for a broken mask."""
    document = {"_id": oid, "_cls": "Detection", "attributes": {}, **named}
    if counts is not None:
        hw = (size[1], size[0])
        tight = masks.box_of(counts, hw)
        left, top, right, bottom = (int(v) for v in tight)
        if right > left and bottom > top:
            document["mask"] = _packed(masks.decode(counts, hw)[top:bottom, left:right])
            box = tight
    x1, y1, x2, y2 = _ordered(box)
    document["bounding_box"] = [x1 / size[0], y1 / size[1], (x2 - x1) / size[0], (y2 - y1) / size[1]]
    return document


def _packed(mask: np.ndarray[Any, Any]) -> Binary:
    """An array as FiftyOne keeps it: NumPy's file format, compressed."""
    stream = BytesIO()
    np.save(stream, mask, allow_pickle=False)
    return Binary(zlib.compress(stream.getvalue()))


def outline(shape: ShapeType, rings: Any, size: Size) -> Document | None:
    """Polygons, ellipses, turned boxes and polylines; None for other shapes."""
    if rings is None or shape not in (*OUTLINED, ShapeType.POLYLINE):
        return None
    closed = shape is not ShapeType.POLYLINE
    points = [(r / size).tolist() for r in rings if len(r) and np.isfinite(r).all()]
    return {"_cls": "Polyline", "points": points, "closed": closed, "filled": False} if points else None


def keypoint(shape: ShapeType, groups: Any, size: Size) -> Document | None:
    """Vertices of points, skeletons and cuboids; None for other shapes."""
    if groups is None or shape not in (ShapeType.POINTS, ShapeType.SKELETON, ShapeType.CUBOID):
        return None
    points = [xy for g in groups if np.isfinite(g).all() for xy in (g / size).tolist()]
    return {"_cls": "Keypoint", "points": points} if points else None


def _ordered(box: FloatArray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = np.asarray(box, np.float64).tolist()
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def ids_of(key: str, kind: str, facts: Sequence[Any]) -> list[ObjectId]:
    """An id per label that stays the same from import to import; equal facts are told apart by their order."""
    seen: Counter[Any] = Counter()
    ids = []
    for fact in facts:
        seen[fact] += 1
        ids.append(ObjectId(digest(key, kind, fact, seen[fact])))
    return ids


def derived(oid: ObjectId) -> ObjectId:
    """The id of a second label that belongs to the first."""
    return ObjectId(digest(str(oid), "beside"))


def digest(*parts: Any) -> bytes:
    """Twelve bytes that name these parts, as an ObjectId has."""
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=12).digest()
