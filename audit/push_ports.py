"""What a push needs from the place it writes to. A shape is JSON exactly as that place gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from audit.core.corrections import Correction
from audit.errors import AuditError

Shape = dict[str, Any]
SHAPES, TRACKS = "shapes", "tracks"
"""What a write is about; a track is one object with its keyframes, and has ids of its own."""


OF_A_TRACK = "a track"
"""Begins the note of a line about a track."""


class Unfit(ValueError):  # noqa: N818 - named for what happened, as its siblings in the adapters
    """This correction cannot be made there; the text says why in a few words."""


@dataclass(frozen=True)
class Place:
    """One frame of one job. number: within its task. size_hw: pixels, zeros if unknown."""

    job: int
    number: int
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class JobView:
    """A job as it stands now. frames: numbers it holds. version: changes with every write of anybody."""

    id: int
    frames: frozenset[int]
    stage: str
    state: str
    assignee: str
    version: str


@dataclass(frozen=True)
class Remark:
    """One comment of an issue. time: ISO 8601."""

    author: str
    text: str
    time: str


@dataclass(frozen=True)
class IssueView:
    """An issue as it stands now; the first of its comments is its text."""

    id: int
    job: int
    frame: int
    resolved: bool
    time: str
    comments: tuple[Remark, ...]


@dataclass(frozen=True)
class Line:
    """What became, or would become, of one correction.

    action: create, update, relabel, delete, issue, restore. status: "to do", "done", "already" (nothing to
    do), "conflict" (left alone) or "failed" (refused). before, after: shapes as JSON; of an issue, after
    holds frame, position and text. note: what a person should know of it. label: name of the label it gives.
    """

    findings: tuple[str, ...]
    action: str
    job: int
    status: str
    frame: int = -1
    id: int | None = None
    before: Shape | None = None
    after: Shape | None = None
    reason: str = ""
    note: str = ""
    label: str = ""


@dataclass
class Report:
    """lines: one for each correction, in the order of jobs. notes: for the user. failure: what ended it early."""

    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: AuditError | None = None

    def count(self, status: str) -> int:
        return sum(line.status == status for line in self.lines)


class PushTarget(Protocol):
    """A server that holds the task. Reads are tried again by themselves; a write is sent once and never repeated.

    A write that raises may or may not have been carried out; who calls must read to know.
    All raise UsageError for what is refused, and ServiceError for a server that fails.
    """

    def job(self, job: int) -> JobView: ...

    def shapes(self, job: int) -> dict[int, Shape]:
        """Every single shape of the job by id; no tracks, no tags."""

    def tracks(self, job: int) -> dict[int, Shape]:
        """Every track of the job by id."""

    def shown_on(self, track: Shape, numbers: Iterable[int]) -> list[int]:
        """On which of these frames a stored track shows."""

    def digest(self, shape: Shape) -> str:
        """As ``Annotations.digest``."""

    def same(self, stored: Shape, wanted: Shape) -> bool:
        """Whether all that ``wanted`` states holds of what is stored; ids do not count."""

    def twin(self, shapes: Mapping[int, Shape], wanted: Shape) -> int | None:
        """The id of a stored shape that is the ``same`` as wanted, None if there is none."""

    def drawn(self, correction: Correction, place: Place) -> Shape:
        """The shape that a create asks for, without an id. Raises Unfit."""

    def changed(self, shape: Shape, correction: Correction, place: Place) -> Shape:
        """The stored shape with what the correction changes, and nothing else. Raises Unfit."""

    def write(self, job: int, action: str, shapes: Sequence[Shape], kind: str = SHAPES) -> frozenset[int]:
        """action: create (no ids), update (keeps ids; an id that is gone comes back), delete. All or nothing.

        kind: ``SHAPES`` or ``TRACKS``. Returns the ids that the answer names; that they are stored so is for who
        calls to read.
        """

    def issues(self, job: int) -> list[IssueView]: ...

    def open_issue(self, job: int, frame: int, position: Sequence[float], text: str) -> int:
        """The new issue's id."""

    def delete_issue(self, issue: int) -> None: ...

    def holding(self, job: int) -> AbstractContextManager[None]:
        """While held, nothing else of this user on this machine writes to the job. Raises UsageError if it does."""

    def close(self) -> None: ...


def by_id(shapes: Sequence[Mapping[str, Any]]) -> dict[int, Shape]:
    """Shapes by their id."""
    return {int(shape["id"]): dict(shape) for shape in shapes}


def without_key_ids(track: Shape) -> Shape:
    """A track, and the points of a skeleton's, without the ids of keyframes, which every write changes."""
    bare = {**track, "shapes": [{k: v for k, v in key.items() if k != "id"} for key in track["shapes"]]}
    return bare | {"elements": [without_key_ids(part) for part in track["elements"]]} if track.get("elements") else bare
