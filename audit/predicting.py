"""The costly stage: every image is read once, and no model ever sees the same bytes twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audit.asking import Answer, Asking, Cache, Question
from audit.checks.look_alikes import Differences
from audit.core.annotations import Frames, Predictions, Problem, Snapshot
from audit.core.labels import LabelMatch
from audit.core.likeness import Hashes
from audit.core.table import BoolArray, FloatArray
from audit.core.texts import Texts
from audit.memory import give_back
from audit.ports import Advance, AnnotationStore, FrameImage, FrameProblem, PredictItem, Predictor, Progress
from audit.runs import table_writer

ROW_GROUP = 1 << 13
"""Predictions written in one go: bounds the memory in use."""


class Likeness(Protocol):
    """Hashes of pictures by SHA-256 (``audit.core.likeness``), and a look at the pictures of two frames."""

    def seen(self, sha256: str, picture: NDArray[np.uint8]) -> None: ...

    def read(self, images: Iterable[tuple[str, bytes | None]]) -> None: ...

    def of(self, sha256s: Iterable[str]) -> Hashes: ...

    def unlike(self, found: Differences, frames: Frames) -> FloatArray: ...


@dataclass(frozen=True)
class Auditor:
    """A predictor and what its classes are called in the task."""

    predictor: Predictor
    match: LabelMatch


@dataclass
class Timings:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def predict(  # noqa: PLR0913 - the collaborators of one step; a bundle of them would hide what it needs
    store: AnnotationStore,
    auditors: Sequence[Auditor],
    snapshot: Snapshot,
    file: Path,
    *,
    cache: Cache,
    progress: Progress,
    timings: Timings,
    likeness: Likeness | None = None,
) -> tuple[Snapshot, BoolArray]:
    """Write all predictions to ``file``, sorted by frame, in the task's label codes.

    likeness: is shown every picture, if it is given; a predictor that decodes them anyway shows them itself.
    Gives the snapshot with what the images told, and (frames,) which of them were predicted.
    """
    frames = _FrameNotes(snapshot)
    n = len(snapshot.frames)
    size = max((a.predictor.batch_size for a in auditors), default=1)
    for predictor in (a.predictor for a in auditors):
        if likeness is not None and hasattr(predictor, "on_picture"):
            predictor.on_picture = likeness.seen
    with (
        table_writer(file, Predictions, snapshot.labels) as write,
        closing(_Panel(auditors, cache, frames)) as panel,
        progress.task("Reading images", n) as read_on,
        progress.task("Predicting" if auditors else "Looking at images", n) as predict_on,
    ):
        block: list[Predictions] = []
        for batch, predictions in panel.answers(_batches(_items(store, frames, read_on), size, timings), timings):
            block.append(predictions)
            if likeness is not None:
                with timings.stage("pull"):
                    likeness.read((item.sha256, item.data) for item in batch)
            predict_on(len(batch))
            if sum(map(len, block)) >= ROW_GROUP:
                write(Predictions.concat(block))
                block = []
                give_back()
        write(Predictions.concat(block))
    return frames.snapshot(), frames.audited


class _FrameNotes:
    """What is learnt of the frames while their images pass by."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.before = snapshot
        f = snapshot.frames
        self._sha256, self._path = Texts(), Texts()
        self.audited = np.ones(len(f), bool)
        self.problems: list[Problem] = []

    @property
    def frames(self) -> Frames:
        return self.before.frames

    def seen(self, image: FrameImage) -> None:
        """Images come in the order of the frames; one that is skipped leaves a gap."""
        for column, text in ((self._sha256, image.sha256), (self._path, str(image.path))):
            column.fill(image.frame)
            column.append(text)

    def skip(self, frame: int, reason: str) -> None:
        if self.audited[frame]:
            self.audited[frame] = False
            self.problems.append(Problem(str(self.frames.name[frame]), reason))

    def snapshot(self) -> Snapshot:
        frames = self.frames
        if len(self._sha256):
            for column in (self._sha256, self._path):
                column.fill(len(frames))
            frames = frames.replace(sha256=self._sha256, path=self._path)
        return replace(self.before, frames=frames, problems=(*self.before.problems, *self.problems))


def _items(store: AnnotationStore, notes: _FrameNotes, advance: Advance) -> Iterator[PredictItem]:
    """Every frame that can be predicted, with its image if there is one."""
    every = range(len(notes.frames))
    if not store.has_images():
        for frame in every:
            yield _item(notes, frame, "", None)
            advance()
        return
    for image in store.images(notes.before, every):
        advance()
        if isinstance(image, FrameProblem):
            notes.skip(image.frame, image.reason)
            continue
        notes.seen(image)
        yield _item(notes, image.frame, image.sha256, image.data)


def _item(notes: _FrameNotes, frame: int, sha256: str, data: bytes | None) -> PredictItem:
    f = notes.frames
    return PredictItem(
        frame=frame,
        name=str(f.name[frame]),
        image_id=int(f.image_id[frame]),
        task=int(f.task[frame]),
        number=int(f.number[frame]),
        size_hw=(int(f.height[frame]), int(f.width[frame])),
        sha256=sha256,
        data=data,
    )


def _batches(items: Iterator[PredictItem], size: int, timings: Timings) -> Iterator[list[PredictItem]]:
    """Lists of ``size`` items; the time spent waiting for them counts as pulling."""
    while True:
        with timings.stage("pull"):
            batch = [item for _, item in zip(range(size), items, strict=False)]
        if not batch:
            return
        yield batch


class _Panel:
    """All auditors, asked batch after batch."""

    def __init__(self, auditors: Sequence[Auditor], cache: Cache, notes: _FrameNotes) -> None:
        self._codes = [auditor.match.codes for auditor in auditors]
        self._asking = [Asking(auditor.predictor, cache) for auditor in auditors]
        self._ahead = max((asking.ahead for asking in self._asking), default=1)
        self._notes = notes

    def answers(
        self, batches: Iterable[Sequence[PredictItem]], timings: Timings
    ) -> Iterator[tuple[Sequence[PredictItem], Predictions]]:
        """Each batch and what all auditors say of it, in order; the next batch is begun before one is waited for."""
        begun: deque[tuple[Sequence[PredictItem], list[Question]]] = deque()
        for batch in batches:
            with timings.stage("predict"):
                begun.append((batch, [asking.begin(batch) for asking in self._asking]))
            if len(begun) == self._ahead:
                yield self._ended(*begun.popleft(), timings)
        while begun:
            yield self._ended(*begun.popleft(), timings)

    def close(self) -> None:
        for asking in self._asking:
            asking.close()

    def _ended(
        self, batch: Sequence[PredictItem], questions: list[Question], timings: Timings
    ) -> tuple[Sequence[PredictItem], Predictions]:
        with timings.stage("predict"):
            answers = [asking.end(question) for asking, question in zip(self._asking, questions, strict=True)]
            return batch, self._together(batch, answers)

    def _together(self, batch: Sequence[PredictItem], answers: list[list[Answer]]) -> Predictions:
        """In the task's label codes, sorted by frame; what any auditor cannot use is left out and noted."""
        parts, notes = [], self._notes
        for model, (codes, of_model) in enumerate(zip(self._codes, answers, strict=True)):
            for item, found in zip(batch, of_model, strict=True):
                if isinstance(found, str):
                    notes.skip(item.frame, found)
                    continue
                n = len(found)
                labels = codes[found.label]
                part = found.replace(label=labels, frame=np.full(n, item.frame), model=np.full(n, model))
                parts.append(part[labels >= 0])
        together = Predictions.concat(parts)
        together = together[notes.audited[together.frame]]
        return together[np.argsort(together.frame, kind="stable")]
