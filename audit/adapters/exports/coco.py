"""COCO instances: CVAT's layout, plain ones, and several subsets in files of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.adapters.exports import shapes
from audit.adapters.exports.archive import Files
from audit.adapters.exports.jsonstream import items
from audit.adapters.exports.numbers import flag, number, numbers, whole
from audit.adapters.exports.reading import Reading, unknown_label
from audit.adapters.exports.rle import ShapeError, enclosing_xyxy, from_coco
from audit.adapters.exports.shapes import Box, Shape
from audit.core.annotations import NO_ID, ShapeType
from audit.errors import UsageError
from audit.ports import Advance

NO_BOX: Box = (np.nan, np.nan, np.nan, np.nan)
KEYPOINTS = "shapes carry keypoints; only their boxes and outlines are used"
CROWDS = "shapes are marked iscrowd and never give findings (CVAT's COCO export marks every mask so)"


def read(files: Files, names: tuple[str, ...], reading: Reading, advance: Advance) -> None:
    """Fill ``reading`` from one file per subset. Frame numbers run on over all files; ids are the file's own."""
    for name in names:
        _Reader(f"{files.where}/{name}", reading, _subset(name)).run(files, name, advance)


def _subset(name: str) -> str:
    stem = name.rsplit("/", 1)[-1].removesuffix(".json")
    return stem.split("_", 1)[1] if "_" in stem else ""


class _Reader:
    def __init__(self, where: str, reading: Reading, subset: str) -> None:
        self.where = where
        self.reading = reading
        self.subset = subset
        self.categories: dict[Any, int] = {}
        self.rows: dict[Any, int] = {}
        self.images = 0

    def run(self, files: Files, name: str, advance: Advance) -> None:
        # the sections come in any order, so each gets a pass of its own
        for category in items(files, name, "categories.item"):
            self._category(category)
        for image in items(files, name, "images.item"):
            self._image(image)
            advance()
        if not self.images:
            raise UsageError(f"{self.where}: expected images, but its list of them is empty")
        for annotation in items(files, name, "annotations.item"):
            self._annotation(annotation)

    def _category(self, category: Any) -> None:
        if not isinstance(category, dict) or not isinstance(category.get("name"), str):
            raise UsageError(f"{self.where}: a category has no name: {str(category)[:100]}")
        ident = _key(category.get("id"))
        self.categories[ident] = self.reading.labels.declare(category["name"])
        if isinstance(ident, int):
            self.reading.label_ids.setdefault(self.categories[ident], ident)

    def _image(self, image: Any) -> None:
        position = self.reading.positions
        self.reading.positions += 1
        self.images += 1
        name = image.get("file_name") if isinstance(image, dict) else None
        ident = _key(image.get("id")) if isinstance(image, dict) else None
        problems, where = self.reading.problems, f"image '{name}'"
        if not isinstance(name, str) or not name or ident is None:
            problems.add(where, f"entry {position} has no file_name or no usable id; left out with its shapes")
        elif ident in self.rows:
            problems.add(where, f"has id {ident}, which an earlier image has too; left out")
        else:
            size = self.reading.size(image.get("width", 0), image.get("height", 0), where)
            image_id = ident if isinstance(ident, int) else NO_ID
            self.rows[ident] = self.reading.frames.add(name, position, size, image_id=image_id, subset=self.subset)

    def _annotation(self, item: Any) -> None:
        self.reading.shape_positions += 1
        position = self.reading.shape_positions
        ident = whole(item.get("id")) if isinstance(item, dict) else None
        where = f"annotation {position if ident is None else ident}"
        row = self.rows.get(_key(item.get("image_id"))) if isinstance(item, dict) else None
        if row is None:
            said = str(item.get("image_id"))[:40] if isinstance(item, dict) else "none"
            self.reading.problems.add(where, f"names image id {said}, which the file does not have; left out")
        elif row >= 0:
            self._shape(item, row, position if ident is None else ident)

    def _shape(self, item: dict[str, Any], row: int, ident: int) -> None:
        reading = self.reading
        category = item.get("category_id")
        label = self.categories.get(_key(category))
        if label is None:
            known, frame = self.categories, reading.frames.names[row]
            raise unknown_label(f"{self.where}: image '{frame}', annotation {ident}", f"category id {category}", known)
        try:
            shape = read_shape(item, reading.frames.size_hw(row))
        except ShapeError as error:
            reading.problems.add(reading.frames.names[row], f"annotation {ident}: {error}; only its box is used")
            shape = shapes.rectangle(_box(item.get("bbox")) or NO_BOX)
        crowd, extra = flag(item.get("iscrowd")), _attributes(item)
        reading.skipped[KEYPOINTS] += bool(item.get("keypoints"))
        reading.skipped[CROWDS] += crowd
        occluded, track = flag(extra.get("occluded")), "track_id" in extra
        reading.shapes.add(shape, row, label, ident, crowd=crowd, occluded=occluded, track=track)


def read_shape(item: dict[str, Any], size_hw: tuple[int, int]) -> Shape:
    """The geometry of one annotation. size_hw: the image's, zeros if unknown. Raises ShapeError."""
    segmentation, box = item.get("segmentation"), _box(item.get("bbox"))
    if isinstance(segmentation, dict):
        counts = from_coco(segmentation, size_hw)
        hw = (int(segmentation["size"][0]), int(segmentation["size"][1]))
        return Shape(ShapeType.MASK, box or enclosing_xyxy(counts, hw), mask=counts)
    if not segmentation:
        return shapes.rectangle(box or NO_BOX, number(_attributes(item).get("rotation", 0)))
    if not isinstance(segmentation, list):
        raise ShapeError("its segmentation is neither a list nor an RLE")
    rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
    return shapes.vertices(ShapeType.POLYGON, [shapes.pairs(numbers(r)) for r in rings], box)


def _box(bbox: Any) -> Box | None:
    """xyxy of COCO's [x, y, width, height]; ``None`` where it has none."""
    values = numbers(bbox).tolist()
    if len(values) != 4:
        return None
    x, y, w, h = values
    return x, y, x + w, y + h


def _attributes(item: dict[str, Any]) -> dict[str, Any]:
    attributes = item.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _key(ident: Any) -> int | str | None:
    """An id as a key: 7, 7.0 and "7" are one; other text stays text; ``None`` for anything else."""
    value = whole(ident)
    return value if value is not None else ident if isinstance(ident, str) else None
