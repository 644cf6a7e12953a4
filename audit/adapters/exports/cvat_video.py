"""CVAT for video 1.1: tracks, each with its shapes over the frames."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from typing import NamedTuple
from xml.etree.ElementTree import Element  # types only: defusedxml does the parsing

from audit.adapters.exports.archive import Files
from audit.adapters.exports.cvat_meta import MAX_FRAMES, TaskMeta, read_meta
from audit.adapters.exports.cvat_shapes import READERS, read_shape, shown
from audit.adapters.exports.numbers import flag, whole
from audit.adapters.exports.reading import Reading
from audit.adapters.exports.rle import ShapeError
from audit.adapters.exports.shapes import Shape, between
from audit.adapters.exports.xmlstream import parts
from audit.core.annotations import NO_ID
from audit.errors import UsageError
from audit.ports import Advance

NameFrames = Callable[[range, str], list[str]]
"""Gives the image names of frame numbers and of the folder that they lie in; the XML of a video names none."""


WINDOW = 1024
"""Shapes of a track in memory at once."""


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


class _Rows:
    """The row of each frame number of a task, -1 for one that is not wanted."""

    def __init__(self, numbers: range, rows: Iterable[int]) -> None:
        self._numbers, self._rows = numbers, array("q", rows)

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def __getitem__(self, number: int) -> int:
        return self._rows[self._numbers.index(number)]


class _Reader:
    def __init__(self, where: str, reading: Reading, name_frames: NameFrames) -> None:
        self.where = where
        self.reading = reading
        self.name_frames = name_frames
        self.tasks: dict[int, TaskMeta] = {}
        self.rows: dict[int, _Rows] = {}
        self.position = 0

    def run(self, files: Files, name: str, advance: Advance) -> None:
        for element, shapes in parts(files, name, within="track"):
            if element.tag == "meta":
                self.tasks = read_meta(element, self.reading)
                self._complete(files, name)
            elif element.tag == "track":
                self.position += 1
                self._track(element, shapes)
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
            self.rows[task.id] = _Rows(
                numbers,
                (
                    self.reading.frames.add(label, n, size, task=task.id, job=task.job_of(n), subset=task.subset)
                    for n, label in zip(numbers, self._names(task), strict=True)
                ),
            )

    def _names(self, task: TaskMeta) -> list[str]:
        """Names of the task's images, which the document's numbers are part of."""
        numbers = task.numbers()
        counted = range(numbers.start + task.offset, numbers.stop + task.offset, numbers.step)
        return self.name_frames(counted, task.folder)

    def _track(self, track: Element, shapes: Iterator[Element]) -> None:
        task = self._task(track)
        ident = whole(track.get("id"))
        where = f"track {self.position if ident is None else ident}"
        if task is None:
            self.reading.problems.add(where, "names a task that the export does not describe; left out")
            return
        label = self.reading.labels.code(track.get("label", ""), f"{self.where}: {where}")
        rows = self.rows[task.id]
        source = track.get("source", "manual")
        keys = in_order(self._keys(shapes, where, task), lambda key: self._late(key, where))
        for key in filled(keys, task.numbers()):
            row = rows[key.number]
            if row >= 0 and key.shape is not None:
                ids = self.position if ident is None else ident
                self.reading.shapes.add(key.shape, row, label, ids, track=True, occluded=key.occluded, source=source)

    def _task(self, track: Element) -> TaskMeta | None:
        stated = whole(track.get("task_id", ""))
        if stated is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        return self.tasks.get(NO_ID if stated is None else stated)

    def _late(self, key: Key, where: str) -> None:
        said = f"comes more than {WINDOW} shapes after later frames; left out"
        self.reading.problems.add(f"{where}, frame {key.number}", said)

    def _keys(self, shapes: Iterator[Element], where: str, task: TaskMeta) -> Iterator[Key]:
        """The shapes as they are written; a bad one is a problem and missing."""
        rows = self.rows[task.id]
        for element in shapes:
            stated = whole(element.get("frame", ""))
            if element.tag not in READERS:
                continue
            number = None if stated is None else task.number_of(stated)
            if number is None or number not in rows:
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


def in_order(keys: Iterable[Key], late: Callable[[Key], None]) -> Iterator[Key]:
    """The keys by frame, of each frame the last; ``WINDOW`` of them in memory.

    Writers put them in order; one that comes too late to be put into its place is told to ``late``.
    """
    held: dict[int, Key] = {}
    numbers: list[int] = []
    given = -1
    for key in keys:
        if key.number <= given:
            late(key)
            continue
        if key.number not in held:
            heappush(numbers, key.number)
        held[key.number] = key
        if len(numbers) > WINDOW:
            given = heappop(numbers)
            yield held.pop(given)
    while numbers:
        yield held.pop(heappop(numbers))


def filled(keys: Iterable[Key], numbers: range) -> Iterator[Key]:
    """One key for every frame on which the track shows, given keys on some of ``numbers``, in their order."""
    before: Key | None = None
    for key in keys:
        if before is not None:
            yield from _until(before, key, key.number, numbers.step)
        before = key
    if before is not None:
        yield from _until(before, None, numbers.stop, numbers.step)


def _until(key: Key, following: Key | None, until: int, step: int) -> Iterator[Key]:
    """The key itself and what lies between it and the next one; nothing while it is outside."""
    if key.shape is None:
        return
    yield key
    target = following.shape if following else None
    for number in range(key.number + step, until, step):
        share = (number - key.number) / (until - key.number)
        shape = key.shape if target is None else between(key.shape, target, share)
        yield Key(number, shape, key.occluded)


def _any_occluded(element: Element) -> bool:
    return any(flag(p.get("occluded")) for p in element.findall("points"))


def _last_frame(files: Files, name: str) -> int:
    numbers = (whole(e.get("frame", "")) for _, shapes in parts(files, name, within="track") for e in shapes)
    return min(max((n for n in numbers if n is not None), default=-1), MAX_FRAMES)


def _reaching(task: TaskMeta, last: int) -> TaskMeta:
    size = max(0, (last - task.start) // task.step + 1)
    return replace(task, size=size)
