"""What a reader collects on its way through an export: labels, frames, shapes, and what went wrong."""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np

from audit.adapters.exports.numbers import whole
from audit.adapters.exports.shapes import Shape
from audit.adapters.pictures import MAX_PIXELS
from audit.core.annotations import NO_ID, Annotations, Frames, Job, Problem, Snapshot
from audit.core.table import IntArray, objects
from audit.core.texts import Texts
from audit.errors import UsageError
from audit.ports import TakeAnnotations

PIECE = 1 << 14
"""Shapes in memory before they are given away."""
MAX_PROBLEMS = 500
"""So many are listed one by one; a file with more gets a count of the rest."""


class Labels:
    """Names to codes, in the order of the export."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.codes: dict[str, int] = {}
        for name in names:
            self.declare(name)

    def declare(self, name: str) -> int:
        """The code of this name, new or not."""
        return self.codes.setdefault(name, len(self.codes))

    def code(self, name: str, where: str) -> int:
        """The code of a declared name. Raises UsageError with the place and the names there are."""
        if name not in self.codes:
            raise unknown_label(where, f"label '{name}'", self.codes)
        return self.codes[name]


def unknown_label(where: str, what: str, known: Iterable[object]) -> UsageError:
    """The error for a label or category that the export does not declare."""
    names = [str(k) for k in known]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return UsageError(f"{where}: {what} is not declared by the export (it has: {shown or 'none'}); export it again")


class Problems:
    """Things skipped, bounded: a broken file of a million shapes must not become a million lines."""

    def __init__(self) -> None:
        self._listed: list[Problem] = []
        self._more = 0

    def add(self, where: str, reason: str) -> None:
        if len(self._listed) < MAX_PROBLEMS:
            self._listed.append(Problem(where[:300], reason[:300]))
        else:
            self._more += 1

    def all(self) -> tuple[Problem, ...]:
        rest = [Problem("and more", f"{self._more} further problems are not listed")] if self._more else []
        return (*self._listed, *rest)


class FrameRows:
    """Grows into ``Frames``. wanted: the numbers to keep, ``None`` for all."""

    def __init__(self, wanted: range | None) -> None:
        self.wanted = wanted
        self.names, self.subsets = Texts(), Texts()
        self._columns = {name: array("q") for name in ("number", "width", "height", "task", "job", "image_id")}

    def __len__(self) -> int:
        return len(self.names)

    def add(
        self,
        name: str,
        number: int,
        size_hw: tuple[int, int],
        *,
        task: int = NO_ID,
        job: int = NO_ID,
        image_id: int = NO_ID,
        subset: str = "",
    ) -> int:
        """The row of this frame, -1 if its number is not wanted."""
        if self.wanted is not None and number not in self.wanted:
            return NO_ID
        values = (number, size_hw[1], size_hw[0], task, job, image_id)
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)
        self.names.append(name)
        self.subsets.append(subset)
        return len(self.names) - 1

    def size_hw(self, row: int) -> tuple[int, int]:
        """Height and width, zeros if unknown."""
        return self._columns["height"][row], self._columns["width"][row]

    def table(self) -> Frames:
        columns: dict[str, Any] = {name: _alike(_ints(values)) for name, values in self._columns.items()}
        return Frames(name=self.names, **columns)


class ShapeRows:
    """Grows into ``Annotations``. give: takes them whenever there are ``PIECE`` of them; None keeps them all.

    single_ids: those of all shapes that are not part of a track.
    """

    def __init__(self, give: Callable[[Annotations], None] | None = None) -> None:
        self._give = give
        self.single_ids = array("q")
        self._begin()

    def _begin(self) -> None:
        self._boxes = array("d")
        self._rotation = array("d")
        self._columns = {name: array("q") for name in ("frame", "label", "annotation_id", "shape")}
        self._flags = {name: array("b") for name in ("crowd", "track", "occluded")}
        self._objects: dict[str, list[object]] = {"points": [], "mask": [], "source": []}

    def __len__(self) -> int:
        return len(self._rotation)

    def add(  # noqa: PLR0913  one argument a column
        self,
        shape: Shape,
        frame: int,
        label: int,
        annotation_id: int,
        *,
        crowd: bool = False,
        track: bool = False,
        occluded: bool = False,
        source: str = "manual",
    ) -> None:
        self._boxes.extend(shape.xyxy)
        self._rotation.append(shape.rotation)
        for column, value in zip(self._columns.values(), (frame, label, annotation_id, shape.type), strict=True):
            column.append(value)
        for flags, on in zip(self._flags.values(), (crowd, track, occluded), strict=True):
            flags.append(on)
        for values, item in zip(self._objects.values(), (shape.points, shape.mask, sys.intern(source)), strict=True):
            values.append(item)
        if not track:
            self.single_ids.append(annotation_id)
        if self._give is not None and len(self) >= PIECE:
            self._give(self.table())
            self._begin()

    def table(self) -> Annotations:
        columns: dict[str, Any] = {name: _ints(values) for name, values in self._columns.items()}
        columns |= {name: _view(values, np.bool_) for name, values in self._flags.items()}
        columns |= {name: objects(values) for name, values in self._objects.items()}
        return Annotations(
            xyxy=_view(self._boxes, np.float64).reshape(-1, 4),
            rotation=_view(self._rotation, np.float64),
            **columns,
        )


@dataclass
class Reading:
    """One export while it is read.

    positions, shape_positions: frames and shapes met so far, kept or not, for formats without numbers.
    skipped: what was left out or is worth saying, with how often it came. take: see ``AnnotationStore.snapshot``.
    """

    wanted: range | None
    take: TakeAnnotations | None = None
    labels: Labels = field(default_factory=Labels)
    label_ids: dict[int, int] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    jobs: list[Job] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    link: str = ""
    positions: int = 0
    shape_positions: int = 0
    frames: FrameRows = field(init=False)
    shapes: ShapeRows = field(init=False)

    def __post_init__(self) -> None:
        self.frames = FrameRows(self.wanted)
        self.shapes = ShapeRows(None if self.take is None else self._hand_over)

    def _hand_over(self, annotations: Annotations) -> None:
        if self.take is not None:
            self.take(annotations, self.labels.codes)

    def size(self, width: object, height: object, where: str) -> tuple[int, int]:
        """(h, w) as stated, or zeros with a problem when no image can have that size."""
        w, h = whole(width), whole(height)
        if w is None or h is None or w < 0 or h < 0 or w * h > MAX_PIXELS:
            stated = f"{str(width)[:30]} x {str(height)[:30]}"
            self.problems.add(where, f"states a size of {stated} px, which no image can have; taken as unknown")
            return 0, 0
        return h, w

    def snapshot(self, source: str) -> Snapshot:
        """All that was collected, as one value."""
        annotations = self.shapes.table()
        if self.take is not None:
            self.take(annotations, self.labels.codes)
            annotations = Annotations()
        counted = [f"{count} {what}" for what, count in sorted(self.skipped.items()) if count]
        return Snapshot(
            source=source,
            labels=tuple(self.labels.codes),
            frames=self.frames.table(),
            annotations=annotations,
            jobs=tuple(self.jobs),
            read_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            link=self.link,
            problems=self.problems.all(),
            notes=(*self.notes, *counted),
            label_ids=tuple(self.label_ids.get(code, NO_ID) for code in self.labels.codes.values()),
        )


def _ints(values: array[int]) -> np.ndarray:
    return _view(values, np.int64)


def _alike(values: IntArray) -> IntArray:
    """The same; one value stands for all where they are alike."""
    alike = len(values) > 1 and bool((values == values[0]).all())
    return np.broadcast_to(values[:1].copy(), values.shape) if alike else values


def _view(values: array[Any], dtype: type) -> np.ndarray:
    """The same memory as a numpy array: columns of millions of rows are not held twice."""
    return np.frombuffer(values, dtype=dtype) if len(values) else np.empty(0, dtype)
