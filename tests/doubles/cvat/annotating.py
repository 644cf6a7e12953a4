"""Reading and writing annotations, of a job and of a whole task."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tests.doubles.cvat import shapes, tracks
from tests.doubles.cvat.jobs import job_of
from tests.doubles.cvat.shapes import KINDS, Item
from tests.doubles.cvat.state import Attribute, Job, State, Task
from tests.doubles.cvat.tasks import task_of
from tests.doubles.cvat.web import HTML_TYPE, ApiError, Request, Response, Routes, server_error

ACTIONS = ("create", "update", "delete")
DATABASE_NAMES = {"tags": "engine_labeledimage", "shapes": "engine_labeledshape", "tracks": "engine_labeledtrack"}
Data = dict[str, list[Item]]


def _answer(data: Data) -> dict[str, Any]:
    return {"version": 0, **{kind: data[kind] for kind in KINDS}, "intervals": []}


def _known(state: State, task: Task) -> dict[int, list[Attribute]]:
    labels = state.labels_of(task)
    return {label.id: label.attributes for parent in labels for label in [parent, *parent.sublabels]}


def read_job(state: State, job: Job) -> dict[str, Any]:
    """What GET shows for a job. Frames ascending; within one newest first: the server mixes them, so nothing may rely
    on the order of writing.
    """
    known = _known(state, state.tasks[job.task])
    data: Data = {}
    for kind in KINDS:
        rows = [shapes.show(kind, item, known) for item in getattr(job.tables, kind).values()]
        data[kind] = sorted(rows, key=lambda item: (int(item["frame"]), -int(item["id"])))
    if not state.scores:
        data["shapes"] = [_without_score(item) for item in data["shapes"]]
    return _answer(data)


def read_task(state: State, task: Task) -> dict[str, Any]:
    """The ordinary jobs together; ground truth and consensus replicas are not in it.

    Jobs that overlap: of shapes that are alike in both, one is shown. (The server compares by IoU; not recorded.)
    """
    parts = state.parts(task.id)
    data: Data = {kind: [] for kind in KINDS}
    for place, job in enumerate(parts):
        border = parts[place + 1].start if place + 1 < len(parts) else None
        found = read_job(state, job)
        found["tracks"] = [tracks.closed(track, border) for track in found["tracks"]]
        for kind in KINDS:
            fresh = found[kind] if not task.overlap else [item for item in found[kind] if not _twin(item, data[kind])]
            data[kind] += fresh
    for kind in KINDS:
        data[kind].sort(key=lambda item: (int(item["frame"]), int(item["id"])))
    return _answer(data)


def _twin(item: Item, others: list[Item]) -> bool:
    return "points" in item and any(_bare(item) == _bare(other) for other in others)


def _bare(item: Item) -> tuple[Any, ...]:
    return item["frame"], item["type"], item["label_id"], item["points"], len(item.get("elements", []))


def write_job(state: State, job: Job, data: Data, action: str) -> Data:
    """Carry out a checked write on one job, all or nothing. action: a PATCH action or "replace". Returns the answer."""
    before = copy.deepcopy(job.tables)
    try:
        if action == "replace":
            job.tables = type(job.tables)()
        if action in ("update", "delete"):
            for kind in KINDS:
                for item in data[kind]:
                    getattr(job.tables, kind).pop(item["id"], None)
        answer = data if action == "delete" else {kind: _insert(state, job, kind, data[kind]) for kind in KINDS}
    except ApiError:
        job.tables = before
        raise
    state.touch(job)
    return answer


def _insert(state: State, job: Job, kind: str, items: Sequence[Item]) -> list[Item]:
    """Store objects; parents get their ids before the elements of any."""
    table = getattr(job.tables, kind)
    taken = {key for other in state.jobs.values() for key in getattr(other.tables, kind)}
    rows = copy.deepcopy(list(items))
    for row in rows:
        if row["id"] in taken:
            raise _duplicate(kind, row["id"])
        if row["id"] is None:
            row["id"] = state.next_id(kind)
        taken.add(row["id"])
        table[row["id"]] = row
    for row in rows:
        _number_parts(state, kind, row)
    return copy.deepcopy(rows)


def _number_parts(state: State, kind: str, row: Item) -> None:
    """Ids for the parts that came without; an update keeps those that were sent."""
    for keyframe in row.get("shapes", []):
        keyframe["id"] = keyframe["id"] or state.next_id("keyframes")
    for element in row.get("elements", []):
        element["id"] = element["id"] or state.next_id(kind)
        _number_parts(state, kind, element)


def _duplicate(kind: str, key: int) -> ApiError:
    name = DATABASE_NAMES[kind]
    text = f'duplicate key value violates unique constraint "{name}_pkey"\nDETAIL:  Key (id)=({key}) already exists.\n'
    return ApiError(400, text)


def write_task(state: State, task: Task, data: Data, action: str) -> Data:
    """A write on a whole task: each job gets its frames; what lies on no frame of the task is silently dropped."""
    parts = state.parts(task.id)
    backup = {job.id: copy.deepcopy(job.tables) for job in parts}
    split = {job.id: _of_job(data, job) for job in parts}
    touched = [job for job in parts if action == "replace" or any(split[job.id].values())]
    answer: Data = {kind: [] for kind in KINDS}
    try:
        if action == "replace":
            for job in touched:
                job.tables = type(job.tables)()
        for job in touched:
            done = write_job(state, job, split[job.id], action)
            for kind in KINDS:
                answer[kind] += done[kind]
    except ApiError:
        for job in parts:
            job.tables = backup[job.id]
        raise
    return _closed_answer(answer, parts) if action != "delete" else answer


def _closed_answer(answer: Data, parts: list[Job]) -> Data:
    """The answer shows the tracks of every job but the last closed at the border, as the task's view does."""
    rows = []
    for track in answer["tracks"]:
        at = max((i for i, job in enumerate(parts) if job.start <= track["frame"]), default=len(parts) - 1)
        rows.append(tracks.closed(track, parts[at + 1].start if at + 1 < len(parts) else None))
    return {**answer, "tracks": rows}


def _of_job(data: Data, job: Job) -> Data:
    cuts = [tracks.cut(track, job.start, job.stop) for track in data["tracks"]]
    return {
        "tags": [item for item in data["tags"] if job.start <= item["frame"] <= job.stop],
        "shapes": [item for item in data["shapes"] if job.start <= item["frame"] <= job.stop],
        "tracks": [track for track in cuts if track is not None],
    }


def _action(request: Request) -> str:
    if request.method == "PUT":
        return "replace"
    action = request.query.get("action", "")
    if action not in ACTIONS:
        raise ApiError(400, ["Please specify a correct 'action' for the request"])
    return action


def _checked(request: Request, task: Task, action: str) -> Data:
    ids_allowed, sent = action in ("update", "delete"), request.object()
    if not request.state.scores:
        sent = {**sent, "shapes": [_without_score(item) for item in sent.get("shapes") or []]}
    return shapes.check(sent, request.state.labels_of(task), ids_allowed=ids_allowed)


def _without_score(item: Any) -> Any:
    return {k: v for k, v in item.items() if k != "score"} if isinstance(item, dict) else item


def _echo(request: Request, answer: Data, action: str) -> Response:
    """A deletion's answer names elements only where they were sent."""
    if action == "delete":
        sent = request.object().get("shapes") or []
        for row, given in zip(answer["shapes"], sent, strict=False):
            if "elements" not in given:
                row.pop("elements", None)
    return Response(200, _answer(answer))


def get_job_annotations(request: Request) -> Response:
    return Response(200, read_job(request.state, job_of(request)))


def write_job_annotations(request: Request) -> Response:
    job = job_of(request)
    action = _action(request)
    data = _checked(request, request.state.tasks[job.task], action)
    return _echo(request, write_job(request.state, job, data, action), action)


def clear_job_annotations(request: Request) -> Response:
    write_job(request.state, job_of(request), {kind: [] for kind in KINDS}, "replace")
    return Response(204)


def get_task_annotations(request: Request) -> Response:
    task = task_of(request)
    if task.media is None:
        text = "Exporting annotations from a task without data is not allowed"
        raise ApiError(400, f'"{text}"'.encode(), content_type=HTML_TYPE)
    return Response(200, read_task(request.state, task))


def write_task_annotations(request: Request) -> Response:
    task = task_of(request)
    action = _action(request)
    if task.media is None:
        raise server_error()
    data = _checked(request, task, action)
    return _echo(request, write_task(request.state, task, data, action), action)


def clear_task_annotations(request: Request) -> Response:
    write_task(request.state, task_of(request), {kind: [] for kind in KINDS}, "replace")
    return Response(204)


def routes(table: Routes) -> None:
    table.add(
        "/api/jobs/{id}/annotations/?",
        GET=get_job_annotations,
        also="POST",
        PUT=write_job_annotations,
        PATCH=write_job_annotations,
        DELETE=clear_job_annotations,
    )
    table.add(
        "/api/tasks/{id}/annotations/?",
        GET=get_task_annotations,
        also="POST",
        PUT=write_task_annotations,
        PATCH=write_task_annotations,
        DELETE=clear_task_annotations,
    )
