"""CVAT for video 1.1: tracks, each with its shapes over the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element  # types only: defusedxml does the parsing

from audit.adapters.exports.archive import Files
from audit.adapters.exports.cvat_meta import MAX_FRAMES, TaskMeta, read_meta
from audit.adapters.exports.cvat_shapes import READERS, read_shape, shown
from audit.adapters.exports.numbers import flag, whole
from audit.adapters.exports.reading import Reading
from audit.adapters.exports.rle import ShapeError
from audit.adapters.exports.shapes import Shape, between
from audit.adapters.exports.xmlstream import children
from audit.core.annotations import NO_ID
from audit.errors import UsageError
from audit.ports import Advance

NameFrames = Callable[[range], list[str]]
"""Gives the image names of frame numbers; the XML of a video names none."""


class Key(NamedTuple):
    """A track's shape on one frame. shape: ``None`` while it is outside."""

    number: int
    shape: Shape | None
    occluded: bool


def read(files: Files, name: str, reading: Reading, advance: Advance, name_frames: NameFrames) -> None:
    """Fill ``reading`` from one XML. The id of each row is its track's id.

    CVAT writes a track's shape for every frame. Frames that another writer left out are filled as CVAT
    does: linear between two keyframes, unchanged after the last one until the task ends.
    """
    _Reader(f"{files.where}/{name}", reading, name_frames).run(files, name, advance)


class _Reader:
    def __init__(self, where: str, reading: Reading, name_frames: NameFrames) -> None:
        self.where = where
        self.reading = reading
        self.name_frames = name_frames
        self.tasks: dict[int, TaskMeta] = {}
        self.rows: dict[int, dict[int, int]] = {}
        self.position = 0

    def run(self, files: Files, name: str, advance: Advance) -> None:
        for element in children(files, name):
            if element.tag == "meta":
                self.tasks = read_meta(element, self.reading)
                self._complete(files, name)
            elif element.tag == "track":
                self.position += 1
                self._track(element)
                advance()
        if not self.rows:
            raise UsageError(f"{self.where}: has no <meta> that tells the task's frames; export it again")

    def _complete(self, files: Files, name: str) -> None:
        """Frames of all tasks; where the meta states no size, up to the last frame that a track names."""
        stated = self.tasks or {NO_ID: TaskMeta(NO_ID, -1, 0, 1, ("0", "0"), ())}
        if any(t.size < 0 for t in stated.values()):
            last = _last_frame(files, name)
            stated = {k: t if t.size >= 0 else _reaching(t, last) for k, t in stated.items()}
        self.tasks = stated
        for task in self.tasks.values():
            numbers = task.numbers()
            size = self.reading.size(*task.size_wh, f"task {task.id}")
            self.rows[task.id] = {
                n: self.reading.frames.add(label, n, size, task=task.id, job=task.job_of(n))
                for n, label in zip(numbers, self.name_frames(numbers), strict=True)
            }

    def _track(self, track: Element) -> None:
        task = self._task(track)
        ident = whole(track.get("id"))
        where = f"track {self.position if ident is None else ident}"
        if task is None:
            self.reading.problems.add(where, "names a task that the export does not describe; left out")
            return
        label = self.reading.labels.code(track.get("label", ""), f"{self.where}: {where}")
        rows = self.rows[task.id]
        source = track.get("source", "manual")
        for key in filled(list(self._keys(track, where, rows)), task.numbers()):
            row = rows.get(key.number, NO_ID)
            if row >= 0 and key.shape is not None:
                ids = self.position if ident is None else ident
                self.reading.shapes.add(key.shape, row, label, ids, track=True, occluded=key.occluded, source=source)

    def _task(self, track: Element) -> TaskMeta | None:
        stated = whole(track.get("task_id", ""))
        if stated is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        return self.tasks.get(NO_ID if stated is None else stated)

    def _keys(self, track: Element, where: str, rows: dict[int, int]) -> Iterator[Key]:
        """The shapes as they are written; a bad one is a problem and missing."""
        for element in track:
            number = whole(element.get("frame", ""))
            if element.tag not in READERS:
                continue
            if number not in rows:
                said = element.get("frame", "")[:30]
                self.reading.problems.add(where, f"shape on frame '{said}', which the task does not have; left out")
                continue
            if not shown(element):
                yield Key(number, None, False)
                continue
            row = rows[number]
            try:
                shape = read_shape(element, self.reading.frames.size_hw(row) if row >= 0 else (0, 0))
            except ShapeError as error:
                if row >= 0:
                    self.reading.problems.add(f"{where}, frame {number}", f"{element.tag} left out: {error}")
                continue
            yield Key(number, shape, flag(element.get("occluded")) or _any_occluded(element))


def filled(keys: list[Key], numbers: range) -> Iterator[Key]:
    """One key for every frame on which the track shows, given keys on some of ``numbers``."""
    ordered = sorted({k.number: k for k in keys}.values())
    for key, following in zip(ordered, [*ordered[1:], None], strict=False):
        if key.shape is None:
            continue
        yield key
        until = following.number if following else numbers.stop
        target = following.shape if following else None
        for number in range(key.number + numbers.step, until, numbers.step):
            share = (number - key.number) / (until - key.number)
            shape = key.shape if target is None else between(key.shape, target, share)
            yield Key(number, shape, key.occluded)


def _any_occluded(element: Element) -> bool:
    return any(flag(p.get("occluded")) for p in element.findall("points"))


def _last_frame(files: Files, name: str) -> int:
    numbers = (whole(e.get("frame", "")) for track in children(files, name) for e in track)
    return min(max((n for n in numbers if n is not None), default=-1), MAX_FRAMES)


def _reaching(task: TaskMeta, last: int) -> TaskMeta:
    size = max(0, (last - task.start) // task.step + 1)
    return TaskMeta(task.id, size, task.start, task.step, task.size_wh, task.segments)
