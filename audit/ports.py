"""What the workflow needs from the outside world. Adapters implement these; the core never sees them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.core.annotations import Annotations, Predictions, Snapshot


class Advance(Protocol):
    """Moves a progress bar on by some steps."""

    def __call__(self, steps: int = 1) -> None: ...


class Progress(Protocol):
    """Reports how far a long step is. ``total`` is None if it cannot be known beforehand."""

    def task(self, description: str, total: int | None) -> AbstractContextManager[Advance]: ...

    def note(self, line: str) -> None:
        """One line for the user (stderr), above any progress bar."""


@dataclass(frozen=True)
class FrameImage:
    """The bytes of one frame. path: a local file that keeps exactly these bytes for later use."""

    frame: int
    sha256: str
    path: Path
    data: bytes


@dataclass(frozen=True)
class FrameProblem:
    """A frame whose image could not be had or used; it is reported and skipped."""

    frame: int
    reason: str


class TakeAnnotations(Protocol):
    """Takes some annotations. labels: the names that their codes stand for, as far as they are known."""

    def __call__(self, annotations: Annotations, labels: Collection[str]) -> None: ...


class AnnotationStore(Protocol):
    """Where annotations come from: a CVAT server or an export on disk."""

    def snapshot(self, progress: Progress, take: TakeAnnotations | None = None) -> Snapshot:
        """Read labels, frames and annotations once. Raises UsageError or ServiceError.

        take: gets the annotations piece by piece, so that they are never in memory all at once; the
        snapshot then has none.
        """

    def has_images(self) -> bool:
        """False if there are no image files at all (an export of annotations only)."""

    def images(self, snapshot: Snapshot, frames: Sequence[int]) -> Iterator[FrameImage | FrameProblem]:
        """One item per asked row of ``snapshot.frames``, in that order; never raises for one bad frame.

        May read ahead. Bytes are the original file's, as CVAT stores them.
        """

    def close(self) -> None: ...


@dataclass(frozen=True)
class PredictItem:
    """One frame to predict. size_hw: as the source states it, (0, 0) if unknown. data: None if no image is had.

    A decoded image whose size differs from ``size_hw`` only by an EXIF rotation is turned to fit it.
    """

    frame: int
    name: str
    image_id: int
    task: int
    number: int
    size_hw: tuple[int, int]
    sha256: str
    data: bytes | None


class Predictor(Protocol):
    """A model, a results file, or a function on a server."""

    @property
    def name(self) -> str:
        """For people: the file's or function's name."""

    @property
    def digest(self) -> str:
        """Changes when weights or settings do; with an image's digest it keys the cache. "" = never cache."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes this can predict, by its own names; label codes of predictions index it."""

    @property
    def needs_images(self) -> bool:
        """Whether ``PredictItem.data`` must be given."""

    @property
    def batch_size(self) -> int:
        """How many items a call should hold."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user, such as why scores are all 1."""

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One entry per item, in order: its predictions down to score 0.01 (``frame`` column ignored),

        or a sentence why this item could not be predicted. Raises ServiceError if nothing can be.
        """

    def close(self) -> None: ...
