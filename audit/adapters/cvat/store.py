"""A task, job or project on a CVAT server as an ``AnnotationStore``."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from audit.adapters.cvat.address import Address, parse_address
from audit.adapters.cvat.ahead import ReadAhead
from audit.adapters.cvat.chunks import Media
from audit.adapters.cvat.connection import Connection
from audit.adapters.cvat.convert import JobFrames, take_annotations
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.document import Document
from audit.adapters.cvat.images import ImageSource
from audit.adapters.cvat.index import FrameIndex
from audit.adapters.cvat.patience import Patience, line_of
from audit.adapters.cvat.scope import JobPart, Scope, Selection, resolve
from audit.adapters.folders import cache_dir
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Annotations, Frames, Problem, Snapshot
from audit.core.texts import Texts
from audit.errors import ServiceError, UsageError
from audit.ports import FrameImage, FrameProblem, Progress, TakeAnnotations


def open_store(  # noqa: PLR0913 - one keyword for each option of the command line
    address: str,
    *,
    credentials: Credentials,
    organization: str | None = None,
    frames: range | None = None,
    job_stage: str | None = None,
    job_state: str | None = None,
    workers: int = 4,
    cache: ImageCache,
    patience: Patience | None = None,
) -> CvatStore:
    """Name what to audit; nothing is sent before ``snapshot``. workers: downloads at a time.

    Raises UsageError for an address, stage or state that makes no sense.
    """
    parsed = parse_address(address)
    selection = Selection(frames, job_stage, job_state)
    connection = Connection(parsed.base, credentials, organization=organization, patience=patience, connections=workers)
    return CvatStore(connection, parsed, selection, cache, workers=workers)


class CvatStore:
    """Reads through one connection; ``connection`` may be shared with a function of the same server."""

    def __init__(
        self, connection: Connection, address: Address, selection: Selection, cache: ImageCache, *, workers: int = 4
    ) -> None:
        self.connection = connection
        self._address, self._selection, self._workers = address, selection, max(workers, 1)
        self._index = FrameIndex(cache_dir("cvat") / "frames.sqlite")
        self._images = ImageSource(connection, cache, self._index, self._workers)
        self._media: dict[int, Media] = {}

    def snapshot(self, progress: Progress, take: TakeAnnotations | None = None) -> Snapshot:
        """One row of frames per job and frame, so that overlapping jobs are each audited on their own."""
        read_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        scope = self._scope()
        parts = [part for part in scope.parts if part.numbers]
        self._media = {part.job.id: part.media for part in parts}
        plan = _plan(parts)
        annotations, problems = self._annotations(plan, progress, take)
        return Snapshot(
            source=str(self._address),
            labels=plan.labels,
            frames=plan.frames,
            annotations=annotations,
            jobs=tuple(part.job for part in parts),
            read_at=read_at,
            link=_link(self._address.base),
            problems=tuple(problems),
            notes=tuple(_notes(scope)),
        )

    def has_images(self) -> bool:
        return True

    def images(self, snapshot: Snapshot, frames: Sequence[int]) -> Iterator[FrameImage | FrameProblem]:
        """Raises ServiceError if the server fails for good; a frame that cannot be had is a FrameProblem."""
        medias = self._medias()
        f = snapshot.frames
        try:
            asked = [(row, medias[int(f.job[row])], int(f.number[row])) for row in frames]
        except KeyError as error:
            raise UsageError(f"job {error} is not part of {self._address}; pull it again") from None
        return self._images.images(asked)

    def close(self) -> None:
        self.connection.close()
        self._index.close()

    def _medias(self) -> dict[int, Media]:
        if not self._media:  # a run that goes on from a stored snapshot
            self._media = {part.job.id: part.media for part in self._scope().parts}
        return self._media

    def _annotations(
        self, plan: _Plan, progress: Progress, take: TakeAnnotations | None
    ) -> tuple[Annotations, list[Problem]]:
        """All of them, or none where ``take`` has got them."""
        codes = {name: code for code, name in enumerate(plan.labels)}
        tables, problems = [], list[Problem]()

        def keep(table: Annotations) -> None:
            if take is None:
                tables.append(table)
            else:
                take(table, plan.labels)

        jobs = [part for part, _ in plan.jobs]
        with (
            progress.task("Reading annotations", len(jobs)) as advance,
            ReadAhead(self._of_job, jobs, self._workers, "cvat-annotations") as answers,
        ):
            for i, (part, rows) in enumerate(plan.jobs):
                labels = {label: codes[name] for label, name in part.labels.items()}
                with answers.take(i) as document:
                    problems += take_annotations(document.items, rows, labels, keep)
                advance()
        return Annotations.concat(tables), problems

    def _of_job(self, part: JobPart) -> Document:
        what, call = f"the annotations of job {part.job.id}", self.connection.api.jobs_api.retrieve_annotations
        return self.connection.document(what, call, part.job.id)

    def _scope(self) -> Scope:
        try:
            return resolve(self.connection, self._address, self._selection)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            host = self.connection.host
            raise ServiceError(f"{host} does not answer like a CVAT server ({line_of(repr(error), 80)})") from error


@dataclass(frozen=True)
class _Plan:
    labels: tuple[str, ...]
    frames: Frames
    jobs: list[tuple[JobPart, JobFrames]]


def _plan(parts: Sequence[JobPart]) -> _Plan:
    """Labels of all tasks merged by name, and a row for every frame of every job."""
    labels = tuple(dict.fromkeys(name for part in parts for name in part.labels.values()))
    names, columns = Texts(), {n: array("q") for n in ("number", "width", "height", "task", "job")}
    jobs = []
    for part in parts:
        start = len(names)
        for number in part.numbers:
            height, width = part.sizes_hw[number]
            names.append(part.names[number])
            values = (number, width, height, part.job.task, part.job.id)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        rows = {number: start + i for i, number in enumerate(part.numbers)}
        where = f"task {part.job.task}, job {part.job.id}"
        jobs.append((part, JobFrames(rows, part.sizes_hw, frozenset(part.sizes_hw), where)))
    facts: dict[str, Any] = {name: np.array(column, np.int64) for name, column in columns.items()}
    return _Plan(labels, Frames(name=names, **facts), jobs)


def _link(base: str) -> str:
    return base + "/tasks/{task}/jobs/{job}?frame={number}"


def _notes(scope: Scope) -> list[str]:
    """Each line once, in order."""
    return list(dict.fromkeys(scope.notes))
