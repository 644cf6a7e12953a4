"""Datumaro's own JSON: one file per subset, items with annotations of every kind."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from audit.adapters.exports import shapes
from audit.adapters.exports.archive import Files
from audit.adapters.exports.jsonstream import items
from audit.adapters.exports.numbers import flag, number, numbers, whole
from audit.adapters.exports.reading import Reading, unknown_label
from audit.adapters.exports.rle import ShapeError, enclosing_xyxy, from_coco
from audit.adapters.exports.shapes import Shape
from audit.core.annotations import ShapeType
from audit.ports import Advance

ABSENT = 0
"""Datumaro's visibility: 0 absent (outside), 1 hidden (occluded), 2 visible."""

Item = dict[str, Any]
Size = tuple[int, int]


def read(files: Files, names: tuple[str, ...], reading: Reading, advance: Advance) -> None:
    """Fill ``reading`` from one file per subset.

    Shapes' ids are the files' if all differ and none is 0, else positions.
    Every file is gone through twice, since its last shape may tell that the ids of all are of no use.
    """
    own_ids = _all_differ(files, names)
    for name in names:
        subset = name.rsplit("/", 1)[-1].removesuffix(".json")
        _Reader(f"{files.where}/{name}", reading, subset, own_ids=own_ids).run(files, name, advance)


def _all_differ(files: Files, names: tuple[str, ...]) -> bool:
    """Whether each annotation of all files has an id of its own that is not 0."""
    ids = array("q")
    for name in names:
        for annotation in items(files, name, "items.item.annotations.item"):
            if isinstance(annotation, dict) and annotation.get("type") in READERS:
                ids.append(whole(annotation.get("id")) or 0)
                if not ids[-1]:
                    return False
    ordered = np.sort(np.frombuffer(ids, np.int64)) if ids else np.empty(0, np.int64)
    return not bool((ordered[1:] == ordered[:-1]).any())


class _Reader:
    def __init__(self, where: str, reading: Reading, subset: str, *, own_ids: bool) -> None:
        self.where = where
        self.reading = reading
        self.subset = subset
        self.own_ids = own_ids
        self.names: list[str] = []

    def run(self, files: Files, name: str, advance: Advance) -> None:
        labels = list(items(files, name, "categories.label.labels.item"))
        self.names = [str(v.get("name", "")) if isinstance(v, dict) else "" for v in labels]
        for text, label in zip(self.names, labels, strict=True):
            # a skeleton's points name it as their parent; they get a code only if something uses it
            if not (isinstance(label, dict) and label.get("parent") in self.names and label["parent"] != text):
                self.reading.labels.declare(text)
        for item in items(files, name, "items.item"):
            self._item(item)
            advance()

    def _item(self, item: Any) -> None:
        reading, position = self.reading, self.reading.positions
        reading.positions += 1
        name = _image_name(item)
        where = f"image '{name}'"
        if not name:
            reading.problems.add(f"item {position}", "has no id and no image path; left out with its shapes")
            return
        row = reading.frames.add(name, position, self._size(item, where), subset=self.subset)
        annotations = item.get("annotations")
        for annotation in annotations if isinstance(annotations, list) else []:
            reading.shape_positions += 1
            if row >= 0:
                self._annotation(annotation, row)

    def _size(self, item: Item, where: str) -> Size:
        image = item.get("image")
        size = image.get("size") if isinstance(image, dict) else None
        if not isinstance(size, list) or len(size) != 2:
            return 0, 0
        return self.reading.size(size[1], size[0], where)

    def _annotation(self, item: Any, row: int) -> None:
        reading, frame = self.reading, self.reading.frames.names[row]
        position = reading.shape_positions
        kind = str(item.get("type"))[:30] if isinstance(item, dict) else "none"
        if kind not in READERS:
            reading.skipped[f"annotations of type '{kind}' left out: not a shape of CVAT"] += 1
            return
        label = self._label(item.get("label_id"), f"{self.where}: image '{frame}', annotation {position}")
        try:
            shape = READERS[kind](item, reading.frames.size_hw(row))
        except ShapeError as error:
            reading.problems.add(frame, f"{kind} {position} left out: {error}")
            return
        extra = item.get("attributes") if isinstance(item.get("attributes"), dict) else {}
        occluded, track = flag(extra.get("occluded")), "track_id" in extra
        source = str(extra.get("source", "manual"))
        ident = int(whole(item.get("id")) or 0) if self.own_ids else position
        reading.shapes.add(shape, row, label, ident, occluded=occluded, track=track, source=source)

    def _label(self, label_id: Any, where: str) -> int:
        code = whole(label_id)
        if code is None or not 0 <= code < len(self.names):
            raise unknown_label(where, f"label id {label_id}", [f"{i}: {n}" for i, n in enumerate(self.names)])
        return self.reading.labels.declare(self.names[code])


def _image_name(item: Any) -> str:
    """The image's path as stated, else the item's id (which has no ending)."""
    if not isinstance(item, dict):
        return ""
    image = item.get("image")
    path = image.get("path") if isinstance(image, dict) else None
    return path if isinstance(path, str) and path else str(item.get("id", ""))


def _bbox(item: Item, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    values = numbers(item.get("bbox")).tolist()
    if len(values) != 4:
        raise ShapeError("its bbox is not [x, y, width, height]")
    x, y, w, h = values
    attributes = item.get("attributes")
    rotation = number(attributes.get("rotation", 0)) if isinstance(attributes, dict) else 0.0
    return shapes.rectangle((x, y, x + w, y + h), rotation)


def _rotated_bbox(item: Item, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    values = numbers(item.get("bbox") or item.get("rotated_bbox")).tolist()
    if len(values) != 5:
        raise ShapeError("its bbox is not [centre x, centre y, width, height, degrees]")
    x, y, w, h, degrees = values
    return shapes.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), degrees)


def _vertices(kind: ShapeType) -> Callable[[Item, Size], Shape]:
    return lambda item, _: shapes.vertices(kind, [shapes.pairs(_flat(item.get("points")))])


def _ellipse(item: Item, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    values = _flat(item.get("points")).tolist()
    if len(values) != 4:
        raise ShapeError("its points are not the corners [x1, y1, x2, y2] of its box")
    x1, y1, x2, y2 = values
    attributes = item.get("attributes")
    rotation = number(attributes.get("rotation", 0)) if isinstance(attributes, dict) else 0.0
    return shapes.ellipse(((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2), rotation)


def _mask(item: Item, size_hw: Size) -> Shape:
    rle = item.get("rle")
    if not isinstance(rle, dict):
        raise ShapeError("it has no RLE")
    counts = from_coco(rle, size_hw)
    hw = (int(rle["size"][0]), int(rle["size"][1]))
    return Shape(ShapeType.MASK, enclosing_xyxy(counts, hw), mask=counts)


def _skeleton(item: Item, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    elements = item.get("elements")
    nodes = [e for e in elements if isinstance(e, dict)] if isinstance(elements, list) else []
    points = [shapes.pairs(_flat(node.get("points"))) for node in nodes]
    if not nodes or any(len(p) != 1 for p in points):
        raise ShapeError("one of its points has no single place")
    return shapes.skeleton(np.concatenate(points), [node.get("visibility") != [ABSENT] for node in nodes])


def _tag(item: Item, size_hw: Size) -> Shape:  # noqa: ARG001  one signature for all kinds
    return shapes.tag()


def _flat(points: Any) -> np.ndarray:
    """Coordinates in a row, also of points written as pairs."""
    if isinstance(points, list) and points and all(isinstance(p, list) for p in points):
        points = [value for pair in points for value in pair]
    return numbers(points)


READERS: dict[str, Callable[[Item, Size], Shape]] = {
    "bbox": _bbox,
    "rotated_bbox": _rotated_bbox,
    "polygon": _vertices(ShapeType.POLYGON),
    "polyline": _vertices(ShapeType.POLYLINE),
    "points": _vertices(ShapeType.POINTS),
    "ellipse": _ellipse,
    "mask": _mask,
    "cuboid": _vertices(ShapeType.CUBOID),
    "cuboid_2d": _vertices(ShapeType.CUBOID),
    "skeleton": _skeleton,
    "label": _tag,
}
