"""One element of CVAT's XML (box, polygon, mask ...) to one shape."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element  # types only: defusedxml does the parsing

import numpy as np

from audit.adapters.exports import shapes
from audit.adapters.exports.numbers import flag, number, numbers, whole
from audit.adapters.exports.rle import ShapeError, from_cvat
from audit.adapters.exports.shapes import Shape
from audit.core.annotations import ShapeType
from audit.core.table import FloatArray

Size = tuple[int, int]
CUBOID_CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")


def read_shape(element: Element, size_hw: Size) -> Shape:
    """Any of ``READERS``. size_hw: the frame's, zeros if unknown. Raises ShapeError."""
    return READERS[element.tag](element, size_hw)


def shown(element: Element) -> bool:
    """False where a track's shape is outside; a skeleton is when all its points are."""
    if element.tag == "skeleton" and len(points := element.findall("points")):
        return not flag(element.get("outside")) and not all(flag(p.get("outside")) for p in points)
    return not flag(element.get("outside"))


def _box(element: Element, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    x1, y1, x2, y2 = (number(element.get(k)) for k in ("xtl", "ytl", "xbr", "ybr"))
    return shapes.rectangle((x1, y1, x2, y2), number(element.get("rotation", 0)))


def _ellipse(element: Element, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    cx, cy, rx, ry = (number(element.get(k)) for k in ("cx", "cy", "rx", "ry"))
    return shapes.ellipse((cx, cy), (rx, ry), number(element.get("rotation", 0)))


def _vertices(kind: ShapeType) -> Callable[[Element, Size], Shape]:
    return lambda element, _: shapes.vertices(kind, [_points(element)])


def _cuboid(element: Element, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    corners = [[number(element.get(axis + corner)) for axis in "xy"] for corner in CUBOID_CORNERS]
    return shapes.vertices(ShapeType.CUBOID, [np.array(corners)])


def _skeleton(element: Element, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    nodes = element.findall("points")
    points = [_points(node) for node in nodes]
    if not nodes or any(len(p) != 1 for p in points):
        raise ShapeError("one of its points has no single place")
    return shapes.skeleton(np.concatenate(points), [not flag(n.get("outside")) for n in nodes])


def _mask(element: Element, size_hw: Size) -> Shape:
    left, top, width, height = (whole(element.get(k)) for k in ("left", "top", "width", "height"))
    if left is None or top is None or width is None or height is None:
        raise ShapeError("its mask has no whole-numbered left, top, width, height")
    counts = from_cvat((element.get("rle") or "").split(","), (left, top, width, height), size_hw)
    box = (float(left), float(top), float(left + width), float(top + height))
    return Shape(ShapeType.MASK, box, mask=counts)


def _points(element: Element) -> FloatArray:
    text = (element.get("points") or "").strip()
    places = [numbers(place.split(",")) for place in text.split(";")] if text else []
    if any(len(place) != 2 for place in places):
        raise ShapeError("its points are not written as x,y;x,y")
    return np.array(places, dtype=np.float64).reshape(-1, 2)


def _tag(element: Element, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    return shapes.tag()


READERS: dict[str, Callable[[Element, Size], Shape]] = {
    "box": _box,
    "polygon": _vertices(ShapeType.POLYGON),
    "polyline": _vertices(ShapeType.POLYLINE),
    "points": _vertices(ShapeType.POINTS),
    "ellipse": _ellipse,
    "mask": _mask,
    "cuboid": _cuboid,
    "skeleton": _skeleton,
    "tag": _tag,
}
