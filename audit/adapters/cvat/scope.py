"""What an address stands for: the tasks and jobs that are audited, and what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.adapters.cvat.address import Address
from audit.adapters.cvat.chunks import Media
from audit.adapters.cvat.connection import Connection
from audit.adapters.cvat.convert import job_of, labels_of
from audit.adapters.cvat.patience import Refused
from audit.core.annotations import Job
from audit.core.words import amount
from audit.errors import ServiceError, UsageError

STAGES = ("annotation", "validation", "acceptance")
STATES = ("new", "in progress", "completed", "rejected")

MAX_FRAMES = 50_000_000
"""Of a task: three weeks of video. More is a mistake or an attack on our memory."""

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Selection:
    """Which jobs and frames of an address are asked for. ``None`` = all.

    frames: numbers within the task. job_stage, job_state: CVAT's words. Raises UsageError for others.
    """

    frames: range | None = None
    job_stage: str | None = None
    job_state: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("job_stage", STAGES), ("job_state", STATES)):
            value = getattr(self, name)
            if value is None:
                continue
            plain = value.strip().lower().replace("-", " ").replace("_", " ")
            if plain not in allowed:
                raise UsageError(f"'{value}' is no {name.replace('_', ' ')}; CVAT has: {', '.join(allowed)}")
            object.__setattr__(self, name, plain)

    def takes(self, job: Job) -> bool:
        return self.job_stage in (None, job.stage) and self.job_state in (None, job.state)


@dataclass(frozen=True)
class JobPart:
    """One audited job. names, sizes_hw: of every frame of it, by number. numbers: of those that are audited."""

    job: Job
    names: Mapping[int, str]
    sizes_hw: Mapping[int, tuple[int, int]]
    numbers: tuple[int, ...]
    labels: Mapping[int, str]
    media: Media


@dataclass
class Scope:
    """The jobs to audit, in the order of tasks and frames, and lines for the user about the rest."""

    parts: list[JobPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def resolve(connection: Connection, address: Address, selection: Selection) -> Scope:
    """Ask the server what the address holds. Raises UsageError if that is nothing to audit, and as ``Connection``."""
    scope, api = Scope(), connection.api
    if address.kind == "job":
        _add_named_job(scope, connection, address.id, selection)
    elif address.kind == "task":
        _add_task(scope, connection, address.id, selection)
    else:
        connection.json(f"project {address.id}", api.projects_api.retrieve, address.id)
        for task in _tasks(connection, address.id):
            _add_task(scope, connection, task, selection)
    if not any(part.numbers for part in scope.parts):
        asked = selection.frames
        there = [n for part in scope.parts for n in part.names]
        none = (
            [f"none from {asked.start} to {asked.stop - 1}; there are {min(there)} to {max(there)}"]
            if asked and there
            else []
        )
        left_out = "; ".join([*scope.notes, *none])
        raise UsageError(f"{address} holds no frame to audit" + (f" ({left_out})" if left_out else ""))
    return scope


def _tasks(connection: Connection, project: int) -> list[int]:
    listed = connection.pages(f"the tasks of project {project}", connection.api.tasks_api.list, project_id=project)
    return sorted(int(task["id"]) for task in listed)


def _add_named_job(scope: Scope, connection: Connection, job_id: int, selection: Selection) -> None:
    raw = connection.json(f"job {job_id}", connection.api.jobs_api.retrieve, job_id)
    if raw.get("dimension") == "3d":
        scope.notes.append(f"job {job_id} left out: it holds point clouds, not images")
        return
    if not selection.takes(job_of(raw)):
        scope.notes.append(f"job {job_id} left out: it is '{raw.get('stage')}', '{raw.get('state')}'")
        return
    if _kind(raw) != "annotation":
        scope.notes.append(f"job {job_id} is a {_kind(raw).replace('_', ' ')} job, audited since it was named")
    _add_job(scope, raw, _of_job(connection, raw), selection)


def _add_task(scope: Scope, connection: Connection, task_id: int, selection: Selection) -> None:
    api, what = connection.api, f"task {task_id}"
    try:
        task = connection.json(what, api.tasks_api.retrieve, task_id)
    except Refused as error:
        if error.status != 403:
            raise
        _add_own_jobs(scope, connection, task_id, selection, error)
        return
    if task.get("dimension") == "3d":
        scope.notes.append(f"{what} left out: it holds point clouds, not images")
        return
    if not task.get("size"):
        scope.notes.append(f"{what} has no images yet, left out")
        return
    meta = connection.json(f"the frames of {what}", api.tasks_api.retrieve_data_meta, task_id)
    listed = connection.pages(f"the labels of {what}", api.labels_api.list, task_id=task_id)
    numbers = _range(0, int(meta["size"]) - 1)
    media = _media(meta, "task", task_id, task_id, numbers, str(task.get("data_original_chunk_type")))
    view = _View(labels_of(listed), media, _frames_by_number(meta, numbers), frozenset(meta["deleted_frames"] or ()))
    _note_honeypots(scope, connection, task)
    for raw in _ordinary_jobs(scope, connection, task_id, selection):
        _add_job(scope, raw, view, selection)


def _add_own_jobs(scope: Scope, connection: Connection, task_id: int, selection: Selection, error: Refused) -> None:
    """A job's assignee may not read its task, but the job."""
    jobs = _ordinary_jobs(scope, connection, task_id, selection)
    first = next(jobs, None)
    if first is None:
        raise error
    scope.notes.append(f"task {task_id} may not be read as a whole; audited are the jobs that may")
    for raw in (first, *jobs):
        _add_job(scope, raw, _of_job(connection, raw), selection)


def _ordinary_jobs(scope: Scope, connection: Connection, task_id: int, selection: Selection) -> Iterator[Raw]:
    """The task's jobs that people annotate in, by their first frame; says which others there are."""
    listed = list(connection.pages(f"the jobs of task {task_id}", connection.api.jobs_api.list, task_id=task_id))
    listed.sort(key=lambda raw: (int(raw["start_frame"]), int(raw["id"])))
    replicas: Counter[int] = Counter(
        int(raw.get("parent_job_id") or 0) for raw in listed if _kind(raw) == "consensus_replica"
    )
    for raw in listed:
        if _kind(raw) == "ground_truth":
            count = raw.get("frame_count", "?")
            scope.notes.append(f"ground-truth job {raw['id']} of task {task_id} left out ({amount(count, 'frame')})")
    scope.notes.extend(
        f"{amount(n, 'consensus replica')} of job {parent} left out" for parent, n in sorted(replicas.items())
    )
    ordinary = [raw for raw in listed if _kind(raw) == "annotation"]
    chosen = [raw for raw in ordinary if selection.takes(job_of(raw))]
    if len(chosen) < len(ordinary):
        wanted = " and ".join(f"'{v}'" for v in (selection.job_stage, selection.job_state) if v)
        scope.notes.append(f"{amount(len(ordinary) - len(chosen), 'job')} of task {task_id} left out: not {wanted}")
    return iter(chosen)


@dataclass(frozen=True)
class _View:
    """What a task, or a job by itself, tells of its frames."""

    labels: Mapping[int, str]
    media: Media
    frames: Mapping[int, Raw]
    deleted: frozenset[int]


def _of_job(connection: Connection, raw: Raw) -> _View:
    api, job_id = connection.api, int(raw["id"])
    meta = connection.json(f"the frames of job {job_id}", api.jobs_api.retrieve_data_meta, job_id)
    listed = connection.pages(f"the labels of job {job_id}", api.labels_api.list, job_id=job_id)
    numbers = _range(raw["start_frame"], raw["stop_frame"])
    frames = _frames_by_number(meta, numbers)
    if meta.get("included_frames") is not None:
        frames = {n: frames[n] for n in sorted(meta["included_frames"]) if n in frames}
    kind = str(raw.get("data_original_chunk_type"))
    media = _media(meta, "job", job_id, int(raw["task_id"]), tuple(frames), kind)
    return _View(labels_of(listed), media, frames, frozenset(meta["deleted_frames"] or ()))


def _media(meta: Raw, endpoint: str, id_: int, task: int, numbers: Any, chunk_type: str) -> Media:
    size = int(meta.get("chunk_size") or 0)
    zipped = chunk_type == "imageset" and size > 0
    version = str(meta.get("chunks_updated_date") or "")
    return Media(endpoint, id_, task, numbers, max(size, 1), zipped, version)


def _frames_by_number(meta: Raw, numbers: range) -> dict[int, Raw]:
    """CVAT's list of frames by frame number; a video has one entry for all of them."""
    listed = meta["frames"]
    if len(listed) == 1:
        return dict.fromkeys(numbers, listed[0])
    if len(listed) != len(numbers):
        raise ServiceError(f"the server lists {len(listed)} frames where {len(numbers)} were expected")
    return dict(zip(numbers, listed, strict=True))


def _add_job(scope: Scope, raw: Raw, view: _View, selection: Selection) -> None:
    job = job_of(raw)
    inside = _range(raw["start_frame"], raw["stop_frame"])
    frames = {n: view.frames[n] for n in inside if n in view.frames}
    deleted = [n for n in frames if n in view.deleted]
    if deleted:
        scope.notes.append(f"{amount(len(deleted), 'deleted frame')} of job {job.id} left out")
    numbers = [n for n in frames if n not in view.deleted and (selection.frames is None or n in selection.frames)]
    names = {n: _name(frames[n], n) for n in frames}
    sizes = {n: (int(f.get("height") or 0), int(f.get("width") or 0)) for n, f in frames.items()}
    scope.parts.append(JobPart(job, names, sizes, tuple(numbers), view.labels, view.media))


def _range(first: Any, last: Any) -> range:
    numbers = range(int(first), int(last) + 1)
    if len(numbers) > MAX_FRAMES:
        raise ServiceError(f"the server speaks of {len(numbers)} frames, more than any task can have")
    return numbers


def _name(frame: Raw, number: int) -> str:
    return str(frame.get("name") or f"frame {number}")


def _note_honeypots(scope: Scope, connection: Connection, task: Raw) -> None:
    if task.get("validation_mode") != "gt_pool":
        return
    api, what = connection.api, f"the validation layout of task {task['id']}"
    try:
        layout = connection.json(what, api.tasks_api.retrieve_validation_layout, task["id"])
    except Refused:  # it only serves a note
        return
    count = len(layout.get("honeypot_frames") or ())
    if count:
        are = (
            "is a honeypot: a copy of a validation frame"
            if count == 1
            else "are honeypots: copies of validation frames"
        )
        scope.notes.append(f"{amount(count, 'frame')} of task {task['id']} {are}")


def _kind(raw: Raw) -> str:
    """Older servers have no type; their replicas still name a parent."""
    if raw.get("parent_job_id"):
        return "consensus_replica"
    return str(raw.get("type") or "annotation")
