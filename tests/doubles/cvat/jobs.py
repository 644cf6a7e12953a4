"""Jobs: lists, single ones, changes, ground truth."""

from __future__ import annotations

from typing import Any

from tests.doubles.cvat import access, listing, media
from tests.doubles.cvat.auth import show_user
from tests.doubles.cvat.state import Job, State, Task
from tests.doubles.cvat.tasks import new_job, task_of
from tests.doubles.cvat.web import ApiError, Request, Response, Routes, absolute, forbidden, not_found, server_error

CHOICES = {
    "state": ("new", "in progress", "completed", "rejected"),
    "stage": ("annotation", "validation", "acceptance"),
}


def show_job(request: Request, job: Job) -> dict[str, Any]:
    """Names of task and project are null for who may not read those."""
    state = request.state
    task = state.tasks[job.task]
    staff = access.runs_task(state, request.user, task)
    project = state.projects.get(task.project) if task.project is not None else None
    query = [("job_id", str(job.id))]
    replicas = sum(other.parent == job.id for other in state.jobs.values())
    return {
        "url": absolute(request, f"/api/jobs/{job.id}"),
        "id": job.id,
        "task_id": task.id,
        "task_name": task.name if staff else None,
        "project_id": task.project,
        "project_name": project.name if project and staff else None,
        "assignee": show_user(request, job.assignee),
        "guide_id": None,
        "dimension": "2d",
        "mode": "annotation",
        "media_type": "image",
        "bug_tracker": project.bug_tracker if project else task.bug_tracker or None,
        "status": job.status,
        "stage": job.stage,
        "state": job.state,
        "frame_count": len(job.frames),
        "start_frame": job.start,
        "stop_frame": job.stop,
        "data_chunk_size": task.media.chunk_size if task.media else None,
        "data_compressed_chunk_type": "imageset",
        "data_original_chunk_type": "imageset",
        "created_date": job.created,
        "updated_date": job.updated,
        "issues": {
            "url": absolute(request, "/api/issues", query),
            "count": sum(issue.job == job.id for issue in state.issues.values()),
        },
        "labels": {"url": absolute(request, "/api/labels", query)},
        "type": job.type,
        "organization": task.organization,
        "target_storage": None,
        "source_storage": None,
        "assignee_updated_date": job.assignee_updated,
        "parent_job_id": job.parent,
        "replicas_count": replicas,
        "consensus_replicas": replicas,
    }


def _fields(state: State, job: Job) -> dict[str, Any]:
    task = state.tasks[job.task]
    user = state.users.get(job.assignee) if job.assignee is not None else None
    return {
        "id": job.id,
        "task_id": task.id,
        "task_name": task.name,
        "project_id": task.project,
        "assignee": user.username if user else None,
        "state": job.state,
        "stage": job.stage,
        "type": job.type,
        "updated_date": job.updated,
        "parent_job_id": job.parent,
    }


def list_jobs(request: Request) -> Response:
    """Newest first. Who isn't staff sees only the jobs assigned to him."""
    state = request.state
    rows = [
        job
        for job in state.jobs.values()
        if access.in_workspace(request, state.tasks[job.task].organization)
        and access.works_on_job(state, request.user, job)
    ]
    names = ["task_id", "project_id", "state", "stage", "type", "assignee", "parent_job_id"]
    rows = listing.select(request, rows, lambda job: _fields(state, job), names)
    return listing.page(request, rows, lambda job: show_job(request, job))


def job_of(request: Request) -> Job:
    """The job in the path: 404 if there is none, 403 without rights."""
    job = request.state.jobs.get(request.number("id"))
    if job is None:
        raise not_found("Job")
    if not access.works_on_job(request.state, request.user, job):
        raise forbidden()
    return job


def get_job(request: Request) -> Response:
    return Response(200, show_job(request, job_of(request)))


def change_job(request: Request) -> Response:
    """The assignee may change the state; stage and assignee are for the task's staff. Task dates stay."""
    job = job_of(request)
    body = request.object()
    if set(body) - {"state", "stage", "assignee"}:
        raise ApiError(403, {"detail": "Attempted to update an unknown field"})
    staff = access.runs_task(request.state, request.user, request.state.tasks[job.task])
    if not staff and set(body) - {"state"}:
        raise forbidden()
    _check_choices(body)
    _apply(request.state, job, body)
    return Response(200, show_job(request, job))


def _check_choices(body: dict[str, Any]) -> None:
    for name, choices in CHOICES.items():
        if name in body and body[name] not in choices:
            raise ApiError(400, {name: [f'"{body[name]}" is not a valid choice.']})


def _apply(state: State, job: Job, body: dict[str, Any]) -> None:
    if "assignee" in body:
        assignee = body["assignee"]
        if assignee is not None and assignee not in state.users:
            raise server_error()
        if assignee != job.assignee:
            job.assignee, job.assignee_updated = assignee, state.now()
    job.state = body.get("state", job.state)
    job.stage = body.get("stage", job.stage)
    job.updated = state.now()


def create_job(request: Request) -> Response:
    """Ground-truth jobs only, one a task."""
    body = request.object()
    state = request.state
    if body.get("type") != "ground_truth":
        raise ApiError(400, [f"Unexpected job type '{body.get('type')}'"])
    task = state.tasks.get(body.get("task_id", 0))
    if task is None:
        raise ApiError(400, ["Task matching query does not exist."])
    if not access.runs_task(state, request.user, task):
        raise forbidden()
    if any(job.type == "ground_truth" for job in state.task_jobs(task.id)):
        raise ApiError(400, ['Task with validation mode "gt" cannot have more than 1 GT job'])
    job = new_ground_truth(state, task, body.get("frames", []))
    shown = show_job(request, job)
    return Response(201, shown, {"Location": shown["url"]})


def new_ground_truth(state: State, task: Task, frames: list[int]) -> Job:
    """Store a ground-truth job; it spans the whole task but holds only these frames."""
    assert task.media is not None, "a ground-truth job needs data"
    job = new_job(state, task, "ground_truth", 0, len(task.media.images) - 1)
    job.included = sorted(set(frames))
    job.chunks_updated = state.now()
    return job


def delete_job(request: Request) -> Response:
    """Only ground-truth jobs can be deleted."""
    job = job_of(request)
    if job.type != "ground_truth":
        raise ApiError(400, ["Only ground truth jobs can be removed"])
    del request.state.jobs[job.id]
    return Response(204)


def validation_layout(request: Request) -> Response:
    task = task_of(request)
    truth = [job for job in request.state.task_jobs(task.id) if job.type == "ground_truth"]
    body = {
        "mode": "gt" if truth else None,
        "frames_per_job_count": None,
        "validation_frames": truth[0].frames if truth else None,
        "disabled_frames": [] if truth else None,
    }
    return Response(200, body)


def routes(table: Routes) -> None:
    table.add("/api/jobs", GET=list_jobs, POST=create_job)
    table.add("/api/jobs/{id}", GET=get_job, PATCH=change_job, DELETE=delete_job)
    table.add("/api/jobs/{id}/data/?", GET=media.get_job_data)
    table.add("/api/jobs/{id}/data/meta", GET=media.get_job_meta, PATCH=media.change_job_meta)
    table.add("/api/jobs/{id}/preview", GET=media.get_job_preview)
    table.add("/api/tasks/{id}/validation_layout", also="PATCH", GET=validation_layout)
