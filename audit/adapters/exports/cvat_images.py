"""CVAT for images 1.1: one ``<image>`` a frame, shapes inside."""

from __future__ import annotations

from xml.etree.ElementTree import Element  # types only: defusedxml does the parsing

from audit.adapters.exports.archive import Files
from audit.adapters.exports.cvat_meta import TaskMeta, read_meta
from audit.adapters.exports.cvat_shapes import READERS, read_shape
from audit.adapters.exports.numbers import flag, whole
from audit.adapters.exports.reading import Reading
from audit.adapters.exports.rle import ShapeError
from audit.adapters.exports.xmlstream import children
from audit.core.annotations import NO_ID
from audit.ports import Advance


def read(files: Files, name: str, reading: Reading, advance: Advance) -> None:
    """Fill ``reading`` from one XML. Ids of shapes are their 1-based position in the document."""
    _Reader(f"{files.where}/{name}", reading).run(files, name, advance)


class _Reader:
    def __init__(self, where: str, reading: Reading) -> None:
        self.where = where
        self.reading = reading
        self.tasks: dict[int, TaskMeta] = {}
        self.seen: set[tuple[int, int]] = set()
        self.position = 0

    def run(self, files: Files, name: str, advance: Advance) -> None:
        for element in children(files, name):
            if element.tag == "meta":
                self.tasks = read_meta(element, self.reading)
            elif element.tag == "image":
                self._image(element)
                advance()
            elif element.tag == "track":
                self.reading.skipped["tracks left out: this is CVAT for images; use --format cvat-video"] += 1

    def _image(self, image: Element) -> None:
        row = self._frame(image)
        for element in image:
            if element.tag not in READERS:
                self.reading.skipped[f"<{element.tag[:30]}> elements left out: not a shape of CVAT 1.1"] += 1
                continue
            self.position += 1
            if row >= 0:
                self._shape(element, row)

    def _frame(self, image: Element) -> int:
        name, number = image.get("name", ""), whole(image.get("id"))
        where = f"image '{name}'"
        if number is None or number < 0 or not name:
            shown = image.get("id", "")[:30]
            self.reading.problems.add(where, f"has no name or no usable id ('{shown}'); left out with its shapes")
            return NO_ID
        task = self._task(image)
        number = task.number_of(number)
        if (task.id, number) in self.seen:
            self.reading.problems.add(where, f"has id {number}, which an earlier image has too; left out")
            return NO_ID
        self.seen.add((task.id, number))
        size = self.reading.size(image.get("width"), image.get("height"), where)
        subset = image.get("subset", "")
        job = task.job_of(number)
        return self.reading.frames.add(name, number, size, task=task.id, job=job, subset=subset)

    def _task(self, image: Element) -> TaskMeta:
        stated = whole(image.get("task_id", ""))
        if stated is not None:
            return self.tasks.get(stated, TaskMeta(stated, -1, 0, 1, ("0", "0"), ()))
        only = next(iter(self.tasks.values())) if len(self.tasks) == 1 else None
        return only or TaskMeta(NO_ID, -1, 0, 1, ("0", "0"), ())

    def _shape(self, element: Element, row: int) -> None:
        reading = self.reading
        frame = reading.frames.names[row]
        label = reading.labels.code(element.get("label", ""), f"{self.where}: image '{frame}'")
        try:
            shape = read_shape(element, reading.frames.size_hw(row))
        except ShapeError as error:
            reading.problems.add(frame, f"{element.tag} {self.position} left out: {error}")
            return
        occluded, source = flag(element.get("occluded")), element.get("source", "manual")
        reading.shapes.add(shape, row, label, self.position, occluded=occluded, source=source)
