"""The ``<meta>`` of CVAT's XML: labels, tasks with their frames, jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element  # types only: defusedxml does the parsing

from audit.adapters.exports.numbers import whole
from audit.adapters.exports.reading import Reading
from audit.core.annotations import NO_ID, Job

MAX_FRAMES = 2_000_000
"""A task that declares more is not believed: it is a video of nine hours at 60 frames a second."""


@dataclass(frozen=True)
class Segment:
    """The frames of one job, first and last, counted within its task from 0."""

    job: int
    start: int
    stop: int


@dataclass(frozen=True)
class TaskMeta:
    """What the XML says of a task (or of the part of it that a job export holds).

    start, step: the first frame's number in the original media and the distance of frames.
    size: frames, -1 if not stated. size_wh: of a video, as stated. subset: "" if not stated.
    offset: what the document adds to the numbers of this task: a project's export counts on over the tasks of a subset.
    folder: where the export keeps its images; those of a project have one for each subset.
    """

    id: int
    size: int
    start: int
    step: int
    size_wh: tuple[str, str]
    segments: tuple[Segment, ...]
    subset: str = ""
    offset: int = 0
    folder: str = "images/"

    def job_of(self, number: int) -> int:
        """The job whose segment holds the frame with this number, -1 if none is stated."""
        frame = (number - self.start) // self.step
        return next((s.job for s in self.segments if s.start <= frame <= s.stop), NO_ID)

    def numbers(self) -> range:
        """The frame numbers of the media in this export."""
        return range(self.start, self.start + self.step * max(self.size, 0), self.step)

    def number_of(self, stated: int) -> int:
        """The frame's number in its task, of the number that the document gives it."""
        number = stated - self.offset
        return number if number >= self.start else stated


def read_meta(meta: Element, reading: Reading) -> dict[int, TaskMeta]:
    """Tasks by id; declares labels and jobs. An export of a job or without ids has the one key -1 or its task's."""
    for label in meta.iter("label"):
        # a skeleton's points have a parent; they are no labels of their own
        if not _text(label, "parent"):
            reading.labels.declare(label.findtext("name") or "")
    tasks = {}
    for element in [*meta.iter("task"), *meta.iter("job")]:
        task = _task(element, meta)
        tasks[task.id] = task
        assignee = _text(element, "assignee/username") if element.tag == "job" else ""
        reading.jobs += [Job(s.job, task.id, assignee) for s in task.segments]
    if meta.find("project") is not None:
        tasks = _counted_on(tasks)
    reading.link = _link(meta, list(tasks.values()))
    return tasks


def _counted_on(tasks: dict[int, TaskMeta]) -> dict[int, TaskMeta]:
    """The tasks of a project with the offsets that CVAT gives those of one subset, in the document's order."""
    reached: dict[str, int] = {}
    counted = {}
    for key, task in tasks.items():
        offset = reached.get(task.subset, 0)
        folder = f"images/{task.subset}/" if task.subset else task.folder
        counted[key] = replace(task, offset=offset, folder=folder)
        reached[task.subset] = offset + task.start + task.step * max(task.size, 0)
    return counted


def _task(element: Element, meta: Element) -> TaskMeta:
    size = next(iter([*element.iter("original_size"), *meta.iter("original_size")]), None)
    step = re.fullmatch(r"step=(\d{1,6})", _text(element, "frame_filter"))
    count = whole(_text(element, "size"))
    ident = _text(element, "task_id") if element.tag == "job" else _text(element, "id")
    return TaskMeta(
        id=_id(ident),
        size=count if count is not None and 0 <= count <= MAX_FRAMES else NO_ID,
        start=max(whole(_text(element, "start_frame")) or 0, 0),
        step=max(int(step.group(1)), 1) if step else 1,
        size_wh=("0", "0") if size is None else (_text(size, "width"), _text(size, "height")),
        segments=tuple(s for e in element.iter("segment") if (s := _segment(e)) is not None),
        subset=_text(element, "subset"),
    )


def _segment(element: Element) -> Segment | None:
    # the address ends in the job's id; the segment's own id is another number
    job = re.search(r"/jobs/(\d{1,18})/?$", _text(element, "url"))
    start, stop = whole(_text(element, "start")), whole(_text(element, "stop"))
    if start is None or stop is None:
        return None
    return Segment(int(job.group(1)) if job else _id(_text(element, "id")), start, stop)


def _link(meta: Element, tasks: list[TaskMeta]) -> str:
    """Where a frame opens in the CVAT that wrote this; "" where frames or jobs are not told clearly."""
    address = next((e.text or "" for e in meta.iter("url")), "").strip()
    server = re.match(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(?=/|$)", address)
    plain = all(t.id >= 0 and t.start == 0 and t.step == 1 and t.segments for t in tasks)
    return f"{server.group()}/tasks/{{task}}/jobs/{{job}}?frame={{number}}" if server and tasks and plain else ""


def _id(text: str) -> int:
    value = whole(text)
    return value if value is not None and value >= 0 else NO_ID


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
