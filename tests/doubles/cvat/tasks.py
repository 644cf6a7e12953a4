"""Tasks: lists, single ones, and the making of one with its data."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from tests.doubles.cvat import access, listing, media
from tests.doubles.cvat.auth import show_user, workspace_id
from tests.doubles.cvat.projects import add_labels, check_labels, check_name, drop_task
from tests.doubles.cvat.state import Background, Job, State, Task
from tests.doubles.cvat.web import (
    NO_CACHE,
    ApiError,
    Request,
    Response,
    Routes,
    absolute,
    forbidden,
    multipart,
    not_found,
    server_error,
)

TUS_MAX_BYTES = 26843545600
CHANGEABLE = {"name", "assignee_id", "bug_tracker", "owner_id", "subset", "labels", "project_id"}


def show_task(request: Request, task: Task) -> dict[str, Any]:
    state = request.state
    jobs = state.task_jobs(task.id)
    query = [("task_id", str(task.id))]
    project = state.projects.get(task.project) if task.project is not None else None
    done = sum(job.stage == "acceptance" and job.state == "completed" for job in jobs)
    return {
        "url": absolute(request, f"/api/tasks/{task.id}"),
        "id": task.id,
        "name": task.name,
        "project_id": task.project,
        "project_name": project.name if project else None,
        "owner": show_user(request, task.owner),
        "assignee": show_user(request, task.assignee),
        "bug_tracker": task.bug_tracker,
        "created_date": task.created,
        "updated_date": task.updated,
        "overlap": task.overlap,
        "segment_size": task.segment_size,
        "status": _status(state, task),
        **_data_fields(task),
        "guide_id": None,
        "data": task.data,
        "dimension": "2d" if task.media else "",
        "mode": "annotation" if task.media else "",
        "media_type": "image" if task.media else "",
        "subset": task.subset,
        "organization_id": task.organization,
        "organization": task.organization,
        "target_storage": None,
        "source_storage": None,
        "jobs": {
            "count": len(jobs),
            "completed": done,
            "validation": sum(job.stage == "validation" for job in jobs),
            "url": absolute(request, "/api/jobs", query),
        },
        "labels": {"url": absolute(request, "/api/labels", query)},
        "assignee_updated_date": task.assignee_updated,
        "validation_mode": "gt" if any(job.type == "ground_truth" for job in jobs) else None,
        "consensus_enabled": task.consensus_replicas > 0,
    }


def _status(state: State, task: Task) -> str:
    statuses = {job.status for job in state.parts(task.id)}
    if statuses == {"completed"}:
        return "completed"
    return "validation" if statuses and "annotation" not in statuses else "annotation"


def _data_fields(task: Task) -> dict[str, Any]:
    """Fields that a task has only once data were sent, and most of them only once those were readable."""
    if task.data is None:
        return {}
    fields: dict[str, Any] = {"data_cloud_storage_id": None, "size": len(task.media.images) if task.media else 0}
    if task.media:
        fields.update(
            data_chunk_size=task.media.chunk_size,
            data_original_chunk_type="imageset",
            data_compressed_chunk_type="imageset",
            image_quality=task.media.image_quality,
        )
    return fields


def _fields(request: Request, task: Task) -> dict[str, Any]:
    user = request.state.users.get(task.assignee) if task.assignee is not None else None
    return {
        "id": task.id,
        "name": task.name,
        "project_id": task.project,
        "assignee": user.username if user else None,
        "owner": request.state.users[task.owner].username,
        "updated_date": task.updated,
        "status": _status(request.state, task),
        "subset": task.subset,
    }


def list_tasks(request: Request) -> Response:
    state = request.state
    rows = [
        task
        for task in state.tasks.values()
        if access.in_workspace(request, task.organization) and access.runs_task(state, request.user, task)
    ]
    names = ["project_id", "name", "assignee", "owner", "status", "subset"]
    rows = listing.select(request, rows, lambda task: _fields(request, task), names)
    return listing.page(request, rows, lambda task: show_task(request, task))


def create_task(request: Request) -> Response:
    body = request.object()
    check_name(body)
    check_labels(body.get("labels", []))
    state = request.state
    if body.get("project_id") is not None and body["project_id"] not in state.projects:
        raise ApiError(404, ["The specified project #{} does not exist.".format(body["project_id"])])
    if "user" not in request.user.groups and not request.user.is_superuser:
        raise forbidden()
    task = new_task(state, str(body["name"]), request.user.id, body)
    task.organization = workspace_id(request)
    shown = show_task(request, task)
    return Response(201, shown, {"Location": shown["url"]})


def new_task(state: State, name: str, owner: int, given: dict[str, Any]) -> Task:
    """Store a task without data; given: the other fields of ``POST /api/tasks``."""
    now = state.now()
    task = Task(state.next_id("task"), name, owner, now, state.now(), project=given.get("project_id"))
    task.segment_size = int(given.get("segment_size") or 0)
    task.overlap = given.get("overlap")
    task.consensus_replicas = int(given.get("consensus_replicas") or 0)
    task.assignee = given.get("assignee_id")
    task.subset = str(given.get("subset", ""))
    task.bug_tracker = str(given.get("bug_tracker", ""))
    state.tasks[task.id] = task
    add_labels(state, given.get("labels") or [], task=task.id)
    return task


def task_of(request: Request) -> Task:
    """The task in the path: 404 if there is none, 403 without rights."""
    task = request.state.tasks.get(request.number("id"))
    if task is None:
        raise not_found("Task")
    if not access.runs_task(request.state, request.user, task):
        raise forbidden()
    return task


def get_task(request: Request) -> Response:
    return Response(200, show_task(request, task_of(request)))


def head_task(request: Request) -> Response:
    task_of(request)
    raise server_error()


def change_task(request: Request) -> Response:
    task = task_of(request)
    body = request.object()
    if set(body) - CHANGEABLE:
        raise ApiError(403, {"detail": "Attempted to update an unknown field"})
    check_name(body, required=False)
    state = request.state
    check_labels(body.get("labels", []))
    task.name = str(body.get("name", task.name))
    task.bug_tracker = str(body.get("bug_tracker", task.bug_tracker))
    task.subset = str(body.get("subset", task.subset))
    if "assignee_id" in body and body["assignee_id"] != task.assignee:
        task.assignee, task.assignee_updated = body["assignee_id"], state.now()
    add_labels(state, [label for label in body.get("labels", []) if "id" not in label], task=task.id)
    task.updated = state.now()
    return Response(200, show_task(request, task))


def delete_task(request: Request) -> Response:
    drop_task(request.state, task_of(request).id)
    return Response(204)


def get_status(request: Request) -> Response:
    background = request.state.background.get(_request_id(task_of(request)))
    started = {True: "Failed", False: "Finished"}[bool(background and background.failed)]
    return Response(200, {"state": started, "message": background.message if background else "", "progress": 0.0})


def _request_id(task: Task) -> str:
    return f"action=create&target=task&target_id={task.id}"


def send_data(request: Request) -> Response:
    """All the ways of sending data: start, several files, a tus file, finish, or one single form."""
    task = task_of(request)
    headers = request.headers
    if task.media is not None:
        raise ApiError(400, ["Adding more data is not supported"])
    if "upload-start" in headers:
        return Response(202)
    if "upload-length" in headers:
        return _start_tus(request, task)
    if headers.get("content-type", "").startswith("multipart/form-data"):
        fields, files = multipart(request)
        task.uploads.update(files)
        if "upload-multiple" in headers:
            return Response(200)
        return _finish(request, task, fields)
    return _finish(request, task, request.object())


def _tus_headers(**more: str) -> dict[str, str]:
    fixed = {"tus-resumable": "1.0.0", "tus-version": "1.0.0", "tus-extension": "", "tus-max-size": str(TUS_MAX_BYTES)}
    return {**fixed, "Cache-Control": "no-store", **more}


def _start_tus(request: Request, task: Task) -> Response:
    pairs = (item.partition(" ") for item in request.headers.get("upload-metadata", "").split(","))
    metadata = {key: base64.b64decode(value).decode() for key, _, value in pairs}
    file_id = f"{request.user.id}_{uuid.uuid4()}"
    request.state.tus[file_id] = (task.id, metadata["filename"], int(request.headers["upload-length"]), b"")
    where = absolute(request, f"/api/tasks/{task.id}/data/{file_id}")
    return Response(201, None, _tus_headers(**{"Location": where, "upload-filename": metadata["filename"]}))


def _tus_file(request: Request) -> tuple[int, str, int, bytes]:
    found = request.state.tus.get(request.path_args["file"])
    if found is None or found[0] != task_of(request).id:
        raise not_found("File")
    return found


def tus_offset(request: Request) -> Response:
    return Response(200, None, _tus_headers(**{"upload-offset": str(len(_tus_file(request)[3]))}))


def append_tus(request: Request) -> Response:
    """One piece of a file. A wrong offset is a 409."""
    task_id, name, length, data = _tus_file(request)
    if int(request.headers.get("upload-offset", "-1")) != len(data):
        raise ApiError(409, None, headers=_tus_headers(**{"upload-offset": str(len(data))}))
    data += request.raw
    request.state.tus[request.path_args["file"]] = (task_id, name, length, data)
    if len(data) == length:
        request.state.tasks[task_id].uploads[name] = data
    return Response(204, None, _tus_headers(**{"upload-offset": str(len(data))}))


def _finish(request: Request, task: Task, fields: dict[str, Any]) -> Response:
    """Make frames and jobs of what was sent. A broken image fails the request in the background, not this call."""
    state = request.state
    task.data = task.id
    rq_id = _request_id(task)
    background = Background(rq_id, task.id, request.user.id, state.now(), state.request_polls)
    names = _ordered(task.uploads, fields)
    broken = [name for name in names if media.size_of(task.uploads[name]) == (0, 0)]
    if broken or not names:
        background.failed = True
        path = f"<server>/data/data/{task.id}/raw/{broken[0]}" if broken else ""
        background.message = f"PIL.UnidentifiedImageError: cannot identify image file '{path}'\n"
    else:
        fill(state, task, [(name, task.uploads[name]) for name in names], fields)
    task.updated = state.now()
    background.ended = state.now()
    state.background[rq_id] = background
    return Response(202, {"rq_id": rq_id})


def _ordered(uploads: dict[str, bytes], fields: dict[str, Any]) -> list[str]:
    if str(fields.get("sorting_method", "")).lower() == "predefined":
        asked = [name for name in fields.get("upload_file_order", []) if name in uploads]
        return asked or list(uploads)
    return sorted(uploads)


def fill(state: State, task: Task, files: list[tuple[str, bytes]], fields: dict[str, Any]) -> None:
    """Give a task its frames (in this order) and its jobs; fields: chunk_size, image_quality."""
    task.data = task.id
    chunk_size = int(fields["chunk_size"]) if fields.get("chunk_size") else None
    task.media = media.build(files, chunk_size, int(fields.get("image_quality", 70)), state.now())
    size = len(task.media.images)
    asked = task.segment_size or size
    task.segment_size = min(asked, size)
    task.overlap = min(int(task.overlap or 0), task.segment_size // 2) if asked < size else 0
    for start in range(0, max(size - task.overlap, 1), task.segment_size - task.overlap):
        _add_part(state, task, start, min(start + task.segment_size, size) - 1)
    task.uploads = {}


def _add_part(state: State, task: Task, start: int, stop: int) -> None:
    parent = new_job(state, task, "annotation", start, stop)
    for _ in range(task.consensus_replicas):
        new_job(state, task, "consensus_replica", start, stop).parent = parent.id


def new_job(state: State, task: Task, kind: str, start: int, stop: int) -> Job:
    """Store a job over the frames start to stop (included)."""
    now = state.now()
    chunks = task.media.updated if task.media else now
    job = Job(state.next_id("job"), task.id, kind, start, stop, now, state.now(), chunks_updated=chunks)
    state.jobs[job.id] = job
    return job


def get_request(request: Request) -> Response:
    """How far a creation is: "started" for the first ``request_polls`` questions, then the end."""
    found = request.state.background.get(request.path_args["rq"])
    if found is None:
        raise ApiError(404, {"detail": "Not found."})
    if found.owner != request.user.id and not request.user.is_superuser:
        raise forbidden()
    running = found.polls_left > 0
    found.polls_left -= 1
    return Response(200, _show_request(request, found, running), NO_CACHE)


def _show_request(request: Request, found: Background, running: bool) -> dict[str, Any]:
    task = request.state.tasks.get(found.task)
    owner = request.state.users[found.owner]
    operation = {"type": "create:task", "target": "task", "project_id": task.project if task else None}
    more = {"job_id": None, "org_id": task.organization if task else None, "format": None, "lightweight": None}
    return {
        "status": "started" if running else "failed" if found.failed else "finished",
        "message": "" if running else found.message,
        "id": found.id,
        "operation": {**operation, "task_id": found.task, **more},
        "progress": 0.0,
        "created_date": found.created,
        "started_date": found.created,
        "finished_date": None if running else found.ended,
        "expiry_date": None if running else found.ended,
        "owner": {"id": owner.id, "username": owner.username},
        "result_url": None,
        "result_id": None,
    }


def list_requests(request: Request) -> Response:
    rows = [item for item in request.state.background.values() if item.owner == request.user.id]
    if "task_id" in request.query:
        rows = [item for item in rows if str(item.task) == request.query["task_id"]]
    page = listing.page(request, rows[::-1], lambda item: _show_request(request, item, item.polls_left > 0))
    page.headers.update(NO_CACHE)
    return page


def routes(table: Routes) -> None:
    table.add("/api/tasks", GET=list_tasks, POST=create_task)
    table.add("/api/tasks/{id}", GET=get_task, PATCH=change_task, DELETE=delete_task, HEAD=head_task)
    table.add("/api/tasks/{id}/status", GET=get_status)
    table.add("/api/tasks/{id}/data/?", GET=media.get_task_data, POST=send_data)
    table.add("/api/tasks/{id}/data/meta", GET=media.get_task_meta, PATCH=media.change_task_meta)
    table.add("/api/tasks/{id}/data/{file}", PATCH=append_tus, HEAD=tus_offset)
    table.add("/api/tasks/{id}/preview", GET=media.get_task_preview)
    table.add("/api/requests", GET=list_requests)
    table.add("/api/requests/{rq}", GET=get_request)
