"""What the double knows: users, projects, tasks, jobs, media, annotations. No HTTP here."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any


@dataclass
class User:
    id: int
    username: str
    password: str
    groups: list[str]
    is_superuser: bool
    joined: str
    last_login: str | None = None


@dataclass
class AccessToken:
    id: int
    name: str
    value: str
    user: int
    read_only: bool
    created: str
    updated: str
    last_used: str | None = None


@dataclass
class Organization:
    id: int
    slug: str
    name: str
    owner: int
    created: str
    updated: str
    members: dict[int, str] = field(default_factory=dict)  # user id to role


@dataclass
class Attribute:
    id: int
    name: str
    mutable: bool
    input_type: str
    default_value: str
    values: list[str]


@dataclass
class Label:
    id: int
    name: str
    color: str
    type: str
    attributes: list[Attribute]
    project: int | None
    task: int | None
    sublabels: list[Label] = field(default_factory=list)
    svg: str = ""


@dataclass
class Project:
    id: int
    name: str
    owner: int
    created: str
    updated: str
    assignee: int | None = None
    assignee_updated: str | None = None
    bug_tracker: str = ""
    organization: int | None = None


@dataclass
class Image:
    """One frame's file. width, height: as the file states them turned upright; 0 if nothing can read it."""

    name: str
    data: bytes
    width: int
    height: int


@dataclass
class Media:
    """A task's images and how they are cut into chunks."""

    images: list[Image]
    chunk_size: int
    image_quality: int
    updated: str
    deleted: set[int] = field(default_factory=set)


@dataclass
class Task:
    id: int
    name: str
    owner: int
    created: str
    updated: str
    project: int | None = None
    assignee: int | None = None
    assignee_updated: str | None = None
    bug_tracker: str = ""
    subset: str = ""
    segment_size: int = 0
    overlap: int | None = None
    consensus_replicas: int = 0
    organization: int | None = None
    data: int | None = None  # the id of its data: there from the first upload on, even one that failed
    media: Media | None = None
    uploads: dict[str, bytes] = field(default_factory=dict)  # files sent, before "finish"


@dataclass
class Tables:
    """The annotations of one job, as they are stored: complete objects by id, attributes only where given."""

    tags: dict[int, dict[str, Any]] = field(default_factory=dict)
    shapes: dict[int, dict[str, Any]] = field(default_factory=dict)
    tracks: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Job:
    id: int
    task: int
    type: str
    start: int
    stop: int
    created: str
    updated: str
    stage: str = "annotation"
    state: str = "new"
    assignee: int | None = None
    assignee_updated: str | None = None
    parent: int | None = None
    included: list[int] | None = None  # a ground-truth job's frames
    chunks_updated: str = ""
    tables: Tables = field(default_factory=Tables)

    @property
    def frames(self) -> list[int]:
        """The task-wide numbers of this job's frames."""
        return self.included if self.included is not None else list(range(self.start, self.stop + 1))

    @property
    def status(self) -> str:
        """The old single word for stage and state."""
        return {"annotation": "annotation", "validation": "validation", "acceptance": "completed"}[self.stage]


@dataclass
class Comment:
    id: int
    issue: int
    owner: int
    message: str
    created: str
    updated: str


@dataclass
class Issue:
    id: int
    job: int
    frame: int
    position: list[float]
    owner: int
    created: str
    updated: str
    assignee: int | None = None
    resolved: bool = False


@dataclass
class Background:
    """A request in the background (task creation). polls_left: how often it still answers "started"."""

    id: str
    task: int
    owner: int
    created: str
    polls_left: int
    message: str = ""
    failed: bool = False
    ended: str = ""


@dataclass
class Function:
    """A Nuclio function. broken: its object lacks ``status``, which makes every list a 500."""

    id: str
    kind: str
    labels: list[dict[str, Any]]
    handler: Callable[[dict[str, Any]], Any]
    name: str
    description: str
    extra: dict[str, Any] = field(default_factory=dict)
    broken: bool = False


@dataclass
class Batch:
    """An auto-annotation of a whole task or job, carried on a step with each poll."""

    id: str
    function: str
    task: int
    job: int | None
    threshold: float | None
    options: dict[str, Any]
    owner: int
    enqueued: str
    polls_left: int
    frames: list[int] = field(default_factory=list)
    results: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    status: str = "queued"
    progress: int | None = None
    started: str | None = None
    ended: str | None = None
    exc_info: str | None = None


class Clock:
    """The present, never twice the same: what was written later has the later date."""

    def __init__(self) -> None:
        self._last = datetime.now(timezone.utc)

    def now(self) -> str:
        """ISO 8601 with microseconds and Z, as the server writes dates."""
        self._last = max(datetime.now(timezone.utc), self._last + timedelta(microseconds=1))
        return f"{self._last:%Y-%m-%dT%H:%M:%S.%f}Z"


class State:
    """All tables. ``lock`` is held for the whole of a request."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.users: dict[int, User] = {}
        self.tokens: dict[int, AccessToken] = {}
        self.keys: dict[str, int] = {}  # legacy key to user
        self.sessions: dict[str, int] = {}
        self.organizations: dict[int, Organization] = {}
        self.projects: dict[int, Project] = {}
        self.labels: dict[int, Label] = {}  # parents only
        self.tasks: dict[int, Task] = {}
        self.jobs: dict[int, Job] = {}
        self.issues: dict[int, Issue] = {}
        self.comments: dict[int, Comment] = {}
        self.background: dict[str, Background] = {}
        self.functions: dict[str, Function] = {}
        self.batches: dict[str, Batch] = {}
        self.tus: dict[str, tuple[int, str, int, bytes]] = {}  # file id to task, name, length, bytes so far
        self.functions_down = False
        self.scores = True
        self.request_polls = 0
        self._counters: dict[str, Iterator[int]] = {}

    def next_id(self, table: str) -> int:
        """Consecutive ids, one row of them a table."""
        return next(self._counters.setdefault(table, itertools.count(1)))

    def now(self) -> str:
        return self.clock.now()

    def user_named(self, name: str) -> User | None:
        return next((user for user in self.users.values() if user.username == name), None)

    def task_jobs(self, task: int) -> list[Job]:
        """All jobs of a task, oldest first."""
        return [job for job in self.jobs.values() if job.task == task]

    def parts(self, task: int) -> list[Job]:
        """The ordinary jobs, by frames: what the task's own view of annotations consists of."""
        jobs = [job for job in self.task_jobs(task) if job.type == "annotation"]
        return sorted(jobs, key=lambda job: (job.start, job.id))

    def labels_of(self, task: Task) -> list[Label]:
        """The labels to use in a task: its project's or its own."""
        return [
            label
            for label in self.labels.values()
            if (label.project == task.project if task.project is not None else label.task == task.id)
        ]

    def touch(self, job: Job) -> None:
        """An annotation was written: job, task and project get new dates."""
        job.updated = self.now()
        task = self.tasks[job.task]
        task.updated = self.now()
        if task.project is not None:
            self.projects[task.project].updated = self.now()
